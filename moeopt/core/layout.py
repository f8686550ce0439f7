"""Where the columns of a table stand on a screen: what is too wide is wrapped, never cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import rich.table
from rich import box
from rich.cells import cell_len
from rich.text import Text

from moeopt.core.table import Table

#: Columns of the screen between two columns of a table, and where there is little room.
_BETWEEN = 3
_TIGHT = 2

#: Columns of the screen in which text can be read, however it is wrapped.
_READABLE = 24

#: How far in a text stands that has no column of its own.
_INDENT = "  "

_Kind = Literal["first", "text", "numbers"]


@dataclass(frozen=True)
class _Drawn:
    """One column on its way to the screen.

    Attributes
    ----------
    kind
        What names the rows, what is told of them in words, or numbers, which are never broken.
    heading, cells
        Its texts.
    """

    kind: _Kind
    heading: str
    cells: Sequence[str]

    def widths(self, width: int) -> tuple[int, int, int, int]:
        """Return how wide the column may be, each step narrower and harder to read than the last.

        As it is; its heading broken between words; its text still readable; and the least.
        """
        lines = [line for cell in self.cells for line in cell.splitlines()]
        longest = max(map(cell_len, lines), default=0)
        word = max(map(cell_len, self.heading.split()), default=0)
        as_it_is, broken = max(longest, cell_len(self.heading)), max(longest, word)
        if self.kind == "numbers":
            return as_it_is, broken, broken, broken
        if self.kind == "first":
            return as_it_is, broken, broken, min(broken, max(_READABLE, width // 3))
        words = (cell_len(part) for cell in self.cells for part in cell.split())
        readable = max(word, min(longest, _READABLE))
        return as_it_is, broken, readable, min(readable, max([word, *words]))


def blocks(table: Table, width: int) -> list[rich.table.Table]:
    """Return a table as it is drawn: in one piece, or in several if it has too many columns.

    Every piece begins with the first column. Where there is no room for a column of words beside
    numbers, they stand below what names the row.

    Parameters
    ----------
    table
        What is drawn.
    width
        Columns of the screen.
    """
    texts = table.texts()
    columns = [_column(table, i, [row[i] for row in texts]) for i in range(len(table.columns))]
    kinds = [column.kind for column in columns]
    stackable = kinds[:1] == ["first"] and kinds.count("text") == 1 and "numbers" in kinds
    if stackable and _room(columns, width, 2, _TIGHT) > width:
        columns = _stacked(columns)
    pieces = [columns[:1]]
    for column in columns[1:]:
        if _room([*pieces[-1], column], width, 3, _TIGHT) > width and len(pieces[-1]) > 1:
            pieces.append(columns[:1])
        pieces[-1] = [*pieces[-1], column]
    return [_block(table, piece, width) for piece in pieces]


def _column(table: Table, i: int, cells: list[str]) -> _Drawn:
    words = any(isinstance(row[i], str) for row in table.rows)
    kind: _Kind = "first" if i == 0 and words else "text" if words else "numbers"
    return _Drawn(kind, table.columns[i].name, cells)


def _room(columns: Sequence[_Drawn], width: int, step: int, between: int) -> int:
    needed = sum(column.widths(width)[step] for column in columns)
    return needed + between * (len(columns) - 1)


def _stacked(columns: list[_Drawn]) -> list[_Drawn]:
    """Return the columns with the words below what names the row."""
    first, *others = columns
    words = next(column for column in others if column.kind == "text")
    pairs = zip([first.heading, *first.cells], [words.heading, *words.cells], strict=True)
    heading, *cells = (f"{above}\n{_INDENT}{below}" if below else above for above, below in pairs)
    first = replace(first, heading=heading, cells=cells)
    return [first, *(column for column in others if column is not words)]


def _chosen(columns: Sequence[_Drawn], width: int, between: int) -> list[int]:
    """Return how wide each column is: the widest is narrowed until all have room."""
    steps = [column.widths(width) for column in columns]
    chosen = [step[0] for step in steps]
    over = _room(columns, width, 0, between) - width
    for level in (1, 2, 3):
        while over > 0 and any(w > step[level] for w, step in zip(chosen, steps, strict=True)):
            narrower = [i for i, step in enumerate(steps) if chosen[i] > step[level]]
            chosen[max(narrower, key=lambda i: chosen[i])] -= 1
            over -= 1
    return chosen


def _block(table: Table, columns: Sequence[_Drawn], width: int) -> rich.table.Table:
    headed = any(column.heading for column in columns)
    between = _BETWEEN if _room(columns, width, 0, _BETWEEN) <= width else _TIGHT
    drawn = rich.table.Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        show_header=headed,
        collapse_padding=between == _TIGHT,
    )
    for column, wide in zip(columns, _chosen(columns, width, between), strict=True):
        justify: Literal["left", "right"] = "right" if column.kind == "numbers" else "left"
        heading = Text(column.heading, overflow="fold")
        drawn.add_column(heading, justify=justify, width=wide, overflow="fold")
    rows = list(zip(*(column.cells for column in columns), strict=True))
    for n, row in enumerate(rows):
        last = table.footer is not None and n == len(rows) - 1
        ends = table.footer is not None and n == len(rows) - 2
        style = "bold" if last else ""
        drawn.add_row(*(Text(cell, overflow="fold") for cell in row), style=style, end_section=ends)
    return drawn
