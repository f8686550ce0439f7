"""Branch and bound for a knapsack over layers: what a search does not finish is cut in two.

The search over sums is strong where choices differ little, and weak where the relaxation mixes
choices far apart, few slots with many. There one layer's choices are cut between the two, which
lifts the bounds of both parts.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from moeopt.committee.knapsack_changes import improved, repaired
from moeopt.committee.knapsack_labels import search
from moeopt.committee.knapsack_ready import ROUNDING, Ready
from moeopt.committee.knapsack_relaxed import Relaxed, relax
from moeopt.core.arrays import IntArray

#: Sums looked at for one layer of a node, where choices far apart are mixed and where not.
_FEW, _MOST = 2_000, 20_000

#: Choices of a layer, on average, within the first width that is searched.
_NEAR = 2

#: The first width is at least this share of the last.
_NARROW = 1e-6

#: Widths grow by this.
_WIDER = 2.0


@dataclass(frozen=True)
class Solved:
    """What branch and bound has found.

    Attributes
    ----------
    slots
        The best choice of each layer found, ``(layers,)``; ``None`` if none.
    cost
        Of it, ``inf`` if none.
    bound
        No choice within the limits costs less; ``inf`` if there is none.
    """

    slots: IntArray | None
    cost: float
    bound: float


def solved(ready: Ready, relaxed: Relaxed, effort: int, stop: Callable[[], bool]) -> Solved:
    """Return the best choice of all layers, or the best found when an end is put to it.

    Parameters
    ----------
    ready, relaxed
        What is to be decided, and its relaxation.
    effort
        Sums and choices that may be looked at, in all.
    stop
        Asked all the time.
    """
    tree = _Tree(ready, relaxed, effort, stop)
    tree.grow()
    return Solved(tree.slots, tree.cost, min(tree.cost, tree.bound()))


@dataclass(frozen=True)
class _Node:
    """A part of the choices, its relaxation, and what nothing in it costs less than."""

    ready: Ready
    relaxed: Relaxed
    bound: float


class _Tree:
    """Open nodes by their bounds, and the best choice so far."""

    def __init__(
        self, ready: Ready, relaxed: Relaxed, effort: int, stop: Callable[[], bool]
    ) -> None:
        self.slots: IntArray | None = None
        self.cost = np.inf
        self.left = effort
        self.stop = stop
        self.off = 2.0 * relaxed.off
        self.number = itertools.count()
        self.open: list[tuple[float, float, int, _Node]] = []
        # What uses little of everything keeps the limits, if anything simple does.
        self.meet(ready, np.where(np.isfinite(ready.cost), ready.shares(), np.inf).argmin(axis=1))
        for ends in itertools.product(*({c[0], c[-1]} for c in relaxed.mixed)):
            self.meet(ready, repaired(ready, relaxed, np.array(ends)))
        self.add(ready, relaxed, relaxed.bound)

    def bound(self) -> float:
        """Return what nothing in open nodes costs less than."""
        return self.open[0][0] if self.open else np.inf

    def done(self, bound: float) -> bool:
        """Tell whether nothing of this bound is better than what was found."""
        if self.cost == np.inf:
            return False
        return bound >= self.cost - ROUNDING * abs(self.cost) - self.off

    def meet(self, ready: Ready, slots: IntArray | None) -> None:
        """Take a choice as the best, once improved, if it is and keeps the limits."""
        if slots is None or not ready.keeps(slots):
            return
        slots = improved(ready, slots)
        if (cost := ready.cost_of(slots)) < self.cost:
            self.slots, self.cost = slots, cost

    def add(self, ready: Ready, relaxed: Relaxed, bound: float) -> None:
        """Open a node, unless nothing in it is better than what was found."""
        self.left -= ready.cost.size
        self.meet(ready, repaired(ready, relaxed, relaxed.rounded()))
        bound = ready.raised(max(bound, relaxed.bound), self.off)
        if not self.done(bound):
            # Of equal bounds, as whole costs have, that of the lesser relaxation comes first.
            node = _Node(ready, relaxed, bound)
            heapq.heappush(self.open, (bound, relaxed.bound, next(self.number), node))

    def grow(self) -> None:
        """Search and cut open nodes, the least bound first, to the end or until told to stop."""
        while self.open and not self.done(self.bound()):
            if self.left <= 0 or self.stop():
                return
            node = self.open[0][-1]
            above = self.searched(node.ready, node.relaxed)
            if above is None:
                return
            heapq.heappop(self.open)
            if above < np.inf:
                self.cut(replace(node, bound=max(node.bound, node.relaxed.bound + above)))
        self.open.clear()

    def searched(self, ready: Ready, relaxed: Relaxed) -> float | None:
        """Return what a node costs above its bound at least, ``inf`` if it is done with.

        ``None`` if the search was stopped.
        """
        chosen = np.isfinite(ready.cost)
        largest = float(np.where(chosen, relaxed.over, 0.0).max(axis=1).sum())
        largest += float(relaxed.price @ ready.room)
        over = np.sort(relaxed.over[chosen & (relaxed.over > 0)])
        width = over[min(over.size - 1, _NEAR * len(chosen))] if over.size else largest
        most = _FEW if max(c[-1] - c[0] for c in relaxed.mixed) > 1 else _MOST
        while True:
            # What costs more than the next below the best found is not worth looking at.
            last = min(largest, self.cost - ready.step - relaxed.bound + self.off)
            width = min(max(width, _NARROW * last), last)
            found = search(ready, relaxed, width, most, self.stop)
            if found is None:
                return None
            self.left -= found.looked
            self.meet(ready, found.slots)
            if not found.complete:
                return found.above
            if found.slots is not None or width >= last:
                return np.inf
            width *= _WIDER

    def cut(self, node: _Node) -> None:
        """Open the two parts of a node."""
        layer, last = _between(node, self.cost)
        for part in (slice(last + 1, None), slice(0, last + 1)):
            cost = node.ready.cost.copy()
            cost[layer, part] = np.inf
            ready = replace(node.ready, cost=cost)
            relaxed = relax(ready, node.relaxed) if np.isfinite(cost[layer]).any() else None
            if relaxed is not None:
                self.add(ready, relaxed, node.bound)


def _between(node: _Node, cost: float) -> tuple[int, int]:
    """Return a layer, and the last of its choices in the first of two parts."""
    mixed = node.relaxed.mixed
    layer = int(np.argmax([choices[-1] - choices[0] for choices in mixed]))
    if mixed[layer].size > 1:
        return layer, int(mixed[layer][0] + mixed[layer][-1]) // 2
    # Nothing is mixed: the layer of most choices that may be part of something better.
    near = np.isfinite(node.ready.cost) & (node.relaxed.bound + node.relaxed.over <= cost)
    layer = int(np.argmax(near.sum(axis=1)))
    choices = np.flatnonzero(near[layer])
    return layer, int(choices[(choices.size - 1) // 2])
