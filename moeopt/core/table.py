"""Tables as plain data, made by the wings and drawn for people by the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import rich.table

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


def cell_text(cell: Cell, column: Column) -> str:
    """Return one cell as its column prints it."""
    if cell is None:
        return UNKNOWN
    return cell if isinstance(cell, str) else format(cell, column.format)


def print_tables(tables: Iterable[Table], file: IO[str] | None = None) -> None:
    """Draw `tables` for people on `file` (standard output), in colour on a terminal only.

    A terminal gets at most 100 columns; elsewhere lines are not broken for a width nobody has.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file, highlight=False)
    console.width = min(console.width, 100) if console.is_terminal else _UNBROKEN
    with console.capture() as drawn:
        for i, table in enumerate(tables):
            if i:
                console.print()
            console.print(Text(table.title, style="bold"))
            console.print(_drawn(table))
            if table.note:
                console.print(Text(table.note, style="dim"))
    lines = drawn.get().splitlines()
    print("\n".join(line.rstrip() for line in lines), file=file)


def _drawn(table: Table) -> rich.table.Table:
    from rich import box
    from rich.table import Table as Drawn
    from rich.text import Text

    headed = any(column.name for column in table.columns)
    drawn = Drawn(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=headed)
    for i, column in enumerate(table.columns):
        numeric = not any(isinstance(row[i], str) for row in table.rows)
        # What names the row, and numbers, are of no use in pieces.
        whole = numeric or i == 0
        justify: Literal["left", "right"] = "right" if numeric else "left"
        drawn.add_column(Text(column.name), justify=justify, no_wrap=whole)
    texts = table.texts()
    for n, row in enumerate(texts):
        last = table.footer is not None and n == len(texts) - 1
        ends = table.footer is not None and n == len(texts) - 2
        drawn.add_row(*map(Text, row), style="bold" if last else "", end_section=ends)
    return drawn


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


def time_text(value: float) -> str:
    """Return a time in the unit that shows it in a few digits.

    Parameters
    ----------
    value
        Seconds.
    """
    size, unit = time_unit(value)
    return f"{value / size:.6g} {unit}"


def time_unit(largest: float) -> tuple[float, str]:
    """Return the unit of time, and its seconds, that shows the largest value in a few digits.

    Parameters
    ----------
    largest
        Seconds.
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if largest >= size:
            return size, unit
    return (1e-9, "ns") if largest > 0 else (1.0, "s")
