"""Replanning's front against the exact one: never below it, and not far above it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moeopt.describe.cluster import Cluster
from moeopt.placement import PlacementProblem, place
from moeopt.placement.exact_front import exact_front
from moeopt.placement.plan import PlacementPlan, evaluate, moved_bytes, violations
from moeopt.placement.replan import replan_front

#: Layers, experts, devices, nodes and slots of each shape, and what else it states.
SHAPES: dict[str, tuple[tuple[int, int, int, int, int], dict[str, Any]]] = {
    "unequal slots": ((1, 7, 3, 1, 8), {}),
    "copies": ((1, 6, 3, 1, 9), {}),
    "sizes": ((1, 6, 3, 1, 8), {"expert_bytes": np.array([2, 1, 3, 2, 1, 3])}),
    "layers": ((2, 4, 2, 1, 6), {}),
    "devices": ((1, 6, 4, 2, 8), {"max_moved_bytes_per_device": (1, 1, 0, 2)}),
    "nodes": ((1, 6, 4, 2, 8), {"max_moved_bytes_per_node": (1, 0)}),
    "dead": ((1, 6, 4, 2, 10), {"dead_devices": (3,), "allow_empty_slots": True}),
}

SEEDS = (1, 2)


def drifted(name: str, seed: int) -> PlacementProblem:
    """Return a shape planned for other loads than it has now."""
    (layers, experts, devices, nodes, total), fields = SHAPES[name]
    rng = np.random.default_rng(seed)
    before = rng.lognormal(0, 1, (layers, experts)).round(3)
    slots = [total // devices + (g < total % devices) for g in range(devices)]
    return PlacementProblem(
        loads_tokens=(before * rng.lognormal(0, 0.5, before.shape)).round(3),
        cluster=Cluster.uniform(devices, nodes),
        slots_per_device=tuple(slots),
        previous=place(before, devices, slots, nodes=nodes).physical_to_logical,
        **{"expert_bytes": 1, **fields},
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SHAPES)
def test_no_point_is_below_the_exact_front(name: str, seed: int) -> None:
    problem = drifted(name, seed)
    exact, front = exact_front(problem), replan_front(problem)
    assert exact.proven.all()
    for point in range(len(front)):
        plan = PlacementPlan(physical_to_logical=front.table(point))
        assert violations(problem, plan) == []
        assert evaluate(problem, plan).objective == pytest.approx(front.objective[point])
        moved = moved_bytes(problem, plan.physical_to_logical)
        assert moved == pytest.approx(front.moved_bytes[point])
        best = exact.objective[exact.within(moved)]
        assert front.objective[point] >= best * (1 - 1e-6)
    if not problem.dead_devices:
        assert front.objective[0] == pytest.approx(exact.objective[0])
    above = [front.objective[front.within(moved)] for moved in exact.moved_bytes] / exact.objective
    # Single points may be a little above the exact ones, a front on the whole is not.
    assert above.mean() < 1.03
