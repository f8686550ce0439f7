"""How long an order takes to find: beside published figures, and how time grows with ports."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import Timing, measure
from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table
from moeopt.transfers.arrays import schedule
from moeopt.transfers.birkhoff import decompose, rounds_of

#: Ports, repeats, and the most seconds that the rounds of a dense matrix may take.
SIZES = (
    (4, 2000, 25e-6),
    (8, 500, None),
    (12, 500, 0.8e-3),
    (16, 200, None),
    (24, 100, None),
    (40, 50, 10e-3),
    (64, 20, None),
    (128, 5, 0.5),
    (320, 3, 10.0),
)

#: Matrices of each size up to 64 ports, timed in turn.
DRAWS = 10

#: FAST's published scheduling time by servers of 8 GPUs: its matrix has one line for each server.
FAST_S = {2: 3.1e-6, 4: 25e-6, 8: 221e-6, 12: 805e-6, 40: 77e-3}

#: Times below this are of calls, not of work: the growth is fitted above.
FIT_FROM = 24


def run(setting: Setting) -> Report:
    """Time dense matrices of real numbers, warm, on one core."""
    report = Report(data={"times": {}})
    rows: list[list[Cell]] = []
    medians = {}
    for ports, repeats, target in SIZES:
        if setting.quick and ports > 128:
            continue
        times, rounds = _times(ports, max(3, repeats // 10) if setting.quick else repeats)
        medians[ports] = times["kernel"].median_s
        milliseconds = [1e3 * times[name].median_s for name in ("kernel", "rounds_of", "schedule")]
        fast = FAST_S.get(ports)
        rows.append([ports, rounds, *milliseconds, None if fast is None else 1e3 * fast])
        report.data["times"][ports] = {name: found.to_dict() for name, found in times.items()}
        if target is not None:
            title = f"rounds of {ports} x {ports}, milliseconds"
            report.figures.append(Figure(title, milliseconds[0], 1e3 * target, ".3f"))
    columns = [Column("ports"), Column("rounds", ".0f"), Column("kernel ms", ".4f")]
    columns += [
        Column("rounds_of ms", ".4f"),
        Column("schedule ms", ".3f"),
        Column("FAST ms", ".4f"),
    ]
    note = "Dense matrices of real numbers, warm, one core, medians. schedule: problem, plan, bound"
    note += " and replay too. FAST: as published, on its machine, for as many servers."
    report.tables.append(Table("Time to find the rounds", columns, rows, note))
    report.figures += [_growth(medians), _memory(128 if setting.quick else 320)]
    return report


def _dense(ports: int, draw: int) -> FloatArray:
    traffic: FloatArray = 1e6 * np.random.default_rng([ports, draw]).random((ports, ports))
    np.fill_diagonal(traffic, 0.0)
    return traffic


def _times(ports: int, repeats: int) -> tuple[dict[str, Timing], float]:
    """Return the times of several matrices in turn, and how many rounds they have on average."""
    matrices = [_dense(ports, draw) for draw in range(DRAWS if ports <= 64 else 1)]
    lines = [max(m.sum(axis=0).max(), m.sum(axis=1).max()) for m in matrices]
    units = [
        np.ceil(matrix / line * 2.0**52).astype(np.int64)
        for matrix, line in zip(matrices, lines, strict=True)
    ]
    turns = {name: itertools.cycle(range(len(matrices))) for name in ("kernel", "rounds", "plan")}
    calls = {
        "kernel": lambda: decompose(units[next(turns["kernel"])]),
        "rounds_of": lambda: rounds_of(matrices[next(turns["rounds"])]),
        "schedule": lambda: schedule(matrices[next(turns["plan"])], 1e9, method="birkhoff"),
    }
    found = measure(calls, repeats=repeats, budget_s=30.0)
    return found, float(np.mean([len(decompose(unit)[0]) for unit in units]))


def _growth(medians: dict[int, float]) -> Figure:
    """Fit seconds = c * ports**exponent to the larger sizes."""
    ports = [n for n in medians if n >= FIT_FROM]
    exponent, _ = np.polyfit(np.log(ports), np.log([medians[n] for n in ports]), 1)
    note = f"fitted to {ports[0]} to {ports[-1]} ports, dense"
    return Figure("seconds grow as ports to the", float(exponent), None, ".2f", note)


#: A process that finds the rounds of a dense matrix and tells its peak memory before and after, in
#: kilobytes. What `resource` tells would include the parent's peak.
_PEAKS = """
import numpy as np
from pathlib import Path
from moeopt.transfers.birkhoff import rounds_of

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

rounds_of(np.ones((4, 4)))
matrix = np.random.default_rng(0).random(({ports}, {ports}))
before = peak()
rounds_of(matrix)
print(before, peak())
"""


def _memory(ports: int) -> Figure:
    """Return the peak memory of a process that finds the rounds of a dense matrix."""
    title = f"peak memory of {ports} ports, MiB"
    script = _PEAKS.format(ports=ports)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        # Only Linux has /proc.
        return Figure(title, None, None, ".0f", "this system does not tell")
    before, after = map(int, done.stdout.split())
    return Figure(title, after / 1024, None, ".0f", f"{before / 1024:.0f} before the rounds")
