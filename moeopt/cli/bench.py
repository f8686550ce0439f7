"""``moeopt bench``: workloads timed and judged, beside the peers on this machine."""

from __future__ import annotations

import argparse
from typing import Any

from moeopt.cli import files


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="run a benchmark",
        description="Run a named benchmark; the last lines are its figures.",
    )
    parser.add_argument("name", metavar="NAME", help="placement, ...")
    parser.add_argument("--quick", action="store_true", help="within 50 s on two cores")
    parser.add_argument(
        "--only",
        metavar="PART",
        nargs="+",
        action="extend",
        default=[],
        help="parts to run; all if left out",
    )
    parser.add_argument(
        "--peers", metavar="PATH", nargs="+", default=[], help="unpacked wheels to compare with"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures; - is stdout")
    parser.add_argument("--quiet", action="store_true", help="no tables and no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hand over to the benchmark's registry."""
    from moeopt.bench.command import run as run_benchmark

    files.require_writable(args.json, "--json")
    return run_benchmark(
        args.name,
        quick=args.quick,
        peers=args.peers,
        only=args.only,
        json_path=args.json,
        quiet=args.quiet,
    )
