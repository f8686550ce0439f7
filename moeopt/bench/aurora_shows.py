"""What colocation and GPU assignment must show: optimality, gaps and times."""

from __future__ import annotations

import time
from itertools import permutations

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.colocation.generate import synthetic
from moeopt.colocation.layout import layout_of
from moeopt.colocation.pairing import matched_groups
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table


def run(setting: Setting) -> Report:
    """Show the pairing of equal devices, and the plans of unequal ones."""
    report = _pairing(20 if setting.quick else 200)
    report.add(_unequal(6 if setting.quick else 40))
    report.add(_large())
    return report


def _pairing(count: int) -> Report:
    """Compare the pairing of equal devices with every pairing there is."""
    worst = 0.0
    for seed in range(count):
        for family in ("zipf", "uniform"):
            for experts in (3, 5, 7):
                problem = synthetic(family, experts, cluster="equal", seed=seed)
                aimed = msgspec.structs.replace(problem, objective="communication")
                result = solve(aimed, "bottleneck_matching")
                assert result.objective is not None
                worst = max(worst, result.objective / _best_pairing(aimed) - 1.0)
    title = f"pairing of equal devices over brute force, {6 * count} problems"
    report = Report(figures=[Figure(title, worst, 1e-9, ".1e")])
    layout = layout_of(synthetic("zipf", 256, cluster="equal"))
    begun = time.perf_counter()
    matched_groups(layout, 256)
    report.figures.append(Figure("256 pairs, seconds", time.perf_counter() - begun, 1.0, ".3f"))
    return report


def _best_pairing(problem: ColocationProblem) -> float:
    layout = layout_of(problem)
    n = problem.num_experts
    first = layout.sent[0] * layout.there[0], layout.received[0] * layout.there[0]
    second = layout.sent[1] * layout.there[1], layout.received[1] * layout.there[1]
    order = np.array(list(permutations(range(n))))
    lines = [(a[None, :] + b[order]).max(axis=1) for a, b in zip(first, second, strict=True)]
    return float(np.maximum(*lines).min() / layout.port[0])


def _unequal(count: int) -> Report:
    """Compare with the proven optimum on 8 devices of four kinds."""
    report = Report(data={"unequal": {}})
    rows: list[list[Cell]] = []
    slowest = 0.0
    found: dict[str, list[float]] = {}
    for objective in ("bottleneck", "time"):
        for family in ("zipf", "uniform"):
            ratios: dict[str, list[float]] = {m: [] for m in ("two_step", "search", "rga_rec")}
            proven = 0
            for seed in range(count):
                problem = synthetic(family, 8, cluster="mixed", seed=seed)
                aimed = msgspec.structs.replace(problem, objective=objective)
                begun = time.perf_counter()
                best = solve(aimed, "exact", time_limit_s=60.0)
                slowest = max(slowest, time.perf_counter() - begun)
                proven += best.status is Status.OPTIMAL
                for method, values in ratios.items():
                    values.append(_ratio(aimed, method, best.objective))
            rows.append([objective, family, *(float(np.mean(v)) for v in ratios.values()), proven])
            for method, values in ratios.items():
                found.setdefault(method, []).extend(values)
    report.data["unequal"] = found
    columns = [Column("objective"), Column("traffic")]
    columns += [Column(name, ".4f") for name in ("two_step", "search", "rga_rec")]
    columns += [Column("proven")]
    note = f"{count} draws each; two_step is the paper's, 1.07 there."
    report.tables.append(Table("8 devices of four kinds: over the optimum", columns, rows, note))
    report.figures += [
        Figure("exact, 8 devices: slowest proof, seconds", slowest, 30.0, ".2f"),
        Figure("two_step: mean over the optimum", float(np.mean(found["two_step"])), None, ".4f",
               "the paper's 1.07"),
        Figure("search: mean over the optimum", float(np.mean(found["search"])), 1.01, ".4f"),
    ]  # fmt: skip
    return report


def _ratio(problem: ColocationProblem, method: str, best: float | None) -> float:
    value = solve(problem, method).objective
    assert best is not None
    assert value is not None
    return value / best


def _large() -> Report:
    """Solve 64 devices of four kinds within two seconds."""
    report = Report()
    for objective in ("bottleneck", "time"):
        problem = synthetic("zipf", 64, cluster="mixed")
        aimed = msgspec.structs.replace(problem, objective=objective)
        begun = time.perf_counter()
        result = solve(aimed, "search", time_limit_s=2.0)
        seconds = time.perf_counter() - begun
        gap = "no bound" if result.gap is None else f"gap {result.gap:.2%}"
        report.figures.append(Figure(f"64 devices, {objective}: seconds", seconds, 2.2, ".2f", gap))
    return report
