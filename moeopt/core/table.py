"""Tables as plain data, made by the wings and drawn for people by the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any

Cell = str | int | float | None

#: Columns where no terminal sets them.
_UNBROKEN = 160

#: What stands for an unknown value.
UNKNOWN = "-"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name
        Its heading.
    format
        Format of its numbers, as for `format`; strings are printed as they are.
    """

    name: str
    format: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Attributes
    ----------
    title
        One line above.
    columns
        Headings and formats.
    rows
        One cell for each column; ``None`` is unknown.
    note
        What the reader must know, below.
    footer
        The last row, set apart: a total.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    footer: Sequence[Cell] | None = None

    def texts(self) -> list[list[str]]:
        """Return every row as text, the footer last."""
        rows = [*self.rows, *([self.footer] if self.footer is not None else [])]
        return [
            [cell_text(cell, column) for cell, column in zip(row, self.columns, strict=True)]
            for row in rows
        ]


def by_columns(
    title: str, columns: Sequence[tuple[Column, Sequence[Cell], Cell]], note: str = ""
) -> Table:
    """Return a table from its columns, each with its cells and what stands below them.

    Parameters
    ----------
    title, note
        As of `Table`.
    columns
        The column, its cells row by row, and its total.
    """
    headings, cells, totals = zip(*columns, strict=True)
    rows = [list(row) for row in zip(*cells, strict=True)]
    return Table(title=title, columns=headings, rows=rows, footer=list(totals), note=note)


def percent(part: float, whole: float) -> float | None:
    """Return a part in per cent of the whole, ``None`` of nothing."""
    return 100.0 * float(part) / float(whole) if whole else None


def cell_text(cell: Cell, column: Column) -> str:
    """Return one cell as its column prints it."""
    if cell is None:
        return UNKNOWN
    return cell if isinstance(cell, str) else format(cell, column.format)


def print_tables(tables: Iterable[Table], file: IO[str] | None = None) -> None:
    """Draw `tables` for people on `file` (standard output), in colour on a terminal only.

    A terminal gets lines of its own width, at most 100 columns; elsewhere lines are not broken for
    a width nobody has. What is too wide is wrapped between words, and columns for which there is
    no room follow below: no digit is left out.
    """
    from rich.console import Console
    from rich.text import Text

    from moeopt.core.layout import blocks

    console = Console(file=file, highlight=False)
    console.width = min(console.width, 100) if console.is_terminal else _UNBROKEN
    with console.capture() as drawn:
        for i, table in enumerate(tables):
            if i:
                console.print()
            console.print(Text(table.title, style="bold"))
            for piece, block in enumerate(blocks(table, console.width)):
                if piece:
                    console.print()
                console.print(block)
            if table.note:
                console.print(Text(table.note, style="dim"))
    lines = drawn.get().splitlines()
    print("\n".join(line.rstrip() for line in lines), file=file)


def how_it_went(result: Any) -> list[tuple[str, Cell]]:
    """Return how a solve ended, who did it and how long it took, as rows of two columns.

    Parameters
    ----------
    result
        The `Result`, or the record of it that a plan's file keeps.
    """
    limit = result.limit.value
    stopped = "" if limit == "none" else f", stopped by its {limit} limit"
    backend = f" ({result.backend})" if result.backend else ""
    return [
        ("status", result.status.value + stopped),
        ("method", f"{result.method}{backend}, seed {result.seed}"),
        (
            "time taken",
            f"{result.runtime_s:.3f} s, of which {result.build_s:.3f} s building models",
        ),
    ]
