"""Files whose writers are killed, stopped by a full disk, or not alone: the old one or the new."""

from __future__ import annotations

import itertools
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from moeopt.bench.registry import Report, Setting
from moeopt.bench.reliability.atomicity_kinds import Kind, kinds
from moeopt.bench.reliability.trial import Trial, report_of

#: Writers are killed at any moment of their first writes, this many of them.
_WRITES = 3.0

#: Limits of a file's size that stand for a full disk, as shares of the file's own.
_FULL = (0.0, 0.3, 0.9)


def run(setting: Setting) -> Report:
    """Run the part."""
    trials = []
    with tempfile.TemporaryDirectory(prefix="moeopt-bench-") as folder:
        for kind in kinds():
            place = Path(folder) / kind.name.replace(" ", "-")
            place.mkdir()
            trials += [
                _killed(kind, place, 2 if setting.quick else 100),
                _full_disk(kind, place, _FULL[1:2] if setting.quick else _FULL),
                _together(kind, place, 2 if setting.quick else 30),
            ]
    return report_of("atomicity", _joined(trials), "each file read by moeopt's own loader")


def _joined(trials: list[Trial]) -> list[Trial]:
    """Return a row for each kind that was killed, and one for each other wear over all kinds."""
    rows = [trial for trial in trials if trial.what.startswith("kill -9")]
    for wear in ("full disk", "two writers"):
        those = [trial for trial in trials if trial.what.startswith(wear)]
        failures = tuple(said for trial in those for said in trial.failures)
        times = sum(trial.times for trial in those)
        rows.append(Trial(f"{wear}: every kind", times, failures, f"{len(those)} kinds"))
    return rows


@dataclass
class _Seen:
    """What was there after each kill."""

    old: int = 0
    new: int = 0
    left: int = 0


def _killed(kind: Kind, folder: Path, times: int) -> Trial:
    """Kill a process in the midst of writing, again and again, and read what is there."""
    path = folder / kind.file
    kind.write(path, 0)
    begun = time.perf_counter()
    kind.write(path, 0)
    longest_s = _WRITES * (time.perf_counter() - begun)
    seen, failures = _Seen(), []
    draw = random.Random(kind.name)
    for number in range(times):
        _kill_writer(kind, path, draw.uniform(0.0, longest_s))
        try:
            which = kind.read(path)
        except Exception as error:
            failures.append(f"after kill {number}: {type(error).__name__}: {error}")
            kind.write(path, 0)
            continue
        seen.old += which == 0
        seen.new += which != 0
    kind.write(path, 0)
    before = kind.read(path)
    kind.write(path, 1)
    if kind.read(path) == before:
        failures.append("what is written after the kills is not read")
    others = [name for name in os.listdir(folder) if name.endswith(".tmp")]
    seen.left = len(others)
    said = f"{seen.old} old, {seen.new} new, {seen.left} temporary files left"
    for name in others:
        (folder / name).unlink()
    return Trial(f"kill -9: {kind.name}", times, tuple(failures), said)


def _kill_writer(kind: Kind, path: Path, after_s: float) -> None:
    """Let a copy of this process write one content after the other, and kill it after a while."""
    reads, writes = os.pipe()

    def work() -> None:
        os.write(writes, b"!")
        for turn in itertools.count(1):
            kind.write(path, turn % 2)

    child = _forked(work)
    os.read(reads, 1)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reads)
    os.close(writes)


def _forked(work: Callable[[], object]) -> int:
    """Return the number of a copy of this process that does `work`; 3 is its code if that fails."""
    child = os.fork()
    if child:
        return child
    code = 3
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def _full_disk(kind: Kind, folder: Path, shares: Sequence[float]) -> Trial:
    """Let a file's size be limited in a copy of this process: it says so, the old file stays."""
    path = folder / kind.file
    failures = []
    for share in shares:
        kind.write(path, 0)
        kind.read(path)  # a log that has become long begins anew
        before = kind.read(path)
        size = path.stat().st_size
        most = int(share * (_last_line(path) if kind.appends else size)) + size * kind.appends
        _, status = os.waitpid(_forked(partial(_limited, kind, path, most)), 0)
        if os.waitstatus_to_exitcode(status):
            failures.append(f"{kind.name} of at most {most} bytes: no error, or another one")
        try:
            if kind.read(path) != before:
                failures.append(f"{kind.name} of at most {most} bytes: another file stands there")
        except Exception as error:
            failures.append(f"{kind.name} of at most {most} bytes: {error}")
        left = [name for name in os.listdir(folder) if name.endswith(".tmp")]
        failures += [f"{kind.name}: {name} is left" for name in left]
    return Trial("full disk", len(shares), tuple(failures))


def _last_line(path: Path) -> int:
    """Return the bytes of the last line."""
    data = path.read_bytes()
    return len(data) - data.rfind(b"\n", 0, -1) - 1


def _limited(kind: Kind, path: Path, most: int) -> None:
    """Write where no file may be as large; raises unless that is said."""
    import resource

    from moeopt.core.errors import InstanceError

    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        kind.write(path, 1)
    except (OSError, InstanceError):
        return
    raise AssertionError("it was written all the same")


def _together(kind: Kind, folder: Path, times: int) -> Trial:
    """Let two processes write one file: what is there is whole."""
    path, failures = folder / kind.file, []
    kind.write(path, 0)

    def work() -> None:
        for turn in range(times):
            kind.write(path, turn % 2)

    for child in (_forked(work), _forked(work)):
        _, status = os.waitpid(child, 0)
        failures += [f"{kind.name}: a writer failed"] * (os.waitstatus_to_exitcode(status) != 0)
    try:
        kind.read(path)
    except Exception as error:
        failures.append(f"{kind.name}: {type(error).__name__}: {error}")
    return Trial("two writers", 2 * times, tuple(failures))
