"""What a call may end with other than an answer, sorted by what is to be done about it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from moeopt.adapters.aws_lambda.dispatch.report_line import Report

#: Kinds of failures. ``memory``, ``timeout``, ``payload``: too much for one call. ``crash``: the
#: process ended. ``throttled``, ``updating``: the platform did not begin. ``service``,
#: ``connection``: the platform, or the way to it. ``storage``: the function could not read or
#: write objects. ``answer``: what came back is no answer to this call. ``function``: the code.
#: ``missing``, ``denied``, ``refused``: not without another deployment, permission or request.
#: ``stopped``: we gave it up ourselves.
Kind = Literal[
    "memory",
    "timeout",
    "payload",
    "crash",
    "throttled",
    "updating",
    "service",
    "connection",
    "storage",
    "answer",
    "function",
    "missing",
    "denied",
    "refused",
    "stopped",
]

#: Smaller pieces may succeed.
_SPLITTING: tuple[Kind, ...] = ("memory", "timeout", "payload")

#: The platform did not begin: only time helps, and no attempt was spent.
_WAITING: tuple[Kind, ...] = ("throttled", "updating")

#: The same call may succeed.
_PASSING: tuple[Kind, ...] = (*_WAITING, "crash", "service", "connection", "storage", "answer")

#: What the platform says with a status that says less, or something else.
_CODES: dict[str, Kind] = {
    "TooManyRequestsException": "throttled",
    "ThrottlingException": "throttled",
    "ResourceConflictException": "updating",
    "ResourceNotReadyException": "updating",
    "CodeArtifactUserPendingException": "updating",
    "RequestTooLargeException": "payload",
    "RequestEntityTooLargeException": "payload",
    "SerializedRequestEntityTooLargeException": "payload",
    "ResourceNotFoundException": "missing",
    "AccessDeniedException": "denied",
    "EC2AccessDeniedException": "denied",
    "KMSAccessDeniedException": "denied",
    # These come as 502, but no later call will do better.
    "InvalidRuntimeException": "refused",
    "InvalidSecurityGroupIDException": "refused",
    "InvalidSubnetIDException": "refused",
    "InvalidZipFileException": "refused",
    "KMSDisabledException": "refused",
    "KMSInvalidStateException": "refused",
    "KMSNotFoundException": "refused",
}

_REMEDIES: dict[Kind, str] = {
    "missing": "; deploy the plan first",
    "denied": "; check the credentials and the policy (moeopt lambda policy)",
    "throttled": "; ask for more concurrency, or call fewer functions at once",
}

#: Types of errors of a process that ended, in the platform's words.
_CRASHES = ("Runtime.ExitError", "Extension.Crash", "Sandbox.Failure", "Runtime.Unknown")

#: Type of what the worker raises when objects could not be read or written.
_STORAGE_ERROR = "StorageError"

_TIMED_OUT = re.compile(r"Task timed out after [0-9.]+ seconds")

#: A process killed with this share of its memory in use was killed for it.
_FULL = 0.95

#: Characters of what others said that a message quotes.
_SHOWN = 300


@dataclass(frozen=True)
class Failure:
    """Why a call failed.

    Attributes
    ----------
    kind
        See `Kind`.
    message
        A sentence: what was said, and what can be done.
    ran
        Whether the function ran, or may have: then it is billed.
    after_s
        Seconds that the platform asked to wait before the next call.
    """

    kind: Kind
    message: str
    ran: bool = True
    after_s: float = 0.0

    @property
    def splits(self) -> bool:
        """Whether fewer tokens may succeed."""
        return self.kind in _SPLITTING

    @property
    def again(self) -> bool:
        """Whether the same call may succeed."""
        return self.kind in _PASSING

    @property
    def waits(self) -> bool:
        """Whether the call was put off rather than tried."""
        return self.kind in _WAITING


def failure_of_exception(error: Exception, too_large: bool = False) -> Failure:
    """Return why no answer came.

    Parameters
    ----------
    error
        What boto3 raised: a ``ClientError`` or a ``BotoCoreError``.
    too_large
        Whether the request was larger than the platform takes: a connection may then break
        before its refusal is read.
    """
    from botocore.exceptions import (
        ClientError,
        ConnectionError,
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    said = " ".join(str(error).split())
    if isinstance(error, ClientError):
        return _refusal(error.response)
    if isinstance(error, (HTTPClientError, ConnectionError, IncompleteReadError)):
        if too_large:
            return Failure("payload", f"the request is larger than a call's ({said})", ran=False)
        # Without a connection nothing ran; where one broke, that is not known.
        return Failure("connection", said, ran=not isinstance(error, ConnectionError))
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return Failure("denied", said, ran=False)
    return Failure("refused", said, ran=False)


def failure_of_function(payload: bytes, report: Report | None, memory_mb: int) -> Failure:
    """Return why a function failed that answered with ``FunctionError``.

    Parameters
    ----------
    payload
        What it answered with: JSON of ``errorType`` and ``errorMessage``, or a text.
    report
        What the platform reported.
    memory_mb
        Its memory.
    """
    type_, message = _said(payload)
    said = f"{type_}: {message}" if type_ else message
    kind = _kind_of_function(type_, message, report, memory_mb)
    if kind == "memory":
        return Failure(kind, f"{memory_mb} MB of memory were not enough ({said})")
    return Failure(kind, said)


def _kind_of_function(type_: str, message: str, report: Report | None, memory_mb: int) -> Kind:
    """Return the kind of a failure that the function's answer tells of."""
    if type_ == _STORAGE_ERROR:
        return "storage"
    if type_ == "Runtime.OutOfMemory" or type_.endswith("MemoryError"):
        return "memory"
    if type_ == "Function.ResponseSizeTooLarge":
        return "payload"
    if type_ == "Sandbox.Timedout" or _TIMED_OUT.search(message):
        return "timeout"
    if type_ == "Runtime.ExitError" and "signal: killed" in message:
        # Lambda kills what runs out of memory, but not that alone.
        used_mb = memory_mb if report is None or report.used_mb is None else report.used_mb
        return "memory" if used_mb >= _FULL * memory_mb else "crash"
    return "crash" if type_ in _CRASHES else "function"


def _said(payload: bytes) -> tuple[str, str]:
    """Return type and message of a function's error."""
    text = payload.decode("utf-8", errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return "", _short(text) or "the function failed without a word"
    type_, message = document.get("errorType") or "", document.get("errorMessage") or ""
    return str(type_), _short(str(message))


def _refusal(response: dict[str, Any]) -> Failure:
    """Return the failure of a call that the platform answered with an error of its own."""
    error = response.get("Error", {})
    code, text = str(error.get("Code", "")), _short(str(error.get("Message", "")))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    kind = _CODES.get(code) or _kind_of_status(status)
    said = f"{code}: {text}" if text else code
    reason = response.get("Reason")
    if reason:
        said = f"{said} ({reason})"
    return Failure(kind, said + _REMEDIES.get(kind, ""), ran=False, after_s=_after_s(response))


def _kind_of_status(status: int) -> Kind:
    """Return the kind of an error that has no entry of its own."""
    by_status: dict[int, Kind] = {
        401: "denied",
        403: "denied",
        404: "missing",
        413: "payload",
        429: "throttled",
    }
    return by_status.get(status, "service" if status >= 500 else "refused")


def _after_s(response: dict[str, Any]) -> float:
    """Return the seconds that the platform asks to wait; 0 if it says nothing sensible."""
    try:
        seconds = float(response.get("retryAfterSeconds") or 0.0)
    except ValueError:
        return 0.0
    return seconds if 0.0 <= seconds < float("inf") else 0.0


def _short(text: str) -> str:
    """Return a text on one line of moderate length."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."
