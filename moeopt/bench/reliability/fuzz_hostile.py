"""Hostile files with a name each: what a fuzzer would need luck to find."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from moeopt.bench.reliability.fuzz_archives import archives
from moeopt.bench.reliability.fuzz_targets import Target

#: Counts that no memory holds, or hardly.
_HUGE = (10**6, 2**31, 10**9, 10**12, 10**15, 10**18, 10**30)

#: Numbers of a file that are exchanged for huge ones, at most.
_MOST_NUMBERS = 40

_NUMBER = re.compile(rb"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")

#: Much of one thing, in a megabyte.
_MUCH = {
    "brackets": b"[" * 10**6,
    "lists": b"[" + b"[]," * 300_000 + b"[]]",
    "objects": b'{"a":' * 200_000,
    "digits": b"9" * 10**6,
    "a fraction": b"0." + b"1" * 10**6,
    "an open string": b'"' + b"a" * 10**6,
    "quotes": b'"' * 10**6,
    "backslashes": b'"' + b"\\" * 10**6,
    "commas": b"," * 10**6,
    "line ends": b"\n" * 10**6,
    "spaces": b" " * 10**6,
    "NULs": bytes(10**6),
    "a word": b"a" * 10**6,
}


@dataclass(frozen=True)
class Hostile:
    """One hostile file.

    Attributes
    ----------
    name
        What is hostile about it.
    target
        Name of the reader that gets it.
    put
        Writes it under a path.
    """

    name: str
    target: str
    put: Callable[[Path], object]


def hostile_files(target: Target) -> Iterator[Hostile]:
    """Yield all that is hostile to a reader."""
    for name, put in _places(target):
        yield Hostile(name, target.name, put)
    for name, data in (*_texts(target), *archives(target)):
        yield Hostile(name, target.name, _writes(data))


def _writes(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _places(target: Target) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Yield what can stand where a file should."""
    yield "nothing", lambda path: None
    yield "an empty file", lambda path: path.touch()
    yield "a folder", lambda path: path.mkdir()
    yield "a link to itself", lambda path: path.symlink_to(path.name)
    yield "a link to /dev/zero", lambda path: path.symlink_to("/dev/zero")
    if not target.pipes:
        yield "a pipe that nobody writes to", lambda path: os.mkfifo(path)


def _texts(target: Target) -> Iterator[tuple[str, bytes]]:
    for name, data in _MUCH.items():
        yield f"a megabyte of {name}", data
    if target.kind not in ("json", "lines", "text"):
        return
    seed = target.seeds()[-1]
    text = seed.decode()
    yield "a mark of the byte order", b"\xef\xbb\xbf" + seed
    yield "UTF-16", text.encode("utf-16")
    yield "a NUL at the end", seed + b"\0"
    yield "half of it", seed[: len(seed) // 2]
    yield "a lone surrogate", seed.replace(b'"', b'"\\ud800', 1)
    yield "escapes of a terminal", seed.replace(b'"', b'"\\u001b[2J', 1)
    yield from _numbers(seed)
    if target.kind == "json":
        yield "every key twice", _twice(seed)
        # Deep enough for whoever follows it, not for whoever tells of it.
        for depth in range(880, 1000, 4):
            yield f"{depth} lists in lists", _nested(seed, depth)


def _numbers(seed: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a file with one number exchanged, and with much instead of one."""
    found = list(_NUMBER.finditer(seed))
    for match in found[:: max(1, len(found) // _MOST_NUMBERS)]:
        before, after = seed[: match.start()], seed[match.end() :]
        for huge in _HUGE:
            yield f"{huge:.0e} at byte {match.start()}", before + b"%d" % huge + after
    if found:
        before, after = seed[: found[-1].start()], seed[found[-1].end() :]
        for name, data in _MUCH.items():
            yield f"a megabyte of {name} for its last number", before + data + after


def _nested(seed: bytes, depth: int) -> bytes:
    """Return a document whose last value is a list of lists."""
    document = json.loads(seed)
    if not isinstance(document, dict):
        return b"[" * depth + b"1" + b"]" * depth
    last = list(document)[-1]
    document[last] = None
    lists = b"[" * depth + b"1" + b"]" * depth
    return json.dumps(document).encode().replace(b"null}", lists + b"}")


def _twice(seed: bytes) -> bytes:
    text = seed.decode().strip()
    return f"{text[:-1]}, {text[1:]}".encode() if text.startswith("{") else (text * 2).encode()
