"""Models that share devices on a page, and the pictures of it by themselves."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from moeopt.colocation.plan import ColocationPlan, device_phases, evaluate, held_by
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.summary import timeline_table
from moeopt.core.table import Cell, Column, Table
from moeopt.core.units import bytes_unit, time_unit
from moeopt.report.colocation import summary
from moeopt.report.colocation.pictures import (
    device_weights_picture,
    model_names,
    shared_devices_picture,
    timelines,
    utilisation_picture,
    utilisations,
)
from moeopt.report.picture import Gallery, Picture
from moeopt.report.wings import Names, Step, WingReport, python_loads
from moeopt.timeline import line_seconds


def _pictures(
    problem: ColocationProblem, plan: ColocationPlan, result: Any
) -> Sequence[Picture | Gallery]:
    del result
    drawn = [
        timelines(problem, plan),
        shared_devices_picture(problem, plan),
        device_weights_picture(problem, plan),
    ]
    computes = evaluate(problem, plan).utilisation.any()
    return [*drawn, utilisation_picture(problem, plan)] if computes else drawn


def _tables(problem: ColocationProblem, plan: ColocationPlan, result: Any) -> Sequence[Table]:
    del result
    return [
        _experts(problem, plan),
        _devices(problem, plan),
        timeline_table(problem, evaluate(problem, plan)),
    ]


def _experts(problem: ColocationProblem, plan: ColocationPlan) -> Table:
    """Return where each expert of each model sits: the plan itself."""
    rows: list[Sequence[Cell]] = []
    for name, model, device in zip(model_names(problem), problem.models, plan.device, strict=True):
        remote = model.remote()
        counts = zip(model.tokens(), remote.sum(axis=1), remote.sum(axis=0), strict=True)
        rows += [
            [name, expert, int(device[expert]), *map(float, tokens)]
            for expert, tokens in enumerate(counts)
        ]
    numbers = [Column(what, ".6g") for what in ("tokens computed", "sent", "received")]
    return Table(
        title="Experts: the plan itself",
        columns=[Column("model"), Column("expert"), Column("device"), *numbers],
        rows=rows,
        note="Sent to and received from experts of the same model, wherever these sit.",
    )


def _devices(problem: ColocationProblem, plan: ColocationPlan) -> Table:
    """Return who shares each device, what it takes, and how much of its memory is used."""
    value, layers = evaluate(problem, plan), device_phases(problem, plan)
    size, unit = time_unit(float(value.device_time_s.max()))
    before, after = utilisations(problem, plan)
    used = problem.expert_sizes() @ held_by(problem, plan.device)
    byte, b = bytes_unit(float(used.max()))
    seconds = (
        np.sum([layer.computing_s for layer in layers], axis=0),
        line_seconds([layer.dispatch for layer in layers])[0, -1],
        line_seconds([layer.combine for layer in layers])[0, -1],
        value.device_time_s,
    )
    columns = {
        **{
            Column(f"{name} ({unit})", ".4g"): column / size
            for name, column in zip(
                ("computes", "dispatch", "combine", "alone"), seconds, strict=True
            )
        },
        Column("one after the other (%)", ".1f"): 100 * before,
        Column("in turns (%)", ".1f"): 100 * after,
    }
    if used.any():
        columns[Column(f"memory ({b})", ".6g")] = used / byte
    rows: list[Sequence[Cell]] = [
        [
            g,
            *(" ".join(map(str, np.flatnonzero(row == g).tolist())) or "-" for row in plan.device),
            *(float(column[g]) for column in columns.values()),
        ]
        for g in range(problem.num_devices)
    ]
    return Table(
        title="Devices: who shares them, and what they take",
        columns=[Column("device"), *map(Column, model_names(problem)), *columns],
        rows=rows,
        note="Alone: the layer's time if there were no other devices. Per cent: of the time in"
        " which the device computes.",
    )


def _steps(problem: ColocationProblem, plan: ColocationPlan, names: Names) -> Sequence[Step]:
    del plan
    file, instance = shlex.quote(names.plan), shlex.quote(names.instance)
    load = python_loads(names)
    several = problem.num_models > 1
    return [
        Step(
            text="Check it: every rule, C1 to C4, and the three objectives, worked out afresh.",
            command=f"moeopt check {instance} {file}",
        ),
        Step(
            text="Try it on this machine: PyTorch workers run the models in turns and each by"
            " itself; every output is checked and timed.",
            command=f"moeopt run {file} --instance {instance}",
        ),
        Step(
            text="Load the weights: what each device holds of each model."
            + (" Every worker then runs its layers by Colocated([layer_a, layer_b])"
               " of moeopt.adapters.torch.colocated, in this order of models, with a process"
               " group for each." if several else ""),
            command=load + _LAYOUTS,
            language="python",
        ),
        Step(
            text="Order the tokens on the wire: who sends to whom when, so that no model waits for"
            " another longer than it must. order.plan is a plan of transfers.",
            command=load + _WIRE,
            language="python",
        ),
    ]  # fmt: skip


_LAYOUTS = """\
from moeopt.adapters.torch.colocation_layout import layouts_of_colocation

for model, layout in enumerate(layouts_of_colocation(problem, plan)):
    for rank in range(problem.num_devices):
        print("model", model, "device", rank, "experts", layout.experts_on(rank).tolist())
"""

_WIRE = """\
from moeopt.colocation import order_on_the_wire

order = order_on_the_wire(problem, plan)
print(order.total_s, "s in this order; by the busiest ports", order.busiest_port_s, "s")
for turn in order.plan.rounds_for(0):  # what device 0 does
    print(turn.round_index, [(part.peer, part.size_bytes) for part in turn.sends])
"""

REPORT = WingReport(summary=summary.summary, pictures=_pictures, tables=_tables, steps=_steps)
