"""The page of Bayesian optimisation: its tables are the records' fields and the searches."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import msgspec
import pytest
from doc_blocks import ROOT, table_rows

from moeopt.serverless.bayes import Search
from moeopt.serverless.bayes_gp import Region
from moeopt.serverless.bayes_objective import Deployed
from moeopt.serverless.bayes_search import Epsilons
from moeopt.serverless.bayes_trials import Measured

PAGE = ROOT / "docs" / "problems" / "serverless-bayes.md"


def _defaults(record: Any) -> dict[str, str]:
    """Return each field's default as the page has it."""
    module: Any = dataclasses if dataclasses.is_dataclass(record) else msgspec.structs
    found = {}
    for field in module.fields(record):
        absent = (dataclasses.MISSING, msgspec.NODEFAULT)
        shown = getattr(field.default, "__name__", repr(field.default).replace("'", '"'))
        if field.default in absent:
            shown = "required" if field.default_factory in absent else "none"
        found[field.name] = shown
    return found


@pytest.mark.parametrize(
    ("heading", "column", "record"),
    [
        ("of a measurement", 2, Measured),
        ("of a deployment", 2, Deployed),
        ("of the epsilons", 1, Epsilons),
        ("of the region", 1, Region),
    ],
)
def test_tables_of_fields_are_the_records(heading: str, column: int, record: Any) -> None:
    rows = {row[0].strip("`"): row[column].strip("`") for row in table_rows(PAGE, heading)}
    assert rows == _defaults(record)


def test_table_of_searches_is_the_type() -> None:
    named = [row[0].strip("`") for row in table_rows(PAGE, "search")]
    assert named == list(get_args(Search))
