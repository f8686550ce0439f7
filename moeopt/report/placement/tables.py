"""A placement plan row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table
from moeopt.core.units import LARGE
from moeopt.placement.plan import PlacementPlan, arrivals
from moeopt.placement.problem import PlacementProblem
from moeopt.report.placement.numbers import Told, memory_bytes, slot_tokens


def tables(problem: PlacementProblem, plan: PlacementPlan, result: Any) -> Sequence[Table]:
    """Return the tables of layers, of devices and of slots."""
    told = Told(problem, plan, result)
    return [_layers(told), _devices(told), _slots(told)]


def _layers(told: Told) -> Table:
    seconds = told.problem.objective == "layer_time"
    number = ".3f" if seconds else ".4f"
    after = told.after.value.layer_objective
    before = None if told.before is None else told.before.value.layer_objective
    gap = np.where(after > 0, 100.0 * (after - told.bound) / np.where(after > 0, after, 1.0), 0.0)
    columns = [after / told.unit, told.bound / told.unit, np.maximum(gap, 0.0)]
    lists = [column.tolist() for column in columns]
    unknown: list[Cell] = [None] * len(after)
    first = unknown if before is None else (before / told.unit).tolist()
    rows = [list(row) for row in zip(range(len(after)), first, *lists, strict=True)]
    what = "milliseconds" if seconds else "largest device load over the mean, 1 is perfect"
    return Table(
        title=f"Layers: {what}",
        columns=[
            Column("layer"),
            Column("before", number),
            Column("this plan", number),
            Column("bound", number),
            Column("gap %", ".3f"),
        ],
        rows=rows,
        footer=_total(told, before, after),
        note=f"Before: {told.before_name}.",
    )


def _total(told: Told, before: FloatArray | None, after: FloatArray) -> list[Cell]:
    """Return the ratio of the sums over layers; of milliseconds the sum."""
    seconds = told.problem.objective == "layer_time"
    unit = 1e-3 if seconds else float(told.unit.sum())
    sums = [None if v is None else float(v.sum()) / unit for v in (before, after, told.bound)]
    total, bound = float(after.sum()), float(told.bound.sum())
    gap = 100.0 * max(0.0, total - bound) / total if total > 0 else 0.0
    return ["total", *sums, gap]


def _devices(told: Told) -> Table:
    problem = told.problem
    load = told.after.devices.sum(axis=0)
    mean = float(told.after.mean.sum())
    node, live = problem.cluster.device_node(), problem.live()
    columns: list[tuple[Column, list[Any]]] = [
        (Column("device"), list(range(problem.num_devices))),
        (Column("node"), node.tolist()),
    ]
    if not live.all():
        columns.append((Column("state"), ["live" if alive else "dead" for alive in live]))
    form = ",.1f" if load.max() >= LARGE else ",.6g"
    if told.before is not None:
        columns.append((Column("before", form), told.before.devices.sum(axis=0).tolist()))
    columns += [
        (Column("load", form), load.tolist()),
        (Column("of the mean", ".4f"), (load / mean if mean > 0 else np.ones_like(load)).tolist()),
        (Column("experts"), told.copies.sum(axis=(0, 1)).tolist()),
    ]
    if problem.expert_bytes is not None:
        columns.append((Column("GB", ".4g"), (memory_bytes(told) / 1e9).tolist()))
    if problem.previous is not None:
        moved = arrivals(problem, told.plan.physical_to_logical).device_bytes.sum(axis=0)
        columns.append((Column("GB that arrive", ".4g"), (moved / 1e9).tolist()))
    speed = " over relative speed" if told.speeds_differ else ""
    return Table(
        title=f"Devices: {told.load_unit}{speed}, all layers together",
        columns=[column for column, _ in columns],
        rows=list(zip(*(cells for _, cells in columns), strict=True)),
        note=_note(told),
    )


def _note(told: Told) -> str:
    parts = [] if told.before is None else [f"Before: {told.before_name}."]
    if told.problem.num_scenarios > 1:
        parts.append(f"Loads are the weighted mean of {told.problem.num_scenarios} scenarios.")
    return " ".join(parts)


def _slots(told: Told) -> Table:
    table = told.plan.physical_to_logical
    layers, slots = table.shape
    device = told.problem.slot_device()
    in_all = told.copies.sum(axis=2)[np.arange(layers)[:, None], np.maximum(table, 0)]
    empty = (table < 0).ravel().tolist()
    rows: list[list[Cell]] = [
        [layer, where, slot, None, None, 0.0] if nothing else [layer, where, slot, *rest]
        for nothing, layer, where, slot, *rest in zip(
            empty,
            np.repeat(np.arange(layers), slots).tolist(),
            np.tile(device, layers).tolist(),
            np.tile(np.arange(slots), layers).tolist(),
            table.ravel().tolist(),
            in_all.ravel().tolist(),
            slot_tokens(told).ravel().tolist(),
            strict=True,
        )
    ]
    served = "serves" if told.load_unit == "tokens" else "activated"
    return Table(
        title="Slots: the plan itself",
        columns=[
            Column("layer"),
            Column("device"),
            Column("slot"),
            Column("expert"),
            Column("copies"),
            Column(served, ",.6g"),
        ],
        rows=rows,
        note="Slots count over all devices of a layer; copies are those of the slot's expert.",
    )
