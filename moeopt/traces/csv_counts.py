"""Counts as text that any spreadsheet writes: ``layer,expert,count``, a row for each."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterator
from typing import TextIO

import numpy as np

from moeopt.core.errors import InstanceError
from moeopt.traces.counts import ExpertCounts, require_room

#: Largest file: some 100 million rows.
MAX_CSV_BYTES = 2**30

_COLUMNS = ("layer", "expert", "count")
_WINDOW = "window"

_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?", re.ASCII)

#: Window, layer and expert of a count.
_Key = tuple[int, int, int]


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
        if os.stat(name).st_size > MAX_CSV_BYTES:
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
    if not found:
        raise InstanceError(name, "<no rows>", "must hold counts", "write layer,expert,count")
    return _counts(found, name, experts)


def _counts(found: dict[_Key, float], name: str, experts: int | None) -> ExpertCounts:
    keys = np.array(list(found), dtype=np.int64)
    most = int(keys[:, 2].max()) + 1
    if experts is not None and most > experts:
        raise InstanceError(
            "experts", experts, f"must be at least {most}, as {name} has", "or leave it out"
        )
    windows, window = np.unique(keys[:, 0], return_inverse=True)
    layers, layer = np.unique(keys[:, 1], return_inverse=True)
    require_room(name, len(windows), len(layers), experts or most)
    counts = np.zeros((len(windows), len(layers), experts or most))
    counts[window, layer, keys[:, 2]] = list(found.values())
    return ExpertCounts(counts, layers)


def _rows(file: TextIO, name: str) -> dict[_Key, float]:
    """Return the count of each window, layer and expert."""
    lines = csv.reader(file, strict=True)
    header = [cell.strip().lower() for cell in next(lines, [])]
    if sorted(header) not in (sorted(_COLUMNS), sorted((*_COLUMNS, _WINDOW))):
        raise InstanceError(
            f"{name}, line 1",
            ",".join(header),
            "must name the columns layer, expert, count, and window if there are several",
            "begin with layer,expert,count",
        )
    places = {column: place for place, column in enumerate(header)}
    found: dict[_Key, float] = {}
    for where, row in _cells(lines, len(header), name):
        cells = {column: row[place] for column, place in places.items()}
        window = _whole(cells[_WINDOW], where, _WINDOW) if _WINDOW in cells else 0
        key = (window, _whole(cells["layer"], where, "layer"), _whole(cells["expert"], where))
        if key in found:
            raise InstanceError(
                where, ",".join(row), "must stand once in its window", "add the two up"
            )
        found[key] = _number(cells["count"], where)
    return found


def _cells(lines: Iterator[list[str]], width: int, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each row with where it stands; empty lines are skipped."""
    for number, row in enumerate(lines, 2):
        if not row:
            continue
        where = f"{name}, line {number}"
        if len(row) != width:
            raise InstanceError(where, ",".join(row), f"must have {width} cells", "complete it")
        yield where, [cell.strip() for cell in row]


def _whole(cell: str, where: str, column: str = "expert") -> int:
    if not _WHOLE.fullmatch(cell):
        raise InstanceError(where, cell, f"must have a whole {column} >= 0", "number them from 0")
    return int(cell)


def _number(cell: str, where: str) -> float:
    value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not math.isfinite(value):
        raise InstanceError(where, cell, "must have a finite count >= 0", "correct the count")
    return value
