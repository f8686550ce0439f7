"""The governor: shares of a processor, limits of memory, and that nothing outlives it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moeopt.adapters.aws_lambda.stand.governor import Governor, Used
from moeopt.adapters.aws_lambda.stand.governor_process import PERIOD_S, Bucket, clock_of
from moeopt.core.errors import AdapterError

#: A worker with two threads that never rest, one that takes memory and keeps it, and one that
#: gives it back at once.
_BUSY = """
import hashlib, threading
def work():
    while True:
        hashlib.sha256(bytes(1 << 16))
threading.Thread(target=work, daemon=True).start()
work()
"""
_LARGE = "kept = bytearray(300 << 20); import time; time.sleep(600)"
_BRIEFLY = "input(); bytearray(200 << 20); print(flush=True); import time; time.sleep(600)"

#: Another process that has a governor: the two print who they are.
_STAND = """
import subprocess, sys, time
from moeopt.adapters.aws_lambda.stand.governor import Governor
governor = Governor()
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
governor.watch(worker.pid, 128)
governor.running(worker.pid)
print(governor.pid, worker.pid, flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def _worker(code: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", "-S", "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, start_new_session=True, stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def governor() -> Iterator[Governor]:
    governor = Governor()
    yield governor
    governor.close()


def _soon(happened: Callable[[], bool]) -> None:
    """Wait until something happens."""
    deadline_s = time.monotonic() + 60.0
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.002)


def _state(pid: int) -> str:
    """Return a process's state: ``T`` stopped, ``Z`` ended, empty for none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def _gone(pid: int) -> bool:
    return _state(pid) in ("", "Z")


@pytest.mark.parametrize("share", [128 / 1769, 0.5, 0.98, 1.7])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("denied", [0.0, 0.2])
def test_bucket_gives_the_share(share: float, threads: int, denied: float) -> None:
    """A worker that never rests gets its share in the long run, and little beyond it at any time.

    The clock is the test's: the worker runs unless stopped, looks come late by half a tick, and the
    processors are others' for a while each second. What it misses then it catches up on.
    """
    bucket, now_s, used_s, denied_s = Bucket(share), 10.0, 3.0, 1.0
    bucket.begin(now_s, used_s, denied_s)
    while now_s < 20.0:
        taken = now_s % 1.0 < denied
        rest_s = min(bucket.rest_s(threads), 0.02) + 0.00025
        now_s += rest_s
        denied_s += 0.0 if bucket.stopped or not taken else rest_s
        used_s += 0.0 if bucket.stopped or taken else threads * rest_s
        bucket.look(now_s, used_s, denied_s)
        allowed_s = share * (now_s - 10.0)
        assert used_s - 3.0 <= allowed_s + share * PERIOD_S / 2.0 + threads * 0.00025 + 1e-9
    got = (used_s - 3.0) / (now_s - 10.0)
    assert got == pytest.approx(min(share, threads * (1.0 - denied)), rel=0.02)


def test_bucket_saves_up_half_a_period() -> None:
    """However long it waited, a worker then gets no more at once than half a period's share."""
    bucket = Bucket(0.1)
    bucket.begin(0.0, 0.0, 0.0)
    bucket.look(100.0, 0.0, 0.0)
    assert bucket.rest_s(1) == pytest.approx(max(0.1 * PERIOD_S / 2.0 / 0.9, 0.002))
    bucket.look(100.004, 0.004, 0.0)
    assert bucket.stopped
    # It has used four thousandths; it had one, and has got four ten-thousandths since.
    assert bucket.rest_s(1) == pytest.approx((0.1 * PERIOD_S + 0.0026) / 0.1)


def test_worker_is_held_back_while_it_runs(governor: Governor) -> None:
    with _worker(_BUSY) as process:
        pid = process.pid
        governor.watch(pid, 128)
        governor.running(pid)
        _soon(lambda: _state(pid) == "T")
        used = governor.idle(pid)
        assert 1 <= used.peak_mb <= 128
        assert not used.over_memory
        used_s = time.clock_gettime(clock_of(pid))
        # It is continued, and stays so: it gets many times what its share would let it have.
        _soon(lambda: time.clock_gettime(clock_of(pid)) > used_s + 0.2)
        assert _state(pid) != "T"
        governor.running(pid)
        _soon(lambda: _state(pid) == "T")
        assert governor.forget(pid).peak_mb >= used.peak_mb
        _soon(lambda: _state(pid) != "T")
        assert governor.idle(pid) == governor.forget(pid) == Used(0, False)
    assert governor.cpu_s() > 0.0


def test_worker_above_its_memory_is_killed(governor: Governor) -> None:
    """Also before its first call, and with its group."""
    child = "import subprocess; subprocess.Popen(['sleep', '600']);"
    with _worker(child + _LARGE) as process:
        governor.watch(process.pid, 128)
        assert process.wait(60.0) == -signal.SIGKILL
        # The pipe's end says that the child has ended as well.
        assert process.stdout is not None
        process.stdout.read()
        used = governor.forget(process.pid)
        assert used.over_memory
        assert used.peak_mb > 128


def test_memory_that_was_given_back_counts(governor: Governor) -> None:
    """Between calls nobody looks; the kernel remembers."""
    with _worker(_BRIEFLY) as process:
        governor.watch(process.pid, 150)
        assert not governor.idle(process.pid).over_memory
        # Answered, so what was said before has been heard.
        governor.forget(0)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        used = governor.idle(process.pid)
        assert used.over_memory
        assert 200 <= used.peak_mb < 300
        assert governor.forget(process.pid) == used


def test_nothing_outlives_a_killed_stand() -> None:
    command = [sys.executable, "-c", _STAND, _BUSY]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stand:
        assert stand.stdout is not None
        governor, worker = (int(word) for word in stand.stdout.readline().split())
        _soon(lambda: _state(worker) == "T")
        os.kill(stand.pid, signal.SIGKILL)
    _soon(lambda: _gone(governor) and _gone(worker))


def test_a_governor_that_has_ended_is_told() -> None:
    governor = Governor()
    with _worker(_BUSY) as process:
        governor.watch(process.pid, 128)
        governor.running(process.pid)
        _soon(lambda: _state(process.pid) == "T")
        os.kill(governor.pid, signal.SIGTERM)
        assert process.wait(60.0) == -signal.SIGKILL
        with pytest.raises(AdapterError, match="governor has ended"):
            governor.forget(process.pid)
    governor.close()
