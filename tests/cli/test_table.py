"""Tables: plain data, drawn within the width."""

from __future__ import annotations

import io

from moeopt.core.table import Column, Table, print_tables


def _table(**fields: object) -> Table:
    return Table(
        title="loads [bold]",
        columns=[Column("layer"), Column("max", ".2f"), Column("who")],
        rows=[[0, 1.234, "a"], [1, None, "[red]b[/red]"]],
        footer=["total", 2.0, ""],
        note="a note [x]",
    )


def test_texts() -> None:
    assert _table().texts() == [
        ["0", "1.23", "a"],
        ["1", "-", "[red]b[/red]"],
        ["total", "2.00", ""],
    ]


def test_drawing_shows_text_as_it_is() -> None:
    stream = io.StringIO()
    print_tables([_table(), _table()], stream)
    drawn = stream.getvalue()
    assert drawn.count("loads [bold]") == 2
    assert "[red]b[/red]" in drawn
    assert "a note [x]" in drawn
    assert "\x1b" not in drawn
    assert max(map(len, drawn.splitlines())) <= 80
