"""The committee strategies reach every option; the kit's oracle agrees with the tests' own."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import committee_oracle
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from moeopt.committee.plan import evaluate, violations
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.validate import impossible
from moeopt.testing.conformance.committee_kit import long_problems, relabelled
from moeopt.testing.conformance.committee_oracle import brute_force
from moeopt.testing.strategies import COMMITTEE_LOSSES, committee_problems

PROBLEMS = committee_problems()
LINKED = committee_problems(features=("layers", "link", "paid_fill", "periods", "windows"))


def drawn(strategy: st.SearchStrategy[Any], examples: int) -> list[Any]:
    """Return examples of a strategy, the same each time."""
    found: list[Any] = []

    @seed(1)
    @settings(max_examples=examples, deadline=None, database=None, derandomize=False)
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


@cache
def problems() -> list[CommitteeProblem]:
    """Return problems of any rules."""
    return drawn(PROBLEMS, 300)


@given(PROBLEMS | LINKED)
@settings(max_examples=60)
def test_feasible_problems_have_a_plan_that_is_worth_what_the_oracle_says(
    problem: CommitteeProblem,
) -> None:
    assert not impossible(problem)
    optimum = brute_force(problem)
    assert optimum is not None
    assert optimum.plan is not None
    assert optimum.objective is not None
    assert violations(problem, optimum.plan) == []  # type: ignore[arg-type]
    value = evaluate(problem, optimum.plan).objective  # type: ignore[arg-type]
    assert value == pytest.approx(optimum.objective, rel=1e-12, abs=1e-12)
    if problem.num_layers * problem.num_experts <= 6:
        other = committee_oracle.brute_force(problem)
        assert other is not None
        assert other.objective == pytest.approx(optimum.objective, rel=1e-12, abs=1e-12)


def test_names_decide_where_a_token_goes_to_one_of_two_alike() -> None:
    fields = {"experts": 3, "loss": "skip", "budget_bytes": 1}
    tied, clear, nothing, two = (
        CommitteeProblem(router=np.array([[values]]), top_k=k, **fields)
        for values, k in (([2, 2, 1], 1), ([3, 2, 2], 1), ([0, 0, 0], 1), ([2, 2, 1], 2))
    )
    for problem, kept in ((tied, True), (clear, False), (nothing, False), (two, False)):
        renamed = {other.what for other in relabelled(problem, np.random.default_rng(3))}
        assert ("experts" not in renamed) == kept


def test_brute_force_declines_what_is_too_large() -> None:
    importance = np.ones((1, 3, 4))
    apart = CommitteeProblem(layers=3, experts=4, importance=importance, budget_bytes=6)
    assert brute_force(apart) is not None
    linked = CommitteeProblem(
        layers=3,
        experts=4,
        importance=importance,
        budget_bytes=6,
        link_bytes_per_s=1.0,
        window_s=1.0,
    )
    assert brute_force(linked) is None


def test_a_long_problem_for_every_kind_of_method() -> None:
    stated = long_problems()
    assert {problem.loss for problem in stated} == {"additive", "masked", "table"}
    assert any(problem.link_bytes_per_s for problem in stated)
    assert any(problem.latency_s for problem in stated)


def test_every_option_of_a_problem_is_reached() -> None:
    examples = problems()
    assert all(type(example) is CommitteeProblem for example in examples)
    default = CommitteeProblem(experts=9, importance=np.zeros((1, 1, 9)), budget_bytes=99)
    used = Counter(
        name
        for record in examples
        for name in record.__struct_fields__
        if repr(getattr(record, name)) != repr(getattr(default, name))
    )
    assert set(default.__struct_fields__) - set(used) <= {"version"}
    assert {problem.loss for problem in examples} == set(COMMITTEE_LOSSES)
    assert {problem.num_layers for problem in examples} == {1, 2}
    assert len({problem.num_windows for problem in examples}) > 3
    stated = [getattr(p, name) for p in examples for name in ("expert_bytes", "slot_s")]
    assert {np.ndim(value) for value in stated} == {0, 1}
    assert {problem.table.ndim for problem in examples if problem.table is not None} == {2, 3}


@given(committee_problems(plain=True))
def test_plain_problems_state_no_rule(problem: CommitteeProblem) -> None:
    assert (problem.num_layers, problem.num_windows, problem.top_k) == (1, 1, 1)
    stated = ("periods", "link_bytes_per_s", "latency_s", "min_slots", "max_slots", "swaps")
    assert all(getattr(problem, name) is None for name in stated)
