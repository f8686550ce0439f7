"""The lines of a free-format MPS file."""

from __future__ import annotations

import math
from collections.abc import Iterator

from moeopt.mip.model import LinearModel
from moeopt.mip.names import escape


def mps_lines(model: LinearModel) -> Iterator[str]:
    """Yield the lines of `model`; numbers read back exactly, names through `unescape`."""
    names = [escape(name, _allowed_in_mps) for name in model.column_names]
    rows = [escape(name, _allowed_in_mps) for name in model.row_names]
    objective = _unused_name("objective", set(rows))
    lower, upper = model.row_lower.tolist(), model.row_upper.tolist()
    kinds = [_row_kind(low, high) for low, high in zip(lower, upper, strict=True)]
    yield f"NAME {escape(model.name, _allowed_in_mps)}"
    yield "ROWS"
    yield f" N {objective}"
    yield from (f" {kind} {row}" for kind, row in zip(kinds, rows, strict=True) if kind)
    yield "COLUMNS"
    yield from _mps_columns(model, objective, rows, names, kinds)
    yield "RHS"
    if model.objective_offset:
        yield f" RHS {objective} {number(-model.objective_offset)}"
    for kind, row, low, high in zip(kinds, rows, lower, upper, strict=True):
        side = low if kind == "G" else high
        if kind and side:
            yield f" RHS {row} {number(side)}"
    yield "RANGES"
    for kind, row, low, high in zip(kinds, rows, lower, upper, strict=True):
        if kind == "L" and math.isfinite(low):
            yield f" RANGE {row} {number(high - low)}"
    yield "BOUNDS"
    for j, name in enumerate(names):
        bounds = float(model.column_lower[j]), float(model.column_upper[j])
        yield from _mps_bounds(name, *bounds, integer=bool(model.integrality[j]))
    yield "ENDATA"


def _mps_columns(
    model: LinearModel, objective: str, rows: list[str], names: list[str], kinds: list[str]
) -> Iterator[str]:
    by_column = model.A.tocsc()
    by_column.sort_indices()
    inside, marker = False, 0
    for j, name in enumerate(names):
        if bool(model.integrality[j]) != inside:
            inside = not inside
            yield f" MARKER{marker} 'MARKER' '{'INTORG' if inside else 'INTEND'}'"
            marker += 1
        # The cost is written even when it is zero, so that every column appears.
        yield f" {name} {objective} {number(float(model.objective[j]))}"
        for entry in range(by_column.indptr[j], by_column.indptr[j + 1]):
            i = by_column.indices[entry]
            if kinds[i]:
                yield f" {name} {rows[i]} {number(float(by_column.data[entry]))}"
    if inside:
        yield f" MARKER{marker} 'MARKER' 'INTEND'"


def _row_kind(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    if low == high:
        return "E"
    return "G" if math.isinf(high) else "L"


def _mps_bounds(name: str, low: float, high: float, *, integer: bool) -> Iterator[str]:
    """Yield the bounds of a column, leaving nothing to the readers' differing defaults."""
    if low == high:
        yield f" FX BOUND {name} {number(low)}"
        return
    if math.isinf(low):
        yield f" {'FR' if math.isinf(high) else 'MI'} BOUND {name}"
    elif low != 0.0 or high <= 0.0:
        yield f" LO BOUND {name} {number(low)}"
    if math.isfinite(high):
        yield f" UP BOUND {name} {number(high)}"
    elif integer and math.isfinite(low):
        yield f" PL BOUND {name}"


def number(value: float) -> str:
    """Return the shortest text that reads back as the same number."""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _allowed_in_mps(character: str) -> bool:
    return character.isascii() and character.isprintable() and character not in " $*'\""


def _unused_name(wanted: str, taken: set[str]) -> str:
    while wanted in taken:
        wanted += "_"
    return wanted
