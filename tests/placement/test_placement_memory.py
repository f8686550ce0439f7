"""Checks of large plans: no array of every expert on every device that is not needed."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from memory_peaks import peak_bytes

from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.describe.cluster import Cluster
from moeopt.placement import PlacementPlan, PlacementProblem, evaluate, violations
from moeopt.placement.relabel import renumbered
from moeopt.placement.replan import outcome, replan_front

LAYERS, EXPERTS, DEVICES, SLOTS = 32, 64, 64, 2


def _problem(**fields: object) -> PlacementProblem:
    loads = np.random.default_rng(0).lognormal(0.0, 1.0, (LAYERS, EXPERTS))
    return PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster.uniform(DEVICES),
        slots_per_device=SLOTS,
        expert_bytes=1,
        max_copies_per_device=1,
        **fields,
    )


def _plan() -> np.ndarray:
    return np.tile(np.arange(SLOTS * DEVICES) % EXPERTS, (LAYERS, 1))


def test_a_valid_plan_is_checked_with_one_table_of_its_copies() -> None:
    problem, plan = _problem(), PlacementPlan(physical_to_logical=_plan())
    copies = 8 * LAYERS * EXPERTS * DEVICES
    assert peak_bytes(lambda: violations(problem, plan)) < 1.5 * copies
    assert violations(problem, plan) == []


def test_moved_bytes_are_counted_pair_by_pair() -> None:
    old = _plan()
    problem = _problem(previous=old)
    new = PlacementPlan(physical_to_logical=np.roll(old, SLOTS, axis=1))
    assert peak_bytes(lambda: evaluate(problem, new)) < 4 * LAYERS * EXPERTS * DEVICES
    copies = [plan.copies(problem) > 0 for plan in (new, PlacementPlan(physical_to_logical=old))]
    assert evaluate(problem, new).moved_bytes == (copies[0] & ~copies[1]).sum() > 0


def test_ranks_are_renumbered_layer_by_layer() -> None:
    old = _plan()
    new = np.roll(old, SLOTS, axis=1)
    held = 8 * DEVICES * max(EXPERTS, DEVICES)
    assert peak_bytes(lambda: renumbered(new, old, DEVICES)) < 8 * held + 2 * old.nbytes
    assert (renumbered(new, old, DEVICES) == old).all()


def test_replanning_ends_at_the_deadline_with_the_layers_that_it_came_to() -> None:
    problem = _problem(previous=_plan())
    calls = 0

    def late() -> bool:
        nonlocal calls
        calls += 1
        return calls > 5

    front = replan_front(problem, late=late)
    changed = (front.table(len(front) - 1) != _plan()).any(axis=1)
    assert 0 < changed.sum() <= 5
    whole = replan_front(problem, fresh=False)
    here = changed.nonzero()[0]
    assert (whole.table(len(whole) - 1)[here] == front.table(len(front) - 1)[here]).all()


@pytest.mark.parametrize("looks", [0, 5, 40, 70])
def test_whenever_the_time_is_up_a_front_says_what_its_plans_are(looks: int) -> None:
    """Layers that were not come to had no heat and moved nothing, new tables of theirs too."""
    problem, seen = _problem(previous=_plan()), itertools.count()
    front = replan_front(problem, late=lambda: next(seen) >= looks)
    for point in (0, len(front) - 1):
        value = evaluate(problem, PlacementPlan(physical_to_logical=front.table(point)))
        assert front.objective[point] == pytest.approx(value.objective)
        assert front.moved_bytes[point] == value.moved_bytes
    assert front.moved_bytes[0] == 0


def test_a_limit_that_does_not_bind_changes_no_plan() -> None:
    problem = _problem(previous=_plan())
    free = replan_front(problem)
    limited = replan_front(problem, late=lambda: False)
    assert (free.objective == limited.objective).all()
    assert (free.table(len(free) - 1) == limited.table(len(limited) - 1)).all()


def test_replan_after_its_time_is_up_keeps_the_plan_in_force() -> None:
    problem = _problem(previous=_plan())
    over = Context(time_limit_s=1.0, started_s=time.perf_counter() - 2.0)
    found = outcome(problem, over, None)
    assert isinstance(found.plan, PlacementPlan)
    assert (found.plan.physical_to_logical == _plan()).all()
    assert found.limit is Limit.TIME
