"""One worker: joins the others, then runs what the parent sends, until its input ends.

Started by `moeopt.adapters.torch.workers`; frames of pickles go between parent and child, whose
standard output is theirs alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import sys
import traceback
from datetime import timedelta
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<Q")


def write_frame(stream: BinaryIO, value: Any) -> None:
    """Write one message."""
    data = pickle.dumps(value)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def read_frame(stream: BinaryIO) -> Any:
    """Return the next message; `EOFError` if there is none."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def serve() -> None:
    """Join the group that the first message names, then answer each call."""
    frames = os.fdopen(os.dup(1), "wb")
    # Whatever prints must not print into the frames.
    os.dup2(2, 1)
    calls = sys.stdin.buffer
    try:
        _join(**read_frame(calls))
    except Exception as error:
        write_frame(frames, ("failed", repr(error), traceback.format_exc()))
        return
    write_frame(frames, ("done", None, ""))
    with contextlib.suppress(EOFError):
        while True:
            write_frame(frames, _answered(read_frame(calls)))
    _leave()


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
        init_method=f"file://{store}",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=timeout_s),
        device_id=device,
    )


def _leave() -> None:
    import torch.distributed as dist

    dist.destroy_process_group()


def _answered(call: tuple[Any, ...]) -> tuple[str, Any, str]:
    function, args, kwargs = call
    try:
        return "done", function(*args, **kwargs), ""
    except Exception as error:
        return "failed", error, traceback.format_exc()
