"""Bounds under masked gating: of each update by itself, and of all by weights that add up.

Give every token a price. No expert can be worth more to it than the price and what its value
exceeds the price by, so what `top_k` residents retain for it is at most `top_k` prices and the
excesses of all residents. The excesses add up: they are importance for the flow in hindsight, which
counts loads, and whose cost bounds the loss from below with whatever prices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moeopt.committee.hindsight import filled, hindsight_curves
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.submodular import Order, lazy_greedy, upper_curve
from moeopt.core.arrays import FloatArray

#: Most router values, and most updates, for which prices of tokens are searched that give a better
#: bound than greedy does by itself: each value costs a quarter of a microsecond.
MOST_VALUES, MOST_UPDATES = 4_000_000, 64

#: Sizes of the committees at which tokens are priced, as shares of the slots that fit on average.
_SIZES = (0.5, 1.0, 1.5)

#: Share of a sum by which a bound is lowered: what rounding may have added to it.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Priced:
    """What the loss is at least, by prices of tokens.

    Attributes
    ----------
    base
        Of each layer, ``(layers,)``; may be negative.
    importance
        What an absent expert adds, ``(windows, layers, experts)``, at the first window of each
        update.
    """

    base: FloatArray
    importance: FloatArray


def masked_bounds(
    problem: CommitteeProblem, period: int, flows: bool, out_of_time: Callable[[], bool]
) -> list[FloatArray]:
    """Return what no committee of 0, 1, ... slots costs less than, ``(experts + 1,)`` each.

    Parameters
    ----------
    problem
        With ``loss="masked"``.
    period
        Windows from one update to the next.
    flows
        Whether to count loads too, where they have a price: a flow for each of some prices.
    out_of_time
        Asked now and then.
    """
    updates = update_tokens(problem, period)
    bounds = [np.zeros(problem.num_experts + 1) for _ in range(problem.num_layers)]
    prices = problem.by_layer(problem.load_price)
    sizes = _sizes(problem) if flows and len(updates) > 1 and prices.any() else []
    priced = [_nothing(problem) for _ in sizes]
    # Of many small updates each costs more than it gains.
    sharpen = _values(problem).size <= MOST_VALUES and len(updates) <= MOST_UPDATES
    for layer, bound in enumerate(bounds):
        for update, tokens in enumerate(updates):
            if out_of_time():
                return bounds
            values = _values(problem)[tokens, layer]
            order = lazy_greedy(values, problem.top_k, problem.num_experts)
            upper = order.upper
            if sharpen:
                upper = upper_curve(values, problem.top_k, order, out_of_time=out_of_time)
            total = float(order.retained[-1])
            bound += np.maximum(0.0, total * (1 - _ROUNDING) - upper)
            for one, size in zip(priced, sizes, strict=True):
                _add(one, values, order, size, problem.top_k, (update * period, layer))
    if not problem.free_fill:
        bounds = [filled(*pair) for pair in zip(bounds, prices.tolist(), strict=True)]
    for one in priced:
        if out_of_time():
            break
        curves = hindsight_curves(problem, period, one.importance, out_of_time)
        off = _ROUNDING * one.importance.sum(axis=(0, 2))
        for layer, curve in enumerate(curves):
            np.maximum(bounds[layer], one.base[layer] + curve - off[layer], out=bounds[layer])
    return bounds


def update_tokens(problem: CommitteeProblem, period: int) -> list[slice]:
    """Return the tokens that each update's committee serves.

    Parameters
    ----------
    problem
        With a router.
    period
        Windows from one update to the next.
    """
    windows = problem.token_windows()
    return [
        slice(windows[t].start, windows[min(t + period, len(windows)) - 1].stop)
        for t in range(0, len(windows), period)
    ]


def _add(
    priced: Priced,
    values: FloatArray,
    order: Order,
    size: int,
    top_k: int,
    place: tuple[int, int],
) -> None:
    """Price the tokens of an update by the last of those that serve them in a committee."""
    window, layer = place
    seated = np.sort(values[:, order.experts[:size]], axis=1)
    price = seated[:, -top_k] if size >= top_k else np.zeros(len(values))
    excess = np.maximum(0.0, values - price[:, None]).sum(axis=0)
    total = float(order.retained[-1])
    off = _ROUNDING * (total + float(excess.sum()))
    priced.base[layer] += total - top_k * float(price.sum()) - float(excess.sum()) - off
    priced.importance[window, layer] = excess


def _sizes(problem: CommitteeProblem) -> list[int]:
    """Return the sizes of committees at which tokens are priced."""
    mean = problem.room_bytes() / float(problem.slot_bytes().sum())
    sizes = [min(problem.num_experts, max(1, round(share * mean))) for share in _SIZES]
    return sorted(set(sizes))


def _nothing(problem: CommitteeProblem) -> Priced:
    shape = (problem.num_windows, problem.num_layers, problem.num_experts)
    return Priced(np.zeros(problem.num_layers), np.zeros(shape))


def _values(problem: CommitteeProblem) -> FloatArray:
    assert problem.router is not None, "masked gating has a router"
    return problem.router
