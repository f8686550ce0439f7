"""``moeopt check``: whether a plan, whoever made it, keeps every constraint; and its value."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from moeopt.cli import files, plans
from moeopt.cli.codes import BAD_INPUT, DONE


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="check a plan against an instance and evaluate it",
        description="List every constraint that a plan breaks (exit 2), or its value (exit 0).",
    )
    parser.add_argument("instance", metavar="INSTANCE", help="a file, - or @wing/name")
    parser.add_argument("plan", metavar="PLAN", help="the plan's file, or -")
    parser.add_argument("--json", action="store_true", help="print JSON, no tables")
    parser.add_argument("--quiet", action="store_true", help="no tables, only what is wrong")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, print; 2 for a plan that breaks a constraint."""
    from moeopt.core.errors import InstanceError
    from moeopt.core.registry import wing_of
    from moeopt.io import load_plan_document

    if args.instance == args.plan == files.STDOUT:
        raise InstanceError("PLAN", "-", "must be a file if INSTANCE is -", "save one of them")
    problem = files.read_problem(args.instance)
    document = files.read(load_plan_document, args.plan)
    wing = wing_of(problem)
    if not isinstance(document.plan, wing.plan_type):
        tag = type(document.plan).__struct_config__.tag
        raise InstanceError(f"{args.plan}: $.plan", tag, f"must be {wing.name}", "give its plan")
    broken = wing.violations(problem, document.plan)
    objective = None if broken else wing.evaluate(problem, document.plan).objective
    notes = _doubts(problem, document, objective)
    for line in notes:
        print(f"moeopt: {args.plan}: {line}", file=sys.stderr)
    if args.json:
        _print_json(broken, objective, notes)
    elif not broken and not args.quiet:
        from moeopt.core.table import print_tables

        # Bounds of another problem would stand beside this one's loads.
        result = document.result if plans.made_for(problem, document) else None
        print_tables(wing.summarise(problem, document.plan, result))
        print(f"\n{args.plan}: valid, objective {objective:.6g}")
    for violation in broken:
        print(
            f"moeopt: {args.plan}: {violation} (off by {violation.amount:g})",
            file=sys.stderr,
        )
    return BAD_INPUT if broken else DONE


def _doubts(problem: Any, document: Any, objective: float | None) -> list[str]:
    """Return where the plan's file disagrees with what we find: its claims are not trusted."""
    from moeopt.core.result import OPTIMALITY_TOLERANCE, exceeds

    found = []
    if not plans.made_for(problem, document):
        found.append(
            "$.problem_sha256: the plan was made for another problem, or this one has changed since"
        )
    if document.result is None or objective is None:
        return found
    claimed, bound = document.result.objective, document.result.bound
    if claimed is not None and abs(claimed - objective) > OPTIMALITY_TOLERANCE * abs(objective):
        found.append(f"$.result.objective: claims {claimed:.9g}, the plan has {objective:.9g}")
    if bound is not None and exceeds(bound, objective):
        found.append(f"$.result.bound: claims {bound:.9g}, above the plan's {objective:.9g}")
    return found


def _print_json(broken: list[Any], objective: float | None, notes: list[str]) -> None:
    from moeopt.io import to_json

    report = {
        "valid": not broken,
        "objective": objective,
        "violations": [violation.to_dict() for violation in broken],
        "notes": notes,
    }
    files.write_stdout(to_json(report))
