"""A decoder's terse complaint as a sentence: path, value, rule and remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

from moeopt.core.errors import InstanceError
from moeopt.io.locate import MISSING, JsonText

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$.*|key.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(?:\d+|\.\.\.)\]")
_BYTE = re.compile(r"^JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)$", re.DOTALL)

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "null": "null",
    "object": "an object {..}",
    "array": "a list [..]",
}

_WRITE_NUMBER = "write a finite number: JSON has no NaN and no infinity"


def explain(error: Exception, text: JsonText, document: type) -> InstanceError:
    """Return `error`, raised by decoding `text` as `document`, as an `InstanceError`."""
    if isinstance(error, RecursionError):
        return _too_deep(text)
    if not isinstance(error, msgspec.ValidationError):
        return explain_syntax(error, text)
    match = _WHERE.match(str(error))
    assert match is not None
    path = match["path"] or "$"
    if isinstance(error.__cause__, InstanceError):
        return error.__cause__.under(path)
    for pattern, sentence in _SENTENCES:
        if found := re.search(pattern, match["what"], re.DOTALL):
            return sentence(found, path, text, document)
    rule = f"must fit the schema ({match['what']})"
    return InstanceError(path, text.value_at(path), rule, "see `moeopt schema`")


def explain_syntax(error: Exception, text: JsonText) -> InstanceError:
    """Return what is wrong with a text that is not JSON."""
    match = _BYTE.match(str(error))
    if match is None:
        end = len(text.data.rstrip())
        return InstanceError(
            text.path_at(end),
            "<end of the document>",
            f"must be complete JSON: it breaks off at {text.place(end)}",
            "the file is truncated: write it again",
        )
    byte = int(match["byte"])
    if match["what"].startswith("trailing characters"):
        # The decoder points behind the first of them.
        byte -= 1
    word, path, place = text.word_at(byte), text.path_at(byte), text.place(byte)
    if re.match(r"[-+]?(nan|inf)", word, re.IGNORECASE):
        return InstanceError(
            path, f"<{word}>", f"must be a finite number at {place}", _WRITE_NUMBER
        )
    rule = f"must be valid JSON: {match['what']} at {place}"
    return InstanceError(path, f"<{word}>", rule, "correct the text there")


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was probably meant to be."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def _too_deep(text: JsonText) -> InstanceError:
    return InstanceError(
        text.path_at(len(text.data)),
        "<lists in lists, too many to follow>",
        "must be nested at most as deep as an array has axes",
        "remove the surplus brackets",
    )


def _unknown_field(
    found: re.Match[str], path: str, text: JsonText, document: type
) -> InstanceError:
    field = found[1]
    fields = [name for node in _types_at(document, path) for name in _field_names(node)]
    close = closest(field, fields)
    remedy = f"did you mean {close!r}?" if close else f"remove it; there are {', '.join(fields)}"
    where = f"{path}.{field}"
    return InstanceError(where, text.value_at(where), "must not be there: no such field", remedy)


def _missing_field(
    found: re.Match[str], path: str, text: JsonText, document: type
) -> InstanceError:
    del text, document
    return InstanceError(f"{path}.{found[1]}", MISSING, "must be given", "add the field")


def _wrong_type(found: re.Match[str], path: str, text: JsonText, document: type) -> InstanceError:
    del document
    wanted, got = found[1].split(" | "), found[2]
    value = text.value_at(path)
    rule = "must be " + " or ".join(_WORDS.get(name, name) for name in wanted)
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
    found: re.Match[str], path: str, text: JsonText, document: type
) -> InstanceError:
    del document
    kind = _WORDS.get(found[1].split(" | ")[0], found[1])
    return InstanceError(
        path, text.value_at(path), f"must be {kind} {found[2]}", "correct the entry"
    )


def _wrong_length(found: re.Match[str], path: str, text: JsonText, document: type) -> InstanceError:
    del document
    rule = f"must have a length {found[1]}"
    return InstanceError(path, text.value_at(path), rule, "add or remove entries")


def _not_a_choice(found: re.Match[str], path: str, text: JsonText, document: type) -> InstanceError:
    value = text.value_at(path)
    choices = [choice for node in _types_at(document, path) for choice in _values(node)]
    close = closest(str(value), map(str, choices))
    rule = "must be one of " + ", ".join(map(repr, choices)) if choices else "must be another value"
    return InstanceError(path, value, rule, f"did you mean {close!r}?" if close else "choose one")


def _values(node: inspect.Type) -> list[object]:
    if isinstance(node, inspect.EnumType):
        return [member.value for member in node.cls]
    return list(node.values) if isinstance(node, inspect.LiteralType) else []


def _too_large(found: re.Match[str], path: str, text: JsonText, document: type) -> InstanceError:
    del found, document
    return InstanceError(path, text.too_large_number(), "must be a finite number", _WRITE_NUMBER)


_SENTENCES: list[tuple[str, Callable[[re.Match[str], str, JsonText, type], InstanceError]]] = [
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
