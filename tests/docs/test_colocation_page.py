"""The page of the colocation wing: its tables are the records' fields and the registry."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from doc_blocks import ROOT, table_rows

from moeopt.colocation.methods import METHODS
from moeopt.colocation.problem import ColocationProblem, ModelLayer, Objective, Pin

PAGE = ROOT / "docs" / "problems" / "colocation.md"


@pytest.mark.parametrize(
    ("heading", "record"), [("field", ColocationProblem), ("of a model", ModelLayer)]
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


def test_a_pin_is_explained() -> None:
    (pinned,) = (row for row in table_rows(PAGE, "field") if row[0] == "`pinned`")
    assert all(f"`{name}`" in pinned[3] for name in Pin.__struct_fields__)
