"""``moeopt bench committee``: planners with proof, budgets kept, schedulers beside hindsight."""

from __future__ import annotations

from moeopt.bench import (
    committee_budgets,
    committee_identities,
    committee_online,
    committee_planners,
    committee_reference,
)
from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Report, Setting, Workload, register
from moeopt.bench.timing import one_core


def run(setting: Setting) -> Report:
    """Run every part and put their figures together, on one core but for the real committee."""
    report = Report()
    with one_core() as core:
        report.data["core"] = core
        parts = {
            "identities": lambda: committee_identities.run(setting),
            "planners": lambda: committee_planners.run(setting),
            "budgets": lambda: committee_budgets.run(setting),
            "schedulers": lambda: committee_online.run(setting),
        }
        run_parts(setting, "committee", parts, report)
    # It loads and computes at the same time.
    real = {"reference model": lambda: committee_reference.run(setting)}
    run_parts(setting, "committee", real, report)
    return report


register(
    Workload(
        name="committee",
        summary="parameter committees: planners, budgets, schedulers, the reference model's own",
        run=run,
    )
)
