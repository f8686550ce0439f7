"""Workers on this machine: processes of one torch.distributed group that wait for calls."""

from __future__ import annotations

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
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, cast

from moeopt.adapters.torch.worker import read_frame, write_frame
from moeopt.core.errors import AdapterError, InstanceError, MoeoptError

Backend = Literal["gloo", "nccl"]

#: Seconds after which a call, or the start, is given up.
TIMEOUT_S = 300.0

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from moeopt.adapters.torch.worker import serve; serve()"
)


class Workers:
    """Processes on this machine, rank by rank; a context manager that ends them.

    Parameters
    ----------
    world
        How many.
    backend
        ``"gloo"`` on CPUs, ``"nccl"`` on as many GPUs.
    prefixes
        Command that starts each worker's command, such as ``ip netns exec``; none if left out.
    environment
        Further variables for all of them.

    Raises
    ------
    AdapterError
        If a worker does not start.
    """

    def __init__(
        self,
        world: int,
        backend: Backend = "gloo",
        *,
        prefixes: Sequence[Sequence[str]] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        if world < 1:
            raise InstanceError("world", world, "must be >= 1", "start at least one worker")
        self.world = world
        self._folder = Path(tempfile.mkdtemp(prefix="moeopt-"))
        self._children: list[_Child] = []
        threads = max(1, (os.cpu_count() or 1) // world)
        try:
            for rank in range(world):
                prefix = prefixes[rank] if prefixes else ()
                self._children.append(_Child(rank, prefix, environment or {}))
            start = {"world": world, "backend": backend, "store": str(self._folder / "store")}
            each = [
                {**start, "rank": rank, "threads": threads, "timeout_s": TIMEOUT_S}
                for rank in range(world)
            ]
            self._ask(each, TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Tell whether all of them still run; after a failed call none does."""
        return bool(self._children) and all(child.alive for child in self._children)

    def run(
        self, function: Callable[..., Any], *args: Any, timeout_s: float = TIMEOUT_S, **kwargs: Any
    ) -> list[Any]:
        """Call a function on every worker, and return what each returned, by rank.

        Parameters
        ----------
        function
            One that the workers can import.
        *args, **kwargs
            The same for all; it finds its rank by ``torch.distributed``.
        timeout_s
            When to give up.

        Raises
        ------
        AdapterError
            If a worker raised, died, or took too long. All are ended: the others may wait for it
            for ever.
        """
        if not self.alive:
            raise AdapterError("the workers have ended; start new ones")
        try:
            return self._ask([(function, args, kwargs)] * self.world, timeout_s)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End them all, and remove what they left."""
        for child in self._children:
            child.hang_up()
        deadline = time.monotonic() + 5.0
        for child in self._children:
            child.end(deadline)
        self._children = []
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, messages: Sequence[Any], timeout_s: float) -> list[Any]:
        """Send each worker its message and return the answers."""
        answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        for child, message in zip(self._children, messages, strict=True):
            child.ask(message, answers)
        deadline = time.monotonic() + timeout_s
        found: list[Any] = [None] * self.world
        for _ in range(self.world):
            try:
                rank, answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AdapterError(f"the workers gave no answer in {timeout_s:g} s") from None
            if answer is None:
                raise AdapterError(f"worker {rank} died: {self._children[rank].last_words()}")
            state, value, trace = answer
            if state == "failed":
                raise _failure(rank, value, trace)
            found[rank] = value
        return found


class _Child:
    """One worker's process, with its pipes."""

    def __init__(self, rank: int, prefix: Sequence[str], environment: dict[str, str]) -> None:
        self._rank = rank
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the worker
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self._stdin = cast("BinaryIO", self._process.stdin)
        self._stdout = cast("BinaryIO", self._process.stdout)

    @property
    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self._process.poll() is None

    def ask(self, message: Any, answers: queue.SimpleQueue[tuple[int, Any]]) -> None:
        """Send a message; the answer, ``None`` from a dead worker, comes with its rank."""
        with contextlib.suppress(OSError):
            write_frame(self._stdin, message)

        def listen() -> None:
            try:
                answers.put((self._rank, read_frame(self._stdout)))
            except Exception:
                answers.put((self._rank, None))

        threading.Thread(target=listen, daemon=True).start()

    def last_words(self) -> str:
        """Return how it ended and the last line that it wrote."""
        code = self._process.wait(timeout=5)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._errors.seek(0)
        lines = self._errors.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
        return how + (f", {lines[-1]}" if lines else "")

    def hang_up(self) -> None:
        """Tell it that no further call comes."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def end(self, deadline: float) -> None:
        """Wait for it until the deadline, then end it with all that it started."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._stdout.close()
        self._errors.close()


def _failure(rank: int, error: Any, trace: str) -> Exception:
    """Return what a worker's exception is for the caller: our own errors stay what they are."""
    if isinstance(error, MoeoptError):
        return error
    last = trace.strip().splitlines()[-1] if trace.strip() else repr(error)
    failure = AdapterError(f"worker {rank} failed: {last}")
    failure.add_note(trace)
    return failure
