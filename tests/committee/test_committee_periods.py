"""Update periods: tables by hand and by the scheduler, the paper's sweep, the choice by loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moeopt.committee import _kernels_follow as kernels
from moeopt.committee import periods
from moeopt.committee.online import schedule
from moeopt.committee.periods import best_period, sweep_periods, tables
from moeopt.committee.plan import CommitteePlan, evaluate, violations
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.errors import InstanceError


def stated(count: int = 37, seed: int = 0, **fields: Any) -> CommitteeProblem:
    rng = np.random.default_rng(seed)
    importance = np.round(rng.gamma(0.5, 1.0, (count, 2, 6)), 1)
    given: dict[str, Any] = {"layers": 2, "experts": 6, "budget_bytes": 12, "min_slots": 0}
    return CommitteeProblem(importance=importance, **(given | fields))


@pytest.mark.parametrize("rule", ["paper", "rent_or_buy"])
@pytest.mark.parametrize(
    "fields",
    [{}, {"load_price": [0.3, 2.0]}, {"free_fill": False}, {"load_price": 1.0, "free_fill": False}],
)
def test_tables_say_what_the_scheduler_does(rule: str, fields: dict[str, Any]) -> None:
    problem = stated(periods=[1, 4], **fields)
    price = problem.by_layer(problem.load_price)
    table, swaps = tables(problem, rule=rule)
    assert table.shape == swaps.shape == (2, 2, 7)
    for p, period in enumerate((1, 4)):
        for k in range(7):
            plan = schedule(problem, [k, k], rule, period=period)
            value = evaluate(problem, plan)
            paid = value.loss_by_layer + price * value.loads_by_layer
            assert table[p, :, k] == pytest.approx(paid)
            later = plan.loads[plan.loads[:, 0] > 0, 1]
            updates = -(-37 // period) - 1
            assert swaps[p, :, k] == pytest.approx(np.bincount(later, minlength=2) / updates)


def test_tables_under_masked_gating() -> None:
    router = np.random.default_rng(3).random((20, 2, 5))
    problem = CommitteeProblem(
        layers=2, experts=5, loss="masked", router=router, window_starts=[0, 3, 8, 12, 17],
        top_k=2, budget_bytes=10,
    )  # fmt: skip
    history = router.sum(axis=0)
    table, _ = tables(problem, [2], history=history)
    period_two = CommitteeProblem(
        layers=2, experts=5, loss="masked", router=router, window_starts=[0, 3, 8, 12, 17],
        top_k=2, budget_bytes=10, periods=[2],
    )  # fmt: skip
    for k in range(6):
        plan = schedule(period_two, [k, k], "paper", history=history)
        assert table[0, :, k] == pytest.approx(evaluate(period_two, plan).loss_by_layer)


def test_tables_are_a_problem_for_planners() -> None:
    problem = stated()
    table, swaps = tables(problem, [1, 2, 8])
    planned = CommitteeProblem(
        layers=2, experts=6, loss="table", table=table, swaps=swaps, periods=[1, 2, 8],
        link_bytes_per_s=1.0, window_s=0.5, budget_bytes=8, min_slots=0,
    )  # fmt: skip
    none = np.zeros((0, 3), dtype=np.int64)
    plans = [
        CommitteePlan(period=p, slots=np.array([3, 3]), loads=none, drops=none) for p in (1, 2, 8)
    ]
    assert [bool(violations(planned, plan)) for plan in plans] == [True, True, False]
    assert evaluate(planned, plans[2]).objective == pytest.approx(table[2, :, 3].sum())


def test_one_window_has_no_swaps() -> None:
    table, swaps = tables(stated(1), [1])
    assert not swaps.any()
    assert table[0, :, 6].tolist() == [0, 0]


@pytest.fixture
def exchanging() -> CommitteeProblem:
    """Two experts in turn, four windows each: every period up to four exchanges one a turn."""
    importance = np.zeros((32, 1, 2))
    turn = np.arange(32) // 4 % 2
    importance[np.arange(32), 0, turn] = 1.0
    return CommitteeProblem(
        experts=2, importance=importance, periods=[1, 2, 4, 8, 16], expert_bytes=10,
        link_bytes_per_s=4.0, window_s=1.0, budget_bytes=20,
    )  # fmt: skip


def test_the_sweep_stops_where_updates_block(exchanging: CommitteeProblem) -> None:
    """Ten bytes take the link 2.5 windows: half a window too long for a period of two."""
    found = sweep_periods(exchanging, [1])
    assert found.period == 4
    assert [one.period for one in found.tried] == [16, 8, 4, 2]
    assert [one.stall_s for one in found.tried] == pytest.approx([0, 0, 0, 7 * 0.5 / 32])
    four = found.tried[2]
    # Each update of four windows brings in who was there in the four before.
    assert four.objective == 28
    assert (four.mean_swap_bytes, four.peak_swap_bytes) == (pytest.approx(60 / 7), 10)
    # If an eighth of a window may be waited for, the period may be two, not one.
    assert sweep_periods(exchanging, [1], grows=0.125).period == 2


def test_a_link_too_slow_for_any_period(exchanging: CommitteeProblem) -> None:
    slow = CommitteeProblem(
        experts=2, importance=exchanging.importance, periods=[1, 2], expert_bytes=10,
        link_bytes_per_s=1.0, window_s=1.0, budget_bytes=20,
    )  # fmt: skip
    found = sweep_periods(slow, [1])
    assert found.period == 2
    assert len(found.tried) == 1
    assert found.tried[0].stall_s > 0


def test_the_period_of_least_loss_is_within_the_link(exchanging: CommitteeProblem) -> None:
    for rule in ("paper", "rent_or_buy"):
        found = best_period(exchanging, [1], rule)
        assert [one.period for one in found.tried] == [16, 8, 4, 2, 1]
        assert found.period == min(found.tried, key=lambda one: one.objective).period
        for one in found.tried:
            assert one.peak_swap_bytes <= 4.0 * one.period
            assert one.mean_swap_bytes <= one.peak_swap_bytes
    # With no more than four bytes a window, nothing of ten bytes is loaded at periods 1 and 2.
    assert {one.peak_swap_bytes for one in found.tried[3:]} == {0}


def test_a_single_update_exchanges_nothing(exchanging: CommitteeProblem) -> None:
    short = CommitteeProblem(
        experts=2, importance=np.ones((2, 1, 2)), periods=[4], budget_bytes=2,
        link_bytes_per_s=1.0, window_s=1.0,
    )  # fmt: skip
    for found in (best_period(short, [1]), sweep_periods(short, [1])):
        assert found.tried[0].mean_swap_bytes == found.tried[0].peak_swap_bytes == 0


def test_the_kernel_runs_without_the_jit(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = stated(load_price=0.5)
    compiled = tables(problem, [1, 3], rule="rent_or_buy")
    monkeypatch.setattr(periods, "follow", kernels.follow.py_func)
    plain = tables(problem, [1, 3], rule="rent_or_buy")
    assert all((a == b).all() for a, b in zip(compiled, plain, strict=True))


def test_what_cannot_be() -> None:
    with pytest.raises(InstanceError, match="link"):
        sweep_periods(stated(), [1, 1])
    linked = stated(link_bytes_per_s=1.0, window_s=1.0)
    for share in (-1.0, np.nan):
        with pytest.raises(InstanceError, match="grows"):
            sweep_periods(linked, [1, 1], grows=share)
    for wrong in ([], [0], [1.5], [[1]]):
        with pytest.raises(InstanceError, match="periods"):
            tables(stated(), wrong)
