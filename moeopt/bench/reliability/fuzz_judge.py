"""Whether a reader did with a file what it may: return, or say in a sentence what is wrong."""

from __future__ import annotations

import base64
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from moeopt.bench.reliability.fuzz_archives import RAN
from moeopt.bench.reliability.fuzz_targets import Target
from moeopt.core.errors import InstanceError

#: Most processor time and memory that a small file may take.
MOST_SECONDS, MOST_BYTES = 1.0, 2**30

#: Longest sentence of an error.
_LONGEST = 1000

#: Seconds until a reader that never ends, or waits, is interrupted: those of other processes are
#: among the latter.
_MOST_BUSY_S, _MOST_WAITING_S = 10.0, 60.0

#: Files up to here are told in full.
_SHORT = 600


class _Hung(BaseException):
    """Raised in a reader that takes too long; no reader catches it."""


@dataclass(frozen=True)
class Verdict:
    """What one file did.

    Attributes
    ----------
    failure
        What went wrong, in a sentence; empty if nothing did.
    refused
        Whether the file was refused with a sentence.
    seconds
        Processor time.
    extra_bytes
        Memory beyond what was there before, at its peak; 0 where that is not measured.
    """

    failure: str
    refused: bool
    seconds: float
    extra_bytes: int = 0


def judged(target: Target, folder: Path, *, measured: bool = False) -> Verdict:
    """Let a reader read its file in a folder, and judge what it does.

    Parameters
    ----------
    target
        The reader.
    folder
        Where its file lies, or something else in its place.
    measured
        Whether to measure memory, and to limit it: this is a process of its own.
    """
    peak = _peak_bytes if measured else _nothing
    before = peak(reset=True)
    with _interrupted(), warnings.catch_warnings(action="error"):
        begun = time.process_time()
        said, refused = _outcome(target, str(folder / target.file))
        seconds = time.process_time() - begun
    extra = peak(reset=False) - before
    if not said and seconds > MOST_SECONDS:
        said = f"took {seconds:.1f} s of processor time"
    if not said and extra > MOST_BYTES:
        said = f"took {extra / 2**20:.0f} MiB"
    if (folder / RAN).exists() or Path(RAN).exists():
        said = "ran a command that a pickle asked for"
    return Verdict(said, refused, seconds, extra)


def judged_bytes(target: Target, folder: Path, data: bytes) -> str:
    """Return what went wrong with a file of some bytes, and the file; empty if nothing did."""
    target.put(folder, data)
    failure = judged(target, folder).failure
    return f"{target.name}: {failure}; the file is {shown(data)}" if failure else ""


def shown(data: bytes) -> str:
    """Return a file's bytes as text that can be copied, as far as they are few."""
    if data.isascii() and len(data) <= _SHORT:
        return repr(data.decode())
    coded = base64.b64encode(data).decode()
    return f"base64:{coded}" if len(coded) <= _SHORT else f"base64:{coded[:_SHORT]}... (cut)"


def emptied(folder: Path) -> Path:
    """Return a folder after everything in it was removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _outcome(target: Target, path: str) -> tuple[str, bool]:
    """Return what went wrong, and whether the file was refused."""
    try:
        target.load(path)
    except InstanceError as error:
        said = str(error)
        if len(said) > _LONGEST or not said.isprintable():
            return f"is refused by a sentence of {len(said)} characters, {said[:200]!r}", True
        return "", True
    except _Hung:
        return "did not end", False
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a reader should not have let through
        return f"raised {type(error).__name__}: {str(error)[:200]!r} in {_place(error)}", False
    return "", False


def _place(error: BaseException) -> str:
    """Return the innermost line of moeopt that an error came through."""
    found, at = "?", error.__traceback__
    while at is not None:
        name = at.tb_frame.f_code.co_filename
        if "moeopt" in name and "reliability" not in name:
            found = f"{Path(name).parent.name}/{Path(name).name}, line {at.tb_lineno}"
        at = at.tb_next
    return found


@contextmanager
def _interrupted() -> Iterator[None]:
    """Raise `_Hung` in what takes too long, be it busy or waiting."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise _Hung

    clocks = (
        (signal.ITIMER_PROF, signal.SIGPROF, _MOST_BUSY_S),
        (signal.ITIMER_REAL, signal.SIGALRM, _MOST_WAITING_S),
    )
    before = [signal.signal(number, stop) for _, number, _ in clocks]
    for clock, _, seconds in clocks:
        signal.setitimer(clock, seconds)
    try:
        yield
    finally:
        for (clock, number, _), handler in zip(clocks, before, strict=True):
            signal.setitimer(clock, 0.0)
            signal.signal(number, handler)


def limit_memory() -> None:
    """Let this process have as much more memory as a small file may take, and no more."""
    now = _status("VmSize:")
    if now:
        resource.setrlimit(resource.RLIMIT_AS, (now + MOST_BYTES, resource.RLIM_INFINITY))


def _peak_bytes(*, reset: bool) -> int:
    """Return the largest memory of this process since it was reset; now, if it is reset."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
            return _status("VmRSS:")
        return _status("VmHWM:")
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _nothing(*, reset: bool) -> int:
    del reset
    return 0


def _status(name: str) -> int:
    """Return a number of bytes of this process as Linux tells it, 0 elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(name)]
    return found[0] if found else 0
