"""The linear relaxation of items of unequal size: a bound, and what heuristics round.

Links that are cut at a point of their way cost a share of a load. What is over a time is counted
by a running total instead of a sum over all links, which makes rows short; in an order that the
plan may choose, the linear model's own rows are taken.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np

from moeopt.buffering.exact_frame import Frame, start_relaxed
from moeopt.buffering.exact_rules import beside_loads, both_ways, load_cap, resident_ends
from moeopt.buffering.nodes import nodes_of
from moeopt.buffering.stream import Stream
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import BackendError
from moeopt.core.result import Status
from moeopt.mip import LinearModel, solve_model

_log = logging.getLogger(__name__)

#: Most nodes of a relaxation that is solved: some 20 s.
MOST_NODES = 80_000

#: What a solver's optimum may be off by, as a share.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A solution of the relaxation.

    Attributes
    ----------
    bound
        No schedule costs less.
    kept, there
        Share of each link that is kept, and of each node at which the item is there, ``(nodes,)``.
    """

    bound: float
    kept: FloatArray
    there: FloatArray


def relaxed(stream: Stream, time_limit_s: float | None = None) -> Relaxed | None:
    """Return the relaxation's optimum, or ``None`` if it is too large, too slow or not solved.

    Parameters
    ----------
    stream
        What the cache sees, of a stated room. Its references run as stated.
    time_limit_s
        Seconds, or ``None`` for no limit.
    """
    nodes = nodes_of(stream)
    if nodes.count > MOST_NODES:
        return None
    try:
        answer = solve_model(relaxation(stream), "highs", time_limit_s=time_limit_s)
    except BackendError as error:
        _log.info("no bound by the relaxation: %s", error)
        return None
    if answer.status is not Status.OPTIMAL or answer.x is None or answer.bound is None:
        return None
    kept, there = np.zeros(nodes.count), np.ones(nodes.count)
    links = nodes.links()
    kept[links] = answer.x[: links.size]
    if stream.serve == "bypass":
        there = answer.x[links.size : links.size + nodes.count]
    return Relaxed(rounded_up(answer.bound, stream), kept, there)


def relaxation(stream: Stream) -> LinearModel:
    """Return the relaxation; its first columns are links, then nodes with ``serve="bypass"``."""
    frame = start_relaxed(stream)
    load_cap(frame)
    resident_ends(frame)
    both_ways(frame)
    part = frame.tight[0]
    assert part.room is not None, "the relaxation is that of a stated room"
    nodes, size = part.nodes, part.size
    strictly = _running(frame, "u", 1)
    if stream.serve == "bypass":
        times = np.arange(nodes.times)
        frame.builder.add_rows(
            "C2",
            np.concatenate((times, nodes.time)),
            np.concatenate((strictly, part.stay)),
            np.concatenate((np.ones(times.size), size)),
            upper=np.full(times.size, part.room),
        )
    elif stream.any_order:
        _any_order_rows(frame, strictly)
    else:
        frame.builder.add_rows("C2", nodes.time, strictly, 1.0, upper=part.room - size)
    return frame.builder.build().relaxed()


def _any_order_rows(frame: Frame, strictly: IntArray) -> None:
    """Add what is there between groups, and while what is missing is loaded."""
    part = frame.tight[0]
    nodes, size, room = part.nodes, part.size, part.room or 0.0
    between = _running(frame, "w", 0)
    times = np.arange(nodes.times)
    frame.builder.add_rows("C2", times, between, 1.0, upper=np.full(times.size, room))
    both = np.flatnonzero(part.both >= 0)
    frame.builder.add_rows(
        "D4",
        np.concatenate((times, times, nodes.time[both])),
        np.concatenate((part.through, strictly, part.both[both])),
        np.concatenate((np.ones(times.size), -np.ones(times.size), -size[both])),
        lower=np.zeros(times.size),
    )
    row, column, value, upper = beside_loads(part)
    frame.builder.add_rows("C2", row, column, value, upper=upper)


def _running(frame: Frame, name: str, delay: int) -> IntArray:
    """Add columns for the total size of links over each time, and the rows that keep it.

    Parameters
    ----------
    frame, name
        The model, and the columns' name.
    delay
        1 to count a link strictly between its nodes, 0 to count it from its first node on.
    """
    part = frame.tight[0]
    nodes, links = part.nodes, part.nodes.links()
    total = frame.builder.add_columns(name, nodes.times)
    begin, end = nodes.time[links] + delay, nodes.time[nodes.after[links]]
    links, begin, end = links[begin < end], begin[begin < end], end[begin < end]
    times, size = np.arange(nodes.times), part.size[links]
    frame.builder.add_rows(
        "C2",
        np.concatenate((times, times[1:], begin, end)),
        np.concatenate((total, total[:-1], part.keep[links], part.keep[links])),
        np.concatenate((np.ones(times.size), -np.ones(times[1:].size), -size, size)),
        lower=np.zeros(times.size),
        upper=np.zeros(times.size),
    )
    return total


def rounded_up(bound: float, stream: Stream) -> float:
    """Return a bound of a stream's cost, rounded up if all its prices are whole."""
    prices = np.concatenate((stream.load_prices, stream.miss_prices))
    if not (prices % 1.0 == 0.0).all():
        return bound
    return float(math.ceil(bound - _ROUNDING * max(1.0, abs(bound))))
