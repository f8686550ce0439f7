"""What a user waits for at the command line, start of Python included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import Timing, timed
from moeopt.core.table import Cell, Column, Table

#: Arguments of the command line, and the seconds they may take with warm caches.
COMMANDS = (
    (("--help",), 0.2),
    (("solve", "@placement/deepseek-v3-288-32"), 2.0),
)

#: What a new user runs first.
_FIRST_RUN = COMMANDS[-1][0]


def run(setting: Setting) -> Report:
    """Time each command in processes of its own, after one run that warms the caches."""
    report = Report(data={"startup": {}})
    rows: list[list[Cell]] = []
    for arguments, target in COMMANDS:
        line = " ".join(["moeopt", *arguments])
        time = _wall(arguments, repeats=3 if setting.quick else 7)
        why = "" if time is not None else "the command failed"
        seconds = None if time is None else time.median_s
        rows.append([line, seconds, None if time is None else time.spread])
        report.figures.append(Figure(f"{line}, seconds", seconds, target, ".2f", why))
        report.data["startup"][line] = None if time is None else time.to_dict()
    if not setting.quick:
        _first_run(report, rows)
    columns = [Column("command"), Column("seconds", ".3f"), Column("spread", ".0%")]
    report.tables.append(
        Table("Wall clock of the command line, warm caches unless first", columns, rows)
    )
    return report


def _first_run(report: Report, rows: list[list[Cell]]) -> None:
    """Time one solve that has to compile every kernel, as a fresh installation does."""
    line = "moeopt " + " ".join(_FIRST_RUN)
    with tempfile.TemporaryDirectory(prefix="moeopt-cache-") as cache:
        seconds = timed(lambda: _call(_command(_FIRST_RUN), {"NUMBA_CACHE_DIR": cache}))
    rows.append([f"{line}, first", seconds, None])
    report.figures.append(Figure(f"{line}, first run ever, seconds", seconds, 30.0, ".1f"))
    report.data["startup"][f"{line}, first"] = seconds


def _wall(arguments: tuple[str, ...], repeats: int) -> Timing | None:
    """Return the time of a command, or ``None`` if it fails."""
    command = _command(arguments)
    try:
        _call(command)
        return Timing(tuple(timed(lambda: _call(command)) for _ in range(repeats)))
    except (OSError, subprocess.SubprocessError):
        return None


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "moeopt", *arguments]


def _call(command: list[str], variables: dict[str, str] | None = None) -> None:
    environment = {**os.environ, **(variables or {})}
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment)
