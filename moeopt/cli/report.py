"""``moeopt report``: a plan as a page to look at, in one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from moeopt.cli import files, plans
from moeopt.cli.codes import DONE


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="write a plan as an HTML page: summary, pictures, tables, how to apply it",
        description="Write a plan as one HTML file that any browser opens, without a network: what"
        " it gains, how far it is from the best possible, pictures, tables, and how to apply it.",
    )
    parser.add_argument("plan", metavar="PLAN", help="the plan's file, or -")
    parser.add_argument(
        "--instance", help="its problem: a file, - or @wing/name; else sought in the library"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="(the plan's name with .html); - prints the page"
    )
    parser.add_argument("--quiet", action="store_true", help="do not say what was written")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from moeopt.core.errors import InstanceError
    from moeopt.report.page import report_html

    output = _output(args)
    files.require_writable(output)
    document = plans.read(args.plan, args.instance)
    problem = plans.problem_of(args.plan, args.instance, document)
    # What a solve of another problem claims is not told of this one.
    result = document.result if plans.made_for(problem, document) else None
    try:
        page = report_html(problem, document.plan, result, names=_names(args, problem))
    except InstanceError as error:
        if error.path.startswith("$"):
            raise error.under(f"{plans.shown(args.plan)}: $") from None
        raise
    files.write(output, page)
    if not args.quiet:
        print(f"moeopt: {output}: {len(page):,} bytes, open it in a browser", file=sys.stderr)
    return DONE


def _output(args: argparse.Namespace) -> str:
    """Return the file to write: beside the plan if none is named."""
    from moeopt.core.errors import InstanceError

    if args.output is not None:
        named: str = args.output
        return named
    if args.plan == files.STDOUT:
        rule = "must be given if the plan is read from standard input"
        raise InstanceError("-o", "<nothing>", rule, "name a file, or - for standard output")
    return str(Path(args.plan).with_suffix(".html"))


def _names(args: argparse.Namespace, problem: Any) -> Any:
    """Return what the files are called in the commands that apply the plan."""
    from moeopt.core.registry import wing_of
    from moeopt.report.wings import Names

    # A problem that was not named is the library's.
    instance = args.instance or f"@{wing_of(problem).name}/{problem.name}"
    return Names(
        plan="plan.json" if args.plan == files.STDOUT else args.plan,
        instance="instance.json" if instance == files.STDOUT else instance,
    )
