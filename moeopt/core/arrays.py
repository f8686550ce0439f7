"""Arrays: in typed documents, for kernels, and where their largest values stand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from moeopt.core.errors import InstanceError

# Written out: since NumPy 2.5 ``npt.NDArray`` is an alias that msgspec does not see through.
FloatArray = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]
IntArray = np.ndarray[tuple[Any, ...], np.dtype[np.int64]]
BoolArray = np.ndarray[tuple[Any, ...], np.dtype[np.bool_]]

if TYPE_CHECKING:
    NumberOrArray = int | float | npt.NDArray[Any]
else:
    # msgspec decodes no union of a number and a custom type: this alias only marks the field, and
    # `moeopt.io` reads both forms (a bare number becomes an array without axes).
    NumberOrArray = np.ndarray[tuple[Any, ...], np.dtype[np.number[Any]]]


def own_array(value: object, path: str, scalar: Any = Any) -> npt.NDArray[Any]:
    """Return `value` as an array of int64 or float64 that nobody else can write to.

    Parameters
    ----------
    value
        An array, or what NumPy makes one of.
    path
        Where it stands, for errors.
    scalar
        ``np.float64`` makes it floats; ``np.int64`` makes it integers if all are whole.

    Raises
    ------
    InstanceError
        If it is not a rectangular array of real numbers within 64 bits.
    """
    array = numbers_of(value, path)
    wanted = np.float64 if scalar is np.float64 or array.dtype.kind == "f" else np.int64
    if scalar is np.int64 and wanted is np.float64 and _all_whole(array):
        wanted = np.int64
    if array.dtype == wanted and _is_sealed(array):
        return array
    own = np.array(array, dtype=wanted, order="C")
    own.flags.writeable = False
    return own


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


def whole_array(array: npt.NDArray[Any], path: str) -> IntArray:
    """Return an array of whole numbers as int64.

    Raises
    ------
    InstanceError
        Naming the first entry that is not whole, or beyond 64 bits: cast, it would be another.
    """
    if array.dtype.kind == "f":
        odd = np.argwhere((array != np.floor(array)) | (np.abs(array) >= 2.0**63))
        if len(odd):
            index = "".join(f"[{i}]" for i in odd[0])
            rule = "must be a whole number within 64 bits"
            raise InstanceError(f"{path}{index}", array[tuple(odd[0])].item(), rule, "correct it")
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


def numbers_of(value: object, path: str) -> npt.NDArray[Any]:
    """Return `value` as an array of integers or floats; what is one already is not copied.

    Raises
    ------
    InstanceError
        If it is not a rectangular array of real numbers within 64 bits.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0, dtype=object)
    fits = array.dtype.kind != "u" or not array.size or array.max() <= np.iinfo(np.int64).max
    if array.dtype.kind in "iuf" and fits:
        return array
    if isinstance(value, list):
        try:
            array_from_lists(value)
        except InstanceError as error:
            raise error.under(path) from None
    shown = f"<{array.dtype} array>" if isinstance(value, np.ndarray) else value
    raise InstanceError(
        path,
        shown,
        "must be a rectangular array of real numbers within 64 bits",
        "give an array of floats or integers",
    )


def read_only(array: FloatArray) -> FloatArray:
    """Return a view in C order that nobody can write to.

    Kernels are compiled again for each kind of array: a problem's own arrays are closed to writing,
    those made on the way are not, and slices may have another order.
    """
    view: FloatArray = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def largest(values: FloatArray | IntArray, most: int) -> IntArray:
    """Return where the largest values stand, at most so many, in the order of their places.

    Of equal values the first ones are taken.
    """
    return np.sort(np.argsort(-values, kind="stable")[:most])


def _all_whole(array: npt.NDArray[Any]) -> bool:
    return bool(((array == np.floor(array)) & (np.abs(array) <= 2.0**53)).all())


def _is_sealed(array: npt.NDArray[Any]) -> bool:
    """Tell whether the array, and what it is a view of, was closed to writing for good."""
    root = array if array.base is None else array.base
    return (
        type(root) is np.ndarray
        and root.flags.owndata
        and not root.flags.writeable
        and not array.flags.writeable
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
