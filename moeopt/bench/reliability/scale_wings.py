"""Colocation, serverless plans and the timeline at many devices, layers and experts."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from moeopt.bench.reliability.scale_step import Step
from moeopt.colocation.bounds import bound
from moeopt.colocation.generate import synthetic
from moeopt.colocation.plan import evaluate, violations
from moeopt.core.solve import solve
from moeopt.io import load_plan, load_problem, save_plan, save_problem
from moeopt.serverless.generate import deployed, routed
from moeopt.serverless.problem import ServerlessProblem
from moeopt.timeline import interleaved, layer_time

Steps = Generator[Step, Any, None]

#: What the anytime methods are given.
_LIMIT_S = 10.0

#: Layers and experts of the largest serverless model, whose size is its experts.
_LAYERS, _EXPERTS = 100, 512


def colocation(devices: int, folder: Path) -> Steps:
    """Pair two models with as many experts as there are devices."""
    problem = synthetic("zipf", devices)
    path, pairs = folder / "two-models.json", devices**2
    yield Step("save two models", "pairs", pairs, lambda: save_problem(path, problem))
    yield Step("load two models", "bytes", path.stat().st_size, lambda: load_problem(path))
    yield Step("bound of two models", "pairs", pairs, lambda: bound(problem))
    result = yield Step("sorted_pairing", "pairs", pairs, lambda: solve(problem, "sorted_pairing"))
    yield Step("check a pairing", "pairs", pairs, lambda: violations(problem, result.plan))
    yield Step("value a pairing", "pairs", pairs, lambda: evaluate(problem, result.plan))
    # A matching of devices takes their cube at worst, for each threshold that is tried.
    yield Step(
        "bottleneck_matching",
        "pairs",
        pairs,
        lambda: solve(problem, "bottleneck_matching"),
        exponent=1.75,
    )
    for name in ("auto", "search"):
        yield Step(
            f"colocation {name} within {_LIMIT_S:g} s",
            "pairs",
            pairs,
            partial(solve, problem, name, time_limit_s=_LIMIT_S),
            limited_s=_LIMIT_S,
        )


def timeline(devices: int, folder: Path) -> Steps:
    """Time a layer, and two that take turns."""
    del folder
    rng = np.random.default_rng(0)
    traffic = rng.integers(0, 100, (devices, devices)).astype(np.float64)
    times = yield Step("time of a layer", "pairs", devices**2, lambda: _time(traffic))
    yield Step("turns of two models", "devices", devices, lambda: interleaved([times, times]))


def serverless(experts: int, folder: Path) -> Steps:
    """Deploy a model with layers in proportion to its experts."""
    layers = max(2, _LAYERS * experts // _EXPERTS)
    problem = _model(layers, experts)
    functions = layers * experts
    path, kept = folder / "model.json", folder / "model-plan.json"
    yield Step("save a model", "functions", functions, lambda: save_problem(path, problem))
    yield Step("load a model", "bytes", path.stat().st_size, lambda: load_problem(path))
    result = yield Step("serverless auto", "functions", functions, lambda: solve(problem))
    yield Step("save functions", "functions", functions, lambda: save_plan(kept, problem, result))
    size = kept.stat().st_size
    yield Step("load functions", "bytes", size, lambda: load_plan(kept, problem))


def _time(traffic: Any) -> Any:
    devices = len(traffic)
    return layer_time(
        traffic,
        relative_speed=np.ones(devices),
        port_bytes_per_s=np.full(devices, 5e10),
        seconds_per_token=1e-6,
        dispatch_bytes_per_token=1e4,
        combine_bytes_per_token=1e4,
    )


def _model(layers: int, experts: int) -> ServerlessProblem:
    """Return a published model with other layers: so many, and of so many experts."""
    model = deployed()
    rng = np.random.default_rng(0)
    tokens = 16 * experts
    layer = model.layers[0]
    drawn = tuple(
        msgspec.structs.replace(layer, tokens=routed(rng, experts, tokens=tokens)[0])
        for _ in range(layers)
    )
    return msgspec.structs.replace(model, layers=drawn, generator=None)
