"""The part ``scale``: sizes that double, each in a process of its own, and how time grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moeopt.bench.registry import Report, Setting
from moeopt.bench.reliability.scale_step import MOST_BYTES, Measured, Run, run_scene
from moeopt.bench.reliability.trial import Trial, report_of
from moeopt.core.table import Cell, Column, Table
from moeopt.core.units import memory_text

#: Seconds of one scene at one size.
LIMIT_S = 1200.0

#: What is shorter or smaller than this tells little of how it grows.
LEAST_S, LEAST_BYTES = 0.03, 16 * 2**20

#: Sizes that growth is fitted over, the largest ones, and by how much it may pass its promise:
#: caches and other people's work make a linear operation seem somewhat more.
FITTED, SLACK = 4, 0.3

#: A time limit may be passed by a share of it and by some seconds of checks afterwards.
OVER_SHARE, OVER_S = 0.1, 3.0


@dataclass(frozen=True)
class Ladder:
    """One scene at sizes from small to large.

    Attributes
    ----------
    scene, unit
        ``module:function``, and what its size counts.
    sizes, quick
        Sizes of a full and of a quick run; a scene without quick ones is left out of that.
    warm
        Size at which each process of a full run goes through the scene once before it measures,
        so that what is imported and compiled does not hide how time grows; ``None`` for none.
    """

    scene: str
    unit: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...] = ()
    warm: int | None = None


_HERE = "moeopt.bench.reliability"
_DEVICES = (64, 128, 256, 512, 1024)
_TOKENS = (625_000, 1_250_000, 2_500_000, 5_000_000, 10_000_000)

LADDERS = (
    Ladder(f"{_HERE}.scale_placement:documents", "devices", _DEVICES, (16,), warm=16),
    Ladder(f"{_HERE}.scale_placement:page", "devices", _DEVICES, warm=16),
    Ladder(f"{_HERE}.scale_placement:methods", "devices", _DEVICES),
    Ladder(f"{_HERE}.scale_placement:motion", "devices", _DEVICES),
    Ladder(f"{_HERE}.scale_transfers:sparse", "ports", _DEVICES, warm=16),
    Ladder(f"{_HERE}.scale_transfers:dense", "ports", _DEVICES, warm=16),
    Ladder(f"{_HERE}.scale_traces:files", "tokens", _TOKENS, warm=2_000),
    Ladder(f"{_HERE}.scale_traces:counts", "tokens", _TOKENS, (4_000,), warm=2_000),
    Ladder(f"{_HERE}.scale_traces:replays", "tokens", _TOKENS, warm=20_000),
    Ladder(f"{_HERE}.scale_wings:colocation", "devices", _DEVICES),
    Ladder(f"{_HERE}.scale_wings:timeline", "devices", _DEVICES, (64, 128), warm=64),
    Ladder(f"{_HERE}.scale_wings:serverless", "experts", (32, 64, 128, 256, 512), warm=8),
)


def run(setting: Setting) -> Report:
    """Measure every operation at every size of its ladder."""
    chosen = [(each, each.quick if setting.quick else each.sizes) for each in LADDERS]
    report = Report()
    trials: list[Trial] = []
    for ladder, sizes in chosen:
        if sizes:
            cold = replace(ladder, warm=None) if setting.quick else ladder
            runs = climbed(cold, sizes, setting.say)
            trials += trials_of(ladder, runs)
            report.tables.append(table_of(ladder, runs))
    note = (
        f"growth is fitted over the {FITTED} largest sizes, by the program's own processor time"
        " (not the kernel's for it) and by the memory that an operation adds;"
        f" not told below {LEAST_S} s or {memory_text(LEAST_BYTES)}"
    )
    report.add(report_of("scale", trials, note))
    return report


def climbed(ladder: Ladder, sizes: Sequence[int], say: Callable[[str], None]) -> dict[int, Run]:
    """Run a scene at each size, until one does not end."""
    runs: dict[int, Run] = {}
    for size in sizes:
        runs[size] = run_scene(ladder.scene, size, LIMIT_S, ladder.warm)
        say(f"  {ladder.scene.split(':')[1]} at {size:,} {ladder.unit}")
        if runs[size].failure:
            break
    return runs


def trials_of(ladder: Ladder, runs: dict[int, Run]) -> list[Trial]:
    """Return what was tried and what went wrong: an operation at all sizes is one trial."""
    trials = [
        Trial(name, len(found), tuple(_failures(found)), _seen(found))
        for name, found in _by_step(runs.values()).items()
    ]
    stopped = tuple(
        f"at {size} {ladder.unit}: {r.failure}" for size, r in runs.items() if r.failure
    )
    if stopped:
        trials.append(Trial(f"{ladder.scene} to its end", len(runs), stopped))
    return trials


def growth(counts: Iterable[float], values: Iterable[float], least: float) -> float | None:
    """Return the exponent of growth over the largest sizes, ``None`` if too little is known.

    Least squares of logarithms over the values that are at least `least`, three of them or more.
    """
    known = [(c, v) for c, v in zip(counts, values, strict=True) if v >= least][-FITTED:]
    if len(known) < 3 or known[0][0] == known[-1][0]:
        return None
    count, value = np.log(np.array(known)).T
    return float(np.polyfit(count, value, 1)[0])


def table_of(ladder: Ladder, runs: dict[int, Run]) -> Table:
    """Return the operations of a ladder at its largest size, with their growth."""
    columns = [
        Column("operation"),
        Column("of", ",d"),
        Column(""),
        Column("CPU s", ".2f"),
        Column("wall s", ".2f"),
        Column("peak"),
        Column("time ~", ".2f"),
        Column("memory ~", ".2f"),
        Column("promised", ".2f"),
    ]
    rows: list[list[Cell]] = []
    for name, found in _by_step(runs.values()).items():
        last = found[-1]
        peak = memory_text(last.peak_bytes)
        promised = None if last.limited_s else last.exponent
        told: list[Cell] = [name, last.count, last.unit, last.cpu_s, last.wall_s, peak]
        rows.append([*told, *_growths(found), promised])
    return Table(f"{max(runs):,} {ladder.unit}: {ladder.scene.split(':')[1]}", columns, rows)


def _growths(found: list[Measured]) -> list[float | None]:
    if found[-1].limited_s is not None:
        return [None, None]
    counts = [each.count for each in found]
    seconds = growth(counts, (each.cpu_s for each in found), LEAST_S)
    return [seconds, growth(counts, (each.more_bytes for each in found), LEAST_BYTES)]


def _failures(found: list[Measured]) -> Iterable[str]:
    last = found[-1]
    for name, exponent in zip(("time", "memory"), _growths(found), strict=True):
        if exponent is not None and exponent > last.exponent + SLACK:
            told = ", ".join(f"{each.count} in {each.cpu_s:.2f} s" for each in found)
            yield (
                f"{name} grows with exponent {exponent:.2f} of its {last.unit},"
                f" {last.exponent:g} promised ({told})"
            )
    for each in found:
        limit = each.limited_s
        if limit is not None and each.wall_s > limit * (1 + OVER_SHARE) + OVER_S:
            yield f"takes {each.wall_s:.1f} s at {each.count} {each.unit}, limit {limit:g} s"
        if each.peak_bytes > MOST_BYTES:
            yield f"takes {memory_text(each.peak_bytes)} at {each.count} {each.unit}"


def _seen(found: list[Measured]) -> str:
    last = found[-1]
    return f"{last.count:,} {last.unit}: {last.cpu_s:.2f} s, {memory_text(last.peak_bytes)} at most"


def _by_step(runs: Iterable[Run]) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {}
    for each in runs:
        for measured in each.measured:
            found.setdefault(measured.step, []).append(measured)
    return found
