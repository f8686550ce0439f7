"""The buffering strategies reach every option; the kit's oracle agrees with the tests' own."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import buffering_oracle
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.buffering.validate import impossible
from moeopt.testing.conformance.buffering_kit import larger, long_problems
from moeopt.testing.conformance.buffering_oracle import brute_force
from moeopt.testing.strategies import buffering_problems

PROBLEMS = buffering_problems()


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
def problems() -> list[BufferingProblem]:
    """Return problems of any rules."""
    return drawn(PROBLEMS, 200)


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=1e-12)


@given(PROBLEMS)
@settings(max_examples=40)
def test_feasible_problems_have_a_plan_that_is_worth_what_the_oracle_says(
    problem: BufferingProblem,
) -> None:
    assert not impossible(problem)
    optimum = brute_force(problem)
    if optimum is None:
        return
    assert optimum.plan is not None
    assert optimum.objective is not None
    assert violations(problem, optimum.plan) == []  # type: ignore[arg-type]
    value = evaluate(problem, optimum.plan).objective  # type: ignore[arg-type]
    assert value == close(optimum.objective)
    other = buffering_oracle.brute_force(problem)
    assert other is not None
    assert other.objective == close(optimum.objective)


@given(buffering_problems(features=("layers", "batches", "unequal_slots")))
@settings(max_examples=25)
def test_more_room_and_freedom_never_hurt(problem: BufferingProblem) -> None:
    optimum = brute_force(problem)
    if optimum is None or optimum.objective is None:
        return
    for what, other in larger(problem, np.random.default_rng(3)):
        freed = brute_force(other)
        if freed is not None:
            assert freed.objective is not None
            assert freed.objective <= optimum.objective + 1e-12, what


def test_a_long_problem_for_every_kind_of_method() -> None:
    stated = long_problems()
    assert {problem.serve for problem in stated} == {"load", "bypass"}
    assert any(problem.cache_bytes is not None for problem in stated)


def test_every_option_of_a_problem_is_reached() -> None:
    examples = problems()
    assert all(type(example) is BufferingProblem for example in examples)
    default = BufferingProblem(experts=1, active=np.array([0]), starts=np.array([0, 1]), slots=0)
    timings = [problem.timing for problem in examples if problem.timing is not None]
    for records, plain in ((examples, default), (timings, Timing(link_bytes_per_s=5.0))):
        used = Counter(
            name
            for record in records
            for name in record.__struct_fields__
            if repr(getattr(record, name)) != repr(getattr(plain, name))
        )
        assert set(plain.__struct_fields__) - set(used) <= {"version"}
    assert {problem.num_layers for problem in examples} == {1, 2}
    groups = {int(n) for problem in examples for n in np.diff(problem.starts)}
    assert {0, 1, 2, 3} <= groups
    assert {np.ndim(problem.expert_bytes) for problem in examples} == {0, 1, 2}


@given(buffering_problems(plain=True))
def test_plain_problems_state_no_rule(problem: BufferingProblem) -> None:
    assert problem.num_layers == 1
    assert (problem.serve, problem.pooled, problem.any_order) == ("load", False, False)
    assert problem.pinned is None
    assert set(np.diff(problem.starts).tolist()) == {1}
