"""The serverless wing's part of the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import tiny_serverless
from instance_files import Entry, write

from moeopt.serverless import generate
from moeopt.serverless.problem import ServerlessProblem

#: Methods that may find better plans or bounds.
METHODS = ("auto",)

#: The paper's models, and variations, with the tokens a second that each promises: between those
#: of the cheapest plan and of the fastest.
DEPLOYED: tuple[dict[str, Any], ...] = (
    {"model": "bert-moe-4", "tokens_per_s": 34.0},
    {"model": "bert-moe-8", "tokens_per_s": 34.0},
    {"model": "bert-moe-16", "tokens_per_s": 34.0},
    {"model": "gpt2-moe", "tokens_per_s": 28.0},
    {"model": "bert2bert-moe", "tokens_per_s": 15.5},
    {"model": "gpt2-moe", "tokens_per_s": 28.0, "bill": "paper"},
    {"model": "gpt2-moe", "load": "uniform", "tokens_per_s": 28.0},
    {"model": "gpt2-moe", "tokens": 256, "tokens_per_s": 12.0},
    {"model": "gpt2-moe", "tokens": 40_960, "tokens_per_s": 24.0},
    {"model": "gpt2-moe", "scenarios": 4, "tokens_per_s": 28.0},
    {"model": "bert-moe-8", "top_k": 2, "tokens_per_s": 30.0},
    {"model": "large", "top_k": 8, "tokens_per_s": 1.25},
)

#: Tokens a second that nobody reaches with GPT2.
TOO_MANY = 35.0


def generated() -> Iterator[Entry]:
    """Yield the instances that a call makes."""
    for call in DEPLOYED:
        yield _written(generate.deployed(**call))
    yield _written(generate.stand())
    for seed in range(3):
        yield _written(generate.small(3, 3, seed))
    hurried = generate.deployed("gpt2-moe", tokens_per_s=TOO_MANY)
    entry = _written(
        msgspec.structs.replace(hurried, name=f"infeasible-{hurried.name}", generator=None)
    )
    entry.proven_by = "infeasible: C6"
    yield entry


def tiny() -> Iterator[Entry]:
    """Yield the instances made by hand."""
    for problem, optimum in tiny_serverless.known():
        entry = _written(problem)
        entry.best_objective = entry.best_bound = float(optimum)
        entry.proven_by = "enumeration"
        yield entry
    for problem, constraint in tiny_serverless.infeasible():
        entry = _written(problem)
        entry.proven_by = f"infeasible: {constraint}"
        yield entry


def from_traces(folder: Path) -> Iterator[Entry]:
    """Yield nothing: the recorded routing is of no model that runs on processors."""
    del folder
    yield from ()


def _written(problem: ServerlessProblem) -> Entry:
    sizes, replicas = len(problem.memory_mb), problem.max_replicas
    size = (
        f"{problem.num_layers} layers of {problem.num_experts} experts, {sizes} memory sizes,"
        f" {replicas} replicas"
    )
    return write("serverless", problem, size)
