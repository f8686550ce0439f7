"""The proven optimum of every layer of the Mixtral shape."""

from __future__ import annotations

from moeopt.bench.registry import Figure, Report
from moeopt.core.result import Result, Status
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.placement.generate import LOADS, workload
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem

#: No load may hold up the run for longer.
TIME_LIMIT_S = 5.0

#: Optimum by enumeration, published with the benchmark: mean imbalance over 32 layers.
PUBLISHED = {"logn1": 1.0323, "zipf0.8": 1.0239, "zipf1.2": 1.0287, "dirich0.5": 1.0528}


def run() -> Report:
    """Solve the shape exactly under each load; the first solve, which may compile, is not told."""
    _solve("logn1", seed=2)
    report = Report(data={"exact": {}})
    rows: list[list[Cell]] = []
    seconds = 0.0
    proven = 0
    for load in LOADS:
        problem, result = _solve(load)
        mean = None
        if result.plan is not None:
            mean = float(evaluate(problem, result.plan).imbalance.mean())
        proven += result.status is Status.OPTIMAL
        seconds += result.runtime_s
        rows.append([load, mean, PUBLISHED[load], str(result.status), result.runtime_s])
        report.figures.append(Figure(f"exact: mixtral-16-8, {load}", mean, PUBLISHED[load]))
        report.data["exact"][load] = {"imbalance": mean, **result.to_dict()}
    columns = [
        Column("load"),
        Column("imbalance", ".4f"),
        Column("published optimum", ".4f"),
        Column("status"),
        Column("seconds", ".3f"),
    ]
    report.tables.append(Table("Exact optimum, mixtral-16-8, 32 layers", columns, rows))
    report.figures.append(Figure("exact: loads not proven optimal", len(LOADS) - proven, 0, ".0f"))
    report.figures.append(Figure("exact: seconds for the four loads", seconds, 1.0, ".2f"))
    return report


def _solve(load: str, seed: int = 1) -> tuple[PlacementProblem, Result[PlacementPlan]]:
    problem = workload("mixtral-16-8", load, seed, rules="eplb")
    return problem, solve(problem, "exact", time_limit_s=TIME_LIMIT_S)
