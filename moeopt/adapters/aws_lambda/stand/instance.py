"""One worker: a process of the real runtime client, with its Runtime API, its log and its end."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import shutil
import signal
import site
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moeopt.adapters.aws_lambda.stand.functions import Function
from moeopt.adapters.aws_lambda.stand.governor import MB_PER_PROCESSOR
from moeopt.adapters.aws_lambda.stand.report import TAIL_BYTES
from moeopt.adapters.aws_lambda.stand.runtime_api import Happened, Invocation, RuntimeApi
from moeopt.adapters.aws_lambda.stand.watch import Watcher

#: What a pipe of Linux's holds.
_PIPE_BYTES = 1 << 16

#: Names of signals as Lambda's logs have them, which are Go's.
_SIGNALS = {
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted",
    signal.SIGTERM: "terminated",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGILL: "illegal instruction",
}


@dataclass(frozen=True)
class Home:
    """What workers of a stand have in common.

    Attributes
    ----------
    python
        The interpreter.
    endpoint
        Address of the stand, where boto3 in a function finds AWS.
    region
        Where functions are said to be.
    folder
        Where each worker gets a folder for temporary files.
    watcher
        Sees what they write, and their end.
    """

    python: str
    endpoint: str
    region: str
    folder: Path
    watcher: Watcher


class Instance:
    """A worker of one function, which computes one call at a time.

    Parameters
    ----------
    function
        Whose it is, as it was when the worker was started.
    home
        The stand's.
    access_key
        By which its requests to storage are known.
    """

    def __init__(self, function: Function, home: Home, access_key: str) -> None:
        self.function = function
        self.access_key = access_key
        self.alive = True
        self._happened: queue.SimpleQueue[Happened] = queue.SimpleQueue()
        self._watcher = home.watcher
        self._temporary = home.folder / access_key
        self._log = bytearray()
        self._log_lock = threading.Lock()
        with contextlib.ExitStack() as undo:
            self._start(home, undo)
            undo.pop_all()
        self._watcher.add(self._reading, self._read)
        self._watcher.add(self._end, self._exited)

    def _start(self, home: Home, undo: contextlib.ExitStack) -> None:
        """Start the process, and note how to undo what was done if something is refused."""
        self._temporary.mkdir()
        undo.callback(shutil.rmtree, self._temporary, ignore_errors=True)
        self._api = RuntimeApi(self._happened.put)
        undo.callback(self._api.close)
        self._reading, writing = os.pipe()
        undo.callback(os.close, self._reading)
        os.set_blocking(self._reading, False)
        function, address = self.function, self._api.address
        try:
            self._process = subprocess.Popen(
                [home.python, "-m", "awslambdaric", function.handler],
                cwd=function.folder,
                env=_environment(function, home, address, self.access_key, self._temporary),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        undo.callback(self._process.wait)
        undo.callback(self._process.kill)
        self._end = os.pidfd_open(self._process.pid)

    @property
    def pid(self) -> int:
        """The process, leader of its own group."""
        return self._process.pid

    def give(self, invocation: Invocation) -> None:
        """Hand it a call."""
        self._api.give(invocation)

    def next(self, deadline_s: float) -> Happened | None:
        """Return what it did next; ``None`` if it did nothing until then."""
        with contextlib.suppress(queue.Empty):
            return self._happened.get(timeout=max(0.0, deadline_s - time.monotonic()))
        return None

    def log(self) -> bytes:
        """Return the end of what it wrote since this was asked last: as much as anyone sees."""
        self._read()
        with self._log_lock:
            taken = bytes(self._log)
            self._log.clear()
        return taken

    def how_it_ended(self) -> str:
        """Wait for the process's end, and return how it ended, as Lambda says it."""
        try:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            # Buried by now: by another, who killed it.
            return f"signal: {_SIGNALS[signal.SIGKILL]}"
        if found is None or found.si_code == os.CLD_EXITED:
            status = found.si_status if found else 0
            return f"exit status {status}" if status else ""
        number = found.si_status
        return f"signal: {_SIGNALS.get(signal.Signals(number), f'signal {number}')}"

    def crash(self) -> None:
        """Let the process end as by a fault of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSEGV)

    def kill(self) -> None:
        """End the process and all that it started; what it sends from now on nobody hears.

        Its number is not given to another process before `bury`.
        """
        self.alive = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        # Whoever waits for what it does next need not wait for long.
        self._happened.put(Happened("exit", time.monotonic()))
        self._api.close()

    def bury(self) -> None:
        """Remove what is left of a killed worker."""
        self._watcher.drop(self._end)
        self._watcher.drop(self._reading)
        self._process.wait()
        with self._log_lock:
            os.close(self._end)
            os.close(self._reading)
            self._reading = -1
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _read(self) -> None:
        """Read what it has written: all, since a pipe holds no more at once."""
        with self._log_lock:
            try:
                data = os.read(self._reading, _PIPE_BYTES)
            except OSError:
                # Nothing, or closed.
                return
            self._log += data
            del self._log[:-TAIL_BYTES]
        if not data:
            self._watcher.drop(self._reading)

    def _exited(self) -> None:
        self._watcher.drop(self._end)
        self.alive = False
        self._happened.put(Happened("exit", time.monotonic()))


def init_error(body: bytes) -> str:
    """Return the kind of error that a worker's start ended with."""
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(body).get("errorType") or "Unknown")
    return "Unknown"


def _environment(
    function: Function, home: Home, runtime_api: str, access_key: str, temporary: Path
) -> Mapping[str, str]:
    """Return the variables of a worker: those that Lambda sets, and none of the user's own."""
    threads = str(max(1, math.ceil(function.memory_mb / MB_PER_PROCESSOR)))
    name = function.name
    # Not the caller's PYTHONPATH: a function is to find what it would on Lambda.
    of_machine = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "PATH") if key in os.environ}
    return {
        **of_machine,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_DEFAULT_REGION": home.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": home.endpoint,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": access_key,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_REGION": home.region,
        "AWS_SECRET_ACCESS_KEY": "stand",
        "HOME": str(temporary),
        "LAMBDA_TASK_ROOT": str(function.folder),
        "LANG": "en_US.UTF-8",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(function.paths),
        "PYTHONUSERBASE": site.getuserbase(),
        "TMPDIR": str(temporary),
        "TZ": ":UTC",
        "_HANDLER": function.handler,
        **dict(function.environment),
    }
