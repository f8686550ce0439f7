"""``moeopt export``: a plan for an inference engine, or the exact model of an instance."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from moeopt.cli import files, plans
from moeopt.cli.codes import DONE, NO_PLAN
from moeopt.cli.layers import add_options as add_layers
from moeopt.cli.layers import layers_of

#: Of models, and of placements (as `moeopt.adapters.engines.formats.FORMATS` names them).
MODELS = ("mps", "lp")
ENGINES = ("sglang", "tensorrt-llm", "vllm", "vllm-ascend", "omni")

#: What models have no use for.
_OF_ENGINES = ("instance", "model", "layer_ids", "model_layers", "pad")


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "export",
        help="write a plan for an inference engine, or the exact model of an instance",
        description="Write a placement plan as an inference engine reads it, and print what serves"
        " it; or write the exact model of an instance, a file for each model: with several,"
        " model.mps becomes model-layer0.mps and so on.",
    )
    parser.add_argument(
        "file", metavar="FILE", help="a plan; for mps and lp an instance: a file, - or @wing/name"
    )
    parser.add_argument("--format", choices=(*ENGINES, *MODELS), required=True)
    parser.add_argument("-o", "--output", metavar="FILE", required=True)
    group = parser.add_argument_group("plans")
    group.add_argument(
        "--instance", help="the plan's problem: a file, - or @wing/name; else sought in the library"
    )
    add_layers(group)
    group.add_argument(
        "--pad",
        action="store_true",
        default=None,
        help="fill empty slots with copies, and give every device as many as the largest has",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file or files; 3 for the model of an instance that has no plan."""
    from moeopt.core.errors import InstanceError

    if args.output == files.STDOUT:
        raise InstanceError("-o", "-", "must be a file: there may be several", "name one")
    files.require_writable(args.output)
    if args.format in ENGINES:
        return _placement(args)
    for name in _OF_ENGINES:
        if getattr(args, name) is not None:
            option = "--" + name.replace("_", "-")
            rule = f"must not be given to the format {args.format}"
            raise InstanceError(option, getattr(args, name), rule, "leave it out")
    return _models(args)


def _placement(args: argparse.Namespace) -> int:
    from moeopt.adapters.engines.formats import FORMATS

    form = FORMATS[args.format]
    form.require_suffix(args.output)
    layers = layers_of(args)
    document = plans.read(args.file, args.instance)
    problem = plans.problem_of(args.file, args.instance, document)
    require_placement(args.file, document.plan)
    placement = _placed(args, problem, document.plan, layers)
    try:
        with plans.table_named(args.file):
            form.write(placement, args.output)
    except OSError as error:
        raise files.unwritable(args.output, error) from None
    print(
        f"{args.output}: for {form.engine}, {placement.num_layers} MoE layers of"
        f" {placement.num_slots} slots on {placement.devices} ranks"
    )
    for line in form.usage(placement, args.output):
        print(line)
    return DONE


def _placed(args: argparse.Namespace, problem: Any, plan: Any, layers: Any) -> Any:
    """Return the plan as engines hold it, if it keeps its problem's constraints."""
    from moeopt.adapters.engines.padded import padded_placement_of
    from moeopt.adapters.engines.placements import placement_of
    from moeopt.core.errors import InstanceError
    from moeopt.placement.plan import violations

    for violation in violations(problem, plan):
        raise InstanceError(
            f"{plans.shown(args.file)}: {violation.path}",
            f"<{violation.constraint}: {violation.message}>",
            "must keep every constraint of its problem",
            "moeopt check lists what it breaks",
        )
    make = padded_placement_of if args.pad else placement_of
    with plans.table_named(args.file):
        return make(problem, plan, layers)


def require_placement(name: str, plan: Any) -> None:
    """Raise `InstanceError` unless a plan, of a file of some name, is of the placement wing."""
    from moeopt.core.errors import InstanceError

    tag = type(plan).__struct_config__.tag
    if tag != "placement":
        rule = "must be a placement: engines take no other plan"
        raise InstanceError(f"{plans.shown(name)}: $.plan", tag, rule, "give a placement's plan")


def _models(args: argparse.Namespace) -> int:
    from moeopt.core.registry import wing_of

    problem = files.read_problem(args.file)
    wing = wing_of(problem)
    impossible = wing.impossible(problem)
    for violation in impossible:
        print(f"moeopt: {args.file}: infeasible: {violation}", file=sys.stderr)
    if impossible:
        return NO_PLAN
    models = list(files.read(lambda _: wing.build(problem), args.file))
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
