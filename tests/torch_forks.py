"""PyTorch workers as forks of one process that has imported what they need.

A worker that starts by itself imports PyTorch for three seconds; a suite starts dozens. What is
sent to a worker, what it does and how it ends is the same. Workers with a prefix or variables of
their own, and those of the programs that tests start, do start by themselves.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import traceback
from types import SimpleNamespace
from typing import Any, BinaryIO

_NUMBER = struct.Struct("<i")
_MESSAGE = 1 << 20


def workers_are_forked() -> None:
    """Have `moeopt.adapters.torch.workers` fork its plain workers from now on."""
    from moeopt.adapters.torch import workers

    names = {name: getattr(subprocess, name) for name in ("PIPE", "TimeoutExpired")}
    workers.subprocess = SimpleNamespace(Popen=_started, **names)  # type: ignore[attr-defined]


def _started(arguments: list[str], **options: Any) -> Any:
    plain = arguments[0] == sys.executable and options["env"] == dict(os.environ)
    return (
        Fork(arguments[-1], options["stderr"]) if plain else subprocess.Popen(arguments, **options)
    )


class Fork:
    """One worker, with what its parent uses of a `subprocess.Popen`."""

    def __init__(self, path: str, stderr: BinaryIO) -> None:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        self._status, status = os.pipe()
        self._code: int | None = None
        there = {"path": json.loads(path), "folder": os.getcwd(), "environment": dict(os.environ)}
        fds = [theirs_in, theirs_out, stderr.fileno(), status]
        _, way = _nursery(os.getpid())
        socket.send_fds(way, [json.dumps(there).encode()], fds)
        for fd in (theirs_in, theirs_out, status):
            os.close(fd)
        self.stdin, self.stdout = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")
        (self.pid,) = _NUMBER.unpack(os.read(self._status, _NUMBER.size))

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            (self._code,) = _NUMBER.unpack(os.read(self._status, _NUMBER.size))
            os.close(self._status)
        return self._code


@functools.lru_cache(maxsize=1)
def _nursery(parent: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Return the process that forks and the way to it; it ends when nobody can ask any more."""
    del parent  # a fork of the asker gets one of its own
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = os.pathsep.join(place for place in sys.path if isinstance(place, str) and place)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=theirs.fileno(),
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
    return process, ours


def main() -> None:
    """Fork a worker for each message on standard input, a socket."""
    # What workers and their jobs import.
    import moeopt.adapters.torch.migrate
    import moeopt.adapters.torch.run.bytes_job
    import moeopt.adapters.torch.run.layer_job
    import moeopt.adapters.torch.run.round_job
    import moeopt.adapters.torch.worker  # noqa: F401

    asked = socket.socket(fileno=0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        message, fds, _, _ = socket.recv_fds(asked, _MESSAGE, 4)
        if not message:
            return
        if os.fork() == 0:
            asked.detach()
            _keep(json.loads(message), *fds)
        for fd in fds:
            os.close(fd)


def _keep(there: dict[str, Any], *fds: int) -> None:
    """Start the worker and tell how it ends: only its parent in the system gets to know."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    worker = os.fork()
    if worker == 0:
        _become(there, *fds)
    *others, status = fds
    for fd in (0, *others):
        os.close(fd)
    _, ended = os.waitpid(worker, 0)
    os.write(status, _NUMBER.pack(os.waitstatus_to_exitcode(ended)))
    os._exit(0)


def _become(there: dict[str, Any], stdin: int, stdout: int, stderr: int, status: int) -> None:
    """Be the worker, from start to end."""
    os.setsid()
    for place, fd in enumerate((stdin, stdout, stderr)):
        os.dup2(fd, place)
        os.close(fd)
    os.write(status, _NUMBER.pack(os.getpid()))
    os.close(status)
    code = 1
    try:
        os.chdir(there["folder"])
        os.environ.clear()
        os.environ.update(there["environment"])
        sys.path[:] = there["path"]
        from moeopt.adapters.torch.worker import serve

        serve()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
