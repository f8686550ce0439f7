"""Running the parts of a workload one after the other, each timed and told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from moeopt.bench.registry import Report, Setting


def run_parts(
    setting: Setting, workload: str, parts: Mapping[str, Callable[[], Report]], report: Report
) -> None:
    """Run `parts` in order and add to `report` what they found and how long they took.

    Parameters
    ----------
    setting
        Takes a line at the start and the end of each part.
    workload
        Its name, for these lines.
    parts
        What to run, by title.
    report
        Added to in place.
    """
    for title, part in parts.items():
        setting.say(f"bench {workload}: {title} ...")
        begun = time.perf_counter()
        report.add(part())
        seconds = time.perf_counter() - begun
        report.data.setdefault("part_s", {})[title] = seconds
        setting.say(f"bench {workload}: {title} took {seconds:.1f} s")
