"""The exact search of a knapsack over layers: sums that may end within a width of a bound.

A choice of all layers costs the bound, plus what its choices cost above their layers' cheapest at
the bound's prices, plus the priced room that it leaves. None of these is negative. So all that
costs at most a width more is found layer by layer, without sums that already cost more, that
cannot keep a limit, that must leave too much of one, or that another beats in cost and uses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from moeopt.committee.knapsack_ready import ROUNDING, Ready
from moeopt.committee.knapsack_relaxed import Relaxed
from moeopt.core.arrays import BoolArray, FloatArray, IntArray

#: Places on the axes on which sums are compared, for two rows and for three.
_PLACES = {2: (4096, 1), 3: (256, 256)}


@dataclass(frozen=True)
class Searched:
    """What a search within a width has found.

    Attributes
    ----------
    slots
        The best choice of all layers found, ``None`` if none.
    above
        No other choice costs less than the bound plus this.
    complete
        Whether all sums were kept: then `slots` is the best there is, or there is none within the
        width.
    looked
        Sums looked at.
    """

    slots: IntArray | None
    above: float
    complete: bool
    looked: int


@dataclass(frozen=True)
class _Sums:
    """Sums over the layers so far.

    Attributes
    ----------
    over, ahead
        Cost above the layers' cheapest, and with the priced room that must be left: what an end
        costs above the bound at least, ``(sums,)``.
    used
        ``(rows, sums)``.
    parent, choice
        The sum before, and the choice of the layer added, ``(sums,)``.
    """

    over: FloatArray
    ahead: FloatArray
    used: FloatArray
    parent: IntArray
    choice: IntArray

    def only(self, kept: IntArray | BoolArray) -> _Sums:
        """Return some of the sums."""
        over, ahead, used = self.over[kept], self.ahead[kept], self.used[:, kept]
        return _Sums(over, ahead, used, self.parent[kept], self.choice[kept])


def search(
    ready: Ready, relaxed: Relaxed, width: float, most: int, stop: Callable[[], bool]
) -> Searched | None:
    """Return the best choice that costs at most a width more than the bound; ``None`` if stopped.

    Parameters
    ----------
    ready, relaxed
        What is to be decided, and its bound with prices.
    width
        Cost above the bound.
    most
        Sums looked at for one layer; of more, those that may end cheapest.
    stop
        Asked before each layer.
    """
    width = width * (1 + ROUNDING)
    cores = [_core(ready, relaxed, layer, width) for layer in range(len(ready.cost))]
    if not all(core.size for core in cores):
        return Searched(None, width, True, 0)
    slots = np.array([core[0] for core in cores])
    # The choices of large layers reach far: behind them it shows early what cannot end well.
    order = sorted(range(len(cores)), key=lambda layer: -cores[layer].size)
    order = [layer for layer in order if cores[layer].size > 1]
    ends = _to_come(ready, cores, order)
    begun = _begun(ready, relaxed, slots, order)
    steps = [_viable(ready, relaxed, begun, ends[0], width)]
    above, looked = np.inf, 0
    for layer, end in zip(order, ends[1:], strict=True):
        if stop():
            return None
        over = relaxed.over[layer, cores[layer]]
        steps[-1], lost = _few(steps[-1], over, width, most)
        above = min(above, lost)
        sums = _added(steps[-1], over, ready.used[:, layer, cores[layer]], cores[layer], width)
        looked += sums.over.size
        steps.append(_viable(ready, relaxed, sums, end, width))
    if not steps[-1].over.size:
        return Searched(None, min(above, width), above == np.inf, looked)
    best = int(np.argmin(steps[-1].ahead))
    ended = float(steps[-1].ahead[best])
    slots[order] = _traced(steps, best)
    return Searched(slots, min(above, ended), above >= ended, looked)


def undominated(cost: FloatArray, used: FloatArray, whole: BoolArray) -> IntArray:
    """Return points that no other is seen to beat in cost and in every use.

    Parameters
    ----------
    cost
        ``(points,)``.
    used
        ``(rows, points)``, up to three rows.
    whole
        Rows of whole numbers, ``(rows,)``.
    """
    order = np.lexsort((cost, used[0]))
    kept = np.ones(cost.size, dtype=np.bool_)
    if len(used) == 1:
        kept[1:] = cost[order][1:] < np.minimum.accumulate(cost[order])[:-1]
    elif cost.size > 1:
        # Compiled code takes a while to load, and one row needs none.
        from moeopt.committee._kernels_knapsack import mark_undominated

        places = np.array(_PLACES[len(used)], dtype=np.int64)
        axes = np.zeros((2, cost.size))
        for axis in range(len(used) - 1):
            row = used[axis + 1, order]
            axes[axis] = _placed(row, bool(whole[axis + 1]), int(places[axis]))
        mark_undominated(cost[order], axes, places, kept)
    found: IntArray = order[kept]
    return found


def _placed(used: FloatArray, whole: bool, places: int) -> FloatArray:
    """Return where uses stand on an axis of so many places, which whole numbers fill if few."""
    low = float(used.min())
    step = (float(used.max()) - low) / (places - 1)
    return (used - low) / (max(1.0, step) if whole else step or 1.0)


def _core(ready: Ready, relaxed: Relaxed, layer: int, width: float) -> IntArray:
    """Return the choices of a layer that cost little more than its cheapest, ascending in that."""
    near = np.flatnonzero(relaxed.over[layer] <= width)
    near = near[undominated(ready.cost[layer, near], ready.used[:, layer, near], ready.whole)]
    found: IntArray = near[np.argsort(relaxed.over[layer, near], kind="stable")]
    return found


def _to_come(
    ready: Ready, cores: list[IntArray], order: list[int]
) -> list[tuple[FloatArray, FloatArray]]:
    """Return the least and the most that layers use from each in order on, and after the last."""
    ends = [(np.zeros(ready.room.size), np.zeros(ready.room.size))]
    for layer in reversed(order):
        used = ready.used[:, layer, cores[layer]]
        ends.append((ends[-1][0] + used.min(axis=1), ends[-1][1] + used.max(axis=1)))
    return ends[::-1]


def _begun(ready: Ready, relaxed: Relaxed, slots: IntArray, order: list[int]) -> _Sums:
    """Return the sum over the layers that are not in order: they have but these choices."""
    one = np.setdiff1d(np.arange(slots.size), order)
    over = np.array([relaxed.over[one, slots[one]].sum()])
    used = ready.used[:, one, slots[one]].sum(axis=1)[:, None]
    zero = np.zeros(1, dtype=np.int64)
    return _Sums(over, over, used, zero, zero)


def _viable(
    ready: Ready,
    relaxed: Relaxed,
    sums: _Sums,
    end: tuple[FloatArray, FloatArray],
    width: float,
) -> _Sums:
    """Return the sums that may end within the limits and the width, and that no other beats."""
    least, most = end
    # What later layers cannot use is left, and costs.
    left = np.maximum(0.0, (ready.room - most)[:, None] - sums.used)
    ahead = sums.over + relaxed.price @ left
    within = (sums.used <= (ready.room - least)[:, None]).all(axis=0)
    kept = np.flatnonzero(within & (ahead <= width))
    used = sums.used[:, kept]
    kept = kept[undominated(sums.over[kept] - relaxed.price @ used, used, ready.whole)]
    return replace(sums, ahead=ahead).only(kept)


def _few(sums: _Sums, over: FloatArray, width: float, most: int) -> tuple[_Sums, float]:
    """Return sums with at most so many followers, and what the others end above at least."""
    followers = np.searchsorted(over, width - sums.ahead, side="right")
    if followers.sum() <= most:
        return sums, np.inf
    order = np.argsort(sums.ahead, kind="stable")
    count = max(1, int(np.searchsorted(np.cumsum(followers[order]), most, side="right")))
    lost = float(sums.ahead[order[count]]) if count < order.size else np.inf
    return sums.only(order[:count]), lost


def _added(sums: _Sums, over: FloatArray, used: FloatArray, core: IntArray, width: float) -> _Sums:
    """Return the sums with a choice of one layer more, those of a cost within the width."""
    followers = np.searchsorted(over, width - sums.ahead, side="right")
    parent = np.repeat(np.arange(followers.size), followers)
    choice = np.arange(parent.size) - np.repeat(np.cumsum(followers) - followers, followers)
    total = sums.over[parent] + over[choice]
    return _Sums(total, total, sums.used[:, parent] + used[:, choice], parent, core[choice])


def _traced(steps: list[_Sums], entry: int) -> list[int]:
    """Return the choices that a sum was made of, in the order of the steps."""
    choices = []
    for sums in reversed(steps[1:]):
        choices.append(int(sums.choice[entry]))
        entry = int(sums.parent[entry])
    return choices[::-1]
