"""Numbers given as arguments: Python's or NumPy's, never text, truth values or arrays."""

from __future__ import annotations

import contextlib
import numbers
import operator
from typing import Any

from moeopt.core.errors import InstanceError


def whole(path: str, value: Any) -> int:
    """Return an argument as an int.

    Raises
    ------
    InstanceError
        If it is not a whole number; ``True`` and 2.0 are none.
    """
    if type(value) is int:
        return value
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    raise InstanceError(path, value, "must be a whole number", "write it as 2, not 2.0 or text")


def number(path: str, value: Any, what: str = "a number") -> float:
    """Return an argument as a float.

    Raises
    ------
    InstanceError
        If it is not a real number.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    raise InstanceError(path, value, f"must be {what}", "write it as 2.5")
