"""What the exact method must show: the MILP's optimum, proofs in time, nothing cheaper."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.serverless_study import MODELS
from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.exact_options import count_options
from moeopt.serverless.generate import deployed, latency_span, small
from moeopt.serverless.problem import ServerlessProblem

#: Two optima are one if they differ by no more, relative.
EXACTNESS = 1e-6

#: Most options of experts, over degrees, of a random problem that the MILP is asked as well.
MOST_OPTIONS = 800

#: Promises between the shortest latency (0) and that of the cheapest plan (1).
PROMISES = (0.05, 0.2, 0.5)

METHODS = ("ods", "fixed_method", "random", "lambdaml")


def run(setting: Setting) -> Report:
    """Compare with the MILP and with the other methods, and take the times."""
    report = _against_milp(25 if setting.quick else 500)
    report.add(_against_methods(setting))
    report.add(_times(limit_s=3.0 if setting.quick else 60.0))
    return report


def promised(problem: ServerlessProblem, share: float) -> ServerlessProblem:
    """Return a problem with a promise.

    Parameters
    ----------
    problem
        Without one, or with another.
    share
        0 for the shortest latency there is without pipelining, 1 for that of the cheapest plan.
    """
    shortest_s, cheapest_s = latency_span(problem)
    slo_s = shortest_s + share * (cheapest_s - shortest_s)
    return msgspec.structs.replace(problem, slo_s=slo_s, generator=None)


def random_problems(count: int) -> Iterator[ServerlessProblem]:
    """Return small random problems, every fifth of them with a promise hard or impossible to keep.

    Parameters
    ----------
    count
        How many.
    """
    seed = 0
    while count:
        problem = small(1 + seed % 3, 1 + seed // 3 % 3, seed)
        if count_options(problem, problem.designs) <= MOST_OPTIONS:
            yield promised(problem, -0.02) if count % 5 == 0 else problem
            count -= 1
        seed += 1


def _against_milp(count: int) -> Report:
    """Solve small random problems by both exact methods."""
    worst, strange = 0.0, 0
    statuses = []
    for problem in random_problems(count):
        ours, milp = solve(problem, "exact"), solve(problem, "milp")
        strange += ours.status is not milp.status
        statuses.append(ours.status)
        if ours.objective is not None and milp.objective is not None:
            worst = max(worst, abs(ours.objective / milp.objective - 1.0))
    told = f"{statuses.count(Status.OPTIMAL)} optimal, {statuses.count(Status.INFEASIBLE)} not"
    return Report(
        figures=[
            Figure(f"exact and MILP, {count} problems: statuses that differ", strange, 0, "d"),
            Figure("the same: optima differ by", worst, EXACTNESS, ".1e", f"{told} to be kept"),
        ]
    )


def _against_methods(setting: Setting) -> Report:
    """Return what the other methods cost more, on the paper's models and on random problems."""
    losses: dict[str, list[float]] = {method: [] for method in METHODS}
    rows: list[list[Cell]] = []
    models, bills = (MODELS[:1], ("paper",)) if setting.quick else (MODELS, ("paper", "all"))
    for model, bill in product(models, bills):
        problem = deployed(model, bill=bill)
        for share in PROMISES:
            found = _losses(promised(problem, share))
            rows.append([model, bill, share, *found.values()])
            _keep(losses, found)
    drawn: dict[str, list[float]] = {method: [] for method in METHODS}
    count = 10 if setting.quick else 200
    for seed in range(count):
        _keep(drawn, _losses(small(2, 3, seed)))
    name = f"{count} random"
    rows.append([name, "mean", None, *map(_mean, drawn.values())])
    rows.append([name, "most", None, *(max(values, default=None) for values in drawn.values())])
    rows.append([name, "solved", None, *(str(len(values)) for values in drawn.values())])
    for method, values in drawn.items():
        losses[method] += values
    columns = [Column("model"), Column("bill"), Column("promise", ".2f")]
    columns += [Column(method, "+.2%") for method in METHODS]
    note = (
        "Cost over the proven optimum's; - where a method has no plan. promise: from the shortest"
        " latency, 0, to that of the cheapest plan, 1."
    )
    least = min(min(values, default=0.0) for values in losses.values())
    figures = [
        Figure("cheaper than exact, most", max(0.0, -least), EXACTNESS, ".1e", "of all methods"),
        Figure("ods: mean loss", _mean(losses["ods"]), None, ".2%", "all of the table"),
    ]
    table = Table("What methods cost more than the optimum", columns, rows, note)
    return Report([table], figures, {"losses": losses})


def _losses(problem: ServerlessProblem) -> dict[str, float | None]:
    """Return each method's cost over the optimum, less 1; ``None`` without a plan."""
    best = solve(problem, "exact").objective
    found: dict[str, float | None] = {}
    for method in METHODS:
        value = solve(problem, method).objective
        found[method] = None if value is None or best is None else value / best - 1.0
    return found


def _keep(losses: dict[str, list[float]], found: dict[str, float | None]) -> None:
    for method, loss in found.items():
        if loss is not None:
            losses[method].append(loss)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _times(limit_s: float) -> Report:
    """Prove the paper's largest model and a larger one, and tell the time.

    Parameters
    ----------
    limit_s
        Most seconds for the paper's largest model with one degree for all of its layers.
    """
    problem = promised(deployed("bert-moe-16"), PROMISES[1])
    one_degree = msgspec.structs.replace(problem, pipeline_degree="model")
    report = Report()
    for name, stated, target, most_s in (
        ("", problem, 1.0, None),
        (", one degree", one_degree, None, limit_s),
    ):
        begun = time.perf_counter()
        result = solve(stated, "exact", time_limit_s=most_s)
        seconds = time.perf_counter() - begun
        note = "no plan" if result.gap is None else f"{result.status.value}, gap {result.gap:.0e}"
        title = f"12 layers x 16 experts{name}: seconds"
        report.figures.append(Figure(title, seconds, target, ".2f", note))
    report.figures += _large()
    rows: list[list[Cell]] = [[figure.name, figure.value] for figure in report.figures]
    note = (
        "14 memory sizes, 8 replicas, 3 designs. Paper, 12 layers: ODS 2.27 s with Gurobi, one"
        " MIQCP for all designs not done in 180 s."
    )
    table = Table("Proofs of optimality", [Column("model"), Column("value", ".2f")], rows, note)
    report.tables.append(table)
    return report


#: A process that solves the large model and tells seconds, status, and peak memory before and
#: after, in kilobytes. What `resource` tells would include the parent's peak.
_LARGE = """
import time
from pathlib import Path
from moeopt import solve
from moeopt.bench.serverless_proofs import promised
from moeopt.serverless.generate import deployed, small

def peak():
    status = Path("/proc/self/status")
    return int(status.read_text().split("VmHWM:")[1].split()[0]) if status.exists() else 0

solve(small(2, 3, 0), "exact")
problem = promised(deployed("large"), {share})
before, begun = peak(), time.perf_counter()
result = solve(problem, "exact", time_limit_s={limit_s})
print(time.perf_counter() - begun, result.status.value, before, peak())
"""


def _large() -> list[Figure]:
    """Return seconds and peak memory of 60 layers with 256 experts."""
    title = "60 layers x 256 experts"
    script = _LARGE.format(share=PROMISES[1], limit_s=600)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode:
        return [Figure(f"{title}: seconds", None, 60.0, ".1f", done.stderr.strip()[-60:])]
    seconds, status, before, after = done.stdout.split()
    # Only Linux has /proc.
    memory = int(after) / 1024 or None
    return [
        Figure(f"{title}: seconds", float(seconds), 60.0, ".1f", status),
        Figure(f"{title}: peak memory, MiB", memory, None, ".0f",
               f"{int(before) / 1024:.0f} before"),
    ]  # fmt: skip
