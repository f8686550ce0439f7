"""The page of the committee wing: its tables are the record's fields and the registry."""

from __future__ import annotations

from typing import get_args

import msgspec
from doc_blocks import ROOT, table_rows

from moeopt.committee.methods import METHODS
from moeopt.committee.problem import CommitteeProblem, Loss

PAGE = ROOT / "docs" / "problems" / "committee.md"


def test_table_of_fields_is_the_problem() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(CommitteeProblem)}
    rows = {row[0].strip("`"): row for row in table_rows(PAGE, "field")}
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


def test_losses_are_all_there_with_their_fields() -> None:
    rows = {row[0].strip("`"): row for row in table_rows(PAGE, "loss")}
    assert tuple(rows) == get_args(Loss)
    own = {name.strip(" `") for row in rows.values() for name in row[3].split(",")}
    assert own == {"importance", "router", "window_starts", "table", "swaps"}
