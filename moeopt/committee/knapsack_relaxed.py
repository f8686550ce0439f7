"""The linear relaxation of a knapsack over layers: a vertex, prices of the limits, a bound.

With a price for each limit layers decide by themselves, so any prices bound the cost from below.
One limit: the price that makes the bound largest is found by secants. More: columns are generated
for a small linear program. A vertex mixes choices in at most as many layers as there are limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.committee.knapsack_ready import Ready
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import BackendError

#: A share of a choice, or of a limit, below this is the linear program's rounding.
_SHARE = 1e-9

#: What rounding may add to a sum, as a share of what is summed.
_SUMMED = 1e-15

#: Rounds of secants or of generated columns; a bound holds after any number of them.
_MOST_ROUNDS = 200

#: Choices of a layer, on average, that a similar relaxation suggests.
_SUGGESTED = 4


@dataclass(frozen=True)
class Relaxed:
    """The linear relaxation.

    Attributes
    ----------
    price
        What a further unit of each limit saves, ``(rows,)``.
    bound
        No choice within the limits costs less.
    off
        What rounding may have added to sums like the bound, which is less by this already.
    over
        What a choice costs above its layer's cheapest, uses priced, ``(layers, choices)``: a choice
        of all layers costs the bound, plus this, plus the priced room that it leaves.
    mixed
        Choices that have a share of their layer, ascending, one array for each layer.
    """

    price: FloatArray
    bound: float
    off: float
    over: FloatArray
    mixed: tuple[IntArray, ...]

    @property
    def fractional(self) -> IntArray:
        """Layers with more than one choice."""
        return np.flatnonzero([choices.size > 1 for choices in self.mixed])

    def rounded(self) -> IntArray:
        """Return the smallest choice of each layer, ``(layers,)``."""
        return np.array([choices[0] for choices in self.mixed])


def relax(ready: Ready, near: Relaxed | None = None) -> Relaxed | None:
    """Return the linear relaxation, ``None`` if not even shares of choices keep the limits.

    Parameters
    ----------
    ready
        What is to be decided.
    near
        The relaxation of nearly the same, to begin with.
    """
    if not ready.room.size:
        return _priced(ready, np.empty(0), [np.array([k]) for k in ready.cost.argmin(axis=1)])
    if ready.room.size > 1:
        return _by_columns(ready, near)
    used, room = ready.used[0], float(ready.room[0])
    seen, price = _secants(ready.cost, used, room)
    over, within = seen[-2:]
    if not ready.keeps(within):
        return None
    return _priced(ready, np.array([price]), _crossed(ready, price, over, within))


def _priced(ready: Ready, price: FloatArray, mixed: list[IntArray]) -> Relaxed:
    bound, off, over = _bounded(ready, ready.cost, price)
    return Relaxed(price=price, bound=bound, off=off, over=over, mixed=tuple(mixed))


def _bounded(ready: Ready, cost: FloatArray, price: FloatArray) -> tuple[float, float, FloatArray]:
    """Return the bound of some prices, what rounding may do to it, and what choices are above."""
    priced = cost + np.tensordot(price, ready.used, axes=1)
    least = priced.min(axis=1)
    paid = float(price @ ready.room)
    off = _SUMMED * least.size * (float(np.abs(least).sum()) + paid)
    return float(least.sum()) - paid - off, off, priced - least[:, None]


def _secants(cost: FloatArray, used: FloatArray, room: float) -> tuple[list[IntArray], float]:
    """Return the choices met on the way to the best price of one limit, and this price.

    The last two are both cheapest at this price: the former uses more than the room, the latter
    does not. If the cheapest of all is within the room, it is both; if nothing is, the latter is
    what uses least.
    """
    layers = np.arange(cost.shape[0])
    over = _least(cost, used)
    if used[layers, over].sum() <= room:
        return [over, over], 0.0
    within = _least(np.where(np.isfinite(cost), used, np.inf), cost)
    seen, price = [over, within], 0.0
    if used[layers, within].sum() > room:
        return seen, price
    for _ in range(_MOST_ROUNDS):
        saved = float((cost[layers, within] - cost[layers, over]).sum())
        price = saved / float((used[layers, over] - used[layers, within]).sum())
        priced = cost + price * used
        at = _least(priced, used)
        if priced[layers, at].sum() >= priced[layers, over].sum() * (1 - _SUMMED * layers.size):
            break
        seen.append(at)
        if used[layers, at].sum() > room:
            over = at
        else:
            within = at
    return [*seen, over, within], price


def _least(first: FloatArray, second: FloatArray) -> IntArray:
    """Return the choice of each layer that is least in the first and, of these, in the second."""
    least = first == first.min(axis=1)[:, None]
    found: IntArray = np.where(least, second, np.inf).argmin(axis=1)
    return found


def _crossed(ready: Ready, price: float, over: IntArray, within: IntArray) -> list[IntArray]:
    """Return a vertex between two choices of all layers: they change layer by layer to the room."""
    layers, used, room = np.arange(over.size), ready.used[0], float(ready.room[0])
    more = used[layers, over] - used[layers, within]
    total = used[layers, within].sum() + np.cumsum(more)
    beyond = total > room
    last = int(np.argmax(beyond)) if beyond.any() else over.size
    mixed = [np.array([k]) for k in np.where(layers < last, over, within)]
    if last < over.size:
        wanted = used[last, within[last]] + room - (total[last] - more[last])
        mixed[last] = _around(ready, price, last, wanted, (over[last], within[last]))
    return mixed


def _around(
    ready: Ready, price: float, layer: int, wanted: float, ends: tuple[int, int]
) -> IntArray:
    """Return the cheapest choices of a layer that use just as much as wanted, more and less."""
    used = ready.used[0, layer]
    priced = ready.cost[layer] + price * used
    far = max(priced[end] for end in ends)
    cheap = priced <= far + _SUMMED * abs(far)
    less = int(np.where(cheap & (used <= wanted), used, -np.inf).argmax())
    more = int(np.where(cheap & (used >= wanted), used, np.inf).argmin())
    # Where the room is just used up, nothing is mixed.
    return np.array([less]) if used[less] == wanted else np.sort([less, more])


def _by_columns(ready: Ready, near: Relaxed | None) -> Relaxed | None:
    """Return the relaxation with several limits, choices added to a small program as they pay."""
    member = _suggested(ready, near)
    if not _made_possible(ready, member):
        return None
    bound, best = -np.inf, np.zeros(ready.room.size)
    for _ in range(_MOST_ROUNDS):
        share, price = _program(ready, ready.cost, member)
        for trial in (_sharpened(ready, share, price), price):
            now, _, over = _bounded(ready, ready.cost, trial)
            if now > bound:
                bound, best = now, trial
        if not _extended(member, over):
            break
    return _priced(ready, best, [np.flatnonzero(line > _SHARE) for line in share])


def _suggested(ready: Ready, near: Relaxed | None) -> BoolArray:
    """Return choices to begin with, ``(layers, choices)``."""
    member = np.zeros(ready.cost.shape, dtype=np.bool_)
    layers = np.arange(len(member))
    shares = ready.shares()
    if near is None:
        seen, _ = _secants(ready.cost, shares, float(ready.room.size))
    else:
        over = np.where(np.isfinite(ready.cost), near.over, np.inf)
        last = min(_SUGGESTED * layers.size, over.size - 1)
        most = np.partition(over.ravel(), last)[last]
        member |= (over <= most) & np.isfinite(over)
        seen = [over.argmin(axis=1), np.where(np.isfinite(over), shares, np.inf).argmin(axis=1)]
    for choice in seen:
        member[layers, choice] = True
    return member


def _made_possible(ready: Ready, member: BoolArray) -> bool:
    """Add choices until shares of them keep all limits; tell whether any do.

    It takes prices at which all that may be chosen uses more than there is to say that none do.
    """
    if ready.keeps(np.where(member, ready.shares(), np.inf).argmin(axis=1)):
        return True
    nothing = np.where(np.isfinite(ready.cost), 0.0, np.inf)
    for _ in range(_MOST_ROUNDS):
        share, price = _program(ready, nothing, member, elastic=True)
        short, _, over = _bounded(ready, nothing, price)
        if short > _SHARE:
            return False
        within = (ready.used * share).sum(axis=(1, 2)) <= ready.room * (1 + _SHARE)
        if within.all() or not _extended(member, over):
            return True
    return True


def _extended(member: BoolArray, over: FloatArray) -> bool:
    """Add the cheapest choice of each layer; tell whether any is new."""
    layers, at = np.arange(len(member)), over.argmin(axis=1)
    new = ~member[layers, at]
    member[layers, at] = True
    return bool(new.any())


def _program(
    ready: Ready, cost: FloatArray, member: BoolArray, elastic: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Return a vertex, the shares of some choices at least cost, and the prices of the limits.

    Parameters
    ----------
    ready
        What is to be decided, but for the cost.
    cost
        ``(layers, choices)``.
    member
        The choices.
    elastic
        Limits may be exceeded, all by one share, which costs 1.
    """
    # SciPy's solvers take a while to load, and one limit needs none.
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    layer, choice = np.nonzero(member)
    least = np.where(member, cost, np.inf).min(axis=1)
    above = cost[layer, choice] - least[layer]
    limits = ready.used[:, layer, choice] / ready.room[:, None]
    if elastic:
        above = np.append(above, 1.0)
        limits = np.column_stack([limits, -np.ones(len(limits))])
    scale = float(above.max()) or 1.0
    each = (np.ones(layer.size), (layer, np.arange(layer.size)))
    once = csr_array(each, shape=(len(member), above.size))
    full = np.ones(len(limits)), np.ones(len(member))
    answer = linprog(above / scale, limits, full[0], once, full[1], method="highs-ds")
    if answer.status != 0:
        raise BackendError("highs", str(answer.message), "scale costs and uses nearer to 1")
    share = np.zeros(member.shape)
    share[layer, choice] = answer.x[: layer.size]
    return share, np.maximum(0.0, -answer.ineqlin.marginals) * scale / ready.room


def _sharpened(ready: Ready, share: FloatArray, price: FloatArray) -> FloatArray:
    """Return the prices at which mixed choices cost the same, without the solver's rounding."""
    paid = np.flatnonzero(price > 0)
    ways, worth = [], []
    for layer in np.flatnonzero((share > _SHARE).sum(axis=1) > 1):
        first, *others = np.flatnonzero(share[layer] > _SHARE)
        for other in others:
            ways.append(ready.used[paid, layer, other] - ready.used[paid, layer, first])
            worth.append(ready.cost[layer, first] - ready.cost[layer, other])
    if not ways or not paid.size:
        return price
    room = ready.room[paid]
    found = np.zeros_like(price)
    found[paid] = np.linalg.lstsq(np.array(ways) / room, np.array(worth))[0] / room
    return np.maximum(0.0, found)
