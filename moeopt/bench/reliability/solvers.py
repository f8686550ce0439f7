"""Solvers that fail: they hang, die, lie and run out of memory, in processes of their own."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

from moeopt.bench.registry import Report, Setting
from moeopt.bench.reliability.solvers_wings import deadlines_of_wings, wings, without_solvers
from moeopt.bench.reliability.trial import Trial, report_of
from moeopt.core import interrupts
from moeopt.core.errors import BackendError
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Status
from moeopt.mip import Backend, LinearModel, ModelBuilder, backend_named, solve_guarded, solve_model
from moeopt.mip.answer import MipAnswer
from moeopt.mip.children import acquire, close_idle, release
from moeopt.mip.guard import OVERRUN_S, OVERRUN_SHARE
from moeopt.testing import broken_backends as broken

#: A limit that nothing here reaches.
_LONG_S = 100.0

#: Whoever has another process, or nothing of it, after this long will have it for ever.
_GONE_S = 20.0

_QUICK_HANGING = (broken.TALKER,)
_QUICK_DYING = (broken.KILLED,)


def run(setting: Setting) -> Report:
    """Run the part."""
    hanging = _QUICK_HANGING if setting.quick else broken.HANGING
    dying = _QUICK_DYING if setting.quick else broken.DYING
    limits = (0.3,) if setting.quick else (0.1, 0.5, 1.0, 4.0)
    trials = [
        _hanging(hanging, limits),
        _taken_over("lies: the next of auto takes over", broken.LYING, None),
        _taken_over("lies, with a time limit", (*broken.LYING, broken.CHATTY), _LONG_S),
        _taken_over("dies: the next of auto takes over", dying, _LONG_S),
        _left_behind(2 if setting.quick else 200),
        *wings(setting.quick),
        *without_solvers(setting.quick),
    ]
    if not setting.quick:
        # Each death costs a process: for a quick look the one above is enough.
        trials.append(_dying(dying))
        trials.append(_taken_over("dies, no time limit, Ctrl-C heard", dying[:1], None))
        trials.append(deadlines_of_wings())
    close_idle()
    return report_of("solvers", trials, "times are of this machine, with whatever else it did")


def _knapsack(items: int = 600) -> LinearModel:
    """Return a model of more entries than what is solved in the caller's process."""
    rng = np.random.default_rng(items)
    builder = ModelBuilder("knapsack")
    take = builder.add_columns(
        "take", items, upper=1, integer=True, objective=-rng.integers(1, 9, items)
    )
    builder.add_rows("C1", 0, take, rng.integers(1, 9, items), upper=items)
    return builder.build()


def _warm() -> None:
    """Have a child ready: its start is no solver's."""
    worker = acquire()
    worker.wait_until_ready(time.perf_counter() + _LONG_S)
    release(worker)


def _hanging(backends: Sequence[Backend], limits: Sequence[float]) -> Trial:
    """Try solvers that never stop: the limit holds, and nothing false is said."""
    model, failures, times, worst = _knapsack(), [], 0, 0.0
    for backend in backends:
        for limit_s in limits:
            _warm()
            begun = time.perf_counter()
            answer = solve_guarded(model, backend, time_limit_s=limit_s)
            over_s = time.perf_counter() - begun - limit_s
            worst, times = max(worst, over_s), times + 1
            if over_s > max(OVERRUN_SHARE * limit_s, OVERRUN_S):
                failures.append(f"{backend.name} kept {limit_s} s by {over_s:.2f} s too long")
            honest = answer.limit is Limit.TIME and answer.bound is None
            if not honest or (answer.x is not None and model.violations(answer.x)):
                failures.append(f"{backend.name}: {_shown(answer)}")
    seen = f"at most {worst:.3f} s over the limit"
    return Trial("hangs until killed", times, tuple(failures), seen)


def _dying(backends: Sequence[Backend]) -> Trial:
    """Try solvers that lose their process: an error that names them, long before the limit."""
    model, failures, worst = _knapsack(), [], 0.0
    for backend in backends:
        _warm()
        begun = time.perf_counter()
        try:
            answer = solve_guarded(model, backend, time_limit_s=_LONG_S)
            failures.append(f"{backend.name} gave {_shown(answer)}")
        except BackendError as error:
            if not error.said:
                failures.append(f"{backend.name}: nothing is said")
        worst = max(worst, time.perf_counter() - begun)
    seen = f"known after {worst:.2f} s at most"
    return Trial("dies: an error names it", len(backends), tuple(failures), seen)


def _taken_over(what: str, backends: Sequence[Backend], limit_s: float | None) -> Trial:
    """Ask a broken one first and SCIP next: the answer is the healthy one's."""
    model, failures = _knapsack(), []
    healthy = solve_model(model, "scip")
    for backend in backends:
        with broken.asked_first(backend, backend_named("scip")), _heard(limit_s):
            try:
                answer = solve_model(model, time_limit_s=limit_s)
            except Exception as error:
                failures.append(f"{backend.name}: {type(error).__name__}: {error}")
                continue
        if not same(answer.status, answer.objective, answer.bound, healthy):
            failures.append(f"{backend.name}: {_shown(answer)} and not {_shown(healthy)}")
    return Trial(what, len(backends), tuple(failures), f"optimum {healthy.objective:g}, proven")


@contextlib.contextmanager
def _heard(limit_s: float | None) -> Iterator[None]:
    """Let solvers without a limit run in a child process."""
    with interrupts.heard() if limit_s is None else contextlib.nullcontext():
        yield


def same(status: Status, objective: float | None, bound: float | None, healthy: MipAnswer) -> bool:
    """Tell whether an answer is what a healthy solver says, up to its tolerance."""
    if status is not healthy.status or objective is None or bound is None:
        return False
    assert healthy.objective is not None
    slack = 10 * OPTIMALITY_TOLERANCE * max(1.0, abs(healthy.objective))
    return abs(objective - healthy.objective) <= slack and abs(bound - objective) <= slack


def _left_behind(times: int) -> Trial:
    """Let solves fail in turn: neither processes, folders nor open files stay."""
    kinds = (broken.KILLED, broken.WRONG, broken.FILLS_THE_FOLDER, broken.CRASHING, broken.WRONG)
    failures: list[str] = []
    close_idle()
    with tempfile.TemporaryDirectory(prefix="moeopt-bench-") as folder:
        with patch.object(tempfile, "tempdir", folder):
            before = _open_files()
            for number in range(times):
                backend = kinds[number % len(kinds)]
                _warm()
                with contextlib.suppress(BackendError):
                    solve_guarded(_knapsack(), backend, time_limit_s=0.2)
            close_idle()
        failures += _stays("temporary folders", lambda: os.listdir(folder))
        failures += _stays("child processes", _children)
        more = _open_files() - before
        failures += [f"{more} more open files after {times} failed solves"] * (more > 0)
    seen = "no file, folder or process"
    return Trial("fails, and leaves nothing behind", times, tuple(failures), seen)


def _stays(what: str, left: Callable[[], list[str]]) -> list[str]:
    """Return what is left after the time that it takes to end."""
    deadline = time.perf_counter() + _GONE_S
    while left() and time.perf_counter() < deadline:
        time.sleep(0.02)
    return [f"{what} left: {', '.join(left()[:3])}"] if left() else []


def _children() -> list[str]:
    """Return the child processes of this one that run moeopt's solvers."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"mip.worker" in (stat.parent / "cmdline").read_bytes():
                found.append(stat.parent.name)
    return found


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _shown(answer: MipAnswer) -> str:
    return (
        f"{answer.status.value} {answer.objective} bound {answer.bound} limit {answer.limit.value}"
    )
