"""Frontiers for people: a table of each, and a sentence that says what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from moeopt.core.table import Cell, Column, Table
from moeopt.placement.frontiers import NEAR, Frontier, Kind, Point

#: What each table says of a point beside its objective, before and after it.
_Part = Callable[[Point], Cell]


def tables(found: Frontier) -> list[Table]:
    """Return the table of a frontier, a row for each point."""
    value = _SECONDS if found.kind == "devices" else _IMBALANCE
    columns = [*_FIRST[found.kind], *value, (Column("gap %", ".3f"), _gap), *_LAST[found.kind]]
    rows = [[*(part(point) for _, part in columns), _mark(point)] for point in found.points]
    heads = [head for head, _ in columns]
    return [Table(_TITLES[found.kind], [*heads, Column("")], rows, _note(found))]


def _note(found: Frontier) -> str:
    best = found.enough()
    if best is None:
        return "No point has a plan."
    parts = ["* best for what it costs."]
    if found.kind == "devices":
        thrifty = found.thriftiest()
        assert thrifty is not None
        parts.append(f"Most from each device: {thrifty.at:g}.")
    else:
        parts.append(f"Within {100 * NEAR:.0f} % of the best: {_ENOUGH[found.kind](best)}.")
    return " ".join(parts)


def _gigabytes(name: str) -> _Part:
    def part(point: Point) -> Cell:
        value = point.figures.get(name)
        return None if value is None else value / 1e9

    return part


def _percent(name: str) -> _Part:
    def part(point: Point) -> Cell:
        value = point.figures.get(name)
        return None if value is None else 100.0 * value

    return part


def _gap(point: Point) -> Cell:
    return None if point.gap is None else 100.0 * point.gap


def _bound(point: Point) -> Cell:
    """Return the bound in the unit of the imbalance."""
    return None if point.bound is None or not point.unit else point.bound / point.unit


def _mark(point: Point) -> str:
    if point.plan is None:
        return point.status.replace("_", " ")
    return "*" if point.on_frontier else ""


def _end(point: Point) -> Cell:
    """Return the price of a point of the locality frontier, or the name of its end."""
    if point.problem.group_rule == "one_node":
        return "one node"
    return "free" if point.at == 0 else f"{point.at:.3g}"


_TITLES: Mapping[Kind, str] = {
    "slots": "Slots: balance against redundant slots of each layer",
    "locality": "Locality: balance against tokens that cross nodes, by their price",
    "devices": "Devices: seconds of all layers on more and more of them",
    "moves": "Moves: balance against bytes copied from the previous plan",
}

_IMBALANCE: list[tuple[Column, _Part]] = [
    (Column("imbalance", ".4f"), lambda point: point.imbalance),
    (Column("bound", ".4f"), _bound),
]

_SECONDS: list[tuple[Column, _Part]] = [
    (Column("ms", ".3f"), lambda point: None if not point.objective else 1e3 * point.objective),
    (Column("bound", ".3f"), lambda point: None if not point.bound else 1e3 * point.bound),
]

_FIRST: Mapping[Kind, list[tuple[Column, _Part]]] = {
    "slots": [
        (Column("redundant", "g"), lambda point: point.at),
        (Column("GB/device", ".1f"), _gigabytes("memory_bytes")),
    ],
    "locality": [
        (Column("price"), _end),
        (Column("crossing %", ".2f"), _percent("cross_node_share")),
    ],
    "devices": [
        (Column("devices", "g"), lambda point: point.at),
        (Column("slots", "g"), lambda point: point.figures["slots"]),
    ],
    "moves": [
        (Column("GB moved", ".1f"), lambda point: point.at / 1e9),
        (Column("transfers", "g"), lambda point: point.figures["transfers"]),
    ],
}

_LAST: Mapping[Kind, list[tuple[Column, _Part]]] = {
    "slots": [(Column("saved %", ".3f"), _percent("saved"))],
    "locality": [],
    "devices": [
        (Column("speed-up", ".2f"), lambda point: point.figures["speed_up"]),
        (Column("eff. %", ".1f"), _percent("efficiency")),
    ],
    "moves": [],
}

_ENOUGH: Mapping[Kind, Callable[[Point], str]] = {
    "slots": lambda point: f"{point.at:g} redundant slots",
    "locality": lambda point: f"{100 * (point.figures['cross_node_share'] or 0):.2f} % crossing",
    "moves": lambda point: f"{point.at / 1e9:.1f} GB moved",
}
