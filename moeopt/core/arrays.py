"""Arrays in typed documents: nested JSON lists, or a plain ``.npz`` beside the file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from moeopt.core.errors import InstanceError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

if TYPE_CHECKING:
    NumberOrArray = int | float | npt.NDArray[Any]
else:
    # msgspec decodes no union of a number and a custom type: this alias only marks the field, and
    # `moeopt.io` reads both forms (a bare number becomes an array without axes).
    NumberOrArray = npt.NDArray[np.number[Any]]


def array_from_lists(value: object) -> npt.NDArray[Any]:
    """Return nested lists of numbers as an array: int64 if all are integers, else float64.

    Raises
    ------
    InstanceError
        If an entry is not a number, or rows of one array differ in length.
    """
    _check_entries(value, "$")
    try:
        array = np.asarray(value)
    except ValueError:
        raise _ragged(value) from None
    if array.size == 0 or np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float64)
    if not np.issubdtype(array.dtype, np.signedinteger):
        # NumPy keeps integers beyond 64 bits as unsigned numbers or as Python objects.
        raise InstanceError(
            "$", f"<{max(map(abs, array.flat))}>", "every integer must fit in 64 bits", "round it"
        )
    return array.astype(np.int64)


def require_shape(array: npt.NDArray[Any], path: str, shape: tuple[int, ...], meaning: str) -> None:
    """Raise `InstanceError` unless `array` has exactly `shape`, in words `meaning`."""
    if array.shape != shape:
        raise InstanceError(
            path,
            f"<shape {array.shape}>",
            f"must have shape {shape} = ({meaning})",
            "give one entry for each, or correct the other sizes",
        )


def require_finite_nonnegative(array: npt.NDArray[Any], path: str) -> None:
    """Raise `InstanceError` naming the first entry that is negative, NaN or infinite."""
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        where = np.unravel_index(int(np.argmax(bad)), bad.shape)
        index = "".join(f"[{int(i)}]" for i in where)
        value = array[where].item()
        raise InstanceError(
            path + index, value, "must be a finite number >= 0", "correct the entry"
        )


def _check_entries(value: object, path: str) -> None:
    if not isinstance(value, list):
        raise InstanceError(
            path, value, "must be a list of numbers or of lists", "write [..] or [[..], ..]"
        )
    kinds = set(map(type, value))
    if kinds <= {int, float}:
        if float in kinds and not all(map(math.isfinite, value)):
            raise InstanceError(path, value, "every number must be finite", "correct the entry")
        return
    for i, entry in enumerate(value):
        if type(entry) is list:
            _check_entries(entry, f"{path}[{i}]")
        elif type(entry) not in (int, float):
            raise InstanceError(
                f"{path}[{i}]", entry, "must be a number", "write it plainly, as 3 or 2.5"
            )
        elif list in kinds:
            raise _ragged(value)


def _ragged(value: object) -> InstanceError:
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    path, entry = _odd_entry(value, shape, "$") or ("$", value)
    return InstanceError(
        path,
        entry,
        f"must make a rectangular array: the first rows have the shape {tuple(shape)}",
        "complete the short rows",
    )


def _odd_entry(value: object, shape: list[int], path: str) -> tuple[str, object] | None:
    """Return the first entry, and its path, that does not have `shape`."""
    if isinstance(value, list) != bool(shape) or (
        isinstance(value, list) and len(value) != shape[0]
    ):
        return path, value
    if isinstance(value, list):
        for i, entry in enumerate(value):
            if found := _odd_entry(entry, shape[1:], f"{path}[{i}]"):
                return found
    return None
