"""The exact method of the committee wing against brute force, and how it ends."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from committee_oracle import brute_force, drawn, problem_of

from moeopt.committee import exact, exact_solve
from moeopt.committee.exact import build, refuses_exact, relaxation, run_exact
from moeopt.committee.exact_model import compile_tight, of_period, periods_of, plan_of, point_of
from moeopt.committee.exact_rounding import rounded
from moeopt.committee.plan import CommitteePlan, evaluate, violations
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.mip import solve_model

LINK = {"link_bytes_per_s": 1.0, "window_s": 1.0}
SIZES = {"expert_bytes": np.array([2, 3]), "budget_bytes": 9}
SLOW = {"slot_s": np.array([0.5, 0.25]), "base_s": 1.0, "latency_s": 1.75, "budget_bytes": 6}
TWO = np.array([1, 2])

#: What `drawn` draws, by name.
KINDS: dict[str, dict[str, Any]] = {
    "free loads": {},
    "one window": {"windows": 1},
    "prices": {"load_price": 2.0},
    "paid fill": {"load_price": np.array([1.0, 3.0]), "free_fill": False},
    "sizes": {**SIZES, "activation_bytes": 1, "fixed_bytes": 5, "staging_slots": 1,
              "budget_bytes": 22},
    "latency": SLOW,
    "slots": {"min_slots": np.array([0, 2]), "max_slots": np.array([1, 3])},
    "link": LINK,
    "link and paid fill": {**LINK, "free_fill": False, "load_price": 1.0},
    "link and sizes": {**SIZES, "link_bytes_per_s": 2.0, "window_s": 1.5},
    "periods": {"periods": np.array([2, 3]), "windows": 5, "load_price": 1.0},
    "periods and link": {**LINK, "periods": np.array([3, 1, 2]), "windows": 4, "load_price": 0.5},
    "skip": {"loss": "skip", "top_k": 2},
    "skip and prices": {"loss": "skip", "load_price": 1.0, "periods": np.array([2])},
    "masked": {"loss": "masked"},
    "masked, two for a token": {"loss": "masked", "top_k": 2, "experts": 4},
    "masked and prices": {"loss": "masked", "load_price": 2.0, "experts": 4},
    "masked and link": {"loss": "masked", **LINK, "periods": TWO, "windows": 4, "top_k": 2,
                        "free_fill": False},
    "table": {"loss": "table"},
    "tables and link": {"loss": "table", "periods": np.array([4, 1, 2]), "link_bytes_per_s": 0.5,
                        "window_s": 1.0},
    "tables and all": {"loss": "table", "periods": TWO, **SIZES, "link_bytes_per_s": 1.5,
                       "window_s": 1.0, "slot_s": 0.25, "latency_s": 1.0},
}  # fmt: skip

#: For each label an instance whose optimum it changes.
BINDING: dict[str, dict[str, Any]] = {
    "C1": KINDS["sizes"],
    "C2": SLOW,
    "C3": KINDS["link and paid fill"],
    "C4": {**KINDS["slots"], "loss": "skip"},
    "C5": KINDS["prices"],
    "C6": KINDS["periods"],
    "C7": KINDS["periods"],
}

#: Rules of which each is stated alone, and the same problem without it.
CUT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "memory": ({**SIZES, "experts": 4}, {"budget_bytes": 100}),
    "latency": ({**SLOW, "loss": "masked"}, {"latency_s": None}),
    "link": (KINDS["link and paid fill"], {"link_bytes_per_s": 4.0}),
    "link of a table": (
        {"loss": "table", "budget_bytes": 6, "link_bytes_per_s": 2.0, "window_s": 1.0},
        {"link_bytes_per_s": 100.0},
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_optima_are_those_of_brute_force(name: str) -> None:
    for seed in range(5):
        problem = drawn(seed, **KINDS[name])
        best = brute_force(problem)
        assert best is not None
        outcome = run_exact(problem, Context(), None)
        assert not violations(problem, outcome.plan), seed
        assert evaluate(problem, outcome.plan).objective == pytest.approx(best.objective), seed
        assert outcome.bound == pytest.approx(best.objective), seed
        assert outcome.limit is None
        assert relaxation(problem, Context()) <= best.objective + 1e-6


@pytest.mark.parametrize("name", KINDS)
def test_both_forms_and_points_of_plans_agree_with_brute_force(name: str) -> None:
    for seed in range(3):
        problem = drawn(seed, **KINDS[name])
        best = brute_force(problem)
        assert best is not None
        assert best.plan is not None
        (plain,) = build(problem, tighten=False)
        assert solve_model(plain, "highs").objective == pytest.approx(best.objective), seed
        values = []
        for period in periods_of(problem):
            frame = compile_tight(problem, period)
            model = frame.builder.build()
            answer = solve_model(model, "highs")
            if answer.x is None:
                continue
            values.append(answer.objective)
            plans = (plan_of(frame, answer.x), of_period(problem, best.plan, period))
            for plan in filter(None, plans):
                assert not violations(problem, plan), seed
                x = point_of(frame, plan)
                assert not model.violations(x), seed
                assert model.evaluate(x) == pytest.approx(evaluate(problem, plan).objective)
        assert min(values) == pytest.approx(best.objective), seed


@pytest.mark.parametrize("label", BINDING)
def test_every_rule_changes_an_optimum_and_is_dropped_alone(label: str) -> None:
    changed = False
    for seed in range(4):
        problem = drawn(seed, **BINDING[label])
        best, without = brute_force(problem), brute_force(problem, ignore=(label,))
        assert best is not None
        assert without is not None
        (model,) = build(problem, tighten=False)
        found = solve_model(model.without(label), "highs")
        assert found.objective == pytest.approx(without.objective), seed
        changed |= without.objective < best.objective
    assert changed


@pytest.mark.parametrize("name", CUT)
def test_what_a_tolerance_lets_through_is_forbidden_and_nothing_else(name: str) -> None:
    fields, loose = CUT[name]
    cuts = 0
    for seed in range(1 if name == "link" else 2):
        problem = drawn(seed, **fields)
        best = brute_force(problem)
        assert best is not None
        free = msgspec.structs.replace(problem, **loose)
        frame = replace(compile_tight(free, 1), problem=problem)
        for _ in range(200):
            answer = solve_model(frame.builder.build(), "highs")
            assert answer.x is not None
            if not exact_solve.forbid(frame, plan_of(frame, answer.x)):
                break
            cuts += 1
        assert answer.objective == pytest.approx(best.objective), seed
    assert cuts > 0


def test_what_is_rounded_is_a_plan() -> None:
    between = 0
    kinds = ("sizes", "latency", "link and sizes", "masked and link")
    for name, seed in itertools.product(kinds, range(6)):
        problem = drawn(seed, **KINDS[name])
        for period in periods_of(problem):
            frame = compile_tight(problem, period)
            model = frame.builder.build()
            answer = solve_model(model.relaxed(), "highs")
            assert answer.x is not None
            between += bool((answer.x % 1.0 != 0.0).any())
            near = rounded(frame, answer.x)
            assert near is not None
            assert not violations(problem, near), seed
            assert evaluate(problem, near).objective >= answer.objective - 1e-9
    assert between > 0
    table = drawn(0, loss="table")
    assert rounded(compile_tight(table, 1), np.zeros(8)) is None


def test_a_rule_that_is_broken_within_a_solvers_tolerance_is_kept() -> None:
    # One slot of each layer is too slow by less than a solver sees.
    problem = problem_of(
        [[[2.0, 1.0], [3.0, 0.0]]], budget_bytes=4, slot_s=0.50000002, latency_s=1.0
    )
    outcome = run_exact(problem, Context(), None)
    assert not violations(problem, outcome.plan)
    assert outcome.plan.slots.sum() == 1
    assert outcome.bound == evaluate(problem, outcome.plan).objective == 3.0


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"min_slots": 2, "budget_bytes": 3}, "C1"),
        ({"min_slots": 2, "budget_bytes": 9, "slot_s": 1.0, "latency_s": 3.5}, "C2"),
    ],
)
def test_what_cannot_be_met_is_infeasible(fields: dict[str, Any], label: str) -> None:
    problem = drawn(0, **fields)
    (broken, *_) = run_exact(problem, Context(), None).infeasible
    assert broken.constraint == label
    assert broken.amount > 0


def test_a_link_too_slow_for_all_slots_that_fit_is_infeasible_by_so_much() -> None:
    # Two slots of a layer replace nobody, but there is room for three in all.
    swaps = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    problem = CommitteeProblem(
        layers=2, experts=2, loss="table", table=np.zeros((2, 3)), swaps=swaps, min_slots=1,
        expert_bytes=4, budget_bytes=12, link_bytes_per_s=1.5, window_s=1.0, periods=TWO,
    )  # fmt: skip
    (broken,) = run_exact(problem, Context(), None).infeasible
    assert broken.constraint == "C3"
    assert broken.amount == pytest.approx(1.0)
    assert relaxation(problem, Context()) in (0.0, np.inf)
    wider = msgspec.structs.replace(problem, budget_bytes=16)
    assert run_exact(wider, Context(), None).plan.slots.tolist() == [2, 2]


@pytest.mark.parametrize("name", ["prices", "link", "masked and link", "skip", "tables and all"])
def test_without_time_there_is_a_plan_and_a_bound(name: str) -> None:
    problem = drawn(3, **KINDS[name])
    best = brute_force(problem)
    assert best is not None
    outcome = run_exact(problem, Context(time_limit_s=0.0), best.plan)
    assert outcome.limit is Limit.TIME
    assert evaluate(problem, outcome.plan).objective == pytest.approx(best.objective)
    assert 0 <= outcome.bound <= best.objective + 1e-9
    alone = run_exact(problem, Context(time_limit_s=0.0), None)
    assert alone.plan is None or not violations(problem, alone.plan)
    assert 0 <= alone.bound <= best.objective + 1e-9
    assert relaxation(problem, Context(time_limit_s=0.0)) == 0.0


def test_where_no_model_can_be_built_all_time_is_for_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, given = drawn(3, **KINDS["masked and link"]), []

    def bound_of(_: Any, out_of_time: Any) -> float:
        given.append(out_of_time.__self__.time_limit_s)
        return 1.0

    monkeypatch.setattr(exact, "bound_of", bound_of)
    for models, part in ((False, 60.0), (True, 12.0)):
        for module in (exact, exact_solve):
            monkeypatch.setattr(module, "buildable", lambda *_, models=models: models)
        outcome = run_exact(problem, Context(time_limit_s=60.0), None)
        assert given.pop() == pytest.approx(part)
        assert (outcome.limit is Limit.TIME) is not models
        assert outcome.bound >= 1.0


def test_a_wrong_start_is_left_out_and_one_of_another_period_is_used() -> None:
    problem = drawn(1, **KINDS["periods and link"])
    best = brute_force(problem)
    assert best is not None
    assert best.plan is not None
    wrong = msgspec.structs.replace(best.plan, slots=best.plan.slots + 9)
    assert violations(problem, wrong)
    assert run_exact(problem, Context(), wrong).bound == pytest.approx(best.objective)
    stays = problem_of([[2.0, 1.0], [3.0, 1.0]], periods=TWO, **LINK)
    plan = run_exact(stays, Context(), None).plan
    other = of_period(stays, plan, 3 - plan.period)
    assert other is not None
    assert other.period == 3 - plan.period
    with_updates = problem_of([[0.0, 2.0], [3.0, 1.0]], periods=TWO, **LINK)
    moves = run_exact(with_updates, Context(), None).plan
    assert moves.loads[:, 0].tolist() == [0, 1]
    assert of_period(with_updates, moves, 2) is None


def test_multiples_of_a_period_need_no_model_unless_a_link_makes_them_different() -> None:
    stated = np.array([6, 4, 2, 3])
    problem = drawn(0, periods=stated, windows=7)
    assert periods_of(problem) == [3, 2]
    assert len(build(problem)) == 2
    assert periods_of(drawn(0, periods=stated, windows=7, **LINK)) == [6, 4, 3, 2]
    assert periods_of(drawn(0, periods=stated, loss="table")) == [6, 4, 3, 2]


def test_of_periods_with_a_single_update_one_is_enough() -> None:
    stated = np.array([5, 3, 2, 4])
    for fields, kept in (({}, [2]), (LINK, [5, 2])):
        problem = drawn(0, periods=stated, windows=3, load_price=1.0, free_fill=False, **fields)
        assert periods_of(problem) == kept
        best = brute_force(problem)
        assert best is not None
        assert run_exact(problem, Context(), None).bound == pytest.approx(best.objective)
    assert periods_of(drawn(0, periods=stated[:2], windows=3)) == [3]
    assert periods_of(drawn(0, periods=stated[:2], windows=3, **LINK)) == [5]


def test_a_link_of_any_rate_is_no_limit() -> None:
    rate = {"link_bytes_per_s": np.finfo(float).max, "window_s": 1.0}
    for fields in ({"load_price": 1.0}, {"loss": "table"}):
        best = brute_force(drawn(0, **fields))
        assert best is not None
        problem = drawn(0, **fields, **rate)
        assert run_exact(problem, Context(), None).bound == pytest.approx(best.objective)
        (plain,) = build(problem, tighten=False)
        assert solve_model(plain, "highs").objective == pytest.approx(best.objective)


def test_loads_have_columns_where_they_matter() -> None:
    free, priced = drawn(0), drawn(0, load_price=1.0)
    idle = drawn(0, link_bytes_per_s=6.0, window_s=1.0)
    busy = drawn(0, link_bytes_per_s=5.0, window_s=1.0)
    counts = [build(problem)[0].num_columns for problem in (free, idle, priced, busy)]
    cells = 3 * 2 * 3
    assert counts == [2 + cells, 2 + cells, 2 + cells + 12, 2 + cells + 12]


def test_large_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "MOST_ENTRIES", 10)
    for name in ("prices", "masked", "table"):
        assert "more than 10 entries" in (refuses_exact(drawn(0, **KINDS[name])) or "")
    assert "fewer tokens" in (refuses_exact(drawn(0, loss="masked")) or "")
    with pytest.raises(InstanceError, match="at most 10 entries"):
        build(drawn(0))


@pytest.mark.parametrize("name", KINDS)
def test_estimates_are_no_smaller_than_models(name: str) -> None:
    for seed in range(3):
        problem = drawn(seed, **KINDS[name])
        for period in periods_of(problem):
            model = compile_tight(problem, period).builder.build()
            coupling = int(np.isin(model.row_group, ("C1", "C2")).sum()) * problem.layers
            rows = int((model.row_group == "C5").sum())
            assert model.A.nnz - coupling - rows <= exact_solve.entries_of(problem, period)


def test_each_period_gets_its_part_of_the_time() -> None:
    part = exact._turn(Context(time_limit_s=8.0), 4)
    assert part.time_limit_s is not None
    assert part.time_limit_s <= 8.0 / 4 + 1.0
    assert exact._turn(Context(), 3).time_limit_s is None


def test_small_costs_are_proven_beside_large_ones() -> None:
    """A solver proves 3e-6 beside 300 to no less than 0; the knapsack over the table is exact."""
    problem = CommitteeProblem(
        layers=2,
        experts=1,
        loss="table",
        table=np.array([[300.0, 1e-6], [2e-6, 200.0]]),
        min_slots=0,
        budget_bytes=2,
    )
    found = run_exact(problem, Context(), None)
    assert isinstance(found.plan, CommitteePlan)
    assert evaluate(problem, found.plan).objective == pytest.approx(3e-6)
    assert found.bound == pytest.approx(3e-6)


def test_a_plan_within_the_stated_gap_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    # A fractional relaxation, near enough to the best plan for the gap.
    problem = drawn(1, **SIZES, windows=1)
    best = brute_force(problem)
    assert best is not None
    asked: list[bool] = []
    ask = exact_solve.ask

    def asking(model: Any, *args: Any) -> Any:
        asked.append(bool(model.integrality.any()))
        return ask(model, *args)

    monkeypatch.setattr(exact_solve, "ask", asking)
    run_exact(problem, Context(gap=0.9), best.plan)
    assert asked == [False]
