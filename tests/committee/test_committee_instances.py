"""The library: each constraint binds somewhere, infeasible ones are, methods have their values."""

from __future__ import annotations

from typing import Any

import committee_oracle
import msgspec
import numpy as np
import pytest

import moeopt
from moeopt import library
from moeopt.committee.plan import evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.testing.conformance.committee_oracle import brute_force

ENTRIES = library.entries("committee/")
TINY = library.entries("committee/tiny-*")
INFEASIBLE = library.entries("committee/infeasible-*")

#: Of tiny instances: the constraint that binds, and the optimum of the problem without it.
DROPPED: dict[str, tuple[str, float]] = {
    "tiny-budget": ("C1", 0.0),
    "tiny-latency": ("C2", 0.0),
    "tiny-link": ("C3", 0.0),
    "tiny-link-table": ("C3", 3.0),
    "tiny-fewest": ("C4", 4.0),
    "tiny-most": ("C4", 4.0),
    "tiny-slots": ("C5", 0.0),
    "tiny-updates": ("C6", 0.0),
    "tiny-periods": ("C7", 0.0),
}

#: The same where a field states the constraint, and of others what they are about, changed.
WITHOUT: dict[str, tuple[dict[str, Any], float]] = {
    "tiny-budget": ({"budget_bytes": 6}, 0.0),
    "tiny-latency": ({"latency_s": None}, 0.0),
    "tiny-link": ({"link_bytes_per_s": None, "window_s": None}, 0.0),
    "tiny-link-table": ({"link_bytes_per_s": None, "window_s": None}, 3.0),
    "tiny-fewest": ({"min_slots": 0}, 4.0),
    "tiny-most": ({"max_slots": None}, 4.0),
    "tiny-slots": ({"load_price": 0.0}, 0.0),
    "tiny-updates": ({"periods": None}, 0.0),
    "tiny-periods": ({"periods": np.array([3])}, 2.0),
    "tiny-masked": ({"loss": "skip"}, 1.0),
    "tiny-skip": ({"loss": "masked"}, 0.25),
    "tiny-masked-top-2": ({"top_k": 1}, 0.0),
    "tiny-ties": ({"budget_bytes": 2}, 0.0),
    "tiny-windows": ({"window_starts": None}, 3.0),
    "tiny-table": ({"budget_bytes": 1}, 17.0),
    "tiny-table-periods": ({"link_bytes_per_s": 1.0}, 2.0),
    "tiny-sizes": ({"expert_bytes": 1}, 4.0),
    "tiny-staging": ({"staging_slots": 0}, 0.0),
    "tiny-activations": ({"activation_bytes": 0}, 0.0),
    "tiny-paid-fill": ({"free_fill": True}, 0.0),
    "tiny-free-fill": ({"free_fill": False}, 6.0),
    "tiny-layer-prices": ({"load_price": 1.0}, 4.0),
}

#: Of infeasible instances: what makes each feasible.
FREED: dict[str, dict[str, Any]] = {
    "infeasible-budget": {"budget_bytes": 4},
    "infeasible-staging": {"staging_slots": 0},
    "infeasible-latency": {"latency_s": None},
    "infeasible-link": {"link_bytes_per_s": 2.0},
}


def named(entries: list[library.Entry]) -> list[Any]:
    return [pytest.param(entry, id=entry.name.partition("/")[2]) for entry in entries]


def load(name: str) -> CommitteeProblem:
    problem = load_problem(f"@committee/{name}")
    assert isinstance(problem, CommitteeProblem)
    return problem


def optimum(problem: CommitteeProblem) -> float | None:
    best = brute_force(problem)
    assert best is not None
    return best.objective


@pytest.mark.parametrize("entry", named([e for e in ENTRIES if e not in TINY + INFEASIBLE]))
def test_the_index_fits_what_is_found_quickly(entry: library.Entry) -> None:
    """Figures of an instance that has changed since would stand out."""
    result = moeopt.solve(load(entry.name.partition("/")[2]), "greedy")
    assert entry.best_objective is not None
    assert entry.best_bound is not None
    assert result.objective is not None
    assert result.bound is not None
    assert result.objective >= entry.best_bound * (1 - 1e-9)
    assert result.bound <= entry.best_objective * (1 + 1e-9)


@pytest.mark.parametrize("name", DROPPED)
def test_without_the_constraint_the_optimum_is_another(name: str) -> None:
    label, less = DROPPED[name]
    freed = committee_oracle.brute_force(load(name), (label,))
    assert freed is not None
    assert freed.objective == pytest.approx(less, rel=1e-9)
    assert less < library.entries(f"committee/{name}")[0].best_objective  # type: ignore[operator]


@pytest.mark.parametrize("name", WITHOUT)
def test_the_optimum_depends_on_what_the_instance_is_about(name: str) -> None:
    changes, other = WITHOUT[name]
    problem = load(name)
    assert optimum(msgspec.structs.replace(problem, **changes)) == pytest.approx(other, rel=1e-9)
    assert optimum(problem) != pytest.approx(other, rel=1e-3)


def test_every_constraint_binds_in_some_tiny_instance() -> None:
    assert {label for label, _ in DROPPED.values()} == {f"C{n}" for n in range(1, 8)}
    tiny = {entry.name.partition("/")[2] for entry in TINY}
    assert tiny - WITHOUT.keys() == {"tiny-nothing"}


@pytest.mark.parametrize(
    ("name", "method", "value"),
    [
        ("tiny-masked", "top_importance", 1.0),
        ("tiny-masked", "lazy_greedy", 0.25),
        ("tiny-table", "greedy", 16.0),
        ("tiny-table", "knapsack", 10.0),
        ("tiny-sizes", "greedy", 8.0),
        ("tiny-sizes", "knapsack", 7.0),
        ("hub-8-1", "top_importance", 6.0),
        ("hub-8-1", "lazy_greedy", 0.007),
    ],
)
def test_methods_have_the_stated_values(name: str, method: str, value: float) -> None:
    problem = load(name)
    assert evaluate(problem, moeopt.solve(problem, method).plan).objective == pytest.approx(value)


@pytest.mark.parametrize("price", [1, 10, 100])
def test_alternating_experts_cost_what_the_closed_form_says(price: int) -> None:
    """The paper's scheduler pays ``T + c (T - 1)``, hindsight ``T / 2 + c``."""
    problem = load(f"alternating-{price}")
    assert library.entries(f"committee/alternating-{price}")[0].best_objective == 200 + price
    assert problem.num_windows == 400
    assert moeopt.solve(problem, "flow_curves").objective == 200 + price


@pytest.mark.parametrize("entry", named(INFEASIBLE))
def test_nothing_meets_an_infeasible_instance_but_for_the_named_rule(entry: library.Entry) -> None:
    name = entry.name.partition("/")[2]
    problem = load(name)
    assert optimum(problem) is None
    assert optimum(msgspec.structs.replace(problem, **FREED[name])) is not None
    result = moeopt.solve(problem)
    assert result.status is Status.INFEASIBLE
    assert entry.proven_by == f"infeasible: {result.violations[0].constraint}"


def test_every_field_is_stated_by_some_instance() -> None:
    default = CommitteeProblem(experts=1, importance=np.zeros((1, 1, 1)), budget_bytes=99)
    problems = [load(entry.name.partition("/")[2]) for entry in ENTRIES]
    used = {
        name
        for problem in problems
        for name in problem.__struct_fields__
        if repr(getattr(problem, name)) != repr(getattr(default, name))
    }
    assert set(default.__struct_fields__) - used == {"version"}
