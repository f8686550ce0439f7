"""Placement and cache together: devices' references, their cost by the checker, and the search."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest

from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.joint import (
    Joint,
    Measure,
    assignment_cost,
    device_problem,
    device_streams,
    joint_assignment,
)
from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import policy_plan
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.traces import RoutingTrace

CASES: list[dict[str, Any]] = [
    {},
    {"pooled": True},
    {"history": np.arange(16.0).reshape(2, 8)},
    {"pinned": np.array([[0, 2], [1, 5]])},
    {"any_order": True},
    {"serve": "bypass"},
    {"serve": "bypass", "loads_per_group": 1, "free_fill": True},
    {"serve": "bypass", "pooled": True, "update_period": 2, "objective": "miss_bytes"},
]


def drawn(seed: int, steps: int = 24, **fields: Any) -> BufferingProblem:
    """Return two layers of 8 experts, pairs of which tend to come together."""
    rng = np.random.default_rng(seed)
    first = rng.permuted(np.tile(np.arange(8), (steps, 2, 1)), axis=2)[:, :, 0]
    ids = np.stack([first, (first + rng.choice([4, 1], (steps, 2), p=[0.8, 0.2])) % 8], axis=2)
    given: dict[str, Any] = {"slots": 3, "expert_bytes": np.arange(1, 17).reshape(2, 8)}
    trace = RoutingTrace(ids, experts=8)
    return buffering_problem(trace, batch_tokens=2, **(given | fields))


def halves(layers: int = 2) -> IntArray:
    return np.tile(np.repeat([0, 1], 4), (layers, 1))


def paid(problem: BufferingProblem, policy: str) -> FloatArray:
    """Return what every group costs, by the checker's own eyes: the trace cut after each group."""
    values = []
    for groups in range(problem.num_layers, problem.num_groups + 1, problem.num_layers):
        part = msgspec.structs.replace(
            problem,
            active=problem.active[: problem.starts[groups]],
            starts=problem.starts[: groups + 1],
            weights=None if problem.weights is None else problem.weights[: problem.starts[groups]],
        )
        values.append(evaluate(part, policy_plan(part, policy)).objective)
    return np.diff(values, prepend=0.0)


@pytest.mark.parametrize("fields", CASES)
def test_every_reference_is_some_devices(fields: dict[str, Any]) -> None:
    problem, assignment = drawn(0, **fields), halves()
    parts = [device_problem(problem, assignment, device) for device in (0, 1)]
    assert sum(part.num_references for part in parts) == problem.num_references
    for device, part in enumerate(parts):
        layer, expert = np.divmod(part.item_of(), 8)
        assert (assignment[layer, expert] == device).all()
        assert part.num_groups == problem.num_groups
        assert violations(part, policy_plan(part, "lru")) == []
        caches = device_streams(problem, assignment, device)
        assert sum(cache.items.size for cache in caches) == part.num_references
    if problem.pinned is not None:
        assert sum(len(part.pinned) for part in parts if part.pinned is not None) == 2


@pytest.mark.parametrize("policy", ["lru", "inactive_lifo"])
@pytest.mark.parametrize("fields", CASES)
def test_cost_is_that_of_the_devices_plans(fields: dict[str, Any], policy: str) -> None:
    problem, assignment = drawn(1, **fields), halves()
    parts = [device_problem(problem, assignment, device) for device in (0, 1)]
    total = sum(evaluate(part, policy_plan(part, policy)).objective for part in parts)
    assert assignment_cost(problem, assignment, policy) == pytest.approx(total)
    worst = assignment_cost(problem, assignment, policy, "worst")
    assert total / 2 <= worst + 1e-9
    assert worst <= total + 1e-9


def test_a_policy_may_look_at_other_devices_experts() -> None:
    """Which finished sequence is like the present one: with one device, just as without."""
    problem = drawn(6, sequence_starts=np.array([0, 4, 8]))
    alone = evaluate(problem, policy_plan(problem, "activation_matching")).objective
    assert assignment_cost(problem, 0 * halves(), "activation_matching") == alone
    assert joint_assignment(problem, halves(), "activation_matching", most_tries=4).tried == 8


@pytest.mark.parametrize("fields", [{}, {"serve": "bypass", "loads_per_group": 1}])
def test_worst_device_of_each_pass(fields: dict[str, Any]) -> None:
    """One layer, so that a step is a group."""
    both = drawn(2, **fields, expert_bytes=1)
    groups = both.group_of()
    problem = msgspec.structs.replace(
        both,
        layers=1,
        active=both.active[groups % 2 == 0],
        weights=None,
        starts=np.concatenate(([0], np.cumsum(np.diff(both.starts)[::2]))),
    )
    parts = [device_problem(problem, halves(1), device) for device in (0, 1)]
    rows = np.stack([paid(part, "lru") for part in parts])
    assert assignment_cost(problem, halves(1), "lru", "worst") == rows.max(axis=0).sum()


@pytest.mark.parametrize("measure", ["total", "worst"])
@pytest.mark.parametrize("fields", [{}, {"pooled": True}, {"serve": "bypass"}])
def test_search_ends_where_no_swap_is_better(fields: dict[str, Any], measure: Measure) -> None:
    problem = drawn(3, **fields)
    found = joint_assignment(problem, halves(), "lru", measure=measure)
    assert found.start_cost == assignment_cost(problem, halves(), "lru", measure)
    assert found.cost == assignment_cost(problem, found.assignment, "lru", measure)
    assert found.cost < found.start_cost
    assert 0 < found.swaps < found.tried
    assert_no_swap_is_better(problem, found, measure)


@pytest.mark.parametrize(("seed", "fields"), [(0, {}), (10, {"pooled": True, "slots": 5})])
def test_search_looks_at_every_pair_again(seed: int, fields: dict[str, Any]) -> None:
    """Where the last swap came late, and where a layer's swap made one of a layer before pay."""
    problem = drawn(seed, **fields)
    assert_no_swap_is_better(problem, joint_assignment(problem, halves(), "lru", seed=seed))


def assert_no_swap_is_better(
    problem: BufferingProblem, found: Joint, measure: Measure = "total"
) -> None:
    for layer, row in enumerate(found.assignment):
        assert np.bincount(row).tolist() == [4, 4]
        for a, b in itertools.combinations(range(8), 2):
            if row[a] != row[b]:
                swapped = found.assignment.copy()
                swapped[layer, [a, b]] = swapped[layer, [b, a]]
                assert assignment_cost(problem, swapped, "lru", measure) >= found.cost


def test_sets_that_come_together_are_parted() -> None:
    """Two sets of three take turns. A device that has all of one does a whole pass alone."""
    ids = np.tile([[0, 1, 2], [3, 4, 5]], (6, 1))[:, None, :]
    problem = buffering_problem(RoutingTrace(ids), slots=2)
    start = np.array([[0, 0, 0, 1, 1, 1]])
    found = joint_assignment(problem, start, "lru", measure="worst")
    assert found.cost < found.start_cost
    assert np.bincount(found.assignment[0, :3], minlength=2).max() == 2


def test_as_many_tries_as_were_asked_for() -> None:
    problem = drawn(4)
    none = joint_assignment(problem, halves(), "lru", most_tries=0)
    assert (none.tried, none.cost) == (0, none.start_cost)
    assert (none.assignment == halves()).all()
    few = joint_assignment(problem, halves(), "lru", most_tries=5)
    assert few.tried <= 10
    again = joint_assignment(problem, halves(), "lru", most_tries=5)
    assert (few.assignment == again.assignment).all()


def test_what_is_no_assignment() -> None:
    problem = drawn(5)
    with pytest.raises(InstanceError, match="layers, experts"):
        device_problem(problem, halves()[:1], 0)
    with pytest.raises(InstanceError, match="devices"):
        device_problem(problem, halves() - 1, 0)
    with pytest.raises(InstanceError, match="must number devices below 16"):
        assignment_cost(problem, halves() * 1_000_000, "lru")
    with pytest.raises(InstanceError, match="measure"):
        assignment_cost(problem, halves(), "lru", "mean")  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match="most_tries"):
        joint_assignment(problem, halves(), "lru", most_tries=-1)


@pytest.mark.parametrize("device", [-1, 2])
def test_a_device_that_is_not_there_is_refused(device: int) -> None:
    problem = BufferingProblem(experts=2, active=np.array([0, 1]), starts=np.array([0, 2]), slots=1)
    with pytest.raises(InstanceError, match="must be below 2"):
        device_problem(problem, np.array([[0, 1]]), device)
