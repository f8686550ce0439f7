"""Workers on this machine: processes of one torch.distributed group that wait for calls."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, BinaryIO, Literal, cast

from moeopt.adapters.torch.worker import read_frame, write_frame
from moeopt.core.errors import AdapterError, InstanceError, MoeoptError

Backend = Literal["gloo", "nccl"]

#: Seconds after which a call, or the start, is given up.
TIMEOUT_S = 300.0

#: Seconds that workers have to end by themselves: at the end, and after a failure, when some wait
#: for one that will not come.
_CLOSE_S, _ABORT_S = 5.0, 0.5

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
        # Removed also where nobody closes the workers, which end with this process.
        self._folder = tempfile.TemporaryDirectory(prefix="moeopt-", ignore_cleanup_errors=True)
        self._children: list[_Child] = []
        threads = max(1, (os.cpu_count() or 1) // world)
        try:
            for rank in range(world):
                prefix = prefixes[rank] if prefixes else ()
                self._children.append(_Child(rank, prefix, environment or {}))
            store = os.path.join(self._folder.name, "store")
            start = {"world": world, "backend": backend, "store": store}
            each = [
                {**start, "rank": rank, "threads": threads, "timeout_s": TIMEOUT_S}
                for rank in range(world)
            ]
            self._ask([pickle.dumps(message) for message in each], TIMEOUT_S)
        except BaseException:
            self._end(_ABORT_S)
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
        message = _packed(function, args, kwargs)
        try:
            return self._ask([message] * self.world, timeout_s)
        except BaseException:
            self._end(_ABORT_S)
            raise

    def close(self) -> None:
        """End them all, and remove what they left."""
        self._end(_CLOSE_S)

    def _end(self, grace_s: float) -> None:
        for child in self._children:
            child.hang_up()
        deadline = time.monotonic() + grace_s
        for child in self._children:
            child.end(deadline)
        self._children = []
        self._folder.cleanup()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, messages: Sequence[bytes], timeout_s: float) -> list[Any]:
        """Send each worker its message and return the answers."""
        answers: queue.SimpleQueue[tuple[int, bytes | None]] = queue.SimpleQueue()
        for child, message in zip(self._children, messages, strict=True):
            child.ask(message, answers)
        deadline = time.monotonic() + timeout_s
        found: dict[int, Any] = {}
        failures: list[tuple[int, MoeoptError]] = []
        while len(found) + len(failures) < self.world:
            try:
                rank, answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            try:
                found[rank] = self._children[rank].value(answer)
            except _Failed as failed:
                failures.append((failed.order, failed.failure))
                # What the others say may tell more, but they may wait for this one for ever.
                deadline = min(deadline, time.monotonic() + _ABORT_S)
        if failures:
            raise min(failures, key=lambda failure: failure[0])[1]
        silent = [str(rank) for rank in range(self.world) if rank not in found]
        if silent:
            raise AdapterError(f"no answer of worker {', '.join(silent)} in {timeout_s:g} s")
        return [found[rank] for rank in range(self.world)]


def _packed(function: Callable[..., Any], args: Any, kwargs: Any) -> bytes:
    """Return the message of a call."""
    try:
        if getattr(function, "__module__", None) == "__main__":
            raise ValueError("it is a function of the program itself, which they do not run")
        return pickle.dumps((function, args, kwargs))
    except Exception as error:
        raise AdapterError(
            f"this call cannot be sent to the workers: {error}; give a function of a module that "
            "they can import, and arguments that can be pickled"
        ) from None


class _Failed(Exception):
    """A worker's failure; of several, the lowest `order` is most likely the cause of the others."""

    def __init__(self, order: int, failure: MoeoptError) -> None:
        self.order, self.failure = order, failure


class _Child:
    """One worker's process, with its pipes."""

    def __init__(self, rank: int, prefix: Sequence[str], environment: dict[str, str]) -> None:
        self._rank = rank
        # What is no text in it, imports pass over.
        path = [place for place in sys.path if isinstance(place, str)]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the worker
        try:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-c", _BOOT, json.dumps(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise AdapterError(f"worker {rank} does not start: {error}") from None
        self._stdin = cast("BinaryIO", self._process.stdin)
        self._stdout = cast("BinaryIO", self._process.stdout)

    @property
    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self._process.poll() is None

    def ask(self, message: bytes, answers: queue.SimpleQueue[tuple[int, bytes | None]]) -> None:
        """Send a message; the answer, ``None`` from a dead worker, comes with its rank."""
        with contextlib.suppress(OSError):
            write_frame(self._stdin, message)

        def listen() -> None:
            try:
                answers.put((self._rank, read_frame(self._stdout)))
            except (OSError, EOFError):
                answers.put((self._rank, None))

        threading.Thread(target=listen, daemon=True).start()

    def value(self, answer: bytes | None) -> Any:
        """Return what the worker's function returned, or raise `_Failed`."""
        name = f"worker {self._rank}"
        if answer is None:
            raise _Failed(1, AdapterError(f"{name} died: {self._last_words()}"))
        try:
            state, value, trace = pickle.loads(answer)
        except Exception as error:
            said = f"{name} gave an answer that cannot be read here: {error}"
            raise _Failed(0, AdapterError(said)) from error
        if state == "done":
            return value
        last = trace.strip().splitlines()[-1]
        if value is not None:
            raise _Failed(0, value)
        failure = AdapterError(f"{name} failed: {last}")
        failure.add_note(trace)
        raise _Failed(2, failure)

    def _last_words(self) -> str:
        """Return how it ended and the last line that it wrote."""
        try:
            code = self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            return "it closed its end"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        with contextlib.suppress(ValueError):
            how = f"signal {signal.Signals(-code).name}"
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
