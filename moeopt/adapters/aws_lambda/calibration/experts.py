"""Seconds of a token and memory of functions, from what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from moeopt.adapters.aws_lambda.calibration import samples
from moeopt.adapters.aws_lambda.calibration.fits import Fitted, kept, rate_through, residual_of
from moeopt.adapters.aws_lambda.calibration.samples import Answered
from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.core.arrays import FloatArray
from moeopt.serverless.problem import (
    ExpertFunction,
    MemoryTable,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)


def fitted_experts(
    problem: ServerlessProblem, records: Sequence[LayerRecord], calls: Sequence[Answered]
) -> tuple[ExpertFunction | None, tuple[ServerlessLayer, ...], list[Fitted]]:
    """Return the problem's expert and its layers, those that state their own with theirs."""
    rows: list[Fitted] = []
    expert = problem.expert
    shared = [e for e, layer in enumerate(problem.layers) if layer.expert is None]
    if expert is not None and shared:
        expert, found = _expert(problem, expert, records, calls, shared, "expert")
        rows += found
    layers = []
    for e, layer in enumerate(problem.layers):
        if layer.expert is not None:
            own, found = _expert(problem, layer.expert, records, calls, [e], f"layers[{e}].expert")
            layer = msgspec.structs.replace(layer, expert=own)
            rows += found
        layers.append(layer)
    return expert, tuple(layers), rows


def _expert(
    problem: ServerlessProblem, expert: ExpertFunction, records: Sequence[LayerRecord],
    calls: Sequence[Answered], layers: Sequence[int], path: str,
) -> tuple[ExpertFunction, list[Fitted]]:  # fmt: skip
    """Return an expert with the seconds and the memory that calls of some layers show."""
    own = [each for each in samples.warm_ones(calls) if each.call.layer in layers]
    compute, rows = _compute(problem, expert, layers[0], own, f"{path}.compute")
    beyond = samples.needed_bytes(problem, records, layers)
    name, before = f"{path}.intermediate_bytes", float(expert.intermediate_bytes)
    needed = expert.intermediate_bytes
    if len(beyond):
        needed = max(0, math.ceil(beyond.max()))
        note = "the most that any function needed"
        rows.append(
            Fitted(name=name, before=before, after=float(needed), samples=len(beyond), note=note)
        )
    else:
        rows.append(kept(name, before, "kept: no use of memory was reported"))
    return msgspec.structs.replace(expert, compute=compute, intermediate_bytes=needed), rows


def _compute(
    problem: ServerlessProblem, expert: ExpertFunction, layer: int, calls: Sequence[Answered],
    path: str,
) -> tuple[VcpuModel | MemoryTable, list[Fitted]]:  # fmt: skip
    """Return the seconds of a token: a table, if several memory sizes were seen.

    Sizes between two that were seen lie on a line between them, of logarithms; those beyond
    differ from the nearest as in the instance. One size alone makes all as much slower.
    """
    before = problem.seconds_per_token_of(layer)
    seen: dict[int, float] = {}
    rows = []
    for j, mb in enumerate(problem.memory_mb):
        found = samples.minibatches(each for each in calls if each.call.memory_mb == mb)
        rate = rate_through(found.amounts, found.seconds)
        if rate is not None:
            seen[j] = rate
            rows.append(
                Fitted(
                    name=_token_s(path, mb),
                    before=float(before[j]),
                    after=rate,
                    samples=len(found),
                    residual=residual_of(found.seconds, rate * found.amounts),
                )
            )
    if not seen:
        row = kept(
            f"{path}: a token's seconds",
            float(before[0]),
            "kept: no call with such memory was seen",
        )
        return expert.compute, [row]
    after = _all_sizes(np.array(problem.memory_mb, dtype=np.float64), before, seen)
    rows += [
        Fitted(
            name=_token_s(path, mb),
            before=float(before[j]),
            after=float(after[j]),
            samples=0,
            note="not seen: from the sizes that were",
        )
        for j, mb in enumerate(problem.memory_mb)
        if j not in seen
    ]
    if len(seen) == 1 and isinstance(expert.compute, VcpuModel):
        ((j, rate),) = seen.items()
        scaled = expert.compute.seconds_per_token * rate / float(before[j])
        return msgspec.structs.replace(expert.compute, seconds_per_token=scaled), rows
    return MemoryTable(seconds_per_token=tuple(after.tolist())), rows


def _token_s(path: str, mb: int) -> str:
    return f"{path}: a token's seconds with {mb} MB"


def _all_sizes(sizes: FloatArray, before: FloatArray, seen: Mapping[int, float]) -> FloatArray:
    """Return the seconds of a token at all memory sizes from those at some."""
    at = np.array(sorted(seen))
    factors = np.array([seen[int(j)] for j in at]) / before[at]
    # Beyond the sizes that were seen, the factor is that of the nearest.
    after: FloatArray = before * np.interp(sizes, sizes[at], factors)
    inside = (sizes > sizes[at[0]]) & (sizes < sizes[at[-1]])
    measured = np.log([seen[int(j)] for j in at])
    after[inside] = np.exp(np.interp(np.log(sizes[inside]), np.log(sizes[at]), measured))
    after[at] = [seen[int(j)] for j in at]
    return after
