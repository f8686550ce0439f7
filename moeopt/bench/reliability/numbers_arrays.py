"""Plain arrays of every type, up to the last number that each can hold."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from moeopt.core.errors import InstanceError

_TYPES = ("i1", "u1", "i2", "i4", "i8", "u8", "f2", "f4", "f8")


def cases() -> Iterator[tuple[str, Callable[[], str | None]]]:
    """Yield what is tried with arrays, and what tells how it went wrong."""
    for name in _TYPES:
        kind = np.dtype(name)
        most: Any = np.finfo(kind).max if kind.kind == "f" else np.iinfo(kind).max
        for pattern in ([[0, 1], [1, 0]], [[0, 1, 1], [1, 0, 1], [1, 1, 0]], [[1]], [[0]]):
            matrix = np.where(np.array(pattern, dtype=np.bool_), most, np.zeros((), kind))
            for call in (decomposed, in_rounds, placed):
                yield f"{call.__name__} {kind} {pattern}", partial(_tried, call, matrix)


def decomposed(matrix: Any) -> str | None:
    """Tell whether rounds do not sum to the largest line, exactly."""
    from moeopt.transfers import decompose

    length, _, _ = decompose(matrix)
    total, line = sum(length.tolist()), _line(matrix)
    return None if total == line else _differs(total, line)


def in_rounds(matrix: Any) -> str | None:
    """Tell whether rounds do not sum to the largest line, but for rounding."""
    from moeopt.transfers import rounds_of

    total, line = float(rounds_of(matrix).length.sum()), float(_line(matrix))
    return None if abs(total - line) <= 1e-12 * line else _differs(total, line)


def placed(matrix: Any) -> str | None:
    """Tell whether a placement's objective is not the sum of the largest device loads."""
    from moeopt.placement import place

    objective = place(matrix, 1, method="fast").objective
    exact = float(sum(int(load) for load in matrix.ravel()))
    return None if abs(objective - exact) <= 1e-12 * exact else _differs(objective, exact)


def _tried(call: Callable[[Any], str | None], matrix: Any) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return call(matrix)
    except InstanceError:
        return None
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"


def _line(matrix: Any) -> int:
    """Return the largest line sum in Python's own integers, which do not overflow."""
    whole = [[int(entry) for entry in row] for row in matrix]
    return max(max(map(sum, whole)), max(map(sum, zip(*whole, strict=True))))


def _differs(found: object, wanted: object) -> str:
    return f"gave {found!r}, not {wanted!r}"
