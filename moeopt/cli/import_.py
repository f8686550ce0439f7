"""``moeopt import``: what engines recorded, and where they have their experts."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moeopt.cli import files
from moeopt.cli.codes import DONE
from moeopt.cli.export import ENGINES, require_placement
from moeopt.cli.layers import add_options as add_layers
from moeopt.cli.layers import layers_of

if TYPE_CHECKING:
    from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers

#: What is no placement: as `moeopt.traces.read_any` reads it.
RECORDING = "recording"

#: Most loads of an instance, all of which stand in its file.
MAX_LOADS = 5_000_000

#: What only an instance is made with.
_OF_INSTANCES = ("devices", "slots", "nodes", "previous")


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "import",
        help="turn what an engine recorded, or its placement, into an instance or a plan",
        description="Read a recording of routing and write it as a trace (.npz), as counts (.csv)"
        " or, with --devices, as an instance of placement (.json); or read an engine's placement"
        " and write it as a plan of --instance.",
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="+", help="or a folder; several if one recording has several"
    )
    parser.add_argument(
        "--format",
        choices=(*ENGINES, RECORDING),
        help="of a placement, or recording (seen from the file, except .npy)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True)
    add_layers(parser.add_argument_group("the model"))
    group = parser.add_argument_group("a recording")
    group.add_argument(
        "--windows", type=int, metavar="N", help="scenarios that it is cut into, in order (1)"
    )
    group.add_argument("--devices", type=int, metavar="N", help="of the instance")
    group.add_argument("--slots", type=int, metavar="N", help="over all devices (one per expert)")
    group.add_argument("--nodes", type=int, metavar="N", help="that the devices form (1)")
    group.add_argument(
        "--previous", metavar="FILE", help="placement in force: an engine's, or a plan's file"
    )
    group = parser.add_argument_group("a placement")
    group.add_argument("--instance", help="that it is a plan of: a file, - or @wing/name")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, write, say what was written."""
    files.require_writable(args.output)
    layers = layers_of(args)
    if _format(args) == RECORDING:
        _refuse(args, ("instance",), "a recording")
        said = _recording(args, layers)
    else:
        _refuse(args, ("windows", *_OF_INSTANCES), "a placement")
        said = _plan(args, layers)
    # Standard output may be the document's.
    print(f"{args.output}: {said}", file=sys.stderr if args.output == "-" else sys.stdout)
    return DONE


def _format(args: argparse.Namespace) -> str:
    """Return the format that is given, or that a file has beyond doubt."""
    from moeopt.core.errors import InstanceError

    if args.format is not None:
        return str(args.format)
    suffix = Path(args.file[0]).suffix.lower()
    if suffix == ".npy":
        raise InstanceError(
            "--format",
            None,
            "must be given for .npy, which is a recording or a placement of OmniInfer",
            f"write --format {RECORDING} or --format omni",
        )
    if suffix in (".json", ".yaml", ".yml"):
        from moeopt.adapters.engines.formats import format_of

        return format_of(args.file[0]).name
    return RECORDING


def _refuse(args: argparse.Namespace, names: tuple[str, ...], what: str) -> None:
    from moeopt.core.errors import InstanceError

    for name in names:
        if getattr(args, name) is not None:
            rule = f"must not be given for {what}"
            option = "--" + name.replace("_", "-")
            raise InstanceError(option, getattr(args, name), rule, "leave it out")


def _recording(args: argparse.Namespace, layers: ModelLayers | None) -> str:
    """Write a trace, counts or an instance, by the suffix of the output."""
    from moeopt.core.errors import InstanceError
    from moeopt.traces import RoutingTrace, read_any, write_csv_counts, write_trace

    suffix = Path(args.output).suffix.lower()
    if suffix == ".json" or (suffix not in (".npz", ".csv") and args.devices is not None):
        if args.devices is None:
            rule = "must be given for an instance"
            raise InstanceError("--devices", None, rule, "or write a trace (.npz) or counts (.csv)")
        return _instance(args, layers, read_any(args.file))
    if suffix not in (".npz", ".csv"):
        rule = "must end in .npz for a trace, .csv for counts or .json for an instance"
        raise InstanceError("-o", args.output, rule, "name it so")
    _refuse(args, _OF_INSTANCES, "an output that is no instance")
    recorded = read_any(args.file)
    if suffix == ".npz":
        if not isinstance(recorded, RoutingTrace):
            rule = "must end in .csv: the recording has counts, not the choices of each token"
            raise InstanceError("-o", args.output, rule, "name it so")
        _refuse(args, ("windows", "model", "layer_ids", "model_layers"), "a trace")
        _write(args.output, write_trace, recorded)
        return f"a trace of {recorded.num_tokens} tokens in {recorded.num_layers} layers"
    counts = _counts(args, layers, recorded)
    _write(args.output, write_csv_counts, counts)
    return f"counts of {counts.num_windows} windows, {counts.num_layers} layers"


def _instance(args: argparse.Namespace, layers: ModelLayers | None, recorded: Any) -> str:
    """Write the instance of placing what was recorded."""
    from moeopt.core.errors import InstanceError
    from moeopt.describe.cluster import Cluster
    from moeopt.describe.presets import preset
    from moeopt.io import problem_to_json
    from moeopt.placement.from_trace import placement_problem

    fields: dict[str, Any] = {"name": Path(args.output).stem, "source": _source(args.file)}
    experts = None
    if args.model is not None:
        model = preset("model", args.model)
        experts, fields["expert_bytes"] = model.experts, model.expert_bytes
    windows = 1 if args.windows is None else args.windows
    with _named():
        cluster = Cluster.uniform(args.devices, 1 if args.nodes is None else args.nodes)
        ids = None if layers is None else layers.ids
        problem = placement_problem(
            recorded, cluster, args.slots, windows=windows, layer_ids=ids, experts=experts, **fields
        )
    if problem.loads_tokens.size > MAX_LOADS:
        rule = f"must make at most {MAX_LOADS} loads: they stand in the instance's file"
        raise InstanceError("--windows", args.windows, rule, "cut it into fewer")
    if args.previous is not None:
        import msgspec

        problem = msgspec.structs.replace(problem, previous=_previous(args, layers, problem))
    files.write(args.output, problem_to_json(problem))
    sizes = ", ".join(f"{count} {what}" for what, count in problem.sizes().items())
    return f"an instance of {sizes}"


def _counts(args: argparse.Namespace, layers: ModelLayers | None, recorded: Any) -> Any:
    """Return what was recorded as counts, of the model's layers if it is known."""
    from moeopt.describe.presets import preset
    from moeopt.traces.windows import counts_in_windows, counts_of_model

    with _named():
        if layers is None:
            return counts_in_windows(recorded, args.windows)
        experts = None if args.model is None else preset("model", args.model).experts
        return counts_of_model(recorded, args.windows, layers.ids, experts)


def _previous(args: argparse.Namespace, layers: ModelLayers | None, problem: Any) -> Any:
    """Return the placement in force, ``(layers, slots)``: an engine's file or a plan's."""
    plan: Any
    if args.previous.lower().endswith(".json"):
        from moeopt.adapters.engines.files import read_text
        from moeopt.io import load_plan_document

        if b'"plan"' in read_text(args.previous):
            plan = files.read(load_plan_document, args.previous).plan
            require_placement(args.previous, plan)
            return plan.physical_to_logical
    from moeopt.adapters.engines.formats import format_of

    return _placement(args.previous, format_of(args.previous).name, layers, problem).table


def _plan(args: argparse.Namespace, layers: ModelLayers | None) -> str:
    """Write an engine's placement as a plan of the instance."""
    from moeopt.core.errors import InstanceError
    from moeopt.core.registry import wing_of
    from moeopt.io import plan_to_json, problem_sha256

    if len(args.file) > 1:
        raise InstanceError("FILE", args.file, "must be one placement", "import them one by one")
    if args.instance is None:
        rule = "must be given: a plan is one of an instance"
        raise InstanceError("--instance", None, rule, "name the problem that it is a plan of")
    problem = files.read_problem(args.instance)
    wing = wing_of(problem)
    if wing.name != "placement":
        raise InstanceError("--instance", wing.name, "must be of placement", "name another")
    plan = _placement(args.file[0], _format(args), layers, problem).plan()
    files.write(args.output, plan_to_json(plan, problem_sha256(problem)))
    broken = wing.violations(problem, plan)
    for violation in broken:
        print(f"moeopt: {args.file[0]}: {violation}", file=sys.stderr)
    if broken:
        return f"a plan that breaks {len(broken)} constraints of its problem"
    return f"a plan, objective {wing.evaluate(problem, plan).objective:.6g}"


def _placement(name: str, form: str, layers: ModelLayers | None, problem: Any) -> EnginePlacement:
    """Return the placement of a file, which must have the layers and slots of the problem."""
    from moeopt.adapters.engines.files import Known
    from moeopt.adapters.engines.formats import FORMATS
    from moeopt.core.errors import InstanceError

    known = Known(problem.num_devices, problem.num_experts, layers)
    placement = FORMATS[form].read(name, known)
    shape = (problem.num_layers, problem.num_slots)
    slots = problem.slots()
    if placement.table.shape != shape or (slots != slots[0]).any():
        raise InstanceError(
            name,
            f"<{placement.num_layers} layers of {placement.num_slots} slots>",
            f"must have the problem's {shape[0]} layers of {shape[1]} slots, equal on all devices",
            "where a file has dense layers too, name the model by --model",
        )
    return placement


def _write(name: str, write: Callable[[str, Any], None], content: Any) -> None:
    try:
        write(name, content)
    except OSError as error:
        raise files.unwritable(name, error) from None


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Let errors about an argument name the option that it came from."""
    from moeopt.core.errors import InstanceError

    try:
        yield
    except InstanceError as error:
        path = error.path.removeprefix("$.")
        if path in ("devices", "experts", "layer_ids", "nodes", "slots", "windows"):
            option = {"experts": "model"}.get(path, path).replace("_", "-")
            raise InstanceError(f"--{option}", error.value, error.rule, error.remedy) from None
        raise


def _source(names: list[str]) -> str:
    """Return where the loads come from, without the folders of this machine."""
    first = Path(names[0]).name
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"counted from {first}{more}"
