"""Plain numbers in ``.npz`` archives: no objects, nothing unpickled, small types."""

from __future__ import annotations

import errno
import io
import lzma
import math
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from moeopt.core.errors import InstanceError
from moeopt.core.files import write_atomically

#: What NumPy and zipfile raise for archives that are none.
_MALFORMED = (
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
MAX_RATIO, MIN_RATED_BYTES = 100, 2**28

#: Longest axis of an array without entries: nothing else limits it.
_LONGEST_EMPTY_AXIS = 2**20

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
    except _MALFORMED as error:
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
    except _MALFORMED as error:
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
        return _array(lambda: open(name, "rb"), "the array", size)
    except InstanceError:
        raise
    except _MALFORMED as error:
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


def plain_size(name: str | os.PathLike[str]) -> int:
    """Return the bytes of a file.

    Raises
    ------
    OSError
        If there is none, or no plain one: reading a pipe or a device may never end.
    """
    found = os.stat(name)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a plain file", os.fspath(name))
    return found.st_size


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


def _member(archive: zipfile.ZipFile, name: str) -> Array:
    info = archive.getinfo(name)
    return _array(lambda: archive.open(info), name, info.file_size)


def _array(opened: Callable[[], IO[bytes]], name: str, size: int) -> Array:
    """Return one array; raise ValueError if its header promises more than its `size` bytes."""
    with opened() as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.kind not in "iuf":
            raise ValueError(f"{name} has type {dtype}, not integers or floats")
        # Before NumPy allocates what the header says.
        entries = math.prod(shape)
        if min(shape, default=0) < 0 or entries * dtype.itemsize > size:
            raise ValueError(f"{name} is shorter than its shape")
        if not entries and max(shape) > _LONGEST_EMPTY_AXIS:
            raise ValueError(f"{name} is empty, and too long")
    with opened() as file:
        whole: Array = np.lib.format.read_array(file, allow_pickle=False)
        return whole


def _not_whole(name: str, error: Exception, what: str) -> InstanceError:
    said = " ".join(str(error).split())[:80] or type(error).__name__
    return InstanceError(name, f"<{said}>", f"must be {what}", "write it again")
