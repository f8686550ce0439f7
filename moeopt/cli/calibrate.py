"""``moeopt calibrate``: an instance's constants fitted to what a run recorded."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from moeopt.cli import files
from moeopt.cli.codes import DONE, NO_PLAN


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "calibrate",
        help="fit a serverless instance's constants to what was measured",
        description="Fit delays, rates, seconds of a token and memory to recordings of"
        " moeopt run --adapter lambda --record, and write the instance with them. What the"
        " recordings do not show stays as it is.",
    )
    parser.add_argument("recordings", metavar="RECORDING", nargs="+", help="files of records")
    parser.add_argument(
        "--instance",
        metavar="INSTANCE",
        required=True,
        help="what was run: a file, - or @wing/name",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the instance; - is stdout")
    parser.add_argument("--json", action="store_true", help="print the fits as JSON, no tables")
    parser.add_argument("--quiet", action="store_true", help="no tables")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit, print and write; 3 if no plan could keep the rules of the instance that comes out."""
    from moeopt.adapters.aws_lambda.calibrate import calibrated
    from moeopt.adapters.aws_lambda.record import read_recordings
    from moeopt.core.errors import InstanceError
    from moeopt.core.registry import wing_of
    from moeopt.core.table import print_tables
    from moeopt.io import problem_to_json, to_json

    if args.json and args.output == files.STDOUT:
        raise InstanceError("-o", "-", "must be a file if --json is given", "name one")
    files.require_writable(args.output)
    problem = files.read_problem(args.instance)
    wing = wing_of(problem)
    if wing.name != "serverless":
        path = f"{'<stdin>' if args.instance == '-' else args.instance}: $.problem"
        rule = "must be serverless"
        raise InstanceError(path, wing.name, rule, "name the instance that was run")
    found = calibrated(problem, read_recordings(args.recordings))
    if args.json:
        files.write_stdout(to_json(found.document()))
    elif args.output != files.STDOUT and not args.quiet:
        print_tables(found.tables())
    impossible = wing.impossible(found.problem)
    for violation in impossible:
        print(f"moeopt: with what was fitted there is no plan: {violation}", file=sys.stderr)
    if impossible:
        return NO_PLAN
    if args.output is not None:
        files.write(args.output, problem_to_json(found.problem))
    return DONE
