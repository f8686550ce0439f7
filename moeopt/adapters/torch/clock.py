"""How long each phase of a layer takes."""

from __future__ import annotations

import time
from typing import Literal

import torch

Phase = Literal["gate", "dispatch", "compute", "combine", "aggregation"]

#: A mark: an event on a GPU, or the host's clock.
Stamp = float | torch.cuda.Event

PHASES: tuple[Phase, ...] = ("gate", "dispatch", "compute", "combine", "aggregation")


class PhaseClock:
    """Marks the ends of phases: events on a GPU, which wait for nothing, or the host's clock.

    Parameters
    ----------
    device
        Where the layer runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        self._marks: list[tuple[Phase | None, Stamp]] = []

    def mark(self, phase: Phase | None) -> None:
        """Mark the end of a phase that began with the mark before; ``None`` begins a step."""
        at: Stamp
        if self._cuda:
            at = torch.cuda.Event(enable_timing=True)
            at.record(torch.cuda.current_stream(self._device))
        else:
            at = time.perf_counter()
        self._marks.append((phase, at))

    def seconds(self) -> dict[Phase, list[float]]:
        """Return the seconds of each phase, step by step, and forget them."""
        if self._cuda:
            torch.cuda.synchronize(self._device)
        found: dict[Phase, list[float]] = {phase: [] for phase in PHASES}
        for (_, before), (phase, after) in zip(self._marks, self._marks[1:], strict=False):
            if phase is not None:
                found[phase].append(seconds_between(before, after))
        self._marks = []
        return found


def seconds_between(before: Stamp, after: Stamp) -> float:
    """Return the seconds between two marks."""
    if isinstance(before, torch.cuda.Event):
        assert isinstance(after, torch.cuda.Event)
        return float(before.elapsed_time(after)) * 1e-3
    assert not isinstance(after, torch.cuda.Event)
    return after - before
