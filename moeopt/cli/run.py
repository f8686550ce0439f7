"""``moeopt run``: a plan carried out by workers, checked and timed."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

from moeopt.cli import files, plans
from moeopt.cli.codes import DONE
from moeopt.cli.numbers import numbers_of

#: Module of each adapter: its `Options` are the options that it takes, its `run_plan` runs.
_ADAPTERS = {"lambda": "moeopt.adapters.aws_lambda.run", "torch": "moeopt.adapters.torch.run"}

#: What adapters may be told, and what they do without: all of them, or one.
_ALL: dict[str, dict[str, Any]] = {
    "layers": {"metavar": "LIST", "help": "such as 0,4-7 (all)"},
    "steps": {"type": int, "metavar": "S", "help": "how often all is run and timed (5; lambda 3)"},
    "seed": {"type": int, "metavar": "N", "help": "of weights and tokens (0)"},
}
_TORCH: dict[str, dict[str, Any]] = {
    "trace": {"metavar": "FILE", "help": "what the tokens chose, as recorded (as the loads say)"},
    "world": {"type": int, "metavar": "N", "help": "workers (as many as the plan's devices)"},
    "backend": {"choices": ("gloo", "nccl"), "help": "(nccl if each worker has a GPU)"},
    "tokens": {"type": int, "metavar": "T", "help": "of a worker in a step (512)"},
    "top_k": {"type": int, "metavar": "K", "help": "experts of a token (2)"},
    "hidden": {"type": int, "metavar": "H", "help": "width of a token (128)"},
    "inner": {"type": int, "metavar": "I", "help": "width of an expert (256)"},
    "dtype": {"choices": ("fp32", "bf16"), "help": "of tokens and weights (fp32)"},
    "exchange": {
        "choices": ("auto", "single", "rounds", "spot"),
        "help": "all at once, in rounds planned or made on the spot, or the best of these (auto)",
    },
    "port_bytes": {
        "type": int,
        "metavar": "B",
        "help": "of the busiest port of a transfer plan (4194304)",
    },
}
_LAMBDA: dict[str, dict[str, Any]] = {
    "local": {
        "action": "store_true",
        "default": None,
        "help": "on a stand-in on this machine, deployed to and ended; else on AWS, as deployed",
    },
    "name": {"metavar": "NAME", "help": "of the deployment (made from the problem's)"},
    "bucket": {"metavar": "BUCKET", "help": "that it was deployed to, if not its own"},
    "region": {"metavar": "REGION", "help": "of AWS (the environment's)"},
    "weights": {"metavar": "FILE", "help": "npz with the experts' parameters (random)"},
    "record": {"metavar": "FILE", "help": "append all that was met, for moeopt calibrate"},
}
_OPTIONS = _ALL | _TORCH | _LAMBDA


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="run a plan on workers, check what comes out, and time it",
        description="Run a plan: every output is checked, measured times stand beside predicted.",
    )
    parser.add_argument("plan", metavar="PLAN", help="the plan's file, or -")
    parser.add_argument(
        "--adapter",
        choices=sorted(_ADAPTERS),
        help="who runs it (lambda if the plan is serverless, else torch)",
    )
    parser.add_argument(
        "--instance", help="its problem: a file, - or @wing/name; else sought in the library"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, no tables")
    parser.add_argument("--quiet", action="store_true", help="no tables")
    titles = {
        "what is run; what is left out suits the plan": _ALL,
        "PyTorch workers": _TORCH,
        "functions": _LAMBDA,
    }
    for title, options in titles.items():
        _add_options(parser.add_argument_group(title), options)
    parser.set_defaults(run=run)


def _add_options(group: Any, options: dict[str, dict[str, Any]]) -> None:
    """Add what adapters may be told: what is not given is not handed on."""
    for name, how in options.items():
        group.add_argument("--" + name.replace("_", "-"), **how)


def run(args: argparse.Namespace) -> int:
    """Run the plan, print what was found."""
    import importlib

    document = plans.read(args.plan, args.instance)
    name = args.adapter or _suited(document.plan)
    adapter = importlib.import_module(_ADAPTERS[name])
    with _named(args.plan):
        options = adapter.Options(**_given(args, name, adapter.Options))
    problem = plans.problem_of(args.plan, args.instance, document)
    with _named(args.plan):
        report = adapter.run_plan(problem, document.plan, options)
    if args.json:
        from moeopt.io import to_json

        files.write_stdout(to_json(report.document()))
    elif not args.quiet:
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
            raise error.under(f"{plans.shown(plan)}: $") from None
        if error.path in _OPTIONS:
            option = "--" + error.path.replace("_", "-")
            raise InstanceError(option, error.value, error.rule, error.remedy) from None
        raise


def _suited(plan: Any) -> str:
    """Return the adapter that suits a plan."""
    return "lambda" if type(plan).__struct_config__.tag == "serverless" else "torch"


def _given(args: argparse.Namespace, adapter: str, options: Any) -> dict[str, Any]:
    """Return the options that were given, which the adapter must know."""
    import dataclasses

    from moeopt.core.errors import InstanceError

    known = {field.name for field in dataclasses.fields(options)}
    found = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    for name, value in found.items():
        if name not in known:
            rule = f"must not be given to the {adapter} adapter"
            raise InstanceError(name, value, rule, "leave it out")
    if "layers" in found:
        found["layers"] = numbers_of(found["layers"], "--layers")
    return found
