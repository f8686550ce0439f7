"""``moeopt sweep``: a frontier of one instance, or many instances at once, in parallel."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moeopt.cli import files, progress
from moeopt.cli.codes import DONE, NO_PLAN

#: What may be swept; the same as `moeopt.placement.frontiers.Kind`, which a parser need not load.
FRONTIERS = ("slots", "locality", "devices", "moves")

#: Where the solves may run; the same as `moeopt.core.parallel.Backend`.
BACKENDS = ("serial", "loky", "ray", "dask")

_EPILOG = """\
frontiers, and what --from, --to and --step count:
  slots     balance against redundant slots of each layer
  locality  balance against tokens that cross nodes; prices of such a token
  devices   seconds against devices
  moves     balance against bytes copied from the previous plan"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "sweep",
        help="draw a frontier of an instance, or solve many instances, in parallel",
        description="Draw a frontier of one placement instance, or solve many instances.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "instances",
        metavar="INSTANCE",
        nargs="+",
        help="JSON files, - or @wing/name; without --frontier also folders of files",
    )
    parser.add_argument("--frontier", choices=FRONTIERS, help="what to sweep (see below)")
    parser.add_argument("--from", dest="first", type=float, metavar="X", help="first value")
    parser.add_argument("--to", dest="last", type=float, metavar="X", help="last value")
    parser.add_argument("--step", type=float, metavar="X", help="from one value to the next")
    parser.add_argument("--method", default="auto", help="of every solve (auto)")
    parser.add_argument("--time-limit", type=float, metavar="S", help="seconds of every solve")
    parser.add_argument("--seed", type=int, default=0, help="of every solve (0)")
    parser.add_argument("--workers", type=int, metavar="N", help="solves at a time (all cores)")
    parser.add_argument("--backend", choices=BACKENDS, default="loky", help="where (loky)")
    parser.add_argument(
        "--address", help="of a cluster: auto or ray://host:10001, tcp://host:8786 for Dask"
    )
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="a frontier's JSON file; else a folder for plans"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, no tables")
    parser.add_argument("--quiet", action="store_true", help="no tables and no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sweep; 3 if an instance, or every point of a frontier, has no plan."""
    return _frontier(args) if args.frontier else _many(args)


def _frontier(args: argparse.Namespace) -> int:
    from moeopt.core.errors import InstanceError
    from moeopt.placement.frontier_cases import Span
    from moeopt.placement.frontier_tables import tables
    from moeopt.placement.frontiers import Asked, frontier
    from moeopt.placement.problem import PlacementProblem

    if len(args.instances) > 1:
        rule = "must be one instance with --frontier"
        raise InstanceError("INSTANCE", args.instances[1], rule, "sweep one after the other")
    files.require_writable(args.output)
    (name,) = args.instances
    problem = files.read_problem(name)
    if not isinstance(problem, PlacementProblem):
        tag = str(type(problem).__struct_config__.tag)
        raise InstanceError(f"{name}: $.problem", tag, "must be placement", "leave out --frontier")
    asked = Asked(
        span=Span(args.first, args.last, args.step),
        method=args.method,
        time_limit_s=args.time_limit,
        seed=args.seed,
        run=_runner(args),
    )
    with files.nothing_on_stdout():
        found = files.read(lambda _: frontier(problem, args.frontier, asked), name)
    document = _document(problem, found) if args.json or args.output else b""
    if args.output is not None:
        files.write(args.output, document)
    if args.json and args.output != files.STDOUT:
        files.write_stdout(document)
    _print(args, lambda: tables(found))
    if any(point.plan is not None for point in found.points):
        return DONE
    print(f"moeopt: {name}: no point of the frontier has a plan", file=sys.stderr)
    return NO_PLAN


def _document(problem: Any, found: Any) -> bytes:
    from moeopt.io import problem_sha256, to_json

    return to_json(
        {
            "frontier": found.kind,
            "version": 1,
            "problem_sha256": problem_sha256(problem),
            "cost": found.cost,
            "points": [point.to_dict() for point in found.points],
        }
    )


def _many(args: argparse.Namespace) -> int:
    from moeopt.core.many import Solve, solve_all
    from moeopt.core.parallel import Stopped

    _refuse_spans(args)
    names = _named(args.instances)
    plans = _plan_files(args.output, names)
    problems = [files.read_problem(name) for name in names]
    solves = [Solve(p, args.method, args.time_limit, seed=args.seed) for p in problems]
    stopped = None
    with files.nothing_on_stdout():
        try:
            results = solve_all(solves, _runner(args))
        except Stopped as early:
            stopped = early
            done = sorted(early.done)
            results = [early.done[i] for i in done]
            names, problems = [names[i] for i in done], [problems[i] for i in done]
            plans = [plans[i] for i in done] if plans else []
    if args.output is not None:
        _write_plans(Path(args.output), plans, problems, results)
    if args.json:
        from moeopt.io import to_json

        records = zip(names, results, strict=True)
        files.write_stdout(to_json([{"instance": n, **r.to_dict()} for n, r in records]))
    for name, result in zip(names, results, strict=True):
        if result.plan is None:
            print(f"moeopt: {name}: {result.why()}", file=sys.stderr)
    if results:
        _print(args, lambda: [_table(names, results)])
    if stopped is not None:
        raise stopped
    return NO_PLAN if any(result.plan is None for result in results) else DONE


def _refuse_spans(args: argparse.Namespace) -> None:
    from moeopt.core.errors import InstanceError

    for option, value in (("--from", args.first), ("--to", args.last), ("--step", args.step)):
        if value is not None:
            rule = "must be left out without --frontier"
            raise InstanceError(option, value, rule, f"name one of {', '.join(FRONTIERS)}")


def _named(given: list[str]) -> list[str]:
    """Return the instances; a folder stands for its JSON files, by name."""
    from moeopt.core.errors import InstanceError

    names: list[str] = []
    for name in given:
        if name == files.STDOUT or name.startswith("@") or not Path(name).is_dir():
            names.append(name)
            continue
        found = sorted(str(path) for path in Path(name).glob("*.json"))
        if not found:
            rule = "must have instances in it"
            raise InstanceError(name, "<no *.json>", rule, "name another folder")
        names += found
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InstanceError("INSTANCE", twice, "must be given once", "leave one of them out")
    return names


def _plan_files(folder: str | None, names: list[str]) -> list[str]:
    """Return each plan's file name in a folder that can be made; all must differ."""
    from moeopt.core.errors import InstanceError

    if folder is None:
        return []
    if folder == files.STDOUT:
        raise InstanceError("-o", "-", "must be a folder: there may be several plans", "or --json")
    if not Path(folder).is_dir():
        files.require_writable(folder)
        if Path(folder).exists():
            raise InstanceError("-o", folder, "must be a folder", "name another one")
    plans = [_plan_file(name) for name in names]
    for i, plan in enumerate(plans):
        if plan in plans[:i]:
            rule = f"must not have the plan's file {plan} in common with another instance"
            raise InstanceError("INSTANCE", names[i], rule, "sweep them into two folders")
    return plans


def _plan_file(name: str) -> str:
    if name == files.STDOUT:
        return "stdin.json"
    stem = name[1:].replace("/", "-") if name.startswith("@") else Path(name).stem
    return f"{stem}.json"


def _write_plans(folder: Path, plans: list[str], problems: list[Any], results: list[Any]) -> None:
    from moeopt.io import result_to_json

    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise files.unwritable(str(folder), error) from None
    for plan, problem, result in zip(plans, problems, results, strict=True):
        if result.plan is not None:
            files.write(str(folder / plan), result_to_json(problem, result))


def _table(names: list[str], results: list[Any]) -> Any:
    from moeopt.core.table import Column, Table

    columns = [
        Column("instance"),
        Column("objective", ".6g"),
        Column("bound", ".6g"),
        Column("gap %", ".3f"),
        Column("s", ".2f"),
        Column(""),
    ]
    rows = [
        [
            _shortened(name),
            result.objective,
            result.bound,
            None if result.gap is None else 100.0 * result.gap,
            result.runtime_s,
            result.status.value.replace("_", " "),
        ]
        for name, result in zip(names, results, strict=True)
    ]
    seconds = sum(result.runtime_s for result in results)
    footer = [f"{len(names)} instances", None, None, None, seconds, ""]
    return Table("Solved apart, seconds each in its worker", columns, rows, footer=footer)


#: Characters of an instance's name in a table.
_WIDTH = 28


def _shortened(name: str) -> str:
    """Return the name without its folder, its end where it is long."""
    name = name if name.startswith("@") else Path(name).stem
    return name if len(name) <= _WIDTH else "…" + name[1 - _WIDTH :]


def _runner(args: argparse.Namespace) -> Callable[[Any, Any], list[Any]]:
    from moeopt.core.parallel import run_all

    how = {"workers": args.workers, "backend": args.backend, "address": args.address}

    def run(call: Any, arguments: Any) -> list[Any]:
        # The bar is gone before tables are printed where it stood.
        with progress.counted(args.quiet) as advance:
            return run_all(call, arguments, **how, progress=advance)

    return run


def _print(args: argparse.Namespace, tables: Callable[[], Any]) -> None:
    if args.json or args.quiet or args.output == files.STDOUT:
        return
    from moeopt.core.table import print_tables

    print_tables(tables())
