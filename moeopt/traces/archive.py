"""Plain numbers in ``.npz`` archives: no objects, nothing unpickled, small types."""

from __future__ import annotations

import io
import lzma
import math
import os
import struct
import threading
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from moeopt.core.errors import InstanceError
from moeopt.core.files import plain_size, write_atomically

#: What NumPy and zipfile raise for archives that are none.
MALFORMED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    OSError,
    RuntimeError,
)

#: Most bytes of an archive's arrays together, unpacked.
MAX_BYTES = 8 * 2**30

#: How many times larger than its file what it holds may be, where that is more than some bytes.
MAX_RATIO, MIN_RATED_BYTES = 100, 2**24

#: Longest axis of an array without entries: nothing else limits it.
LONGEST_EMPTY_AXIS = 2**20

#: Bytes of an array that are read at once.
_PIECE_BYTES = 2**22

_FILTERS = threading.Lock()

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

Array = npt.NDArray[Any]


def read_arrays(
    path: str | os.PathLike[str], required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Return the arrays of an archive by name.

    Parameters
    ----------
    path
        The ``.npz``.
    required
        Names that must be there.
    optional
        Names that may be there; others are left unread.

    Raises
    ------
    InstanceError
        If it is not a whole archive of numbers, or one that is required is missing.
    """
    name = os.fspath(path)
    try:
        with opened_zip(name) as archive:
            members = [member for member in archive.namelist() if member.endswith(".npy")]
            held = [member.removesuffix(".npy") for member in members]
            missing = [key for key in required if key not in held]
            if missing:
                raise InstanceError(
                    name,
                    f"<arrays {', '.join(held) or 'none'}>",
                    f"must hold the array {missing[0]}",
                    f"it needs {', '.join(required)}",
                )
            wanted = (*required, *optional)
            return {key: _member(archive, f"{key}.npy") for key in wanted if key in held}
    except InstanceError:
        raise
    except MALFORMED as error:
        raise _not_whole(name, error, "a whole .npz archive of numbers") from None


def read_every_array(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return all arrays of an archive by name, in the order in which they were written.

    Parameters
    ----------
    path
        The ``.npz``.

    Raises
    ------
    InstanceError
        If it is not a whole archive of numbers.
    """
    name = os.fspath(path)
    try:
        with opened_zip(name) as archive:
            members = [member for member in archive.namelist() if member.endswith(".npy")]
            return {member.removesuffix(".npy"): _member(archive, member) for member in members}
    except InstanceError:
        raise
    except MALFORMED as error:
        raise _not_whole(name, error, "a whole .npz archive of numbers") from None


def read_array(path: str | os.PathLike[str]) -> Array:
    """Return the array of an ``.npy``.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InstanceError
        If it is not a whole array of numbers.
    """
    name = os.fspath(path)
    try:
        size = plain_size(name)
        require_small(name, size, size)
        with open(name, "rb") as file:
            return _array(file, "the array", size)
    except InstanceError:
        raise
    except MALFORMED as error:
        raise _not_whole(name, error, "a whole .npy file of numbers") from None


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays into a compressed archive, integers in the smallest type that holds them.

    The file appears whole or not at all.

    Parameters
    ----------
    path
        Where to.
    arrays
        The arrays by name.
    """
    packed: dict[str, Any] = {key: smallest(array) for key, array in arrays.items()}
    out = io.BytesIO()
    np.savez_compressed(out, **packed)
    write_atomically(path, out.getvalue())


def smallest(array: Array) -> Array:
    """Return an array in the smallest type that holds its integers; others as they are."""
    if array.dtype.kind not in "iu" or not array.size:
        return array
    low, high = int(array.min()), int(array.max())
    return array.astype(np.result_type(np.min_scalar_type(low), np.min_scalar_type(high)))


@contextmanager
def opened_zip(name: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose members, unpacked, are no larger than `require_small` lets them be.

    Parameters
    ----------
    name
        The file.

    Raises
    ------
    InstanceError
        If they are larger.
    OSError
        If it is no plain file; and whatever zipfile raises.
    """
    packed = plain_size(name)
    with zipfile.ZipFile(name) as archive:
        require_small(name, sum(member.file_size for member in archive.infolist()), packed)
        yield archive


def require_small(name: str, size: int, packed: int) -> None:
    """Raise `InstanceError` if a file would fill the memory.

    Parameters
    ----------
    name
        The file, for the error.
    size
        Bytes of what it holds, unpacked.
    packed
        Its own bytes.
    """
    if size > MIN_RATED_BYTES and size > MAX_RATIO * packed:
        raise InstanceError(
            name,
            f"<{size} bytes in {packed}>",
            f"must not hold more than {MAX_RATIO} times its own size",
            "cut it into several",
        )
    if size > MAX_BYTES:
        raise InstanceError(
            name,
            f"<{size} bytes unpacked>",
            f"must hold at most {MAX_BYTES // 2**30} GiB of arrays",
            "cut it into several",
        )


def header_of(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an ``.npy``: its shape, whether columns come first, and its type.

    NumPy evaluates it as a literal, never as code.

    Raises
    ------
    Exception
        One of `MALFORMED`.
    """
    version = np.lib.format.read_magic(file)
    read = _HEADERS.get(version)
    if read is None:
        raise ValueError(f"unknown .npy version {version}")
    # Of headers that Python 2 wrote, NumPy warns: they are read all the same. Filters are the
    # whole process's: of two threads that exchange them, the last would leave the other's.
    with _FILTERS, warnings.catch_warnings(action="ignore"):
        return read(file)


def _member(archive: zipfile.ZipFile, name: str) -> Array:
    info = archive.getinfo(name)
    with archive.open(info) as file:
        return _array(file, name, info.file_size)


def _array(file: IO[bytes], name: str, size: int) -> Array:
    """Return one array; raise ValueError if its header promises more than its `size` bytes."""
    shape, fortran, dtype = header_of(file)
    if dtype.kind not in "iuf":
        raise ValueError(f"{name} has type {dtype}, not integers or floats")
    # Before NumPy allocates what the header says.
    entries = math.prod(shape)
    if min(shape, default=0) < 0 or entries * dtype.itemsize > size:
        raise ValueError(f"{name} is shorter than its shape")
    if not entries and max(shape) > LONGEST_EMPTY_AXIS:
        raise ValueError(f"{name} is empty, and too long")
    flat = np.empty(entries, dtype)
    left = flat.view(np.uint8)
    while left.size:
        # In pieces: an archive copies what it reads.
        piece = file.read(min(left.size, _PIECE_BYTES))
        if not piece:
            raise ValueError(f"{name} is shorter than its shape")
        left[: len(piece)] = np.frombuffer(piece, np.uint8)
        left = left[len(piece) :]
    return flat.reshape(shape, order="F" if fortran else "C")


def _not_whole(name: str, error: Exception, what: str) -> InstanceError:
    said = " ".join(str(error).split())[:80] or type(error).__name__
    return InstanceError(name, f"<{said}>", f"must be {what}", "write it again")
