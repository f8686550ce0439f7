"""Time of every contender on the benchmark's shapes, as a ratio to vLLM's in the same run."""

from __future__ import annotations

import time
from collections.abc import Sequence

from moeopt.bench.contenders import ours
from moeopt.bench.peers import Peers
from moeopt.bench.placement_balance import short_name, warm_up
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import Timing, measure
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.placement.generate import LOADS, SHAPES, loads, workload
from moeopt.placement.plan import PlacementPlan, evaluate, violations

#: What the times are compared with.
BASE = "vllm"

#: Our methods, and the most of the base's time that each may take.
TARGETS = {"auto": 1.0, "fast": 0.3}

PHASES = ("build", "solve", "check")


def run(setting: Setting, peers: Peers) -> Report:
    """Time the drop-in call of every contender, and the phases of our own."""
    report = _calls(setting, peers)
    report.add(_phases(repeats=1 if setting.quick else 5))
    return report


def _calls(setting: Setting, peers: Peers) -> Report:
    contenders = [*peers.contenders, ours("eplb"), ours("fast"), ours("auto")]
    warm_up(contenders)
    report = Report(data={"times": {}})
    rows: dict[tuple[str, str], dict[str, Timing]] = {}
    ratios: dict[str, dict[str, float]] = {name: {} for name in TARGETS}
    for shape, row in SHAPES.items():
        for load in ["logn1"] if setting.quick else list(LOADS):
            tokens = loads(load, row.layers, row.experts)
            calls = {one.name: one.bind(tokens, row) for one in contenders}
            times = measure(calls, repeats=5 if setting.quick else 15, budget_s=20)
            case = f"{short_name(shape)}, {load}"
            report.data["times"][f"{shape}/{load}"] = {k: t.to_dict() for k, t in times.items()}
            rows[short_name(shape), load] = times
            if BASE in times:
                for name, found in ratios.items():
                    found[case] = times[name].median_s / times[BASE].median_s
    report.tables += _tables(rows, [one.name for one in contenders])
    report.figures += [_figure(name, found) for name, found in ratios.items()]
    return report


def _tables(found: dict[tuple[str, str], dict[str, Timing]], names: Sequence[str]) -> list[Table]:
    milliseconds: list[list[Cell]] = []
    ratios: list[list[Cell]] = []
    for (shape, load), times in found.items():
        medians = [timing.median_s for timing in times.values()]
        spread = max(timing.spread for timing in times.values())
        milliseconds.append([shape, load, *(1e3 * median for median in medians), spread])
        base = times[BASE].median_s if BASE in times else None
        ratios.append([shape, load, *(None if base is None else m / base for m in medians)])
    case = [Column("shape"), Column("load")]
    title = "Milliseconds for all layers, one core, warm: medians"
    note = "spread: interquartile range over the median, of the least steady contender."
    columns = [*case, *(Column(name, ".1f") for name in names), Column("spread", ".0%")]
    tables = [Table(title, columns, milliseconds, note)]
    if any(BASE in times for times in found.values()):
        columns = [*case, *(Column(name, ".2f") for name in names)]
        tables.append(Table(f"The same over {BASE}'s", columns, ratios))
    return tables


def _figure(name: str, ratios: dict[str, float]) -> Figure:
    title = f"{name}: time over {BASE}'s, worst case"
    if not ratios:
        return Figure(title, None, TARGETS[name], ".2f", f"no {BASE} under --peers")
    where = max(ratios, key=lambda case: ratios[case])
    return Figure(title, ratios[where], TARGETS[name], ".2f", where)


def _phases(repeats: int) -> Report:
    report = Report(data={"phases": {}})
    rows: list[list[Cell]] = []
    for shape in SHAPES:
        runs = [_one_solve(shape) for _ in range(repeats)]
        timings = {
            name: Timing(seconds)
            for name, seconds in zip(PHASES, zip(*runs, strict=True), strict=True)
        }
        rows.append([short_name(shape), *(found.median_s * 1e3 for found in timings.values())])
        report.data["phases"][shape] = {name: found.to_dict() for name, found in timings.items()}
    columns = [Column("shape"), *(Column(f"{name} ms", ".1f") for name in PHASES)]
    note = "build: draws the loads, makes the record; solve: checks its plan; check: once more."
    report.tables.append(Table("Phases of moeopt.solve, auto, logn1", columns, rows, note))
    return report


def _one_solve(shape: str) -> tuple[float, float, float]:
    """Return the seconds of building, solving and checking."""
    marks = [time.perf_counter()]
    problem = workload(shape, rules="eplb")
    marks.append(time.perf_counter())
    plan: PlacementPlan = solve(problem).plan  # type: ignore[assignment]  # shapes are feasible
    marks.append(time.perf_counter())
    violations(problem, plan)
    evaluate(problem, plan)
    marks.append(time.perf_counter())
    return marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]
