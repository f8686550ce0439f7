"""Layer curves, the rows that couple layers, and bounds, against brute force."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from committee_oracle import brute_force, drawn, layer_curve, loss_of, problem_of

from moeopt.committee.allocation import allowed, rows
from moeopt.committee.bounds import bound
from moeopt.committee.curves import MOST_PRICES, Rule, bound_curves, prices_tried, standing
from moeopt.committee.generate import routed
from moeopt.committee.loss import total_loss
from moeopt.committee.masked import masked_bounds, update_tokens

KINDS: dict[str, dict[str, Any]] = {
    "additive": {},
    "one window": {"windows": 1},
    "price": {"load_price": 2.0},
    "cold": {"load_price": 2.0, "free_fill": False},
    "skip": {"loss": "skip", "top_k": 2},
    "masked": {"loss": "masked"},
    "masked, price": {"loss": "masked", "load_price": 1.0, "tokens": 5},
    "masked, two": {"loss": "masked", "top_k": 2, "load_price": 1.0},
    "masked, cold": {"loss": "masked", "load_price": 2.0, "free_fill": False},
    "table": {"loss": "table"},
}

LINKED: dict[str, dict[str, Any]] = {
    "link": {"link_bytes_per_s": 1.0, "window_s": 1.0},
    "period": {"link_bytes_per_s": 1.0, "window_s": 1.0, "periods": [2, 1]},
    "masked, link": {"loss": "masked", "link_bytes_per_s": 1.0, "window_s": 1.0},
    "latency": {"latency_s": 2.5, "base_s": 0.5, "slot_s": [1.0, 0.5]},
    "table, link": {"loss": "table", "link_bytes_per_s": 2.0, "window_s": 0.5, "periods": [1, 3]},
}


@pytest.mark.parametrize("period", [1, 2])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_layer_costs_less_than_its_bound(kind: dict[str, Any], period: int) -> None:
    for seed in range(10):
        problem = drawn(seed, periods=[period], **kind)
        found = bound_curves(problem, period)
        for layer, curve in enumerate(found):
            known = np.array(layer_curve(problem, layer, period))
            assert (curve <= known * (1 + 1e-9) + 1e-9).all(), (seed, layer)
            if problem.loss != "masked":
                np.testing.assert_allclose(curve, known, atol=1e-9)


def test_prices_of_tokens_count_loads() -> None:
    problem = routed(loss="masked", experts=32, windows=8, tokens=32, drift=0.3, rules="price")
    plain = masked_bounds(problem, 1, False, lambda: False)
    priced = masked_bounds(problem, 1, True, lambda: False)
    for without, counted in zip(plain, priced, strict=True):
        assert (counted >= without).all()
        assert counted[16] > 1.5 * without[16]


@pytest.mark.parametrize("period", [1, 4])
def test_members_of_a_cold_start_are_paid_for_once(period: int) -> None:
    problem = drawn(1, windows=4, loss="masked", free_fill=False, load_price=1e3, periods=[period])
    # No member saves what it costs, so that nobody is there.
    for curve, lost in zip(bound_curves(problem, period), total_loss(problem), strict=True):
        np.testing.assert_allclose(curve, lost)
    assert bound(problem) == pytest.approx(brute_force(problem).objective)


def test_fewer_prices_of_a_byte_are_tried_where_flows_are_long() -> None:
    assert prices_tried(drawn(0)) == MOST_PRICES
    table = np.ones((1000, 12, 64))
    assert prices_tried(problem_of(table, periods=[1, 2, 4])) == 3
    assert prices_tried(problem_of(np.ones((500, 1, 1000)))) == 1


def test_each_update_has_its_windows_tokens() -> None:
    problem = drawn(0, loss="masked", windows=3, tokens=1)
    assert update_tokens(problem, 2) == [slice(0, 2), slice(2, 3)]


@pytest.mark.parametrize("rule", ["lazy_greedy", "top_importance"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_standing_committees_cost_what_they_are_said_to(kind: dict[str, Any], rule: Rule) -> None:
    for seed in range(10):
        problem = drawn(seed, **kind)
        found = standing(problem, 1, rule)
        for layer, (curve, known) in enumerate(zip(found.costs, _known(problem), strict=True)):
            assert (np.diff(curve) <= 0).all() or problem.loss == "table"
            assert (curve >= known - 1e-9).all()
            if problem.loss == "table":
                continue
            for slots, size in enumerate(found.sizes[layer].tolist()):
                assert size <= slots
                members = frozenset(found.orders[layer][:size].tolist())
                assert curve[slots] == pytest.approx(_stays(problem, layer, members))
            if problem.loss != "masked":
                np.testing.assert_allclose(curve, known, atol=1e-9)


def test_the_hub_is_found_by_what_it_retains_and_missed_by_importance() -> None:
    values = np.eye(8)
    values[0, 0] = 0.0
    values[:, 0] = 0.999
    problem = problem_of(np.zeros((1, 8)))
    problem = type(problem)(
        experts=8, loss="masked", router=values[1:, None], budget_bytes=1, min_slots=0
    )
    assert standing(problem, 1, "lazy_greedy").costs[0][1] == pytest.approx(7 * 0.001)
    assert standing(problem, 1, "top_importance").costs[0][1] == pytest.approx(6.0)


def test_rows_are_memory_latency_and_a_tables_link() -> None:
    problem = drawn(0, loss="table", link_bytes_per_s=2.0, window_s=0.5, periods=[1, 3],
                    latency_s=3.0, base_s=1.0, slot_s=0.25, expert_bytes=[2, 3], fixed_bytes=1,
                    staging_slots=1, activation_bytes=1, budget_bytes=40)  # fmt: skip
    shared = rows(problem, 3)
    assert shared.names == ("C1", "C2", "C3")
    assert shared.limits == pytest.approx([40 - 1 - 5, 2.0, 3.0])
    assert shared.uses[1][:2, 3].tolist() == [12.0, 0.75]
    assert problem.swaps is not None
    assert shared.uses[0][2].tolist() == (2 * problem.swaps[1, 0]).tolist()
    assert rows(drawn(0), 1).names == ("C1",)


def test_numbers_of_slots_that_are_not_allowed_cost_infinitely() -> None:
    problem = drawn(0, min_slots=[0, 1], max_slots=[2, 3])
    curves = allowed(problem, [np.zeros(4)] * 2)
    assert np.isfinite(curves[0]).tolist() == [True, True, True, False]
    assert np.isfinite(curves[1]).tolist() == [False, True, True, True]


@pytest.mark.parametrize("kind", (KINDS | LINKED).values(), ids=[*KINDS, *LINKED])
def test_no_plan_costs_less_than_the_bound(kind: dict[str, Any]) -> None:
    tight = 0
    for seed in range(12):
        problem = drawn(seed, **kind)
        best = brute_force(problem)
        if best is None:
            continue
        found = bound(problem)
        assert found <= best.objective * (1 + 1e-9) + 1e-9, seed
        assert bound(problem, lambda: True) <= found + 1e-9
        tight += found >= best.objective - 1e-6
    exact = problem.loss != "masked" and (problem.load_bytes(1) == np.inf)
    assert not exact or tight == 12


def _known(problem: Any) -> list[np.ndarray[Any, Any]]:
    """Return the cost of the best committee that stays, by enumeration."""
    if problem.loss == "table":
        return [np.asarray(row) for row in problem.table]
    found = []
    for layer in range(problem.layers):
        costs = [np.inf] * (problem.experts + 1)
        for size in range(problem.experts + 1):
            for members in itertools.combinations(range(problem.experts), size):
                costs[size] = min(costs[size], _stays(problem, layer, frozenset(members)))
        found.append(np.minimum.accumulate(costs))
    return found


def _stays(problem: Any, layer: int, members: frozenset[int]) -> float:
    paid = 0.0 if problem.free_fill else float(problem.by_layer(problem.load_price)[layer])
    lost = sum(loss_of(problem, t, layer, members) for t in range(problem.num_windows))
    return lost + paid * len(members)
