"""The buffering wing's part of the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import tiny_buffering
from instance_files import Entry, write

from moeopt.buffering import generate
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.problem import BufferingProblem
from moeopt.library import trace_path
from moeopt.traces import read_trace

#: Methods that may find better plans or bounds.
METHODS = ("auto",)

#: Drawn streams: one for each kind of rules, and some that differ in how they are drawn.
DRAWN: tuple[dict[str, Any], ...] = (
    *({"rules": rules} for rules in generate.RULES if rules != "any-order"),
    {"rules": "any-order", "batch": 2, "steps": 32},
    {"rules": "slots", "layers": 1, "experts": 32, "steps": 256, "drift": 0.1, "seed": 1},
    {
        "rules": "slots",
        "layers": 1,
        "experts": 32,
        "steps": 256,
        "domains": 3,
        "domain_steps": 64,
        "past": 64,
        "seed": 2,
    },
)

#: Layers of the recorded routing that are kept, and its first tokens.
LAYERS, FIRST_TOKENS = (0, 8, 17, 25), 512

#: Slots of 64 experts.
SLOTS = (8, 16)

#: Share of all slots that a budget pays for.
BUDGET = 0.2

#: Bytes of an expert of the reference model in half precision.
REFERENCE_BYTES = 2 * 2 * 160 * 40


def generated() -> Iterator[Entry]:
    """Yield the instances that a call makes."""
    for call in DRAWN:
        yield _written(generate.locality(**call))
    yield _written(generate.scan(32, 8, 8))
    yield _written(generate.scan(16, 4, 6, layers=2, together=16))
    for policy in generate.ADVERSARIES:
        yield _written(generate.adversary(policy, 8, 128))
    yield from _reference()
    yield _written(generate.offloaded("mixtral-8x7b"))
    yield _written(generate.offloaded("olmoe-1b-7b", steps=32, batch=4, uploads=1))


def tiny() -> Iterator[Entry]:
    """Yield the instances made by hand."""
    for problem, optimum in tiny_buffering.known():
        entry = _written(problem)
        entry.best_objective = entry.best_bound = float(optimum)
        entry.proven_by = "enumeration"
        yield entry
    for problem, constraint in tiny_buffering.infeasible():
        entry = _written(problem)
        entry.proven_by = f"infeasible: {constraint}"
        yield entry


def from_traces(folder: Path) -> Iterator[Entry]:
    """Yield none: routing token by token is not ours to ship, and counts make no cache."""
    del folder
    yield from ()


def _reference() -> Iterator[Entry]:
    """Yield the routing of the reference model, whose trace lies in the library."""
    trace = read_trace(trace_path("reference-held-out")).part(0, FIRST_TOKENS)
    everything = trace.num_layers * trace.num_experts
    rules: dict[str, dict[str, Any]] = {
        f"{SLOTS[1]}": {"slots": SLOTS[1]},
        "budget": {"expert_bytes": REFERENCE_BYTES, "objective": "miss_bytes"},
    }
    rules["budget"]["budget_bytes"] = round(BUDGET * everything) * REFERENCE_BYTES
    for name, stated in rules.items():
        problem = buffering_problem(
            trace,
            name=f"reference-held-out-{name}",
            source="routing of the reference model, instances/traces/reference-held-out.npz, its"
            f" first {FIRST_TOKENS} tokens, one a step",
            **stated,
        )
        yield _written(_without_weights(problem))


def _without_weights(problem: BufferingProblem) -> BufferingProblem:
    """Return the problem without weights: with one token a step all of them are 1."""
    return msgspec.structs.replace(problem, weights=None)


def _written(problem: BufferingProblem) -> Entry:
    size = (
        f"{problem.num_references} references in {problem.num_steps} steps to {problem.num_layers}"
        f" x {problem.num_experts} experts"
    )
    return write("buffering", problem, size)
