"""The page of the buffering wing: its tables are the records' fields and the registry."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from doc_blocks import ROOT, table_rows

from moeopt.buffering.methods import METHODS
from moeopt.buffering.problem import BufferingProblem, Objective, Timing

PAGE = ROOT / "docs" / "problems" / "buffering.md"


@pytest.mark.parametrize(
    ("heading", "record"), [("field", BufferingProblem), ("of the timing", Timing)]
)
def test_tables_of_fields_are_the_records(heading: str, record: Any) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(record)}
    rows = {row[0].strip("`"): row for row in table_rows(PAGE, heading)}
    assert rows.keys() == fields.keys()
    for name, field in fields.items():
        default = rows[name][2]
        if field.default is msgspec.NODEFAULT:
            assert default == "required", name
        else:
            assert default.strip("`").replace('"', "'") == repr(field.default), name


def test_table_of_methods_is_the_registry() -> None:
    named = [row[0].strip("`") for row in table_rows(PAGE, "method")]
    assert named == [method.name for method in METHODS]


def test_table_of_objectives_is_the_type() -> None:
    named = [row[0].strip("`") for row in table_rows(PAGE, "objective")]
    assert named == list(get_args(Objective))


def test_both_ways_to_serve_are_told_with_their_fields() -> None:
    rows = {row[0].strip("`"): row for row in table_rows(PAGE, "serve")}
    assert tuple(rows) == get_args(get_type_hints(BufferingProblem)["serve"])
    own = [name.strip(" `") for row in rows.values() for name in row[2].split(",")]
    assert set(own) < {field.name for field in msgspec.structs.fields(BufferingProblem)}
