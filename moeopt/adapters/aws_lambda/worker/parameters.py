"""An expert's parameters as an ``.npz``, written so that they can be read while they arrive.

Arrays are stored one after the other, uncompressed, so that a function needs memory for them once:
neither the file as a whole nor a copy of an array is ever held.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from .protocol import NUMBER, Tensor

#: Beginning of a member of a zip archive, and how long what is before its name is.
_MEMBER, _HEADER_BYTES = b"PK\x03\x04", 30

#: What an expert has: ``down(act(up(x)))``, or with a gate ``down(silu(gate(x)) * up(x))``.
NEEDED, OPTIONAL = ("up", "down"), ("gate",)


def write_parameters(arrays: Mapping[str, Tensor]) -> bytes:
    """Return arrays as the bytes of an ``.npz``: the same for the same arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            # A member with the earliest date there is: not the clock's.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                own = np.ascontiguousarray(array, dtype=NUMBER)
                np.lib.format.write_array(member, own, allow_pickle=False)
    return file.getvalue()


def read_parameters(stream: Any) -> dict[str, Tensor]:
    """Return an expert's arrays from a stream of what `write_parameters` wrote.

    Parameters
    ----------
    stream
        With ``read(bytes)``; it is read to its end.

    Raises
    ------
    ValueError
        If it is something else, was cut off, or the arrays do not fit each other.
    """
    arrays: dict[str, Tensor] = {}
    while (header := _read(stream, _HEADER_BYTES))[:4] == _MEMBER:
        if len(header) < _HEADER_BYTES:
            raise ValueError("parameters: cut off")
        flags, packed = struct.unpack("<HH", header[6:10])
        name_bytes, more_bytes = struct.unpack("<HH", header[26:30])
        name = _read(stream, name_bytes).decode("utf-8", "replace").removesuffix(".npy")
        _read(stream, more_bytes)
        if packed or flags & 0x9:
            raise ValueError(f"parameters: {name} is packed or encrypted, it must be stored")
        arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
    while stream.read(1 << 16):
        pass
    _check(arrays)
    return arrays


def _read(stream: Any, size: int) -> bytes:
    """Return so many bytes of a stream, fewer at its end only."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def _check(arrays: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` unless these are the arrays of an expert."""
    for name in NEEDED:
        if name not in arrays:
            raise ValueError(f"parameters: no array {name} among {', '.join(arrays) or 'none'}")
    for name, array in arrays.items():
        if name not in NEEDED + OPTIONAL:
            raise ValueError(f"parameters: unknown array {name}")
        if array.ndim != 2 or array.dtype != NUMBER or 0 in array.shape:
            raise ValueError(
                f"parameters: {name} must be float32 (rows, columns),"
                f" is {array.dtype} {array.shape}"
            )
    up, down, gate = arrays["up"], arrays["down"], arrays.get("gate", arrays["up"])
    if up.shape[1] != down.shape[0] or gate.shape != up.shape:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"parameters: {shapes} do not fit each other")
