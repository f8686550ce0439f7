"""``moeopt bench buffering``: expert caches on recorded routing, beside hindsight a real one."""

from __future__ import annotations

from moeopt.bench import (
    buffering_hit_rates,
    buffering_joint,
    buffering_memory,
    buffering_planning,
    buffering_proofs,
    buffering_real,
    buffering_times,
)
from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Report, Setting, Workload, register
from moeopt.bench.timing import one_core


def run(setting: Setting) -> Report:
    """Run every part and put their figures together, on one core but for the real cache."""
    report = Report()
    with one_core() as core:
        report.data["core"] = core
        parts = {
            "hit rates": lambda: buffering_hit_rates.run(setting),
            "proofs": lambda: buffering_proofs.run(setting),
            "times": lambda: buffering_times.run(setting),
            "planned slots": lambda: buffering_planning.run(setting),
            "placement": lambda: buffering_joint.run(setting),
            "memory": lambda: buffering_memory.run(setting),
        }
        run_parts(setting, "buffering", parts, report)
    # It reads and computes at the same time.
    run_parts(setting, "buffering", {"real cache": lambda: buffering_real.run(setting)}, report)
    return report


register(
    Workload(
        name="buffering",
        summary="expert caches: policies beside hindsight, proofs, speeds, slots, a real cache",
        run=run,
    )
)
