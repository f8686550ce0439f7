"""Which experts stay, if a token whose own are absent goes to the best of those that are there.

What a set S of experts retains of the router values is ``f(S)``: for each token, the sum of its
`top_k` largest values within S. No value is negative, so f is monotone and submodular, and it is at
least what importance alone promises, ``m(S)`` (eq. 1 of the paper summed over S). To let the expert
join that adds most, again and again, retains at least ``1 - 1/e`` of the most that as many experts
can (Nemhauser, Wolsey and Fisher 1978); the most important experts are sure of their share of all
experts alone, ``K/N`` of it. To find the best set is NP-hard.

All upper bounds here are of one kind. Give every token x a price ``p(x) >= 0``. Then no K experts
retain more than

    top_k * sum of p  +  the K largest of  worth(e) = sum over x of max(0, value(x, e) - p(x)),

because a token that is served by j <= `top_k` experts retains at most ``j p(x)`` and what each of
them exceeds p(x) by. It is the Lagrangian of "a token is served by at most `top_k`" in the linear
model, whose bound the best prices reach. Prices 0 make it the sum of the K largest columns, prices
at each token's `top_k`-th largest value the sum of all importance, and prices at what serves the
token last under S at most ``f(S)`` and the K largest gains at S. One choice of prices bounds every
K, by a concave curve, and so does the least of several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moeopt.committee import _kernels_retained as kernels
from moeopt.core.arrays import BoolArray, FloatArray, IntArray, read_only

#: Share of a sum that may be rounding.
_ROUNDING = 1e-12

#: What an exchange must add to be made, as a share of what is retained.
_WORTH = 1e-9

#: Rounds in which prices are moved for one number of slots.
ROUNDS = 100

#: Numbers of slots for which `upper_curve` moves prices, and its rounds for each.
TRIES, FEW_ROUNDS = 8, 25

#: Gap, as a share of the bound, from which on a bound counts as met.
_MET = 1e-9

#: Share of the last direction in which prices moved that is kept; rounds without progress after
#: which steps become shorter, and by which factor.
_KEPT, _PATIENCE, _SHORTER = 0.3, 3, 0.7

#: By what share a round must lower the bound to be progress.
_PROGRESS = 1e-4


@dataclass(frozen=True)
class Order:
    """Experts in the order in which they join.

    Attributes
    ----------
    experts
        Who joins, ``(most,)``.
    retained
        What the first 0, 1, ... of them retain, ``(most + 1,)``; concave.
    upper
        What no set of 0, 1, ... experts exceeds, ``(experts + 1,)``; concave, never falling.
    """

    experts: IntArray
    retained: FloatArray
    upper: FloatArray


def lazy_greedy(values: npt.NDArray[np.float64], top_k: int, most: int) -> Order:
    """Let the expert join that adds most to what is retained, of equals the lowest, and again.

    The order is that of lazy evaluation (Minoux 1978), which looks again only at experts whose
    last known gain is large enough. Here all gains stay known, because only tokens whose own
    experts change are looked at: that takes as long, and gives the bound of every prefix.

    Parameters
    ----------
    values
        Router values of one layer, ``(tokens, experts)``, none negative.
    top_k
        Experts that serve a token.
    most
        How many join, at most all.
    """
    plain = _plain(values)
    experts = plain.shape[1]
    order, gains = np.empty(most, dtype=np.int64), np.empty(most)
    served = min(top_k, experts)
    # Once all have joined, the prices are those of the sum of all importance.
    total = np.inf if most == experts else _total(plain, served)
    upper = np.full(experts + 1, total)
    kernels.join_greedily(plain, served, most, order, gains, upper, _ROUNDING)
    retained = np.concatenate(([0.0], np.cumsum(gains)))
    return Order(order, retained, _consistent(upper, retained))


def prefix_retained(values: npt.NDArray[np.float64], top_k: int, order: IntArray) -> FloatArray:
    """Return what the first 0, 1, ... experts of an order retain, ``(order + 1,)``.

    Parameters
    ----------
    values, top_k
        As for `lazy_greedy`.
    order
        Experts, each at most once.
    """
    plain = _plain(values)
    gains = np.empty(order.size)
    kernels.join_in_order(plain, min(top_k, plain.shape[1]), order, gains)
    return np.concatenate(([0.0], np.cumsum(gains)))


def top_importance(weights: FloatArray) -> IntArray:
    """Return all experts, the most important first, of equals the lowest, ``(experts,)``.

    Parameters
    ----------
    weights
        Importance of each expert, ``(experts,)``.
    """
    return np.argsort(-weights, kind="stable")


def improve(
    values: npt.NDArray[np.float64],
    top_k: int,
    resident: BoolArray,
    out_of_time: Callable[[], bool] = lambda: False,
) -> BoolArray:
    """Exchange one resident for one absent expert, the pair that adds most, while one adds.

    Parameters
    ----------
    values, top_k
        As for `lazy_greedy`.
    resident
        Who is there at first, ``(experts,)``; left as it is.
    out_of_time
        Asked before every exchange.

    Returns
    -------
    BoolArray
        As many residents, which retain no less.
    """
    plain, there = _plain(values), resident.copy()
    tokens, experts = plain.shape
    served = min(top_k, experts)
    # One more than serve a token: who moves up if one of them leaves.
    held = np.empty((tokens, served + 1))
    who = np.empty((tokens, served + 1), dtype=np.int32)
    gain, pairs = np.zeros(experts), np.zeros((experts, experts))
    kernels.count_all(plain, there, held, who, gain, pairs)
    retained = float(held[:, :served].sum())
    while not out_of_time():
        leaves, comes, more = kernels.best_exchange(there, gain, pairs)
        if more <= _WORTH * retained:
            break
        retained += more
        kernels.exchange(plain, there, held, who, gain, pairs, leaves, comes)
    return there


def upper_bound(
    values: npt.NDArray[np.float64],
    top_k: int,
    slots: int,
    *,
    start: BoolArray | None = None,
    rounds: int = ROUNDS,
    out_of_time: Callable[[], bool] = lambda: False,
) -> float:
    """Return a bound of what `slots` experts retain that comes close to the linear model's.

    Prices are moved by the subgradient method: up where more of the worthiest experts would serve
    a token than may, down where fewer would. The bound holds whenever it is stopped.

    Parameters
    ----------
    values, top_k
        As for `lazy_greedy`.
    slots
        How many experts are there, at most all.
    start
        A good set of that many, ``(experts,)``: prices start from it, and the more it retains the
        better they are moved; that of `lazy_greedy` if left out.
    rounds
        How often prices are set, at least once.
    out_of_time
        Asked before every round but the first.
    """
    plain = _plain(values)
    experts = plain.shape[1]
    served = min(top_k, experts)
    order = lazy_greedy(plain, served, slots)
    if start is None:
        start, retained = _members(order.experts, experts), order.retained[slots]
    else:
        retained = prefix_retained(plain, served, np.flatnonzero(start))[-1]
    curve = _Ranked(plain, served).curve(start, float(retained), rounds, out_of_time)
    # Where rounding left it below what is retained, that is the optimum.
    return float(max(min(order.upper[slots], curve[slots]), retained))


def upper_curve(
    values: npt.NDArray[np.float64],
    top_k: int,
    order: Order,
    *,
    tries: int = TRIES,
    rounds: int = FEW_ROUNDS,
    out_of_time: Callable[[], bool] = lambda: False,
) -> FloatArray:
    """Return what no set of 0, 1, ... experts exceeds, closer than the order's own bound.

    Where bound and order are furthest apart, prices are moved for that number of slots as
    `upper_bound` does, and again.

    Parameters
    ----------
    values, top_k
        As for `lazy_greedy`.
    order
        What it returned for them.
    tries
        For how many numbers of slots.
    rounds
        How often prices are moved for each, at most.
    out_of_time
        Asked before every round.

    Returns
    -------
    FloatArray
        ``(experts + 1,)``; concave, never falling, nowhere above ``order.upper``.
    """
    plain = _plain(values)
    experts = plain.shape[1]
    ranked = _Ranked(plain, min(top_k, experts))
    upper = order.upper.copy()
    untried = np.ones(order.retained.size, dtype=np.bool_)
    for _ in range(min(tries, untried.size)):
        gaps = np.where(untried, upper[: untried.size] - order.retained, -1.0)
        slots = int(gaps.argmax())
        if gaps[slots] <= _MET * upper[slots] or out_of_time():
            break
        untried[slots] = False
        start = _members(order.experts[:slots], experts)
        found = ranked.curve(start, float(order.retained[slots]), rounds, out_of_time)
        np.minimum(upper, found, out=upper)
    return _consistent(upper, order.retained)


class _Ranked:
    """Router values with those of each token in rising order, and whose they are."""

    def __init__(self, values: FloatArray, top_k: int) -> None:
        order = np.argsort(values, axis=1)
        self.rising = np.take_along_axis(values, order, axis=1)
        self.whose = order.astype(np.int32)
        self.top_k = top_k

    def curve(
        self, start: BoolArray, retained: float, rounds: int, out_of_time: Callable[[], bool]
    ) -> FloatArray:
        """Return the bound of 0, 1, ... experts from prices that are moved for as many as `start`.

        They start from the best value that does not serve the token, and are moved, by Polyak's
        step, as far as the bound would have to fall to meet what `start` retains.
        """
        slots, least = int(start.sum()), np.inf
        prices, short = np.empty(self.rising.shape[0]), np.empty(self.rising.shape[0])
        kernels.next_best(self.rising, self.whose, start, self.top_k, prices)
        curve, way, step, waited = np.full(start.size + 1, np.inf), np.zeros(prices.size), 1.0, 0
        for turn in range(max(1, rounds)):
            if turn and out_of_time():
                break
            tried, worthiest = self._at(prices, slots)
            np.minimum(curve, tried, out=curve)
            waited = 0 if tried[slots] < least * (1 - _PROGRESS) else waited + 1
            least = min(least, float(tried[slots]))
            if waited >= _PATIENCE:
                step, waited = step * _SHORTER, 0
            kernels.lacking(self.rising, self.whose, prices, worthiest, self.top_k, short)
            way = _KEPT * way + (1 - _KEPT) * short if turn else short.copy()
            # A price of 0 stays where it cannot fall.
            moved = np.where((prices <= 0) & (way > 0), 0.0, way)
            length = float(moved @ moved)
            if least - retained <= _MET * least or length == 0.0:
                break
            far = step * (float(tried[slots]) - retained) / length
            prices = np.maximum(prices - far * moved, 0.0)
        return curve

    def _at(self, prices: FloatArray, slots: int) -> tuple[FloatArray, IntArray]:
        """Return the bounds at some prices, and 1 for each of the `slots` worthiest experts."""
        worth = np.empty(self.rising.shape[1])
        kernels.worth_above(self.rising, self.whose, prices, worth)
        order = np.argsort(-worth, kind="stable")
        base = self.top_k * float(prices.sum())
        bounds = base + np.concatenate(([0.0], np.cumsum(worth[order])))
        return bounds, _members(order[:slots], worth.size).astype(np.int64)


def _plain(values: npt.NDArray[np.float64]) -> FloatArray:
    return read_only(np.asarray(values, dtype=np.float64))


def _total(values: FloatArray, top_k: int) -> float:
    """Return what all experts retain."""
    experts = values.shape[1]
    if top_k == experts:
        return float(values.sum())
    return float(np.partition(values, experts - top_k, axis=1)[:, experts - top_k :].sum())


def _members(experts: IntArray, count: int) -> BoolArray:
    """Return a set of experts as ``(count,)``."""
    there = np.zeros(count, dtype=np.bool_)
    there[experts] = True
    return there


def _consistent(upper: FloatArray, retained: FloatArray) -> FloatArray:
    """Return `upper` never falling and, whatever was rounded, nowhere below what was retained."""
    upper[: retained.size] = np.maximum(upper[: retained.size], retained)
    return np.maximum.accumulate(upper)
