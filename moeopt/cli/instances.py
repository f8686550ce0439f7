"""``moeopt instances``: the library of instances."""

from __future__ import annotations

import argparse
from typing import Any

from moeopt.cli import files
from moeopt.cli.codes import DONE


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "instances",
        help="list the library of instances",
        description="List the instances that travel with moeopt: @NAME solves one.",
    )
    parser.add_argument(
        "pattern", metavar="PATTERN", nargs="?", default="", help="part of a name, or tiny-*"
    )
    parser.add_argument("--json", action="store_true", help="print the index as JSON")
    parser.add_argument("--quiet", action="store_true", help="no tables")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the instances whose name matches."""
    from moeopt.core.errors import InstanceError
    from moeopt.core.table import Column, Table, print_tables
    from moeopt.library import entries

    found = entries(args.pattern)
    if not found:
        raise InstanceError(
            "PATTERN", args.pattern, "must match an instance", "`moeopt instances` lists all"
        )
    if args.json:
        from moeopt.io import to_json

        files.write_stdout(to_json(found))
        return DONE
    if args.quiet:
        return DONE
    columns = [Column("name"), Column("size"), Column("best", ".6g"), Column("bound", ".6g")]
    rows = [["@" + e.name, e.size, e.best_objective, e.best_bound] for e in found]
    print_tables([Table(f"{len(found)} instances", columns, rows)])
    return DONE
