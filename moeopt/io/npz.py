"""Arrays beside a document: plain numbers from an ``.npz``, never code."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.errors import InstanceError
from moeopt.core.sentences import closest
from moeopt.traces.archive import MALFORMED, MAX_RATIO, MIN_RATED_BYTES, header_of

#: Largest array, unpacked: 33 million doubles.
MAX_ARRAY_BYTES = 256 * 2**20

#: Most arrays of one archive: we read one, but the directory of all is parsed.
MAX_ARCHIVE_BYTES = 2**30

_FIELDS = {"npz", "key"}


def array_beside(reference: dict[str, object], folder: Path | None) -> npt.NDArray[Any]:
    """Return the array that ``{"npz": "file.npz", "key": "loads"}`` names.

    Parameters
    ----------
    reference
        The object as decoded.
    folder
        Folder of the document; the file must lie in it, links followed.

    Raises
    ------
    InstanceError
        If the reference is malformed, leaves the folder or does not lead to an array of finite
        numbers within `MAX_ARRAY_BYTES`.
    """
    if set(reference) != _FIELDS or not all(isinstance(v, str) for v in reference.values()):
        raise InstanceError(
            "$",
            reference,
            "must be a list of numbers, or an object with the strings npz and key",
            'write [..] or {"npz": "file.npz", "key": "loads"}',
        )
    name, key = str(reference["npz"]), str(reference["key"])
    path = _inside(name, folder)
    with _archive(path, name) as archive:
        array = _member(archive, name, key)
    return _plain(array, key)


def _inside(name: str, folder: Path | None) -> Path:
    if folder is None:
        raise InstanceError(
            "$.npz", name, "must not be used on standard input", "give a file, or inline the array"
        )
    relative = PurePosixPath(name)
    strange = not name or "\\" in name or "\0" in name or ":" in name
    if strange or relative.is_absolute() or ".." in relative.parts:
        raise _escapes(name)
    path = folder / name
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # the latter for links that go round in circles
        reason = (getattr(error, "strerror", None) or "unreadable").lower()
        raise InstanceError(
            "$.npz", name, f"must be a file beside the document ({reason})", "check its name"
        ) from None
    if not real.is_relative_to(folder.resolve()):
        raise _escapes(name)
    if not real.is_file() or real.stat().st_size > MAX_ARCHIVE_BYTES:
        rule = f"must be a regular file of at most {MAX_ARCHIVE_BYTES // 2**20} MiB"
        raise InstanceError("$.npz", name, rule, "point it to an .npz")
    return real


def _escapes(name: str) -> InstanceError:
    return InstanceError(
        "$.npz",
        name,
        "must be a relative path that stays in the document's folder",
        "move the file beside the document",
    )


@contextlib.contextmanager
def _archive(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InstanceError:
        raise
    except MALFORMED as error:
        said = " ".join(str(error).split())[:80] or type(error).__name__
        raise InstanceError(
            "$.npz", name, f"must be a whole .npz archive ({said})", "write it again by numpy.savez"
        ) from None


def _member(archive: zipfile.ZipFile, name: str, key: str) -> npt.NDArray[Any]:
    keys = [member.removesuffix(".npy") for member in archive.namelist()]
    if key not in keys:
        close = closest(key, keys)
        remedy = f"did you mean {close!r}?" if close else "correct the key"
        shown = ", ".join(keys[:10]) or "nothing"
        raise InstanceError("$.key", key, f"must be an array of {name}, which has {shown}", remedy)
    member = archive.namelist()[keys.index(key)]
    _require_small(archive.getinfo(member).file_size, key, archive.start_dir)
    with archive.open(member) as file:
        shape, fortran, dtype = header_of(file)
        if dtype.hasobject or dtype.kind not in "iuf" or dtype.itemsize > 8:
            raise InstanceError(
                "$.key",
                key,
                f"must hold integers or floats of at most 64 bits, not {dtype} (loading never"
                " unpickles)",
                "save it by numpy.savez as int64 or float64",
            )
        entries = math.prod(shape)
        # As the numbers of 64 bits that they become.
        _require_small(8 * entries, key, archive.start_dir)
        size = entries * dtype.itemsize
        data = file.read(size)
        if len(data) != size or file.read(1):
            raise ValueError(f"array {key} does not have the size that its header declares")
    flat = np.frombuffer(data, dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _require_small(size: int, key: str, packed: int) -> None:
    if size > MAX_ARRAY_BYTES:
        rule = f"must be an array of at most {MAX_ARRAY_BYTES // 2**20} MiB, not {size} bytes"
        raise InstanceError("$.key", key, rule, "aggregate the scenarios")
    if size > MIN_RATED_BYTES and size > MAX_RATIO * packed:
        rule = f"must not be more than {MAX_RATIO} times as large as its archive, not {size} bytes"
        raise InstanceError("$.key", key, rule, "write it by numpy.savez, which packs nothing")


def _plain(array: npt.NDArray[Any], key: str) -> npt.NDArray[Any]:
    """Return `array` as int64 or float64."""
    if array.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            index = "".join(f"[{i}]" for i in bad[0])
            value = array[tuple(bad[0])].item()
            raise InstanceError(
                f"${index}", value, f"must be a finite number in array {key}", "correct the array"
            )
        return array.astype(np.float64)
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise InstanceError(
            "$", int(array.max()), f"integers of array {key} must fit in 64 bits", "round them"
        )
    return array.astype(np.int64)
