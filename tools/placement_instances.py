"""The placement wing's part of the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tiny_placement
from instance_files import TASKS, TRACE_SOURCE, Entry, write

from moeopt.describe.cluster import Cluster, NodeGroup
from moeopt.describe.loads import total_counts, window_counts
from moeopt.describe.presets import preset
from moeopt.placement.generate import one_hot_expert, workload
from moeopt.placement.problem import PlacementProblem

#: Methods that may find better plans or bounds.
METHODS = ("auto", "search")

#: Shapes of the benchmark that users get, under the load ``logn1``.
SHAPES = (
    "deepseek-v3-288-32",
    "deepseek-v3-288-32-hierarchical",
    "deepseek-v3-320-64",
    "deepseek-v3-320-64-hierarchical",
    "qwen3-144-16",
    "kimi-416-32",
    "kimi-448-32",
    "mixtral-16-8",
)


def generated() -> Iterator[Entry]:
    """Yield the instances that a call makes."""
    for shape in SHAPES:
        yield _written(workload(shape))
    yield _written(one_hot_expert())


def tiny() -> Iterator[Entry]:
    """Yield the instances made by hand."""
    for problem, optimum in tiny_placement.known():
        entry = _written(problem)
        entry.best_objective = entry.best_bound = float(optimum)
        entry.proven_by = "enumeration"
        yield entry
    for problem, constraint in tiny_placement.infeasible():
        entry = _written(problem)
        entry.proven_by = f"infeasible: {constraint}"
        yield entry


def from_traces(folder: Path) -> Iterator[Entry]:
    """Yield the instances counted from recorded routing."""
    for task in TASKS:
        with np.load(folder / f"{task}.npz", allow_pickle=False) as trace:
            expert_ids = trace["expert_ids"]
        name = f"deepseek-v2-lite-{task}"
        total = total_counts(expert_ids, preset("model", "deepseek-v2-lite").experts)
        note = f"all {len(expert_ids)} tokens"
        yield _written(_v2_lite(name, task, note, total))
        yield _written(_v2_lite(f"{name}-72", task, note, total, slots=9))
        for window, suffix in ((256, "windows"), (64, "windows-64")):
            windows = window_counts(expert_ids, total.shape[1], window)
            note = f"{len(windows)} windows of {window} tokens, the last tokens dropped"
            yield _written(
                _v2_lite(f"{name}-{suffix}", task, note, windows, objective="mean_max"),
                beside=True,
            )


def _v2_lite(
    name: str, task: str, note: str, counts: np.ndarray[Any, Any], slots: int = 8, **rules: Any
) -> PlacementProblem:
    return PlacementProblem(
        name=name,
        source=f"{TRACE_SOURCE.format(task=task)}; {note}",
        loads_tokens=counts,
        cluster=Cluster(nodes=(NodeGroup(node="hgx-h200"),)),
        slots_per_device=slots,
        expert_bytes=preset("model", "deepseek-v2-lite").expert_bytes,
        **rules,
    )


def _written(problem: PlacementProblem, *, beside: bool = False) -> Entry:
    """Write one instance, its loads beside the file where they are many."""
    size = _size(problem)
    if not beside:
        return write("placement", problem, size)
    return write("placement", problem, size, beside="loads_tokens", dtype=np.uint16)


def _size(problem: PlacementProblem) -> str:
    scenarios = f"{problem.num_scenarios} scenarios x " if problem.num_scenarios > 1 else ""
    return (
        f"{scenarios}{problem.num_layers} layers x {problem.num_experts} experts,"
        f" {problem.num_slots} slots, {problem.num_devices} devices"
    )
