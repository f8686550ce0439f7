"""The buffering kit and strategies: what they draw is valid, what changes nothing does not."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import buffering_oracle
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from moeopt.buffering.plan import BufferingPlan, evaluate, violations
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.buffering.validate import impossible
from moeopt.testing.conformance.buffering_kit import larger, long_problems, relabelled, scaled
from moeopt.testing.conformance.buffering_oracle import brute_force
from moeopt.testing.strategies import (
    BUFFERING_FEATURES,
    BUFFERING_OBJECTIVES,
    buffering_plans,
    buffering_problems,
)

PROBLEMS = buffering_problems()

Pair = tuple[BufferingProblem, BufferingPlan]


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


@given(PROBLEMS.flatmap(lambda p: st.tuples(st.just(p), buffering_plans(p))))
@settings(max_examples=60)
def test_no_plan_is_below_the_optimum(pair: Pair) -> None:
    problem, plan = pair
    optimum = brute_force(problem)
    if optimum is not None and not violations(problem, plan):
        assert optimum.objective is not None
        assert evaluate(problem, plan).objective >= optimum.objective * (1 - 1e-12)


@given(buffering_problems(feasible=False))
@settings(max_examples=40)
def test_infeasible_problems_have_none_and_counting_shows_it(problem: BufferingProblem) -> None:
    optimum = brute_force(problem)
    assert optimum is None or optimum.objective is None
    assert impossible(problem)


@given(PROBLEMS)
@settings(max_examples=25)
def test_names_do_not_change_the_optimum(problem: BufferingProblem) -> None:
    optimum = brute_force(problem)
    if optimum is None or optimum.objective is None:
        return
    for other in relabelled(problem, np.random.default_rng(3)):
        renamed = brute_force(other.problem)
        assert renamed is not None
        assert renamed.objective == close(optimum.objective)
        back = other.back(renamed.plan)
        assert violations(problem, back) == []
        assert evaluate(problem, back).objective == close(optimum.objective)


@given(PROBLEMS)
@settings(max_examples=25)
def test_scaling_scales_the_optimum(problem: BufferingProblem) -> None:
    optimum = brute_force(problem)
    if optimum is None or optimum.objective is None:
        return
    for exponent in (5, -3):
        other, factor = scaled(problem, exponent)
        found = brute_force(other)
        assert found is not None
        assert found.objective == close(optimum.objective * factor)


@given(PROBLEMS | buffering_problems(features=("layers", "batches", "unequal_slots")))
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


def test_most_drawn_problems_are_small_enough_for_brute_force() -> None:
    some = problems()[:100]
    assert sum(brute_force(problem) is not None for problem in some) > 95


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


@pytest.mark.parametrize("feature", BUFFERING_FEATURES)
def test_every_feature_can_stand_alone(feature: str) -> None:
    examples = drawn(buffering_problems(features=(feature,), feasible=None), 20)
    assert all(problem.num_experts <= 4 for problem in examples)


@pytest.mark.parametrize("objective", BUFFERING_OBJECTIVES)
def test_objectives_are_those_asked_for(objective: str) -> None:
    examples = drawn(buffering_problems(objectives=(objective,)), 10)
    assert {problem.objective for problem in examples} == {objective}


@given(PROBLEMS.flatmap(lambda p: st.tuples(st.just(p), buffering_plans(p))))
def test_plans_have_the_shape_and_range(pair: Pair) -> None:
    problem, plan = pair
    assert not [v for v in violations(problem, plan) if v.constraint == "shape"]


@given(buffering_problems(max_experts=12, max_steps=30, feasible=None))
@settings(max_examples=20)
def test_larger_problems_are_drawn_too(problem: BufferingProblem) -> None:
    assert problem.num_experts <= 12
    assert problem.num_steps <= 30
