"""The reference model with a real cache of its experts: the stall measured, and as predicted.

The script is the repository's own; what a wheel brings has neither it nor the weights.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import moeopt
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.table import Cell, Column, Table

#: Beside the package in the repository.
SCRIPT = Path("examples", "reference_moe", "run_cache.py")

#: Of a processor whose host memory is filled from a file; three sizes of cache.
ARGUMENTS = ("--device", "cpu", "--slots", "8", "16", "32")

#: What is run: tokens, policies and repeats.
_FULL = ("--tokens", "128", "--policy", "inactive_lifo", "lru", "learned", "--repeats", "5")
_QUICK = ("--tokens", "16", "--policy", "lru", "--repeats", "1")

#: Most seconds that the script may take.
_LIMIT_S = 600.0

#: Headings of the first column of the table that the script prints, and of the one of interest.
_FIRST, _RATIO = "policy", "ratio"

_NAME = "real cache: measured stall over the predicted"


def run(setting: Setting) -> Report:
    """Run the script in a process of its own, or say how to."""
    arguments = (*ARGUMENTS, *(_QUICK if setting.quick else _FULL))
    missing = missing_here()
    if missing:
        command = " ".join(["python", SCRIPT.as_posix(), *arguments])
        return _untold(f"{missing}; run {command}")
    try:
        done = subprocess.run(
            [sys.executable, str(_script()), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return _untold(f"not done in {_LIMIT_S:.0f} s")
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        return _untold(f"failed: {said[-1] if said else error}")
    return told(done.stdout.splitlines())


def missing_here() -> str:
    """Return what the script lacks on this machine; nothing if it can be run."""
    if not _script().is_file():
        return "needs the repository"
    return "" if importlib.util.find_spec("torch") else "needs torch"


def told(lines: Sequence[str]) -> Report:
    """Return a report of what the script printed: its table, and the lines around it as a note.

    Parameters
    ----------
    lines
        Its standard output.
    """
    at = next((k for k, line in enumerate(lines) if line.split()[:1] == [_FIRST]), None)
    if at is None:
        return _untold("the script printed no table")
    headings = list(re.finditer(r"\S+(?: \S+)*", lines[at]))
    names = [heading.group() for heading in headings]
    # Numbers end where their headings do; the first column is of words.
    ends = [0, *(heading.end() for heading in headings[1:])]
    rows: list[list[Cell]] = []
    ratios = []
    for line in lines[at + 1 :]:
        first, *_ = line.split() or [""]
        cells = [line[len(first) : ends[1]], *map(line.__getitem__, map(slice, ends[1:], ends[2:]))]
        found = dict(zip(names, [first, *(cell.strip() for cell in cells)], strict=False))
        if not re.fullmatch(r"-?[0-9.]+", found.get(_RATIO, "")):
            break
        rows.append(list(found.values()))
        ratios.append(float(found[_RATIO]))
    around = [*lines[:at], *lines[at + 1 + len(rows) :]]
    columns = [Column(name) for name in names]
    table = Table("A real cache: stall and its prediction", columns, rows, "; ".join(around))
    note = f"least {min(ratios):.2f}, {len(ratios)} caches" if ratios else "no ratios were printed"
    figure = Figure(f"{_NAME}, most", max(ratios, default=None), None, ".2f", note)
    return Report([table], [figure], {"real_cache": {"columns": names, "rows": rows}})


def _script() -> Path:
    return Path(moeopt.__file__).parents[1] / SCRIPT


def _untold(why: str) -> Report:
    return Report(figures=[Figure(_NAME, None, None, ".2f", why)], data={"real_cache": why})
