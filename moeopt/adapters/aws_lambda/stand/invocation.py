"""One call of a function: its start if it is cold, its work, and each way in which it can end."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from moeopt.adapters.aws_lambda.stand import report
from moeopt.adapters.aws_lambda.stand.errors import RESPONSE_BYTES
from moeopt.adapters.aws_lambda.stand.functions import Function
from moeopt.adapters.aws_lambda.stand.instance import Instance, init_error
from moeopt.adapters.aws_lambda.stand.link import wait_until
from moeopt.adapters.aws_lambda.stand.pool import Pool
from moeopt.adapters.aws_lambda.stand.report import Ran
from moeopt.adapters.aws_lambda.stand.runtime_api import Happened, Invocation

#: What a start may take; one that takes longer is tried again within the call's own time.
INIT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How the stand is set when a call begins.

    Attributes
    ----------
    cold_start_s
        What a cold start takes at least.
    processors
        Whether the worker gets only its memory's share of a processor.
    answer_s
        Returns what bytes of an answer take on their way.
    crash_after_s
        When the worker is to crash, counted from the call's begin; ``None`` if it is not.
    init_s
        What a start may take.
    """

    cold_start_s: float
    processors: bool
    answer_s: Callable[[int], float]
    crash_after_s: float | None = None
    init_s: float = INIT_S


@dataclass(frozen=True)
class _End:
    """How a call, or a start, ended: what is answered, and whether the worker can go on."""

    body: bytes
    status: str = ""
    kind: str = ""
    failed: bool = True
    goes_on: bool = False


class Run:
    """One call of a function.

    Parameters
    ----------
    pool
        Where workers are.
    function
        Which.
    event
        JSON.
    conditions
        How the stand is set.
    """

    def __init__(
        self, pool: Pool, function: Function, event: bytes, conditions: Conditions
    ) -> None:
        self._pool = pool
        self._function = function
        self._event = event
        self._conditions = conditions
        self._id = str(uuid.uuid4())
        self._log = b""

    def run(self) -> Ran:
        """Find or start a worker, let it work, and return how that ended."""
        worker = self._pool.idle(self._function)
        if worker is not None:
            # What it wrote since its last call belongs to none.
            worker.log()
            return self._called(worker)
        began_s = time.monotonic()
        worker = self._pool.start(self._function)
        failed = self._started(worker, began_s + self._conditions.init_s)
        if failed is None:
            wait_until(began_s + self._conditions.cold_start_s)
            return self._called(worker, init_s=time.monotonic() - began_s)
        self._log += report.init_line(time.monotonic() - began_s, failed.status, failed.kind)
        self._pool.end(worker)
        # Lambda starts it once more, and counts that as the call's own time.
        began_s = time.monotonic()
        worker = self._pool.start(self._function)
        failed = self._started(worker, began_s + self._function.timeout_s)
        if failed is None:
            return self._called(worker, began_s)
        if failed.status == "timeout":
            failed = self._timed_out(worker)
        return self._ended(worker, failed, time.monotonic() - began_s, None)

    def _started(self, worker: Instance, deadline_s: float) -> _End | None:
        """Wait until a worker can take a call; return why it cannot, if so."""
        happened = worker.next(deadline_s)
        if happened is None:
            return _End(b"", "timeout")
        if happened.what == "ready":
            return None
        if happened.what == "init-error":
            self._log += worker.log()
            return _End(happened.body, "error", init_error(happened.body))
        return self._exited(worker)

    def _called(
        self, worker: Instance, since_s: float | None = None, init_s: float | None = None
    ) -> Ran:
        """Give a worker the call, wait for how it ends, and return that.

        Parameters
        ----------
        worker
            One that waits for a call.
        since_s
            When the call's time began; with this if left out.
        init_s
            Of its start, if that counts by itself.
        """
        if self._conditions.processors:
            self._pool.held_back(worker)
        began_s = time.monotonic() if since_s is None else since_s
        deadline_s = began_s + self._function.timeout_s
        left_ms = int((deadline_s - time.monotonic()) * 1e3)
        worker.give(
            Invocation(
                self._id, self._event, self._function.arn, int(time.time() * 1e3) + left_ms,
                self._conditions.answer_s,
            )
        )  # fmt: skip
        happened = worker.next(deadline_s)
        if happened is not None and happened.what == "began":
            if self._conditions.crash_after_s is not None:
                wait_until(min(deadline_s, happened.at_s + self._conditions.crash_after_s))
                worker.crash()
            happened = worker.next(deadline_s)
        # A call that takes too long takes just what it may.
        ended_s = deadline_s if happened is None else happened.at_s
        return self._ended(worker, self._end(worker, happened), ended_s - began_s, init_s)

    def _end(self, worker: Instance, happened: Happened | None) -> _End:
        if happened is None:
            return self._timed_out(worker)
        if happened.what == "returned":
            return _End(happened.body, failed=False, goes_on=True)
        if happened.what == "raised":
            return _End(happened.body, goes_on=True)
        if happened.what == "too-large":
            said = (
                "Response payload size exceeded maximum allowed payload size "
                f"({RESPONSE_BYTES} bytes)."
            )
            kind = "Function.ResponseSizeTooLarge"
            # The runtime client does not survive the refusal of its answer.
            return _End(_error(kind, said), "error", kind)
        return self._exited(worker)

    def _ended(self, worker: Instance, end: _End, duration_s: float, init_s: float | None) -> Ran:
        """Release or end the worker, and put together what there is to say."""
        used = self._pool.used(worker) if end.goes_on else None
        if used is not None and used.over_memory:
            end = self._exited(worker, "signal: killed")
        self._log += worker.log()
        if end.goes_on:
            self._pool.release(worker)
        else:
            used = self._pool.end(worker)
        used_mb = min(used.peak_mb, self._function.memory_mb) if used is not None else 0
        return Ran(
            request_id=self._id, body=end.body, failed=end.failed, duration_s=duration_s,
            init_s=init_s, used_mb=used_mb, log=self._log, status=end.status, kind=end.kind,
        )  # fmt: skip

    def _timed_out(self, worker: Instance) -> _End:
        """Return the end of a call that takes too long, and note it in the log."""
        seconds = self._function.timeout_s
        self._log += worker.log() + report.timed_out_line(self._id, seconds)
        said = f"RequestId: {self._id} Error: Task timed out after {seconds:.2f} seconds"
        return _End(_error("Sandbox.Timedout", said), "timeout")

    def _exited(self, worker: Instance, how: str | None = None) -> _End:
        """Return the end of a call whose worker's process ended."""
        how = worker.how_it_ended() if how is None else how
        reason = f"Runtime exited with error: {how}" if how else "Runtime exited without a reason"
        said = f"RequestId: {self._id} Error: {reason}"
        self._log += worker.log() + f"{said}\nRuntime.ExitError\n".encode()
        return _End(_error("Runtime.ExitError", said), "error", "Runtime.ExitError")


def _error(kind: str, said: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": said}).encode()
