"""One worker: joins the others, then runs what the parent sends, until its input ends.

Started by `moeopt.adapters.torch.workers`; frames of pickles go between parent and child, whose
standard output is theirs alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import struct
import threading
import time
import traceback
from datetime import timedelta
from typing import BinaryIO, cast

from moeopt.core.errors import MoeoptError

_LENGTH = struct.Struct("<Q")

#: Seconds that a call may go on after the parent has gone.
_GRACE_S = 3.0


def write_frame(stream: BinaryIO, data: bytes) -> None:
    """Write one message."""
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes:
    """Return the next message; `EOFError` if there is none."""
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    return _read(stream, length)


def _read(stream: BinaryIO, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        # A pipe without a buffer gives what it has.
        part = stream.read(count - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def serve() -> None:
    """Join the group that the first message names, then answer each call."""
    frames = os.fdopen(os.dup(1), "wb")
    # No lock and no buffer: a thread that waits in it must not hold up the interpreter's end.
    stream = cast("BinaryIO", os.fdopen(os.dup(0), "rb", buffering=0))
    # What a call prints must not go into the frames, and what it reads not come out of them.
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(stream, calls), daemon=True).start()
    start = calls.get()
    if start is None:
        return
    try:
        _join(**pickle.loads(start))
    except Exception as error:
        write_frame(frames, _failed(error))
        return
    write_frame(frames, pickle.dumps(("done", None, "")))
    while (call := calls.get()) is not None:
        write_frame(frames, _answered(call))
    _leave()


def _listen(stream: BinaryIO, calls: queue.SimpleQueue[bytes | None]) -> None:
    """Pass calls on; once the parent has gone, end also a call that waits for ever."""
    with contextlib.suppress(EOFError):
        while True:
            calls.put(read_frame(stream))
    calls.put(None)
    time.sleep(_GRACE_S)
    # With what it has started: each worker leads a process group of its own.
    os.killpg(0, signal.SIGKILL)


def _join(rank: int, world: int, backend: str, store: str, threads: int, timeout_s: float) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(threads)
    device = None
    if backend == "nccl":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    dist.init_process_group(
        backend,
        # Not by its address: of a path with a `#` or a `?` in it that is only a part.
        store=dist.FileStore(store, world),  # type: ignore[attr-defined]
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=timeout_s),
        device_id=device,
    )


def _leave() -> None:
    import torch.distributed as dist

    dist.destroy_process_group()


def _answered(call: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(call)
        return pickle.dumps(("done", function(*args, **kwargs), ""))
    except BaseException as error:
        # `sys.exit` too: by the time that this process is gone the others have failed.
        return _failed(error)


def _failed(error: BaseException) -> bytes:
    """Return the message of a failure: our own errors as they are, others as text."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, MoeoptError):
        with contextlib.suppress(Exception):
            return pickle.dumps(("failed", error, trace))
    return pickle.dumps(("failed", None, trace))
