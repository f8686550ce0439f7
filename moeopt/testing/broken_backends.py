"""Backends that fail in every way that solvers do, and more: for tests of what stands between.

A module that a child process can import. Those that end or block their process must be given a
time limit, or be run where Ctrl-C is heard: else they do it to the caller's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import resource
import signal
import stat
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit
from moeopt.mip.answer import Claim, Verdict
from moeopt.mip.backends.record import Backend, Request
from moeopt.mip.backends.scipy_ import SCIPY
from moeopt.mip.model import LinearModel
from moeopt.mip.presolve import without_costs

_MIB = 1 << 20

#: Seconds after which what hangs, or was left running, goes away by itself.
_FOR_EVER_S = 60.0


@contextlib.contextmanager
def asked_first(*backends: Backend) -> Iterator[None]:
    """Let ``"auto"`` ask these backends within a ``with`` block, in this order, and no others.

    Parameters
    ----------
    backends
        Whoever comes first is asked first; the next takes over, or is the second opinion.
    """
    from moeopt.mip import backend_named, solve

    named = {backend.name: backend for backend in backends}

    def found(name: str) -> Backend:
        return named.get(name) or backend_named(name)

    with (
        patch.object(solve, "default_order", lambda model: tuple(named)),
        patch.object(solve, "backend_named", found),
    ):
        yield


def _yes() -> bool:
    return True


def _version() -> str:
    return "broken 1"


def _best(model: LinearModel) -> Claim:
    return SCIPY.run(model, Request())


def _any_point(model: LinearModel) -> FloatArray:
    zero: FloatArray = np.clip(0.0, model.column_lower, model.column_upper)
    if not model.violations(zero):
        return zero
    x: FloatArray | None = _best(without_costs(model)).x
    assert x is not None, "broken solvers are for models that have a point"
    return x


def _hangs(model: LinearModel, request: Request) -> Claim:
    time.sleep(_FOR_EVER_S)
    raise AssertionError


def _hangs_in_c(model: LinearModel, request: Request) -> Claim:
    re.match(r"(a+)+$", "a" * 60 + "b")  # exponential, holding the interpreter
    raise AssertionError


def _ignores_sigterm(model: LinearModel, request: Request) -> Claim:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    return _hangs(model, request)


def _reports_and_hangs(model: LinearModel, request: Request) -> Claim:
    _report(model, request)
    return _hangs(model, request)


def _report(model: LinearModel, request: Request) -> None:
    """Report a point, a worse word (a point that breaks the model), and no more."""
    if request.on_incumbent is not None:
        request.on_incumbent(_any_point(model), None)
        request.on_incumbent(np.full(model.num_columns, 1e6 + 0.5), None)


def _proves_too_much_and_hangs(model: LinearModel, request: Request) -> Claim:
    assert request.on_incumbent is not None
    point = _any_point(model)
    request.on_incumbent(point, model.evaluate(point) + 1e3)
    return _hangs(model, request)


def _talks_for_ever(model: LinearModel, request: Request) -> Claim:
    assert request.on_incumbent is not None
    point = _any_point(model)
    while True:
        request.on_incumbent(point, None)


def _sigkill(model: LinearModel, request: Request) -> Claim:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _sigsegv(model: LinearModel, request: Request) -> Claim:
    _without_core(signal.SIGSEGV)
    raise AssertionError


def _sigabrt(model: LinearModel, request: Request) -> Claim:
    _without_core(signal.SIGABRT)
    raise AssertionError


def _without_core(number: signal.Signals) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.kill(os.getpid(), number)
    time.sleep(_FOR_EVER_S)


def _sigrt(model: LinearModel, request: Request) -> Claim:
    os.kill(os.getpid(), signal.SIGRTMIN + 3)  # which Python has no name for
    raise AssertionError


def _exits(model: LinearModel, request: Request) -> Claim:
    os._exit(0)


def _exits_with_3(model: LinearModel, request: Request) -> Claim:
    os._exit(3)


def _reports_and_dies(model: LinearModel, request: Request) -> Claim:
    _report(model, request)
    return _sigkill(model, request)


def _half_a_frame(model: LinearModel, request: Request) -> Claim:
    os.write(_pipe(), struct.pack("<Q", 10_000) + b"half of what was announced")
    return _sigkill(model, request)


def _half_a_frame_and_hangs(model: LinearModel, request: Request) -> Claim:
    os.write(_pipe(), struct.pack("<Q", 10_000) + b"half of what was announced")
    return _hangs(model, request)


def _no_pickle(model: LinearModel, request: Request) -> Claim:
    os.write(_pipe(), struct.pack("<Q", 8) + b"nonsense")
    return _hangs(model, request)


def _endless_frame(model: LinearModel, request: Request) -> Claim:
    os.write(_pipe(), struct.pack("<Q", 2**63) + b"nonsense")
    return _hangs(model, request)


def _closes_the_pipe(model: LinearModel, request: Request) -> Claim:
    os.close(_pipe())
    return _hangs(model, request)


def _pipe() -> int:
    """Return the number of the pipe on which this child answers."""
    for entry in os.listdir("/proc/self/fd"):
        number = int(entry)
        with contextlib.suppress(OSError):
            writes = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
            if number > 2 and writes and stat.S_ISFIFO(os.fstat(number).st_mode):
                return number
    raise AssertionError("a child of moeopt.mip.children has one")


def _forks_and_dies(model: LinearModel, request: Request) -> Claim:
    if os.fork() == 0:
        time.sleep(_FOR_EVER_S)  # holding the pipe open
        os._exit(0)
    return _sigkill(model, request)


def _child_leaves_the_group(model: LinearModel, request: Request) -> Claim:
    if os.fork() == 0:
        os.setsid()
        time.sleep(3.0)
        os._exit(0)
    return _sigkill(model, request)


def _with_a_program(model: LinearModel, request: Request) -> Claim:
    subprocess.run(["sh", "-c", f"sleep 0.9; touch '{model.name}'"], check=True)
    raise AssertionError


def _endless_program(model: LinearModel, request: Request) -> Claim:
    script = f"echo $$ > '{model.name}'; exec sleep 600"
    subprocess.run(["sh", "-c", script], check=True)
    raise AssertionError


def _raises(model: LinearModel, request: Request) -> Claim:
    raise ZeroDivisionError("inside the solver")


class _Foreign(BackendError):
    """An error that goes out and cannot come in."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:  # type: ignore[override]
        return float, ("no number",)


def _unreadable(model: LinearModel, request: Request) -> Claim:
    raise _Foreign("unreadable", "nobody will know", "")


def _unpicklable(model: LinearModel, request: Request) -> Claim:
    return replace(_best(model), log=threading.Lock())  # type: ignore[arg-type]


def _out_of_memory(model: LinearModel, request: Request) -> Claim:
    _limit_memory()
    held = []
    while True:
        held.append(np.ones(16 * _MIB // 8))


def _out_of_memory_in_c(model: LinearModel, request: Request) -> Claim:
    _limit_memory()
    held = []
    # Until not even small things fit: C++ then calls std::terminate.
    for size in (_MIB, 1 << 12, 1 << 6):
        with contextlib.suppress(MemoryError):
            while True:
                held.append(bytearray(size))
    os.abort()


def _limit_memory() -> None:
    """Let this process have 128 MiB more than it has, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 128 * _MIB
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _noise(model: LinearModel, request: Request) -> Claim:
    os.write(1, b"noise on standard output\n" * 1000)
    return _best(model)


def _noise_on_stderr(model: LinearModel, request: Request) -> Claim:
    line = b"an error that nobody reads\n" * 40_000
    while True:
        os.write(2, line)


def _fills_the_folder(model: LinearModel, request: Request) -> Claim:
    folder = Path(tempfile.mkdtemp())
    for number in range(2000):
        (folder / f"{number}").write_bytes(b"x" * 4096)
    return _hangs(model, request)


def _talks_behind(model: LinearModel, request: Request) -> Claim:
    """Answer, and go on reporting points of this model from a thread."""
    report, point = request.on_incumbent, _any_point(model)

    def run() -> None:
        end = time.monotonic() + 1.0
        while report is not None and time.monotonic() < end:
            report(point, 1e9)
            time.sleep(1e-3)

    threading.Thread(target=run, daemon=True).start()
    return _best(model)


def _worse(model: LinearModel, request: Request) -> Claim:
    x = _any_point(model)
    return Claim(verdict=Verdict.OPTIMAL, x=x, bound=model.evaluate(x))


def _says_infeasible(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.INFEASIBLE)


def _says_unbounded(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.UNBOUNDED) if model.objective.any() else _best(model)


def _bound_too_high(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.UNKNOWN, limit=Limit.TIME, bound=1e12)


def _overproud(model: LinearModel, request: Request) -> Claim:
    x = _any_point(model)
    bound = model.evaluate(x) + 1.0 + float(np.abs(model.objective).max(initial=1.0))
    return Claim(verdict=Verdict.FEASIBLE, limit=Limit.TIME, x=x, bound=bound)


def _bound_nan(model: LinearModel, request: Request) -> Claim:
    return replace(_best(model), bound=float("nan"))


def _bound_infinite(model: LinearModel, request: Request) -> Claim:
    return replace(_best(model), bound=float("inf"))


def _breaks_the_model(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.OPTIMAL, x=np.full(model.num_columns, 12345.5), bound=-1e9)


def _breaks_the_model_in_time(model: LinearModel, request: Request) -> Claim:
    return replace(
        _breaks_the_model(model, request), verdict=Verdict.FEASIBLE, limit=Limit.TIME, bound=None
    )


def _wrong_length(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.OPTIMAL, x=np.zeros(model.num_columns + 1), bound=0.0)


def _one_number(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.OPTIMAL, x=np.zeros(1), bound=0.0)


def _nan_point(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.OPTIMAL, x=np.full(model.num_columns, np.nan), bound=0.0)


def _infinite_point(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.OPTIMAL, x=np.full(model.num_columns, np.inf), bound=0.0)


def _off_integers(model: LinearModel, request: Request) -> Claim:
    claim = _best(model)
    return claim if claim.x is None else replace(claim, x=claim.x + 1e-3 * model.integrality)


def _make(name: str, run: Callable[[LinearModel, Request], Claim]) -> Backend:
    return Backend(name=name, version=_version, available=_yes, run=run)


SLEEPER = _make("sleeper", _hangs)
BUSY = _make("busy", _hangs_in_c)
IGNORES_SIGTERM = _make("ignores SIGTERM", _ignores_sigterm)
REPORTER = _make("reporter", _reports_and_hangs)
PROVES_TOO_MUCH = _make("proves too much, hangs", _proves_too_much_and_hangs)
TALKER = _make("talks for ever", _talks_for_ever)
HALF_A_FRAME_AND_HANGS = _make("half a frame, hangs", _half_a_frame_and_hangs)
FILLS_THE_FOLDER = _make("fills TMPDIR", _fills_the_folder)
NOISY_ERRORS = _make("floods stderr", _noise_on_stderr)
WITH_A_PROGRAM = _make("with a program", _with_a_program)
ENDLESS_PROGRAM = _make("endless program", _endless_program)

KILLED = _make("killed", _sigkill)
CRASHING = _make("crashing", _raises)
UNREADABLE = _make("unreadable error", _unreadable)
UNPICKLABLE = _make("unpicklable answer", _unpicklable)
TALKS_BEHIND = _make("talks behind its answer", _talks_behind)
CHATTY = _make("chatty", _noise)
WRONG = _make("wrong", _breaks_the_model)
WRONG_IN_TIME = _make("wrong in time", _breaks_the_model_in_time)
SAYS_INFEASIBLE = _make("says infeasible", _says_infeasible)
SAYS_UNBOUNDED = _make("says unbounded", _says_unbounded)
BOUND_TOO_HIGH = _make("bound too high", _bound_too_high)
OVERPROUD = _make("overproud", _overproud)
NAN_POINT = _make("NaN for a point", _nan_point)
WORSE = _make("calls any point optimal", _worse)
OFF_INTEGERS = _make("integers off by 1e-3", _off_integers)

#: Never end, whatever they do meanwhile.
HANGING = (
    SLEEPER,
    BUSY,
    IGNORES_SIGTERM,
    REPORTER,
    PROVES_TOO_MUCH,
    TALKER,
    HALF_A_FRAME_AND_HANGS,
    FILLS_THE_FOLDER,
    NOISY_ERRORS,
)

#: End or lose their process: nothing of them but an error reaches the caller.
DYING = (
    KILLED,
    _make("SIGSEGV", _sigsegv),
    _make("SIGABRT", _sigabrt),
    _make("SIGRTMIN+3", _sigrt),
    _make("exit code 0", _exits),
    _make("exit code 3", _exits_with_3),
    _make("reports, dies", _reports_and_dies),
    _make("half a frame, dies", _half_a_frame),
    _make("no pickle", _no_pickle),
    _make("endless frame", _endless_frame),
    _make("closes its pipe", _closes_the_pipe),
    _make("forks, dies", _forks_and_dies),
    _make("leaves its group, dies", _child_leaves_the_group),
    _make("out of memory", _out_of_memory),
    _make("out of memory, aborts", _out_of_memory_in_c),
    UNREADABLE,
    UNPICKLABLE,
    CRASHING,
)

#: Answer, and what they say is wrong or none.
LYING = (
    WRONG,
    WRONG_IN_TIME,
    WORSE,
    SAYS_INFEASIBLE,
    SAYS_UNBOUNDED,
    BOUND_TOO_HIGH,
    OVERPROUD,
    _make("bound NaN", _bound_nan),
    _make("bound infinite", _bound_infinite),
    _make("wrong length", _wrong_length),
    _make("one number", _one_number),
    NAN_POINT,
    _make("infinite point", _infinite_point),
    OFF_INTEGERS,
    TALKS_BEHIND,
)
