"""The best committee in hindsight where losses add up: a flow for each layer, for every size.

A slot travels from update to update, serves what it holds and pays for what it loads. It is the
flow of `moeopt.buffering.flow` with what an expert weighs until the next update for the price of
missing it; where loads are free, each update has its best. The link, which couples layers, is not
in it: what a flow costs is a lower bound for any committee with these slots, and its schedule is of
least cost if the link carries it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moeopt.buffering.flow import flow_curve, flow_within, proven
from moeopt.buffering.stream import Stream
from moeopt.committee.loss import weights
from moeopt.committee.plan import CommitteePlan
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray


def hindsight_curves(
    problem: CommitteeProblem,
    period: int = 1,
    importance: FloatArray | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> list[FloatArray]:
    """Return the least cost of 0, 1, ... slots of each layer, ``(experts + 1,)`` each.

    Non-increasing and convex. When time is up the rest is what no schedule costs less than.

    Parameters
    ----------
    problem
        Windows and prices; its loss must not be a table.
    period
        Windows from one update to the next.
    importance
        What the absence of each expert costs in each window, ``(windows, layers, experts)``. Left
        out, eq. 1's, counted from the router if that is what the problem has.
    out_of_time
        Asked now and then.
    """
    served = _served(problem, period, importance)
    curves = []
    for layer, price in enumerate(problem.by_layer(problem.load_price).tolist()):
        worth = served[:, layer]
        if price == 0.0:
            curves.append(_unpaid_curve(worth))
        else:
            stream = _stream(worth, layer, price, problem.free_fill)
            curves.append(flow_curve(stream, out_of_time))
    return curves


def hindsight_schedule(
    problem: CommitteeProblem,
    slots: IntArray,
    period: int = 1,
    importance: FloatArray | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> tuple[CommitteePlan, float]:
    """Return a schedule of least cost for these slots, and a lower bound: its cost, if in time.

    Parameters
    ----------
    problem, period, importance, out_of_time
        As for `hindsight_curves`.
    slots
        Of each layer, ``(layers,)``.
    """
    served = _served(problem, period, importance)
    prices = problem.by_layer(problem.load_price).tolist()
    parts, bound = [], 0.0
    for layer, (price, room) in enumerate(zip(prices, slots.tolist(), strict=True)):
        worth = served[:, layer]
        if price == 0.0:
            parts.append(_unpaid_changes(worth, room))
            cost = float(_unpaid_curve(worth)[min(room, worth.shape[1])])
            bound += proven(cost, float(worth.sum()))
            continue
        flowed = flow_within(_stream(worth, layer, price, problem.free_fill), room, out_of_time)
        part = flowed.schedule
        loads = np.column_stack((part.load_at, part.load_item))
        parts.append((loads, np.column_stack((part.drop_at, part.drop_item))))
        bound += flowed.bound
    loads, drops = (_rows([part[k] for part in parts], period) for k in range(2))
    return CommitteePlan(period=period, slots=slots, loads=loads, drops=drops), bound


def unpaid_curves(importance: FloatArray, period: int, fill: FloatArray) -> list[FloatArray]:
    """Return what 0, 1, ... slots cost where loads after the first are free, ``(experts + 1,)``.

    Each update has its best committee. Who is there at any time was loaded once.

    Parameters
    ----------
    importance, period
        As for `hindsight_curves`.
    fill
        Price of the first load of an expert in each layer, ``(layers,)``; 0 where it is free.
    """
    starts = np.arange(0, len(importance), period)
    served = np.add.reduceat(importance, starts, axis=0)
    curves = [_unpaid_curve(served[:, layer]) for layer in range(fill.size)]
    return [filled(curve, price) for curve, price in zip(curves, fill.tolist(), strict=True)]


def filled(curve: FloatArray, price: float) -> FloatArray:
    """Return a bound of losses of 0, 1, ... members with the price of a first load of each.

    Slots may stay empty, if that is cheaper.

    Parameters
    ----------
    curve
        What no committee of so many loses less than, ``(experts + 1,)``, never rising.
    price
        Of a load.
    """
    return np.minimum.accumulate(curve + price * np.arange(curve.size))


def _served(problem: CommitteeProblem, period: int, importance: FloatArray | None) -> FloatArray:
    """Return what each expert is worth from update to update, ``(updates, layers, experts)``."""
    table = weights(problem) if importance is None else importance
    sums: FloatArray = np.add.reduceat(table, np.arange(0, len(table), period), axis=0)
    return sums


def _unpaid_curve(worth: FloatArray) -> FloatArray:
    """Return what 0, 1, ... slots of a layer cost where loads are free: each update's best stay."""
    lost = np.cumsum(np.sort(worth, axis=1), axis=1).sum(axis=0)[::-1]
    return np.concatenate((lost, [0.0]))


def _unpaid_changes(worth: FloatArray, room: int) -> tuple[IntArray, IntArray]:
    """Return loads and drops that have each update's best there, rows of update and expert.

    Of experts that are worth the same, who is there stays; nobody comes for nothing.
    """
    there = np.zeros((len(worth) + 1, worth.shape[1]), dtype=np.bool_)
    for update, now in enumerate(worth):
        before = there[update]
        best = np.lexsort((~before, -now))[:room]
        there[update + 1, best] = (now[best] > 0) | before[best]
    return np.argwhere(there[1:] & ~there[:-1]), np.argwhere(there[:-1] & ~there[1:])


def _stream(worth: FloatArray, layer: int, price: float, free_fill: bool) -> Stream:
    """Return a layer's updates as references of a cache, one for each expert of importance."""
    update, expert = np.nonzero(worth)
    updates, experts = worth.shape
    at_update = np.bincount(update, minlength=updates)
    return Stream(
        cache=layer,
        items=expert,
        starts=np.concatenate(([0], np.cumsum(at_update))),
        groups=np.arange(updates),
        references=np.arange(expert.size),
        first_item=0,
        sizes=np.ones(experts),
        load_prices=np.full(experts, price),
        miss_prices=worth[update, expert],
        opens=np.ones(updates, dtype=np.bool_),
        pinned=np.zeros(experts, dtype=np.bool_),
        capacity=None,
        serve="bypass",
        free_fill=free_fill,
    )


def _rows(parts: list[IntArray], period: int) -> IntArray:
    """Return rows of window, layer and expert, in rising order, of each layer's changes."""
    columns = [
        np.column_stack((period * part[:, 0], np.full(len(part), layer), part[:, 1]))
        for layer, part in enumerate(parts)
    ]
    rows = np.concatenate(columns)
    order = np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))
    return rows[order].astype(np.int64)
