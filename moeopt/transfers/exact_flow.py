"""What is sent between which releases, deadlines and busy times, as a linear model.

These times cut the axis into intervals in which nothing changes: a message may travel in all of an
interval or in none of it, and a port is free or busy. Messages may be cut at will and start-ups
cost nothing, so it only matters how much of each message goes in each interval: within one, what
its ports can carry in its length can be sent (rounds of one peer by Birkhoff's theorem, or constant
rates). Without such times there is one interval, and the optimum is the longest line.

Which interval is the last one used is the model's only choice, one binary column for each; with it
fixed the rest is a linear program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.mip import LinearModel, ModelBuilder
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import busy_spans

#: Times this close to each other, in units, are one cut.
_CLOSE = 1e-11


@dataclass(frozen=True, eq=False)
class Flow:
    """The messages of a problem, the intervals, and what may travel when.

    Attributes
    ----------
    unit_s
        The unit of time in seconds: the longest line.
    wave, source, destination
        The messages, shape ``(messages,)``.
    need
        How long each would take alone, in units, start-up included.
    pair_rate
        Bytes/s of each message's pair.
    begin, length
        Of each interval, in units, shape ``(intervals,)``. The last one is as long as all messages
        need together.
    early, late, closed
        Where a message is not released yet, overdue, or has a busy port, shape
        ``(messages, intervals)``.
    line
        The line that each message loads, shape ``(rules, messages)``: senders and receivers, of
        each of the rules that `weight` has.
    weight
        Share of the line's time that a unit of the message takes, same shape.
    rule
        Label of the rule of each row of `line`.
    """

    unit_s: float
    wave: IntArray
    source: IntArray
    destination: IntArray
    need: FloatArray
    pair_rate: FloatArray
    begin: FloatArray
    length: FloatArray
    early: BoolArray
    late: BoolArray
    closed: BoolArray
    line: IntArray
    weight: FloatArray
    rule: tuple[str, ...]

    @property
    def allowed(self) -> BoolArray:
        """Where a message may travel, shape ``(messages, intervals)``."""
        allowed: BoolArray = ~(self.early | self.late | self.closed)
        return allowed

    def loads(self, amount: FloatArray) -> FloatArray:
        """Return how long each line is used by amounts of the messages, in units."""
        lines = int(self.line.max(initial=-1)) + 1
        load = np.bincount(self.line.ravel(), (self.weight * amount).ravel(), lines)
        return load.astype(np.float64)


@dataclass(frozen=True, eq=False)
class FlowModel:
    """The model in the making.

    Attributes
    ----------
    flow
        What the model is of.
    builder
        Receives columns and rows.
    tighten
        Whether rules on single columns become bounds, and rows that others imply are left out.
    amount
        Columns ``x``: how long each message travels in each interval at its pair's rate, shape
        ``(messages, intervals)``.
    used
        Columns ``u``: how much of each interval is used, shape ``(intervals,)``.
    last
        Columns ``y``, 1 for the last interval used.
    end
        Column ``T``, the makespan in units.
    """

    flow: Flow
    builder: ModelBuilder
    tighten: bool
    amount: IntArray
    used: IntArray
    last: IntArray
    end: int

    def ending_in(self, model: LinearModel, interval: int) -> LinearModel:
        """Return the linear program that is left when `interval` is the last one used."""
        lower, upper = model.column_lower.copy(), model.column_upper.copy()
        lower[self.last] = upper[self.last] = np.arange(len(self.last)) == interval
        return replace(model.relaxed(), column_lower=lower, column_upper=upper)


def flow_of(problem: TransferProblem, later_s: float = 0.0) -> Flow:
    """Return messages and intervals of a problem, its deadlines `later_s` later."""
    message = wave, source, destination = np.nonzero(problem.messages())
    rate = problem.pair_rate()[source, destination]
    bytes_ = problem.messages()[message] + _startup_bytes(problem, source, destination)
    rule, line, weight = _lines(problem, source, destination)
    loads = np.bincount(line.ravel(), (weight * bytes_ / rate).ravel())
    unit = float(loads.max(initial=0.0)) or 1.0
    release = problem.release()[message] / unit
    deadline = (problem.deadline()[message] + later_s) / unit
    spans = {port: times / unit for port, times in busy_spans(problem).items()}
    begin = _cuts(release, deadline, spans)
    end = np.append(begin[1:], begin[-1] + 1.0)
    far = np.append(begin[1:], np.inf)
    closed = np.zeros((len(rate), len(begin)), dtype=np.bool_)
    for port, times in spans.items():
        middle = (begin + end) / 2
        busy = ((times[:, :1] < middle) & (middle < times[:, 1:])).any(axis=0)
        closed |= ((source == port) | (destination == port))[:, None] & busy
    return Flow(
        unit_s=unit,
        wave=wave,
        source=source,
        destination=destination,
        need=bytes_ / rate / unit,
        pair_rate=rate,
        begin=begin,
        length=end - begin,
        early=release[:, None] > begin + _CLOSE,
        late=deadline[:, None] < far - _CLOSE,
        closed=closed,
        line=line,
        weight=weight,
        rule=rule,
    )


def compile_flow(
    flow: Flow, name: str, *, tighten: bool = True, offset_s: float = 0.0
) -> FlowModel:
    """Return the rows of the model; its builder makes the `LinearModel`.

    Parameters
    ----------
    flow, name
        What it is of, and its name.
    tighten
        As in `FlowModel`.
    offset_s
        Seconds before the first interval, part of the makespan.
    """
    builder = ModelBuilder(name)
    builder.objective_offset = offset_s
    shape = (len(flow.need), len(flow.begin))
    upper = np.minimum(flow.need[:, None], np.where(flow.allowed, flow.length, 0.0))
    amount = builder.add_columns(
        "x", shape, upper=upper if tighten else np.broadcast_to(flow.need[:, None], shape)
    )
    used = builder.add_columns("u", shape[1], upper=flow.length)
    last = builder.add_columns("y", shape[1], upper=1, integer=True)
    end = builder.add_columns("T", upper=flow.begin[-1] + 1.0, objective=flow.unit_s)
    frame = FlowModel(flow, builder, tighten, amount, used, last, int(end))
    everything_sent(frame)
    ports_have_time(frame)
    released(frame)
    in_time(frame)
    around_busy_times(frame)
    one_last_interval(frame)
    used_until_the_last(frame)
    ends_with_the_last(frame)
    return frame


def everything_sent(frame: FlowModel) -> None:
    """C1: the parts of a message in all intervals are the message."""
    need = frame.flow.need
    row = np.arange(len(need))[:, None]
    frame.builder.add_rows("C1", row, frame.amount, 1.0, lower=need, upper=need, count=len(need))


def ports_have_time(frame: FlowModel) -> None:
    """C2, C3, C4: no port is used in an interval for longer than the interval is.

    A message at its pair's rate takes a share of the port's rate (C2), of the port that has one
    peer at a time all of it (C3), of a half-duplex port the shares of both directions (C4).
    """
    flow = frame.flow
    labels = {"C2": 0, "C3": 0, "C4": 0}
    for label in labels:
        rows = [k for k, rule in enumerate(flow.rule) if rule == label]
        if not rows or (frame.tighten and label == "C2" and set(flow.rule) != {"C2"}):
            continue
        lines, number = np.unique(flow.line[rows], return_inverse=True)
        intervals = len(flow.begin)
        row = number.reshape(len(rows), -1, 1) * intervals + np.arange(intervals)
        column = np.broadcast_to(frame.amount, row.shape)
        weight = np.broadcast_to(flow.weight[rows][..., None], row.shape)
        count = len(lines) * intervals
        frame.builder.add_rows(
            label,
            np.append(row.ravel(), np.arange(count)),
            np.append(column.ravel(), np.tile(frame.used, len(lines))),
            np.append(weight.ravel(), np.full(count, -1.0)),
            upper=0.0,
            count=count,
        )


def released(frame: FlowModel) -> None:
    """C5: nothing of a message travels in intervals before its release."""
    _nothing_in(frame, "C5", frame.flow.early)


def in_time(frame: FlowModel) -> None:
    """C6: nothing of a message travels in intervals after its deadline."""
    _nothing_in(frame, "C6", frame.flow.late)


def around_busy_times(frame: FlowModel) -> None:
    """C9: nothing of a message travels in intervals in which one of its ports is busy."""
    _nothing_in(frame, "C9", frame.flow.closed)


def one_last_interval(frame: FlowModel) -> None:
    """D2: one interval is the last one used."""
    row = np.zeros(len(frame.last), dtype=np.int64)
    frame.builder.add_rows("D2", row, frame.last, 1.0, lower=1, upper=1, count=1)


def used_until_the_last(frame: FlowModel) -> None:
    """D3: an interval is used only if it or a later one is the last, ``u <= length sum y``."""
    length, count = frame.flow.length, len(frame.last)
    row, later = np.triu_indices(count)
    own = np.arange(count)
    frame.builder.add_rows(
        "D3",
        np.append(row, own),
        np.append(frame.last[later], frame.used),
        np.append(-length[row], np.ones(count)),
        upper=0.0,
        count=count,
    )


def ends_with_the_last(frame: FlowModel) -> None:
    """D4: the makespan is what is used of the last interval after its beginning."""
    count = len(frame.last)
    columns = np.stack([frame.last, frame.used, np.full(count, frame.end)], axis=1)
    weights = np.stack([frame.flow.begin, np.ones(count), -np.ones(count)], axis=1)
    row = np.arange(count)[:, None]
    frame.builder.add_rows("D4", row, columns, weights, upper=0.0, count=count)


def _nothing_in(frame: FlowModel, group: str, where: BoolArray) -> None:
    if where.any() and not frame.tighten:
        row, interval = np.nonzero(where)
        numbers = np.unique(row, return_inverse=True)[1]
        frame.builder.add_rows(group, numbers, frame.amount[row, interval], 1.0, upper=0.0)


def _startup_bytes(problem: TransferProblem, source: IntArray, destination: IntArray) -> FloatArray:
    """Return what the start-ups of messages take; the waves of a pair start up together."""
    if problem.startup_per == "round":
        return np.zeros(len(source))
    pair = source * problem.num_ports + destination
    first = np.zeros(len(pair))
    first[np.unique(pair, return_index=True)[1]] = 1.0
    startup: FloatArray = first * problem.startup_s * problem.pair_rate()[source, destination]
    return startup


def _lines(
    problem: TransferProblem, source: IntArray, destination: IntArray
) -> tuple[tuple[str, ...], IntArray, FloatArray]:
    """Return the rules, and line and weight of each message under each, twice: at both ends."""
    ports = problem.num_ports
    rate = problem.pair_rate()[source, destination]
    shares = [rate / problem.send_rate()[source], rate / problem.receive_rate()[destination]]
    ends = [source, destination + ports]
    rules = [("C2", ends[0], shares[0]), ("C2", ends[1], shares[1])]
    if problem.half_duplex:
        both = [source + 2 * ports, destination + 2 * ports]
        rules += [("C4", both[0], shares[0]), ("C4", both[1], shares[1])]
    elif problem.peers == "one":
        whole = np.ones(len(source))
        rules += [("C3", source + 2 * ports, whole), ("C3", destination + 3 * ports, whole)]
    labels, lines, weights = zip(*rules, strict=True)
    return labels, np.stack(lines), np.stack(weights)


def _cuts(release: FloatArray, deadline: FloatArray, spans: dict[int, FloatArray]) -> FloatArray:
    """Return where intervals begin: at all times at which what may travel changes."""
    due = deadline[np.isfinite(deadline)]
    busy = [times.ravel() for times in spans.values()]
    times = np.unique(np.concatenate([[0.0], release, due, *busy]))
    return np.asarray(times[np.diff(times, prepend=-1.0) > _CLOSE])
