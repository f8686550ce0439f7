"""A plan as the ports live through it: transmissions, what they hold of each port, stocks.

Written from ``formulations/transfers.md`` alone: it reads the columns of a plan and knows nothing
of how they were made. Everything is sorting and running sums; no loop goes over rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.transfers.problem import TransferProblem

if TYPE_CHECKING:
    from moeopt.transfers.plan import TransferPlan

#: Times compare within this share of the makespan, bytes within this share of the most bytes that
#: a port must send or receive.
TOLERANCE = 1e-9

#: A use that asks for more than this many times a port's rate counts as this: sums stay finite.
_MOST_SHARE = 1e100


@dataclass(frozen=True)
class Replay:
    """The rows of a plan, and the transmissions that they are parts of.

    Attributes
    ----------
    row
        Index in the plan of each row that moves anything or lasts, shape ``(rows,)``; the other
        attributes of rows are in this order.
    message
        Number of each row's message: its index in the flattened ``(waves, ports, ports)``.
    size_bytes
        Of each row.
    transmission
        The transmission that each row is part of.
    source, destination, start_s, end_s
        Of each transmission, shape ``(transmissions,)``.
    first_row
        The first row, in this record's order, of each transmission.
    chain
        Transmissions that continue each other have the same number.
    begins
        Whether a transmission continues none.
    held_bytes
        What each transmission takes of its ports' capacity: its bytes and its start-up's.
    time_tolerance_s, byte_tolerance
        Differences up to these are rounding.
    """

    row: IntArray
    message: IntArray
    size_bytes: FloatArray
    transmission: IntArray
    source: IntArray
    destination: IntArray
    start_s: FloatArray
    end_s: FloatArray
    first_row: IntArray
    chain: IntArray
    begins: BoolArray
    held_bytes: FloatArray
    time_tolerance_s: float
    byte_tolerance: float

    @property
    def row_start_s(self) -> FloatArray:
        """Return when each row starts, ``(rows,)``."""
        return self.start_s[self.transmission]

    @property
    def row_end_s(self) -> FloatArray:
        """Return when each row ends, ``(rows,)``."""
        return self.end_s[self.transmission]

    @property
    def row_source(self) -> IntArray:
        """Return the sending port of each row, ``(rows,)``."""
        return self.source[self.transmission]

    @property
    def row_destination(self) -> IntArray:
        """Return the receiving port of each row, ``(rows,)``."""
        return self.destination[self.transmission]


def replay(problem: TransferProblem, plan: TransferPlan) -> Replay:
    """Return the transmissions of a plan whose columns are well formed.

    Parameters
    ----------
    problem
        Gives ports, rates and start-ups.
    plan
        Its rows need not keep any of the constraints.
    """
    ports = problem.num_ports
    kept = np.flatnonzero((plan.size_bytes > 0) | (plan.duration_s > 0))
    pair = (plan.source * ports + plan.destination)[kept]
    start, duration = plan.start_s[kept], plan.duration_s[kept]
    message = message_of_rows(problem, plan)[kept]
    order = np.lexsort((message, duration, start, pair))
    kept, pair, start, duration = kept[order], pair[order], start[order], duration[order]
    new = changes(pair, start, duration)
    transmission, first = np.cumsum(new) - 1, np.flatnonzero(new)
    tolerance = TOLERANCE * plan.makespan_s
    pair, start = pair[first], start[first]
    # However short, it takes some time: a rate must not hide between two equal numbers.
    end = np.maximum(start + duration[first], np.nextafter(start, np.inf))
    carried = _sets(message[order], transmission)
    chain, begins = _chains(pair, carried, start, end, tolerance)
    size = plan.size_bytes[kept]
    held = np.bincount(transmission, weights=size, minlength=len(first)).astype(np.float64)
    if problem.startup_per == "message":
        held = held + begins * problem.startup_s * problem.pair_rate().ravel()[pair]
    return Replay(
        row=kept,
        message=message[order],
        size_bytes=size,
        transmission=transmission,
        source=pair // ports,
        destination=pair % ports,
        start_s=start,
        end_s=end,
        first_row=first,
        chain=chain,
        begins=begins,
        held_bytes=held,
        time_tolerance_s=tolerance,
        byte_tolerance=byte_tolerance(problem),
    )


def message_of_rows(problem: TransferProblem, plan: TransferPlan) -> IntArray:
    """Return the message of each row of a plan: its index in ``(waves, ports, ports)``, flat."""
    ports = problem.num_ports
    wave: IntArray | int = 0 if plan.wave is None else plan.wave
    origin = plan.source if plan.origin is None else plan.origin
    target = plan.destination if plan.target is None else plan.target
    return np.asarray((wave * ports + origin) * ports + target)


def byte_tolerance(problem: TransferProblem) -> float:
    """Return the bytes that are rounding: a share of the most that a port sends or receives."""
    pair = problem.pair_bytes()
    return TOLERANCE * float(max(pair.sum(axis=0).max(), pair.sum(axis=1).max()))


def busy_spans(problem: TransferProblem) -> dict[int, FloatArray]:
    """Return when each port that is ever busy is so, ``(spans, 2)``: in order, not overlapping."""
    stated: dict[int, list[tuple[float, float]]] = {}
    for busy in problem.busy:
        stated.setdefault(busy.port, []).append((busy.start_s, busy.end_s))
    merged = {}
    for port, spans in stated.items():
        joined: list[tuple[float, float]] = []
        for start, end in sorted(spans):
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        merged[port] = np.array(joined)
    return merged


def busy_before(spans: FloatArray, when: FloatArray) -> FloatArray:
    """Return how many seconds of the spans of a port lie before each time."""
    length = spans[:, 1] - spans[:, 0]
    so_far = np.stack([np.cumsum(length) - length, np.cumsum(length)], axis=1)
    return np.interp(when, spans.ravel(), so_far.ravel())


@dataclass(frozen=True)
class Uses:
    """What transmissions take of ports: first every one's sending, then every one's receiving.

    Attributes
    ----------
    port
        The port, shape ``(uses,)``, twice the transmissions.
    inside
        Whether on its node's fast network.
    receiving
        Whether it receives.
    start_s, end_s
        From when to when.
    rate
        The port's bytes/s in this direction on this network.
    share
        Which share of it the use takes.
    """

    port: IntArray
    inside: BoolArray
    receiving: BoolArray
    start_s: FloatArray
    end_s: FloatArray
    rate: FloatArray
    share: FloatArray


def uses(problem: TransferProblem, seen: Replay) -> Uses:
    """Return what the transmissions of a replay take of their ports."""
    node = problem.node_of_port()
    inside = np.tile(node[seen.source] == node[seen.destination], 2)
    rate = np.append(problem.send_rate()[seen.source], problem.receive_rate()[seen.destination])
    if problem.fabric is not None:
        rate = np.where(inside, problem.fabric.bandwidth_bytes_per_s, rate)
    start, end = np.tile(seen.start_s, 2), np.tile(seen.end_s, 2)
    with np.errstate(over="ignore", divide="ignore"):
        share = np.tile(seen.held_bytes, 2) / ((end - start) * rate)
    return Uses(
        port=np.append(seen.source, seen.destination),
        inside=inside,
        receiving=np.arange(start.size) >= seen.source.size,
        start_s=start,
        end_s=end,
        rate=rate,
        share=np.minimum(share, _MOST_SHARE),
    )


@dataclass(frozen=True)
class Overload:
    """The stretch of time in which a resource is asked for most beyond its time.

    Attributes
    ----------
    key
        The resource.
    seconds
        By how much the use in the stretch exceeds the stretch.
    use
        Index of a use at which the stretch ends.
    """

    key: int
    seconds: float
    use: int


def worst_overload(
    key: IntArray, start_s: FloatArray, end_s: FloatArray, share: FloatArray
) -> Overload | None:
    """Return the resource and stretch with the largest excess, ``None`` if nothing is used.

    In a stretch of time a resource is used for the sum over its uses of `share` times the part of
    the use within the stretch. The excess over the stretch's own length, the most over all
    stretches, is the largest rise of the running sum of ``(load - 1) * time``: rounding that makes
    two uses overlap by a hair counts as that hair, and is made good by the next idle moment.

    Parameters
    ----------
    key
        Resource of each use, shape ``(uses,)``.
    start_s, end_s
        When it is used.
    share
        Which share of the resource each use takes all the while.
    """
    if key.size == 0:
        return None
    resource, when = np.tile(key, 2), np.concatenate([start_s, end_s])
    change = np.concatenate([share, -share])
    order = np.lexsort((when, resource))
    resource, when = resource[order], when[order]
    first = changes(resource)
    last = np.append(first[1:], True)
    load = np.cumsum(change[order])
    # Shares cancel within each resource but for rounding, which must not reach the next one.
    base = np.append(0.0, load[last][:-1])[np.cumsum(first) - 1]
    rise = (load - base - 1.0) * np.append(np.diff(when), 0.0)
    # A fall by all that ever rises: the lowest point so far is then one of the same resource.
    rise[last] = -np.maximum(rise[~last], 0.0).sum()
    drift = np.append(0.0, np.cumsum(rise)[:-1])
    excess = drift - np.minimum.accumulate(drift)
    at = int(np.argmax(excess))
    return Overload(int(resource[at]), float(excess[at]), int(order[at] % key.size))


def least_stocks(problem: TransferProblem, seen: Replay) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the least that each port ever has of each message that passes it.

    A message's bytes lie at its origin from the start. They are at a port when the transmission
    that brings them has ended, and gone when the next one starts; what arrives within the time
    tolerance after a start still counts as there.

    Returns
    -------
    message, port
        The pairs that any row touches, shape ``(pairs,)``.
    least_bytes
        Least stock over time; a negative one was passed on too early, or never there.
    """
    ports = problem.num_ports
    sent = np.unique(seen.message)
    at_origin = sent * ports + sent // ports % ports
    arriving = seen.message * ports + seen.row_destination
    leaving = seen.message * ports + seen.row_source
    key = np.concatenate([at_origin, arriving, leaving])
    change = np.concatenate([problem.messages().ravel()[sent], seen.size_bytes, -seen.size_bytes])
    arrival = seen.row_end_s - seen.time_tolerance_s
    when = np.concatenate([np.full(sent.size, -np.inf), arrival, seen.row_start_s])
    leaves = np.arange(key.size) >= key.size - leaving.size
    order = np.lexsort((leaves, when, key))
    start = np.flatnonzero(changes(key[order]))
    if start.size == 0:
        return sent, sent, np.zeros(0)
    total = np.cumsum(change[order])
    before = np.append(0.0, total[start[1:] - 1])
    least: FloatArray = np.minimum.reduceat(total, start) - before
    found = key[order][start]
    return found // ports, found % ports, least


def changes(*columns: IntArray | FloatArray) -> BoolArray:
    """Tell which entries of sorted columns differ from the one before, as the first one does."""
    if columns[0].size == 0:
        return np.zeros(0, dtype=np.bool_)
    changed = np.ones(columns[0].size, dtype=np.bool_)
    changed[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return changed


def _sets(message: IntArray, transmission: IntArray) -> IntArray:
    """Return a number for each transmission, the same for those that carry the same messages.

    Neighbours are joined in pairs, and each different pair gets a number, until every transmission
    is one entry.

    Parameters
    ----------
    message, transmission
        Of each row, sorted by transmission and then by message.
    """
    fresh = changes(transmission, message)
    number, owner = message[fresh], transmission[fresh]
    while True:
        start = np.flatnonzero(changes(owner))
        if len(start) == len(owner):
            return number
        count = np.diff(np.append(start, len(owner)))
        place = np.arange(len(owner)) - np.repeat(start, count)
        left = np.flatnonzero(place % 2 == 0)
        alone = place[left] == np.repeat(count, -(-count // 2)) - 1
        _, number = np.unique(number, return_inverse=True)
        right = np.where(alone, -1, number[np.minimum(left + 1, len(number) - 1)])
        number = number[left] * (len(number) + 1) + right + 1
        owner = owner[left]


def _chains(
    pair: IntArray, carried: IntArray, start: FloatArray, end: FloatArray, tolerance: float
) -> tuple[IntArray, BoolArray]:
    """Return which transmissions continue each other, and which of them begin.

    A transmission continues the one that started last before it between the same ports with the
    same messages, if that ends where this one starts.
    """
    order = np.lexsort((end, start, carried, pair))
    other = changes(pair[order], carried[order])
    apart = np.ones(len(order), dtype=np.bool_)
    apart[1:] = np.abs(start[order][1:] - end[order][:-1]) > tolerance
    begins = np.empty(len(order), dtype=np.bool_)
    begins[order] = other | apart
    chain = np.empty(len(order), dtype=np.int64)
    chain[order] = np.cumsum(begins[order]) - 1
    return chain, begins
