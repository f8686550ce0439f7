"""The paper's planners as methods: budgets kept, bounds, even splits, periods."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.committee.configurations import stated_space
from moeopt.committee.generate import hub, routed, tables
from moeopt.committee.paper import GIB, MEMORY, TABLE_1, switch_problem
from moeopt.committee.plan import CommitteePlan, evaluate, memory_bytes, violations
from moeopt.committee.planners_paper import even_slots, run_genetic, run_simple
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome

PROBLEMS = [
    routed(layers=2, experts=5, windows=3, loss="masked"),
    routed(layers=3, experts=4, windows=4, drift=0.5, loss="skip", rules="link"),
    routed(layers=3, experts=4, windows=4, rules="price"),
    routed(layers=3, experts=6, rules="unequal"),
    routed(layers=3, experts=6, rules="latency"),
    tables(layers=4, experts=6),
    tables(layers=4, experts=6, periods=3, rules="link"),
    tables(layers=4, experts=6, rules="limits"),
    hub(),
]


def planned(found: Outcome) -> CommitteePlan:
    assert isinstance(found.plan, CommitteePlan)
    return found.plan


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_plans_are_valid_and_not_below_the_bound(problem: CommitteeProblem) -> None:
    costs = []
    for run in (run_genetic, run_simple):
        found = run(problem, Context(seed=1), None)
        plan = planned(found)
        assert violations(problem, plan) == []
        costs.append(evaluate(problem, plan).objective)
        assert found.bound is not None
        assert 0 <= found.bound <= costs[-1]
        assert found.limit is None
    # The even split is one of the configurations among which the search chooses.
    assert costs[0] <= costs[1]
    if problem.loss == "table":
        # The bound is the knapsack's optimum, and so small a problem's the search finds.
        assert costs[0] == pytest.approx(found.bound, rel=1e-9)


def test_the_search_tells_what_it_did() -> None:
    problem = tables(layers=6, experts=12)
    found = run_genetic(problem, Context(), None)
    told = found.statistics
    assert told["history"][-1][1] == evaluate(problem, planned(found)).objective
    assert told["evaluations"] >= told["history"][-1][0]
    assert told["rounds"] > 0
    assert told["runs"] >= 1
    assert run_simple(problem, Context(), None).statistics == {}


def test_a_search_that_is_cut_says_so() -> None:
    problem = tables(layers=6, experts=12, periods=3)
    found = run_genetic(problem, Context(time_limit_s=1e-9), None)
    assert found.limit == Limit.TIME
    assert violations(problem, planned(found)) == []


@pytest.mark.parametrize("row", TABLE_1[1:], ids=lambda row: f"{row.budget_gib}-gib")
def test_the_budgets_of_table_1_are_kept(row: object) -> None:
    """The paper's own plan for 3.5 GiB takes 3.58."""
    budget_gib = row.budget_gib  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    budget = int(budget_gib * GIB)
    importance = rng.lognormal(0.0, 1.0, (1, 12, 16))
    problem = switch_problem(16, budget, importance=importance)
    for run in (run_genetic, run_simple):
        plan = planned(run(problem, Context(time_limit_s=0.2), None))
        assert memory_bytes(problem, plan.slots) <= budget
        # Every further slot is of use, and none is left out.
        assert plan.slots.sum() == min(MEMORY.slots_within(budget), 192)


def test_the_period_is_chosen() -> None:
    """The second period's table is better, but it replaces more than the link carries."""
    falling = np.array([9.0, 5.0, 2.0, 0.0])
    fields = {
        "layers": 2,
        "experts": 3,
        "loss": "table",
        "table": np.array([[falling] * 2, [falling / 2] * 2, [falling + 1] * 2]),
        "budget_bytes": 4,
        "periods": np.array([1, 2, 4]),
    }
    problem = CommitteeProblem(**fields)  # type: ignore[arg-type]
    for run in (run_genetic, run_simple):
        assert planned(run(problem, Context(), None)).period == 2
    swaps = np.zeros((3, 2, 4))
    swaps[1] = np.arange(4)
    problem = CommitteeProblem(**fields, swaps=swaps, link_bytes_per_s=1.0, window_s=1.0)  # type: ignore[arg-type]
    for run in (run_genetic, run_simple):
        plan = planned(run(problem, Context(), None))
        assert (plan.period, int(plan.slots.sum())) == (1, 4)


def test_without_any_plan_there_is_none() -> None:
    problem = CommitteeProblem(
        layers=2,
        experts=2,
        loss="table",
        table=np.array([[2.0, 1.0, 0.0]] * 2),
        swaps=np.array([[0.0, 1.0, 2.0]] * 2),
        budget_bytes=4,
        link_bytes_per_s=1.0,
        window_s=1.0,
    )
    for run in (run_genetic, run_simple):
        assert run(problem, Context(), None).plan is None


def test_even_slots() -> None:
    def even(fewest: list[int], most: list[int], sizes: list[float], room: float) -> list[int]:
        uses = [np.arange(9.0)[None] * size for size in sizes]
        space = stated_space(np.array(fewest), np.array(most), uses, np.array([room]))
        found = even_slots(space)
        assert found is not None
        return found.tolist()

    assert even([0] * 4, [8] * 4, [1.0] * 4, 22) == [6, 6, 5, 5]
    assert even([0] * 4, [8] * 4, [1.0] * 4, 99) == [8] * 4
    # Layers that can have no more leave their share to the others, those that must have more take.
    assert even([0, 0, 5], [8, 2, 8], [1.0] * 3, 15) == [7, 2, 6]
    assert even([1, 0, 5], [8, 2, 8], [1.0] * 3, 6) == [1, 0, 5]
    # Of layers with larger experts too there are as many.
    assert even([0, 0], [8, 8], [1.0, 4.0], 14) == [3, 2]
    nothing = stated_space(
        np.ones(2, dtype=np.int64), np.full(2, 3), [np.arange(4.0)[None]] * 2, np.ones(1)
    )
    assert even_slots(nothing) is None
