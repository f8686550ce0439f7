"""Ways to come to the same answers: other processes, threads, orders, forms of input, clocks."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

#: Where numerical libraries read how many threads to use.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

#: Of a digest: enough for a few thousand answers.
DIGITS = 16

Where = Literal["here", "thread", "processes"]


@dataclass(frozen=True)
class Way:
    """How a fresh process comes to its answers.

    Attributes
    ----------
    name
        In words.
    environment
        Variables set before Python starts; by default a hash seed of 0 and one thread.
    workers
        Threads that solvers may use.
    backwards
        The last answer first, after global dice were thrown: what comes before must not matter.
    forms
        Arrays in Fortran order and in small types, fields of documents in turned order.
    where
        In the main thread, in another one, or spread over two processes.
    clock
        How fast the process's clock runs.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    backwards: bool = False
    forms: bool = False
    where: Where = "here"
    clock: float = 1.0


def digest_of(answer: bytes) -> str:
    """Return a digest of an answer, short enough to be read."""
    return hashlib.sha256(answer).hexdigest()[:DIGITS]


def threads(count: int) -> dict[str, str]:
    """Return the variables that set how many threads numerical libraries use."""
    return dict.fromkeys(THREADS, str(count))


def start(module: str, way: Way, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a fresh Python that runs a module's main with a way and further arguments."""
    environment = {
        **os.environ,
        **threads(1),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        **way.environment,
    }
    return subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(asdict(way)), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


def said(process: subprocess.Popen[bytes]) -> tuple[dict[str, str], str]:
    """Return the answers that a process printed as JSON on its last line, and why there are none.

    Parameters
    ----------
    process
        Of `start`; it is waited for.
    """
    out, errors = process.communicate()
    if process.returncode == 0 and out:
        answers: dict[str, str] = json.loads(out.splitlines()[-1])
        return answers, ""
    last = errors.decode(errors="replace").strip().splitlines()
    return {}, f"it ended with {process.returncode}: {last[-1] if last else 'nothing said'}"


def taken_up(text: str) -> Way:
    """Return the way that `start` gave to this process, with its clock set accordingly."""
    way = Way(**json.loads(text))
    if way.clock != 1.0:
        run_clock_at(way.clock)
    return way


def run_clock_at(factor: float) -> None:
    """Let this process's clocks run faster from now on, before anything else has read them."""
    import time

    for name in ("perf_counter", "monotonic", "time"):
        real = getattr(time, name)
        setattr(time, name, _faster(real, real(), factor))


def _faster(real: object, begun: float, factor: float) -> object:
    assert callable(real)
    return lambda: begun + factor * (real() - begun)
