"""The REPORT line that Lambda prints at the end of each call: what it took, what is billed."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

_FIELD = re.compile(r"([A-Z][A-Za-z ]*): ([0-9]+(?:\.[0-9]+)?) (ms|MB)")


@dataclass(frozen=True)
class Report:
    """What the platform reported of a call.

    Attributes
    ----------
    duration_s, billed_s
        The handler's seconds, and those on the bill.
    memory_mb
        Memory that is billed.
    used_mb
        Most memory used, ``None`` if that was not said.
    init_s
        Seconds of a cold start, ``None`` if it was warm.
    """

    duration_s: float
    billed_s: float
    memory_mb: int
    used_mb: int | None
    init_s: float | None


def report_of(log_result: str | None, request_id: str | None = None) -> Report | None:
    """Return what the end of a call's log reports, ``None`` if its REPORT line is not whole.

    Parameters
    ----------
    log_result
        ``LogResult`` of the answer, base64: the last 4 KB of the log. Its first line may be cut.
    request_id
        Whose report is asked for; of whichever call comes last if left out. A function that was
        restarted may have another's in its log.
    """
    if not log_result:
        return None
    try:
        text = base64.b64decode(log_result, validate=True).decode("utf-8", errors="replace")
    except (binascii.Error, ValueError):
        return None
    for line in reversed(text.splitlines()):
        head, _, rest = line.partition("\t")
        if not head.startswith("REPORT RequestId: "):
            continue
        if request_id is not None and head.removeprefix("REPORT RequestId: ").strip() != request_id:
            continue
        return _parsed(rest)
    return None


def _parsed(fields: str) -> Report | None:
    """Return the fields of a REPORT line, ``None`` if one that is always there is missing."""
    found: dict[str, float] = {}
    for field in fields.split("\t"):
        match = _FIELD.fullmatch(field.strip())
        if match:
            found[match[1]] = float(match[2])
    try:
        duration_ms, billed_ms = found["Duration"], found["Billed Duration"]
        memory_mb = int(found["Memory Size"])
    except KeyError:
        return None
    used_mb, init_ms = found.get("Max Memory Used"), found.get("Init Duration")
    return Report(
        duration_s=duration_ms / 1e3,
        billed_s=billed_ms / 1e3,
        memory_mb=memory_mb,
        used_mb=None if used_mb is None else int(used_mb),
        init_s=None if init_ms is None else init_ms / 1e3,
    )
