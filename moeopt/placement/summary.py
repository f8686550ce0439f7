"""What a plan gives, for people: every layer before and after, its bound and gap, and the total."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table
from moeopt.placement.greedy import contiguous
from moeopt.placement.plan import Evaluation, PlacementPlan, evaluate, violations
from moeopt.placement.problem import PlacementProblem

#: What the columns hold for each objective; the unit of all others is the imbalance.
_MEANING = {
    "max_load": "imbalance: largest device load over the mean (1 is perfect)",
    "mean_max": "imbalance: largest device load, expected over scenarios, over the mean",
    "worst_max": "imbalance: largest device load of the worst scenario over the mean",
    "cvar": "imbalance: largest device load, over the worst scenarios, over the mean",
    "activated": "activated experts of the busiest device over the mean",
    "layer_time": "milliseconds of a layer, gate to aggregation",
}


def summarise(problem: PlacementProblem, plan: PlacementPlan, result: Any) -> list[Table]:
    """Return the tables of a plan: by layer with the total, and how the solve went.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    result
        The `Result` of the solve, or the record of it that a plan's file keeps.
    """
    return [_layers(problem, plan, result), _solve(problem, plan, result)]


def _layers(problem: PlacementProblem, plan: PlacementPlan, result: Any) -> Table:
    after = evaluate(problem, plan)
    unit = unit_of(problem, after)
    value = after.layer_objective
    before = _before(problem)
    bound = told_bound(problem, result)
    columns = [_spread(v, unit) for v in (before, value, bound)]
    gaps = [None if bound is None else _percent(value[i], bound[i]) for i in range(len(value))]
    rows: list[list[Cell]] = [
        [layer, *(column[layer] for column in columns), gaps[layer]] for layer in range(len(value))
    ]
    total_bound = _total_bound(problem, result, bound)
    sums = [None if v is None else float(v.sum()) for v in (before, value)]
    footer: list[Cell] = [
        "total",
        *(None if v is None else v / float(unit.sum()) for v in (*sums, total_bound)),
        None if total_bound is None else _percent(float(value.sum()), total_bound),
    ]
    seconds = _by_layer(problem, result, "layer_s")
    if seconds is not None:
        for row, took in zip(rows, seconds, strict=True):
            row.append(1e3 * took)
        footer.append(1e3 * sum(seconds))
    number = ".3f" if problem.objective == "layer_time" else ".4f"
    return Table(
        title=_MEANING[problem.objective],
        columns=[
            Column("layer"),
            Column("contiguous", number),
            Column("plan", number),
            Column("lower bound", number),
            Column("gap %", ".3f"),
            *([] if seconds is None else [Column("ms", ".2f")]),
        ],
        rows=rows,
        footer=footer,
        note=_note(problem),
    )


def _solve(problem: PlacementProblem, plan: PlacementPlan, result: Any) -> Table:
    value = evaluate(problem, plan)
    facts: list[tuple[str, Cell]] = [("objective", f"{value.objective:.6g}")]
    if problem.cross_node_price > 0:
        facts.append(("cross-node tokens", f"{value.cross_node_tokens:.6g}"))
    if problem.previous is not None:
        facts.append(("bytes moved", f"{value.moved_bytes:.6g}"))
    if result is not None:
        stopped = (
            "" if result.limit.value == "none" else f", stopped by its {result.limit.value} limit"
        )
        backend = f" ({result.backend})" if result.backend else ""
        facts += [
            ("lower bound", None if result.bound is None else f"{result.bound:.6g}"),
            ("gap", None if result.gap is None else f"{100 * result.gap:.3f} %"),
            ("status", result.status.value + stopped),
            ("method", f"{result.method}{backend}, seed {result.seed}"),
            ("time", f"{result.runtime_s:.3f} s, of which {result.build_s:.3f} s building models"),
        ]
    title = problem.name or "the plan"
    return Table(title=title, columns=[Column(""), Column("")], rows=facts)


def unit_of(problem: PlacementProblem, value: Evaluation) -> FloatArray:
    """Return what each layer's objective is divided by: the mean load, or a millisecond."""
    if problem.objective == "layer_time":
        return np.full(problem.num_layers, 1e-3)
    speed = problem.cluster.relative_speed()
    weights = problem.weights()
    if len(value.device_loads) == 1:
        weights = np.ones(1)
    mean = np.tensordot(weights, value.device_loads, axes=1) @ speed / speed[problem.live()].sum()
    # A layer without tokens has nothing to balance: it shows as 0.
    return np.where(mean > 0, mean, 1.0)


def _before(problem: PlacementProblem) -> FloatArray | None:
    """Return each layer's objective with experts placed in order, if the rules allow that."""
    plan = contiguous(problem)
    if plan is None or violations(problem, plan):
        return None
    return evaluate(problem, plan).layer_objective


def told_bound(problem: PlacementProblem, result: Any) -> FloatArray | None:
    """Return the layers' bounds that the method told, ``(layers,)``; ``None`` if there are none.

    With prices a layer's bound is of load and price together: no bound of the load alone.
    """
    bound = None if _priced(problem) else _by_layer(problem, result, "layer_bound")
    return None if bound is None else np.asarray(bound, dtype=np.float64)


def _by_layer(problem: PlacementProblem, result: Any, name: str) -> list[float] | None:
    """Return the numbers of all layers that the method told; a file may hold anything."""
    told = None if result is None else result.statistics.get(name)
    if not isinstance(told, list) or len(told) != problem.num_layers:
        return None
    return told if all(isinstance(entry, int | float) for entry in told) else None


def _total_bound(
    problem: PlacementProblem, result: Any, by_layer: FloatArray | None
) -> float | None:
    if by_layer is not None:
        return float(by_layer.sum())
    if result is None or result.bound is None or _priced(problem):
        return None
    return float(result.bound)


def _priced(problem: PlacementProblem) -> bool:
    return problem.cross_node_price > 0 or problem.move_price_per_byte > 0


def _spread(value: FloatArray | None, unit: FloatArray) -> list[Cell]:
    return [None] * len(unit) if value is None else (value / unit).tolist()


def _percent(value: float, bound: float) -> float:
    return 0.0 if value <= 0 else max(0.0, 100.0 * (value - bound) / value)


def _note(problem: PlacementProblem) -> str:
    parts = []
    if problem.num_scenarios > 1:
        seen = (
            "their mean is planned for"
            if problem.objective == "max_load"
            else "all are planned for"
        )
        parts.append(f"{problem.num_scenarios} load scenarios: {seen}.")
    if problem.num_layers > 1:
        parts.append("The total is the ratio of the sums over layers.")
    return " ".join(parts)
