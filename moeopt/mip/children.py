"""Child processes that run `moeopt.mip.worker`: started, kept idle, killed with all theirs."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, BinaryIO, cast

from moeopt.core.errors import BackendError
from moeopt.mip.worker import read_frame, write_frame

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from moeopt.mip.worker import serve; serve()"
)


class Worker:
    """A child process with a thread that listens to it."""

    def __init__(self) -> None:
        # What a killed solver leaves behind is removed with its own temporary folder.
        self._scratch = tempfile.mkdtemp(prefix="moeopt-")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "TMPDIR": self._scratch},
            start_new_session=True,  # one signal reaches the solvers that the child starts
        )
        self._stdin = cast("BinaryIO", self._process.stdin)
        self._stdout = cast("BinaryIO", self._process.stdout)
        self._frames: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._ready = False
        self._ended = False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def ended(self) -> bool:
        """Tell whether the child's last message was read."""
        return self._ended

    @property
    def alive(self) -> bool:
        """Tell whether the child still runs."""
        return self._process.poll() is None

    def wait_until_ready(self, deadline: float) -> bool:
        """Wait for the child's imports; ``False`` if the deadline comes first."""
        if not self._ready:
            self._ready = self.receive(deadline) is not None
        if self._ended:
            self.raise_if_dead("worker")
        return self._ready

    def send(self, task: dict[str, Any]) -> None:
        """Send a task; a child that died meanwhile is noticed when receiving."""
        with contextlib.suppress(OSError):
            # What the task refers to by name must be importable there as it is here, now.
            write_frame(self._stdin, sys.path)
            write_frame(self._stdin, task)

    def receive(self, deadline: float) -> tuple[str, Any] | None:
        """Return the next message, ``None`` at the deadline or when the child is dead."""
        if self._ended:
            return None
        try:
            frame = self._frames.get(timeout=max(0.0, deadline - time.perf_counter()))
        except queue.Empty:
            return None
        self._ended = frame is None
        return frame

    def raise_if_dead(self, backend: str) -> None:
        """Raise `BackendError` naming what ended the child, if it ended by itself."""
        if not self._ended:
            return
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._errors.seek(0)
        last = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        said = f"its process died ({how})" + (f": {last[-1]}" if last else "")
        raise BackendError(backend, said, "try another backend, or give it more memory")

    def kill(self) -> None:
        """End the child and everything it started, and wait for it."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for stream in (self._stdin, self._stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _listen(self) -> None:
        try:
            while True:
                self._frames.put(read_frame(self._stdout))
        except Exception:
            self._frames.put(None)


_lock = threading.Lock()
_idle: list[Worker] = []
#: Workers of the parent, seen from a process that was forked from it: not ours to use or to end.
_inherited: list[Worker] = []


def acquire() -> Worker:
    """Return an idle worker, or a new one."""
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.alive:
                return worker
            worker.kill()
    return Worker()


def release(worker: Worker) -> None:
    """Keep `worker` for the next solve."""
    with _lock:
        _idle.append(worker)


def warm_up() -> None:
    """Start a child in the background if none is idle, so that the next solve need not wait."""
    with _lock:
        if not _idle:
            _idle.append(Worker())


def close_idle() -> None:
    """End the idle children."""
    with _lock:
        while _idle:
            _idle.pop().kill()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it
    _inherited.extend(_idle)
    _idle.clear()


atexit.register(close_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
