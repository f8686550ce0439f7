"""The model as data: assembly, names, checking, dropping families."""

from __future__ import annotations

import pickle

import mip_models
import numpy as np
import pytest

from moeopt.mip import ModelBuilder, solve_model
from moeopt.mip.names import NameBlock, escape, parse_row_name, row_name, unescape


def test_names() -> None:
    """Columns are named by prefix and index, rows by group and number across calls."""
    builder = ModelBuilder("names")
    x = builder.add_columns("x", (4, 2))
    t = builder.add_columns("t")
    builder.add_rows("C2", [0, 1], x[:2, 0], 1.0, upper=1.0)
    builder.add_rows("C1", 0, t, 1.0, upper=1.0)
    builder.add_rows("C2", 0, t, 1.0, upper=1.0)
    model = builder.build()
    assert model.column_names[x[3, 1]] == "x[3,1]"
    assert model.column_names[t] == "t"
    assert model.row_names == ("C2[0]", "C2[1]", "C1[0]", "C2[2]")
    assert model.groups() == ("C2", "C1")


def test_bulk_values_broadcast() -> None:
    """Bounds and costs given per row of a block land on the columns of that row."""
    builder = ModelBuilder()
    x = builder.add_columns("x", (2, 3), upper=[[1], [2]], objective=[1, 2, 3])
    model = builder.build()
    assert model.column_upper[x].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert model.objective[x].tolist() == [[1, 2, 3], [1, 2, 3]]


def test_entries_given_twice_add_up() -> None:
    """COO triplets of one place are summed, as scipy does."""
    builder = ModelBuilder()
    x = builder.add_columns("x", 2)
    builder.add_rows("C1", 0, [x[0], x[0], x[1], x[1]], [1, 2, 4, -4], upper=1)
    assert builder.build().A.toarray().tolist() == [[3.0, 0.0]]
    assert builder.build().A.nnz == 1


def test_rows_without_entries_count() -> None:
    """The number of rows follows the bounds, so a row may have no entries."""
    builder = ModelBuilder()
    x = builder.add_columns("x", 1)
    builder.add_rows("C1", [0], x, 1.0, upper=[1.0, 2.0, 3.0])
    assert builder.build().num_rows == 3


@pytest.mark.parametrize(
    "mistake",
    [
        lambda b: b.add_rows("C1", 0, 7, 1.0, upper=1.0),
        lambda b: b.add_rows("C1", 5, 0, 1.0, upper=[1.0, 2.0]),
        lambda b: b.add_rows("C1", 0, 0, np.nan, upper=1.0) or b.build(),
        lambda b: b.add_rows("C1", 0, 0, 1.0, upper=np.nan) or b.build(),
        lambda b: b.add_rows("C1", 0, 0, 1.0, lower=np.inf) or b.build(),
        lambda b: b.add_columns("x", 2),
    ],
)
def test_mistakes_in_assembly_are_refused(mistake: object) -> None:
    """Unknown columns, rows out of range, NaN, wrong infinities and names used twice are errors."""
    builder = ModelBuilder()
    builder.add_columns("x", 1)
    with pytest.raises(ValueError, match=r"\w"):
        mistake(builder)


def test_model_is_read_only() -> None:
    """Nobody changes a finished model by accident."""
    model = mip_models.knapsack()
    for array in (model.objective, model.row_upper, model.A.data):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_violations_name_what_breaks() -> None:
    """Bounds, integrality and rows are told apart and measured."""
    model = mip_models.knapsack()
    found = {v.constraint: v for v in model.violations([1.0, 1.0, 1.0])}
    assert set(found) == {"C1"}
    assert (found["C1"].path, found["C1"].amount) == ("C1[0]", 2.0)
    found = {v.constraint: v for v in model.violations([2.0, 0.5, -1e-9])}
    assert {v.path for v in found.values()} == {"take[0]", "take[1]", "C1[0]"}
    assert found["bounds"].amount == 1.0
    assert found["integrality"].amount == 0.5
    assert [v.constraint for v in model.violations([1.0])] == ["shape"]
    assert [v.constraint for v in model.violations([1.0, np.nan, 0.0])] == ["shape"]


def test_tolerance_follows_the_size_of_a_row() -> None:
    """Rounding in a row of millions is not a violation, the same amount in a row of ones is."""
    builder = ModelBuilder()
    x = builder.add_columns("x", 2)
    builder.add_rows("C1", 0, x, 1.0, upper=[2e6])
    builder.add_rows("C2", 0, x[:1], 1.0, upper=[2.0])
    model = builder.build()
    assert model.violations([0.0, 2e6 + 0.5]) == []
    assert [v.constraint for v in model.violations([2.5, 0.0])] == ["C2"]


def test_dropping_a_family_changes_the_optimum() -> None:
    """Without one side of the assignment every worker takes the cheapest job."""
    model = mip_models.assignment()
    assert solve_model(model).objective == 5.0
    assert solve_model(model.without("C2")).objective == 3.0
    assert model.without("C2").groups() == ("C1",)
    with pytest.raises(KeyError, match="C9"):
        model.without("C9")


def test_relaxed_keeps_everything_else() -> None:
    """The relaxation of the cover costs 1.5."""
    assert solve_model(mip_models.set_cover().relaxed()).objective == pytest.approx(1.5)


def test_model_survives_pickling() -> None:
    """A model goes to a child process and stays the same."""
    model = mip_models.equality()
    copy = pickle.loads(pickle.dumps(model))
    assert copy.row_names == model.row_names
    assert copy.evaluate([3, 1]) == 14.0


@pytest.mark.parametrize("name", ["plain", "a b", "~", "", "ä~1f;", "x[3,1]", "~;"])
def test_escape_is_undone(name: str) -> None:
    """Escaping loses nothing, so different names stay different."""
    escaped = escape(name, lambda c: c.isascii() and c.isalnum())
    assert unescape(escaped) == name
    assert set(escaped) <= set("~;") | {c for c in escaped if c.isascii() and c.isalnum()}


def test_row_names_read_back() -> None:
    """Group and number come back from a row's name."""
    for group, number in [("C2", 5), ("C2[1]", 0), ("odd", -1)]:
        assert parse_row_name(row_name(group, number)) == (group, number)


def test_name_block_counts_the_last_index_fastest() -> None:
    """Names follow the order of a C array."""
    assert list(NameBlock("y", (2, 2)).names()) == ["y[0,0]", "y[0,1]", "y[1,0]", "y[1,1]"]
