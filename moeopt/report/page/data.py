"""What the page's script works on, as JSON inside the page: pictures, tables and themes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from moeopt.core.table import Column, Table, cell_text
from moeopt.report import interactive
from moeopt.report.page import markup
from moeopt.report.picture import Gallery, Picture

#: Fields of a trace or a layout, each as JSON.
_Fields = dict[str, msgspec.Raw]

#: Zero bytes in base 64, longer than their count in brackets.
_ZEROS = re.compile(b"A{7,}")


def page_data(pictures: Sequence[Picture | Gallery], tables: Sequence[Table]) -> str:
    """Return the JSON that ``page.js`` reads, safe inside a script element.

    Parameters
    ----------
    pictures, tables
        In the page's order.
    """
    document = {
        "page_rows": markup.PAGE_ROWS,
        "pictures": [_picture(picture) for picture in pictures],
        "tables": [_table(table) for table in tables],
        "themes": _themes() if pictures else {},
    }
    # No text can end the script element: only strings hold a "<".
    return _encoded(document).decode().replace("<", "\\u003c")


def _themes() -> dict[str, Any]:
    return {"light": interactive.theme(False), "dark": interactive.theme(True)}


def _picture(picture: Picture | Gallery) -> dict[str, Any]:
    every = picture.pictures if isinstance(picture, Gallery) else [picture]
    figures = [_raw(interactive.figure(one)) for one in every]
    return {
        "title": picture.title,
        "says": markup.says_of(picture),
        "figures": [figures[0], *(_apart(figure, figures[0]) for figure in figures[1:])],
    }


def _raw(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figure with every field of its layout and its traces as JSON text."""
    return {
        "data": [_fields(trace) for trace in figure["data"]],
        "layout": _fields(figure["layout"]),
    }


def _fields(record: Mapping[str, Any]) -> _Fields:
    return {name: msgspec.Raw(_shortened(_encoded(value))) for name, value in record.items()}


def _shortened(value: bytes) -> bytes:
    """Return JSON with the bytes of its arrays shortened: zeros, most of a map, are counted."""
    return re.sub(rb'(?<="bdata":")[^"]*', lambda found: _ZEROS.sub(_count, found[0]), value)


def _count(zeros: re.Match[bytes]) -> bytes:
    return b"(%d)" % len(zeros[0])


def _apart(figure: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """Return what a figure has otherwise than the first to choose from: most is the same."""
    alike = [*first["data"], *[{}] * len(figure["data"])]
    data = [_other(trace, base) for trace, base in zip(figure["data"], alike, strict=False)]
    return {"data": data, "layout": _other(figure["layout"], first["layout"])}


def _other(record: _Fields, base: _Fields) -> _Fields:
    gone = dict.fromkeys(base.keys() - record.keys(), msgspec.Raw(b"null"))
    return {k: v for k, v in record.items() if base.get(k) != v} | gone


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "rows": len(table.rows),
        "columns": [_column(table, i) for i in range(len(table.columns))],
    }


def _column(table: Table, index: int) -> dict[str, Any]:
    """Return a column's cells, row by row, and what they are sorted by if not by themselves."""
    column = table.columns[index]
    cells = [row[index] for row in table.rows]
    numeric = markup.is_numeric(table, index)
    found: dict[str, Any] = {"name": column.name, "numeric": numeric}
    if all(cell is None or isinstance(cell, str) or _is_plain(cell, column) for cell in cells):
        return found | {"cells": cells}
    found["cells"] = [None if cell is None else cell_text(cell, column) for cell in cells]
    return found | {"ranks": _ranks(cells)} if numeric else found


def _is_plain(cell: Any, column: Column) -> bool:
    return isinstance(cell, int) and cell_text(cell, column) == str(cell)


def _ranks(cells: Sequence[Any]) -> list[int | None]:
    """Return where each number stands among all: what is shown may be too short to tell."""
    known = sorted({cell for cell in cells if cell is not None and cell == cell})
    rank = {cell: i for i, cell in enumerate(known)}
    return [rank.get(cell) for cell in cells]


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=_plain, order="deterministic")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise NotImplementedError(type(value).__name__)
