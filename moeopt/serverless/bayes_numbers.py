"""Settings of a search: numbers of the right kind, whoever wrote them."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from moeopt.core.arguments import number, whole
from moeopt.core.errors import InstanceError


def settle(record: Any, path: str) -> None:
    """Make the fields of a frozen record plain numbers, each of the kind of its default.

    A field whose default is ``None`` is a whole number, or left out.

    Raises
    ------
    InstanceError
        If a field is no such number, or not finite.
    """
    for field in fields(record):
        value = _settled(f"{path}.{field.name}", getattr(record, field.name), field.default)
        object.__setattr__(record, field.name, value)


def finite(path: str, value: Any, least: float = -math.inf) -> float:
    """Return an argument as a finite float, not below `least`.

    Raises
    ------
    InstanceError
        If it is another thing.
    """
    found = number(path, value)
    if not (math.isfinite(found) and found >= least):
        above = "" if least == -math.inf else f" >= {least:g}"
        raise InstanceError(path, found, f"must be a finite number{above}", "correct it")
    return found


def at_least(path: str, value: Any, least: int) -> int:
    """Return an argument as an int, not below `least`.

    Raises
    ------
    InstanceError
        If it is another thing.
    """
    counted = whole(path, value)
    if counted < least:
        raise InstanceError(path, counted, f"must be >= {least}", "raise it")
    return counted


def _settled(path: str, value: Any, default: Any) -> Any:
    """Return a value as a plain one of the kind of `default`."""
    if default is None:
        return None if value is None else whole(path, value)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InstanceError(path, value, "must be true or false", "write True or False")
        return value
    if isinstance(default, int):
        return whole(path, value)
    return finite(path, value)
