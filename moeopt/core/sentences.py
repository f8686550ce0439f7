"""A type checker's terse complaint as a sentence: path, value, rule and remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import inspect

from moeopt.core.errors import InstanceError

#: What stands for a value that is not there, in messages.
MISSING = "<missing>"

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$.*|key.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(?:\d+|\.\.\.)\]")

#: Longest name, and most names, among which a misspelt one is sought.
_LONGEST_NAME, _MOST_NAMES = 100, 1000

JSON_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "null": "null",
    "object": "an object {..}",
    "array": "a list [..]",
}

_PYTHON_WORDS = {**JSON_WORDS, "bool": "True or False", "null": "None", "array": "a tuple (..)"}


class Source(Protocol):
    """What was checked: a text, or the values themselves."""

    def value_at(self, path: str) -> object:
        """Return what stands at a JSON path."""

    def too_large_number(self) -> object:
        """Return the first number that no double can hold."""


Sentence = Callable[["re.Match[str]", str, Source, type, Mapping[str, str]], InstanceError]


class Values:
    """Fields given in Python, as a `Source`."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self.fields = fields

    def value_at(self, path: str) -> object:
        """Return what stands at `path`, as far as it can be followed."""
        value: Any = self.fields
        for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
            try:
                value = value[int(index)] if index else _member(value, name)
            except (AttributeError, IndexError, KeyError, TypeError):
                return MISSING
        return value

    def too_large_number(self) -> object:
        """Return what to show for a number beyond all doubles."""
        return "<a number out of range>"


def explain_validation(
    error: msgspec.ValidationError, source: Source, document: type, *, python: bool = False
) -> InstanceError:
    """Return `error`, raised by fitting `source` to `document`, as an `InstanceError`.

    Parameters
    ----------
    error
        The complaint.
    source
        What was checked.
    document
        The type that it had to fit.
    python
        Whether to name types as Python does, for values that did not come from JSON.
    """
    match = _WHERE.match(str(error))
    assert match is not None
    path = match["path"] or "$"
    if isinstance(error.__cause__, InstanceError):
        return error.__cause__.under(path)
    words = {**_PYTHON_WORDS, "object": _class_at(document, path)} if python else JSON_WORDS
    for pattern, sentence in _SENTENCES:
        if found := re.search(pattern, match["what"], re.DOTALL):
            return sentence(found, path, source, document, words)
    rule = f"must fit the schema ({match['what']})"
    return InstanceError(path, source.value_at(path), rule, "see `moeopt schema`")


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was probably meant to be."""
    # Comparing long names takes the square of their length: nobody misspells those.
    short = [other for other in known if len(other) <= _LONGEST_NAME]
    if len(name) > _LONGEST_NAME:
        return None
    return next(iter(difflib.get_close_matches(name, short[:_MOST_NAMES], n=1)), None)


def unknown_field(path: str, value: object, known: list[str]) -> InstanceError:
    """Return what to say of a field that does not exist; `path` ends in its name."""
    close = closest(path.rpartition(".")[2], known)
    remedy = f"did you mean {close!r}?" if close else f"remove it; there are {', '.join(known)}"
    return InstanceError(path, value, "must not be there: no such field", remedy)


def require_fields(given: Mapping[str, object], known: list[str]) -> None:
    """Raise `InstanceError` for the first given field that is not among `known`.

    Raises
    ------
    InstanceError
        With the closest name that exists.
    """
    for name, value in given.items():
        if name not in known:
            raise unknown_field(f"$.{name}", value, known)


def _member(value: Any, name: str) -> object:
    return value[name] if isinstance(value, Mapping) else getattr(value, name)


def _class_at(document: type, path: str) -> str:
    nodes = _types_at(document, path)
    names = [node.cls.__name__ for node in nodes if isinstance(node, inspect.StructType)]
    return f"a {' or a '.join(names)}" if names else "a dict"


def _unknown_field(
    found: re.Match[str], path: str, source: Source, document: type, words: Mapping[str, str]
) -> InstanceError:
    del words
    fields = [name for node in _types_at(document, path) for name in _field_names(node)]
    where = f"{path}.{found[1]}"
    return unknown_field(where, source.value_at(where), fields)


def _missing_field(
    found: re.Match[str], path: str, source: Source, document: type, words: Mapping[str, str]
) -> InstanceError:
    del source, document, words
    return InstanceError(f"{path}.{found[1]}", MISSING, "must be given", "add the field")


def _wrong_type(
    found: re.Match[str], path: str, source: Source, document: type, words: Mapping[str, str]
) -> InstanceError:
    del document
    wanted, got = found[1].split(" | "), found[2]
    value = source.value_at(path)
    rule = "must be " + " or ".join(words.get(name, name) for name in wanted)
    remedy = "correct the entry"
    if got == "str" and {"int", "float"} & {*wanted}:
        remedy = "write the number without quotes"
    elif got == "float" and isinstance(value, float) and value.is_integer():
        remedy = f"write {int(value)}"
    elif got == "null":
        remedy = "leave the field out"
    elif got == "bool":
        remedy = "write a number, not true or false"
    return InstanceError(path, value, rule, remedy)


def _out_of_limits(
    found: re.Match[str], path: str, source: Source, document: type, words: Mapping[str, str]
) -> InstanceError:
    del document
    kind = words.get(found[1].split(" | ")[0], found[1])
    return InstanceError(
        path, source.value_at(path), f"must be {kind} {found[2]}", "correct the entry"
    )


def _wrong_length(
    found: re.Match[str], path: str, source: Source, document: type, words: Mapping[str, str]
) -> InstanceError:
    del document, words
    rule = f"must have a length {found[1]}"
    return InstanceError(path, source.value_at(path), rule, "add or remove entries")


def _not_a_choice(
    found: re.Match[str], path: str, source: Source, document: type, words: Mapping[str, str]
) -> InstanceError:
    del found, words
    value = source.value_at(path)
    choices = [choice for node in _types_at(document, path) for choice in _values(node)]
    close = closest(str(value), map(str, choices))
    rule = "must be one of " + ", ".join(map(repr, choices)) if choices else "must be another value"
    return InstanceError(path, value, rule, f"did you mean {close!r}?" if close else "choose one")


def _values(node: inspect.Type) -> list[object]:
    if isinstance(node, inspect.EnumType):
        return [member.value for member in node.cls]
    return list(node.values) if isinstance(node, inspect.LiteralType) else []


def _too_large(
    found: re.Match[str], path: str, source: Source, document: type, words: Mapping[str, str]
) -> InstanceError:
    del found, document, words
    return InstanceError(path, source.too_large_number(), "must be a finite number", WRITE_NUMBER)


#: The remedy for NaN, infinities and numbers beyond all doubles.
WRITE_NUMBER = "write a finite number: JSON has no NaN and no infinity"

_SENTENCES: list[tuple[str, Sentence]] = [
    (r"^Object contains unknown field `(.*)`", _unknown_field),
    (r"^Object missing required field `(.*)`", _missing_field),
    (r"^Expected `(.*)`, got `(.*)`", _wrong_type),
    (r"^Expected `(?:str|array|object)[^`]*` of length (.*)", _wrong_length),
    (r"^Expected `(.*?)` ([<>]=? .*)", _out_of_limits),
    (r"^Invalid enum value", _not_a_choice),
    (r"^Number out of range", _too_large),
]


def _types_at(document: type, path: str) -> list[inspect.Type]:
    """Return the types that a value at `path` may have, unions taken apart."""
    types = list(_alternatives(inspect.type_info(document)))
    for step in _STEP.finditer(path):
        types = [below for node in types for below in _below(node, step[1])]
    return types


def _below(node: inspect.Type, field: str | None) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.StructType):
        for known in node.fields:
            if known.encode_name == field:
                yield from _alternatives(known.type)
    elif isinstance(node, inspect.ListType | inspect.VarTupleType):
        yield from _alternatives(node.item_type)
    elif isinstance(node, inspect.DictType):
        yield from _alternatives(node.value_type)


def _alternatives(node: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.UnionType):
        for one in node.types:
            yield from _alternatives(one)
    elif isinstance(node, inspect.Metadata):
        yield from _alternatives(node.type)
    else:
        yield node


def _field_names(node: Any) -> list[str]:
    return [f.encode_name for f in node.fields] if isinstance(node, inspect.StructType) else []
