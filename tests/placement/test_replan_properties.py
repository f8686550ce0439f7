"""Every point of a front is what it says it is, whatever the rules, speeds, sizes and loads."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from moeopt.core.arrays import FloatArray
from moeopt.describe.cluster import Cluster
from moeopt.placement import PlacementProblem, evaluate, violations
from moeopt.placement.arrays import NoPlacementError
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.repair import repaired
from moeopt.placement.replan import Front, refuses, replan_front
from moeopt.testing.strategies.placement import FEATURES, placement_problems

#: What replanning refuses, or what says nothing to it.
LEFT_OUT = {"device_memory", "memory", "price", "previous", "weights"}

PROBLEMS = placement_problems(
    objectives=("max_load",),
    splits=("even",),
    features=[feature for feature in FEATURES if feature not in LEFT_OUT],
    max_experts=7,
    max_layers=3,
)


@st.composite
def in_force(draw: st.DrawFn) -> PlacementProblem:
    """Draw a problem and any plan as the one in force: it may break every rule."""
    problem = draw(PROBLEMS)
    if problem.previous is not None and draw(st.booleans()):
        return problem
    shape = (problem.num_layers, problem.num_slots)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    table = rng.integers(-1, problem.num_experts, shape)
    sizes = draw(st.sampled_from([1, 10**9])) * rng.integers(1, 4, problem.num_experts)
    return msgspec.structs.replace(problem, previous=table, expert_bytes=sizes)


def checked(problem: PlacementProblem, front: Front) -> None:
    """Compare all points with what `violations` and `evaluate` make of their plans."""
    unpriced = msgspec.structs.replace(problem, move_price_per_byte=0.0)
    scale = max(1.0, float(front.objective[0]))
    for point in range(len(front)):
        plan = PlacementPlan(physical_to_logical=front.table(point))
        assert violations(problem, plan) == []
        value = evaluate(unpriced, plan)
        assert front.objective[point] == pytest.approx(value.objective, rel=1e-9, abs=1e-9 * scale)
        assert front.moved_bytes[point] == pytest.approx(value.moved_bytes, rel=1e-9)
        assert front.imbalance[point] == pytest.approx(value.imbalance.mean(), rel=1e-9)
    assert (np.diff(front.moved_bytes) > 0).all()
    assert (np.diff(front.objective) < 0).all()
    assert front.objective[-1] >= front.bound * (1 - 1e-9)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(in_force())
def test_every_point_is_a_valid_plan_of_its_value(problem: PlacementProblem) -> None:
    assume(refuses(problem) is None)
    try:
        front = replan_front(problem)
    except NoPlacementError:
        event("no plan")
        return
    event("several points" if len(front) > 1 else "one point")
    checked(problem, front)
    start = repaired(problem, np.asarray(problem.previous))
    plan = PlacementPlan(
        physical_to_logical=np.asarray(problem.previous if start is None else start)
    )
    # The limits may ask for another repair, that copies less.
    if violations(problem, plan) == []:
        unpriced = msgspec.structs.replace(problem, move_price_per_byte=0.0)
        assert front.objective[-1] <= evaluate(unpriced, plan).objective * (1 + 1e-9)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(in_force())
def test_repair_keeps_the_rules_and_what_needs_no_repair(problem: PlacementProblem) -> None:
    table = np.asarray(problem.previous)
    before = table.copy()
    found = repaired(problem, table)
    assert (table == before).all()
    broken = {v.constraint for v in violations(problem, PlacementPlan(physical_to_logical=table))}
    moves = {"C11", "C12", "C13"}
    if found is None:
        assert broken - moves
        return
    plan = PlacementPlan(physical_to_logical=found)
    assert {v.constraint for v in violations(problem, plan)} <= moves
    if not broken - moves:
        assert (found == table).all()


def drifted(seed: int, scale: float = 1.0) -> PlacementProblem:
    """Return two layers without copies, of loads that tie nowhere."""
    rng = np.random.default_rng(seed)
    return PlacementProblem(
        loads_tokens=scale * rng.lognormal(0.0, 1.0, (2, 12)),
        cluster=Cluster.uniform(4),
        slots_per_device=3,
        previous=rng.permuted(np.tile(np.arange(12), (2, 1)), axis=1),
        expert_bytes=rng.permutation(12) + 1,
    )


def assert_same(one: Front, other: Front, scale: float = 1.0) -> None:
    assert one.moved_bytes == pytest.approx(other.moved_bytes)
    assert scale * one.objective == pytest.approx(other.objective)
    assert one.imbalance == pytest.approx(other.imbalance)


@pytest.mark.parametrize("seed", range(4))
def test_names_of_devices_and_experts_do_not_matter(seed: int) -> None:
    problem = drifted(seed)
    front = replan_front(problem)
    assert len(front) > 3
    rng = np.random.default_rng(seed)
    device, expert = rng.permutation(4), rng.permutation(12)
    assert problem.previous is not None
    moved = problem.previous.reshape(2, 4, 3)[:, device].reshape(2, 12)
    assert_same(front, replan_front(msgspec.structs.replace(problem, previous=moved)))
    number = np.argsort(expert)
    renamed = msgspec.structs.replace(
        problem,
        loads_tokens=problem.loads_tokens[..., expert],
        expert_bytes=problem.bytes_of_experts()[:, expert],
        previous=number[problem.previous],
    )
    assert_same(front, replan_front(renamed))


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-40, 2.0**960])
def test_loads_may_be_of_any_size(scale: float) -> None:
    assert_same(replan_front(drifted(0)), replan_front(drifted(0, scale)), scale)


def test_loads_of_all_sizes_at_once() -> None:
    loads = np.array([[1e-300, 1e300, 1.0, 1e-3, 0.0, 1e300, 5.0, 2.0]])
    problem = PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster.uniform(2),
        slots_per_device=4,
        previous=np.array([[1, 5, 0, 2, 3, 4, 6, 7]]),
        expert_bytes=1,
    )
    front = replan_front(problem)
    checked(problem, front)
    assert front.imbalance[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("loads", "devices", "table"),
    [
        (np.ones((1, 4)), 1, [[0, 1, 2, 3]]),
        (np.ones((3, 1)), 4, [[0, 0, 0, 0]] * 3),
        (np.zeros((2, 4)), 2, [[0, 1, 2, 3]] * 2),
        (np.array([[0.0, 0.0], [3.0, 1.0]]), 2, [[0, 1]] * 2),
    ],
    ids=["one device", "one expert", "no tokens", "a layer without tokens"],
)
def test_where_nothing_can_be_gained_the_plan_stays(
    loads: FloatArray, devices: int, table: list[list[int]]
) -> None:
    problem = PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster.uniform(devices),
        slots_per_device=len(table[0]) // devices,
        previous=np.array(table),
        expert_bytes=1,
    )
    front = replan_front(problem)
    assert front.moved_bytes.tolist() == [0]
    assert front.table(0).tolist() == table
    checked(problem, front)
