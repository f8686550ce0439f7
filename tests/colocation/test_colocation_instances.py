"""The library: each constraint binds somewhere, infeasible ones are, methods have their values."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

import moeopt
from moeopt import library
from moeopt.colocation import ColocationProblem, evaluate
from moeopt.core.result import Status
from moeopt.describe.cluster import Cluster, Node
from moeopt.io import load_problem
from moeopt.testing.conformance.colocation_oracle import brute_force

ENTRIES = library.entries("colocation/")
SMALL = [
    entry
    for pattern in ("colocation/tiny-*", "colocation/aurora-*")
    for entry in library.entries(pattern)
]
INFEASIBLE = library.entries("colocation/infeasible-*")

#: Of tiny instances: the constraint that binds, the fields without it, and the optimum then.
DROPPED: dict[str, tuple[str, dict[str, Any], float]] = {
    "tiny-one-place": ("C2", {"experts_per_device": 2}, 0.0),
    "tiny-two-places": ("C2", {"experts_per_device": 3}, 0.0),
    "tiny-memory": ("C3", {"expert_memory_bytes": None}, 4.0),
    "tiny-pins": ("C4", {"pinned": ()}, 4.0),
}

#: The field that states a constraint, as it is without it.
WITHOUT: dict[str, dict[str, Any]] = {
    "C2": {"experts_per_device": 4},
    "C3": {"expert_memory_bytes": None},
    "C4": {"pinned": ()},
}


def named(entries: list[library.Entry]) -> list[Any]:
    return [pytest.param(entry, id=entry.name.partition("/")[2]) for entry in entries]


def load(name: str) -> ColocationProblem:
    problem = load_problem(f"@colocation/{name}")
    assert isinstance(problem, ColocationProblem)
    return problem


@pytest.mark.parametrize("entry", named([e for e in ENTRIES if e not in SMALL + INFEASIBLE]))
def test_the_index_fits_what_is_found_quickly(entry: library.Entry) -> None:
    """Figures of an instance that has changed since would stand out."""
    result = moeopt.solve(load(entry.name.partition("/")[2]), "two_step")
    assert entry.best_objective is not None
    assert entry.best_bound is not None
    assert result.bound is not None
    assert result.bound <= entry.best_objective * (1 + 1e-9)
    assert result.objective is not None
    assert result.objective >= entry.best_bound * (1 - 1e-9)


@pytest.mark.parametrize("name", DROPPED)
def test_without_the_constraint_the_optimum_is_another(name: str) -> None:
    _, changes, optimum = DROPPED[name]
    freed = brute_force(msgspec.structs.replace(load(name), **changes))
    assert freed is not None
    assert freed.objective == pytest.approx(optimum, rel=1e-9)
    assert optimum < library.entries(f"colocation/{name}")[0].best_objective  # type: ignore[operator]


def test_every_constraint_binds_in_some_tiny_instance() -> None:
    """C1 too: were experts nowhere, `tiny-two-models` would send nothing."""
    assert {label for label, _, _ in DROPPED.values()} | {"C1"} == {"C1", "C2", "C3", "C4"}
    problem = load("tiny-two-models")
    nowhere = msgspec.structs.replace(
        problem,
        models=tuple(
            msgspec.structs.replace(model, traffic_tokens=np.zeros((1, 1)))
            for model in problem.models
        ),
    )
    freed = brute_force(nowhere)
    assert freed is not None
    assert freed.objective == 0
    assert library.entries("colocation/tiny-two-models")[0].best_objective == 6


@pytest.mark.parametrize(
    ("name", "optimum"), [("tiny-speeds", 12.0), ("tiny-ports", 6.0), ("tiny-combine-twice", 6.0)]
)
def test_equal_devices_or_tokens_have_another_optimum(name: str, optimum: float) -> None:
    problem = load(name)
    node = Node(nic_bandwidth_bytes_per_s=1.0)
    group = msgspec.structs.replace(problem.cluster.nodes[0], node=node, count=problem.num_devices)
    models = tuple(
        msgspec.structs.replace(model, combine_bytes_per_token=model.dispatch_bytes_per_token)
        for model in problem.models
    )
    plain = msgspec.structs.replace(problem, cluster=Cluster(nodes=(group,)), models=models)
    best = brute_force(plain)
    assert best is not None
    assert best.objective == optimum


def test_the_slowest_device_and_all_in_step_want_other_plans() -> None:
    step, alone = load("tiny-time"), load("tiny-bottleneck")
    assert step == msgspec.structs.replace(
        alone, name=step.name, source=step.source, objective="time"
    )
    best_step, best_alone = brute_force(step), brute_force(alone)
    assert best_step is not None
    assert best_alone is not None
    assert evaluate(step, best_alone.plan).time_s == 32  # type: ignore[arg-type]
    assert evaluate(step, best_step.plan).bottleneck_s == 24  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "method", "value"),
    [
        ("aurora-case-1", "sorted_pairing", 8),
        ("aurora-case-2", "sorted_pairing", 9),
        ("aurora-case-2", "bottleneck_matching", 7),
        ("tiny-two-steps", "two_step", 18),
        ("tiny-two-steps", "exact", 12),
    ],
)
def test_the_papers_methods_have_the_stated_values(name: str, method: str, value: float) -> None:
    assert moeopt.solve(load(name), method).objective == value


@pytest.mark.parametrize("entry", named(INFEASIBLE))
def test_nothing_meets_an_infeasible_instance_but_for_the_named_rule(entry: library.Entry) -> None:
    problem = load(entry.name.partition("/")[2])
    assert entry.proven_by is not None
    constraint = entry.proven_by.removeprefix("infeasible: ")
    none, freed = (
        brute_force(p) for p in (problem, msgspec.structs.replace(problem, **WITHOUT[constraint]))
    )
    assert none is not None
    assert none.objective is None
    assert freed is not None
    assert freed.objective is not None
    assert moeopt.solve(problem).status is Status.INFEASIBLE


@pytest.mark.parametrize("cluster", ["equal", "mixed"])
def test_recorded_routing_keeps_its_tokens(cluster: str) -> None:
    """Six experts to a token, whatever group they are in."""
    problem = load(f"deepseek-v2-lite-both-{cluster}")
    tokens = [model.traffic_tokens.sum() for model in problem.models]
    assert tokens == [6 * 8222, 6 * 8251]
    assert [model.num_experts for model in problem.models] == [8, 8]
