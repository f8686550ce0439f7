"""The committee wing's part of the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tiny_committee
from instance_files import Entry, write

from moeopt.committee import generate
from moeopt.committee.problem import CommitteeProblem

#: Methods that may find better plans or bounds.
METHODS = ("auto",)

#: Values from which importance, or a router, lies beside the document.
BESIDE = 10_000

#: Drawn routing: one for each kind of rules, and some that differ in how they are drawn.
ROUTED: tuple[dict[str, Any], ...] = (
    *({"rules": rules} for rules in generate.RULES),
    {"layers": 4, "experts": 32, "windows": 1, "tokens": 256, "skew": 0.0, "seed": 1},
    {"layers": 4, "experts": 32, "windows": 1, "tokens": 256, "skew": 1.5, "seed": 2},
    {"windows": 16, "drift": 0.1, "rules": "price"},
    {"windows": 16, "drift": 0.1, "rules": "link"},
    {"loss": "masked", "windows": 1, "tokens": 64, "rules": "limits"},
    {"loss": "masked", "windows": 4, "tokens": 16, "drift": 0.1, "rules": "link"},
    {"loss": "masked", "windows": 1, "tokens": 64, "top_k": 1, "rules": "latency", "seed": 1},
    {"loss": "masked", "experts": 32, "windows": 4, "tokens": 64, "drift": 0.1, "rules": "price"},
    {"loss": "skip", "windows": 4, "tokens": 16, "drift": 0.1, "rules": "unequal"},
)

#: As large as the largest models: 60 layers of 384 experts, 8 to a token.
WIDE: dict[str, Any] = {"layers": 60, "experts": 384, "windows": 1, "tokens": 128, "top_k": 8}

#: SwitchT: experts, and the budgets in GiB and seconds that arXiv:2308.15030 names.
SWITCH_T: tuple[tuple[int, float, float], ...] = (
    (16, 2.0, 0.0),
    (32, 4.7, 0.0),
    (64, 2.6, 0.0),
    (64, 4.7, 0.0),
    (64, 4.7, 0.8),
)

TABLES: tuple[dict[str, Any], ...] = (
    {},
    {"rules": "unequal"},
    {"experts": 64, "rules": "latency"},
    {"periods": 3, "rules": "link"},
)


def generated() -> Iterator[Entry]:
    """Yield the instances that a call makes."""
    for call in ROUTED:
        yield _written(generate.routed(**call))
    for rules in ("unequal", "latency"):
        yield _written(generate.routed(**WIDE, rules=rules))
    for experts, budget_gib, latency_s in SWITCH_T:
        yield _written(generate.switch_t(experts, budget_gib, latency_s))
    for call in TABLES:
        yield _written(generate.tables(**call))
    for load_price in (1.0, 10.0, 100.0):
        yield _written(generate.alternating(load_price))
    for experts, slots in ((8, 1), (16, 4), (64, 8)):
        yield _written(generate.hub(experts, slots))


def tiny() -> Iterator[Entry]:
    """Yield the instances made by hand."""
    for problem, optimum in tiny_committee.known():
        entry = _written(problem)
        entry.best_objective = entry.best_bound = float(optimum)
        entry.proven_by = "enumeration"
        yield entry
    for problem, constraint in tiny_committee.infeasible():
        entry = _written(problem)
        entry.proven_by = f"infeasible: {constraint}"
        yield entry


def from_traces(folder: Path) -> Iterator[Entry]:
    """Yield none: counts do not tell how much each expert's answer mattered."""
    del folder
    yield from ()


def _written(problem: CommitteeProblem) -> Entry:
    size = f"{problem.num_layers} layers x {problem.num_experts} experts"
    if problem.loss != "table":
        size += f", {problem.num_windows} windows"
    if problem.router is not None:
        size += f", {problem.router.shape[0]} tokens"
    for name in ("importance", "router"):
        values = getattr(problem, name)
        if values is not None and values.size >= BESIDE:
            return write("committee", problem, size, beside=name, dtype=np.uint16)
    return write("committee", problem, size)
