"""The page of the predictors: its tables are the records' fields and the rules."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import msgspec
import pytest
from doc_blocks import ROOT, table_rows

from moeopt.popularity.checks import MOST_IDS
from moeopt.popularity.prediction import CountTable, Prediction, Rule
from moeopt.traces import RoutingTrace

PAGE = ROOT / "docs" / "problems" / "popularity.md"


def _defaults(record: Any) -> dict[str, Any]:
    """Return each field's default, or the word that the page has where there is none."""
    if dataclasses.is_dataclass(record):
        missing = dataclasses.MISSING
        found = {field.name: field.default for field in dataclasses.fields(record)}
    else:
        missing = msgspec.NODEFAULT
        found = {field.name: field.default for field in msgspec.structs.fields(record)}
    return {
        name: "required" if default is missing else repr(default).replace("'", '"')
        for name, default in found.items()
    }


@pytest.mark.parametrize(
    ("heading", "record"),
    [("of a trace", RoutingTrace), ("of a table", CountTable), ("of a prediction", Prediction)],
)
def test_tables_of_fields_are_the_records(heading: str, record: Any) -> None:
    rows = {row[0].strip("`"): row[2].strip("`") for row in table_rows(PAGE, heading)}
    assert rows == _defaults(record)


def test_table_of_rules_is_the_type() -> None:
    named = [row[0].strip("`") for row in table_rows(PAGE, "rule")]
    assert named == list(get_args(Rule))


def test_the_largest_id_is_named() -> None:
    assert f"{MOST_IDS:,}" in PAGE.read_text(encoding="utf-8")
