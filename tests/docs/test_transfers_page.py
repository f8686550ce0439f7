"""The page of the transfers wing: its tables are the problem's fields and the registry."""

from __future__ import annotations

import re
from typing import get_args

import msgspec
from doc_blocks import ROOT, table_rows

from moeopt.transfers.methods import METHODS
from moeopt.transfers.problem import Fabric, Objective, Peers, Startup, TransferProblem

PAGE = ROOT / "docs" / "problems" / "transfers.md"


def test_table_of_fields_is_the_problem() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(TransferProblem)}
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


def test_choices_are_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for choice in (*get_args(Objective), *get_args(Startup), *get_args(Peers)):
        assert f'"{choice}"' in text, choice
    for field in Fabric.__struct_fields__:
        assert re.search(rf"`{field}`", text), field
