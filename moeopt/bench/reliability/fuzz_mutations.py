"""Hostile neighbours of a valid file: edits that know JSON, archives, arrays and lines."""

from __future__ import annotations

import io
import json
import lzma
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

#: Literals that a reader must survive, many of which no JSON library writes.
LITERALS = (
    *("0", "-1", "1", "-0.0", "1e-320", "1e308", "1e999", "-1e999", "NaN", "Infinity", "1.5"),
    *("2147483648", "9007199254740993", "9223372036854775807", "9223372036854775808"),
    *("1000000000000000000", "-9223372036854775809", "1" + "0" * 40, "9" * 5000, "0x10", "01"),
    *("null", "true", "false", '""', '"\\u0000"', '"\\ud800"', '"\\u202e"', '"1"', '"../x.npz"'),
    *("[]", "{}", "[[]]", "[null]", "[[1], [1, 2]]", '{"npz": "/dev/zero", "key": "a"}'),
    *('{"npz": "../../etc/passwd", "key": "a"}', '{"npz": "a.npz", "key": "\\ud800"}'),
    *("[" * 60 + "]" * 60, "[" * 990 + "]" * 990, "[" * 20_000, '{"a":' * 970 + "1" + "}" * 970),
)

_CELLS = (
    *("", "-1", "0", "1e9", "1e309", "nan", "inf", "999999999", "999999999999999", "1" * 400),
    *('"', "'", "\0", "\ufeff", "1_0", "\u0663", "0x1", "1;2", "[", "]", "#", ":", "a" * 3000),
)

_SHAPES = ((0,), (10**12,), (2**62, 4), (0, 10**18), (-1,), (2, -3), (1,) * 40, (3, 2, 1), ())

_DTYPES = ("<f8", "<i8", "<u8", "|O", "<U9", "|b1", "<c16", "<f2", ">i4", "<M8[s]", "|V0", "<i1")

Mutate = Callable[[bytes, Random], bytes]

#: What an edit raises for a file that earlier edits made into one of no kind.
_BROKEN = (
    *(ValueError, IndexError, RecursionError, NotImplementedError, OSError, EOFError, KeyError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError, struct.error),
    *(OverflowError, RuntimeError, TypeError),
)


def mutated(data: bytes, kind: str, random: Random) -> bytes:
    """Return a file like `data`, changed in one to four places.

    Parameters
    ----------
    data
        A file, valid or not.
    kind
        ``"json"``, ``"lines"`` of JSON, ``"text"``, ``"zip"`` or ``"npy"``; edits fall back on
        bytes where the file is no longer of its kind.
    random
        What decides.
    """
    for _ in range(random.choice((1, 1, 2, 4))):
        edit = _bytes if random.random() < 0.15 else _EDITS[kind]
        try:
            data = edit(data, random)
        except _BROKEN:
            data = _bytes(data, random)
    return data


class _Raw(str):
    """Text that stands in a document as it is."""

    __slots__ = ()


def _json(data: bytes, random: Random) -> bytes:
    # Objects as pairs, so that a key can stand twice.
    document = [json.loads(data, object_pairs_hook=lambda pairs: [_PAIRS, *map(list, pairs)])]
    places = _places(document)
    holder, at = random.choice(places)
    value = holder[at]
    match random.randrange(8):
        case 0 | 1 | 2:
            holder[at] = _Raw(random.choice(LITERALS))
        case 3 | 4:
            holder[at] = _nearby(value, random)
        case 5:
            holder.insert(at, value)
        case 6:
            other, there = random.choice(places)
            holder[at] = other[there]
        case _:
            del holder[at]
    return _text(document[0] if document else _Raw("")).encode("utf-8", "surrogatepass")


def _nearby(value: Any, random: Random) -> Any:
    """Return something of the same type, so that more than types is looked at."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + random.choice((-1, 1, 0.5)) * random.choice((1, 1, 2, 10**3, 10**9, 10**17))
    if isinstance(value, str):
        return random.choice((value[::-1], value + "x", value * 100, ""))
    return random.sample(value, len(value)) if isinstance(value, list) else value


#: Begins a list that stands for an object.
_PAIRS = _Raw("{")


def _places(node: list[Any]) -> list[tuple[list[Any], int]]:
    """Return every place of a document that can be edited, pairs of objects among them."""
    found, open_nodes = [], [node]
    while open_nodes:
        here = open_nodes.pop()
        for at, value in enumerate(here):
            if value is not _PAIRS:
                found.append((here, at))
            if isinstance(value, list):
                open_nodes.append(value)
    return found


def _text(node: Any) -> str:
    if isinstance(node, _Raw):
        return str(node)
    if not isinstance(node, list):
        return json.dumps(node)
    if node and node[0] is _PAIRS:
        pairs = [pair if isinstance(pair, list) else [pair] for pair in node[1:]]
        return "{" + ", ".join(": ".join(map(_text, pair)) for pair in pairs) + "}"
    return "[" + ", ".join(map(_text, node)) + "]"


def _lines(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            lines.insert(at, lines[at])
        case 1:
            del lines[at]
        case _:
            lines[at] = _json(lines[at] or b"{}", random)
    return b"\n".join(lines)


def _cells(data: bytes, random: Random) -> bytes:
    """Exchange a word of a text for a hostile one, or move a line."""
    lines = data.decode("utf-8", "replace").split("\n")
    at = random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            lines.insert(random.randrange(len(lines)), lines[at])
        case 1:
            del lines[at]
        case _:
            for mark in random.sample((",", " ", ":", "["), 4):
                if mark in lines[at]:
                    break
            cells = lines[at].split(mark)
            cells[random.randrange(len(cells))] = random.choice(_CELLS)
            lines[at] = mark.join(cells)
    return "\n".join(lines).encode("utf-8", "replace")


def _npy(data: bytes, random: Random) -> bytes:
    stream = io.BytesIO(data)
    np.lib.format.read_magic(stream)
    with warnings.catch_warnings(action="ignore"):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    body, descr = stream.read(), dtype.str
    match random.randrange(5):
        case 0:
            shape = random.choice(_SHAPES)
        case 1:
            descr = random.choice(_DTYPES)
        case 2:
            fortran = not fortran
        case 3:
            body = _bytes(body, random)
        case _:
            shape = (*shape[:-1], max(0, (shape or (1,))[-1] + random.choice((-1, 1))))
    return npy_of(shape, descr, body, fortran=fortran)


def npy_of(shape: tuple[int, ...], descr: str, body: bytes, *, fortran: bool = False) -> bytes:
    """Return an ``.npy`` whose header says what it likes."""
    out = io.BytesIO()
    header = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue() + body


def _zip(data: bytes, random: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = random.randrange(len(members))
    name, held = members[at]
    match random.randrange(8):
        case 0:
            members.append((name, held))
        case 1:
            del members[at]
        case 2:
            members[at] = random.choice(("../" + name, "/" + name, "", "\0.npy", "a" * 999)), held
        case 3:
            members[at] = name, random.choice(members)[1]
        case _:
            edit = _npy if name.endswith(".npy") else _bytes
            members[at] = name, edit(held, random)
    packed = zip_of(members, random.choice((zipfile.ZIP_STORED, *_METHODS)))
    return _lying(packed, random) if random.random() < 0.2 else packed


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def zip_of(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive of some members, of which several may have one name."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, held in members:
            # A fixed date keeps the bytes the same from run to run.
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w") as file:
                file.write(held)
    return out.getvalue()


def _lying(data: bytes, random: Random) -> bytes:
    """Change a number in the directory of an archive: a size, a place, a method, a checksum."""
    entry = data.rfind(b"PK\1\2")
    at = entry + random.choice((8, 10, 16, 20, 24, 28, 30, 42))
    return data[:at] + random.randbytes(random.choice((1, 2, 4))) + data[at + 4 :]


def _bytes(data: bytes, random: Random) -> bytes:
    """Flip, cut, repeat or insert some bytes."""
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 1, 4, 64)))
    match random.randrange(5):
        case 0:
            return data[:at] + random.randbytes(end - at) + data[end:]
        case 1:
            return data[:at] + data[end:]
        case 2:
            return data[:end] + data[at:]
        case 3:
            return data[:at]
        case _:
            odd = random.choice(
                (b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"[", b"\n", b'"')
            )
            return data[:at] + odd + data[at:]


_EDITS: dict[str, Mutate] = {
    "json": _json,
    "lines": _lines,
    "text": _cells,
    "npy": _npy,
    "zip": _zip,
    "bytes": _bytes,
}
