"""An order of transfers on a page, and its pictures by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moeopt.core.table import Table
from moeopt.report.picture import Gallery, Picture
from moeopt.report.transfers import steps, summary
from moeopt.report.transfers.bars import Side
from moeopt.report.transfers.pictures import (
    gantt_picture,
    port_idleness_picture,
    traffic_picture,
)
from moeopt.report.transfers.tables import transfer_tables
from moeopt.report.wings import WingReport
from moeopt.transfers.bounds import makespan_bound
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem


def _pictures(
    problem: TransferProblem, plan: TransferPlan, result: Any
) -> Sequence[Picture | Gallery]:
    least = None if result is None or problem.objective == "rounds" else result.bound
    if least is None:
        least = makespan_bound(problem)
    sides: tuple[Side, ...] = ("sends",) if problem.half_duplex else ("sends", "receives")
    charts = [gantt_picture(problem, plan, side=side, bound_s=least) for side in sides]
    orders: Picture | Gallery = charts[0]
    if len(charts) > 1:
        orders = Gallery(
            name="transfers",
            title="What each port does when",
            choice="what each port",
            names=sides,
            pictures=charts,
        )
    idle = port_idleness_picture(problem, plan, bound_s=least)
    return [orders, idle, traffic_picture(problem)]


def _tables(problem: TransferProblem, plan: TransferPlan, result: Any) -> Sequence[Table]:
    del result
    return transfer_tables(problem, plan)


REPORT = WingReport(summary=summary.summary, pictures=_pictures, tables=_tables, steps=steps.steps)
