"""Schedules for items of unequal size, and how far from the optimum they can be.

To choose them is NP-hard. Two heuristics that know the future: drop what is farthest, largest and
cheapest first; and take links in order of their value in the linear relaxation, the bound. Either
is improved item by item, each being given the best that the others leave room for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from moeopt.buffering._kernels_sizes import accept, farthest_first, improve, occupy
from moeopt.buffering.exact_frame import units_of
from moeopt.buffering.nodes import Choice, choice_of, nodes_of, order_of, schedule_of
from moeopt.buffering.sizes_bound import Relaxed, relaxed
from moeopt.buffering.stream import Schedule, Stream
from moeopt.core.arrays import FloatArray, IntArray

#: Most rounds over all items.
_ROUNDS = 20

#: Orders that are tried where references run in any.
_ORDERS = 4

#: From this share on a link of the relaxation counts as kept.
_HALF = 0.5

#: What a round must save to be followed by another, as a share of the cost.
_WORTH = 1e-9


@dataclass(frozen=True)
class Sized:
    """A schedule of one cache.

    Attributes
    ----------
    schedule
        What the cache does.
    cost
        What it costs.
    bound
        No schedule costs less; ``None`` if the relaxation was not solved.
    """

    schedule: Schedule
    cost: float
    bound: float | None


def sized_schedule(stream: Stream, time_limit_s: float | None = None) -> Sized:
    """Return the better of both heuristics' schedules, and the relaxation's bound.

    Parameters
    ----------
    stream
        What the cache sees, of a stated room that lets every reference be served.
    time_limit_s
        Seconds for the relaxation; ``None`` for no limit. A stream that is too large has none.
    """
    first, cost = clairvoyant_schedule(stream)
    answer = relaxed(stream, time_limit_s)
    if answer is None:
        return Sized(first, cost, None)
    second, other = rounded_schedule(stream, answer)
    if other < cost:
        first, cost = second, other
    return Sized(first, cost, min(answer.bound, cost))


def clairvoyant_schedule(
    stream: Stream, out_of_time: Callable[[], bool] = lambda: False
) -> tuple[Schedule, float]:
    """Return a schedule made by looking at next references, and its cost.

    With ``serve="load"`` what is dropped for an item is the one whose next reference's distance
    times its size over its price is largest (Belady's rule at equal sizes and prices), until the
    item fits. With ``"bypass"`` links and references are taken in order of what they save for each
    unit of room and time. Where references run in any order, those that found their item run first
    in the next attempt.

    Parameters
    ----------
    stream
        As for `sized_schedule`.
    out_of_time
        Asked now and then; when it is so, nothing is improved further.
    """
    if not stream.any_order:
        return _clairvoyant(stream, out_of_time)
    order = np.arange(stream.items.size)
    schedule, cost = _clairvoyant(in_order(stream, order), out_of_time)
    best, best_cost = replace(schedule, order=order), cost
    for _ in range(_ORDERS):
        if out_of_time():
            break
        nodes = nodes_of(stream)
        choice = choice_of(stream, nodes, replace(schedule, order=order))
        order = order_of(stream, nodes, choice.stayed(nodes), choice.kept)
        schedule, cost = _clairvoyant(in_order(stream, order), out_of_time)
        if cost < best_cost:
            best, best_cost = replace(schedule, order=order), cost
    return best, best_cost


def rounded_schedule(stream: Stream, answer: Relaxed) -> tuple[Schedule, float]:
    """Return a schedule made from a solution of the relaxation, and its cost."""
    if not stream.any_order:
        return _rounded(stream, answer.kept, answer.there)
    nodes = nodes_of(stream)
    found = np.zeros(nodes.count)
    links = nodes.links()
    found[nodes.after[links]] = answer.kept[links]
    order = order_of(stream, nodes, found > _HALF, answer.kept > _HALF)
    # Nodes are the references that are not pinned, in the order in which they run.
    node = np.full(stream.items.size, -1)
    node[nodes.reference] = np.arange(nodes.count)
    ran = node[order]
    ran = ran[ran >= 0]
    schedule, cost = _rounded(in_order(stream, order), answer.kept[ran], answer.there[ran])
    return replace(schedule, order=order), cost


def in_order(stream: Stream, order: IntArray) -> Stream:
    """Return a stream whose references stand in this order and stay there."""
    return replace(
        stream,
        items=stream.items[order],
        miss_prices=stream.miss_prices[order],
        any_order=False,
    )


def _clairvoyant(stream: Stream, out_of_time: Callable[[], bool]) -> tuple[Schedule, float]:
    work = _Work(stream)
    nodes = work.nodes
    if stream.serve == "load":
        kept = np.zeros(nodes.count, dtype=np.bool_)
        farthest_first(nodes.item, work.size, nodes.after, nodes.load_price, work.room, kept)
        return work.finished(Choice(np.ones(nodes.count, dtype=np.bool_), kept), out_of_time)
    return work.finished(work.taken(*work.worth()), out_of_time)


def _rounded(stream: Stream, kept: FloatArray, there: FloatArray) -> tuple[Schedule, float]:
    work = _Work(stream)
    links, singles = work.worth()
    # What they are worth decides between equal values.
    largest = 1.0 + max(links.max(initial=0.0), singles.max(initial=0.0))
    kept, there = kept.round(6), there.round(6)
    links = np.where(kept > 0, kept + 1e-6 * links / largest, 0.0)
    singles = np.where(there > 0, there + 1e-6 * singles / largest, 0.0)
    return work.finished(work.taken(links, singles))


class _Work:
    """The plain arrays of one stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.nodes = nodes_of(stream)
        sizes, room = units_of(stream)
        assert room is not None, "heuristics need a stated room"
        self.size: FloatArray = sizes[self.nodes.item]
        self.room = room - float(sizes[stream.pinned].sum())
        self.cap = stream.num_items if stream.loads_per_group is None else stream.loads_per_group
        self.must = stream.serve == "load"

    def worth(self) -> tuple[FloatArray, FloatArray]:
        """Return what links, and single nodes, save for each unit of room and time."""
        nodes = self.nodes
        links, saved = nodes.links(), np.zeros(nodes.count)
        then = nodes.after[links]
        price = nodes.load_price if self.must else nodes.miss_price
        saved[links] = price[then] / (self.size[links] * (nodes.time[then] - nodes.time[links]))
        alone = np.maximum(nodes.miss_price - nodes.load_price, 0.0) / self.size
        return saved, alone

    def taken(self, links: FloatArray, singles: FloatArray) -> Choice:
        """Return what fits, in falling order of two values; what has none is not looked at."""
        nodes = self.nodes
        values = np.concatenate((links, np.zeros(0) if self.must else singles))
        candidates = np.concatenate((np.arange(nodes.count), ~np.arange(nodes.count)))
        order = np.argsort(-values, kind="stable")
        chosen = candidates[order[: int((values > 0).sum())]]
        there, kept = np.full(nodes.count, self.must), np.zeros(nodes.count, dtype=np.bool_)
        used, loads = self._occupied(Choice(there, kept))
        accept(
            chosen, nodes.time, self.size, nodes.before, nodes.after, self.room, self.cap,
            there, kept, used, loads,
        )  # fmt: skip
        return Choice(there, kept)

    def finished(
        self, choice: Choice, out_of_time: Callable[[], bool] = lambda: False
    ) -> tuple[Schedule, float]:
        """Return the schedule of a choice that was improved as far as single items go."""
        nodes = self.nodes
        there, kept = choice.there.copy(), choice.kept.copy()
        used, loads = self._occupied(choice)
        for _ in range(_ROUNDS):
            if out_of_time():
                break
            saved = improve(
                self._first(), nodes.time, self.size, nodes.after, nodes.load_price,
                nodes.miss_price, self.room, self.cap, self.must, there, kept, used, loads,
            )  # fmt: skip
            if saved <= _WORTH * Choice(there, kept).cost(nodes):
                break
        best = Choice(there, kept)
        return schedule_of(self.stream, nodes, best), best.cost(nodes)

    def _first(self) -> IntArray:
        """Return the first node of each item, -1 where it has none, ``(items,)``."""
        first = np.full(self.stream.num_items, -1)
        begin = np.flatnonzero(self.nodes.before < 0)
        first[self.nodes.item[begin]] = begin
        return first

    def _occupied(self, choice: Choice) -> tuple[FloatArray, IntArray]:
        """Return the room taken and the loads at every time, ``(times,)`` each."""
        nodes = self.nodes
        used, loads = np.zeros(nodes.times), np.zeros(nodes.times, dtype=np.int64)
        for begin in self._first()[self._first() >= 0].tolist():
            occupy(
                nodes.time, self.size, nodes.after, choice.there, choice.kept, 1, begin, used,
                loads,
            )  # fmt: skip
        return used, loads
