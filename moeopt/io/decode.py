"""From JSON text to a typed document, every failure an `InstanceError`."""

from __future__ import annotations

import functools
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np

from moeopt.core.arrays import NumberOrArray, array_from_lists, whole_array
from moeopt.core.errors import InstanceError
from moeopt.core.registry import wing_named
from moeopt.core.sentences import MISSING
from moeopt.core.wing import Wing
from moeopt.io.encode import EXACT
from moeopt.io.explain import explain, explain_syntax
from moeopt.io.locate import JsonText
from moeopt.io.read import Source, check_unique_keys

Kind = Literal["problem", "plan"]

_T = TypeVar("_T")


class _Header(msgspec.Struct):
    """The fields that say what a document is; the others are skipped."""

    problem: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    plan: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    version: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def decode_problem(source: Source) -> Any:
    """Return the problem that a document states, of whatever wing it names."""
    wing = wing_of_source(source, "problem")
    return decode(source, wing.problem_type)


def wing_of_source(source: Source, kind: Kind) -> Wing:
    """Return the wing of a document after checking its tag, its version and its keys."""
    header = _header(source.text)
    wing = wing_named(_require_tag(header, kind), f"$.{kind}")
    _require_version(header, wing.version)
    check_unique_keys(source.text)
    return wing


def kind_of_source(source: Source) -> Kind:
    """Tell whether a document is a problem or a plan; a problem if it is neither."""
    return "plan" if _header(source.text).plan is not msgspec.UNSET else "problem"


def decode(source: Source, document: type[_T]) -> _T:
    """Return `source` as `document`, its arrays read from lists or from beside it."""
    hook = functools.partial(_array, folder=source.folder)
    try:
        return msgspec.json.decode(source.text.data, type=document, dec_hook=hook)
    except (msgspec.DecodeError, RecursionError) as error:
        raise explain(error, source.text, document) from None


def _array(annotation: Any, value: object, *, folder: Path | None) -> Any:
    """Return what stands for an array, as the annotation of its field wants it."""
    if isinstance(value, dict):
        # Only here: most documents have no file beside them.
        from moeopt.io.npz import array_beside

        array = array_beside(value, folder)
    elif annotation == NumberOrArray and not isinstance(value, list):
        return _number(value)
    else:
        array = array_from_lists(value)
    return _as_annotated(annotation, array)


def _number(value: object) -> np.ndarray[Any, Any]:
    if type(value) not in (int, float):
        rule = "must be a number or a list of numbers"
        raise InstanceError("$", value, rule, "write it plainly, as 3 or [3, 2.5]")
    return np.asarray(value)


def _as_annotated(annotation: Any, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    scalar = typing.get_args(typing.get_args(annotation)[1])[0]
    if scalar is np.float64:
        return array.astype(np.float64)
    if scalar is np.int64 and array.dtype != np.int64:
        return whole_array(array, "$")
    # 3.0 is written as 3: a document means the same whichever of the two it holds.
    if scalar is Any and np.all((array == np.floor(array)) & (np.abs(array) <= EXACT)):
        return array.astype(np.int64)
    return array


def _header(text: JsonText) -> _Header:
    try:
        return msgspec.json.decode(text.data, type=_Header)
    except (msgspec.DecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError) and not text.data.lstrip().startswith(b"{"):
            start = text.data.lstrip()[:40].decode("utf-8", "replace")
            raise InstanceError(
                "$", start, "must be one JSON object", 'begin with {"problem": "placement", ..}'
            ) from None
        if type(error) is msgspec.DecodeError:
            raise explain_syntax(error, text) from None
        raise explain(error, text, _Header) from None


def _literal(raw: msgspec.Raw | msgspec.UnsetType) -> Any:
    if raw is msgspec.UNSET:
        return MISSING
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return f"<{bytes(raw)[:40].decode('utf-8', 'replace')}>"


def _require_tag(header: _Header, kind: Kind) -> str:
    """Return the wing that a document of this kind names."""
    raw = getattr(header, kind)
    other: Kind = "plan" if kind == "problem" else "problem"
    if raw is msgspec.UNSET and getattr(header, other) is not msgspec.UNSET:
        raise InstanceError(
            f"$.{kind}", f"<a {other}>", f"must be a {kind} document", f"give the {kind}'s file"
        )
    tag = _literal(raw)
    if raw is msgspec.UNSET or not isinstance(tag, str):
        remedy = f'begin with {{"{kind}": "placement", "version": 1, ..}}'
        raise InstanceError(f"$.{kind}", tag, f"must name the {kind}'s wing", remedy)
    return tag


def _require_version(header: _Header, ours: int) -> None:
    version = _literal(header.version)
    if type(version) is not int or version != ours:
        newer = type(version) is int and version > ours
        raise InstanceError(
            "$.version",
            version,
            f"must be {ours}, the version that this moeopt reads",
            "install a newer moeopt" if newer else f'write "version": {ours}',
        )
