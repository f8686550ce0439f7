"""How many slots each layer gets, from what each number of them costs it and uses of each limit.

A layer takes one point of its curve: a multiple-choice knapsack with up to three limits. Its linear
relaxation mixes choices in at most as many layers as there are limits; rounding these down gives a
plan with a certificate, and branch and bound the optimum.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.committee.knapsack_nodes import solved
from moeopt.committee.knapsack_ready import ROUNDING, Ready, made_ready
from moeopt.committee.knapsack_relaxed import Relaxed, relax
from moeopt.core.arrays import FloatArray, IntArray

#: Sums and choices looked at in all, if nothing else is said: a second or two.
_EFFORT = 2_000_000


@dataclass(frozen=True)
class Choice:
    """Slots of each layer.

    Attributes
    ----------
    slots
        ``(layers,)``; ``None`` if none were found that keep the limits before the search ended.
    cost
        Sum of the curves there; ``inf`` if there are none.
    bound
        No slots within the limits cost less; the cost itself if that is proven to be least. A
        multiple of the costs' common divisor if they are whole.
    relaxed
        Cost of the linear relaxation, a lower bound.
    fractional
        Layers that mix numbers of slots in the relaxation, no more than there are limits.
    rounded_cost
        Cost of the relaxation with these layers rounded down to the fewest slots that they mix;
        ``None`` if that breaks a limit, as it can where more slots use less.
    certificate
        What rounding down can cost at most: the sum of these layers' largest jumps.
    prices
        What a further unit of each limit saves in the relaxation, ``(rows,)``.
    """

    slots: IntArray | None
    cost: float
    bound: float
    relaxed: float
    fractional: IntArray
    rounded_cost: float | None
    certificate: float
    prices: FloatArray


def choose(
    curves: Sequence[FloatArray],
    uses: Sequence[FloatArray],
    limits: FloatArray,
    *,
    stop: Callable[[], bool] | None = None,
    effort: int = _EFFORT,
) -> Choice | None:
    """Return the slots of each layer that cost least within the limits, ``None`` if there are none.

    Parameters
    ----------
    curves
        What 0, 1, ... slots cost each layer; ``inf`` where that is not allowed. They need be
        neither convex nor falling, and may differ in length.
    uses
        What 0, 1, ... slots of each layer use of each limit, 0 or more, ``(rows, slots)`` each;
        they need not rise.
    limits
        Of all layers together, ``(rows,)``, 1 to 3 rows; ``inf`` where there is none. Kept exactly
        where it and all uses are whole numbers, else with a relative slack of 1e-9.
    stop
        Asked all the time; once it says so, the best found is returned.
    effort
        Sums and choices that may be looked at; then, too, the best found is returned, on every
        machine the same.

    Raises
    ------
    InstanceError
        If something is not a cost, a use or a limit.
    """
    ready = made_ready(curves, uses, limits)
    relaxed = None if ready is None else relax(ready)
    if ready is None or relaxed is None:
        return None
    found = solved(ready, relaxed, effort, stop or (lambda: False))
    if found.bound == np.inf:
        return None
    rounded = relaxed.rounded()
    jumps = [
        curve[choices[0]] - curve[choices].min()
        for curve, choices in zip(ready.cost, relaxed.mixed, strict=True)
    ]
    return Choice(
        slots=found.slots,
        cost=found.cost,
        bound=found.bound,
        relaxed=relaxed.bound,
        fractional=relaxed.fractional,
        rounded_cost=ready.cost_of(rounded) if ready.keeps(rounded) else None,
        certificate=float(sum(jumps)),
        prices=_priced(ready, relaxed, len(limits)),
    )


@dataclass(frozen=True)
class Merged:
    """Slots of each layer, by steps that save most.

    Attributes
    ----------
    slots
        ``(layers,)``.
    cost
        Sum of the curves there.
    bound
        Of the linear relaxation, raised to a multiple of the costs' common divisor if they are
        whole: no slots within the limits cost less.
    exact
        Whether the bound proves the cost least, as it does for convex curves of equal slots.
    """

    slots: IntArray
    cost: float
    bound: float
    exact: bool


def merge(
    curves: Sequence[FloatArray], uses: Sequence[FloatArray], limits: FloatArray
) -> Merged | None:
    """Return the slots that single steps give, those first that save most for what they use.

    What a step uses is, with one limit, its amount (bytes, say), and with more the sum of its
    shares of what there is. A layer stays where its next step does not fit or saves nothing.

    Parameters
    ----------
    curves, uses, limits
        As for `choose`.

    Returns
    -------
    merged
        ``None`` if the fewest slots of all layers break a limit.
    """
    ready = made_ready(curves, uses, limits)
    relaxed = None if ready is None else relax(ready)
    if ready is None or relaxed is None:
        return None
    slots = np.isfinite(ready.cost).argmax(axis=1)
    if not ready.keeps(slots):
        return None
    slots = _merged(ready, slots)
    cost, off = ready.cost_of(slots), 2.0 * relaxed.off
    bound = ready.raised(relaxed.bound, off)
    exact = cost - bound <= ROUNDING * abs(cost) + off
    return Merged(slots, cost, cost if exact else bound, exact)


def _merged(ready: Ready, slots: IntArray) -> IntArray:
    """Take steps from these slots on."""
    slots, shares = slots.copy(), ready.shares()
    used = ready.used_by(slots)
    last = ready.cost.shape[1] - 1
    steps: list[tuple[float, int]] = []

    def offer(layer: int) -> None:
        at = slots[layer]
        if at < last and (saved := float(ready.cost[layer, at] - ready.cost[layer, at + 1])) > 0:
            share = float(shares[layer, at + 1] - shares[layer, at])
            heapq.heappush(steps, (-saved / share if share > 0 else -np.inf, layer))

    for layer in range(slots.size):
        offer(layer)
    while steps:
        _, layer = heapq.heappop(steps)
        at = slots[layer]
        more = used + ready.used[:, layer, at + 1] - ready.used[:, layer, at]
        if (more <= ready.room).all():
            used, slots[layer] = more, at + 1
            offer(layer)
    return slots


def _priced(ready: Ready, relaxed: Relaxed, rows: int) -> FloatArray:
    """Return the prices in terms of the limits as stated, ``(rows,)``."""
    prices = np.zeros(rows)
    with np.errstate(over="ignore"):
        prices[ready.row] = relaxed.price / ready.unit
    return prices
