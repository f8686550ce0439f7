"""Limits of what arrives at devices and nodes (C12, C13), in every method that takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moeopt import solve
from moeopt.describe.cluster import Cluster, Node, NodeGroup
from moeopt.placement import PlacementProblem, balance, place
from moeopt.placement._kernels_rules import arrive, within
from moeopt.placement.assignment import not_assignable
from moeopt.placement.greedy import feasible_plan, lpt
from moeopt.placement.plan import PlacementPlan, arrivals, evaluate, violations
from moeopt.placement.replan import replan_front
from moeopt.placement.rules import rules_of

LIMITS: dict[str, dict[str, Any]] = {
    "device": {"max_moved_bytes_per_device": 3},
    "devices": {"max_moved_bytes_per_device": (0, 4, 0, 6)},
    "node": {"max_moved_bytes_per_node": 2},
    "nodes": {"max_moved_bytes_per_node": (4, 0)},
    "all": {
        "max_moved_bytes": 14,
        "max_moved_bytes_per_device": 5,
        "max_moved_bytes_per_node": (3, 9),
    },
}


def drifted(seed: int = 0, **fields: Any) -> PlacementProblem:
    """Return two layers of 8 experts in 12 slots of 4 devices, planned for other loads."""
    rng = np.random.default_rng(seed)
    before = rng.integers(1, 50, (2, 8))
    stated: dict[str, Any] = {
        "loads_tokens": rng.permuted(before, axis=1).astype(float),
        "cluster": Cluster.uniform(4, 2),
        "slots_per_device": 3,
        "expert_bytes": np.array([1, 2, 3, 1, 2, 3, 1, 2]),
        "previous": place(before, 4, 12, nodes=2).physical_to_logical,
    }
    return PlacementProblem(**{**stated, **fields})


@pytest.mark.parametrize("name", LIMITS)
def test_annealing_stays_within_the_limits_and_gains(name: str) -> None:
    problem = drifted(**LIMITS[name])
    assert problem.previous is not None
    before = evaluate(problem, PlacementPlan(physical_to_logical=problem.previous))
    found = solve(problem, "search")
    assert found.plan is not None
    assert found.objective is not None
    assert violations(problem, found.plan) == []
    assert found.objective < before.objective
    free = solve(drifted(), "search")
    assert free.plan is not None
    # The limits say something: without them the search goes beyond.
    assert violations(problem, free.plan) != []


@pytest.mark.parametrize("seed", range(3))
def test_annealing_counts_what_arrives_as_the_checker_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = tuple(NodeGroup(node=Node(devices=count)) for count in (2, 1, 2))
    problem = PlacementProblem(
        loads_tokens=np.ones((1, 6)),
        cluster=Cluster(nodes=nodes),
        slots_per_device=3,
        expert_bytes=rng.integers(1, 9, 6),
        previous=rng.integers(-1, 6, (1, 15)),
        dead_devices=(1,),
    )
    table = rng.integers(-1, 6, (1, 15))
    rules = rules_of(problem)
    copies = PlacementPlan(physical_to_logical=table).copies(problem)[0]
    arrived, crossed = np.full(5, 99.0), np.full(5, 99.0)
    for g in range(5):
        arrive(g, copies, rules.held[0], rules.near[0], rules.size[0], arrived, crossed)
    expected = arrivals(problem, table)
    assert arrived.tolist() == expected.device_bytes[0].tolist()
    by_node = np.bincount(rules.node, weights=crossed)
    assert by_node.tolist() == expected.node_bytes[0].tolist()
    rooms = [arrived.sum(), arrived.copy(), by_node.copy()]
    assert within(0, 4, rules.node, arrived, crossed, *rooms)
    rooms[0] -= 0.5
    assert not within(0, 4, rules.node, arrived, crossed, *rooms)
    rooms[0] = np.inf
    for full in (1, 2):
        rooms[full][0] -= 0.5
        assert not within(4, 0, rules.node, arrived, crossed, *rooms)
        rooms[full][0] += 0.5


def test_the_previous_plan_is_mended_where_bytes_may_hardly_move() -> None:
    # Device 1 dies, which alone held experts 0 and 1: one may come to each device that is left.
    problem = PlacementProblem(
        loads_tokens=np.array([[9.0, 5.0, 3.0, 1.0]]),
        cluster=Cluster.uniform(3),
        slots_per_device=(3, 2, 3),
        allow_empty_slots=True,
        expert_bytes=10,
        previous=np.array([[2, 3, -1, 0, 1, 2, 3, -1]]),
        dead_devices=(1,),
        max_moved_bytes_per_device=10,
    )
    found = feasible_plan(problem)
    assert found is not None
    assert arrivals(problem, found.physical_to_logical).device_bytes.tolist() == [[10, 0, 10]]
    assert lpt(problem) is None


@pytest.mark.parametrize("name", LIMITS)
def test_methods_that_know_no_limit_of_moves_refuse_it(name: str) -> None:
    problem = drifted(**LIMITS[name])
    assert not balance.is_plain(problem)
    assert balance.is_plain(drifted())
    assert "limit of moves" in (not_assignable(problem) or "")


def test_limits_are_plain_arguments_of_place() -> None:
    found = place(
        [[4.0, 3.0, 2.0, 1.0]], 2, previous=[[0, 1, 2, 3]], expert_bytes=[2, 1, 1, 2],
        max_moved_bytes_per_device=[1, 1],
    )  # fmt: skip
    assert found.objective == found.bound == 6


def test_replanning_goes_on_around_limits_until_they_are_used_up() -> None:
    layers, devices, experts = 8, 48, 64
    rng = np.random.default_rng(0)
    slots = np.arange(devices * 2) % experts
    problem = PlacementProblem(
        loads_tokens=rng.lognormal(0, 1, (layers, experts)),
        cluster=Cluster.uniform(devices, 8),
        slots_per_device=2,
        expert_bytes=1,
        previous=np.array([rng.permutation(slots) for _ in range(layers)]),
        max_moved_bytes_per_device=2,
    )
    front = replan_front(problem)
    last = PlacementPlan(physical_to_logical=front.table(len(front) - 1))
    assert violations(problem, last) == []
    arrived = arrivals(problem, last.physical_to_logical).device_bytes.sum(axis=0)
    assert arrived.tolist() == [2.0] * devices
