"""The exact methods of the buffering wing against brute force, and how they end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from buffering_oracle import brute_force, drawn, problem_of

from moeopt.buffering import exact, exact_solve
from moeopt.buffering.bounds import cold_bound
from moeopt.buffering.clairvoyant import run_clairvoyant
from moeopt.buffering.exact import build, is_flow, refuses_exact, refuses_milp, run_exact, run_milp
from moeopt.buffering.exact_model import compile_model, point_of, schedule_in, schedules_of
from moeopt.buffering.flow import flow_within
from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import plan_of, streams
from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.mip import solve_model

PIN = np.array([[0, 1]])
POOL = {"layers": 2, "experts": 2, "pooled": True}
LAYERS = {"layers": 2, "experts": 3, "expert_bytes": np.array([2, 3]), "budget_bytes": 10}
SIZES = {"cache_bytes": 4, "sizes": True}

#: What `drawn` draws, by name.
KINDS: dict[str, dict[str, Any]] = {
    "misses": {"slots": 2},
    "prices": {"slots": 2, "seconds": True},
    "pin": {"slots": 3, "pinned": PIN, "seconds": True},
    "sizes": {**SIZES, "objective": "miss_bytes"},
    "sizes and a pin": {"cache_bytes": 5, "sizes": True, "seconds": True, "pinned": PIN,
                        "experts": 5, "most": 3},
    "pool": {**POOL, "slots": 3, "seconds": True},
    "any order": {"slots": 2, "any_order": True, "most": 3, "seconds": True},
    "any order in one slot": {"slots": 1, "any_order": True},
    "any order and a pin": {"slots": 3, "any_order": True, "most": 3, "pinned": PIN},
    "any order and sizes": {"cache_bytes": 5, "sizes": True, "any_order": True, "most": 3,
                            "seconds": True},
    "any order in a pool": {**POOL, "cache_bytes": 6, "sizes": True, "any_order": True,
                            "seconds": True},
    "layers": {"layers": 2, "experts": 3, "slots": np.array([1, 2]), "seconds": True},
    "budget": {**LAYERS, "seconds": True},
    "budget and any order": {**LAYERS, "any_order": True, "most": 3, "seconds": True},
    "budget and a cap": {**LAYERS, "serve": "bypass", "loads_per_group": 1, "seconds": True},
    "bypass": {"serve": "bypass", "slots": 2},
    "bypass prices": {"serve": "bypass", "slots": 2, "seconds": True},
    "bypass sizes": {"serve": "bypass", **SIZES, "seconds": True},
    "bypass bytes": {"serve": "bypass", **SIZES, "objective": "miss_bytes"},
    "cap": {"serve": "bypass", "slots": 2, "loads_per_group": 1},
    "cap and sizes": {"serve": "bypass", **SIZES, "loads_per_group": 1, "seconds": True},
    "fill": {"serve": "bypass", "slots": 2, "free_fill": True, "seconds": True},
    "fill of a pool": {**POOL, "serve": "bypass", **SIZES, "free_fill": True, "seconds": True},
    "periods": {"serve": "bypass", "slots": 2, "update_period": 2, "seconds": True},
    "all rules": {"serve": "bypass", "cache_bytes": 5, "sizes": True, "loads_per_group": 1,
                  "free_fill": True, "update_period": 2, "pinned": PIN, "seconds": True},
}  # fmt: skip

#: For each label an instance whose optimum it changes.
BINDING: dict[str, dict[str, Any]] = {
    "C1": KINDS["prices"],
    "C2": KINDS["sizes"],
    "C3": KINDS["prices"],
    "C4": {**KINDS["cap"], "most": 3},
    "C5": {**KINDS["bypass"], "update_period": 3, "most": 3},
    "C6": KINDS["budget"],
    "C7": {"slots": 1, "most": 3},
    "C8": {**KINDS["pin"], "slots": 2},
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("run", [run_exact, run_milp])
def test_optima_are_those_of_brute_force(name: str, run: Any) -> None:
    for seed in range(6):
        problem = drawn(seed, **KINDS[name])
        best = brute_force(problem)
        outcome = run(problem, Context(), None)
        if best is None:
            assert outcome.infeasible, seed
            continue
        assert not violations(problem, outcome.plan), seed
        assert evaluate(problem, outcome.plan).objective == pytest.approx(best.objective), seed
        assert outcome.bound == pytest.approx(best.objective), seed
        assert outcome.limit is None


@pytest.mark.parametrize("name", KINDS)
def test_plain_models_and_points_of_plans_agree_with_brute_force(name: str) -> None:
    for seed in range(3):
        problem = drawn(seed, **KINDS[name])
        best = brute_force(problem)
        if best is None:
            continue
        plain = sum(solve_model(m, "highs").objective or 0.0 for m in build(problem, tighten=False))
        assert plain == pytest.approx(best.objective), seed
        assert best.plan is not None
        parts = streams(problem)
        groups = [parts] if problem.budget_bytes is not None else [(part,) for part in parts]
        value = 0.0
        for group in groups:
            frame = compile_model(problem, group)
            rooms = best.plan.capacity[[part.cache for part in group]]
            x = point_of(frame, [schedule_in(best.plan, part) for part in group], rooms)
            model = frame.builder.build()
            assert not model.violations(x), seed
            value += model.evaluate(x)
        assert value == pytest.approx(best.objective), seed


@pytest.mark.parametrize("label", BINDING)
def test_every_rule_changes_an_optimum_and_is_dropped_alone(label: str) -> None:
    changed = False
    for seed in range(4):
        problem = drawn(seed, **BINDING[label])
        best, without = brute_force(problem), brute_force(problem, ignore=(label,))
        assert without is not None
        models = [model.without(label) if label in model.groups() else model
                  for model in build(problem, tighten=False)]  # fmt: skip
        found = sum(solve_model(model, "highs").objective or 0.0 for model in models)
        assert found == pytest.approx(without.objective), seed
        changed |= best is None or without.objective < best.objective
    assert changed


def test_an_order_of_its_own_finds_what_the_stated_one_does_not() -> None:
    groups = [[0, 1], [0, 1], [0, 1]]
    stated, free = (problem_of(groups, slots=1, any_order=any_order) for any_order in (False, True))
    assert evaluate(stated, run_exact(stated, Context(), None).plan).misses == 6
    plan = run_exact(free, Context(), None).plan
    assert evaluate(free, plan).misses == 4
    assert plan.order is not None


def test_slots_are_those_that_the_budget_serves_best() -> None:
    # The first layer alternates between two experts, the second always asks for one.
    problem = problem_of([[0], [0], [1], [0]] * 3, 2, experts=2, budget_bytes=3)
    outcome = run_exact(problem, Context(), None)
    assert outcome.plan.capacity.tolist() == [2, 1]
    assert outcome.bound == 3


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"slots": 0}, "C2"),
        ({"cache_bytes": 1, "expert_bytes": 2}, "C2"),
        ({"slots": 1, "pinned": PIN}, "C2"),
        ({"budget_bytes": 3, "expert_bytes": 4}, "C6"),
    ],
)
def test_what_cannot_be_served_is_infeasible(fields: dict[str, Any], label: str) -> None:
    problem = problem_of([[0, 1], [2]], **fields)
    for run in (run_exact, run_milp):
        (broken, *_) = run(problem, Context(), None).infeasible
        assert broken.constraint == label
        assert broken.amount > 0


@pytest.mark.parametrize("name", ["prices", "sizes", "any order", "budget and any order", "cap"])
def test_without_time_there_is_a_plan_and_a_bound(name: str) -> None:
    problem = drawn(3, **{**KINDS[name], "steps": 8})
    best = brute_force(problem)
    assert best is not None
    outcome = run_exact(problem, Context(time_limit_s=0.0), best.plan)
    assert outcome.limit is Limit.TIME
    assert evaluate(problem, outcome.plan).objective == pytest.approx(best.objective)
    assert outcome.bound <= best.objective + 1e-9
    alone = run_exact(problem, Context(time_limit_s=0.0), None)
    assert alone.bound <= best.objective + 1e-9
    assert not violations(problem, alone.plan)


def test_a_flow_that_is_stopped_keeps_the_bounds_that_need_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = drawn(3, **{**KINDS["prices"], "steps": 8})
    monkeypatch.setattr(exact, "flow_within", lambda *args: flow_within(*args[:2], lambda: True))
    outcome = run_exact(problem, Context(), None)
    assert outcome.limit is Limit.TIME
    assert outcome.bound >= sum(map(cold_bound, streams(problem))) > 0


@pytest.mark.parametrize("name", ["prices", "sizes", "any order", "budget", "cap and sizes"])
def test_hindsight_without_time_says_so(name: str) -> None:
    problem = drawn(3, **{**KINDS[name], "steps": 8})
    best = brute_force(problem)
    assert best is not None
    outcome = run_clairvoyant(problem, Context(time_limit_s=0.0), None)
    assert outcome.limit is Limit.TIME
    assert not violations(problem, outcome.plan)
    assert outcome.bound <= best.objective + 1e-9
    assert run_clairvoyant(problem, Context(), None).limit is None


def test_a_wrong_start_is_left_out() -> None:
    problem = drawn(1, **KINDS["sizes"])
    wrong = run_exact(drawn(2, **KINDS["sizes"]), Context(), None).plan
    assert violations(problem, wrong)
    best = brute_force(problem)
    assert best is not None
    assert run_exact(problem, Context(), wrong).bound == pytest.approx(best.objective)


def test_large_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "MOST_ENTRIES", 10)
    flow, sizes, mixed = (
        drawn(0, steps=20, **KINDS[name]) for name in ("prices", "sizes", "cap and sizes")
    )
    assert refuses_exact(flow) is None
    for problem in (sizes, mixed):
        assert "more than 10 entries" in (refuses_exact(problem) or "")
    assert refuses_milp(flow) is not None
    with pytest.raises(InstanceError, match="at most 10 entries"):
        build(flow)


def test_caches_are_flows_where_what_is_asked_for_is_of_one_size() -> None:
    sizes = np.array([[2, 2, 9]])
    problem = problem_of([[0], [1], [0]], experts=3, expert_bytes=sizes, cache_bytes=5)
    assert is_flow(*streams(problem))
    assert evaluate(problem, run_exact(problem, Context(), None).plan).misses == 2
    # The pinned one takes room, though not that of one of theirs.
    pinned = problem_of(
        [[0], [1], [0]], experts=3, expert_bytes=sizes, cache_bytes=12, pinned=np.array([[0, 2]])
    )
    assert exact.slots_of(*streams(pinned)) == 2
    assert evaluate(pinned, run_exact(pinned, Context(), None).plan).misses == 3
    unequal = problem_of([[0], [2]], experts=3, expert_bytes=sizes, cache_bytes=12)
    assert not is_flow(*streams(unequal))


def test_what_a_tolerance_lets_through_is_forbidden() -> None:
    # Each of two fits beside what runs, both exceed the room by one byte in two million.
    size = np.array([[1_000_003, 999_998, 2]])
    problem = problem_of(
        [[0], [1], [2], [0], [1]], experts=3, expert_bytes=size, cache_bytes=2_000_002
    )
    (part,) = streams(problem)
    frame = compile_model(problem, [part])
    model = frame.builder.build()
    both = np.ones(model.num_columns)
    assert not model.violations(both)
    assert not exact_solve._holds(model, both)
    assert exact_solve._forbid(frame, model, both)
    assert frame.builder.build().violations(both)
    best = brute_force(problem)
    assert best is not None
    outcome = run_exact(problem, Context(), None)
    assert evaluate(problem, outcome.plan).objective == best.objective
    assert outcome.bound == best.objective


def test_large_items_take_no_optimum_away() -> None:
    cuts = 0
    for seed in range(6):
        problem = drawn(seed, experts=5, steps=8, cache_bytes=5, sizes=True, seconds=True)
        (part,) = streams(problem)
        frame = compile_model(problem, [part])
        model = frame.builder.build()
        cuts += int((model.row_group == "V1").sum())
        answer = solve_model(model, "highs")
        assert answer.x is not None
        without = model.without("V1") if "V1" in model.groups() else model
        assert solve_model(without, "highs").objective == pytest.approx(answer.objective)
        plan = plan_of(problem, (part,), np.array([5]), schedules_of(frame, answer.x))
        assert evaluate(problem, plan).objective == pytest.approx(answer.objective)
    assert cuts > 0


def test_a_stream_without_references_costs_nothing() -> None:
    sizes = {"cache_bytes": 3, "expert_bytes": np.array([[1, 2]])}
    for fields in ({"slots": 0}, sizes, {**sizes, "serve": "bypass"}):
        problem = problem_of([[], []], experts=2, **fields)
        for run in (run_exact, run_milp):
            outcome = run(problem, Context(), None)
            assert outcome.bound == 0
            assert not violations(problem, outcome.plan)


def test_each_cache_gets_its_part_of_the_time() -> None:
    context = Context(time_limit_s=8.0)
    part = exact._turn(replace(context, started_s=context.started_s), 4)
    assert part.time_limit_s is not None
    assert part.time_limit_s <= 8.0 / 4 + 1.0
    assert exact._turn(Context(), 3).time_limit_s is None


def test_prices_of_references_are_made_once_for_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = drawn(0, **KINDS["layers"])
    made, prices = [], BufferingProblem.miss_prices
    monkeypatch.setattr(
        BufferingProblem, "miss_prices", lambda self: made.append(1) or prices(self)
    )
    assert len(streams(problem)) == 2
    assert len(made) == 1
