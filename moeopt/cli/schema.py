"""``moeopt schema``: the JSON Schema of a wing's documents, from the types that read them."""

from __future__ import annotations

import argparse
from typing import Any

from moeopt.cli import files
from moeopt.cli.codes import DONE

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of a wing's documents",
        description="Print the JSON Schema of a wing's problems or plans; without WING, list them.",
    )
    parser.add_argument("wing", metavar="WING", nargs="?", help="placement, ...")
    parser.add_argument("--plan", action="store_true", help="of plans instead of problems")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema, or the wings that have one."""
    from moeopt.core.registry import wing_named, wing_names

    if args.wing is None:
        print("\n".join(wing_names()))
        return DONE
    from moeopt.io import plan_document_type, to_json

    wing = wing_named(args.wing, "WING")
    kind = "plan" if args.plan else "problem"
    document = plan_document_type(wing) if args.plan else wing.problem_type
    files.write_stdout(to_json(schema_of(document, wing, kind)))
    return DONE


def schema_of(document: type, wing: Any, kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a problem's or a plan's type."""
    import msgspec

    (_,), components = msgspec.json.schema_components([document], schema_hook=_array)
    own = components.pop(document.__name__)
    # The tag and the version have defaults in Python; in a file they are what says how to read it.
    own["required"] = sorted({*own.get("required", []), kind, "version"})
    return {
        "$schema": _DIALECT,
        "$id": f"urn:moeopt:{wing.name}:{kind}:{wing.version}",
        **own,
        "$defs": {**components, **_ARRAYS},
    }


def _array(annotation: type) -> dict[str, Any]:
    import numpy as np

    if annotation is np.ndarray:
        return {"$ref": "#/$defs/Array"}
    raise NotImplementedError


_ARRAYS: dict[str, Any] = {
    "Array": {
        "description": "numbers in nested lists (one number where allowed), or in a file",
        "anyOf": [
            {"type": "number"},
            {"$ref": "#/$defs/NumberList"},
            {"$ref": "#/$defs/ArrayFile"},
        ],
    },
    "NumberList": {
        "type": "array",
        "items": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/NumberList"}]},
    },
    "ArrayFile": {
        "description": "an array of an .npz in the document's folder",
        "type": "object",
        "properties": {"npz": {"type": "string"}, "key": {"type": "string"}},
        "required": ["npz", "key"],
        "additionalProperties": False,
    },
}
