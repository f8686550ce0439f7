"""The transfers kit and strategies: what they draw is valid, and what changes nothing does not."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from moeopt.testing.conformance.transfers_kit import larger, long_problems, relabelled, scaled
from moeopt.testing.conformance.transfers_oracle import brute_force
from moeopt.testing.strategies import TRANSFER_FEATURES, transfer_plans, transfer_problems
from moeopt.transfers.plan import evaluate, violations
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window
from moeopt.transfers.validate import impossible

PROBLEMS = transfer_problems()


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
    assert value == pytest.approx(optimum.objective, rel=1e-9, abs=1e-14)


@given(transfer_problems(feasible=False))
@settings(max_examples=40)
def test_infeasible_problems_have_none(problem):
    optimum = brute_force(problem)
    assert optimum is None or optimum.objective is None


@given(transfer_problems(feasible=None))
@settings(max_examples=40)
def test_what_counting_calls_impossible_is(problem):
    if impossible(problem):
        optimum = brute_force(problem)
        assert optimum is None or optimum.objective is None


def test_some_infeasible_problems_pass_the_counting():
    examples = drawn(transfer_problems(feasible=False), 80)
    assert 2 < sum(not impossible(problem) for problem in examples) < 78


@given(PROBLEMS)
@settings(max_examples=25)
def test_names_do_not_change_the_optimum(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    for other in relabelled(problem, np.random.default_rng(3)):
        renamed = brute_force(other.problem)
        assert renamed.objective == pytest.approx(optimum.objective, rel=1e-6, abs=1e-14)
        back = other.back(renamed.plan)
        assert violations(problem, back) == []
        value = evaluate(problem, back).objective
        assert value == pytest.approx(optimum.objective, rel=1e-6, abs=1e-14)


@given(PROBLEMS)
@settings(max_examples=25)
def test_scaling_scales_the_optimum(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    other, factor = scaled(problem, 5)
    value = brute_force(other).objective
    assert value == pytest.approx(optimum.objective * factor, rel=1e-6, abs=1e-14)


@given(PROBLEMS)
@settings(max_examples=25)
def test_more_freedom_never_hurts(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    for what, other in larger(problem, np.random.default_rng(3)):
        freed = brute_force(other)
        if freed is not None:
            assert freed.objective <= optimum.objective * (1 + 1e-6) + 1e-14, what


def transposed(problem):
    """Return the problem with every message sent back, time left as it is."""
    return msgspec.structs.replace(
        problem,
        traffic_bytes=problem.traffic_bytes.transpose(0, 2, 1),
        bandwidth_bytes_per_s=problem.receive_rate(),
        receive_bytes_per_s=problem.send_rate(),
        windows=(),
    )


@given(transfer_problems(features=("absent", "half_duplex", "one_peer", "receive", "unequal")))
@settings(max_examples=40)
def test_the_way_back_takes_as_long(problem):
    there, back = brute_force(problem), brute_force(transposed(problem))
    if there is not None:
        assert back.objective == pytest.approx(there.objective, rel=1e-6, abs=1e-14)


def test_a_long_problem_for_every_kind_of_method():
    stated = long_problems()
    assert {p.peers for p in stated} == {"one", "many"}
    assert {p.objective for p in stated} == {"makespan", "rounds"}
    assert {p.preemptive for p in stated} == {True, False}
    assert any(p.fabric for p in stated)
    assert any(p.windows for p in stated)


def test_every_option_of_a_problem_is_reached():
    examples = drawn(PROBLEMS, 400)
    assert all(type(example) is TransferProblem for example in examples)
    default = TransferProblem(traffic_bytes=np.zeros((1, 1)), bandwidth_bytes_per_s=1.0)
    used = Counter(
        name
        for problem in examples
        for name in problem.__struct_fields__
        if repr(getattr(problem, name)) != repr(getattr(default, name))
    )
    assert set(TransferProblem.__struct_fields__) - set(used) == {"version"}
    for kind, parts in (
        (Window, [w for p in examples for w in p.windows]),
        (Busy, [b for p in examples for b in p.busy]),
        (Fabric, [p.fabric for p in examples if p.fabric]),
    ):
        for name in kind.__struct_fields__:
            assert len({getattr(part, name) for part in parts}) > 1, name
    integral = Counter(bool((p.traffic_bytes == p.traffic_bytes.round()).all()) for p in examples)
    assert min(integral.values()) > 20


@given(transfer_problems(plain=True))
def test_plain_problems_state_no_rule(problem):
    assert problem == TransferProblem(
        traffic_bytes=problem.traffic_bytes, bandwidth_bytes_per_s=problem.bandwidth_bytes_per_s
    )
    assert problem.has_equal_ports


@pytest.mark.parametrize("feature", TRANSFER_FEATURES)
def test_every_feature_can_stand_alone(feature):
    examples = drawn(transfer_problems(features=(feature,), feasible=None), 20)
    assert all(problem.num_ports <= 4 for problem in examples)


@given(PROBLEMS.flatmap(lambda p: st.tuples(st.just(p), transfer_plans(p))))
def test_plans_have_the_shape_and_range(pair):
    problem, plan = pair
    assert not [v for v in violations(problem, plan) if v.constraint == "shape"]


@given(transfer_problems(max_ports=16, feasible=None))
@settings(max_examples=20)
def test_larger_problems_are_drawn_too(problem):
    assert problem.num_ports <= 16
