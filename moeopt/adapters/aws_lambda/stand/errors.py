"""What Lambda refuses, in its own words: status, kind of error, message."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

#: Largest payload of a call that is waited for, of one that is not, and of an answer.
REQUEST_BYTES, EVENT_BYTES, RESPONSE_BYTES = 6 * 1024 * 1024, 1024 * 1024, 6_291_556


class Refusal(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    status
        HTTP's.
    kind
        Of error, as boto3 names it.
    message
        What is said.
    more
        Further members of the body.
    """

    def __init__(
        self, status: int, kind: str, message: str, more: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message
        self._more = dict(more or {})

    def answer(self, start_response: Any) -> Iterable[bytes]:
        """Answer a request of WSGI with it."""
        fault = "Service" if self.status >= 500 else "User"
        body = json.dumps({"Type": fault, "Message": self.message, **self._more}).encode()
        return answer(start_response, self.status, body, {"x-amzn-ErrorType": self.kind})


def answer(
    start_response: Any, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Iterable[bytes]:
    """Answer a request of WSGI: JSON, if there is a body."""
    fields = dict(headers or {})
    if status != HTTPStatus.NO_CONTENT:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    start_response(f"{status} {HTTPStatus(status).phrase}", list(fields.items()))
    return [body]


def function_not_found(arn: str) -> Refusal:
    """Return the refusal of a call of a function that is not there."""
    return Refusal(404, "ResourceNotFoundException", f"Function not found: {arn}")


def payload_too_large(size: int, limit: int, waited_for: bool) -> Refusal:
    """Return the refusal of a call with too large a payload."""
    how = "RequestResponse" if waited_for else "Event"
    said = f"{size} byte payload is too large for the {how} invocation type (limit {limit} bytes)"
    return Refusal(413, "RequestTooLargeException", said)


def not_json(said: str) -> Refusal:
    """Return the refusal of a call whose payload is no JSON."""
    message = f"Could not parse request body into json: {said}"
    return Refusal(400, "InvalidRequestContentException", message)


def throttled(reserved: bool) -> Refusal:
    """Return the refusal of one call too many: for the function, or for the account."""
    of_function = "ReservedFunctionConcurrentInvocationLimitExceeded"
    reason = of_function if reserved else "ConcurrentInvocationLimitExceeded"
    return Refusal(429, "TooManyRequestsException", "Rate Exceeded.", {"Reason": reason})


def service_failed(why: str = "An error occurred and the request cannot be processed.") -> Refusal:
    """Return the refusal of a request that Lambda itself failed at."""
    return Refusal(500, "ServiceException", why)


def not_zipped() -> Refusal:
    """Return the refusal of a package that cannot be unpacked."""
    return invalid(
        "Could not unzip uploaded file. Please check your file, then try to upload again."
    )


def invalid(message: str) -> Refusal:
    """Return the refusal of settings that contradict each other, or lead nowhere."""
    return Refusal(400, "InvalidParameterValueException", message)


def outside_of(name: str, value: object, constraint: str) -> Refusal:
    """Return the refusal of a setting outside of what its field allows."""
    start = f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint"
    return Refusal(400, "ValidationException", f"{start}: Member must {constraint}")
