"""The child process in which `moeopt.mip.guard` runs a solver: what it says and hears.

Frames are pickles with their length in front, on the child's standard input and output. The child
takes one task at a time and lives on, warm, for the next.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import queue
import signal
import struct
import sys
import threading
from typing import Any, BinaryIO

from moeopt.core.errors import BackendError

_LENGTH = struct.Struct("<Q")

#: A child whose parent is gone ends itself this long after the deadline.
_ORPHAN_GRACE_S = 5.0


def write_frame(stream: BinaryIO, message: object) -> None:
    """Send one message."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def read_frame(stream: BinaryIO) -> Any:
    """Return the next message; ``EOFError`` when the other side is gone."""
    return pickle.loads(_read_bytes(stream))


def _read_bytes(stream: BinaryIO) -> bytes:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def serve() -> None:
    """Answer tasks until the parent closes the pipe (the child's main function)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    tasks = os.fdopen(os.dup(sys.stdin.fileno()), "rb")  # Python locks its own when it ends
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Solvers print as they like: that must not end up between the frames.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())
    _load()
    write_frame(answers, ("ready", None))
    lock = threading.Lock()
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_hear, args=(tasks, frames), daemon=True).start()
    while True:
        sys.path[:] = pickle.loads(frames.get())
        task = pickle.loads(frames.get())  # which may need the new path
        # A C thread: it fires even while a solver holds the interpreter.
        if task["time_limit_s"] is not None:
            faulthandler.dump_traceback_later(
                task["time_limit_s"] + _ORPHAN_GRACE_S, exit=True, file=silence
            )
        message = _answer(task, answers, lock)
        faulthandler.cancel_dump_traceback_later()
        with lock:
            write_frame(answers, message)


def _hear(tasks: BinaryIO, frames: queue.SimpleQueue[bytes]) -> None:
    """Take messages in; a parent that is gone wants no answer, whatever it asked."""
    try:
        while True:
            frames.put(_read_bytes(tasks))
    except EOFError:
        if os.name == "posix":
            # Solvers that are programs of their own would go on alone.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(0)


def _load() -> None:
    """Import what most tasks need, before the first one waits for it."""
    import moeopt.mip.backends  # noqa: F401

    try:
        from ortools.math_opt import callback_pb2, model_pb2, parameters_pb2  # noqa: F401
        from ortools.math_opt.core.python import solver  # noqa: F401
    except ImportError:  # pragma: no cover - other backends may still work
        pass


def _answer(task: dict[str, Any], answers: BinaryIO, lock: threading.Lock) -> tuple[str, object]:
    backend = task.pop("backend")

    def on_incumbent(x: object, bound: object) -> None:
        with lock:
            write_frame(answers, ("incumbent", (x, bound)))

    try:
        return "answer", backend.solve(**task, on_incumbent=on_incumbent)
    except BackendError as error:
        return "error", error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        return "error", BackendError(backend.name, said, "try another backend")
