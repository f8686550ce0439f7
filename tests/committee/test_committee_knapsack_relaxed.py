"""The linear relaxation: its value, its vertex, its prices, and the certificate of rounding."""

from __future__ import annotations

import numpy as np
import pytest
from committee_knapsack_oracle import Knapsack, drawn, layers_of
from scipy.optimize import linprog

from moeopt.committee.knapsack import choose
from moeopt.committee.knapsack_ready import Ready, made_ready
from moeopt.committee.knapsack_relaxed import relax


def least_of_shares(ready: Ready) -> float:
    """Return the value of the linear program with all choices as columns."""
    layer, choice = np.nonzero(np.isfinite(ready.cost))
    once = (layer == np.arange(len(ready.cost))[:, None]).astype(float)
    limits = ready.used[:, layer, choice]
    answer = linprog(
        ready.cost[layer, choice],
        limits / ready.room[:, None] if limits.size else None,
        np.ones(len(limits)) if limits.size else None,
        once,
        np.ones(len(once)),
    )
    return float(answer.fun) if answer.status == 0 else np.inf


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_vertex_of_the_linear_program(rows: int) -> None:
    """At most as many layers are mixed as there are limits: 100 problems for each number."""
    rng = np.random.default_rng(rows)
    mixed = 0
    for draw in range(100):
        knapsack: Knapsack
        if draw % 4:
            knapsack = layers_of(rng, int(rng.integers(2, 12)), 12, rows, rng.uniform(0.05, 0.6))
        else:
            knapsack = drawn(rng, rows)
        ready = made_ready(*knapsack)
        relaxed = None if ready is None else relax(ready)
        if ready is None or relaxed is None:
            assert choose(*knapsack) is None
            continue
        assert relaxed.fractional.size <= ready.room.size <= rows
        assert relaxed.bound == pytest.approx(least_of_shares(ready), rel=1e-7, abs=1e-7)
        assert (relaxed.price >= 0).all()
        # The choices of a vertex are the cheapest at its prices.
        for over, choices in zip(relaxed.over, relaxed.mixed, strict=True):
            np.testing.assert_allclose(over[choices], 0, atol=1e-6)
        mixed += relaxed.fractional.size
    assert mixed > 40 * rows


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_rounding_down_costs_no_more_than_the_certificate(rows: int) -> None:
    rng = np.random.default_rng(10 + rows)
    kept = 0
    for _ in range(60):
        knapsack = layers_of(rng, int(rng.integers(2, 8)), 10, rows, rng.uniform(0.1, 0.5))
        found = choose(*knapsack)
        if found is None or found.rounded_cost is None:
            # Only swaps fall with more slots, and need some even without any.
            assert rows == 3
            continue
        kept += 1
        assert found.cost <= found.rounded_cost + 1e-9
        assert found.rounded_cost <= found.relaxed + found.certificate + 1e-7
    assert kept > (10 if rows == 3 else 59)


def test_rounding_down_may_break_a_row_that_falls() -> None:
    """Half of no slots and half of two keep the swaps; no slots alone do not."""
    curves = [np.array([0.0, 5.0, 9.0])]
    uses = [np.array([[0.0, 1.0, 2.0], [4.0, 3.0, 2.0]])]
    found = choose(curves, uses, np.array([9.0, 3.5]))
    assert found is not None
    assert found.slots is not None
    assert (found.fractional.tolist(), found.rounded_cost) == ([], 5.0)
    # In units of one swap 3.5 are 3. Without such units the relaxation mixes.
    uses = [np.array([[0.0, 1.0, 2.0], [4.1, 2.8, 2.2]])]
    found = choose(curves, uses, np.array([9.0, 3.5]))
    assert found is not None
    assert found.slots is not None
    assert (found.slots.tolist(), found.cost, found.bound) == ([1], 5, 5)


def test_prices_are_what_a_little_more_saves() -> None:
    curves, uses, limits = layers_of(np.random.default_rng(5), 8, 20, 2)
    found = choose(curves, uses, limits)
    assert found is not None
    assert (found.prices > 0).all()
    for row, little in enumerate((20.0, 1e-3)):
        more = limits.copy()
        more[row] += little
        after = choose(curves, uses, more)
        assert after is not None
        saved = found.relaxed - after.relaxed
        # The value is convex: prices before are more than what is saved, and those after less.
        assert after.prices[row] * little - 1e-6 <= saved <= found.prices[row] * little + 1e-6
