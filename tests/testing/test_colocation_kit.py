"""The colocation kit and strategies: what they draw is valid, what changes nothing does not."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from moeopt.colocation.plan import evaluate, violations
from moeopt.colocation.problem import ColocationProblem, ModelLayer, Pin
from moeopt.colocation.validate import impossible
from moeopt.describe.cluster import Cluster
from moeopt.testing.conformance.colocation_kit import larger, long_problems, relabelled, scaled
from moeopt.testing.conformance.colocation_oracle import brute_force
from moeopt.testing.strategies import (
    COLOCATION_FEATURES,
    COLOCATION_OBJECTIVES,
    colocation_plans,
    colocation_problems,
)

PROBLEMS = colocation_problems()


def drawn(strategy, examples):
    """Return examples of a strategy, the same each time."""
    found = []

    @seed(1)
    @settings(max_examples=examples, deadline=None, database=None, derandomize=False)
    @given(strategy)
    def collect(example):
        found.append(example)

    collect()
    return found


@given(PROBLEMS)
@settings(max_examples=60)
def test_feasible_problems_have_a_plan_that_is_worth_what_the_oracle_says(problem):
    assert not impossible(problem)
    optimum = brute_force(problem)
    if optimum is None:
        return
    assert optimum.plan is not None
    assert violations(problem, optimum.plan) == []
    value = evaluate(problem, optimum.plan).objective
    assert value == pytest.approx(optimum.objective, rel=1e-12, abs=1e-300)


@given(PROBLEMS.flatmap(lambda p: st.tuples(st.just(p), colocation_plans(p))))
@settings(max_examples=60)
def test_no_plan_is_below_the_optimum(pair):
    problem, plan = pair
    optimum = brute_force(problem)
    if optimum is not None and not violations(problem, plan):
        assert evaluate(problem, plan).objective >= optimum.objective * (1 - 1e-12)


@given(colocation_problems(feasible=False))
@settings(max_examples=40)
def test_infeasible_problems_have_none(problem):
    optimum = brute_force(problem)
    assert optimum is None or optimum.objective is None


@given(colocation_problems(feasible=None))
@settings(max_examples=40)
def test_what_counting_calls_impossible_is(problem):
    if impossible(problem):
        optimum = brute_force(problem)
        assert optimum is None or optimum.objective is None


def test_some_infeasible_problems_pass_the_counting():
    examples = drawn(colocation_problems(feasible=False), 80)
    assert 2 < sum(not impossible(problem) for problem in examples) < 78


@given(PROBLEMS)
@settings(max_examples=25)
def test_names_do_not_change_the_optimum(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    for other in relabelled(problem, np.random.default_rng(3)):
        renamed = brute_force(other.problem)
        assert renamed.objective == pytest.approx(optimum.objective, rel=1e-12, abs=1e-300)
        back = other.back(renamed.plan)
        assert violations(problem, back) == []
        value = evaluate(problem, back).objective
        assert value == pytest.approx(optimum.objective, rel=1e-12, abs=1e-300)


@given(PROBLEMS)
@settings(max_examples=25)
def test_scaling_scales_the_optimum(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    other, factor = scaled(problem, 5)
    assert brute_force(other).objective == pytest.approx(optimum.objective * factor, rel=1e-12)


@given(PROBLEMS)
@settings(max_examples=25)
def test_more_freedom_never_hurts(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    for what, other in larger(problem, np.random.default_rng(3)):
        freed = brute_force(other)
        if freed is not None:
            assert freed.objective <= optimum.objective * (1 + 1e-12), what


def test_most_drawn_problems_are_small_enough_for_brute_force():
    examples = drawn(PROBLEMS, 200)
    assert sum(brute_force(problem) is not None for problem in examples) > 190


def test_a_long_problem_for_every_objective():
    stated = long_problems()
    assert {p.objective for p in stated} == set(COLOCATION_OBJECTIVES)
    assert {p.num_models for p in stated} == {2, 3}
    assert any(p.experts_per_device > 1 for p in stated)


def test_every_option_of_a_problem_is_reached():
    examples = drawn(PROBLEMS, 400)
    assert all(type(example) is ColocationProblem for example in examples)
    model = ModelLayer(traffic_tokens=np.zeros((1, 1)))
    default = ColocationProblem(models=(model,), cluster=Cluster.uniform(1))
    layers = [model for problem in examples for model in problem.models]
    for records, plain in ((examples, default), (layers, model)):
        used = Counter(
            name
            for record in records
            for name in record.__struct_fields__
            if repr(getattr(record, name)) != repr(getattr(plain, name))
        )
        assert set(plain.__struct_fields__) - set(used) <= {"version"}
    pins = [pin for problem in examples for pin in problem.pinned]
    for name in Pin.__struct_fields__:
        assert len({getattr(pin, name) for pin in pins}) > 1, name
    assert {problem.num_models for problem in examples} == {1, 2, 3}
    assert {problem.cluster.num_nodes == 1 for problem in examples} == {True, False}
    assert any(len(set(problem.experts().tolist())) > 1 for problem in examples)


@given(colocation_problems(plain=True))
def test_plain_problems_state_no_rule(problem):
    assert problem.num_models == 2
    assert problem.experts().tolist() == [problem.num_devices] * 2
    assert problem.pinned == ()
    assert problem.expert_memory_bytes is None
    assert not any(model.gate_s or model.seconds_per_token for model in problem.models)


@pytest.mark.parametrize("feature", COLOCATION_FEATURES)
def test_every_feature_can_stand_alone(feature):
    examples = drawn(colocation_problems(features=(feature,), feasible=None), 20)
    assert all(problem.num_devices <= 4 for problem in examples)


@pytest.mark.parametrize("objective", COLOCATION_OBJECTIVES)
def test_objectives_are_those_asked_for(objective):
    examples = drawn(colocation_problems(objectives=(objective,)), 10)
    assert {problem.objective for problem in examples} == {objective}


@given(PROBLEMS.flatmap(lambda p: st.tuples(st.just(p), colocation_plans(p))))
def test_plans_have_the_shape_and_range(pair):
    problem, plan = pair
    assert not [v for v in violations(problem, plan) if v.constraint == "shape"]


@given(colocation_problems(max_devices=12, feasible=None))
@settings(max_examples=20)
def test_larger_problems_are_drawn_too(problem):
    assert problem.num_devices <= 12
