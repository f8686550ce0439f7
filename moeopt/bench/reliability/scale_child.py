"""The process in which a scene is measured: a line of JSON as each operation begins and ends."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moeopt.bench.reliability.scale_step import MOST_BYTES, Measured, Scene, Step
from moeopt.bench.reliability.status import status_bytes


def main(name: str, folder: Path, *sizes: int) -> None:
    """Run the scene called ``module:function`` at each size, and tell what the last one took."""
    _limit_memory()
    module, function = name.split(":")
    scene: Scene = getattr(importlib.import_module(module), function)
    for size in sizes[:-1]:
        _go(scene(size, folder), lambda step: step.call())
    _go(scene(sizes[-1], folder), _told)


def _go(steps: Generator[Step, Any, None], do: Callable[[Step], Any]) -> None:
    value: Any = None
    try:
        while True:
            value = do(steps.send(value))
    except StopIteration:
        pass


def _told(step: Step) -> Any:
    _tell({"begins": step.name})
    measured, value = _measured(step)
    _tell(asdict(measured))
    return value


def _measured(step: Step) -> tuple[Measured, Any]:
    _give_back()
    before = status_bytes("VmRSS")
    _forget_peak()
    # What the kernel takes to hand out memory grows in jumps.
    cpu, wall = _own_s(), time.perf_counter()
    value = step.call()
    cpu, wall = _own_s() - cpu, time.perf_counter() - wall
    peak = status_bytes("VmHWM")
    measured = Measured(
        step=step.name,
        unit=step.unit,
        count=step.count,
        exponent=step.exponent,
        limited_s=step.limited_s,
        cpu_s=cpu,
        wall_s=wall,
        peak_bytes=peak,
        more_bytes=max(0, peak - before),
    )
    return measured, value


def _limit_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = MOST_BYTES if most == resource.RLIM_INFINITY else min(MOST_BYTES, most)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))


def _own_s() -> float:
    """Return the processor time of this program itself."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _give_back() -> None:
    """Return free memory to the system, where the C library can: used again it would not count."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _forget_peak() -> None:
    """Let the peak begin anew at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def _tell(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
