"""The page of the serverless wing: its tables are the records' fields and the registry."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from doc_blocks import ROOT, table_rows

from moeopt.serverless.methods import METHODS
from moeopt.serverless.problem import (
    DESIGNS,
    Billing,
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

PAGE = ROOT / "docs" / "problems" / "serverless.md"


def _default(field: Any) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return f"{field.default_factory.__name__}()"
    return "required" if field.default is msgspec.NODEFAULT else repr(field.default)


@pytest.mark.parametrize(
    ("heading", "record"),
    [
        ("field", ServerlessProblem),
        ("of a layer", ServerlessLayer),
        ("of an expert", ExpertFunction),
        ("of the network", Network),
        ("of the bill", Billing),
    ],
)
def test_tables_of_fields_are_the_records(heading: str, record: Any) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(record)}
    rows = {row[0].strip("`"): row for row in table_rows(PAGE, heading)}
    assert rows.keys() == fields.keys()
    for name, field in fields.items():
        assert rows[name][2].strip("`").replace('"', "'") == _default(field), name


def test_table_of_methods_is_the_registry() -> None:
    named = [row[0].strip("`") for row in table_rows(PAGE, "method")]
    assert named == [method.name for method in METHODS]


def test_table_of_designs_is_the_type() -> None:
    named = [int(row[0].strip("`")) for row in table_rows(PAGE, "design")]
    assert named == list(DESIGNS)


def test_both_ways_to_state_seconds_are_shown() -> None:
    (compute,) = (row for row in table_rows(PAGE, "of an expert") if row[0] == "`compute`")
    for record in (MemoryTable, VcpuModel):
        assert f'"{record.__struct_config__.tag}"' in compute[3]
        assert all(f'"{name}"' in compute[3] for name in record.__struct_fields__)
