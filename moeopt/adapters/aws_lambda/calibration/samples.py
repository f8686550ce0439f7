"""What a recording shows of each constant: samples taken from calls that ended well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.adapters.aws_lambda.calibration.fits import Line
from moeopt.adapters.aws_lambda.calls import Call, LayerRecord, Seconds
from moeopt.core.arrays import FloatArray
from moeopt.serverless.plan import BYTES_PER_MB
from moeopt.serverless.problem import ServerlessProblem


@dataclass(frozen=True)
class Samples:
    """Seconds of amounts, ``(samples,)`` each."""

    amounts: FloatArray
    seconds: FloatArray

    def __len__(self) -> int:
        return len(self.amounts)


@dataclass(frozen=True)
class Answered:
    """A call that ended well, with the function's own clock.

    Attributes
    ----------
    call
        The call.
    clock
        Its `Seconds`.
    """

    call: Call
    clock: Seconds

    @property
    def round_trip_s(self) -> float:
        """Seconds that the caller waited."""
        return self.call.ended_s - self.call.began_s

    @property
    def warm_s(self) -> float:
        """The same less those in which the function was started."""
        return self.round_trip_s - (self.call.init_s or 0.0)

    @property
    def handled_s(self) -> float:
        """Seconds that the function accounts for."""
        clock = self.clock
        return clock.wait_s + _worked_s(clock.load_s, clock.read_s, clock.compute_s, clock.write_s)

    def due_s(self, storage: Line, start_s: float) -> float:
        """Return what a warm round trip should take without waiting for inputs.

        Parameters
        ----------
        storage
            What an access should take.
        start_s
            What no stage accounts for.
        """
        clock = self.clock
        load_s = storage.one(clock.load_bytes) if clock.load_bytes else 0.0
        read_s, write_s = map(storage.one, clock.read_bytes), map(storage.one, clock.write_bytes)
        return start_s + _worked_s(load_s, tuple(read_s), clock.compute_s, tuple(write_s))


def _worked_s(
    load_s: float, read_s: Sequence[float], compute_s: Sequence[float], write_s: Sequence[float]
) -> float:
    """Return the seconds of a function: outputs are written beside the next inputs."""
    now_s = written_s = load_s
    if not read_s:
        return now_s + sum(compute_s)
    for each_read_s, each_compute_s, each_write_s in zip(read_s, compute_s, write_s, strict=True):
        now_s = max(now_s + each_read_s + each_compute_s, written_s)
        written_s = now_s + each_write_s
    return written_s


def answered(records: Iterable[LayerRecord]) -> tuple[Answered, ...]:
    """Return the calls that ended well and whose seconds are all known."""
    calls = (call for record in records for call in record.calls)
    return tuple(
        Answered(call, call.seconds)
        for call in calls
        if call.error is None and call.seconds is not None and not call.estimated
    )


def warm_ones(calls: Sequence[Answered]) -> list[Answered]:
    """Return the calls that started warm; all, if none did.

    A function's first call opens connections and fills caches.
    """
    return [each for each in calls if not each.call.cold] or list(calls)


def accesses(calls: Iterable[Answered]) -> Samples:
    """Return bytes and seconds of each object that a function read or wrote."""
    found: list[tuple[float, float]] = []
    for each in calls:
        clock = each.clock
        if clock.load_bytes:
            found.append((clock.load_bytes, clock.load_s))
        found += zip(clock.read_bytes, clock.read_s, strict=True)
        found += zip(clock.write_bytes, clock.write_s, strict=True)
    return _samples(found)


def gate_accesses(records: Iterable[LayerRecord]) -> Samples:
    """Return bytes and seconds of each object that the caller wrote or read."""
    found: list[tuple[float, float]] = []
    for record in records:
        own = record.traffic
        found += zip(own.write_bytes, own.write_s, strict=True)
        found += zip(own.read_bytes, own.read_s, strict=True)
    return _samples(found)


def minibatches(calls: Iterable[Answered]) -> Samples:
    """Return tokens and seconds of each minibatch that was computed."""
    return _samples(
        (tokens, seconds)
        for each in calls
        for tokens, seconds in zip(each.call.minibatches, each.clock.compute_s, strict=True)
    )


def starts(problem: ServerlessProblem, calls: Iterable[Answered]) -> Samples:
    """Return bytes of tensors that went with calls, and the seconds that no stage accounts for."""
    return _samples((carried(problem, e), e.warm_s - e.handled_s) for e in calls)


def unbilled(problem: ServerlessProblem, calls: Iterable[Answered]) -> Samples:
    """Return bytes of inputs that went with calls, and the seconds that were not billed."""
    return _samples((_inputs(problem, e), e.warm_s - e.call.duration_s) for e in calls)


def _inputs(problem: ServerlessProblem, each: Answered) -> float:
    """Return the bytes of inputs that went with a call."""
    expert = problem.expert_of(each.call.layer)
    return each.call.tokens * expert.input_bytes_per_token if each.call.design == 3 else 0.0


def carried(problem: ServerlessProblem, each: Answered) -> float:
    """Return the bytes of tensors that went with a call, and with its answer."""
    if each.call.design != 3:
        return 0.0
    expert = problem.expert_of(each.call.layer)
    return each.call.tokens * (expert.input_bytes_per_token + expert.output_bytes_per_token)


def needed_bytes(
    problem: ServerlessProblem, records: Iterable[LayerRecord], layers: Sequence[int]
) -> FloatArray:
    """Return memory that functions of some layers needed beyond parameters and tokens.

    The platform reports the most that a function ever used. So there is a sample for each
    function, of its largest use and its largest call, and one for each call that ran out of
    memory, which needed at least all that there was.
    """
    used: dict[str, tuple[float, int, Call]] = {}
    beyond = []
    for call in (call for record in records for call in record.calls if call.layer in layers):
        if call.error == "memory":
            beyond.append(_beyond(problem, call, call.memory_mb, call.tokens))
        elif call.error is None and call.used_mb is not None:
            most_mb, most_tokens, _ = used.get(call.function, (0.0, 0, call))
            used[call.function] = max(most_mb, call.used_mb), max(most_tokens, call.tokens), call
    beyond += [_beyond(problem, call, mb, tokens) for mb, tokens, call in used.values()]
    return np.array(beyond, dtype=np.float64)


def _beyond(problem: ServerlessProblem, call: Call, used_mb: float, tokens: int) -> float:
    expert = problem.expert_of(call.layer)
    both = expert.input_bytes_per_token + expert.output_bytes_per_token
    parameters = float(problem.parameter_bytes_of(call.layer)[call.expert])
    return used_mb * BYTES_PER_MB - parameters - tokens * both


def _samples(found: Iterable[tuple[float, float]]) -> Samples:
    table = np.array(list(found), dtype=np.float64).reshape(-1, 2)
    return Samples(table[:, 0], table[:, 1])
