"""Writing an instance of the library, and its line of the index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.core.wing import Problem
from moeopt.io.encode import problem_to_json, to_json

LIBRARY = Path(__file__).parents[1] / "instances"

#: Where the counts of the recorded routing come from.
TRACE_SOURCE = (
    "counted from the per-token expert scores of deepseek-ai/ESFT (commit 579a7711,"
    " results/expert_scores/{task}), model ESFT-vanilla-lite = DeepSeek-V2-Lite"
)

TASKS = ("intent", "translation")


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

    @property
    def from_traces(self) -> bool:
        """Whether it was counted from recorded routing, which is not in the repository."""
        return "v2-lite" in self.name


def write(
    wing: str,
    problem: Problem,
    size: str,
    *,
    beside: str | None = None,
    dtype: type[np.generic] = np.float64,
) -> Entry:
    """Write one instance of a wing.

    Parameters
    ----------
    wing, problem, size
        The instance, and its size in words.
    beside
        Field whose array goes into an ``.npz`` of the same name, where it is large.
    dtype
        The smallest type that holds that array; it is read back as float64.
    """
    path = f"{wing}/{problem.name}.json"
    data = problem_to_json(problem)
    if beside is not None:
        archive = f"{problem.name}.npz"
        array = getattr(problem, beside).astype(dtype)
        np.savez_compressed(LIBRARY / wing / archive, **{beside: array})
        content = msgspec.json.decode(data)
        content[beside] = {"npz": archive, "key": beside}
        data = to_json(content)
    (LIBRARY / path).write_bytes(data)
    return Entry(f"{wing}/{problem.name}", path, size, problem.source, problem.generator)


def known_entries() -> dict[str, Entry]:
    """Return the lines of the index that is there."""
    index = LIBRARY / "index.json"
    if not index.exists():
        return {}
    return {entry["name"]: Entry(**entry) for entry in json.loads(index.read_text())["instances"]}


def keep_best(entry: Entry, before: Entry | None) -> None:
    """Keep the best known values of an instance that is made again."""
    if before is not None and entry.proven_by is None:
        entry.best_objective = before.best_objective
        entry.best_bound = before.best_bound
        entry.proven_by = before.proven_by


def improve(entry: Entry, methods: tuple[str, ...], seconds: float) -> None:
    """Run the methods that may find a better plan or bound."""
    from moeopt.io import load_problem

    problem = load_problem(LIBRARY / entry.path)
    for method in methods:
        result = solve(problem, method, time_limit_s=seconds)
        if result.objective is not None:
            known = [] if entry.best_objective is None else [entry.best_objective]
            entry.best_objective = min([result.objective, *known])
        if result.bound is not None:
            entry.best_bound = max(result.bound, entry.best_bound or 0.0)
        if result.status is Status.OPTIMAL:
            entry.proven_by = f"moeopt {method}"
    print(entry.name, entry.best_objective, entry.best_bound, entry.proven_by)
