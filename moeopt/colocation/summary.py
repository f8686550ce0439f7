"""What a plan gives, for people: who shares a device, when each phase runs, and how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from moeopt.colocation import pairing
from moeopt.colocation.layout import layout_of
from moeopt.colocation.plan import (
    ColocationPlan,
    Evaluation,
    device_phases,
    evaluate,
    violations,
)
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import BoolArray, largest
from moeopt.core.table import Cell, Column, Table, how_it_went
from moeopt.core.units import time_text, time_unit
from moeopt.describe.topology import port_bytes_per_s
from moeopt.timeline import Phase, Spans, Step, line_seconds

if TYPE_CHECKING:
    from moeopt.colocation.wire import WireOrder

#: Devices that are shown where there are more.
MOST_DEVICES = 32

#: The phases of a layer, in the order of time.
_PHASES: tuple[Phase, ...] = ("gate", "dispatch", "compute", "combine", "aggregation")

#: Bytes per second in a Gbit/s.
_GBIT = 1e9 / 8

_FIRST_GATE = "The first model's gate was done before; the one at the end is its next layer's."


def summarise(problem: ColocationProblem, plan: ColocationPlan, result: Any) -> list[Table]:
    """Return the tables of a plan: the devices, the timeline, and how the solve went.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    result
        The `Result` of the solve, or the record of it that a plan's file keeps.
    """
    value = evaluate(problem, plan)
    return [
        _devices(problem, plan, value),
        timeline_table(problem, value),
        _solve(problem, plan, value, result),
    ]


def timeline_table(problem: ColocationProblem, value: Evaluation) -> Table:
    """Return when each phase of each model starts and ends, and the chain that sets the time.

    Parameters
    ----------
    problem
        Names the models.
    value
        A plan's value.
    """
    together = value.interleaved
    size, unit = time_unit(value.time_s)
    names = _names(problem)
    # An all-to-all that waits for others in the network ends a step that names them too.
    critical = {(step.phase, step.models[-1]): step for step in together.critical()}
    found: list[tuple[float, float, Phase, int]] = []
    for phase in _PHASES:
        spans: Spans = getattr(together, phase)
        times = zip(spans.start_s.tolist(), spans.end_s.tolist(), strict=True)
        found += [(start, end, phase, k) for k, (start, end) in enumerate(times) if end > start]
    found.sort(key=lambda row: row[:2])
    columns = (Column("phase"), Column("model"), Column("start", ".3f"), Column("end", ".3f"))
    return Table(
        title=f"one layer of all models as they take turns, in {unit}",
        columns=[*columns, Column("sets the time")],
        rows=[
            [phase, names[k], start / size, end / size, _why(critical.get((phase, k)), names)]
            for start, end, phase, k in found
        ],
        note=_FIRST_GATE if together.gate.end_s[0] > together.gate.start_s[0] else "",
    )


def wire_table(problem: ColocationProblem, order: WireOrder) -> Table:
    """Return when each all-to-all ends on the wire, and when its busiest port alone would let it.

    Parameters
    ----------
    problem
        Names the models.
    order
        An order of a plan of this problem.
    """
    size, unit = time_unit(order.total_s)
    names = _names(problem)
    phases: tuple[Phase, Phase] = ("dispatch", "combine")
    rows: list[list[Cell]] = [
        [
            phase,
            names[k],
            *(float(times[p, k]) / size for times in (order.release_s, order.end_s)),
            float(order.least_end_s[p, k]) / size,
        ]
        for p, phase in enumerate(phases)
        for k in range(problem.num_models)
    ]
    formula = order.no_idle_s
    notes = [
        f"The round takes {time_text(order.total_s)}, by its busiest ports"
        f" {time_text(order.busiest_port_s)}",
        "" if formula is None else f", by the paper's formula {time_text(formula)}",
        "." if order.proven else "; some wave may end earlier.",
    ]
    numbers = [Column(name, ".3f") for name in ("released", "on the wire", "busiest port")]
    return Table(
        title=f"when all tokens have arrived, in {unit}",
        columns=[Column("phase"), Column("model"), *numbers],
        rows=rows,
        note="".join(notes),
    )


def speedups(problem: ColocationProblem, plan: ColocationPlan, seed: int = 0) -> dict[str, float]:
    """Return the objectives of baselines over the plan's own, by the baseline's method.

    Left out are those that cannot take the problem. ``"one after the other"``, for the time: on
    the same devices, each model waits until the one before it is done with the layer.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    seed
        Of the random baselines.
    """
    value = evaluate(problem, plan)
    if value.objective <= 0:
        return {}
    found = {
        name: evaluate(problem, baseline).objective / value.objective
        for name, baseline in _baselines(problem, seed).items()
        if not violations(problem, baseline)
    }
    if problem.objective == "time" and problem.num_models > 1:
        alone = sum(float(layer.total_s) for layer in device_phases(problem, plan))
        found["one after the other"] = alone / value.objective
    return found


def _baselines(problem: ColocationProblem, seed: int) -> dict[str, ColocationPlan]:
    """Return the plans of Lina's packing and of random pairings and devices, where they fit."""
    found = {}
    if pairing.refuses_lina(problem) is None:
        found["lina"] = pairing.lina(problem)
    if pairing.refuses_groups(problem) is not None:
        return found
    layout = layout_of(problem)
    random = pairing.random_groups(seed)(layout, problem.num_devices)
    matched = pairing.matched_devices(problem, layout, random)
    if matched is not None:
        found["rec"] = pairing.placed(problem, random, matched)
    anywhere = np.random.default_rng(seed + 1).permutation(problem.num_devices)
    best = pairing.matched_groups(layout, problem.num_devices)
    found["rga"] = pairing.placed(problem, best, anywhere)
    found["rga_rec"] = pairing.placed(problem, random, anywhere)
    return found


def _devices(problem: ColocationProblem, plan: ColocationPlan, value: Evaluation) -> Table:
    layers = device_phases(problem, plan)
    computing = np.sum([layer.computing_s for layer in layers], axis=0)
    there = line_seconds([layer.dispatch for layer in layers])[0, -1]
    back = line_seconds([layer.combine for layer in layers])[0, -1]
    size, unit = time_unit(float(value.device_time_s.max()))
    stated = _stated(problem)
    shown = largest(value.device_time_s, MOST_DEVICES)
    rows: list[list[Cell]] = [
        [
            g,
            *(column[g] for _, column in stated),
            *(_listed(row == g) for row in plan.device),
            *(float(column[g]) / size for column in (computing, there, back)),
            float(value.device_time_s[g]) / size,
            100.0 * float(value.utilisation[g]),
        ]
        for g in shown.tolist()
    ]
    left_out = problem.num_devices - len(rows)
    note = (
        f"The {len(rows)} of {problem.num_devices} devices that take longest." if left_out else ""
    )
    return Table(
        title=f"who shares a device, and what it takes in {unit}",
        columns=[
            Column("device"),
            *(Column(name, "g") for name, _ in stated),
            *map(Column, _names(problem)),
            *(Column(name, ".3f") for name in ("compute", "dispatch", "combine", "alone")),
            Column("busy %", ".1f"),
        ],
        rows=rows,
        note=note,
    )


def _stated(problem: ColocationProblem) -> list[tuple[str, list[float]]]:
    """Return what tells the devices apart: their speed, and their port's rate."""
    speed = problem.cluster.relative_speed()
    gbit = port_bytes_per_s(problem.cluster) / _GBIT
    both = (("speed", speed), ("Gbit/s", gbit))
    return [(name, column.tolist()) for name, column in both if (column != column[0]).any()]


def _listed(here: BoolArray) -> str:
    return " ".join(map(str, np.flatnonzero(here).tolist())) or "-"


def _names(problem: ColocationProblem) -> list[str]:
    return [model.name or f"model {m}" for m, model in enumerate(problem.models)]


def _why(step: Step | None, names: list[str]) -> str:
    """Return what makes a step of the chain as long as it is; nothing for others."""
    if step is None:
        return ""
    does = "computes" if step.direction is None else step.direction
    others = ", ".join(names[k] for k in step.models[:-1])
    with_others = f", with {others}" if others else ""
    return f"device {step.device} {does}{with_others}: {100 * step.share:.0f} %"


def _solve(
    problem: ColocationProblem, plan: ColocationPlan, value: Evaluation, result: Any
) -> Table:
    facts: list[tuple[str, Cell]] = [
        ("time", time_text(value.time_s)),
        ("slowest device alone", time_text(value.bottleneck_s)),
        ("aggregated dispatch", time_text(value.communication_s)),
        ("utilisation", f"{100 * float(value.utilisation.mean()):.1f} %"),
        ("objective", f"{problem.objective}, {time_text(value.objective)}"),
    ]
    if result is not None:
        facts += [
            ("lower bound", None if result.bound is None else time_text(result.bound)),
            ("gap", None if result.gap is None else f"{100 * result.gap:.3f} %"),
        ]
    seed = 0 if result is None else result.seed
    facts += [
        (f"speed-up over {name}", f"{ratio:.3f}")
        for name, ratio in speedups(problem, plan, seed).items()
    ]
    if result is not None:
        facts += how_it_went(result)
    title = problem.name or "the plan"
    return Table(title=title, columns=[Column(""), Column("")], rows=facts)
