"""The lines of a file in CPLEX's LP format."""

from __future__ import annotations

import math
from collections.abc import Iterator

from moeopt.mip.model import LinearModel
from moeopt.mip.mps import number
from moeopt.mip.names import escape

_LINE = 100

_WORDS = frozenset(
    {
        *("bin", "binaries", "binary", "bound", "bounds", "end", "free", "gen", "general"),
        *("generals", "inf", "infinity", "int", "integer", "integers", "max", "maximize"),
        *("maximum", "min", "minimize", "minimum", "s.t.", "semi", "sos", "st", "subject", "such"),
    }
)


def lp_lines(model: LinearModel) -> Iterator[str]:
    """Yield the lines of `model`; a two-sided row becomes two."""
    names = [_lp_name(name) for name in model.column_names]
    yield f"\\ {escape(model.name, _allowed_in_lp)}"
    yield "Minimize"
    costs = [(float(c), names[j]) for j, c in enumerate(model.objective.tolist()) if c]
    constant = f" {_signed(model.objective_offset)}" if model.objective_offset else ""
    if not costs and names:
        costs = [(0.0, names[0])]
    yield from _folded(" objective:", costs, constant)
    yield "Subject To"
    starts = model.A.indptr.tolist()
    for i, row in enumerate(map(_lp_name, model.row_names)):
        entries = range(starts[i], starts[i + 1])
        terms = [(float(model.A.data[e]), names[model.A.indices[e]]) for e in entries]
        if not terms and names:
            terms = [(0.0, names[0])]
        low, high = float(model.row_lower[i]), float(model.row_upper[i])
        if low == high:
            yield from _folded(f" {row}:", terms, f" = {number(low)}")
            continue
        if math.isfinite(low):
            yield from _folded(f" {row}:", terms, f" >= {number(low)}")
        if math.isfinite(high):
            both = "#upper" if math.isfinite(low) else ""
            yield from _folded(f" {row}{both}:", terms, f" <= {number(high)}")
    yield "Bounds"
    for j, name in enumerate(names):
        low, high = float(model.column_lower[j]), float(model.column_upper[j])
        yield f" {_lp_side(low)} <= {name} <= {_lp_side(high)}"
    yield "Generals"
    yield from (f" {name}" for j, name in enumerate(names) if model.integrality[j])
    yield "End"


def _lp_side(bound: float) -> str:
    return ("+inf" if bound > 0 else "-inf") if math.isinf(bound) else number(bound)


def _folded(head: str, terms: list[tuple[float, str]], tail: str) -> Iterator[str]:
    line = head
    for value, name in terms:
        word = f" {_signed(value)} {name}"
        if len(line) + len(word) > _LINE:
            yield line
            line = "  "
        line += word
    yield line + tail


def _lp_name(name: str) -> str:
    """Return `name` for an LP file; a letter in front keeps it apart from numbers and keywords."""
    safe = escape(name, _allowed_in_lp).replace("[", "(").replace("]", ")")
    safe = safe.replace(";", "'")
    plain = safe[0].isalpha() and safe[0] not in "eE" and safe.lower() not in _WORDS
    return safe if plain and not safe.startswith("n_") else f"n_{safe}"


def _allowed_in_lp(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in "_.,[]")


def _signed(value: float) -> str:
    text = number(value)
    return f"- {text[1:]}" if text.startswith("-") else f"+ {text}"
