"""Plain numbers in ``.npz`` archives: no objects, nothing unpickled, small types."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.errors import InstanceError
from moeopt.core.files import write_atomically

#: Most bytes of an archive's arrays together, unpacked.
MAX_BYTES = 8 * 2**30

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
        _require_small(name)
        with np.load(name, allow_pickle=False) as archive:
            missing = [key for key in required if key not in archive.files]
            if missing:
                raise InstanceError(
                    name,
                    f"<arrays {', '.join(archive.files) or 'none'}>",
                    f"must hold the array {missing[0]}",
                    f"it needs {', '.join(required)}",
                )
            return {key: archive[key] for key in (*required, *optional) if key in archive.files}
    except InstanceError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError) as error:
        said = " ".join(str(error).split())[:80] or type(error).__name__
        raise InstanceError(
            name, f"<{said}>", "must be a whole .npz archive of numbers", "write it again"
        ) from None


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


def _require_small(name: str) -> None:
    with zipfile.ZipFile(name) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_BYTES:
        raise InstanceError(
            name,
            f"<{size} bytes unpacked>",
            f"must hold at most {MAX_BYTES // 2**30} GiB of arrays",
            "cut it into several",
        )
