"""``moeopt solve``: an instance in, a plan with its proof out."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from moeopt.cli import files, progress
from moeopt.cli.codes import DONE, NO_PLAN
from moeopt.core import interrupts


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "solve",
        help="solve an instance and prove how good the plan is",
        description="Solve an instance: tables for people, or its plan as JSON.",
    )
    parser.add_argument(
        "instance",
        metavar="INSTANCE",
        nargs="?",
        help="a JSON file, - for standard input, or @wing/name from the library",
    )
    parser.add_argument("--method", default="auto", help="see --list-methods (default: auto)")
    parser.add_argument("--time-limit", type=float, metavar="S", help="seconds for the whole solve")
    parser.add_argument(
        "--gap", type=float, default=0.0, help="stop within this relative gap, 0.01 is 1 %% (0)"
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same plan (0)")
    parser.add_argument("--workers", type=int, default=1, help="threads a solver may use (1)")
    parser.add_argument("--warm-start", metavar="PLAN", help="a plan to start from")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the plan; - is stdout")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON, no tables")
    parser.add_argument("--list-methods", action="store_true", help="list the methods and stop")
    parser.add_argument("--quiet", action="store_true", help="no tables and no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Solve, print and write; 3 without a plan."""
    if args.list_methods:
        return _list_methods(args)
    if args.instance is None:
        from moeopt.core.errors import InstanceError

        remedy = "name a file or @wing/name, or ask for --list-methods"
        raise InstanceError("INSTANCE", "<missing>", "must be given", remedy)
    from moeopt.core.solve import solve
    from moeopt.io import load_plan

    files.require_writable(args.output)
    problem = files.read_problem(args.instance)
    warm_start = files.read(load_plan, args.warm_start) if args.warm_start else None
    # Until the plan is written: one that was found is not lost to a Ctrl-C that comes late.
    with interrupts.heard():
        with progress.shown(args.quiet, args.time_limit) as listener, files.nothing_on_stdout():
            result = solve(
                problem,
                args.method,
                time_limit_s=args.time_limit,
                gap=args.gap,
                seed=args.seed,
                workers=args.workers,
                warm_start=warm_start,
                progress=listener,
            )
        return _tell(args, problem, result)


def _tell(args: argparse.Namespace, problem: Any, result: Any) -> int:
    from moeopt.io import result_to_json

    json_wanted = args.json or args.output == files.STDOUT
    if json_wanted or (args.output and result.plan is not None):
        document = result_to_json(problem, result)
        if args.output not in (None, files.STDOUT) and result.plan is not None:
            files.write(args.output, document)
        if json_wanted:
            files.write_stdout(document)
    if result.plan is None:
        _say_no_plan(args.instance, result)
        return NO_PLAN
    if not json_wanted and not args.quiet:
        from moeopt.core.registry import wing_of
        from moeopt.core.table import print_tables

        print_tables(wing_of(problem).summarise(problem, result.plan, result))
    return DONE


def _say_no_plan(instance: str, result: Any) -> None:
    """Say on standard error which constraints cannot hold and by how much."""
    if not result.violations:
        limit = result.limit.value
        ended = "; " if limit == "none" else f" within its {limit} limit; allow more time, or "
        # What a method's only way would break, if it has one and tells.
        for broken in result.statistics.get("breaks", []):
            print(f"moeopt: {instance}: {result.method} would break {broken}", file=sys.stderr)
        print(
            f"moeopt: {instance}: {result.status.value}: method {result.method} found no plan"
            f"{ended}try another method",
            file=sys.stderr,
        )
    for violation in result.violations:
        print(
            f"moeopt: {instance}: infeasible: {violation} (off by {violation.amount:g})",
            file=sys.stderr,
        )


def _list_methods(args: argparse.Namespace) -> int:
    from moeopt.core.registry import wing_named, wing_names, wing_of

    if args.instance is None:
        wings = [wing_named(name) for name in wing_names()]
    else:
        wings = [wing_of(files.read_problem(args.instance))]
    if args.json:
        from moeopt.io import to_json

        files.write_stdout(to_json({w.name: _as_json(w) for w in wings}))
        return DONE
    from moeopt.core.table import Column, Table, print_tables

    columns = [Column("method"), Column("is"), Column("does")]
    print_tables(
        Table(
            f"methods of {wing.name}",
            columns,
            [[m.name, ", ".join(_capabilities(m)), m.summary] for m in wing.methods.values()],
        )
        for wing in wings
    )
    return DONE


def _as_json(wing: Any) -> list[dict[str, Any]]:
    return [
        {"method": m.name, "summary": m.summary, "capabilities": _capabilities(m)}
        for m in wing.methods.values()
    ]


def _capabilities(method: Any) -> list[str]:
    from dataclasses import asdict

    return [name.replace("_", " ") for name, has in asdict(method.capabilities).items() if has]
