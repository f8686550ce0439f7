"""From a typed document to JSON: one canonical content, one readable layout, one hash."""

from __future__ import annotations

import enum
import hashlib
import json
import math
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from moeopt.core.result import Result
from moeopt.core.wing import Plan, Problem

#: What a problem is called and where it came from: no plan depends on it, nor does the hash.
UNHASHED = ("name", "source", "generator")

#: Printed first, in this order; the other fields follow by name.
_FIRST = ("problem", "plan", "version", "name", "source", "generator", "problem_sha256", "result")

#: Integral floats up to here are written as integers: beyond it neighbours are not all integers.
EXACT = 2**53

#: An object of plain values is written on one line up to this width.
_LINE = 88


def problem_to_json(problem: Problem) -> bytes:
    """Return the problem's document: canonical content, one line for each row of an array.

    Two equal problems give equal bytes: defaults are left out, arrays are inlined, fields are
    in a fixed order and integral floats are written as integers.
    """
    return _layout(_content(problem))


def problem_sha256(problem: Problem) -> str:
    """Return the SHA-256 of the problem's canonical content, in hexadecimal.

    `name`, `source` and `generator` do not count, nor does the form in which arrays were given:
    inline, or in a file beside the document. A preset counts by its name.
    """
    content = _content(problem)
    for field in UNHASHED:
        content.pop(field, None)
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def plan_to_json(plan: Plan, sha256: str | None = None, result: Any = None) -> bytes:
    """Return the plan's document, with its problem's hash and its result's record if given."""
    content = _content(plan)
    if sha256 is not None:
        content["problem_sha256"] = sha256
    if result is not None:
        content["result"] = _plain(result.to_dict())
    return _layout(content)


def result_to_json(problem: Problem, result: Result[Any]) -> bytes:
    """Return the plan's document, or the bare record of a result that has no plan."""
    if result.plan is not None:
        return plan_to_json(result.plan, problem_sha256(problem), result)
    record = {"problem_sha256": problem_sha256(problem), "result": _plain(result.to_dict())}
    return _layout(record)


def to_json(value: Any) -> bytes:
    """Return plain values, arrays and records in the same layout as documents."""
    return _layout(_plain(value))


def _content(document: Problem | Plan) -> dict[str, Any]:
    fields: dict[str, Any] = _plain(document)
    # A default, and yet required when the document is read.
    fields["version"] = document.version
    return fields


def _plain(value: Any) -> Any:
    """Return plain JSON types: integral floats as integers, what is not finite as null."""
    if isinstance(value, np.ndarray):
        return _lists(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, msgspec.Struct):
        return _record(value)
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def _record(value: msgspec.Struct) -> dict[str, Any]:
    """Return a record's fields; a field equal to its default says nothing, so it is left out.

    msgspec leaves out only the default object itself: equal records would differ in JSON.
    """
    config = value.__struct_config__
    fields = {} if config.tag is None else {str(config.tag_field): config.tag}
    for field in msgspec.structs.fields(value):
        entry = getattr(value, field.name)
        if not (config.omit_defaults and _is_default(entry, field)):
            fields[field.encode_name] = _plain(entry)
    return fields


def _is_default(entry: Any, field: msgspec.structs.FieldInfo) -> bool:
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return not isinstance(entry, np.ndarray) and bool(entry == default)


def _number(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) <= EXACT else value


def _lists(array: npt.NDArray[Any]) -> Any:
    """Return nested lists, the entries as `_number` makes them."""
    if array.dtype.kind != "f":
        return array.tolist()
    whole = (np.abs(array) <= EXACT) & (array == np.floor(array))
    if whole.all():
        return array.astype(np.int64).tolist()
    mixed = array.astype(object)
    mixed[whole] = array[whole].astype(np.int64).astype(object)
    mixed[~np.isfinite(array)] = None
    return mixed.tolist()


def _layout(content: Any) -> bytes:
    return (_lines(content, "") + "\n").encode()


def _lines(value: Any, indent: str) -> str:
    """Return `value` as JSON whose first line continues a line indented by `indent`."""
    if not isinstance(value, dict | list) or not value:
        return _line(value)
    nested = any(isinstance(entry, dict | list) for entry in _entries(value))
    if not nested and (isinstance(value, list) or len(text := _line(value)) <= _LINE):
        return _line(value) if isinstance(value, list) else text
    deeper = indent + "  "
    if isinstance(value, list):
        parts = [_lines(entry, deeper) for entry in value]
        opening, closing = "[", "]"
    else:
        parts = [f"{_line(key)}: {_lines(value[key], deeper)}" for key in sorted(value, key=_rank)]
        opening, closing = "{", "}"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"


def _entries(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True).encode


def _rank(key: str) -> tuple[int, str]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST), key)
