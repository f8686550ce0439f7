"""Write the library of instances: ``python tools/make_instances.py [--traces FOLDER] [--solve S]``.

Generated and hand-made instances are always written. Those counted from recorded routing are
written where the folder of the traces is given, and kept as they are where it is not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tiny_placement

from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.describe.cluster import Cluster, NodeGroup
from moeopt.describe.loads import total_counts, window_counts
from moeopt.describe.presets import preset
from moeopt.io.encode import problem_to_json, to_json
from moeopt.placement.generate import one_hot_expert, workload
from moeopt.placement.problem import PlacementProblem

LIBRARY = Path(__file__).parents[1] / "instances"

TASKS = ("intent", "translation")

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

TRACE_SOURCE = (
    "counted from the per-token expert scores of deepseek-ai/ESFT (commit 579a7711,"
    " results/expert_scores/{task}), model ESFT-vanilla-lite = DeepSeek-V2-Lite"
)


@dataclass
class Entry:
    """A line of the index."""

    name: str
    path: str
    size: str
    source: str
    generator: dict[str, Any] | None = None
    best_objective: float | None = None
    best_bound: float | None = None
    proven_by: str | None = None


def main() -> None:
    """Write the instances and their index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, help="folder of intent.npz and translation.npz")
    parser.add_argument("--solve", type=float, metavar="S", help="seconds to look for more")
    arguments = parser.parse_args()
    (LIBRARY / "placement").mkdir(parents=True, exist_ok=True)
    known = _known()
    found = [*_generated(), *_tiny()]
    if arguments.traces is None:
        found += [entry for name, entry in known.items() if "v2-lite" in name]
    else:
        found += _from_traces(arguments.traces)
    for entry in found:
        _keep_best(entry, known.get(entry.name))
        if arguments.solve is not None and entry.proven_by is None:
            _improve(entry, arguments.solve)
    found.sort(key=lambda entry: entry.name)
    index = {"version": 1, "instances": [asdict(entry) for entry in found]}
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    (LIBRARY / "index.json").write_text(text, encoding="utf-8")


def _generated() -> Iterator[Entry]:
    for shape in SHAPES:
        yield _write(workload(shape))
    yield _write(one_hot_expert())


def _tiny() -> Iterator[Entry]:
    for problem, optimum in tiny_placement.known():
        entry = _write(problem)
        entry.best_objective = entry.best_bound = float(optimum)
        entry.proven_by = "enumeration"
        yield entry
    for problem, constraint in tiny_placement.infeasible():
        entry = _write(problem)
        entry.proven_by = f"infeasible: {constraint}"
        yield entry


def _from_traces(folder: Path) -> Iterator[Entry]:
    for task in TASKS:
        with np.load(folder / f"{task}.npz", allow_pickle=False) as trace:
            expert_ids = trace["expert_ids"]
        name = f"deepseek-v2-lite-{task}"
        total = total_counts(expert_ids, preset("model", "deepseek-v2-lite").experts)
        note = f"all {len(expert_ids)} tokens"
        yield _write(_v2_lite(name, task, note, total))
        yield _write(_v2_lite(f"{name}-72", task, note, total, slots=9))
        for window, suffix in ((256, "windows"), (64, "windows-64")):
            windows = window_counts(expert_ids, total.shape[1], window)
            note = f"{len(windows)} windows of {window} tokens, the last tokens dropped"
            yield _write(
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


def _write(problem: PlacementProblem, *, beside: bool = False) -> Entry:
    """Write one instance, its loads in an ``.npz`` beside the file where they are many."""
    path = f"placement/{problem.name}.json"
    data = problem_to_json(problem)
    if beside:
        archive = f"{problem.name}.npz"
        # Stored in the smallest type that holds the counts; read back as float64.
        counts = problem.loads_tokens.astype(np.uint16)
        np.savez_compressed(LIBRARY / "placement" / archive, loads_tokens=counts)
        content = msgspec.json.decode(data)
        content["loads_tokens"] = {"npz": archive, "key": "loads_tokens"}
        data = to_json(content)
    (LIBRARY / path).write_bytes(data)
    return Entry(
        f"placement/{problem.name}", path, _size(problem), problem.source, problem.generator
    )


def _size(problem: PlacementProblem) -> str:
    scenarios = f"{problem.num_scenarios} scenarios x " if problem.num_scenarios > 1 else ""
    return (
        f"{scenarios}{problem.num_layers} layers x {problem.num_experts} experts,"
        f" {problem.num_slots} slots, {problem.num_devices} devices"
    )


def _known() -> dict[str, Entry]:
    index = LIBRARY / "index.json"
    if not index.exists():
        return {}
    return {entry["name"]: Entry(**entry) for entry in json.loads(index.read_text())["instances"]}


def _keep_best(entry: Entry, before: Entry | None) -> None:
    """Keep the best known values of an instance that is made again."""
    if before is not None and entry.proven_by is None:
        entry.best_objective = before.best_objective
        entry.best_bound = before.best_bound
        entry.proven_by = before.proven_by


def _improve(entry: Entry, seconds: float) -> None:
    """Run the methods that may find a better plan or bound."""
    from moeopt.io import load_problem

    problem = load_problem(LIBRARY / entry.path)
    for method in ("auto", "search"):
        result = solve(problem, method, time_limit_s=seconds)
        if result.objective is not None:
            known = [] if entry.best_objective is None else [entry.best_objective]
            entry.best_objective = min([result.objective, *known])
        if result.bound is not None:
            entry.best_bound = max(result.bound, entry.best_bound or 0.0)
        if result.status is Status.OPTIMAL:
            entry.proven_by = f"moeopt {method}"
    print(entry.name, entry.best_objective, entry.best_bound, entry.proven_by)


if __name__ == "__main__":
    main()
