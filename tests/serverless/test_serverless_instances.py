"""The library: each constraint binds somewhere, infeasible ones are, methods have their values."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

import moeopt
from moeopt import library
from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.serverless import ServerlessProblem, evaluate, paper_costs, violations
from moeopt.serverless.bounds import bound
from moeopt.serverless.problem import Billing
from moeopt.serverless.promise import rounded_up
from moeopt.testing.conformance.serverless_oracle import brute_force
from moeopt.testing.strategies.serverless import with_timeout

ENTRIES = library.entries("serverless/")
INFEASIBLE = library.entries("serverless/infeasible-*")
TINY = library.entries("serverless/tiny-*")
BY_HAND = [entry for entry in TINY if entry.generator is None]

#: Too many plans for brute force.
LARGE = "infeasible-gpt2-moe"


def _fuller(problem: ServerlessProblem, size_bytes: int) -> dict[str, Any]:
    assert problem.expert is not None
    return {"expert": msgspec.structs.replace(problem.expert, intermediate_bytes=size_bytes)}


def _without(constraint: str, problem: ServerlessProblem) -> dict[str, Any]:
    """Return the fields that state a constraint, as they are without it."""
    return {
        "C1": {"memory_mb": (1024, 1536, 2048)},
        "C2": {"max_replicas": 3},
        "C3": _fuller(problem, 0),
        "C4": {"payload_bytes": 2**30},
        "C5": {"prices": with_timeout(problem.book(), 1e6)},
        "C6": {"slo_s": None},
        "C7": {"pipeline_degree": "layer"},
        "C8": {"designs": (1, 2, 3)},
    }[constraint]


#: Of tiny instances: the constraint that binds, and the optimum without it.
DROPPED = {
    "tiny-sizes": ("C1", 7.5),
    "tiny-replicas": ("C2", 15.0),
    "tiny-memory": ("C3", 13.0),
    "tiny-payload": ("C4", 13.0),
    "tiny-timeout": ("C5", 9.0),
    "tiny-promise": ("C6", 7.0),
    "tiny-one-degree": ("C7", 58.0),
    "tiny-designs": ("C8", 9.0),
}

#: Of tiny instances: what it is about, changed, and the optimum then.
CHANGED: dict[str, tuple[dict[str, Any], float]] = {
    "tiny-pipelining": ({"designs": (2,)}, 16.0),
    "tiny-hidden-load": ({"slo_s": None}, 5.0),
    "tiny-two-layers": ({"slo_s": None}, 14.0),
    "tiny-mixed-designs": ({"payload_bytes": 2**30}, 30.0),
    "tiny-storage-fees": ({"billing": paper_costs()}, 13.0),
    "tiny-requests": ({"billing": paper_costs()}, 8.0),
    "tiny-waiting": ({"billing": paper_costs()}, 26.0),
    "tiny-cold-starts": ({"billing": paper_costs()}, 8.0),
    "tiny-rounding": ({"billing": paper_costs()}, 3.5),
    "tiny-non-moe": ({"billing": paper_costs()}, 9.0),
    "tiny-provisioned": ({"billing": paper_costs()}, 8.0),
    "tiny-weights": ({"scenario_weights": None}, 5.0),
    "tiny-cold-promise": ({"slo_start": "warm"}, 7.0),
}


def named(entries: list[library.Entry]) -> list[Any]:
    return [pytest.param(entry, id=entry.name.partition("/")[2]) for entry in entries]


def load(name: str) -> ServerlessProblem:
    problem = load_problem(f"@serverless/{name}")
    assert isinstance(problem, ServerlessProblem)
    return problem


def optimum(problem: ServerlessProblem) -> float | None:
    best = brute_force(problem)
    assert best is not None
    return best.objective


@pytest.mark.parametrize("entry", named([e for e in ENTRIES if e not in TINY + INFEASIBLE]))
def test_the_index_fits_what_is_found_quickly(entry: library.Entry) -> None:
    """Figures of an instance that has changed since would stand out."""
    problem = load(entry.name.partition("/")[2])
    assert entry.best_objective is not None
    assert entry.best_bound is not None
    assert bound(problem) <= entry.best_objective * (1 + 1e-9)
    if problem.num_layers <= 24:
        result = moeopt.solve(problem)
        assert result.objective == pytest.approx(entry.best_objective, rel=1e-6)


@pytest.mark.parametrize("name", DROPPED)
def test_without_the_constraint_the_optimum_is_another(name: str) -> None:
    constraint, less = DROPPED[name]
    problem = load(name)
    freed = msgspec.structs.replace(problem, **_without(constraint, problem))
    assert optimum(freed) == pytest.approx(less, rel=1e-9)
    known = library.entries(f"serverless/{name}")[0].best_objective
    assert known is not None
    assert less < known


def test_every_constraint_binds_in_some_tiny_instance() -> None:
    assert {label for label, _ in DROPPED.values()} == {f"C{n}" for n in range(1, 9)}


@pytest.mark.parametrize("name", CHANGED)
def test_the_optimum_depends_on_what_the_instance_is_about(name: str) -> None:
    changes, other = CHANGED[name]
    problem = load(name)
    assert optimum(msgspec.structs.replace(problem, **changes)) == pytest.approx(other, rel=1e-9)
    assert optimum(problem) != pytest.approx(other, rel=1e-3)


def test_a_plan_for_the_mean_batch_is_too_slow_for_either() -> None:
    problem = load("tiny-batches")
    mean = msgspec.structs.replace(problem.layers[0], tokens=np.array([4.0, 4.0]))
    best = brute_force(msgspec.structs.replace(problem, layers=(mean,)))
    assert best is not None
    assert best.objective == 10
    broken = violations(problem, best.plan)  # type: ignore[arg-type]
    assert [violation.constraint for violation in broken] == ["C6"]


def test_experts_of_other_sizes_and_without_tokens_are_billed_as_they_are() -> None:
    sized, idle = load("tiny-parameters"), load("tiny-idle-expert")
    for problem, each in ((sized, [4, 6]), (idle, [5, 0])):
        value = evaluate(problem, moeopt.solve(problem).plan)
        assert value.expert_usd.tolist() == [each]


@pytest.mark.parametrize("name", [e.name.partition("/")[2] for e in BY_HAND])
def test_the_stated_bill_is_a_dollar_a_second(name: str) -> None:
    problem = load(name)
    least = problem.memory_mb[0] / 1024
    price = problem.usd_per_s()[0]
    assert price == (0.5 if name == "tiny-provisioned" else least)
    assert problem.billing != Billing()


@pytest.mark.parametrize("entry", named([e for e in INFEASIBLE if LARGE not in e.name]))
def test_nothing_meets_an_infeasible_instance_but_for_the_named_rule(entry: library.Entry) -> None:
    problem = load(entry.name.partition("/")[2])
    assert entry.proven_by is not None
    constraint = entry.proven_by.removeprefix("infeasible: ")
    freed = msgspec.structs.replace(problem, **_without(constraint, problem))
    assert optimum(problem) is None
    assert optimum(freed) is not None
    assert moeopt.solve(problem).status is Status.INFEASIBLE


def test_one_degree_too_few_is_what_one_instance_lacks() -> None:
    problem = load("infeasible-one-degree")
    assert optimum(msgspec.structs.replace(problem, pipeline_degree="layer")) == 30


def test_a_promise_nobody_can_keep_names_the_shortest_latency_and_its_price() -> None:
    problem = load(LARGE)
    result = moeopt.solve(problem)
    assert result.status is Status.INFEASIBLE
    (said,) = result.violations
    assert said.constraint == "C6"
    shortest_s = problem.slo_s + said.amount  # type: ignore[operator]
    assert f"{rounded_up(shortest_s)} s" in said.message
    enough = moeopt.solve(msgspec.structs.replace(problem, slo_s=shortest_s * (1 + 1e-9)))
    assert enough.objective is not None
    assert f"{enough.objective:.4g}"[:-1] in said.message
