"""libFuzzer, through atheris: files that reach new code of the readers are edited further."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from moeopt.bench.reliability.trial import Trial

_EDGES = re.compile(r"cov: (\d+)")


def guided(family: str, names: Sequence[str], times: int, *, seed: int = 1) -> Trial:
    """Let readers read so many files, in a process of their own: libFuzzer ends its process.

    Parameters
    ----------
    family
        What the readers are called together.
    names
        The readers.
    times
        Files in all.
    seed
        Of libFuzzer.
    """
    options = (f"-runs={times}", f"-seed={seed}", "-timeout=60", "-rss_limit_mb=4096")
    with tempfile.TemporaryDirectory(prefix="moeopt-fuzz-") as work:
        ended = subprocess.run(
            [sys.executable, "-m", f"{__package__}.fuzz_atheris", work, *options, *names],
            capture_output=True,
            text=True,
            errors="replace",
            cwd=work,
            check=False,
        )
        count = _size(Path(work) / "count")
        failures = _lines(Path(work) / "failures")
    if ended.returncode != 0:
        tail = " ".join(ended.stderr.split())[-300:]
        failures.append(f"the process ended with {ended.returncode}: {tail}")
    edges = [int(found) for found in _EDGES.findall(ended.stderr)]
    reached = f"{max(edges, default=0):,} edges"
    return Trial(f"{family}, guided by coverage", count, tuple(failures), reached)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", "replace").splitlines() if path.exists() else []
