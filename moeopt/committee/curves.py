"""What each number of slots costs a layer: a committee that stays, and what no committee beats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from moeopt.committee.hindsight import hindsight_curves, unpaid_curves
from moeopt.committee.loss import table_of, total_loss, weights
from moeopt.committee.masked import masked_bounds
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.submodular import lazy_greedy, prefix_retained, top_importance
from moeopt.core.arrays import FloatArray, IntArray

#: How a committee's members are chosen: by eq. 1 alone, or by what all of them together retain.
Rule = Literal["top_importance", "lazy_greedy"]

#: Most importances times slots for which flows are run: each costs half a microsecond.
MOST_STEPS = 100_000_000

#: Prices of a byte that are tried where a link is too slow: fewer where flows are long.
MOST_PRICES = 6

#: Share of a sum by which a bound is lowered: what rounding may have added to it.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Standing:
    """Committees that stay as they are from the first window to the last.

    Attributes
    ----------
    costs
        Of 0, 1, ... slots of each layer, ``(experts + 1,)`` each.
    orders
        Experts of each layer in the order in which they join, ``(experts,)`` each; empty with a
        table.
    sizes
        Members of the best committee of 0, 1, ... slots, ``(experts + 1,)`` each: fewer than slots
        where a load costs more than it saves.
    """

    costs: list[FloatArray]
    orders: list[IntArray]
    sizes: list[IntArray]


def standing(
    problem: CommitteeProblem, period: int, rule: Rule, importance: FloatArray | None = None
) -> Standing:
    """Return what committees that stay cost.

    Parameters
    ----------
    problem
        What was asked.
    period
        Windows from one update to the next, one of `choices`: a table may depend on it.
    rule
        How members are chosen; without ``"masked"`` both are the same.
    importance
        The problem's `weights`, if they are at hand.
    """
    if problem.loss == "table":
        costs = list(table_of(problem, period))
        return Standing(costs, [], [])
    table = weights(problem) if importance is None else importance
    summed, totals = table.sum(axis=0), total_loss(problem)
    price = first_price(problem)
    costs, orders, sizes = [], [], []
    for layer in range(problem.num_layers):
        order, kept = _joined(problem, layer, summed[layer], rule)
        paid = totals[layer] - kept + price[layer] * np.arange(kept.size)
        # A committee of fewer is one for these slots too.
        best = np.minimum.accumulate(paid)
        first = np.concatenate(([True], best[1:] < best[:-1]))
        costs.append(np.maximum(best, 0.0))
        orders.append(order)
        sizes.append(np.maximum.accumulate(np.where(first, np.arange(kept.size), 0)))
    return Standing(costs, orders, sizes)


def bound_curves(
    problem: CommitteeProblem,
    period: int,
    importance: FloatArray | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> list[FloatArray]:
    """Return what no committee of 0, 1, ... slots costs less than, ``(experts + 1,)`` each.

    With a table it is the table. Where losses add up, it is the optimum in hindsight: of each
    update by itself if loads are free, else a flow. Under masked gating it is the larger of two
    bounds: of each update's best committee by itself, and of all updates by prices of tokens.

    Parameters
    ----------
    problem, period, importance
        As for `standing`.
    out_of_time
        Asked now and then.
    """
    if problem.loss == "table":
        return list(table_of(problem, period))
    if problem.loss == "masked":
        assert problem.router is not None, "masked gating has a router"
        return masked_bounds(problem, period, _affordable(problem, period), out_of_time)
    table = weights(problem) if importance is None else importance
    found = unpaid_curves(table, period, first_price(problem))
    if period < problem.num_windows and pays(problem) and _affordable(problem, period):
        # Where time is up in the midst of a flow it may be the lower of the two.
        flows = hindsight_curves(problem, period, table, out_of_time)
        found = [np.maximum(*both) for both in zip(found, flows, strict=True)]
    off = _ROUNDING * table.sum(axis=(0, 2))
    return [np.maximum(0.0, curve - share) for curve, share in zip(found, off, strict=True)]


def _joined(
    problem: CommitteeProblem, layer: int, summed: FloatArray, rule: Rule
) -> tuple[IntArray, FloatArray]:
    """Return the order in which experts join, and what 0, 1, ... of them retain."""
    if problem.loss != "masked" or problem.router is None:
        order = top_importance(summed)
        return order, np.concatenate(([0.0], np.cumsum(summed[order])))
    values = problem.router[:, layer]
    if rule == "lazy_greedy":
        found = lazy_greedy(values, problem.top_k, problem.num_experts)
        return found.experts, found.retained
    order = top_importance(summed)
    return order, prefix_retained(values, problem.top_k, order)


def prices_tried(problem: CommitteeProblem) -> int:
    """Return for how many prices of a byte flows are run where a link limits what is loaded.

    Parameters
    ----------
    problem
        What was asked.
    """
    steps = sum(_steps(problem, period) for period in problem.choices().tolist())
    return int(min(MOST_PRICES, max(1, 3 * MOST_STEPS // steps)))


def pays(problem: CommitteeProblem) -> bool:
    """Tell whether loads have a price: only then does it take a flow to count them.

    Parameters
    ----------
    problem
        What was asked.
    """
    return bool(problem.by_layer(problem.load_price).any())


def first_price(problem: CommitteeProblem) -> FloatArray:
    """Return the price of an expert's first load in each layer, ``(layers,)``.

    Parameters
    ----------
    problem
        What was asked.
    """
    return problem.by_layer(0.0 if problem.free_fill else problem.load_price)


def _affordable(problem: CommitteeProblem, period: int) -> bool:
    """Tell whether flows of all layers end within a minute."""
    return _steps(problem, period) <= MOST_STEPS


def _steps(problem: CommitteeProblem, period: int) -> int:
    """Return what flows of all layers take: importances times slots."""
    updates = -(-problem.num_windows // period)
    return updates * problem.num_layers * problem.num_experts**2
