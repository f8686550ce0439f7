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
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from moeopt.core.errors import BackendError
from moeopt.mip.worker import framed, read_frame

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from moeopt.mip.worker import serve; serve(sys.argv[2])"
)

#: How much of what a child prints as errors is kept.
_LAST_WORDS_BYTES = 2000

#: How long a child that no longer speaks has to be gone by itself.
_LAST_BREATH_S = 0.1

#: How long to wait for pipes to close that a program may hold which left the child's group.
_CLOSING_S = 1.0

#: How long a caller waits for a child's end: to free much memory or many files takes longer.
_MOMENT_S = 0.03

#: Starting a process holds the interpreter: the solve has returned by then.
_LATER_S = 0.1


class Worker:
    """A child process, with threads that listen to it.

    Raises
    ------
    BackendError
        If no process can be started.
    """

    def __init__(self) -> None:
        with contextlib.ExitStack() as undo:
            try:
                # What a killed solver leaves behind is removed with its own temporary folder.
                self._scratch = tempfile.mkdtemp(prefix="moeopt-")
                undo.callback(shutil.rmtree, self._scratch, ignore_errors=True)
                self._process = _started(self._scratch)
            except OSError as error:
                said = f"no process could be started ({error.strerror or error})"
                remedy = "free memory, processes, open files or room in the temporary folder"
                raise BackendError("worker", said, remedy) from None
            undo.pop_all()
        self._stdin = cast("BinaryIO", self._process.stdin)
        self._stdout = cast("BinaryIO", self._process.stdout)
        self._stderr = cast("BinaryIO", self._process.stderr)
        self._frames: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._last_words = b""
        self._ready = False
        self._ended = False
        self._threads = [self._thread(self._listen), self._thread(self._overhear)]

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
            self._ready = bool(self.receive(deadline))
        if self._ended:
            self.raise_if_dead("worker")
        return self._ready

    def send(self, task: dict[str, Any]) -> None:
        """Send a task; a child that died meanwhile, or reads nothing, is noticed when receiving."""
        # What the task refers to by name must be importable there as it is here, now.
        # The writer of the task before is done: it was answered.
        self._threads[2:] = [self._thread(self._write, framed(sys.path) + framed(task))]

    def receive(self, deadline: float) -> list[tuple[str, Any]]:
        """Return the messages there are, after waiting for one; none if late or dead."""
        found: list[tuple[str, Any]] = []
        if self._ended:
            return found
        try:
            frame = self._frames.get(timeout=max(0.0, deadline - time.perf_counter()))
            for _ in range(self._frames.qsize()):
                if frame is None:
                    break
                found.append(frame)
                frame = self._frames.get_nowait()
        except queue.Empty:
            # A program that the child started may hold the pipe open.
            if self.alive or not self._drained():
                return found
            frame = None
        if frame is None:
            self._ended = True
        else:
            found.append(frame)
        return found

    def _drained(self) -> bool:
        """Tell whether nothing more is to come from a child that is dead."""
        self._threads[0].join(_LAST_BREATH_S)
        return self._frames.empty()

    def raise_if_dead(self, backend: str) -> None:
        """Raise `BackendError` naming what ended the child, if it ended by itself."""
        if not self._ended:
            return
        try:
            code = self._process.wait(_LAST_BREATH_S)
            said = f"its process died ({_cause(code)})"
        except subprocess.TimeoutExpired:
            said = "its process lives, but its words are none, or cannot be understood"
        else:
            self._threads[1].join(_LAST_BREATH_S)
            last = self._last_words.decode("utf-8", "replace").strip().splitlines()
            said += f": {last[-1]}" if last else ""
        raise BackendError(backend, said, "try another backend, or give it more memory")

    def kill(self) -> None:
        """End the child and everything it started, and wait for it."""
        self.end()
        self._process.wait()
        deadline = time.perf_counter() + _CLOSING_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.perf_counter()))
        # To close what another thread still uses would be to wait for it.
        if not any(thread.is_alive() for thread in self._threads[2:]):
            with contextlib.suppress(OSError):
                self._stdin.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def end(self) -> None:
        """Send the child and everything it started the signal that cannot be ignored."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    @staticmethod
    def _thread(run: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        thread.start()
        return thread

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._stdin.write(data)
            self._stdin.flush()

    def _overhear(self) -> None:
        """Keep the end of what the child prints as errors, however much that is."""
        with contextlib.suppress(OSError), self._stderr:
            while data := os.read(self._stderr.fileno(), 1 << 16):
                self._last_words = (self._last_words + data)[-_LAST_WORDS_BYTES:]

    def _listen(self) -> None:
        try:
            while True:
                self._frames.put(read_frame(self._stdout))
        except Exception:
            self._frames.put(None)
        finally:
            self._stdout.close()


def _started(scratch: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _BOOT, json.dumps(sys.path), scratch],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": scratch},
        start_new_session=True,  # one signal reaches the solvers that the child starts
    )


def _cause(code: int) -> str:
    """Return what ended a process, of its exit code as Python gives it."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


_lock = threading.Lock()
_idle: list[Worker] = []
#: How often one was asked for, or the idle ones were ended: none is to be started behind that.
_turns = 0
#: Workers of the parent, seen from a process that was forked from it: not ours to use or to end.
_inherited: list[Worker] = []


def acquire() -> Worker:
    """Return an idle worker, or a new one."""
    global _turns
    with _lock:
        _turns += 1
        while _idle:
            worker = _idle.pop()
            if worker.alive and not worker.ended:
                return worker
            worker.kill()
    return Worker()


def release(worker: Worker) -> None:
    """Keep `worker` for the next solve."""
    with _lock:
        _idle.append(worker)


def discard(worker: Worker, *, renew: bool) -> None:
    """End a worker; what is left of that after a moment goes on in the background.

    Parameters
    ----------
    worker
        Whose solver failed or is late.
    renew
        Whether another one is started then, in the caller's time and not in the solve's, unless
        somebody asked for one meanwhile.
    """
    worker.end()
    gone, known = threading.Event(), _turns

    def bury() -> None:
        worker.kill()
        gone.set()
        threading.main_thread().join(_LATER_S)
        if renew and known == _turns and threading.main_thread().is_alive():
            warm_up()

    threading.Thread(target=bury).start()
    gone.wait(_MOMENT_S)


def warm_up() -> None:
    """Start a child in the background if none is idle, so that the next solve need not wait."""
    # Where none can be started, the solve that needs one says so.
    with _lock, contextlib.suppress(BackendError):
        if not _idle:
            _idle.append(Worker())


def close_idle() -> None:
    """End the idle children."""
    global _turns
    with _lock:
        _turns += 1
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
