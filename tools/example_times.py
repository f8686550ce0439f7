"""Time the examples: ``python tools/example_times.py [--write] [NAME …]``.

Each runs twice, in a process and a folder of its own; the second run is what counts, because the
first may compile kernels. Those of PyTorch run small, on the processor. ``--write`` puts the
seconds into the table of ``examples/README.md``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TABLE = ROOT / "examples" / "README.md"

OPTIONS = {
    "torch_gating.py": ["--device", "cpu", "--small", "--experts-share", "2"],
    "torch_layer_time.py": [
        "--backend", "gloo", "--tokens", "48", "--hidden", "32", "--inner", "16",
        "--slots", "72", "--layers", "1",
    ],
    "torch_one_host.py": ["--backend", "gloo", "--world", "4", "--tiny"],
    "torch_ranks_in_turn.py": [
        "--backend", "gloo", "--tokens", "32", "--hidden", "32", "--inner", "16",
        "--experts", "16", "--top-k", "2", "--ranks", "4", "--slots", "20", "--layers", "1",
    ],
}  # fmt: skip


def seconds_of(example: Path) -> float:
    """Return how long an example takes once its kernels are compiled."""
    command = [sys.executable, str(example), *OPTIONS.get(example.name, [])]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            began = time.perf_counter()
            subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.DEVNULL,
                check=True,
            )
    return time.perf_counter() - began


def write(name: str, seconds: float) -> None:
    """Put the seconds of an example into its row: the third cell."""
    row = re.compile(rf"^(\| `{re.escape(name)}` \|[^|]*\|)[^|]*\|", re.MULTILINE)
    text = TABLE.read_text(encoding="utf-8")
    TABLE.write_text(row.sub(rf"\1 {seconds:.1f} |", text), encoding="utf-8")


def main() -> None:
    """Time each example, or those that are named."""
    parser = argparse.ArgumentParser(description="Time the examples.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as placement_replan.py")
    parser.add_argument("--write", action="store_true", help="into the table of the examples")
    args = parser.parse_args()
    for example in sorted((ROOT / "examples").glob("*.py")):
        if not args.names or example.name in args.names:
            seconds = seconds_of(example)
            print(f"{example.name:34}{seconds:6.1f} s", flush=True)
            if args.write:
                write(example.name, seconds)


if __name__ == "__main__":
    main()
