"""A plan run by PyTorch workers on this machine: `moeopt run PLAN --adapter torch`."""

from __future__ import annotations

from typing import Any, Protocol

from moeopt.adapters.torch.run.options import RunOptions, require_torch
from moeopt.core.errors import InstanceError
from moeopt.core.table import Table
from moeopt.core.wing import Plan, Problem

__all__ = ["Options", "Report", "RunOptions", "run_plan"]

#: The options that it takes of the command line.
Options = RunOptions


class Report(Protocol):
    """What a run found."""

    def tables(self) -> list[Table]:
        """Return the tables for people."""

    def document(self) -> dict[str, Any]:
        """Return everything as plain values."""


def run_plan(problem: Problem, plan: Plan, options: RunOptions | None = None) -> Report:
    """Run a plan on workers of this machine, check what comes out, and time it.

    Parameters
    ----------
    problem
        A problem of placement, transfers or colocation.
    plan
        A plan of it.
    options
        What to run.

    Raises
    ------
    InstanceError
        If the plan breaks its problem's rules, or an option does not fit.
    AdapterError
        If PyTorch is not installed, a worker fails, or an output is wrong.
    """
    require_torch()
    from moeopt.colocation.plan import ColocationPlan
    from moeopt.colocation.problem import ColocationProblem
    from moeopt.placement.plan import PlacementPlan
    from moeopt.placement.problem import PlacementProblem
    from moeopt.transfers.plan import TransferPlan
    from moeopt.transfers.problem import TransferProblem

    options = RunOptions() if options is None else options
    if isinstance(problem, PlacementProblem) and isinstance(plan, PlacementPlan):
        from moeopt.adapters.torch.run.placement import run_placement

        return run_placement(problem, plan, options)
    if isinstance(problem, TransferProblem) and isinstance(plan, TransferPlan):
        from moeopt.adapters.torch.run.transfers import run_transfers

        return run_transfers(problem, plan, options)
    if isinstance(problem, ColocationProblem) and isinstance(plan, ColocationPlan):
        from moeopt.adapters.torch.run.colocation import run_colocation

        return run_colocation(problem, plan, options)
    kind = type(plan).__struct_config__.tag
    rule = "must be placement, transfers or colocation, and of its problem"
    raise InstanceError("$.plan", kind, rule, "give a plan that the torch adapter runs")
