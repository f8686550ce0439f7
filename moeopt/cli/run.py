"""``moeopt run``: a plan carried out by workers, checked and timed."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from moeopt.cli import files
from moeopt.cli.codes import DONE

#: Module of each adapter: its `Options` are the options that it takes, its `run_plan` runs.
_ADAPTERS = {"torch": "moeopt.adapters.torch.run"}

#: What adapters may be told, and what the torch adapter does without.
_OPTIONS: dict[str, dict[str, Any]] = {
    "trace": {"metavar": "FILE", "help": "what the tokens chose, as recorded (as the loads say)"},
    "world": {"type": int, "metavar": "N", "help": "workers (as many as the plan's devices)"},
    "backend": {"choices": ("gloo", "nccl"), "help": "(nccl if each worker has a GPU)"},
    "layers": {"metavar": "LIST", "help": "such as 0,4-7 (all)"},
    "tokens": {"type": int, "metavar": "T", "help": "of a worker in a step (512)"},
    "top_k": {"type": int, "metavar": "K", "help": "experts of a token (2)"},
    "hidden": {"type": int, "metavar": "H", "help": "width of a token (128)"},
    "inner": {"type": int, "metavar": "I", "help": "width of an expert (256)"},
    "dtype": {"choices": ("fp32", "bf16"), "help": "of tokens and weights (fp32)"},
    "steps": {"type": int, "metavar": "S", "help": "how often all is run and timed (5)"},
    "exchange": {
        "choices": ("auto", "single", "rounds", "spot"),
        "help": "all at once, in rounds planned or made on the spot, or the best of these (auto)",
    },
    "seed": {"type": int, "metavar": "N", "help": "of weights and tokens (0)"},
    "port_bytes": {
        "type": int,
        "metavar": "B",
        "help": "of the busiest port of a transfer plan (4194304)",
    },
}


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="run a plan on workers, check what comes out, and time it",
        description="Run a plan: every output is checked, measured times stand beside predicted.",
    )
    parser.add_argument("plan", metavar="PLAN", help="the plan's file, or -")
    parser.add_argument(
        "--adapter", choices=sorted(_ADAPTERS), default="torch", help="who runs it (torch)"
    )
    parser.add_argument(
        "--instance", help="its problem: a file, - or @wing/name; else sought in the library"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, no tables")
    _add_options(parser.add_argument_group("what is run; what is left out suits the plan"))
    parser.set_defaults(run=run)


def _add_options(group: Any) -> None:
    """Add what adapters may be told: what is not given is not handed on."""
    for name, how in _OPTIONS.items():
        group.add_argument("--" + name.replace("_", "-"), **how)


def run(args: argparse.Namespace) -> int:
    """Run the plan, print what was found."""
    import importlib

    from moeopt.core.errors import InstanceError
    from moeopt.core.registry import wing_of
    from moeopt.io import load_plan_document

    if args.instance == args.plan == files.STDOUT:
        rule = "must be a file if --instance is -"
        raise InstanceError("PLAN", "-", rule, "save one of them")
    adapter = importlib.import_module(_ADAPTERS[args.adapter])
    with _named(args.plan):
        options = adapter.Options(**_given(args, adapter.Options))
    document = files.read(load_plan_document, args.plan)
    problem = _problem(args, document)
    wing = wing_of(problem)
    if not isinstance(document.plan, wing.plan_type):
        tag = type(document.plan).__struct_config__.tag
        raise InstanceError(
            f"{_shown(args.plan)}: $.plan", tag, f"must be {wing.name}", "give its plan"
        )
    with _named(args.plan):
        report = adapter.run_plan(problem, document.plan, options)
    if args.json:
        from moeopt.io import to_json

        files.write_stdout(to_json(report.document()))
    else:
        from moeopt.core.table import print_tables

        print_tables(report.tables())
    return DONE


@contextlib.contextmanager
def _named(plan: str) -> Iterator[None]:
    """Let errors about an option, or about the plan, name it as the command line does."""
    from moeopt.core.errors import InstanceError

    try:
        yield
    except InstanceError as error:
        if error.path.startswith("$"):
            raise error.under(f"{_shown(plan)}: $") from None
        if error.path in _OPTIONS:
            option = "--" + error.path.replace("_", "-")
            raise InstanceError(option, error.value, error.rule, error.remedy) from None
        raise


def _shown(plan: str) -> str:
    return "<stdin>" if plan == "-" else plan


def _given(args: argparse.Namespace, options: Any) -> dict[str, Any]:
    """Return the options that were given, which the adapter must know."""
    import dataclasses

    from moeopt.core.errors import InstanceError

    known = {field.name for field in dataclasses.fields(options)}
    found = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    for name, value in found.items():
        if name not in known:
            rule = f"must not be given with --adapter {args.adapter}"
            raise InstanceError(name, value, rule, "leave it out")
    if "layers" in found:
        found["layers"] = _numbers(found["layers"])
    return found


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a list such as ``0,4-7``."""
    import re

    from moeopt.core.errors import InstanceError

    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= last - first <= 100_000:
            rule = "must be numbers and ranges, the lower end first"
            raise InstanceError("--layers", text, rule, "write them as 0,4-7")
        numbers += range(first, last + 1)
    return tuple(numbers)


def _problem(args: argparse.Namespace, document: Any) -> Any:
    """Return the plan's problem: the one that is named, or the library's that it was made for."""
    from moeopt.io import problem_sha256

    if args.instance is None:
        return _of_library(args.plan, document)
    problem = files.read_problem(args.instance)
    if document.problem_sha256 not in (None, problem_sha256(problem)):
        said = "$.problem_sha256: the plan was made for another problem, or this one has changed"
        print(f"moeopt: {_shown(args.plan)}: {said}", file=sys.stderr)
    return problem


def _of_library(plan: str, document: Any) -> Any:
    from moeopt.core.errors import InstanceError
    from moeopt.io import load_problem, problem_sha256
    from moeopt.library import entries

    wanted = document.problem_sha256
    tag = type(document.plan).__struct_config__.tag
    for entry in entries() if wanted is not None else ():
        if entry.wing == tag:
            problem = load_problem(f"@{entry.name}")
            if problem_sha256(problem) == wanted:
                return problem
    raise InstanceError(
        f"{_shown(plan)}: $.problem_sha256",
        "<none>" if wanted is None else wanted,
        "must be that of an instance of the library if --instance is not given",
        "name the plan's problem with --instance",
    )
