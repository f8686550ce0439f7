"""``moeopt export``: the exact model of an instance, for any solver."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from moeopt.cli import files
from moeopt.cli.codes import DONE, NO_PLAN


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "export",
        help="write the exact model of an instance as MPS or LP",
        description="Write the exact model. One file for each model: with several, model.mps"
        " becomes model-layer0.mps and so on.",
    )
    parser.add_argument("instance", metavar="INSTANCE", help="a file, - or @wing/name")
    parser.add_argument("--format", choices=("mps", "lp"), required=True)
    parser.add_argument("-o", "--output", metavar="FILE", required=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build the models and write them; 3 if no plan exists."""
    from moeopt.core.errors import InstanceError
    from moeopt.core.registry import wing_of

    if args.output == files.STDOUT:
        raise InstanceError("-o", "-", "must be a file: there may be several", "name one")
    files.require_writable(args.output)
    problem = files.read_problem(args.instance)
    wing = wing_of(problem)
    impossible = wing.impossible(problem)
    for violation in impossible:
        print(f"moeopt: {args.instance}: infeasible: {violation}", file=sys.stderr)
    if impossible:
        return NO_PLAN
    models = list(files.read(lambda _: wing.build(problem), args.instance))
    for model, path in zip(models, paths(args.output, len(models)), strict=True):
        _write(args.format, model, path)
        print(path)
    return DONE


def paths(output: str, count: int) -> list[Path]:
    """Return the file of each of `count` models."""
    path = Path(output)
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-layer{i}{path.suffix}") for i in range(count)]


def _write(form: str, model: Any, path: Path) -> None:
    from moeopt.mip.export import write_lp, write_mps

    try:
        (write_mps if form == "mps" else write_lp)(model, path)
    except OSError as error:
        raise files.unwritable(str(path), error) from None
