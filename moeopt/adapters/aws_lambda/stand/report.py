"""What Lambda writes into the log around a call, and what it bills."""

from __future__ import annotations

import base64
import math
import time
from dataclasses import dataclass

#: Bytes of the log's end that an answer carries.
TAIL_BYTES = 4096


@dataclass(frozen=True)
class Ran:
    """A call that has ended.

    Attributes
    ----------
    request_id
        Its own.
    body
        What the function returned, or JSON that says what went wrong.
    failed
        Whether something went wrong.
    status
        As the REPORT line says it: empty if the function itself came to an end, ``"timeout"``, or
        ``"error"``.
    kind
        Kind of such an error.
    duration_s
        From the call's begin in the function until its answer is there.
    init_s
        Of a cold start; ``None`` if it was warm.
    used_mb
        Most memory used.
    log
        What the function wrote meanwhile.
    """

    request_id: str
    body: bytes
    failed: bool
    duration_s: float
    init_s: float | None
    used_mb: int
    log: bytes
    status: str = ""
    kind: str = ""


def billed_ms(duration_s: float, init_s: float | None) -> int:
    """Return what is billed: both together, rounded up to whole milliseconds."""
    # Rounded first, as it is printed: 2.0000000001 ms are 2.
    return math.ceil(round((duration_s + (init_s or 0.0)) * 1e3, 2))


def written(ran: Ran, memory_mb: int) -> bytes:
    """Return the log of a call: its start, what the function wrote, its end, its report."""
    lines = [f"START RequestId: {ran.request_id} Version: $LATEST\n".encode(), ran.log]
    if ran.log and not ran.log.endswith(b"\n"):
        lines.append(b"\n")
    lines.append(f"END RequestId: {ran.request_id}\n".encode())
    lines.append(_report(ran, memory_mb).encode())
    return b"".join(lines)


def _report(ran: Ran, memory_mb: int) -> str:
    fields = [
        f"REPORT RequestId: {ran.request_id}",
        f"Duration: {ran.duration_s * 1e3:.2f} ms",
        f"Billed Duration: {billed_ms(ran.duration_s, ran.init_s)} ms",
        f"Memory Size: {memory_mb} MB",
        f"Max Memory Used: {ran.used_mb} MB",
    ]
    if ran.init_s is not None:
        fields.append(f"Init Duration: {ran.init_s * 1e3:.2f} ms")
    if ran.status:
        fields.append(f"Status: {ran.status}")
    if ran.kind:
        fields.append(f"Error Type: {ran.kind}")
    return "\t".join(fields) + "\t\n"


def tail(log: bytes) -> str:
    """Return the end of a log as an answer's header carries it."""
    return base64.b64encode(log[-TAIL_BYTES:]).decode("ascii")


def timed_out_line(request_id: str, timeout_s: float) -> bytes:
    """Return what the log says of a call that took too long."""
    now = time.time()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    said = f"{request_id} Task timed out after {timeout_s:.2f} seconds"
    return f"{moment}.{int(now % 1 * 1e3):03d}Z {said}\n\n".encode()


def init_line(init_s: float, status: str, kind: str) -> bytes:
    """Return what the log says of a start that failed, before the function is started again."""
    fields = [f"INIT_REPORT Init Duration: {init_s * 1e3:.2f} ms", "Phase: init"]
    fields.append(f"Status: {status}")
    if kind:
        fields.append(f"Error Type: {kind}")
    return ("\t".join(fields) + "\n").encode()
