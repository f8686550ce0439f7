"""The flow in hindsight, and what a link carries, against brute force."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from committee_oracle import brute_force, drawn, layer_curve, problem_of

from moeopt.committee.hindsight import hindsight_curves, hindsight_schedule
from moeopt.committee.link import carried
from moeopt.committee.loss import weights
from moeopt.committee.moving import dearer, moving, soon, updates_of
from moeopt.committee.plan import evaluate, resident_at, violations

#: Rules under which the flow is the optimum of each layer.
RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "price": {"load_price": 2.0},
    "prices": {"load_price": [1.0, 5.0]},
    "cold": {"load_price": 3.0, "free_fill": False},
    "skip": {"loss": "skip", "load_price": 1.0, "top_k": 2},
}


@pytest.mark.parametrize("period", [1, 2, 3])
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_curves_are_those_of_brute_force_and_convex(rules: dict[str, Any], period: int) -> None:
    for seed in range(8):
        problem = drawn(seed, windows=4, periods=[period], **rules)
        curves = hindsight_curves(problem, period)
        for layer, curve in enumerate(curves):
            np.testing.assert_allclose(curve, layer_curve(problem, layer, period), atol=1e-9)
            assert (np.diff(curve, 2) >= -1e-9).all()


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_a_schedule_costs_what_the_curve_says(rules: dict[str, Any]) -> None:
    for seed in range(8):
        problem = drawn(seed, windows=4, budget_bytes=6, **rules)
        slots = np.array([1, 2])
        plan, bound = hindsight_schedule(problem, slots)
        assert not violations(problem, plan)
        assert evaluate(problem, plan).objective == pytest.approx(bound)
        curves = hindsight_curves(problem)
        assert bound == pytest.approx(sum(c[k] for c, k in zip(curves, slots, strict=True)))


def test_without_prices_each_window_has_its_best_and_with_high_ones_the_sum_has() -> None:
    table = np.random.default_rng(5).integers(0, 9, (6, 1, 5)).astype(float)
    free = problem_of(table, budget_bytes=5)
    best = np.sort(table[:, 0], axis=1)[:, ::-1].cumsum(axis=1).sum(axis=0)
    curve = hindsight_curves(free)[0]
    np.testing.assert_allclose(curve, table.sum() - np.concatenate(([0.0], best)), atol=1e-9)
    dear = problem_of(table, budget_bytes=5, load_price=1e6)
    summed = np.sort(table.sum(axis=0)[0])[::-1].cumsum()
    curve = hindsight_curves(dear)[0]
    np.testing.assert_allclose(curve, table.sum() - np.concatenate(([0.0], summed)), atol=1e-6)


def test_free_loads_come_for_a_reason_and_of_equals_who_is_there_stays() -> None:
    problem = problem_of([[3, 3, 0], [1, 3, 3], [0, 0, 0], [0, 2, 2]], budget_bytes=2)
    plan, bound = hindsight_schedule(problem, np.array([2]))
    assert plan.loads.tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 2]]
    assert plan.drops.tolist() == [[1, 0, 0]]
    assert bound == evaluate(problem, plan).objective == 1.0


@pytest.mark.parametrize("link", [None, 1.0])
def test_free_committees_are_soon_cut_to_what_pays_and_passes(link: float | None) -> None:
    fields = {} if link is None else {"link_bytes_per_s": link, "window_s": 1.0}
    problem = problem_of(
        [[9, 0, 0], [0, 9, 1], [0, 9, 0], [8, 7, 0]], budget_bytes=1, load_price=2.0, **fields
    )
    found = soon(problem, np.array([1]), 1, weights(problem))
    assert not violations(problem, found.plan)
    # Expert 1 comes for 2, and expert 0 again, which saves 8 of the last window's 15.
    assert found.plan.loads.tolist() == [[0, 0, 0], [1, 0, 1], [3, 0, 0]]
    assert found.cost == evaluate(problem, found.plan).objective == 1.0 + 7.0 + 2 * 2.0


def test_when_time_is_up_the_bound_is_one_still() -> None:
    problem = drawn(3, windows=4, budget_bytes=6)
    _, whole = hindsight_schedule(problem, np.array([2, 2]))
    plan, bound = hindsight_schedule(problem, np.array([2, 2]), out_of_time=lambda: True)
    assert not violations(problem, plan)
    assert bound <= whole <= evaluate(problem, plan).objective


@pytest.mark.parametrize("free_fill", [True, False])
@pytest.mark.parametrize("loads", [1, 2, 3])
def test_what_the_link_carries_is_kept_to(loads: int, free_fill: bool) -> None:
    for seed in range(10):
        problem = drawn(
            seed, windows=5, budget_bytes=4, free_fill=free_fill, window_s=1.0,
            link_bytes_per_s=float(loads),
        )  # fmt: skip
        slots = np.array([2, 2])
        free = msgspec.structs.replace(problem, link_bytes_per_s=None, window_s=None)
        plan, _ = hindsight_schedule(free, slots)
        wanted = resident_at(free, plan)
        cut = carried(problem, slots, 1, wanted, weights(problem))
        assert not violations(problem, cut)
        assert evaluate(problem, cut).objective >= evaluate(free, plan).objective - 1e-9


def test_a_wide_link_carries_all_that_is_wanted() -> None:
    problem = drawn(2, windows=5, budget_bytes=4, window_s=1.0, link_bytes_per_s=100.0)
    plan, bound = hindsight_schedule(problem, np.array([2, 2]))
    cut = carried(problem, plan.slots, 1, resident_at(problem, plan), weights(problem))
    assert evaluate(problem, cut).objective == pytest.approx(bound)


def test_loads_worth_most_for_their_bytes_come_first() -> None:
    # Both experts 1 are wanted from window 1 on; the link carries 2 bytes in a window.
    problem = problem_of(
        [[[9, 0], [9, 0]], [[0, 6], [0, 5]], [[0, 6], [0, 5]]],
        expert_bytes=[2, 1], budget_bytes=3, window_s=1.0, link_bytes_per_s=2.0,
    )  # fmt: skip
    wanted = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]], [[0, 1], [0, 1]]], dtype=np.bool_)
    plan = carried(problem, np.array([1, 1]), 1, wanted, weights(problem))
    # 10 for one byte before 12 for two.
    assert plan.loads[plan.loads[:, 0] > 0].tolist() == [[1, 1, 1], [2, 0, 1]]


@pytest.mark.parametrize("loss", ["additive", "masked", "skip"])
@pytest.mark.parametrize("link", [None, 1.0, 2.0])
def test_what_moves_is_valid_and_near_the_optimum(loss: str, link: float | None) -> None:
    off = []
    for seed in range(12):
        fields = {} if link is None else {"link_bytes_per_s": link, "window_s": 1.0}
        problem = drawn(seed, windows=3, loss=loss, load_price=1.0, budget_bytes=3, **fields)
        best = min(
            (moving(problem, np.array(split), 1) for split in ([1, 2], [2, 1], [3, 0], [0, 3])),
            key=lambda one: one.cost,
        )
        assert not violations(problem, best.plan)
        assert evaluate(problem, best.plan).objective == best.cost
        known = brute_force(problem)
        assert known is not None
        assert best.cost >= known.objective - 1e-9
        off.append(best.cost - known.objective)
    exact = loss != "masked" and link is None
    assert sum(one > 1e-9 for one in off) <= (0 if exact else 4)


def test_dearer_loads_are_dearer_by_their_bytes() -> None:
    problem = drawn(1, load_price=[1.0, 2.0], expert_bytes=[3, 4])
    assert dearer(problem, 0.5).by_layer(dearer(problem, 0.5).load_price).tolist() == [2.5, 4.0]


@pytest.mark.parametrize(
    ("windows", "period", "free_fill", "updates"),
    [(4, 1, True, 3), (4, 1, False, 4), (5, 2, True, 2), (5, 2, False, 3), (1, 1, True, 0)],
)
def test_updates_that_the_link_carries(
    windows: int, period: int, free_fill: bool, updates: int
) -> None:
    assert updates_of(drawn(0, windows=windows, free_fill=free_fill), period) == updates
