"""``moeopt bench aurora``: Aurora's evaluation again, and what its extensions show."""

from __future__ import annotations

from moeopt.bench import aurora_assignment, aurora_shows, aurora_study, aurora_wire
from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Report, Setting, Workload, register
from moeopt.bench.timing import one_core


def run(setting: Setting) -> Report:
    """Run every part on one core and put their figures together."""
    report = Report()
    with one_core() as core:
        report.data["core"] = core
        parts = {
            "study": aurora_study.run,
            "GPU assignment": lambda: aurora_assignment.run(setting),
            "colocation": lambda: aurora_shows.run(setting),
            "order on the wire": lambda: aurora_wire.run(setting),
        }
        run_parts(setting, "aurora", parts, report)
    return report


register(
    Workload(
        name="aurora",
        summary="Aurora's evaluation again: orders, GPU assignment, colocation against Lina",
        run=run,
    )
)
