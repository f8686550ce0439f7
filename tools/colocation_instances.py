"""The colocation wing's part of the library."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import tiny_colocation
from instance_files import TASKS, TRACE_SOURCE, Entry, write

from moeopt.colocation import generate
from moeopt.colocation.problem import ColocationProblem, ModelLayer
from moeopt.core.arrays import FloatArray
from moeopt.describe.presets import preset

#: Methods that may find better plans or bounds.
METHODS = ("auto",)

#: Pairs of stand-ins for LIMoE that share devices.
PAIRS = (("b16-coco", "b32-imagenet"), ("b16-imagenet", "b32-coco"), ("b16-coco", "b16-imagenet"))

#: Groups that the experts of the recorded routing are folded into, and the layer that is taken.
GROUPS, LAYER = 8, 13

#: Rate at which experts of the recorded model compute, as in the synthetic ones.
FLOPS_PER_S = 1.5e14


def generated() -> Iterator[Entry]:
    """Yield the instances that a call makes."""
    for (first, second), cluster in product(PAIRS, generate.KINDS):
        yield _written(generate.limoe(first, second, cluster))
    for family, cluster in product(("zipf", "uniform"), generate.KINDS):
        yield _written(generate.synthetic(family, 16, 2, cluster))
    yield _written(generate.synthetic("zipf", 8, 3, "mixed"))
    yield _written(generate.synthetic("zipf", 64, 2, "mixed"))


def tiny() -> Iterator[Entry]:
    """Yield the instances made by hand."""
    for problem, optimum in tiny_colocation.known():
        entry = _written(problem)
        entry.best_objective = entry.best_bound = float(optimum)
        entry.proven_by = "enumeration"
        yield entry
    for problem, constraint in tiny_colocation.infeasible():
        entry = _written(problem)
        entry.proven_by = f"infeasible: {constraint}"
        yield entry


def from_traces(folder: Path) -> Iterator[Entry]:
    """Yield the recorded routing of both tasks as two models on the same devices."""
    model = preset("model", "deepseek-v2-lite")
    layers = []
    for task in TASKS:
        with np.load(folder / f"{task}.npz", allow_pickle=False) as trace:
            expert_ids, lengths = trace["expert_ids"], trace["sequence_lengths"]
        tokens = generate.grouped_traffic(expert_ids, lengths, model.experts, GROUPS)
        layers.append(_layer(task, tokens[LAYER]))
    source = TRACE_SOURCE.format(task="{intent,translation}")
    for cluster in generate.KINDS:
        yield _written(
            ColocationProblem(
                name=f"deepseek-v2-lite-both-{cluster}",
                source=f"{source}; layer {LAYER} of both texts, {model.experts} experts in"
                f" {GROUPS} groups, sequences dealt to the groups' devices",
                models=tuple(layers),
                cluster=generate.aurora_cluster(cluster, GROUPS),
            )
        )


def _layer(name: str, tokens: FloatArray) -> ModelLayer:
    """Return a layer of the recorded model: three products for each token in an expert."""
    model = preset("model", "deepseek-v2-lite")
    return ModelLayer(
        name=name,
        traffic_tokens=tokens,
        gate_s=3e-5,
        aggregation_s=5e-5,
        seconds_per_token=2 * 3 * model.hidden_size * model.expert_hidden_size / FLOPS_PER_S,
        dispatch_bytes_per_token=2 * model.hidden_size,
        combine_bytes_per_token=2 * model.hidden_size,
    )


def _written(problem: ColocationProblem) -> Entry:
    experts = " + ".join(str(n) for n in problem.experts().tolist())
    size = f"{problem.num_models} models of {experts} experts, {problem.num_devices} devices"
    return write("colocation", problem, size)
