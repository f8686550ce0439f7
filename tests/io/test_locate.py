"""Paths, lines and columns in texts that may not be JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.io.locate import MISSING, JsonText

TEXT = JsonText(b'{"a": [1, {"b,]": "x\\"]}", "c": [2, @]}], "d": 3}')


@pytest.mark.parametrize(
    ("mark", "path"),
    [(b"1,", "$.a[0]"), (b"@", "$.a[1].c[1]"), (b"3", "$.d"), (b'"x', "$.a[1].b,]")],
)
def test_path_at(mark: bytes, path: str) -> None:
    assert TEXT.path_at(TEXT.data.index(mark)) == path


def test_line_and_column_count_characters() -> None:
    text = JsonText('{"é": 1,\n "ü": x}'.encode())
    assert text.place(text.data.index(b"x")) == "line 2, column 7 (byte 17)"


@pytest.mark.parametrize("path", ["$.d[0]", "$.a[7]", "$.zz", "$.d.e"])
def test_nothing_there(path: str) -> None:
    assert JsonText(b'{"a": [1], "d": 3}').value_at(path) == MISSING


def test_the_number_that_no_double_holds() -> None:
    assert JsonText(b'{"a": [1e3, 1e308, -2.5E+999]}').value_at("$.a[2]") == "<-2.5E+999>"
    digits = b"9" * 400
    assert JsonText(b"[" + digits + b"]").too_large_number() == f"<{digits.decode()}>"


_VALUES = st.recursive(
    st.integers() | st.text() | st.booleans(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.from_regex(r"\A[a-z]{1,4}\Z"), inner, min_size=1, max_size=3)
    ),
    max_leaves=10,
)


@given(_VALUES, st.data())
def test_the_path_of_a_mark_leads_to_it(value: object, data: st.DataObject) -> None:
    """Put a mark in place of some leaf: following its byte gives a path that leads to it."""
    mark = "\u2603mark"
    marked, path = _mark(value, mark, data.draw, "$", 0)
    text = JsonText(json.dumps(marked, ensure_ascii=False).encode())
    byte = text.data.index(f'"{mark}"'.encode())
    assert text.path_at(byte) == path
    assert text.value_at(path) == mark


def _mark(value: object, mark: str, draw: object, path: str, depth: int) -> tuple[object, str]:
    if depth < 7 and isinstance(value, list):
        i = draw(st.integers(0, len(value) - 1))  # type: ignore[operator]
        below, where = _mark(value[i], mark, draw, f"{path}[{i}]", depth + 1)
        return [*value[:i], below, *value[i + 1 :]], where
    if depth < 7 and isinstance(value, dict):
        key = draw(st.sampled_from(sorted(value)))  # type: ignore[operator]
        below, where = _mark(value[key], mark, draw, f"{path}.{key}", depth + 1)
        return {**value, key: below}, where
    return mark, path
