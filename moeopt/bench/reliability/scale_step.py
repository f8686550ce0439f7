"""One operation at one size, and the processes in which operations are measured."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Memory that no operation may need, and more than which no child gets.
MOST_BYTES = 20 * 2**30


@dataclass(frozen=True)
class Step:
    """One operation of a scene.

    Attributes
    ----------
    name
        For tables, and to follow it over the sizes.
    unit, count
        What it handles, and how much of it: seconds and bytes are fitted over `count`.
    call
        Does it; what it returns is sent back to the scene.
    exponent
        The growth that it promises: 1 is time and memory in proportion to `count`.
    limited_s
        A time limit that it was given itself: its time is held to that, and no growth is fitted.
    """

    name: str
    unit: str
    count: int
    call: Callable[[], Any]
    exponent: float = 1.0
    limited_s: float | None = None


#: Takes a size and a folder of its own; yields its operations in order and is sent what each
#: returned.
Scene = Callable[[int, Path], Generator[Step, Any, None]]


@dataclass(frozen=True)
class Measured:
    """What one operation took at one size.

    Attributes
    ----------
    step, unit, count, exponent, limited_s
        Of the `Step`.
    cpu_s, wall_s
        Seconds of the processor and of the clock.
    peak_bytes, more_bytes
        Largest resident memory of the process meanwhile, and what of it came on top of what was
        resident before.
    """

    step: str
    unit: str
    count: int
    exponent: float
    limited_s: float | None
    cpu_s: float
    wall_s: float
    peak_bytes: int
    more_bytes: int


@dataclass(frozen=True)
class Run:
    """One scene at one size.

    Attributes
    ----------
    measured
        The operations that ended, in order.
    failure
        Why the next one did not, if one did not.
    """

    measured: tuple[Measured, ...]
    failure: str | None = None


def run_scene(name: str, size: int, limit_s: float, warm: int | None = None) -> Run:
    """Run a scene in a process of its own, which is ended after `limit_s` seconds.

    Parameters
    ----------
    name
        ``module:function`` of a `Scene`.
    size
        What it is given.
    limit_s
        For all of its operations.
    warm
        A small size at which the process goes through the scene first, unmeasured.
    """
    with tempfile.TemporaryDirectory() as folder:
        child = f"{__package__}.scale_child"
        sizes = [str(each) for each in (warm, size) if each is not None]
        command = [sys.executable, "-m", child, name, folder, *sizes]
        out, said = Path(folder) / "out", Path(folder) / "said"
        try:
            with out.open("wb") as told, said.open("wb") as errors:
                code = subprocess.run(
                    command, stdout=told, stderr=errors, timeout=limit_s, check=False
                ).returncode
        except subprocess.TimeoutExpired:
            return _run(out, f"did not end within {limit_s:g} s")
        last = said.read_text(errors="replace").strip().splitlines()[-1:]
        return _run(out, f"ended with code {code}: {' '.join(last)}" if code else None)


def _run(out: Path, failure: str | None) -> Run:
    lines = list(_whole_lines(out))
    measured = tuple(Measured(**line) for line in lines if "cpu_s" in line)
    if failure is None:
        return Run(measured)
    begun = next((line["begins"] for line in reversed(lines) if "begins" in line), "the start")
    done = bool(measured) and measured[-1].step == begun
    return Run(measured, f"{'after ' if done else ''}{begun} {failure}")


def _whole_lines(out: Path) -> Iterator[dict[str, Any]]:
    for line in out.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
