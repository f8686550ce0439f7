"""The caller's way to storage: inputs written, outputs read, all forgotten when a batch is done."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from moeopt.adapters.aws_lambda.clients import Clients, outside
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.worker.protocol import NUMBER, Tensor, from_bytes
from moeopt.core.arrays import IntArray
from moeopt.core.errors import AdapterError

_LOG = logging.getLogger("moeopt")

#: Keys that one request may delete.
_MOST_DELETED = 1000

_T = TypeVar("_T")


@dataclass(frozen=True)
class Access:
    """One object written or read: its bytes, and the seconds of the request that did it."""

    seconds: float
    bytes: int


class Exchange:
    """Objects of a bucket. Threads may share it.

    What passes is tried again: a failing service, a broken connection, an object that is said not
    to be there though a function has written it.

    Parameters
    ----------
    clients
        Doors to AWS.
    bucket
        Where objects are.
    patience
        How long to keep trying.
    """

    def __init__(self, clients: Clients, bucket: str, *, patience: Patience) -> None:
        self._storage = clients.storage
        self._bucket = bucket
        self._patience = patience

    def write(self, key: str, data: bytearray, stop: threading.Event | None = None) -> Access:
        """Write an object, unless told to stop before.

        Raises
        ------
        AdapterError
            If storage takes it in no attempt.
        """

        def put() -> Access:
            began_s = time.perf_counter()
            self._storage.put_object(Bucket=self._bucket, Key=key, Body=data)
            return Access(time.perf_counter() - began_s, len(data))

        return self._patiently(key, put, stop)

    def read(self, key: str, into: Tensor, stop: threading.Event | None = None) -> Access:
        """Read an object into rows that are as large as it, unless told to stop before.

        Raises
        ------
        AdapterError
            If storage gives it in no attempt, or it has another size.
        """

        def get() -> tuple[Access, bytes]:
            began_s = time.perf_counter()
            body = self._storage.get_object(Bucket=self._bucket, Key=key)["Body"]
            data: bytes = body.read()
            return Access(time.perf_counter() - began_s, len(data)), data

        access, data = self._patiently(key, get, stop)
        if len(data) != into.nbytes:
            raise AdapterError(
                f"s3://{self._bucket}/{key} has {len(data)} bytes, not {into.nbytes}"
            )
        into[...] = from_bytes(data, into.shape[1])
        return access

    def forget(self, keys: Iterable[str]) -> None:
        """Delete objects, those that are not there too.

        A failure is only logged: what a bucket of ours keeps of a batch expires by itself.
        """
        rest = sorted(keys)
        while rest:
            now, rest = rest[:_MOST_DELETED], rest[_MOST_DELETED:]
            objects = {"Objects": [{"Key": key} for key in now], "Quiet": True}
            try:
                with outside("S3"):
                    self._storage.delete_objects(Bucket=self._bucket, Delete=objects)
            except AdapterError as error:
                _LOG.warning("%d objects of a batch are left in storage: %s", len(now), error)

    def _patiently(self, key: str, attempt: Callable[[], _T], stop: threading.Event | None) -> _T:
        """Return what an attempt returns, after as many as our patience allows."""
        stop = threading.Event() if stop is None else stop
        if stop.is_set():
            raise AdapterError(f"s3://{self._bucket}/{key}: given up before it was done")
        until_s = time.monotonic() + self._patience.total_s
        for number in range(1, self._patience.attempts + 1):
            try:
                with outside(f"s3://{self._bucket}/{key}"):
                    return attempt()
            except AdapterError as error:
                wait_s = self._patience.wait_s(key, number)
                last = number == self._patience.attempts
                late = time.monotonic() + wait_s > until_s
                if last or late or not _passes(error.__cause__) or stop.wait(wait_s):
                    raise
        raise AssertionError("the last attempt returns or raises")


def packed(tokens: Tensor, rows: IntArray) -> bytearray:
    """Return tokens as an object holds them; what is sent is the only copy.

    Parameters
    ----------
    tokens
        All of a batch, ``(tokens, width)``.
    rows
        Which of them.
    """
    width = tokens.shape[1]
    data = bytearray(len(rows) * width * NUMBER.itemsize)
    into = np.frombuffer(data, dtype=NUMBER).reshape(-1, width)
    # Rows are known to be tokens: the default mode would gather them elsewhere first.
    np.take(tokens, rows, axis=0, out=into, mode="clip")
    return data


def _passes(error: Any) -> bool:
    """Tell whether the same request may succeed."""
    from botocore.exceptions import (
        ClientError,
        ConnectionError,
        FlexibleChecksumError,
        HTTPClientError,
        IncompleteReadError,
    )

    if isinstance(error, ClientError):
        said = error.response
        missing = said.get("Error", {}).get("Code") in ("NoSuchKey", "SlowDown")
        return missing or said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500
    passing = (ConnectionError, HTTPClientError, IncompleteReadError, FlexibleChecksumError)
    return isinstance(error, passing)
