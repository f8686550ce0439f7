"""Messages that must not be cut, one peer at a time: an open shop, as a model with big M.

Every message holds its sending and its receiving port from its start to its end. The model is
written in multiples of a unit of time near the makespan: solvers' tolerances are absolute.
`moeopt.transfers.exact_shop_cpsat` solves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.mip import ModelBuilder
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import busy_spans


@dataclass(frozen=True, eq=False)
class Shop:
    """Messages as jobs; times in units of `unit_s`.

    Attributes
    ----------
    unit_s
        The unit of time in seconds.
    wave, source, destination
        The messages, shape ``(messages,)``.
    duration
        How long each holds its ports, start-up included.
    release, deadline
        When it may start and must have ended; ``inf`` for no deadline.
    due
        What its end is measured from: the objective is the largest end beyond it.
    sender, receiver
        The resources that it holds; a half-duplex port is one for both directions.
    spans
        When each port is busy, shape ``(spans, 2)`` each.
    horizon
        Some plan without deadlines has ended by then.
    """

    unit_s: float
    wave: IntArray
    source: IntArray
    destination: IntArray
    duration: FloatArray
    release: FloatArray
    deadline: FloatArray
    due: FloatArray
    sender: IntArray
    receiver: IntArray
    spans: dict[int, FloatArray]
    horizon: float

    def busy(self) -> tuple[IntArray, FloatArray]:
        """Return the messages that meet a busy time, and that time, ``(meetings, 2)``."""
        met = [
            (np.flatnonzero((self.source == port) | (self.destination == port)), span)
            for port, spans in self.spans.items()
            for span in spans
        ]
        message = np.concatenate([np.zeros(0, np.int64), *(m for m, _ in met)])
        time = np.concatenate([np.zeros((0, 2)), *(np.tile(s, (len(m), 1)) for m, s in met)])
        return message, time

    def conflicts(self, *, shared_ends: bool) -> IntArray:
        """Return the pairs of messages that hold a resource in common, ``(pairs, 2)``.

        Parameters
        ----------
        shared_ends
            Whether a sender with a sender, or a receiver with a receiver; else the other pairs,
            which only half-duplex ports have.
        """
        first, second = np.triu_indices(len(self.duration), 1)
        sent, received = self.sender, self.receiver
        alike = (sent[first] == sent[second]) | (received[first] == received[second])
        crossed = (sent[first] == received[second]) | (received[first] == sent[second])
        chosen = alike if shared_ends else crossed & ~alike
        return np.stack([first[chosen], second[chosen]], axis=1)

    def measured_by_deadlines(self) -> Shop:
        """Return the shop whose objective is by how much the deadlines are missed."""
        free = np.isinf(self.deadline)
        due = np.where(free, self.horizon, self.deadline)
        return replace(self, deadline=np.full(len(due), np.inf), due=due)


@dataclass(frozen=True, eq=False)
class ShopModel:
    """The model, and the way between its points and starts.

    Attributes
    ----------
    shop
        What the model is of.
    builder
        Receives columns and rows.
    tighten
        Whether rules on single columns become bounds and the family V2 is added.
    start
        Columns ``s``, shape ``(messages,)``.
    end
        Column ``T``: the makespan, or the largest lateness.
    like, crossed
        Pairs of messages, as `Shop.conflicts`.
    like_first, crossed_first
        Columns ``o`` and ``h``, 1 where the first of a pair goes first.
    met, busy_time
        As `Shop.busy`.
    before
        Columns ``b``, 1 where the message ends before the busy time.
    """

    shop: Shop
    builder: ModelBuilder
    tighten: bool
    start: IntArray
    end: int
    like: IntArray
    crossed: IntArray
    like_first: IntArray
    crossed_first: IntArray
    met: IntArray
    busy_time: FloatArray
    before: IntArray

    def point(self, start: FloatArray) -> FloatArray:
        """Return the point of the model with these starts, shape ``(messages,)``."""
        x = np.zeros(self.builder.num_columns)
        x[self.start] = start
        x[self.end] = (start + self.shop.duration - self.shop.due).max(initial=0.0)
        for pairs, first in ((self.like, self.like_first), (self.crossed, self.crossed_first)):
            x[first] = start[pairs[:, 0]] < start[pairs[:, 1]]
        x[self.before] = start[self.met] < self.busy_time[:, 0]
        return x


def shop_of(problem: TransferProblem) -> Shop:
    """Return the messages of a problem as jobs."""
    message = wave, source, destination = np.nonzero(problem.messages())
    rate = problem.pair_rate()[source, destination]
    seconds = problem.startup_s + problem.messages()[message] / rate
    release, deadline = problem.release()[message], problem.deadline()[message]
    spans = busy_spans(problem)
    ports = problem.num_ports
    receiver = destination + (0 if problem.half_duplex else ports)
    lines = np.bincount(source, seconds, 2 * ports) + np.bincount(receiver, seconds, 2 * ports)
    unit = float(lines.max(initial=0.0)) or 1.0
    ends = [release.max(initial=0.0), *(spans_[-1, 1] for spans_ in spans.values())]
    return Shop(
        unit_s=unit,
        wave=wave,
        source=source,
        destination=destination,
        duration=seconds / unit,
        release=release / unit,
        deadline=deadline / unit,
        due=np.zeros(len(seconds)),
        sender=source,
        receiver=receiver,
        spans={port: times / unit for port, times in spans.items()},
        horizon=(max(ends) + float(seconds.sum())) / unit,
    )


def compile_shop(shop: Shop, name: str, *, tighten: bool = True) -> ShopModel:
    """Return the rows of the model; its builder makes the `LinearModel`."""
    frame = start_shop(shop, name, tighten=tighten)
    one_at_a_time(frame)
    one_direction_at_a_time(frame)
    released(frame)
    in_time(frame)
    around_busy_times(frame)
    all_ended(frame)
    if tighten:
        time_of_ports(frame)
    return frame


def start_shop(shop: Shop, name: str, *, tighten: bool) -> ShopModel:
    """Return a model with its columns and none of its rows."""
    builder = ModelBuilder(name)
    upper = np.full(len(shop.duration), shop.horizon)
    lower = np.zeros(len(shop.duration))
    if tighten:
        lower = shop.release
        # A contradiction stays one: solvers and `plainly_infeasible` see lower > upper.
        upper = np.minimum(upper, shop.deadline) - shop.duration
    start = builder.add_columns("s", len(upper), lower=lower, upper=upper)
    end = builder.add_columns("T", objective=shop.unit_s, upper=shop.horizon)
    like, crossed = shop.conflicts(shared_ends=True), shop.conflicts(shared_ends=False)
    met, busy_time = shop.busy()
    orders = [
        builder.add_columns(prefix, count, upper=1, integer=True)
        for prefix, count in (("o", len(like)), ("h", len(crossed)), ("b", len(met)))
    ]
    return ShopModel(
        shop, builder, tighten, start, int(end), like, crossed, orders[0], orders[1],
        met, busy_time, orders[2],
    )  # fmt: skip


def one_at_a_time(frame: ShopModel) -> None:
    """C3: of two messages with a sender or a receiver in common one ends before the other starts.

    Full rate is as good as any other: what a message does not use nobody else could.
    """
    _either_first(frame, "C3", frame.like, frame.like_first)


def one_direction_at_a_time(frame: ShopModel) -> None:
    """C4: half-duplex, of two messages that a port sends and receives one ends first."""
    _either_first(frame, "C4", frame.crossed, frame.crossed_first)


def released(frame: ShopModel) -> None:
    """C5: no message starts before its release."""
    late = np.flatnonzero(frame.shop.release > 0.0)
    if len(late) and not frame.tighten:
        release = frame.shop.release[late]
        frame.builder.add_rows("C5", np.arange(len(late)), frame.start[late], 1.0, lower=release)


def in_time(frame: ShopModel) -> None:
    """C6: every message has ended by its deadline."""
    due = np.flatnonzero(np.isfinite(frame.shop.deadline))
    if len(due) and not frame.tighten:
        latest = (frame.shop.deadline - frame.shop.duration)[due]
        frame.builder.add_rows("C6", np.arange(len(due)), frame.start[due], 1.0, upper=latest)


def around_busy_times(frame: ShopModel) -> None:
    """C9: a message ends before a busy time of its ports, or starts after it."""
    shop, met = frame.shop, frame.met
    if not len(met):
        return
    row = np.arange(len(met))[:, None]
    columns = np.stack([frame.start[met], frame.before], axis=1)
    first, last = frame.busy_time.T
    room = shop.horizon
    ends = np.stack([np.ones(len(met)), np.full(len(met), room)], axis=1)
    frame.builder.add_rows(
        "C9", row, columns, ends, upper=first - shop.duration[met] + room, count=len(met)
    )
    starts = np.stack([np.ones(len(met)), last], axis=1)
    frame.builder.add_rows("C9", row, columns, starts, lower=last, count=len(met))


def all_ended(frame: ShopModel) -> None:
    """D1: the makespan is no end's earlier, ``s + duration - due <= T``."""
    shop = frame.shop
    count = len(frame.start)
    if not count:
        return
    columns = np.stack([frame.start, np.full(count, frame.end)], axis=1)
    frame.builder.add_rows(
        "D1", np.arange(count)[:, None], columns, [1.0, -1.0], upper=shop.due - shop.duration
    )


def time_of_ports(frame: ShopModel) -> None:
    """V2: nobody's messages end before the first release and all their durations."""
    shop = frame.shop
    for messages in resources_of(shop):
        least = shop.release[messages].min() + shop.duration[messages].sum()
        least -= shop.due[messages].max()
        frame.builder.add_rows("V2", [0], [frame.end], 1.0, lower=[least])


def resources_of(shop: Shop) -> list[IntArray]:
    """Return the messages that hold each resource, of those that two or more hold."""
    found = []
    for resource in np.union1d(shop.sender, shop.receiver).tolist():
        messages = np.flatnonzero((shop.sender == resource) | (shop.receiver == resource))
        if len(messages) > 1:
            found.append(messages)
    return found


def plan_of_starts(problem: TransferProblem, shop: Shop, start: FloatArray) -> TransferPlan:
    """Return the plan in which each message starts at `start`, in the shop's units.

    A message's round is its turn at its ports.
    """
    order = np.argsort(start, kind="stable")
    turn = np.zeros(len(order), dtype=np.int64)
    last = np.zeros(2 * problem.num_ports, dtype=np.int64)
    for m in order.tolist():
        ends = [shop.sender[m], shop.receiver[m]]
        turn[m] = last[ends].max()
        last[ends] = turn[m] + 1
    order = np.lexsort((shop.source, start, turn))
    message = (shop.wave[order], shop.source[order], shop.destination[order])
    return TransferPlan(
        source=message[1],
        destination=message[2],
        size_bytes=problem.messages()[message],
        start_s=start[order] * shop.unit_s,
        duration_s=shop.duration[order] * shop.unit_s,
        round_index=turn[order],
        wave=message[0] if problem.num_waves > 1 else None,
    )


def _either_first(frame: ShopModel, group: str, pairs: IntArray, first: IntArray) -> None:
    """Add for each pair: one starts when the other has ended, or the other way round."""
    if not len(pairs):
        return
    shop = frame.shop
    row = np.arange(len(pairs))[:, None]
    columns = np.stack([frame.start[pairs[:, 0]], frame.start[pairs[:, 1]], first], axis=1)
    room = shop.horizon
    one, other = shop.duration[pairs[:, 0]], shop.duration[pairs[:, 1]]
    frame.builder.add_rows(group, row, columns, [1.0, -1.0, room], upper=room - one)
    frame.builder.add_rows(group, row, columns, [-1.0, 1.0, -room], upper=-other)
