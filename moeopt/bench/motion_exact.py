"""How far moeopt's fronts are from the proven ones, on shapes small enough for a proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from moeopt.bench.contenders import ours
from moeopt.bench.motion_cases import Change
from moeopt.bench.peers import table_of
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table
from moeopt.placement.exact_front import exact_front
from moeopt.placement.generate import Layout, loads
from moeopt.placement.replan import replan_front

#: Experts and layouts; of each so many layers, each a front of its own.
SHAPES = ((8, Layout(12, 4)), (10, Layout(12, 3)), (12, Layout(12, 4)), (16, Layout(16, 4)))
QUICK_SHAPES = SHAPES[1:2]
LAYERS, QUICK_LAYERS = 3, 1

#: Seconds for each point of a front; what is not proven then counts as it is.
LIMIT_S = 20.0

#: Seeds of the loads before and after.
SEEDS = (1, 7)


@dataclass(frozen=True)
class Compared:
    """Both fronts of one layer.

    Attributes
    ----------
    name
        Experts, slots, devices and the layer.
    transfers, exact
        Points of the exact front, and its objective over the mean device load.
    found
        The same of our best plan for as many transfers; ``None`` if ours copies more.
    proven
        How many of the exact points are proven.
    """

    name: str
    transfers: list[int]
    exact: list[float]
    found: list[float | None]
    proven: int

    @property
    def excess(self) -> list[float]:
        """By how much ours is worse at each point that both have, relatively."""
        pairs = zip(self.found, self.exact, strict=True)
        return [found / exact - 1.0 for found, exact in pairs if found is not None]


def run(setting: Setting) -> Report:
    """Compare the fronts of every layer after its popularity changed."""
    shapes = QUICK_SHAPES if setting.quick else SHAPES
    layers = QUICK_LAYERS if setting.quick else LAYERS
    found = [
        one for experts, layout in shapes for one in compared(experts, layout, layers, LIMIT_S)
    ]
    data = {"exact": [msgspec.to_builtins(one) for one in found]}
    return Report([_table(found)], _figures(found), data)


def compared(experts: int, layout: Layout, layers: int, limit_s: float) -> list[Compared]:
    """Return both fronts of some layers.

    Parameters
    ----------
    experts, layout, layers
        Sizes.
    limit_s
        Seconds for each exact point.
    """
    before, after = (loads("logn1", layers, experts, seed) for seed in SEEDS)
    previous = table_of(ours("eplb").bind(before, layout)())
    found = []
    for layer in range(layers):
        one = slice(layer, layer + 1)
        name = f"{experts} experts, {layout.slots}/{layout.devices}, layer {layer}"
        change = Change(name, layout, previous[one], after[one])
        found.append(_compared(change, limit_s))
    return found


def _compared(change: Change, limit_s: float) -> Compared:
    problem = change.problem(copies=1)
    best = exact_front(problem, time_limit_s=limit_s)
    front = replan_front(problem)
    mean = float(change.loads.sum()) / change.layout.devices
    found: list[float | None] = []
    for moved in best.moved_bytes:
        point = front.within(moved)
        within = front.moved_bytes[point] <= moved
        found.append(float(front.objective[point]) / mean if within else None)
    transfers = [round(moved) for moved in best.moved_bytes.tolist()]
    exact = _listed(best.objective / mean)
    return Compared(change.name, transfers, exact, found, int(best.proven.sum()))


def _listed(values: FloatArray) -> list[float]:
    return [float(value) for value in values]


def _table(found: Sequence[Compared]) -> Table:
    columns = [
        Column("case"),
        Column("points"),
        Column("proven"),
        Column("transfers"),
        Column("exact", ".4f"),
        Column("replan", ".4f"),
        Column("over, mean", ".2%"),
        Column("worst", ".2%"),
    ]
    rows: list[list[Cell]] = []
    for one in found:
        last = [one.transfers[-1], one.exact[-1], one.found[-1]]
        over = [sum(one.excess) / len(one.excess), max(one.excess)]
        rows.append([one.name, len(one.exact), one.proven, *last, *over])
    note = (
        "After popularity changed, one copy a device. points: of the exact front; transfers: of the"
        " last, then the largest load over the mean. over: ours over it with as many transfers."
    )
    return Table("Small shapes: the exact front, and moeopt's by descent", columns, rows, note)


def _figures(found: Sequence[Compared]) -> list[Figure]:
    excess = [value for one in found for value in one.excess]
    missed = sum(value is None for one in found for value in one.found)
    note = f"{len(excess)} points"
    return [
        Figure("exact: replan over the exact front, mean", sum(excess) / len(excess), None,
               ".2%", note),
        Figure("exact: the same, worst", max(excess), None, ".2%", note),
        Figure("exact: points that replan has no plan for", missed, None, ".0f"),
    ]  # fmt: skip
