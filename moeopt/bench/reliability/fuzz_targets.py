"""Everything in moeopt that reads a file, as a function of the file's bytes."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moeopt.bench.reliability import fuzz_seeds as seeds

#: Reads the file of a name; returns whatever it likes.
Load = Callable[[str], object]


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes
    ----------
    family
        What its formats are for.
    name
        What it reads.
    kind
        How its files are edited, see `moeopt.bench.reliability.fuzz_mutations.mutated`.
    file
        Name that a file has, in a folder of its own.
    seeds
        Valid files; none where a package that reads them is not installed.
    load
        Reads a file: returns, or raises InstanceError.
    pipes
        Whether the file may be a pipe, whose end is waited for.
    """

    family: str
    name: str
    kind: str
    file: str
    seeds: Callable[[], tuple[bytes, ...]]
    load: Load
    pipes: bool = False

    def put(self, folder: Path, data: bytes) -> str:
        """Write a file into a folder and return its name."""
        path = folder / self.file
        path.write_bytes(data)
        return str(path)


def targets() -> list[Target]:
    """Return every reader."""
    return [*_documents(), *_traces(), *_engines(), *_others()]


def _documents() -> list[Target]:
    found = []
    for wing in seeds.all_wings():
        problems, plans = (functools.partial(of, wing) for of in (seeds.problems, seeds.plans))
        checked = functools.partial(_plan, seeds.PLANNED[wing])
        name = f"{wing} instances"
        found += [
            Target("instances", name, "json", "problem.json", problems, _problem, pipes=True),
            Target("plans", f"{wing} plans", "json", "plan.json", plans, checked, pipes=True),
        ]
    name = "arrays beside a document"
    return [*found, Target("instances", name, "zip", "loads.npz", seeds.loads, _beside)]


def _traces() -> list[Target]:
    formats = (
        ("traces (.npz)", "zip", "trace.npz", seeds.traces, _trace),
        ("routed experts (.npy)", "npy", "request.npy", seeds.requests, _trace),
        ("routed experts (.npz)", "zip", "all.npz", seeds.several_requests, _trace),
        ("counts (.csv)", "text", "counts.csv", seeds.csv_counts, _trace),
        ("Megatron's traces", "lines", "rank0.jsonl", seeds.megatron, _trace),
        ("SGLang's dumps (.pt)", "zip", "dump.pt", seeds.sglang, _dump),
        ("TensorRT-LLM's counts", "bytes", "rank0.safetensors", seeds.tensorrt_counts, _statistics),
    )
    return [Target("traces", *each) for each in formats]


def _engines() -> list[Target]:
    from moeopt.adapters.engines.formats import FORMATS

    kinds = {".json": "json", ".yaml": "text", ".npy": "npy"}
    return [
        Target(
            "placements of engines",
            f"placements of {form.engine}",
            kinds[form.suffixes[0]],
            f"placement{form.suffixes[0]}",
            functools.partial(seeds.engine, name),
            functools.partial(_placement, name),
        )
        for name, form in FORMATS.items()
    ]


def _others() -> list[Target]:
    formats = (
        ("recordings of Lambda", "lines", "run.jsonl", seeds.recordings, _calibrated),
        ("logs of evaluations", "lines", "log.jsonl", seeds.trial_logs, _trial_log),
        ("linear models (.mps)", "text", "model.mps", seeds.linear_models, _linear_model),
    )
    return [Target("logs and models", *each) for each in formats]


def _placement(engine: str, path: str) -> object:
    """Load the placement of an engine, on two ranks."""
    from moeopt.adapters.engines.files import Known
    from moeopt.adapters.engines.formats import FORMATS

    return FORMATS[engine].read(path, Known(devices=2))


def _problem(path: str) -> object:
    """Load an instance and ask what no plan could meet, as every command does first."""
    from moeopt.core.registry import wing_of
    from moeopt.io import PlanDocument, load_any

    found = load_any(path)
    return None if isinstance(found, PlanDocument) else wing_of(found).impossible(found)


def _plan(instance: str, path: str) -> object:
    """Load a plan and check it against its problem, as ``moeopt check`` does."""
    from moeopt.core.registry import wing_of
    from moeopt.io import load_plan

    problem, plan = _loaded(instance), load_plan(path)
    wing = wing_of(problem)
    if not isinstance(plan, wing.plan_type) or wing.violations(problem, plan):
        return None
    return wing.evaluate(problem, plan)


@functools.cache
def _loaded(instance: str) -> Any:
    from moeopt.io import load_problem

    return load_problem(instance)


def _beside(path: str) -> object:
    """Load a document whose loads lie in the file."""
    from moeopt.io import load_problem

    document = {
        **{"problem": "placement", "version": 1, "slots_per_device": 1},
        "loads_tokens": {"npz": Path(path).name, "key": "loads"},
        "cluster": {"nodes": [{"node": {"devices": 4}, "count": 1}]},
    }
    beside = Path(path).with_name("problem.json")
    beside.write_text(json.dumps(document))
    return load_problem(beside)


def _trace(path: str) -> object:
    from moeopt.traces import read_any

    return read_any(path)


def _dump(path: str) -> object:
    """Read a dump as `read_any` does, and as counts."""
    from moeopt.core.errors import InstanceError
    from moeopt.traces import read_any, read_sglang_counts

    with contextlib.suppress(InstanceError):
        read_any(path)
    return read_sglang_counts(path)


def _statistics(path: str) -> object:
    from moeopt.traces import read_any

    folder = Path(path).parent
    (folder / "meta_info.json").write_text('{"num_experts": 3}')
    return read_any(folder)


def _calibrated(path: str) -> object:
    """Read a recording and fit an instance to it."""
    from moeopt.adapters.aws_lambda.calibrate import calibrated
    from moeopt.adapters.aws_lambda.record import read_recordings

    problem = _loaded(seeds.PLANNED["serverless"])
    return calibrated(problem, read_recordings([path]))


def _trial_log(path: str) -> object:
    from moeopt.serverless.bayes_log import TrialLog

    return TrialLog(path, {"seed": 0}, lambda trial: None)


def _linear_model(path: str) -> object:
    from moeopt.mip import read_mps

    return read_mps(path)
