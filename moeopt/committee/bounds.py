"""What no plan can beat: a lower bound of the objective for every period, the least of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from moeopt.committee.allocation import allowed, rows
from moeopt.committee.curves import bound_curves, prices_tried
from moeopt.committee.knapsack import choose
from moeopt.committee.loss import weights
from moeopt.committee.moving import dearer, highest_price, updates_of
from moeopt.committee.plan import TOLERANCE
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray


def bound(
    problem: CommitteeProblem,
    out_of_time: Callable[[], bool] = lambda: False,
    known: Mapping[int, Sequence[FloatArray]] | None = None,
) -> float:
    """Return a lower bound of the problem's objective; any holds if it has no plan.

    Parameters
    ----------
    problem
        What was asked.
    out_of_time
        Asked now and then: with little time the bound is a cheap one.
    known
        What `bound_curves` has found for some periods, if it is at hand.
    """
    curves = known or {}
    found = [
        _of_period(problem, period, out_of_time, curves.get(period))
        for period in problem.choices().tolist()
    ]
    finite = [one for one in found if np.isfinite(one)]
    return min(finite, default=0.0)


def _of_period(
    problem: CommitteeProblem,
    period: int,
    out_of_time: Callable[[], bool],
    known: Sequence[FloatArray] | None,
) -> float:
    """Return the bound of plans with this period; ``inf`` if there are none."""
    importance = None if problem.loss == "table" else weights(problem)
    shared = rows(problem, period)

    def of(curves: Sequence[FloatArray]) -> float:
        chosen = choose(allowed(problem, curves), shared.uses, shared.limits, stop=out_of_time)
        return np.inf if chosen is None else chosen.bound

    def of_prices(priced: CommitteeProblem) -> float:
        return of(bound_curves(priced, period, importance, out_of_time))

    best = of_prices(problem) if known is None else of(known)
    # The checker's slack is one of each update.
    most = problem.load_bytes(period) * updates_of(problem, period) * (1.0 + TOLERANCE)
    if importance is None or not 0 < most < np.inf or not np.isfinite(best):
        return best
    return max(best, _by_price(problem, importance, most, of_prices, out_of_time))


def _by_price(
    problem: CommitteeProblem,
    importance: FloatArray,
    most_bytes: float,
    bound_of: Callable[[CommitteeProblem], float],
    out_of_time: Callable[[], bool],
) -> float:
    """Return the best bound with loads dearer by a price, less that price for what all may carry.

    Each update has a limit of its own; together they carry no more than the sum, for which the
    price is a multiplier.
    """
    best = 0.0
    price, step = highest_price(problem, importance) / 32, 4.0
    for _ in range(prices_tried(problem)):
        if out_of_time() or price <= 0.0:
            break
        found = bound_of(dearer(problem, price)) - price * most_bytes
        if found < best:
            step = step**-0.5
        best = max(best, found)
        price *= step
    return best
