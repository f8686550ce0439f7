"""A record's fields checked when it is made: types, choices and limits as annotated, arrays owned.

msgspec checks what it decodes, and nothing that Python code passes to a constructor.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import msgspec
import numpy as np

from moeopt.core.arrays import own_array
from moeopt.core.errors import InstanceError


@dataclass(frozen=True)
class _Fields:
    """The fields of one type of record.

    Attributes
    ----------
    arrays
        Name, scalar type and whether ``None`` is allowed, of each field that holds an array.
    plain
        Name and default of every other field.
    mirror
        A record of the plain fields alone: msgspec converts all of them in one call.
    """

    arrays: tuple[tuple[str, Any, bool], ...]
    plain: tuple[tuple[str, Any], ...]
    mirror: type[msgspec.Struct]


def settle(record: msgspec.Struct) -> None:
    """Check the fields of a new record and bring them to their annotated types.

    Scalars of NumPy become Python's, lists become tuples, arrays become copies of the record's own
    that nobody can write to.

    Raises
    ------
    InstanceError
        If a field does not have its type or is out of its limits.
    """
    fields = _fields_of(type(record))
    for name, scalar, optional in fields.arrays:
        value = getattr(record, name)
        if value is not None or not optional:
            own = own_array(value, f"$.{name}", scalar)
            if own is not value:
                msgspec.structs.force_setattr(record, name, own)
    given = {
        name: value
        for name, default in fields.plain
        if (value := getattr(record, name)) is not default
    }
    checked = _converted(given, fields.mirror)
    for name, value in given.items():
        settled = getattr(checked, name)
        _require_finite(settled, f"$.{name}")
        if settled is not value:
            msgspec.structs.force_setattr(record, name, settled)


@functools.cache
def _fields_of(record_type: type[msgspec.Struct]) -> _Fields:
    arrays, plain = [], []
    for field in msgspec.structs.fields(record_type):
        options = [field.type, *get_args(field.type)]
        scalars = [_scalar_of(option) for option in options if _is_array(option)]
        if scalars:
            arrays.append((field.name, scalars[0], type(None) in options))
        else:
            plain.append((field.name, field.type, field.default))
    mirror = msgspec.defstruct(
        f"{record_type.__name__}Fields", [(name, kind, None) for name, kind, _ in plain]
    )
    return _Fields(tuple(arrays), tuple((name, default) for name, _, default in plain), mirror)


def _is_array(annotation: Any) -> bool:
    return annotation is np.ndarray or get_origin(annotation) is np.ndarray


def _scalar_of(annotation: Any) -> Any:
    """Return the ``T`` of ``NDArray[T]``."""
    arguments = get_args(annotation)
    return get_args(arguments[1])[0] if arguments else Any


def _converted(given: dict[str, Any], mirror: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(given, mirror)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert({name: _builtin(given[name]) for name in given}, mirror)
    except msgspec.ValidationError as error:
        from moeopt.core.sentences import Values, explain_validation

        raise explain_validation(error, Values(given), mirror, python=True) from None


def _builtin(value: Any) -> Any:
    """Return scalars and arrays of NumPy, alone or in sequences, as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if type(value) in (list, tuple):
        return [_builtin(entry) for entry in value]
    if type(value) is dict:
        return {_builtin(key): _builtin(entry) for key, entry in value.items()}
    return value


def _require_finite(value: Any, path: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InstanceError(path, value, "must be a finite number", "correct it")
    elif type(value) is dict:
        for key, entry in value.items():
            _require_finite(entry, f"{path}.{key}")
