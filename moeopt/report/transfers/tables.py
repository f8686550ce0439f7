"""An order of transfers as tables: its rounds, each transmission, and what each port does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.table import Cell, Column, Table
from moeopt.core.units import bytes_unit, time_unit
from moeopt.report.transfers.use import port_uses
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem

#: Rows of the table of transmissions; a plan's file has all.
MOST_ROWS = 3000

#: A port rests if its work differs from the makespan by more than this share, else by rounding.
_ROUNDING = 1e-12


def transfer_tables(problem: TransferProblem, plan: TransferPlan) -> Sequence[Table]:
    """Return the rounds of a plan if it has several, its ports, and its transmissions."""
    rounds = [_rounds(plan)] if plan.num_rounds > 1 else []
    return [*rounds, _ports(problem, plan), _transmissions(problem, plan)]


def _rounds(plan: TransferPlan) -> Table:
    number, which = np.unique(plan.round_index, return_inverse=True)
    begins, ends = np.full(len(number), np.inf), np.zeros(len(number))
    np.minimum.at(begins, which, plan.start_s)
    np.maximum.at(ends, which, plan.end_s)
    moved, rows = np.bincount(which, plan.size_bytes), np.bincount(which)
    (second, s), (byte, b) = time_unit(plan.makespan_s), bytes_unit(float(moved.max()))
    columns = (number, begins / second, ends / second, rows, moved / byte)
    return Table(
        title="Rounds",
        columns=[
            Column("round"),
            Column(f"begins ({s})", ".6g"),
            Column(f"ends ({s})", ".6g"),
            Column("rows"),
            Column(f"bytes ({b})", ".6g"),
        ],
        rows=list(zip(*(column.tolist() for column in columns), strict=True)),
    )


def _ports(problem: TransferProblem, plan: TransferPlan) -> Table:
    kinds = port_uses(problem, plan)
    second, s = time_unit(plan.makespan_s)
    byte, b = bytes_unit(max(float(kind.size_bytes.max()) for kind in kinds))
    columns, numbers, totals = [Column("port")], [], []
    for kind in kinds:
        columns += [
            Column(f"{kind.does} ({b})", ".6g"),
            Column(f"busy ({s})", ".6g"),
            Column(f"idle ({s})", ".6g"),
        ]
        idle = plan.makespan_s - kind.seconds
        idle[idle <= _ROUNDING * plan.makespan_s] = 0.0
        numbers += [kind.size_bytes / byte, kind.seconds / second, idle / second]
        totals += [float(kind.size_bytes.sum()) / byte, None, None]
    there = np.flatnonzero(problem.present()).tolist()
    shares = "" if problem.peers == "one" else " A port that several share counts by its rate."
    return Table(
        title="Ports: what they move, and how long they rest",
        columns=columns,
        rows=[[port, *(float(column[port]) for column in numbers)] for port in there],
        footer=["total", *totals],
        note=f"Busy and idle are until the makespan; start-ups of messages are busy.{shares}",
    )


def _transmissions(problem: TransferProblem, plan: TransferPlan) -> Table:
    second, s = time_unit(plan.makespan_s)
    byte, b = bytes_unit(float(plan.size_bytes.max(initial=0.0)))
    columns = {
        Column("round"): plan.round_index,
        Column("from"): plan.source,
        Column("to"): plan.destination,
        Column(f"bytes ({b})", ".6g"): plan.size_bytes / byte,
        Column(f"start ({s})", ".6g"): plan.start_s / second,
        Column(f"end ({s})", ".6g"): plan.end_s / second,
    }
    for name, ends in (("message from", plan.origin), ("message to", plan.target)):
        if ends is not None:
            columns[Column(name)] = ends
    if plan.wave is not None and problem.num_waves > 1:
        columns[Column("wave")] = plan.wave
    rows: list[Sequence[Cell]] = list(
        zip(*(column[:MOST_ROWS].tolist() for column in columns.values()), strict=True)
    )
    total = len(plan.source)
    note = "" if total <= MOST_ROWS else f"The first {MOST_ROWS:,} of {total:,}; the file has all."
    return Table(
        title="Transmissions: the plan itself", columns=list(columns), rows=rows, note=note
    )
