"""Descents from one action off the front: what they find, and that they keep the rules."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from moeopt.describe.cluster import Cluster
from moeopt.placement import PlacementProblem, detours
from moeopt.placement.plan import PlacementPlan, evaluate, violations
from moeopt.placement.problem import Pair
from moeopt.placement.repair import repaired
from moeopt.placement.replan import Front, replan_front

RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "pinned": {"pinned": (Pair(expert=0, device=0, layer=1), Pair(expert=3, device=3))},
    "pinned in a layer": {"pinned": (Pair(expert=6, device=2, layer=0),)},
    "forbidden in a layer": {"forbidden": (Pair(expert=1, device=2, layer=1),)},
    "one copy": {"max_copies_per_expert": 1, "allow_empty_slots": True},
    "two copies": {"max_copies_per_device": 2, "max_copies_per_expert": 3},
    "apart": {"distinct_nodes": True, "allow_empty_slots": True},
    "groups": {"groups": 2, "group_rule": "one_node"},
    "dead": {"dead_devices": (1,), "allow_empty_slots": True},
    "limits": {"max_moved_bytes_per_device": 2, "max_moved_bytes_per_node": 3},
}


def drifted(seed: int, **fields: Any) -> PlacementProblem:
    """Return two layers of 8 experts in 12 slots of 4 devices in 2 nodes."""
    rng = np.random.default_rng(seed)
    stated: dict[str, Any] = {
        "loads_tokens": rng.lognormal(0, 1, (2, 8)),
        "cluster": Cluster.uniform(4, 2),
        "slots_per_device": 3,
        "expert_bytes": 1,
        "previous": np.array([[0, 1, 2, 3, 0, 1, 4, 5, 6, 7, 4, 5]] * 2),
    }
    return PlacementProblem(**{**stated, **fields})


def check(problem: PlacementProblem, front: Front) -> None:
    for point in range(len(front)):
        plan = PlacementPlan(physical_to_logical=front.table(point))
        assert violations(problem, plan) == []
        found = evaluate(problem, plan)
        assert front.objective[point] == pytest.approx(found.objective)
        assert front.moved_bytes[point] == found.moved_bytes
    assert (np.diff(front.moved_bytes) > 0).all()
    assert (np.diff(front.objective) < 0).all()


@pytest.mark.parametrize("name", RULES)
def test_every_point_keeps_the_rules(name: str) -> None:
    for seed in range(4):
        problem = drifted(seed, **RULES[name])
        front = replan_front(problem)
        assert len(front) > 1
        check(problem, front)


def test_detours_find_what_the_descent_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [drifted(seed) for seed in range(5)]
    with_detours = [replan_front(problem) for problem in problems]
    monkeypatch.setattr(detours, "MOST_STARTS", 0)
    without = [replan_front(problem) for problem in problems]
    for more, less in zip(with_detours, without, strict=True):
        prices = np.geomspace(0.01, 10, 20)
        value, before = (
            [(front.objective + price * front.moved_bytes).min() for price in prices]
            for front in (more, less)
        )
        assert (np.array(value) <= np.array(before) * (1 + 1e-9)).all()
    ends = np.array([[front.objective[-1] for front in some] for some in (with_detours, without)])
    assert (ends[0] < ends[1] * 0.999).any()


def test_a_layer_that_is_even_enough_is_left_alone() -> None:
    assert len(replan_front(drifted(0), imbalance=10.0)) == 1


def test_a_layer_alone_goes_by_points_that_the_convex_hull_leaves_out() -> None:
    # Its first expert saves less than its second: 3.32, 3.13, 2.73, 2.41, 2.34 tokens.
    two = drifted(10)
    assert two.previous is not None
    one = msgspec.structs.replace(
        two, loads_tokens=two.loads_tokens[:, :1], previous=two.previous[:1]
    )
    front = replan_front(one)
    check(one, front)
    gained = -np.diff(front.objective) / np.diff(front.moved_bytes)
    assert (np.diff(gained) > 0).any()


def test_a_detour_that_copies_less_first_does_not_end_above_the_mended_plan() -> None:
    rng = np.random.default_rng(1015)
    problem = PlacementProblem(
        loads_tokens=rng.lognormal(6, 1, (3, 2)),
        cluster=Cluster.uniform(4, 2),
        slots_per_device=2,
        previous=rng.integers(-1, 2, (3, 8)),
        expert_bytes=rng.integers(1, 4, 2),
        max_copies_per_device=None,
        dead_devices=(2,),
        max_moved_bytes=int(rng.integers(3, 12)),
    )
    assert problem.previous is not None
    mended = repaired(problem, problem.previous)
    assert mended is not None
    plan = PlacementPlan(physical_to_logical=mended)
    assert violations(problem, plan) == []
    front = replan_front(problem)
    check(problem, front)
    assert front.objective[-1] <= evaluate(problem, plan).objective * (1 + 1e-9)
