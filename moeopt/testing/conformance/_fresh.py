"""Other processes for the ``fresh_process`` property: a pickled case in, the plan's JSON out.

One process with a hash seed of its own stays; it imports what cases need, and each case runs in a
fork of it, so that imports are not paid for again and again. Where there is no fork each case gets
a process.
"""

from __future__ import annotations

import atexit
import functools
import os
import pickle
import subprocess
import sys
import traceback
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """The plan's JSON, empty without a plan; or what went wrong."""

    plan: str
    error: str


def ask(request: bytes) -> Answer:
    """Return what a process with another hash seed makes of a pickled case."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    if hasattr(os, "fork"):
        process = _started(path, os.getpid())
        try:
            return _exchanged(process, request)
        except (OSError, EOFError):
            _started.cache_clear()
            return Answer("", "the other process is gone")
    with _start(path) as process:
        return _exchanged(process, request)


@functools.lru_cache(maxsize=1)
def _started(path: str, parent: int) -> subprocess.Popen[bytes]:
    """Start the process that stays; a fork of the asker gets one of its own."""
    process = _start(path)
    atexit.register(_end, process, parent)
    return process


def _start(path: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": path},
    )


def _end(process: subprocess.Popen[bytes], parent: int) -> None:
    if os.getpid() == parent:
        process.communicate()


def _exchanged(process: subprocess.Popen[bytes], request: bytes) -> Answer:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(request, process.stdin)
    process.stdin.flush()
    return Answer(*pickle.load(process.stdout))


def main() -> None:
    """Answer cases on standard input until it ends; they come from the suite, never a stranger."""
    from moeopt.core.registry import wing_named

    answers = os.fdopen(os.dup(1), "wb")
    # Some solvers write to file descriptor 1.
    os.dup2(2, 1)
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer = Answer("", "the case cannot be read")
        try:
            case = pickle.loads(request)
            wing_named(case[0])
            answer = _in_a_fork(case) if hasattr(os, "fork") else _answered(case)
        except Exception:
            answer = Answer("", traceback.format_exc())
        pickle.dump(tuple(answer), answers)
        answers.flush()


def _in_a_fork(case: Any) -> Answer:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with os.fdopen(write, "wb") as stream:
            pickle.dump(tuple(_answered(case)), stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    return Answer(*pickle.loads(said)) if said else Answer("", f"it ended with status {status}")


def _answered(case: Any) -> Answer:
    from moeopt.testing.conformance.case import Case, problem_json

    wing_name, method, problem, seed = case
    try:
        plan = Case.of(wing_name, method, seed=seed).solve(problem).plan
    except Exception:
        return Answer("", traceback.format_exc())
    return Answer("" if plan is None else problem_json(plan), "")


if __name__ == "__main__":
    main()
