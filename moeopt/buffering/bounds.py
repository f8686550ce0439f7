"""What no plan can beat: lower bounds of the objective, each with its argument.

Items of one size in the stated order have their optimum itself. Every other case is a relaxation
that is a flow again: rooms that are counted at once are a path, whatever is kept spans a part of
it, and a share of an item may be kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from moeopt.buffering._kernels_ahead import furthest_out, next_uses
from moeopt.buffering.flow import (
    STAY,
    WAIT,
    Graph,
    arcs_of,
    bypass_graph,
    costs_of,
    flow_curve,
    graph_of,
    next_reference,
    proven,
    sorted_graph,
)
from moeopt.buffering.planning import split_slots
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import Stream, streams
from moeopt.core.arrays import FloatArray, IntArray, read_only

#: Most arcs times units of room in the flows of one problem: each costs a tenth of a microsecond.
MOST_STEPS = 200_000_000

#: Such steps in a second, cautiously.
_STEPS_PER_S = 5e6

#: Most units into which the room of a cache with items of several sizes is divided.
MOST_UNITS = 512

#: Most references, counted once for each, that prices are told apart by.
_LAYERED = 4_000_000

#: Most prices that are told apart where flows would take too long.
_LEVELS = 8


def bound(problem: BufferingProblem, time_limit_s: float | None = None) -> float:
    """Return a lower bound of the problem's objective; any holds if it has no plan.

    Caches meet only in a budget. Without one their bounds are summed up; with one the best split of
    it by their bounds is one.

    Parameters
    ----------
    problem
        What was asked.
    time_limit_s
        Seconds that flows may take, about: with few of them the bound is a cheap one.
    """
    parts = streams(problem)
    if problem.budget_bytes is None:
        return bound_within(parts, time_limit_s)
    units, out_of_time = _allowed(parts, time_limit_s)
    return _budget_bound(problem, parts, units, out_of_time)


def bound_within(parts: Sequence[Stream], time_limit_s: float | None = None) -> float:
    """Return the sum of the bounds of some caches of stated room that the time allows.

    Parameters
    ----------
    parts
        What the caches see.
    time_limit_s
        As for `bound`.
    """
    units, out_of_time = _allowed(parts, time_limit_s)
    return float(sum(cache_bound(part, units, out_of_time) for part in parts))


def _allowed(parts: Sequence[Stream], time_limit_s: float | None) -> tuple[int, Callable[[], bool]]:
    """Return how many units of flow there is time for in each cache, and what tells its end."""
    until_s = math.inf if time_limit_s is None else time.perf_counter() + time_limit_s
    steps = MOST_STEPS
    if time_limit_s is not None:
        steps = int(min(steps, time_limit_s * _STEPS_PER_S))
    units = steps // max(1, sum(map(arcs_of, parts)))
    return units, lambda: time.perf_counter() > until_s


def cache_bound(
    stream: Stream, units: int = MOST_UNITS, out_of_time: Callable[[], bool] = lambda: False
) -> float:
    """Return a lower bound of what a cache of stated room costs.

    Parameters
    ----------
    stream
        What the cache sees.
    units
        Most units of flow that may be sent; with fewer than needed the bound is lower.
    out_of_time
        Asked now and then; when it is so, the bound is that of what was sent.
    """
    free = stream.items[~stream.pinned[stream.items]]
    if not free.size or stream.capacity is None:
        return 0.0
    sizes = np.unique(stream.sizes[np.unique(free)])
    room = stream.capacity - float(stream.sizes[stream.pinned].sum())
    slots = min(int(room // sizes[0]), stream.num_items)
    if slots < (stream.serve == "load"):
        return cold_bound(stream)
    in_order = sizes.size == 1 and not stream.any_order
    if in_order and stream.serve == "load" and np.unique(stream.load_prices[free]).size == 1:
        return layered_bound(stream, slots)
    best = cold_bound(stream) if stream.any_order else _cheap_bound(stream, slots)
    if units <= 0:
        return best
    if in_order:
        graph = graph_of(stream)
        most = slots + int(stream.pinned.sum()) - graph.spare
        return max(best, _after(graph, most, units, out_of_time))
    return max(best, _relaxed(stream, room, min(units, MOST_UNITS), out_of_time))


def cold_bound(stream: Stream) -> float:
    """Return what is paid whatever is kept.

    With ``serve="load"`` the first load of every expert that is asked for. With ``"bypass"`` an
    expert is loaded once, or all its references are served without it.
    """
    free = ~stream.pinned[stream.items]
    if stream.serve == "load":
        return float(stream.load_prices[np.unique(stream.items[free])].sum())
    missed = np.bincount(stream.items[free], stream.miss_prices[free], stream.num_items)
    price = np.zeros(stream.num_items) if stream.free_fill else stream.load_prices
    return float(np.minimum(missed, price).sum())


def layered_bound(stream: Stream, slots: int) -> float:
    """Return the sum of Belady's misses over levels of price, for items of one size in order.

    An item of price ``p`` pays for each level up to ``p`` how much that level is above the one
    below. What a level pays is at least what it would if the items below it took no room, and that
    is Belady's number of misses. With one price it is the optimum.

    Parameters
    ----------
    stream
        What the cache sees, ``serve="load"``.
    slots
        Room for items that are not pinned.
    """
    items = stream.items[~stream.pinned[stream.items]]
    prices = stream.load_prices
    levels = np.unique(prices[items])
    most = int(np.clip(_LAYERED // max(1, items.size), 1, _LEVELS))
    if levels.size > most:
        # The lowest, which everyone pays, and some above it.
        levels = levels[np.linspace(0, levels.size - 1, most + 1).astype(np.int64)[:-1]]
    total, below = 0.0, 0.0
    pinned = np.zeros(prices.size, dtype=np.bool_)
    for level in levels:
        asked = items[prices[items] >= level].astype(np.int32)
        following = next_uses(asked, prices.size)
        misses = furthest_out(asked, following, read_only(prices), pinned, slots, False)[0]
        total += (float(level) - below) * misses
        below = float(level)
    return total


def _budget_bound(
    problem: BufferingProblem,
    parts: tuple[Stream, ...],
    units: int,
    out_of_time: Callable[[], bool],
) -> float:
    """Return the cost of the best split of the budget, from each layer's bounds for all slots."""
    sizes = problem.sizes_bytes().max(axis=1)
    curves = []
    for part in parts:
        cold = cold_bound(part)
        curve = np.full(part.num_items + 1, cold)
        if units > 0 and not out_of_time():
            curve_of = _any_order_curve if part.any_order else flow_curve
            curve = np.maximum(curve_of(part, out_of_time), cold)
        curves.append(curve)
    budget = float(problem.budget_bytes or 0)
    fewest = [int(np.argmax(np.isfinite(curve))) for curve in curves]
    if float(fewest @ sizes) > budget:
        return float(sum(cold_bound(part) for part in parts))
    total = sum(float(curve[np.isfinite(curve)][0]) for curve in curves)
    return proven(split_slots(curves, sizes, budget).cost, total)


def _cheap_bound(stream: Stream, slots: int) -> float:
    """Return the better of what is paid whatever is kept, and a bound of small items in order.

    If all items were as small as the smallest, what fits would fit still. So with ``"load"`` the
    bound by levels holds, and with ``"bypass"`` a group finds no more than so many experts.
    """
    cold = cold_bound(stream)
    if stream.serve == "load":
        return max(cold, layered_bound(stream, slots))
    free = np.flatnonzero(~stream.pinned[stream.items])
    group, price = stream.group_of()[free], stream.miss_prices[free]
    dearest = np.lexsort((-price, group))
    first = np.searchsorted(group, group)
    beyond = np.arange(free.size) - first >= slots
    return max(cold, float(price[dearest][beyond].sum()))


def _any_order_curve(stream: Stream, out_of_time: Callable[[], bool]) -> FloatArray:
    """Return the bound of every number of slots if references of a group may run in any order."""
    pins = int(stream.pinned.sum())
    sizes = np.ones(stream.num_items, dtype=np.int64)
    graph = load_relaxation(stream, sizes)
    costs = costs_of(graph, stream.num_items - pins, out_of_time)
    curve = np.full(stream.num_items + 1, np.inf)
    least = 1 if graph.tail.size else 0
    curve[pins + least :] = costs[least:]
    return curve


def _after(graph: Graph, slots: int, units: int, out_of_time: Callable[[], bool]) -> float:
    """Return a bound for so many slots, of which so many units are sent."""
    known = min(slots, units)
    costs = costs_of(graph, known, out_of_time)
    # No slot saves more than the one before.
    left = (slots - known) * (costs[-2] - costs[-1]) if slots > known > 0 else 0.0
    return proven(max(0.0, float(costs[-1] - left)), graph.base)


def _relaxed(stream: Stream, room: float, units: int, out_of_time: Callable[[], bool]) -> float:
    """Return the value of the flow in which sizes are rounded down to `units` of the room."""
    free = ~stream.pinned
    sizes = np.where(free, stream.sizes, 0.0).astype(np.int64)
    unit = int(np.gcd.reduce(sizes))
    if np.unique(sizes[free]).size > 1:
        unit *= max(1, -(-int(room) // (unit * units)))
    sizes //= unit
    graph = (load_relaxation if stream.serve == "load" else bypass_relaxation)(stream, sizes)
    return _after(graph, min(int(room) // unit, int(sizes.sum())), units, out_of_time)


def load_relaxation(stream: Stream, sizes: IntArray) -> Graph:
    """Return the flow that bounds ``serve="load"`` for items of any size, and for any order.

    A *moment* is a reference, or a group if its references may run in any order. Between moments
    what is kept fits into the room; at a moment what is kept across it fits beside the largest item
    that is asked for then. That much room gets a reward at each moment, the largest price of a unit
    of size: to give up a unit of something that is kept costs no more, so in some optimum that room
    is left. A unit of something is kept for a share of its price.

    Parameters
    ----------
    stream
        What the cache sees.
    sizes
        Of each item in units, rounded down, ``(items,)``; what takes no unit is kept for nothing.
    """
    free = np.flatnonzero(~stream.pinned[stream.items])
    items = stream.items[free]
    moment = np.arange(free.size)
    if stream.any_order:
        moment = np.unique(stream.group_of()[free], return_inverse=True)[1]
    following = next_reference(items)
    begin = np.flatnonzero(following < free.size)
    size, price = sizes[items], stream.load_prices[items]
    weightless = begin[size[begin] == 0]
    begin = begin[size[begin] > 0]
    moments = int(moment[-1]) + 1 if free.size else 0
    runs = np.zeros(moments, dtype=np.int64)
    np.maximum.at(runs, moment, size)
    reward = float((price[begin] / size[begin]).max(initial=0.0))
    every, most = np.arange(moments), max(1, int(sizes.sum()))
    return sorted_graph(
        nodes=max(1, 2 * moments),
        parts=(
            (WAIT, 2 * every, 2 * every + 1, -reward, runs, -1, every),
            (WAIT, 2 * every, 2 * every + 1, 0.0, most, -1, every),
            (WAIT, 2 * every[:-1] + 1, 2 * every[1:], 0.0, most, -1, every[:-1]),
            (
                STAY,
                2 * moment[begin] + 1,
                2 * moment[following[begin]],
                -price[begin] / size[begin],
                size[begin],
                items[begin],
                moment[begin],
            ),
        ),
        base=float(price.sum() - price[weightless].sum() + reward * runs.sum()),
        spare=0,
    )


def bypass_relaxation(stream: Stream, sizes: IntArray) -> Graph:
    """Return the flow that bounds ``serve="bypass"`` for items of any size.

    A unit of an item serves a share of its references, and as many units may be loaded before a
    group as the largest items have that may.

    Parameters
    ----------
    stream, sizes
        As for `load_relaxation`.
    """
    graph = bypass_graph(stream)
    largest = max(1, int(sizes.max(initial=0)))
    carried = graph.item >= 0
    size = np.where(carried, sizes[graph.item], 1)
    there = size > 0
    saved = float(graph.cost[~there & (graph.cost < 0)].sum())
    return replace(
        graph,
        tail=graph.tail[there],
        head=graph.head[there],
        cost=graph.cost[there] / size[there],
        room=np.where(carried, size, largest * graph.room)[there],
        kind=graph.kind[there],
        item=graph.item[there],
        time=graph.time[there],
        base=graph.base + saved,
    )
