"""What is worked out again and again: plans by every method, and whatever else moeopt makes."""

from __future__ import annotations

import importlib.util
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from moeopt.bench.reliability.agreement_cases import instances
from moeopt.bench.reliability.determinism_way import Way
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.registry import wing_named, wing_names
from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.io import load_problem, plan_to_json, problem_to_json, to_json
from moeopt.library import entries, find

#: Of each wing: how many of the library's tiny instances, and how many drawn and generated ones.
#: ``"some"`` is for ways that are slow; ``"few"`` leaves out what loads a solver.
MUCH: Mapping[str, tuple[int, int]] = {"all": (8, 2), "some": (4, 0), "few": (1, 0)}

#: Wings of ``"few"``.
_QUICK_WINGS = ("placement", "serverless", "transfers")

#: Instances with replicas, groups and ties as models have them, for methods that are no proofs.
LARGER = (
    "placement/mixtral-16-8",
    "placement/qwen3-144-16",
    "placement/deepseek-v2-lite-intent-72",
    "transfers/zipf-32",
    "transfers/two-tier-4x8",
    "colocation/zipf-16-mixed",
    "buffering/locality-1x32x256-slots-2",
    "serverless/gpt2-moe",
)

_SEED = 3

Task = tuple[str, Callable[[], bytes]]


def tasks(way: Way, much: str) -> list[Task]:
    """Return what there is to work out, by name; each can be pickled.

    Parameters
    ----------
    way
        How: its workers and forms are obeyed here.
    much
        A key of `MUCH`.
    """
    tiny, drawn = MUCH[much]
    found: list[Task] = []
    for wing in _QUICK_WINGS if much == "few" else wing_names():
        names = [entry.name for entry in entries(f"{wing}/tiny-*")][:tiny]
        names += [f"{wing}#{number}" for number in range(2 * drawn)]
        # Proofs are given seconds even without a time limit (docs/limits.md).
        solves = partial(_solves, way=way, exact=much != "few" and way.clock == 1.0)
        found += [task for name in names for task in solves(name)]
        if drawn:
            found += [(name, partial(_stated, name)) for name in names if "#" in name]
        if much != "few":
            found += [(f"{names[0]} as models", partial(_models, names[0]))]
            found += [(f"{names[0]} as a page", partial(_page, names[0]))] * _can_draw()
    if drawn:
        found += [task for name in LARGER for task in _solves(name, way, exact=False)]
    if much != "few":
        found.append(("a search for a popularity table", _tuned))
    return found + list(_others().items())


def _solves(name: str, way: Way, *, exact: bool) -> Iterator[Task]:
    """Yield the solves of a problem by every method that takes it."""
    problem = _problem(name)
    wing = wing_named(name.replace("#", "/").partition("/")[0])
    if wing.impossible(problem):
        return
    for method in wing.methods.values():
        proves = method.capabilities.exact or method.name == "auto"
        if (exact or not proves) and method.refuses(problem) is None:
            yield f"{name} {method.name}", partial(_plan, name, method.name, way)


@cache
def _problem(name: str) -> Any:
    """Return an instance of the library, or the wing's drawn or generated one of a number."""
    wing, drawn, number = name.partition("#")
    return _drawn(wing)[int(number)] if drawn else load_problem(find(name))


@cache
def _drawn(wing: str) -> tuple[Any, ...]:
    count = MUCH["all"][1]
    found = instances(wing, {"feasible": count, "infeasible": 0, "generated": count}).instances
    return tuple(instance.problem for instance in found)


def _plan(name: str, method: str, way: Way) -> bytes:
    """Return the plan's document, and all that the result says but its times."""
    problem = _problem(name)
    if way.forms:
        problem = turned(problem)
    result = solve(problem, method, seed=_SEED, workers=way.workers)
    if way.workers > 1 and result.status is Status.OPTIMAL:
        # Any of a solver's threads may be first to find one of equally good plans.
        alone = solve(problem, method, seed=_SEED)
        same = f"{alone.objective:.9g}" == f"{result.objective:.9g}"
        result = alone if same else result
    said = result.to_dict()
    for times in ("runtime_s", "build_s", "history"):
        said.pop(times)
    # Whether a second solver confirms a proof in the time that the first took is a matter of time.
    said["backend"] = (result.backend or "").partition(", confirmed by")[0]
    return (b"" if result.plan is None else plan_to_json(result.plan)) + to_json(said)


def turned(problem: Any) -> Any:
    """Return an equal problem, read from fields in turned order, its arrays in other forms."""
    text = json.dumps(_backwards(json.loads(problem_to_json(problem))))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "turned.json")
        path.write_text(text)
        read = load_problem(path)
    arrays = {
        name: _formed(value)
        for name in read.__struct_fields__
        if isinstance(value := getattr(read, name), np.ndarray)
    }
    return msgspec.structs.replace(read, **arrays)


def _backwards(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _backwards(entry) for key, entry in reversed(value.items())}
    return [_backwards(entry) for entry in value] if isinstance(value, list) else value


def _formed(array: Any) -> Any:
    """Return an array in Fortran order, in a type half as wide where that holds its values."""
    smaller = {"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype)
    with np.errstate(over="ignore"):
        small = array.astype(smaller)
    return np.array(small if np.array_equal(small, array) else array, order="F")


def _stated(name: str) -> bytes:
    """Return a drawn or generated problem itself."""
    return problem_to_json(_problem(name))


def _models(name: str) -> bytes:
    """Return the exact models of a problem as MPS, or why there are none."""
    from moeopt.mip.mps import mps_lines

    problem = _problem(name)
    try:
        models = wing_named(problem.__struct_config__.tag).build(problem)
    except InstanceError as error:
        return str(error).encode()
    return "\n".join(line for model in models for line in mps_lines(model)).encode()


def _page(name: str) -> bytes:
    """Return a plan's page: its pictures and tables."""
    from moeopt.report.page import report_html
    from moeopt.report.wings import Names

    problem = _problem(name)
    plan = solve(problem, seed=_SEED).plan
    return report_html(problem, plan, names=Names(plan="plan.json", instance=name))


def _can_draw() -> bool:
    return importlib.util.find_spec("plotly") is not None


def _others() -> dict[str, Callable[[], bytes]]:
    """Return what is made beside plans."""
    from moeopt.adapters.engines.formats import FORMATS

    return {
        **{f"a placement for {name}": partial(_engine, name) for name in FORMATS},
        "a rank's plans for vLLM": _rank,
        "an archive of arrays": _archive,
        "a package for functions": _package,
        "a popularity table's predictions": _predictions,
    }


def _engine(name: str) -> bytes:
    from moeopt.adapters.engines.eplb import rebalance_experts
    from moeopt.adapters.engines.formats import FORMATS
    from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers

    loads = np.random.default_rng(1).integers(0, 9, (3, 16))
    table = rebalance_experts(loads, 16, 1, 1, 4)[0]
    return FORMATS[name].encode(EnginePlacement(table, 4, 16, ModelLayers((1, 2, 3), 4)))


def _rank() -> bytes:
    """Return what one of vLLM's ranks answers to a few windows."""
    from moeopt.bench.reliability.determinism_ranks import answers_of

    return to_json(answers_of(6, 1))


def _archive() -> bytes:
    from moeopt.traces.archive import write_arrays

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "arrays.npz")
        write_arrays(path, {"expert_ids": np.arange(24).reshape(2, 3, 4), "counts": np.ones(3)})
        return path.read_bytes()


def _package() -> bytes:
    from moeopt.adapters.aws_lambda.deployer.package import code_package

    return code_package("x86", bare=True).data


@cache
def _routing() -> tuple[Any, Any]:
    """Return a prediction from a small table, and the tokens of each expert in another batch."""
    from moeopt.popularity import Prediction, count_table, token_routing

    routing = token_routing(4, layers=2, top_k=1, vocabulary=60, seed=_SEED)
    batch = routing.draw(400, 1)
    table = count_table(routing.draw(600, 0))
    token_ids = np.asarray(batch.token_ids, dtype=np.int64)
    return Prediction(table=table, token_ids=token_ids, rule="bayes_expected"), batch.counts()


def _predictions() -> bytes:
    from moeopt.popularity import Predictor

    prediction, real = _routing()
    made = Predictor(prediction.table).tokens(prediction.token_ids)
    out = io.BytesIO()
    np.save(out, np.stack([*made, *real]))
    return out.getvalue()


def _tuned() -> bytes:
    """Return the costs that a search by a Gaussian process meets, dearer the farther it is off."""
    from moeopt.popularity import Predictor
    from moeopt.serverless.bayes import optimise
    from moeopt.serverless.bayes_pairs import Pairs, table_space
    from moeopt.serverless.bayes_trials import Measured

    prediction, real = _routing()
    space = table_space(prediction)

    def measured(pairs: Pairs) -> Measured:
        made: tuple[FloatArray, ...] = Predictor(space.adjusted(pairs)).tokens(
            prediction.token_ids, prediction.rule
        )
        return Measured(cost_usd=1.0 + float(((np.array(made) - real) ** 2).sum()) / 1e4)

    found = optimise(measured, space, "gp", pairs=20, evaluations=6, seed=_SEED)
    return found.least_usd().tobytes()
