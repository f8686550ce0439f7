"""``moeopt bench transfers``: orders of an all-to-all against bounds, baselines and vLLM's."""

from __future__ import annotations

from collections.abc import Callable

from moeopt.bench import (
    transfers_migration,
    transfers_order,
    transfers_startups,
    transfers_times,
    transfers_two_tier,
)
from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Report, Setting, Workload, register
from moeopt.bench.timing import one_core


def run(setting: Setting) -> Report:
    """Run every part on one core and put their figures together."""
    report = Report()
    with one_core() as core:
        report.data["core"] = core
        parts: dict[str, Callable[[], Report]] = {
            "time": lambda: transfers_times.run(setting),
            "order": lambda: transfers_order.run(setting),
            "start-ups": lambda: transfers_startups.run(setting),
            "two tiers": lambda: transfers_two_tier.run(setting),
            "migration": lambda: transfers_migration.run(setting),
        }
        run_parts(setting, "transfers", parts, report)
    return report


register(
    Workload(
        name="transfers",
        summary="orders of an all-to-all: makespans, rounds, speed; migrations against vLLM's",
        run=run,
    )
)
