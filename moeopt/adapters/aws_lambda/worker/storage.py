"""Objects in the bucket: read, waited for, written; each request counted."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .protocol import FIRST_PAUSE_S, LONGER, LONGEST_PAUSE_S

#: Seconds until a connection stands, and until the next bytes of an answer come.
_CONNECT_S, _READ_S = 5.0, 30.0

#: Requests for one object that boto3 makes before it gives up.
ATTEMPTS = 3

#: What S3 says of a key that is not there. A role that may not list the bucket is told 403
#: instead, which stands for much else too: the deployment's role may list its prefix.
_MISSING = ("NoSuchKey", "404")


class StorageError(Exception):
    """Storage refused, failed, or did not have an input in time: the call may be made again."""


class Storage:
    """One bucket, as one call uses it.

    Parameters
    ----------
    client
        S3, see `connect`; threads may share it.
    bucket
        Whose objects.

    Attributes
    ----------
    gets, puts
        Requests so far, those that boto3 repeated and those in vain among them.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        # One thread reads and one writes: each has its own counter.
        self.gets = 0
        self.puts = 0

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or ``None`` if there is no such object.

        Raises
        ------
        StorageError
            If it cannot be read.
        """
        with _storage(f"GET {key}"):
            body = self._body(key)
            return None if body is None else bytes(body.read())

    @contextlib.contextmanager
    def opened(self, key: str) -> Iterator[Any]:
        """Open an object that must be there, to be read bit by bit inside.

        Raises
        ------
        StorageError
            If it cannot be read, or is not there.
        """
        with _storage(f"GET {key}"):
            body = self._body(key)
            if body is None:
                raise StorageError(f"GET {key}: there is no such object")
            with contextlib.closing(body):
                yield body

    def put(self, key: str, data: bytes) -> None:
        """Write an object.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        with _storage(f"PUT {key}"):
            try:
                answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=data)
            except ClientError as error:
                self.puts += _requests(error.response)
                raise
            except BotoCoreError:
                self.puts += ATTEMPTS
                raise
            self.puts += _requests(answer)

    def _body(self, key: str) -> Any:
        """Return an object's stream, or ``None`` if there is no such object."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            self.gets += _requests(error.response)
            if error.response.get("Error", {}).get("Code") in _MISSING:
                return None
            raise
        except BotoCoreError:
            self.gets += ATTEMPTS
            raise
        self.gets += _requests(answer)
        return answer["Body"]


def wait_for(storage: Storage, key: str, until_s: float, why: str) -> tuple[bytes, float]:
    """Return an input's bytes, and the seconds that the request for it took which found it.

    Parameters
    ----------
    storage
        Where it will be.
    key
        Which.
    until_s
        Instant of `time.monotonic` after which no more requests are made.
    why
        Why not then: ends the error's sentence.

    Raises
    ------
    StorageError
        If it is not there by then, or cannot be read.
    """
    began_s, pause_s, requests = time.monotonic(), FIRST_PAUSE_S, 0
    while True:
        asked_s = time.monotonic()
        data = storage.get(key)
        now_s = time.monotonic()
        if data is not None:
            return data, now_s - asked_s
        requests += 1
        if now_s + pause_s > until_s:
            waited_s = now_s - began_s
            raise StorageError(
                f"input {key} is not there after {waited_s:.3g} s and {requests} requests: {why}"
            )
        time.sleep(pause_s)
        pause_s = min(pause_s * LONGER, LONGEST_PAUSE_S)


def connect() -> Any:
    """Return a client of S3 with the function's own role, where ``AWS_ENDPOINT_URL`` says."""
    elsewhere = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3")
    # A stand has no host name for each bucket.
    style: dict[str, Any] = {"s3": {"addressing_style": "path"}} if elsewhere else {}
    config = Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        **style,
    )
    return boto3.client("s3", config=config)


def _requests(response: Any) -> int:
    return 1 + int(response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


@contextlib.contextmanager
def _storage(what: str) -> Iterator[None]:
    """Turn what boto3 raises inside into a `StorageError` that says what was being done."""
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        raise StorageError(f"{what}: {said.get('Code')}: {said.get('Message')}") from error
    except BotoCoreError as error:
        raise StorageError(f"{what}: {' '.join(str(error).split())}") from error
