"""When a method stops: deadline and target gap, with the seed and the listener of one solve."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

from moeopt.core import interrupts
from moeopt.core.progress import Progress, ProgressEvent
from moeopt.core.result import relative_gap


@dataclass(frozen=True)
class Context:
    """What one solve grants its method: time, target gap, seed, workers, a listener.

    Attributes
    ----------
    time_limit_s
        Wall-clock seconds from `started_s`, or ``None`` for no limit.
    gap
        The method may stop once its relative gap is at most this.
    seed
        Seed of every random choice.
    workers
        Threads a backend may use.
    progress
        Listener for `ProgressEvent`, or ``None``.
    started_s
        ``time.perf_counter()`` at the start of the solve.
    """

    time_limit_s: float | None = None
    gap: float = 0.0
    seed: int = 0
    workers: int = 1
    progress: Progress | None = None
    started_s: float = field(default_factory=time.perf_counter)

    def elapsed_s(self) -> float:
        """Return the seconds since the solve began."""
        return time.perf_counter() - self.started_s

    def remaining_s(self) -> float:
        """Return the seconds left, ``inf`` without a limit, never negative; 0 after Ctrl-C."""
        if interrupts.asked():
            return 0.0
        if self.time_limit_s is None:
            return math.inf
        return max(0.0, self.time_limit_s - self.elapsed_s())

    def out_of_time(self) -> bool:
        """Tell whether the deadline has passed, or Ctrl-C made it now."""
        return self.remaining_s() <= 0.0

    def close_enough(self, objective: float | None, bound: float | None) -> bool:
        """Tell whether the incumbent meets the target gap."""
        gap = relative_gap(objective, bound)
        return gap is not None and gap <= self.gap

    def part(self, share: float) -> Context:
        """Return the same context with `share` of its time limit, counted from its start."""
        if self.time_limit_s is None:
            return self
        return replace(self, time_limit_s=share * self.time_limit_s)

    def report(self, objective: float | None, bound: float | None, note: str) -> None:
        """Send one progress event to the listener, if there is one."""
        if self.progress is not None:
            self.progress(ProgressEvent(self.elapsed_s(), objective, bound, note))
