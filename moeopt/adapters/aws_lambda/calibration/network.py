"""Delays and rates of starts, calls and storage, from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.adapters.aws_lambda.calibration import samples
from moeopt.adapters.aws_lambda.calibration.fits import (
    Fitted,
    Line,
    Residual,
    kept,
    line_through,
    rate_through,
    residual_of,
    spread_of,
)
from moeopt.adapters.aws_lambda.calibration.samples import Answered, Samples
from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.serverless.problem import Network, ServerlessProblem

_ONE_SIZE = "kept: one size only was seen, or seconds do not grow with it beyond doubt"


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """What a recording shows that an instance has no constant for.

    Attributes
    ----------
    unbilled_s
        Seconds of each call's round trip that the platform does not bill.
    unbilled_s_per_byte
        The same of each byte of inputs that go with the call. What of the way of its answer is
        not billed is in it too.
    call_s_per_byte
        Seconds of each byte of a direct call's tensors, and of its answer's, by the instance's
        memory sizes; empty if calls of one alone were seen. Functions make tensors of text, and
        text of tensors, with their share of a processor.
    straggling
        Standard deviation of the logarithm of calls' slowness: the slowest of many ends a layer.
    """

    unbilled_s: float
    unbilled_s_per_byte: float
    call_s_per_byte: tuple[float, ...] = ()
    straggling: float = 0.0


def fitted_network(
    problem: ServerlessProblem, records: Sequence[LayerRecord], calls: Sequence[Answered]
) -> tuple[Network, list[Fitted], Beyond]:
    """Return delays and rates, where each comes from, and what else was seen."""
    own, warm = problem.network, samples.warm_ones(calls)
    storage, found = _access(own, samples.accesses(warm))
    rows = [*found, *_of_the_gate(storage, samples.gate_accesses(records))]
    start, found = _start(own, samples.starts(problem, warm))
    rows += found
    cold, found = _cold(problem, calls, storage, start)
    rows += found
    beyond, found = _beyond(problem, warm, storage, start)
    rows += found
    network = Network(
        storage_bytes_per_s=_rate(storage, own.storage_bytes_per_s),
        access_delay_s=storage.start,
        function_bytes_per_s=_rate(start, own.function_bytes_per_s),
        warm_start_s=start.start,
        cold_start_s=cold,
    )
    return network, rows, beyond


def _access(own: Network, seen: Samples) -> tuple[Line, list[Fitted]]:
    """Return the seconds of an access to storage."""
    names = ("network.access_delay_s", "network.storage_bytes_per_s")
    if not len(seen):
        own_line = Line(own.access_delay_s, 1.0 / own.storage_bytes_per_s, False)
        note = "kept: no access was seen"
        return own_line, [
            kept(names[0], own.access_delay_s, note),
            kept(names[1], own.storage_bytes_per_s, note),
        ]
    line = line_through(seen.amounts, seen.seconds, 1.0 / own.storage_bytes_per_s)
    return line, _rows_of(names, (own.access_delay_s, own.storage_bytes_per_s), line, seen)


def _rows_of(
    names: tuple[str, str], before: tuple[float, float], line: Line, seen: Samples
) -> list[Fitted]:
    """Return the rows of a start and a rate."""
    residual = residual_of(seen.seconds, line.at(seen.amounts))
    start = Fitted(
        name=names[0], before=before[0], after=line.start, samples=len(seen), residual=residual
    )
    rate = Fitted(
        name=names[1],
        before=before[1],
        after=_rate(line, before[1]),
        samples=len(seen) if line.slope_shown else 0,
        residual=residual if line.slope_shown else None,
        note="" if line.slope_shown else _ONE_SIZE,
    )
    return [start, rate]


def _rate(line: Line, own: float) -> float:
    """Return the rate that a line shows, or else the instance's own, to the last bit."""
    return 1.0 / line.slope if line.slope_shown else own


def _of_the_gate(storage: Line, seen: Samples) -> list[Fitted]:
    """Return how far the caller's own accesses, if any, are from those of functions."""
    row = Fitted(
        name="accesses of the gate",
        before=None,
        after=None,
        samples=len(seen),
        residual=residual_of(seen.seconds, storage.at(seen.amounts)),
        note="not fitted, they share a link: off from delay and rate above",
    )
    return [row] if len(seen) else []


def _start(own: Network, seen: Samples) -> tuple[Line, list[Fitted]]:
    """Return the seconds of a call beside what the function's stages take."""
    line = _through_calls(seen, 1.0 / own.function_bytes_per_s)
    names = ("network.warm_start_s", "network.function_bytes_per_s")
    rows = _rows_of(names, (own.warm_start_s, own.function_bytes_per_s), line, seen)
    if not (seen.amounts > 0).any():
        rows[1] = kept(names[1], own.function_bytes_per_s, "kept: no direct call was seen")
    return line, rows


def _through_calls(seen: Samples, slope: float) -> Line:
    """Return the line through samples of calls: its slope is that of direct ones alone.

    Calls that go with no bytes go through storage, and there is more to do at both their ends.
    """
    direct = seen.amounts > 0
    shown = False
    if direct.any():
        alone = line_through(seen.amounts[direct], seen.seconds[direct], slope)
        slope, shown = alone.slope, alone.slope_shown
    start = max(0.0, float(np.median(seen.seconds - slope * seen.amounts)))
    return Line(start, slope, shown)


def _cold(
    problem: ServerlessProblem, calls: Sequence[Answered], storage: Line, start: Line
) -> tuple[float, list[Fitted]]:
    """Return what a cold start takes beyond a warm one, opening connections in it."""
    name, own = "network.cold_start_s", problem.network.cold_start_s
    beyond = []
    for each in calls:
        if each.call.cold:
            clock = each.clock
            load_s = storage.start + storage.slope * clock.load_bytes if clock.load_bytes else 0.0
            warm_s = start.start + start.slope * samples.carried(problem, each)
            warm_s += each.handled_s - clock.load_s + load_s
            beyond.append(each.round_trip_s - warm_s)
    if not beyond:
        return own, [kept(name, own, "kept: no cold start was seen")]
    seconds = np.array(beyond)
    found = max(0.0, float(np.median(seconds)))
    residual = residual_of(seconds, np.full_like(seconds, found))
    return found, [
        Fitted(name=name, before=own, after=found, samples=len(beyond), residual=residual)
    ]


def _beyond(
    problem: ServerlessProblem, calls: Sequence[Answered], storage: Line, start: Line
) -> tuple[Beyond, list[Fitted]]:
    """Return what is not billed of a call, and how far calls differ that should take as long."""
    seen = samples.unbilled(problem, calls)
    line = _through_calls(seen, start.slope)
    by_size = _by_size(problem, calls, start)
    due = np.array(
        [each.due_s(storage, start.one(samples.carried(problem, each))) for each in calls]
    )
    met = np.array([each.warm_s - each.clock.wait_s for each in calls])
    found = Beyond(
        unbilled_s=min(line.start, start.start),
        unbilled_s_per_byte=line.slope,
        call_s_per_byte=tuple(by_size.values()),
        straggling=spread_of(met, due),
    )
    residual, note = residual_of(seen.seconds, line.at(seen.amounts)), "no constant of an instance"

    def row(name: str, after: float, residual: Residual | None) -> Fitted:
        return Fitted(
            name=name, before=None, after=after, samples=len(seen), residual=residual, note=note
        )

    return found, [
        row("seconds of a call not billed", found.unbilled_s, residual),
        row("seconds of a call's input byte not billed", found.unbilled_s_per_byte, residual),
        *(row(f"seconds of a call's byte with {mb} MB", s, None) for mb, s in by_size.items()),
        row("spread of calls' slowness", found.straggling, None),
    ]


def _by_size(
    problem: ServerlessProblem, calls: Sequence[Answered], start: Line
) -> dict[int, float]:
    """Return the seconds of a direct call's byte by memory size; nothing unless two were seen.

    Sizes that were not seen are between those that were, or as the nearest.
    """
    seen: dict[int, float] = {}
    for mb in problem.memory_mb if start.slope_shown else ():
        found = samples.starts(problem, (each for each in calls if each.call.memory_mb == mb))
        rate = rate_through(found.amounts, found.seconds - start.start)
        if rate is not None:
            seen[mb] = rate
    if len(seen) < 2:
        return {}
    sizes = np.log(np.array(problem.memory_mb, dtype=np.float64))
    rates = np.interp(sizes, np.log(list(seen)), list(seen.values()))
    return dict(zip(problem.memory_mb, rates.tolist(), strict=True))
