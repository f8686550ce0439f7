"""Hostile files by name, read in processes of their own whose time and memory are measured."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from moeopt.bench.reliability.trial import Trial

#: Processes that may die before the rest of a family's files is given up.
_MOST_DEATHS = 5


def named(family: str, names: Sequence[str], stride: int = 1) -> Trial:
    """Let readers read all that is hostile to them.

    Parameters
    ----------
    family
        What the readers are called together.
    names
        The readers.
    stride
        Take each such file only.
    """
    failures: list[str] = []
    seconds, extra, count, begin = 0.0, 0, 0, 0
    for _ in range(_MOST_DEATHS):
        file: dict[str, Any] = {}
        for file, verdict in _told(names, stride, begin):
            if verdict is None:
                failures.append(f"{file['target']}: {file['name']}: ended the process")
                continue
            count += 1
            seconds = max(seconds, verdict["seconds"])
            extra = max(extra, verdict["extra_bytes"])
            if verdict["failure"]:
                failures.append(f"{file['target']}: {file['name']}: {verdict['failure']}")
        if not file or verdict is not None:
            break
        begin = file["number"] + stride
    seen = f"at most {seconds:.2f} s and {extra / 2**20:.0f} MiB"
    return Trial(f"{family}, hostile by name", count, tuple(failures), seen)


def _told(
    names: Sequence[str], stride: int, begin: int
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Yield each file and what it did, ``None`` for the one at which the process ended."""
    with tempfile.TemporaryDirectory(prefix="moeopt-fuzz-") as work:
        arguments = [f"{work}/inside", str(stride), str(begin), *names]
        process = subprocess.run(
            [sys.executable, "-m", f"{__package__}.fuzz_measure", *arguments],
            capture_output=True,
            text=True,
            cwd=Path(work),
            check=False,
        )
    lines = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    for place in range(0, len(lines), 2):
        yield lines[place], lines[place + 1] if place + 1 < len(lines) else None
    if process.returncode and len(lines) % 2 == 0:
        said = " ".join(process.stderr.split())[-300:]
        raise RuntimeError(f"the process of hostile files did not begin, or end: {said}")
