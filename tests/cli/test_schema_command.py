"""``moeopt schema``: what it accepts is what the reader accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import INSTANCE, Ran

from moeopt import library

Run = Callable[..., Ran]

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}


def accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Validate by the keywords that our schemas use; an unknown keyword fails the test."""
    # A discriminator only tells which of `anyOf` is meant.
    notes = {"$schema", "$id", "$defs", "title", "description", "default", "discriminator"}
    known = {*notes, *_KEYWORDS}
    assert set(schema) <= known, set(schema) - known
    return all(check(schema, value, root) for key, check in _KEYWORDS.items() if key in schema)


def _has_type(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    if schema["type"] in ("integer", "number"):
        kinds = (int,) if schema["type"] == "integer" else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool)
    return isinstance(value, _TYPES[schema["type"]])


def _ref(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    return accepts(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root)


def _properties(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    known = schema["properties"]
    return all(accepts(known[key], value[key], root) for key in known if key in value)


def _items(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    others = value[len(schema.get("prefixItems", ())) :]
    rule = schema["items"]
    if isinstance(rule, bool):
        return rule or not others
    return all(accepts(rule, entry, root) for entry in others)


def _additional(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    extra = {key: value[key] for key in value if key not in schema.get("properties", {})}
    rule = schema["additionalProperties"]
    if isinstance(rule, bool):
        return rule or not extra
    return all(accepts(rule, entry, root) for entry in extra.values())


_KEYWORDS: dict[str, Callable[[dict[str, Any], Any, dict[str, Any]], bool]] = {
    "type": _has_type,
    "$ref": _ref,
    "anyOf": lambda s, v, r: any(accepts(one, v, r) for one in s["anyOf"]),
    "enum": lambda s, v, r: v in s["enum"] and not isinstance(v, bool),
    "minimum": lambda s, v, r: v >= s["minimum"],
    "exclusiveMinimum": lambda s, v, r: v > s["exclusiveMinimum"],
    "maximum": lambda s, v, r: v <= s["maximum"],
    "minItems": lambda s, v, r: len(v) >= s["minItems"],
    "maxItems": lambda s, v, r: len(v) <= s["maxItems"],
    "prefixItems": lambda s, v, r: all(
        accepts(one, entry, r) for one, entry in zip(s["prefixItems"], v, strict=False)
    ),
    "items": _items,
    "required": lambda s, v, r: set(s["required"]) <= set(v),
    "properties": _properties,
    "additionalProperties": _additional,
}


@pytest.fixture
def problem_schema(run: Run) -> dict[str, Any]:
    """Return the schema of placement problems."""
    return dict(run("schema", "placement").json())


def test_it_says_what_it_is(problem_schema: dict[str, Any], run: Run) -> None:
    assert problem_schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert problem_schema["$id"] == "urn:moeopt:placement:problem:1"
    required = {"problem", "version", "loads_tokens", "cluster", "slots_per_device"}
    assert set(problem_schema["required"]) == required
    assert problem_schema["additionalProperties"] is False
    assert "placement" in run("schema").out.split()
    wrong = run("schema", "placment")
    assert wrong.code == 2
    assert "WING: must be one of " in wrong.err
    assert "got 'placment'; did you mean 'placement'?" in wrong.err


@pytest.mark.parametrize("wing", sorted({entry.wing for entry in library.entries()}))
def test_it_accepts_the_library(wing: str, run: Run) -> None:
    schema = dict(run("schema", wing).json())
    for entry in library.entries(f"{wing}/"):
        document = json.loads((library.folder() / entry.path).read_bytes())
        assert accepts(schema, document, schema), entry.name


@pytest.mark.parametrize(
    "change",
    [
        {"loads_tokens": {"npz": "a.npz", "key": "loads"}},
        {"expert_bytes": 44},
        {"expert_bytes": [1, 2, 3, 4]},
        {"slots_per_device": [1, 3]},
        {"pinned": [{"expert": 0, "device": 1}]},
        {"generator": {"name": "zipf", "seed": 3}},
    ],
)
def test_it_accepts_what_is_allowed(problem_schema: dict[str, Any], change: dict[str, Any]) -> None:
    assert accepts(problem_schema, {**INSTANCE, **change}, problem_schema)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": True},
        {"problem": "transfers"},
        {"groups": 0},
        {"groups": "1"},
        {"loads_tokens": [["1"]]},
        {"loads_tokens": {"npz": "a.npz"}},
        {"objective": "maxload"},
        {"zzz": 1},
        {"cluster": {"nodes": []}},
    ],
)
def test_it_rejects_what_is_not(problem_schema: dict[str, Any], change: dict[str, Any]) -> None:
    assert not accepts(problem_schema, {**INSTANCE, **change}, problem_schema)


def test_plans(run: Run, instance: Path) -> None:
    schema = run("schema", "placement", "--plan").json()
    assert schema["$id"] == "urn:moeopt:placement:plan:1"
    plan = run("solve", instance, "--json").json()
    assert accepts(schema, plan, schema)
    assert not accepts(schema, {**plan, "version": 2}, schema)
    assert not accepts(schema, {k: v for k, v in plan.items() if k != "plan"}, schema)
    by_hand = {"plan": "placement", "version": 1, "physical_to_logical": [[0]]}
    assert accepts(schema, by_hand, schema)


def test_every_reference_leads_somewhere(problem_schema: dict[str, Any]) -> None:
    text = json.dumps(problem_schema)
    for name in re.findall(r'"#/\$defs/(\w+)"', text):
        assert name in problem_schema["$defs"]
