"""Methods on problems that show what they do, the package's names, and plain arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from committee_oracle import brute_force, drawn, problem_of

import moeopt
from moeopt import committee
from moeopt.committee import CommitteeProblem, NoCommitteeError, seat
from moeopt.committee.generate import alternating, hub, routed, tables
from moeopt.committee.methods import METHODS
from moeopt.committee.plan import evaluate
from moeopt.committee.planners import auto
from moeopt.core.errors import BackendError, InstanceError
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome

KINDS: dict[str, dict[str, Any]] = {
    "additive": {"load_price": 1.0},
    "masked": {"loss": "masked", "load_price": 1.0},
    "skip": {"loss": "skip", "top_k": 2},
    "table": {"loss": "table"},
    "link": {"link_bytes_per_s": 1.0, "window_s": 1.0, "periods": [1, 2]},
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_auto_is_proven_optimal_on_small_problems(kind: dict[str, Any]) -> None:
    for seed in range(6):
        problem = drawn(seed, **kind)
        known = brute_force(problem)
        assert known is not None
        found = moeopt.solve(problem)
        assert found.status is moeopt.Status.OPTIMAL
        assert found.objective == pytest.approx(known.objective, abs=1e-6)


def test_auto_goes_on_where_its_first_method_fails() -> None:
    def failing(*arguments: object) -> Outcome:
        raise BackendError("highs", "it died", "try another backend")

    problem = drawn(0, **KINDS["table"])
    methods = {method.name: method for method in METHODS}
    run = auto({**methods, "knapsack": replace(methods["knapsack"], run=failing)})
    found = run(problem, Context(), None)
    assert found.plan is not None
    assert evaluate(problem, found.plan).objective == pytest.approx(found.bound)


def test_every_method_gives_a_plan_and_a_bound() -> None:
    problem = routed(windows=4, drift=0.3, rules="price")
    best = moeopt.solve(problem, "exact").objective
    assert best is not None
    for method in METHODS:
        found = moeopt.solve(problem, method.name)
        assert found.objective is not None
        assert found.bound is not None
        assert found.bound <= best * (1 + 1e-9) <= found.objective * (1 + 2e-9)


def test_a_table_names_no_experts() -> None:
    for name in ("flow_curves", "lazy_greedy", "top_importance", "last_window", "rent_or_buy"):
        with pytest.raises(InstanceError, match="does not say which experts"):
            moeopt.solve(tables(), name)


def test_limits_that_no_slots_keep_together_are_proven() -> None:
    # One slot replaces too many experts for the link, two are too slow.
    problem = drawn(
        0, layers=1, loss="table", experts=2, latency_s=1.0, slot_s=1.0, min_slots=1,
        link_bytes_per_s=1.0, window_s=0.5,
    )  # fmt: skip
    swaps = np.array([[0.0, 1.0, 0.0]])
    problem = type(problem)(
        layers=1, experts=2, loss="table", table=np.zeros((1, 3)), swaps=swaps, latency_s=1.0,
        slot_s=1.0, min_slots=1, link_bytes_per_s=1.0, window_s=0.5, budget_bytes=4,
    )  # fmt: skip
    assert moeopt.solve(problem).status is moeopt.Status.INFEASIBLE
    assert moeopt.solve(problem, "knapsack").status is moeopt.Status.NO_PLAN_FOUND


def test_the_checkers_slack_is_the_planners_too() -> None:
    # One slot replaces 5 bytes in 10 billion more than the link carries: a slack of 1e-9 allows it.
    problem = CommitteeProblem(
        experts=1, loss="table", table=[[5.0, 0.0]], swaps=[[0, 1.0]], expert_bytes=10**10 + 5,
        budget_bytes=10**11, min_slots=0, link_bytes_per_s=1e10, window_s=1.0,
    )  # fmt: skip
    for method in ("auto", "knapsack", "greedy", "exact"):
        assert moeopt.solve(problem, method).objective == 0.0


@pytest.mark.filterwarnings("error")
def test_huge_numbers_overflow_nowhere() -> None:
    rng = np.random.default_rng(0)
    problem = CommitteeProblem(
        layers=2, experts=3, importance=1e300 * rng.random((3, 2, 3)), expert_bytes=[1, 10**12],
        budget_bytes=10**12, min_slots=0, link_bytes_per_s=2.0, window_s=1.0,
    )  # fmt: skip
    wide = msgspec.structs.replace(problem, link_bytes_per_s=1.797e308, load_price=1.0)
    for stated in (problem, wide):
        for method in ("auto", "flow_curves", "knapsack"):
            assert moeopt.solve(stated, method).plan is not None


def test_the_hub_stays_where_members_are_chosen_together() -> None:
    problem = hub()
    value = {m: moeopt.solve(problem, m).objective for m in ("top_importance", "lazy_greedy")}
    assert value["lazy_greedy"] == pytest.approx(7 * 1e-3)
    assert value["top_importance"] == pytest.approx(6.0)


def test_hindsight_keeps_one_of_two_in_turn_and_the_papers_rule_swaps_them() -> None:
    problem = alternating()
    assert moeopt.solve(problem, "flow_curves").objective == pytest.approx(300.0)
    paper = moeopt.solve(problem, "last_window").objective
    ours = moeopt.solve(problem, "rent_or_buy").objective
    assert paper is not None
    assert ours is not None
    assert paper > 100 * ours


def test_periods_are_all_tried() -> None:
    # Two windows a period, the link carries one of the two experts in each window.
    problem = problem_of(
        [[5, 5, 0, 0], [5, 5, 0, 0], [0, 0, 5, 5], [0, 0, 5, 5]], budget_bytes=2,
        link_bytes_per_s=1.0, window_s=1.0, periods=[1, 2],
    )  # fmt: skip
    found = moeopt.solve(problem, "flow_curves")
    assert found.plan.period == 2
    assert found.objective == pytest.approx(0.0)


def test_without_time_there_is_a_plan_and_a_bound() -> None:
    problem = routed(layers=4, experts=64, windows=64, tokens=64, drift=0.2, rules="link")
    found = moeopt.solve(problem, time_limit_s=1e-3)
    assert found.plan is not None
    assert found.bound is not None


def test_a_committee_that_moves_is_no_worse_than_one_that_stays() -> None:
    for rules in ("link", "price"):
        problem = routed(layers=4, experts=32, windows=32, tokens=64, drift=0.2, rules=rules)
        stays = moeopt.solve(problem, "knapsack", time_limit_s=1e-3).objective
        moves = moeopt.solve(problem, "flow_curves", time_limit_s=1e-3)
        assert stays is not None
        assert moves.objective is not None
        assert moves.objective <= stays
        assert moves.limit is moeopt.Limit.TIME


def test_auto_keeps_a_better_start_and_tells_what_stopped_it() -> None:
    problem = routed(layers=4, experts=32, windows=32, tokens=64, drift=0.2, rules="price")
    start = moeopt.solve(problem, "flow_curves")
    assert start.objective is not None
    found = moeopt.solve(problem, time_limit_s=1e-3, warm_start=start.plan)
    assert found.objective is not None
    assert found.objective <= start.objective
    assert found.limit is moeopt.Limit.TIME


def test_a_period_whose_slots_were_not_found_is_not_ruled_out() -> None:
    # With a period of 1 the link carries one slot's swaps, not two; two slots swap nobody.
    problem = committee.CommitteeProblem(
        layers=2, experts=2, loss="table", table=[[[9, 8, 0]] * 2, [[9, 8, 5]] * 2],
        swaps=[[[0, 1, 0]] * 2, [[0, 0, 0]] * 2], periods=[1, 2], min_slots=1, budget_bytes=4,
        link_bytes_per_s=1.5, window_s=1.0,
    )  # fmt: skip
    assert moeopt.solve(problem, "knapsack").objective == 0.0
    merged = moeopt.solve(problem, "greedy")
    assert merged.objective == 10.0
    assert merged.bound == 0.0


def test_arrays_in_and_out() -> None:
    table = np.array([[[5.0, 4.0, 1.0], [3.0, 2.0, 2.0]], [[0.0, 4.0, 9.0], [3.0, 2.0, 2.0]]])
    found = seat(table, budget_bytes=3, load_price=1.0)
    assert found.resident.shape == (2, 2, 3)
    assert found.resident.sum(axis=2).max(axis=0).tolist() == found.slots.tolist()
    assert found.gap == pytest.approx(0.0)
    assert found.objective == evaluate(found.problem, found.plan).objective
    tokens = np.random.default_rng(0).random((20, 2, 4))
    masked = seat(tokens, budget_bytes=4, loss="masked", top_k=2)
    skipped = seat(tokens, budget_bytes=4, loss="skip", top_k=2)
    assert masked.objective < skipped.objective


@pytest.mark.parametrize(
    ("values", "fields", "said"),
    [
        ([1.0, 2.0], {}, "must have shape"),
        ([[1.0, 2.0]], {"loss": "masked"}, "must have shape"),
        ([[1.0, 2.0]], {"loss": "table"}, "state a CommitteeProblem"),
        ([[1.0, 2.0]], {"router": 3}, "router"),
        ([[1.0, -2.0]], {}, "importance"),
        ([[1.0, 2.0]], {"loss": "nonsense"}, "loss"),
    ],
)
def test_bad_arrays_are_told(values: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        seat(values, budget_bytes=2, **fields)


def test_no_committee_is_told() -> None:
    with pytest.raises(NoCommitteeError, match="C1"):
        seat([[1.0, 2.0]], budget_bytes=1, min_slots=2)


def test_public_names_load_on_first_use() -> None:
    for name in committee.__all__:
        assert getattr(committee, name) is not None
    assert set(committee.__all__) <= set(dir(committee))
    with pytest.raises(AttributeError, match="nonsense"):
        committee.nonsense  # noqa: B018
