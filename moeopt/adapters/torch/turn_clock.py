"""When each phase of each model begins and ends, as `moeopt.timeline.Interleaved` counts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from moeopt.adapters.torch.clock import PHASES, Phase, Stamp, seconds_between
from moeopt.core.arrays import FloatArray
from moeopt.timeline import Spans


@dataclass(frozen=True)
class MeasuredRound:
    """One round of models that take turns, as one rank saw it.

    Attributes
    ----------
    gate, dispatch, compute, combine, aggregation
        Seconds after the first model's gate ended, ``(models,)``; that gate itself is before 0.
        Without a GPU, an exchange in several operations ends when its tokens are taken.
    """

    gate: Spans
    dispatch: Spans
    compute: Spans
    combine: Spans
    aggregation: Spans

    @property
    def total_s(self) -> float:
        """Return the seconds of all that was done: what `Interleaved.total_s` predicts."""
        return float(self.aggregation.end_s[-1] - self.gate.start_s[0])


@dataclass(eq=False)
class Marks:
    """The marks of one round; none are made without a `now`.

    Attributes
    ----------
    models
        How many.
    now
        What makes one: an event on the current stream, or the host's clock.
    start, end
        Of each phase of each model.
    """

    models: int = 0
    now: Callable[[], Stamp] | None = None
    start: dict[tuple[Phase, int], Stamp] = field(default_factory=dict)
    end: dict[tuple[Phase, int], Stamp] = field(default_factory=dict)

    @property
    def timed(self) -> bool:
        """Tell whether marks are made."""
        return self.now is not None

    @property
    def whole(self) -> bool:
        """Tell whether the round came to its end: one that raises does not."""
        return ("aggregation", self.models - 1) in self.end

    def began(self, phase: Phase, model: int) -> None:
        """Mark the beginning of a phase."""
        if self.now is not None:
            self.start[phase, model] = self.now()

    def ended(self, phase: Phase, model: int) -> None:
        """Mark the end of a phase, unless it is marked."""
        if self.now is not None:
            self.end.setdefault((phase, model), self.now())

    @contextmanager
    def phase(self, phase: Phase, model: int) -> Iterator[None]:
        """Mark a phase at both ends."""
        self.began(phase, model)
        yield
        self.ended(phase, model)

    def measured(self) -> MeasuredRound:
        """Return the round; all of it must have happened."""
        origin = self.start["gate", 0]
        zero = seconds_between(origin, self.end["gate", 0])

        def since(stamps: dict[tuple[Phase, int], Stamp], phase: Phase) -> FloatArray:
            each = [seconds_between(origin, stamps[phase, model]) for model in range(self.models)]
            return np.array(each) - zero

        spans = {phase: Spans(since(self.start, phase), since(self.end, phase)) for phase in PHASES}
        return MeasuredRound(**spans)


class TurnClock:
    """Times the rounds of `Colocated`: events on a GPU, which wait for nothing, or the host.

    Parameters
    ----------
    device
        Where the layers run.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._rounds: list[Marks] = []

    def begin(self, models: int) -> Marks:
        """Return what marks the next round."""
        marks = Marks(models, _recorded if self._cuda else time.perf_counter)
        self._rounds.append(marks)
        return marks

    def rounds(self) -> list[MeasuredRound]:
        """Return the rounds since they were last asked for, but for those that raised."""
        if self._cuda:
            torch.cuda.synchronize()
        rounds, self._rounds = self._rounds, []
        return [marks.measured() for marks in rounds if marks.whole]


def _recorded() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
