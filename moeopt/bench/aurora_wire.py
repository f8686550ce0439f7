"""The order on the wire of colocated models, which the paper does not give, and its time."""

from __future__ import annotations

from itertools import product

import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.colocation.generate import limoe
from moeopt.colocation.plan import evaluate
from moeopt.colocation.wire import WireOrder, order_on_the_wire
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.transfers.plan import violations

#: Pairs of models, as `moeopt.colocation.generate.SHAPES` has them.
PAIRS = (("b16-coco", "b16-imagenet"), ("b32-coco", "b32-imagenet"), ("b16-coco", "b32-imagenet"))

#: How close an aggregated makespan is to the largest line sum.
EXACTNESS = 1e-9


def run(setting: Setting) -> Report:
    """Order whole rounds, in turn, and the aggregated dispatch."""
    report = Report(data={"wire": {}})
    rows: list[list[Cell]] = []
    aggregated = 0.0
    broken = 0
    layers = 1 if setting.quick else 4
    for (first, second), layer, cluster in product(PAIRS, range(layers), ("equal", "mixed")):
        problem = limoe(first, second, cluster, layer)  # type: ignore[arg-type]
        plan = solve(problem, "two_step").plan
        assert plan is not None
        order = order_on_the_wire(problem, plan)
        broken += len(violations(order.problem, order.plan))
        name = f"{first}, {second}, layer {layer}"
        rows.append([name, cluster, *_milliseconds(order)])
        report.data["wire"][f"{name}, {cluster}"] = _milliseconds(order)
        free = order_on_the_wire(problem, plan, in_turn=False)
        value = evaluate(problem, plan).communication_s
        # Releases bind where the second gate ends after its bytes could have left.
        binds = free.least_end_s[0].max() > value * (1 + EXACTNESS)
        if not binds:
            aggregated = max(aggregated, float(free.end_s[0].max()) / value - 1.0)
    columns = [Column("models"), Column("cluster")]
    columns += [Column(n, ".4f") for n in ("on the wire", "busiest port", "paper's formula")]
    note = "Milliseconds of one layer of both. busiest port: each all-to-all ends when its busiest"
    note += " port could, at the earliest; the paper's formula leaves the idle network out."
    report.tables.append(Table("Rounds ordered on the wire", columns, rows, note))
    report.figures += [
        Figure("aggregated dispatch over its largest line sum", aggregated, EXACTNESS, ".1e",
               "where releases do not bind"),
        Figure("rules that orders on the wire break", broken, 0, "d"),
        Figure("on the wire over the busiest port, most",
               max(float(np.divide(r[2], r[3])) for r in rows), None, ".4f"),  # type: ignore[arg-type]
    ]  # fmt: skip
    return report


def _milliseconds(order: WireOrder) -> list[float | None]:
    formula = None if order.no_idle_s is None else 1e3 * order.no_idle_s
    return [1e3 * order.total_s, 1e3 * order.busiest_port_s, formula]
