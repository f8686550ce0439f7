"""Times that can be compared: one core, warm, contenders in turn, medians with their spread."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

#: Thread pools that would otherwise use every core; read when the pool's library is loaded.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated calls.

    Attributes
    ----------
    seconds
        Of each call, in order.
    """

    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median of the calls."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Interquartile range over the median: one interrupted call does not count."""
        if len(self.seconds) < 2 or not self.median_s:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / self.median_s

    def to_dict(self) -> dict[str, float | list[float]]:
        """Return the figures as plain JSON types."""
        return {"median_s": self.median_s, "spread": self.spread, "seconds": list(self.seconds)}


@contextlib.contextmanager
def one_core() -> Iterator[int | None]:
    """Keep this process on one core, and its thread pools to one thread, for a while.

    Yields the core's number, or ``None`` where the system cannot pin processes.
    """
    before_variables = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    # Absent on macOS and Windows.
    pin = getattr(os, "sched_setaffinity", None)
    before_cores = os.sched_getaffinity(0) if pin is not None else set()
    core = max(before_cores) if before_cores else None
    try:
        if pin is not None:
            pin(0, {core})
        yield core
    finally:
        if pin is not None:
            pin(0, before_cores)
        for name, value in before_variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def measure(
    calls: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 5,
    warm_ups: int = 1,
    budget_s: float = 40.0,
) -> dict[str, Timing]:
    """Return the time of each call, taken in turn so that all meet the same machine.

    Parameters
    ----------
    calls
        What to time, by name.
    repeats
        Timed rounds over all calls.
    warm_ups
        Rounds before, whose times are dropped.
    budget_s
        No new round begins after this long; one timed round is always done.
    """
    started = time.perf_counter()
    for _ in range(warm_ups):
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for done in range(repeats):
        if done and time.perf_counter() - started > budget_s:
            break
        for name, call in calls.items():
            seconds[name].append(timed(call))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
