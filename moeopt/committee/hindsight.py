"""The best committee in hindsight where losses add up: a flow for each layer, for every size.

A slot travels from update to update, serves what it holds and pays for what it loads (papers'
notes on arXiv:2308.15030, problem P2). It is the flow of `moeopt.buffering.flow` with the
importance of an expert in a window for the price of missing it. The link, which couples layers, is
not in it: what a flow costs is a lower bound for any committee with these slots, and its schedule
is of least cost if the link carries it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moeopt.buffering.flow import flow_curve, flow_within
from moeopt.buffering.stream import Schedule, Stream
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
    return [
        flow_curve(stream, out_of_time) for stream in layer_streams(problem, period, importance)
    ]


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
    parts, bound = [], 0.0
    streams = layer_streams(problem, period, importance)
    for stream, room in zip(streams, slots.tolist(), strict=True):
        flowed = flow_within(stream, room, out_of_time)
        parts.append(flowed.schedule)
        bound += flowed.bound
    return committee_of(slots, period, parts), bound


def layer_streams(
    problem: CommitteeProblem, period: int, importance: FloatArray | None = None
) -> list[Stream]:
    """Return each layer's windows as references of a cache, one for each expert of importance.

    Parameters
    ----------
    problem, period, importance
        As for `hindsight_curves`.
    """
    table = weights(problem) if importance is None else importance
    prices = problem.by_layer(problem.load_price)
    return [
        _stream(problem, layer, table[:, layer], prices[layer], period)
        for layer in range(problem.num_layers)
    ]


def committee_of(slots: IntArray, period: int, parts: list[Schedule]) -> CommitteePlan:
    """Return the plan of the layers' schedules.

    Parameters
    ----------
    slots
        Of each layer, ``(layers,)``.
    period
        Windows from one update to the next.
    parts
        What each layer loads and drops, in windows.
    """
    return CommitteePlan(
        period=period,
        slots=slots,
        loads=_rows([(part.load_at, part.load_item) for part in parts]),
        drops=_rows([(part.drop_at, part.drop_item) for part in parts]),
    )


def _stream(
    problem: CommitteeProblem, layer: int, importance: FloatArray, price: float, period: int
) -> Stream:
    window, expert = np.nonzero(importance)
    windows, experts = importance.shape
    at_window = np.bincount(window, minlength=windows)
    return Stream(
        cache=layer,
        items=expert,
        starts=np.concatenate(([0], np.cumsum(at_window))),
        groups=np.arange(windows),
        references=np.arange(expert.size),
        first_item=0,
        sizes=np.ones(experts),
        load_prices=np.full(experts, price),
        miss_prices=importance[window, expert],
        opens=np.arange(windows) % period == 0,
        pinned=np.zeros(experts, dtype=np.bool_),
        capacity=None,
        serve="bypass",
        free_fill=problem.free_fill,
    )


def _rows(parts: list[tuple[IntArray, IntArray]]) -> IntArray:
    """Return rows of window, layer and expert in rising order."""
    columns = [
        np.column_stack((at, np.full(at.size, layer), item))
        for layer, (at, item) in enumerate(parts)
    ]
    rows = np.concatenate(columns) if columns else np.zeros((0, 3), dtype=np.int64)
    order = np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))
    return rows[order].astype(np.int64)
