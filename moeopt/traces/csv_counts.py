"""Counts as text that any spreadsheet writes: ``layer,expert,count``, a row for each."""

from __future__ import annotations

import csv
import math
import os
import re
from array import array
from collections.abc import Iterator
from typing import TextIO

import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.files import plain_size, write_atomically
from moeopt.traces.counts import ExpertCounts, require_room

#: Largest file: some 10 million rows.
MAX_CSV_BYTES = 2**27

_COLUMNS = ("layer", "expert", "count")
_WINDOW = "window"

_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?", re.ASCII)


class _Columns:
    """What stands in the rows, as arrays that grow: a row of objects is ten times as large."""

    def __init__(self) -> None:
        self.line, self.window, self.layer, self.expert = (array("q") for _ in range(4))
        self.count = array("d")


def read_csv_counts(path: str | os.PathLike[str], *, experts: int | None = None) -> ExpertCounts:
    """Return the counts of a CSV file.

    Parameters
    ----------
    path
        Its first line names the columns ``layer``, ``expert`` and ``count``, in any order, and
        ``window`` if there are several; then a row for each count, in any order. What has no row
        counts 0.
    experts
        Experts of each layer; left out, one more than the largest that has a row.

    Raises
    ------
    InstanceError
        If it is no such file, or a row is not one of whole numbers and a count >= 0.
    """
    name = os.fspath(path)
    try:
        if plain_size(name) > MAX_CSV_BYTES:
            raise InstanceError(
                name, "<large>", f"must have at most {MAX_CSV_BYTES} bytes", "add up windows"
            )
        with open(name, encoding="utf-8-sig", newline="") as file:
            found = _rows(file, name)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        if isinstance(error, InstanceError):
            raise
        said = " ".join(str(error).split())[:80]
        raise InstanceError(name, f"<{said}>", "must be a CSV file in UTF-8", "check it") from None
    if not found.line:
        raise InstanceError(name, "<no rows>", "must hold counts", "write layer,expert,count")
    return _counts(found, name, experts)


def write_csv_counts(path: str | os.PathLike[str], counts: ExpertCounts) -> None:
    """Write counts so that `read_csv_counts` reads them; the file appears whole or not at all.

    Zeros are left out, but for the last expert of each layer, which says how many there are.

    Parameters
    ----------
    path
        Where to.
    counts
        What to write.
    """
    given = counts.counts > 0
    given[:, :, -1] = True
    window, row, expert = np.nonzero(given)
    columns = (window, counts.layer_ids[row], expert, counts.counts[given])
    lines = [
        f"{w},{layer},{e},{count:.17g}\n"
        for w, layer, e, count in zip(*(column.tolist() for column in columns), strict=True)
    ]
    write_atomically(path, "".join(["window,layer,expert,count\n", *lines]).encode())


def _counts(found: _Columns, name: str, experts: int | None) -> ExpertCounts:
    # What "q" makes is not NumPy's usual type of 64 bits.
    rows = (found.window, found.layer, found.expert)
    windows_of, layers_of, expert = (np.array(column, dtype=np.int64) for column in rows)
    most = int(expert.max()) + 1
    if experts is not None and most > experts:
        raise InstanceError(
            "experts", experts, f"must be at least {most}, as {name} has", "or leave it out"
        )
    windows, window = np.unique(windows_of, return_inverse=True)
    layers, layer = np.unique(layers_of, return_inverse=True)
    shape = len(windows), len(layers), experts or most
    require_room(name, *shape, len(expert))
    place = np.ravel_multi_index((window, layer, expert), shape)
    _require_once(place, found, name)
    counts = np.zeros(shape)
    counts.flat[place] = found.count
    return ExpertCounts(counts, layers)


def _require_once(place: IntArray, found: _Columns, name: str) -> None:
    order = np.argsort(place, kind="stable")
    again = order[1:][place[order[1:]] == place[order[:-1]]]
    if again.size:
        row = int(again.min())
        raise InstanceError(
            f"{name}, line {found.line[row]}",
            f"<layer {found.layer[row]}, expert {found.expert[row]}>",
            "must stand once in its window",
            "add the two up",
        )


def _rows(file: TextIO, name: str) -> _Columns:
    """Return the window, layer, expert and count of each row."""
    lines = csv.reader(file, strict=True)
    header = [cell.strip().lower() for cell in next(lines, [])]
    if sorted(header) not in (sorted(_COLUMNS), sorted((*_COLUMNS, _WINDOW))):
        raise InstanceError(
            f"{name}, line 1",
            ",".join(header),
            "must name the columns layer, expert, count, and window if there are several",
            "begin with layer,expert,count",
        )
    found = _Columns()
    layer, expert, count = (header.index(column) for column in _COLUMNS)
    window = header.index(_WINDOW) if _WINDOW in header else None
    for number, cells in _cells(lines, len(header), name):
        where = name, number
        found.line.append(number)
        found.window.append(0 if window is None else _whole(cells[window], where, _WINDOW))
        found.layer.append(_whole(cells[layer], where, "layer"))
        found.expert.append(_whole(cells[expert], where, "expert"))
        found.count.append(_number(cells[count], where))
    return found


def _cells(lines: Iterator[list[str]], width: int, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its line; empty lines are skipped."""
    for number, row in enumerate(lines, 2):
        if not row:
            continue
        if len(row) != width:
            raise _wrong((name, number), ",".join(row), f"must have {width} cells", "complete it")
        yield number, [cell.strip() for cell in row]


def _whole(cell: str, where: tuple[str, int], column: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise _wrong(where, cell, f"must have a whole {column} >= 0", "number them from 0")
    return int(cell)


def _number(cell: str, where: tuple[str, int]) -> float:
    value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not math.isfinite(value):
        raise _wrong(where, cell, "must have a finite count >= 0", "correct the count")
    return value


def _wrong(where: tuple[str, int], cell: str, rule: str, remedy: str) -> InstanceError:
    name, number = where
    return InstanceError(f"{name}, line {number}", cell, rule, remedy)
