"""``moeopt show``: what a file says, in a few lines."""

from __future__ import annotations

import argparse
from typing import Any

from moeopt.cli import files
from moeopt.cli.codes import DONE


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "show",
        help="show what a problem or a plan says",
        description="Show what a problem or a plan says: sizes, fields, figures.",
    )
    parser.add_argument("file", metavar="FILE", help="a problem or a plan: a file, - or @wing/name")
    parser.add_argument("--json", action="store_true", help="print the document, arrays inline")
    parser.add_argument("--quiet", action="store_true", help="no tables")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the file."""
    from moeopt.core.table import print_tables
    from moeopt.io import PlanDocument, load_any, problem_to_json

    document: Any = files.read(load_any, args.file)
    plan = isinstance(document, PlanDocument)
    if args.json:
        files.write_stdout(_plan_json(document) if plan else problem_to_json(document))
    elif not args.quiet:
        print_tables(_plan_tables(document) if plan else _problem_tables(document))
    return DONE


def _problem_tables(problem: Any) -> list[Any]:
    from moeopt.core.registry import wing_of

    wing = wing_of(problem)
    sizes = [(name, f"{count:,}") for name, count in problem.sizes().items()]
    tables = [_facts(f"{wing.name} problem {problem.name}".rstrip(), [*sizes, *_fields(problem)])]
    impossible = wing.impossible(problem)
    if impossible:
        rows = [(v.constraint, f"{v.path}: {v.message}") for v in impossible]
        tables.append(_facts("no plan exists: these constraints cannot hold", rows))
    return tables


def _plan_tables(document: Any) -> list[Any]:
    from moeopt.core.registry import wing_of

    wing = wing_of(document.plan)
    tables = [_facts(f"{wing.name} plan", _fields(document.plan))]
    if wing.picture is not None:
        tables += wing.picture(document.plan)
    if document.result is not None:
        record = document.result.to_dict()
        statistics, found = record.pop("statistics"), record.pop("violations")
        record["history"] = _moments(record["history"])
        rows = [(name, _text(value)) for name, value in record.items()]
        rows += [(name, _text(value)) for name, value in statistics.items()]
        rows += [(v["constraint"], v["message"]) for v in found]
        tables.append(_facts("the result it came from", rows))
    return tables


def _plan_json(document: Any) -> bytes:
    from moeopt.io import plan_to_json

    return plan_to_json(document.plan, document.problem_sha256, document.result)


def _moments(history: Any) -> str | None:
    return f"{len(history)} moments until {history[-1][0]:g} s" if history else None


def _fields(document: Any) -> list[tuple[str, str]]:
    """Return the fields that differ from their defaults, in words."""
    import msgspec

    rows = []
    for field in msgspec.structs.fields(document):
        value = getattr(document, field.name)
        default = field.default
        if default is not msgspec.NODEFAULT and type(value) is type(default) and value == default:
            continue
        rows.append((field.name, _text(value)))
    return rows


def _text(value: Any) -> str:
    import numpy as np

    if isinstance(value, np.ndarray):
        shape = " x ".join(map(str, value.shape))
        if value.size == 0:
            return f"array {shape}"
        least, mean, most = value.min(), value.mean(), value.max()
        return f"array {shape}: {least:g} to {most:g}, mean {mean:g}"
    if value is None or isinstance(value, str | int | float):
        return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    from moeopt.io import to_json

    line = " ".join(to_json(value).decode().split())
    return line if len(line) <= 200 else line[:197] + "..."


def _facts(title: str, rows: list[tuple[str, str]]) -> Any:
    from moeopt.core.table import Column, Table

    return Table(title, [Column(""), Column("")], rows)
