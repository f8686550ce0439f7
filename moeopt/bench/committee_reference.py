"""The reference model with real committees: loss and latency against memory, the paper's and ours.

The scripts are the repository's own; what a wheel brings has neither them nor the weights.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import moeopt
from moeopt.bench.buffering_real import missing_here
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.table import Cell, Column, Table

#: Beside the package in the repository: loss on many streams, and one stream run for its time.
LOSS = Path("examples", "reference_moe", "committee_quality.py")
TIME = Path("examples", "reference_moe", "run_committee.py")

#: What is run, in full and quickly. Experts sixteen times their size take a while to read.
_LOSS = ("--device", "cpu", "--json", "--show", "main")
_TIME = ("--device", "cpu", "--json", "--expert-copies", "16")
_QUICK_LOSS = (*_LOSS, "--seeds", "1", "--bytes", "512", "--shares", "0.3", "0.7")
_QUICK_TIME = (*_TIME, "--tokens", "16", "--warm-up", "16", "--repeats", "1", "--shares", "0.5")

#: Most seconds that a script may take.
_LIMIT_S = 1200.0

_NAME = "real committees: seeds and budgets where ours loses more than the paper's"


def run(setting: Setting) -> Report:
    """Run both scripts in processes of their own, or say how to."""
    loss = _QUICK_LOSS if setting.quick else _LOSS
    time = _QUICK_TIME if setting.quick else _TIME
    missing = missing_here()
    if missing:
        return _untold(f"{missing}; run {_command(LOSS, loss)} and {_command(TIME, time)}")
    try:
        return told(_printed(LOSS, loss), _printed(TIME, time))
    except subprocess.TimeoutExpired:
        return _untold(f"not done in {_LIMIT_S:.0f} s")
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        return _untold(f"failed: {said[-1] if said else error}")


def told(loss: dict[str, Any], time: dict[str, Any]) -> Report:
    """Return a report of what the scripts printed.

    Parameters
    ----------
    loss, time
        What each printed, read.
    """
    excess = {row["name"]: row["excess"] for row in loss["rows"]}
    apart = [
        ours - paper
        for paper_seed, ours_seed in zip(excess["paper"], excess["ours"], strict=True)
        for paper, ours in zip(paper_seed, ours_seed, strict=True)
    ]
    worse = sum(one > 0 for one in apart)
    note = f"of {len(apart)}; most {max(apart):+.3f} nats a byte, least {min(apart):+.3f}"
    return Report(
        [_losses(loss), _times(time)],
        [Figure(_NAME, float(worse), 0.0, ".0f", note)],
        {"real_committees": {"loss": loss, "time": time}},
    )


def _losses(loss: dict[str, Any]) -> Table:
    """Return nats a byte above all experts resident, in the mean over the seeds."""
    columns = [Column("experts"), *(Column(f"{share:.0%}", ".3f") for share in loss["shares"])]
    rows: list[list[Cell]] = [["memory, MB", *loss["memory_mb"]]]
    rows += [[row["name"], *_means(row["excess"])] for row in loss["rows"]]
    rows += [
        [f"loads a window, {row['name']}", *_means(row["loads"])]
        for row in loss["rows"]
        if any(map(any, row["loads"]))
    ]
    note = f"{len(loss['original'])} seeds; original: {fmean(loss['original']):.4f} nats a byte"
    return Table("Real committees: nats a byte lost on held-out text", columns, rows, note)


def _means(seeds: list[list[float]]) -> list[float]:
    """Return the mean over the seeds at each budget."""
    return [fmean(budget) for budget in zip(*seeds, strict=True)]


def _times(time: dict[str, Any]) -> Table:
    """Return milliseconds a byte of one stream."""
    columns = [
        Column("experts", ".0%"),
        Column("way"),
        Column("slots"),
        Column("ms a byte", ".2f"),
        Column("least", ".2f"),
        Column("nats a byte", ".3f"),
        Column("loads", ".0f"),
    ]
    rows = [
        [
            row["share"],
            row["name"],
            row["slots"],
            median(row["ms"]),
            min(row["ms"]),
            row["loss"],
            row["loads"],
        ]
        for row in time["rows"]
    ]
    note = f"{time['tokens']} bytes one by one; an expert of {time['expert_bytes']:,} bytes"
    return Table("Real committees: latency, and on demand", columns, rows, note)


def _printed(script: Path, arguments: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(Path(moeopt.__file__).parents[1] / script), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=_LIMIT_S,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _command(script: Path, arguments: Sequence[str]) -> str:
    return " ".join(["python", script.as_posix(), *arguments])


def _untold(why: str) -> Report:
    return Report(figures=[Figure(_NAME, None, None, ".0f", why)], data={"real_committees": why})
