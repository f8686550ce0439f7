"""How fast replays, Belady's rule and the flow are, and what memory they take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np

from moeopt.bench.buffering_traces import REFERENCE, recorded
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import Timing, measure
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.generate import locality
from moeopt.buffering.policies import POLICIES, Replay
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, replay
from moeopt.buffering.stream import streams
from moeopt.core.table import Cell, Column, Table

#: References of the long stream, and of the one on which kernels are compiled.
REFERENCES, WARM = 5_000_000, 20_000

#: Slots of the cache that replays it.
SLOTS = 16

#: References a second that a replay must do, and seconds that Belady's rule and a flow may take.
PER_S, BELADY_S, FLOW_S = 20e6, 5.0, 60.0

#: Steps of the layer whose flow is timed.
STEPS = 8000

#: Policies that a lean kernel counts, whose time does not depend on the number of experts.
LEAN = (
    "inactive_lifo",
    "inactive_lifo_inserted",
    "lru",
    "mru",
    "fifo",
    "lifo",
    "lfu",
    "least_stale",
    "quota_lru",
)


def run(setting: Setting) -> Report:
    """Time every policy on a long stream, and the flow on one layer."""
    report = _replays(setting)
    report.add(_flows(setting))
    return report


def long_problem(references: int) -> BufferingProblem:
    """Return one cache that sees the layers of the reference model's trace, one after the other.

    Over again from the first until there are so many references.

    Parameters
    ----------
    references
        How many, rounded up to whole tokens.
    """
    trace = next(one.trace for one in recorded() if one.name == REFERENCE)
    ids = np.sort(trace.expert_ids, axis=2).transpose(1, 0, 2).reshape(-1, trace.top_k)
    steps = -(-references // trace.top_k)
    active = np.resize(ids.astype(np.int64), (steps, trace.top_k))
    return BufferingProblem(
        experts=trace.num_experts,
        active=active.ravel(),
        starts=np.arange(steps + 1) * trace.top_k,
        slots=SLOTS,
        history=trace.counts().sum(axis=0, keepdims=True),
    )


def _replays(setting: Setting) -> Report:
    long, warm = long_problem(REFERENCES), long_problem(WARM)
    # In turn, so that all meet the same machine; those of other kinds by themselves.
    quick = [*LEAN, "belady"]
    slow = [] if setting.quick else [name for name in POLICIES if name not in quick]
    found: dict[str, Timing] = {}
    for names, repeats in ((quick, 5 if setting.quick else 15), (slow, 3)):
        for name in names:
            _call(warm, name)()
        calls = {name: _call(long, name) for name in names}
        found |= measure(calls, repeats=repeats, warm_ups=0, budget_s=30.0)
    rows: list[list[Cell]] = []
    for name, time in found.items():
        rate = long.num_references / time.median_s / 1e6
        rows.append([name, time.median_s, rate, len(time.seconds), time.spread])
    columns = [Column("policy"), Column("seconds", ".3f"), Column("million a second", ".1f"),
               Column("runs"), Column("spread", ".0%")]  # fmt: skip
    note = (
        f"{long.num_references:,} references, {SLOTS} slots, {long.experts} experts: the layers of"
        f" {REFERENCE} one after the other, over again. One core, warm, medians; misses are"
        " counted, no schedule is recorded."
    )
    lean, every = (max(some, key=lambda name: found[name].median_s) for some in (LEAN, found))
    figures = [
        Figure(f"replay: nanoseconds a reference, slowest of the {len(LEAN)} counted by lists",
               1e9 * found[lean].median_s / long.num_references, 1e9 / PER_S, ".1f", lean),
        Figure("the same, slowest of all that were timed",
               1e9 * found[every].median_s / long.num_references, None, ".1f", every),
        Figure(f"Belady over {long.num_references:,} references, seconds",
               found["belady"].median_s, BELADY_S, ".2f"),
    ]  # fmt: skip
    data = {"replays": {name: time.to_dict() for name, time in found.items()}}
    return Report([Table("Replays of a long stream", columns, rows, note)], figures, data)


def _call(problem: BufferingProblem, name: str) -> Callable[[], Replay]:
    """Return a replay of a problem of one cache; only who needs counts of the past has them."""
    (stream,) = streams(problem)
    hints = hints_of(problem, stream)
    if not POLICIES[name].needs_history:
        hints = replace(hints, history=None)
    return lambda: replay(stream, name, hints=hints)


def flow_cases() -> dict[str, BufferingProblem]:
    """Return what the flow is timed on: a drawn layer, and one of each trace."""
    drawn = locality(1, 64, STEPS, 6)
    cases = {"drawn": msgspec.structs.replace(drawn, generator=None)}
    for one in recorded():
        steps = min(STEPS, one.trace.num_tokens)
        middle = one.trace.num_layers // 2
        part = one.trace.part(0, steps)
        cases[one.name] = buffering_problem(part, layers=[middle], slots=SLOTS)
    return cases


def capped(problem: BufferingProblem) -> BufferingProblem:
    """Return the problem with what is missing served elsewhere, and a cap of loads."""
    return msgspec.structs.replace(
        problem, serve="bypass", objective="seconds", load_s=3.0, miss_s=1.0, loads_per_group=2
    )


#: A process that solves a layer for every number of slots and tells seconds, and its peak memory
#: before and after, in kilobytes. What `resource` tells would include the parent's peak.
_FLOW = """
import time
from pathlib import Path
from moeopt.bench.buffering_times import capped, flow_cases, long_problem
from moeopt.buffering.flow import flow_curve
from moeopt.buffering.stream import streams

def peak():
    status = Path("/proc/self/status")
    return int(status.read_text().split("VmHWM:")[1].split()[0]) if status.exists() else 0

problem, warm = flow_cases()[{case!r}], long_problem(64)
if {bypass}:
    problem, warm = capped(problem), capped(warm)
flow_curve(streams(warm)[0])
stream = streams(problem)[0]
before, begun = peak(), time.perf_counter()
flow_curve(stream)
print(stream.items.size, time.perf_counter() - begun, before, peak())
"""


def _flows(setting: Setting) -> Report:
    """Return seconds and peak memory of one layer at every number of slots."""
    report = Report(data={"flows": {}})
    rows: list[list[Cell]] = []
    slowest: list[float] = []
    for case, problem in list(flow_cases().items())[: 1 if setting.quick else None]:
        for bypass in (False, True):
            script = _FLOW.format(case=case, bypass=bypass)
            done = subprocess.run(
                [sys.executable, "-c", script], capture_output=True, text=True, check=True
            )
            references, seconds, before, after = map(float, done.stdout.split())
            served = "elsewhere, 2 loads a group" if bypass else "on demand"
            # Only Linux has /proc.
            memory = [kilobytes / 1024 or None for kilobytes in (before, after)]
            shape = [problem.num_experts, problem.num_steps, int(references)]
            rows.append([case, served, *shape, seconds, *memory])
            slowest.append(seconds)
            report.data["flows"][f"{case}, {served}"] = [seconds, *memory]
    columns = [Column("layer"), Column("missing experts are served"), Column("experts"),
               Column("steps", ","), Column("references", ","), Column("seconds", ".2f"),
               Column("MiB before", ".0f"), Column("MiB at the peak", ".0f")]  # fmt: skip
    note = (
        f"One layer, {STEPS:,} steps at most, the least cost at every number of slots. Peaks"
        " of the process as the system tells them (VmHWM): before, with Python, the kernels and"
        " the stream; then with the graph and its flow."
    )
    report.tables.append(Table("The flow of one layer, all sizes at once", columns, rows, note))
    name = "flow of a layer at all sizes: seconds, slowest"
    note = f"the drawn layer, 64 experts x {STEPS:,} steps: {max(slowest[:2]):.2f}"
    report.figures.append(Figure(name, max(slowest), FLOW_S, ".2f", note))
    return report
