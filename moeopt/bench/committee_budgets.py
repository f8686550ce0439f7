"""Whether plans keep the memory that they were given: ours by a check, the paper's as printed."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

import moeopt
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.committee.generate import GENERATORS, switch_t
from moeopt.committee.methods import METHODS
from moeopt.committee.paper import GIB, TABLE_1
from moeopt.committee.plan import evaluate, violations
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.table import Cell, Column, Table
from moeopt.core.wing import Method

#: Budgets of SwitchT-16, GiB: the paper's.
BUDGETS_GIB = tuple(row.budget_gib for row in TABLE_1 if row.budget_gib is not None)


@dataclass(frozen=True)
class Kept:
    """What a method's plans take of the budgets.

    Attributes
    ----------
    method
        Its name.
    plans
        How many there are.
    largest
        Share of its budget that a plan takes at most.
    broken
        Constraints that all plans together break.
    """

    method: str
    plans: int
    largest: float
    broken: int


def run(setting: Setting) -> Report:
    """Plan SwitchT-16 within the paper's budgets, and every generator's problem, by all methods."""
    problems = [switch_t(experts=16, budget_gib=budget) for budget in BUDGETS_GIB]
    problems += [make() for make in GENERATORS.values()]
    kept = [_kept(method, problems, setting) for method in METHODS]
    report = Report(tables=[_table(kept), _printed()])
    plans = sum(one.plans for one in kept)
    largest = max(one.largest for one in kept)
    broken = sum(one.broken for one in kept)
    report.figures = [
        Figure("memory over budget, largest of our plans", largest, 1.0, ".6f", f"{plans} plans"),
        Figure("constraints that our plans break", broken, 0, "d"),
    ]
    report.data["budgets"] = msgspec.to_builtins(kept)
    return report


def _kept(method: Method, problems: list[CommitteeProblem], setting: Setting) -> Kept:
    shares, broken = [], 0
    for problem in problems:
        if method.refuses(problem) is not None:
            continue
        result = moeopt.solve(problem, method.name, time_limit_s=1.0 if setting.quick else 10.0)
        if result.plan is not None:
            shares.append(evaluate(problem, result.plan).memory_bytes / problem.budget_bytes)
            broken += len(violations(problem, result.plan))
    return Kept(method.name, len(shares), max(shares, default=0.0), broken)


def _table(kept: list[Kept]) -> Table:
    columns = [
        Column("method"),
        Column("plans", "d"),
        Column("memory / budget", ".4f"),
        Column("broken", "d"),
    ]
    rows: list[list[Cell]] = [[one.method, one.plans, one.largest, one.broken] for one in kept]
    note = "The largest share of its budget that a plan takes; broken: constraints, by the checker."
    return Table("Budgets kept", columns, rows, note)


def _printed() -> Table:
    columns = [
        Column("budget, GiB", ".1f"),
        Column("printed, GiB", ".2f"),
        Column("over", "+.1%"),
        Column("ours, GiB", ".2f"),
    ]
    rows: list[list[Cell]] = []
    for row in TABLE_1:
        if row.budget_gib is None:
            continue
        problem = switch_t(experts=16, budget_gib=row.budget_gib)
        plan = moeopt.solve(problem, "knapsack").plan
        assert plan is not None, "the paper's budgets hold a plan"
        ours = evaluate(problem, plan).memory_bytes / GIB
        over = row.memory_gib / row.budget_gib - 1.0
        rows.append([row.budget_gib, row.memory_gib, over, ours])
    note = "printed: what the paper's plans took; over: the budget, where that is positive."
    return Table("SwitchT-16 within the paper's budgets", columns, rows, note)
