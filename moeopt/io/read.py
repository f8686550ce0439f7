"""Bytes in: a file or standard input, within limits that are checked before anything is parsed."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moeopt.core.errors import InstanceError
from moeopt.io.locate import JsonText

#: Largest document: its arrays belong in an ``.npz`` beside it long before that.
MAX_BYTES = 64 * 2**20

#: Most brackets, braces and quotes of a document. A parser spends some 70 bytes on each, so that
#: this bounds the memory of a hostile file as well.
MAX_STRUCTURE = 4_000_000

_KEYS = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?|[{}]')


@dataclass(frozen=True)
class Source:
    """A document as read, not parsed yet.

    Attributes
    ----------
    text
        The bytes: UTF-8, within the limits.
    folder
        Where the files that it names must lie; ``None`` for standard input.
    """

    text: JsonText
    folder: Path | None


def read_source(path: str | os.PathLike[str]) -> Source:
    """Return the document at `path` (``"-"``: standard input).

    Raises
    ------
    InstanceError
        If there is none, or it is too large, empty or not UTF-8.
    """
    name = os.fspath(path)
    if name == "-":
        return Source(_checked(name, sys.stdin.buffer.read(MAX_BYTES + 1)), None)
    try:
        with open(name, "rb") as file:
            # Not the size on disk: a pipe or a growing file has none to trust.
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(name, error) from None
    except ValueError:
        raise InstanceError(name, "<NUL byte>", "must be a file name", "correct it") from None
    return Source(_checked(name, data), Path(name).parent)


def check_unique_keys(text: JsonText) -> None:
    """Raise `InstanceError` for the first key that an object of a valid document holds twice."""
    data = text.data
    seen: list[set[bytes]] = []
    for match in _KEYS.finditer(data):
        token = match.group()
        if token == b"{":
            seen.append(set())
        elif token == b"}":
            seen.pop()
        elif match.group(1):
            key = token[: token.rindex(b'"') + 1]
            key = msgspec.json.decode(key, type=str).encode() if b"\\" in key else key[1:-1]
            if key in seen[-1]:
                parent = text.path_at(match.start())
                raise InstanceError(
                    f"{parent}.{key.decode()}",
                    f"<twice: again at {text.place(match.start())}>",
                    "must stand once in its object",
                    "remove one of the two",
                )
            seen[-1].add(key)


def _checked(name: str, data: bytes) -> JsonText:
    if len(data) > MAX_BYTES:
        raise InstanceError(
            name,
            f"<more than {MAX_BYTES} bytes>",
            f"must be at most {MAX_BYTES // 2**20} MiB",
            'move large arrays to an .npz: {"npz": "file.npz", "key": "loads"}',
        )
    if not data.strip():
        raise InstanceError(
            name, f"<{len(data)} bytes>", "must be a JSON document", "the file is empty: fill it"
        )
    structure = sum(data.count(mark) for mark in (b"[", b"{", b'"'))
    if structure > MAX_STRUCTURE:
        raise InstanceError(
            name,
            f"<{structure} of them>",
            f"must have at most {MAX_STRUCTURE} brackets, braces and quotes",
            'move large arrays to an .npz: {"npz": "file.npz", "key": "loads"}',
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InstanceError(
            name,
            f"<byte 0x{data[error.start]:02x} at position {error.start}>",
            "must be UTF-8 text",
            "is it JSON, and not a compressed or a binary file?",
        ) from None
    return JsonText(data.removeprefix(b"\xef\xbb\xbf"))


def _unreadable(name: str, error: OSError) -> InstanceError:
    reason = (error.strerror or type(error).__name__).lower()
    remedy = "check the name and the folder"
    if isinstance(error, IsADirectoryError):
        remedy = "name a file in it"
    elif isinstance(error, PermissionError):
        remedy = "make it readable"
    return InstanceError(name, f"<{reason}>", "must be a readable file", remedy)
