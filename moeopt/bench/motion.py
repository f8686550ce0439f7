"""``moeopt bench motion``: replanning, robust plans, policies over time, sweeps and engines."""

from __future__ import annotations

from collections.abc import Callable

from moeopt.bench import (
    motion_drift,
    motion_engines,
    motion_exact,
    motion_makespan,
    motion_pareto,
    motion_popularity,
    motion_robust,
    motion_sweep,
)
from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Report, Setting, Workload, register
from moeopt.bench.timing import one_core


def run(setting: Setting) -> Report:
    """Run every part and put their figures together."""
    report = Report()
    with one_core() as core:
        report.data["core"] = core
        parts: dict[str, Callable[[], Report]] = {
            "front": lambda: motion_pareto.run(setting),
            "popularity": lambda: motion_popularity.run(setting),
            "exact": lambda: motion_exact.run(setting),
            "makespan": lambda: motion_makespan.run(setting),
            "drift": lambda: motion_drift.run(setting),
            "robust": lambda: motion_robust.run(setting),
        }
        run_parts(setting, "motion", parts, report)
    # These start processes of their own, on whatever cores there are.
    others: dict[str, Callable[[], Report]] = {
        "sweep": lambda: motion_sweep.run(setting),
        "engines": lambda: motion_engines.run(setting),
    }
    run_parts(setting, "motion", others, report)
    return report


register(
    Workload(
        name="motion",
        summary="plans that follow their loads: fronts of balance against copied experts, policies"
        " over time, sweeps; engines on our plans",
        run=run,
    )
)
