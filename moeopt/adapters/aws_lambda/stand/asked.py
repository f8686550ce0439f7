"""What a request asks of S3, as far as the stand cares: who, what kind, of which object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

#: Kinds of requests, as `moeopt.adapters.aws_lambda.stand.traffic.Traffic` counts them.
Kind = Literal["gets", "puts", "heads", "lists", "deletes", "others"]

_OF_OBJECTS: dict[str, Kind] = {
    "GET": "gets",
    "PUT": "puts",
    "HEAD": "heads",
    "DELETE": "deletes",
}

#: In the header of a signed request, and in its query if that is what is signed.
_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_CREDENTIAL_WORD = "X-Amz-Credential"

#: Words of a listing, which may be empty; another word without a value names a part of a bucket or
#: an object, such as ``?tagging``.
_LISTING = {"prefix", "delimiter", "marker", "continuation-token", "start-after", "max-keys"}


@dataclass(frozen=True)
class Asked:
    """A request to S3.

    Attributes
    ----------
    access_key
        Id of the asker's.
    kind
        What it is counted as.
    bucket, key
        Of what; empty if there is none.
    size
        Bytes that come with it.
    """

    access_key: str
    kind: Kind
    bucket: str
    key: str
    size: int


def asked_of(environ: dict[str, Any]) -> Asked | None:
    """Return what a request asks of S3; ``None`` if it is signed for another service, or not."""
    words = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    credential = found[1] if found else dict(words).get(_CREDENTIAL_WORD, "")
    # The id, the day, the region, the service and a constant.
    parts = credential.split("/")
    if len(parts) != 5 or parts[3] != "s3":
        return None
    # WSGI has it that the path's bytes are given as if they were Latin-1.
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    bucket, _, key = path.lstrip("/").partition("/")
    kind = _kind(environ["REQUEST_METHOD"], key, words)
    return Asked(parts[0], kind, bucket, key, _size(environ))


def _kind(method: str, key: str, words: list[tuple[str, str]]) -> Kind:
    named = {word for word, value in words if not value} - _LISTING
    if method == "POST" and named == {"delete"}:
        return "deletes"
    if named:
        return "others"
    if key:
        return _OF_OBJECTS.get(method, "others")
    return "lists" if method == "GET" else "others"


def _size(environ: dict[str, Any]) -> int:
    """Return the bytes of the object that a request brings, less what they are wrapped in."""
    text = environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH") or environ.get("CONTENT_LENGTH")
    return int(text) if text and text.isdigit() else 0
