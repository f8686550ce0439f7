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
import shutil
import signal
import struct
import sys
import threading
import traceback
from typing import Any, BinaryIO

from moeopt.core.errors import BackendError

_LENGTH = struct.Struct("<Q")

#: A child whose parent is gone ends itself this long after the deadline.
_ORPHAN_GRACE_S = 5.0


def framed(message: object) -> bytes:
    """Return one message as it is sent."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def write_frame(stream: BinaryIO, message: object) -> None:
    """Send one message."""
    stream.write(framed(message))
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


def serve(scratch: str) -> None:
    """Answer tasks until the parent closes the pipe (the child's main function).

    Parameters
    ----------
    scratch
        The child's temporary folder, which an orphan removes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    tasks = os.fdopen(os.dup(sys.stdin.fileno()), "rb")  # Python locks its own when it ends
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Solvers print as they like: that must not end up between the frames.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())
    _load()
    write_frame(answers, ("ready", None))
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_hear, args=(tasks, frames, scratch), daemon=True).start()
    while True:
        sys.path[:] = pickle.loads(frames.get())
        try:
            task = pickle.loads(frames.get())  # which may need the new path
        except Exception as error:
            said = f"its process cannot read the task ({type(error).__name__}: {error})"
            write_frame(answers, ("broken", BackendError("worker", said, "try another backend")))
            continue
        # A C thread: it fires even while a solver holds the interpreter.
        if task["time_limit_s"] is not None:
            faulthandler.dump_traceback_later(
                task["time_limit_s"] + _ORPHAN_GRACE_S, exit=True, file=silence
            )
        name = task["backend"].name
        message = _answer(task, answers)
        faulthandler.cancel_dump_traceback_later()
        try:
            write_frame(answers, message)
        except Exception as error:
            said = f"its answer cannot be sent ({type(error).__name__}: {error})"
            write_frame(answers, ("broken", BackendError(name, said, "try another backend")))


def _hear(tasks: BinaryIO, frames: queue.SimpleQueue[bytes], scratch: str) -> None:
    """Take messages in; a parent that is gone wants no answer, whatever it asked."""
    try:
        while True:
            frames.put(_read_bytes(tasks))
    except EOFError:
        shutil.rmtree(scratch, ignore_errors=True)
        if os.name == "posix":
            # Solvers that are programs of their own would go on alone.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(0)
    except Exception:
        # Such as no memory for the model: nobody would ever answer.
        traceback.print_exc()
        os._exit(1)


def _load() -> None:
    """Import what most tasks need, before the first one waits for it."""
    import moeopt.mip.backends  # noqa: F401

    try:
        from ortools.math_opt import callback_pb2, model_pb2, parameters_pb2  # noqa: F401
        from ortools.math_opt.core.python import solver  # noqa: F401
    except ImportError:  # pragma: no cover - other backends may still work
        pass


def _answer(task: dict[str, Any], answers: BinaryIO) -> tuple[str, object]:
    """Return what there is to say of a task; nothing about it may be sent afterwards."""
    backend = task.pop("backend")
    lock, running = threading.Lock(), True

    def on_incumbent(x: object, bound: object) -> None:
        # Threads of a solver may outlive it.
        with lock:
            if running:
                write_frame(answers, ("incumbent", (x, bound)))

    try:
        return "answer", backend.solve(**task, on_incumbent=on_incumbent)
    except BackendError as error:
        # What a solver should not have raised may have left anything behind in its process.
        return "error" if error.__cause__ is None else "broken", error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        return "broken", BackendError(backend.name, said, "try another backend")
    finally:
        with lock:
            running = False
