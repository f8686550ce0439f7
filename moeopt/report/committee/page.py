"""What a page tells of a committee: slots, members, what they are worth, how to apply the plan."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from moeopt.committee.loss import total_loss, weights
from moeopt.committee.plan import CommitteePlan, evaluate, resident_at
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import IntArray, largest
from moeopt.core.table import Cell, Column, Table, by_columns, percent
from moeopt.report.committee.numbers import costs_of
from moeopt.report.committee.pictures import (
    MOST_WINDOWS,
    limits_picture,
    loss_picture,
    members_picture,
    memory_picture,
    sizes_picture,
    windows_picture,
)
from moeopt.report.committee.summary import summary
from moeopt.report.picture import Gallery, Picture
from moeopt.report.wings import Names, Step, WingReport, python_loads

#: Cells of maps in all, so that a page stays small, and rows of a table.
MOST_CELLS, MOST_ROWS = 60_000, 20_000


def pictures(
    problem: CommitteeProblem, plan: CommitteePlan, result: Any
) -> list[Picture | Gallery]:
    """Return the pictures of a plan, the most telling first."""
    del result
    costs = costs_of(problem, plan.period)
    drawn: list[Picture | Gallery] = [
        sizes_picture(problem, plan),
        loss_picture(problem, plan, costs),
        memory_picture(problem, plan, costs),
        limits_picture(problem, plan),
    ]
    if problem.loss != "table":
        drawn.append(members_picture(problem, plan))
        if problem.num_windows > 1:
            drawn.append(_windows(problem, plan))
    return drawn


def tables(problem: CommitteeProblem, plan: CommitteePlan, result: Any) -> list[Table]:
    """Return the layers, who is there, and every change."""
    del result
    named = problem.loss != "table"
    found = [layers_table(problem, plan)]
    if named:
        found.append(members_table(problem, plan))
    if named and problem.num_windows > 1:
        found.append(changes_table(plan))
    return found


def layers_table(problem: CommitteeProblem, plan: CommitteePlan) -> Table:
    """Return slots, memory, loss and loads of every layer.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    value, stake = evaluate(problem, plan), total_loss(problem, plan.period)
    mib = plan.slots * problem.slot_bytes() / 2**20
    fewest, most = problem.fewest(), problem.most()
    lost = value.loss_by_layer
    columns: list[tuple[Column, list[Any], Cell]] = [
        (Column("layer"), list(range(problem.layers)), "all"),
        (Column("slots"), plan.slots.tolist(), value.slots),
        (Column("fewest"), fewest.tolist(), int(fewest.sum())),
        (Column("most"), most.tolist(), int(most.sum())),
        (Column("MiB", ".1f"), mib.tolist(), float(mib.sum())),
        (Column("at stake", ".6g"), stake.tolist(), float(stake.sum())),
        (Column("loss", ".6g"), lost.tolist(), value.loss),
        (
            Column("loss %", ".1f"),
            [percent(*pair) for pair in zip(lost.tolist(), stake.tolist(), strict=True)],
            percent(value.loss, float(stake.sum())),
        ),
    ]
    if problem.loss != "table":
        columns.append((Column("loads"), value.loads_by_layer.tolist(), value.loads))
    free = problem.loss != "table" and problem.free_fill
    return by_columns(
        "Layers",
        columns,
        note="At stake: what is lost with nobody there."
        + (" Loads without the first fill, which is free." if free else ""),
    )


def members_table(problem: CommitteeProblem, plan: CommitteePlan) -> Table:
    """Return who is ever there, for how long, and what it weighs.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem, which must not have a table.
    """
    there, summed = resident_at(problem, plan), weights(problem).sum(axis=0)
    windows = there.sum(axis=0)
    members = np.argwhere(windows > 0)
    shown = members[:MOST_ROWS]
    at = tuple(shown.T)
    columns = (*at, there.argmax(axis=0)[at], windows[at], summed[at])
    rows = [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return Table(
        title="Members",
        columns=[
            Column("layer"),
            Column("expert"),
            Column("from window"),
            Column("windows"),
            Column("importance", ".6g"),
        ],
        rows=rows,
        note=f"Who is ever there; windows in all: {problem.num_windows:,}." + _left(members, shown),
    )


def changes_table(plan: CommitteePlan) -> Table:
    """Return who leaves and who comes before each window, the first fill included.

    Parameters
    ----------
    plan
        Of a problem that names experts.
    """
    rows = np.concatenate((plan.drops, plan.loads))
    load = np.arange(len(rows)) >= len(plan.drops)
    order = np.lexsort((load, rows[:, 0]))
    shown = order[:MOST_ROWS]
    kinds = np.where(load[shown], "load", "drop").tolist()
    return Table(
        title="Changes",
        columns=[Column(name) for name in ("before window", "layer", "expert", "change")],
        rows=[[*row, kind] for row, kind in zip(rows[shown].tolist(), kinds, strict=True)],
        note="In order of time; who leaves before a window makes room for who comes."
        + _left(order, shown),
    )


def steps(problem: CommitteeProblem, plan: CommitteePlan, names: Names) -> list[Step]:
    """Return how to check a plan, load its committee, and let it follow what comes."""
    del plan
    read = python_loads(names)
    found = [
        Step(
            text="Check it: every constraint, and the objective, worked out afresh.",
            command=f"moeopt check {shlex.quote(names.instance)} {shlex.quote(names.plan)}",
        )
    ]
    if problem.loss == "table":
        text = "Give each layer its slots; a table names no experts, a scheduler does."
        command = read + "\nslots, period = plan.slots.tolist(), plan.period\n"
        return [*found, Step(text=text, command=command, language="python")]
    return [
        *found,
        Step(
            text="Load the committee: who is there in each layer before the first window.",
            command=read + _LOADED,
            language="python",
        ),
        Step(
            text="Let it follow what comes: after each window a scheduler is told what every"
            " expert weighed, and says who leaves and who comes, within the plan's slots.",
            command=read + _FOLLOWED,
            language="python",
        ),
    ]


#: How committees are told.
REPORT = WingReport(summary=summary, pictures=pictures, tables=tables, steps=steps)

_LOADED = """\

from moeopt.committee import resident_at

there = resident_at(problem, plan)  # windows, layers, experts
experts = [layer.nonzero()[0].tolist() for layer in there[0]]
"""

_FOLLOWED = """\

from moeopt.committee import Scheduler
from moeopt.committee.loss import weights

seen = weights(problem)  # in a server: what the router gave each expert
history = seen.mean(axis=0)
scheduler = Scheduler(problem, plan.slots, "rent_or_buy", period=plan.period, history=history)
to_load = scheduler.start.loads  # rows of layer and expert
changes = scheduler.observe(seen[0])  # after the first window
to_drop, to_load = changes.drops, changes.loads
"""


def _windows(problem: CommitteeProblem, plan: CommitteePlan) -> Picture | Gallery:
    """Return the windows of the layers that lose most, as many as a page takes."""
    cells = problem.experts * min(problem.num_windows, MOST_WINDOWS)
    count = max(1, MOST_CELLS // cells)
    lost = evaluate(problem, plan).loss_by_layer
    layers = largest(lost, count).tolist()
    each = [windows_picture(problem, plan, layer) for layer in layers]
    if problem.layers == 1:
        return each[0]
    names = [f"layer {layer}" for layer in layers]
    return Gallery(
        name="windows", title="Who is there when", choice="layer", names=names, pictures=each
    )


def _left(all_rows: IntArray, shown: IntArray) -> str:
    left = len(all_rows) - len(shown)
    return f" {left:,} more are left out." if left else ""
