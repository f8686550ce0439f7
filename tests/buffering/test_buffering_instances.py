"""The library: each constraint binds somewhere, infeasible ones are, methods have their values."""

from __future__ import annotations

from typing import Any

import buffering_oracle
import msgspec
import pytest

import moeopt
from moeopt import library
from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.problem import BufferingProblem
from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.testing.conformance.buffering_oracle import brute_force

ENTRIES = library.entries("buffering/")
SMALL = [
    entry
    for pattern in ("buffering/tiny-*", "buffering/paper-*")
    for entry in library.entries(pattern)
]
INFEASIBLE = library.entries("buffering/infeasible-*")

#: Of tiny instances: the constraint that binds, and the optimum of the problem without it.
DROPPED: dict[str, tuple[str, float]] = {
    "tiny-cold": ("C1", 0.0),
    "tiny-room": ("C2", 2.0),
    "tiny-on-demand": ("C3", 0.0),
    "tiny-cap": ("C4", 2.0),
    "tiny-period": ("C5", 4.0),
    "tiny-budget": ("C6", 4.0),
    "tiny-fixed-order": ("C7", 3.0),
    "tiny-pins": ("C8", 2.0),
}

#: The same where a field states the constraint: what the field is without it.
WITHOUT: dict[str, dict[str, Any]] = {
    "tiny-room": {"slots": 2},
    "tiny-cap": {"loads_per_group": None},
    "tiny-period": {"update_period": 1},
    "tiny-budget": {"budget_bytes": 6},
    "tiny-fixed-order": {"any_order": True},
    "tiny-pins": {"pinned": None},
}

#: Of infeasible instances: what makes each feasible.
FREED: dict[str, dict[str, Any]] = {
    "infeasible-pins": {"pinned": None},
    "infeasible-no-slot-left": {"slots": 2},
    "infeasible-expert-too-large": {"cache_bytes": 3},
    "infeasible-beside-a-pin": {"cache_bytes": 4},
    "infeasible-budget": {"budget_bytes": 6},
}


def named(entries: list[library.Entry]) -> list[Any]:
    return [pytest.param(entry, id=entry.name.partition("/")[2]) for entry in entries]


def load(name: str) -> BufferingProblem:
    problem = load_problem(f"@buffering/{name}")
    assert isinstance(problem, BufferingProblem)
    return problem


@pytest.mark.parametrize("entry", named([e for e in ENTRIES if e not in SMALL + INFEASIBLE]))
def test_the_index_fits_what_is_found_quickly(entry: library.Entry) -> None:
    """Figures of an instance that has changed since would stand out."""
    problem = load(entry.name.partition("/")[2])
    result = moeopt.solve(problem, "lru")
    assert entry.best_objective is not None
    assert entry.best_bound is not None
    assert violations(problem, result.plan) == []
    assert result.objective is not None
    assert result.objective >= entry.best_bound * (1 - 1e-9)


@pytest.mark.parametrize("name", DROPPED)
def test_without_the_constraint_the_optimum_is_another(name: str) -> None:
    label, optimum = DROPPED[name]
    freed = buffering_oracle.brute_force(load(name), (label,))
    assert freed is not None
    assert freed.objective == pytest.approx(optimum, rel=1e-9)
    assert optimum < library.entries(f"buffering/{name}")[0].best_objective  # type: ignore[operator]


@pytest.mark.parametrize("name", WITHOUT)
def test_without_its_field_the_optimum_is_that_too(name: str) -> None:
    freed = brute_force(msgspec.structs.replace(load(name), **WITHOUT[name]))
    assert freed is not None
    assert freed.objective == pytest.approx(DROPPED[name][1], rel=1e-9)


def test_every_constraint_binds_in_some_tiny_instance() -> None:
    assert {label for label, _ in DROPPED.values()} == {f"C{n}" for n in range(1, 9)}


@pytest.mark.parametrize(
    ("name", "method", "value"),
    [
        ("paper-example", "inactive_lifo", 4),
        ("paper-example", "lru", 6),
        ("tiny-scan", "lru", 16),
        ("tiny-scan", "fifo", 16),
        ("tiny-scan", "belady", 8),
        ("tiny-prices", "belady", 22),
        ("tiny-prices", "exact", 13),
    ],
)
def test_policies_have_the_stated_values(name: str, method: str, value: float) -> None:
    problem = load(name)
    assert evaluate(problem, moeopt.solve(problem, method).plan).objective == value


def test_the_policy_that_a_stream_was_made_against_misses_always() -> None:
    for policy in ("lru", "fifo", "lfu"):
        problem = load(f"against-{policy}-8")
        assert moeopt.solve(problem, policy).objective == problem.num_references


@pytest.mark.parametrize("entry", named(INFEASIBLE))
def test_nothing_meets_an_infeasible_instance_but_for_the_named_rule(entry: library.Entry) -> None:
    name = entry.name.partition("/")[2]
    problem = load(name)
    assert entry.proven_by is not None
    none, freed = (
        brute_force(p) for p in (problem, msgspec.structs.replace(problem, **FREED[name]))
    )
    assert none is not None
    assert none.objective is None
    assert freed is not None
    assert freed.objective is not None
    result = moeopt.solve(problem)
    assert result.status is Status.INFEASIBLE
    assert entry.proven_by == f"infeasible: {result.violations[0].constraint}"


def test_recorded_routing_keeps_its_tokens() -> None:
    """Four experts to a token in each layer, whatever the rules."""
    entries = list(library.entries("buffering/reference-*"))
    assert entries
    for entry in entries:
        problem = load(entry.name.partition("/")[2])
        assert problem.num_references == 4 * problem.num_groups
