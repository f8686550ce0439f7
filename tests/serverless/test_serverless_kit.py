"""The serverless kit and strategies: what they draw is valid, what changes nothing does not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from moeopt.serverless.generate import small
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import (
    Billing,
    ExpertFunction,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)
from moeopt.serverless.validate import impossible
from moeopt.testing.conformance.serverless_kit import larger, long_problems, relabelled, scaled
from moeopt.testing.conformance.serverless_oracle import brute_force
from moeopt.testing.strategies import (
    SERVERLESS_FEATURES,
    serverless_plans,
    serverless_problems,
)

PROBLEMS = serverless_problems()

#: As the kit's own: a few features together are what most rules need.
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


def drawn(strategy: st.SearchStrategy[Any], examples: int) -> list[Any]:
    """Return examples of a strategy, the same each time."""
    found = []

    @seed(1)
    @settings(max_examples=examples, deadline=None, database=None, derandomize=False)
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


def worth(problem: ServerlessProblem, plan: Any) -> float:
    assert violations(problem, plan) == []
    return evaluate(problem, plan).objective


@given(PROBLEMS)
@settings(max_examples=60)
def test_feasible_problems_have_a_plan_that_is_worth_what_the_oracle_says(
    problem: ServerlessProblem,
) -> None:
    assert not impossible(problem)
    optimum = brute_force(problem)
    if optimum is not None:
        assert optimum.plan is not None
        assert worth(problem, optimum.plan) == pytest.approx(optimum.objective, rel=1e-12)


@pytest.mark.parametrize("number", [3, 5, 13, 22, 40])
def test_generated_problems_are_worth_what_the_oracle_says(number: int) -> None:
    """Thousands of tokens: many minibatches, rounding, waiting."""
    problem = small(2, 2, number)
    optimum = brute_force(problem)
    assert optimum is not None
    assert worth(problem, optimum.plan) == pytest.approx(optimum.objective, rel=1e-12)


@given(PROBLEMS.flatmap(lambda p: st.tuples(st.just(p), serverless_plans(p))))
@settings(max_examples=60)
def test_no_plan_is_below_the_optimum(pair: tuple[ServerlessProblem, ServerlessPlan]) -> None:
    problem, plan = pair
    optimum = brute_force(problem)
    if optimum is not None and not violations(problem, plan):
        assert optimum.objective is not None
        assert evaluate(problem, plan).objective >= optimum.objective * (1 - 1e-12)


@given(serverless_problems(feasible=False))
@settings(max_examples=40)
def test_infeasible_problems_have_none(problem: ServerlessProblem) -> None:
    optimum = brute_force(problem)
    assert optimum is None or optimum.objective is None


@given(serverless_problems(feasible=None))
@settings(max_examples=40)
def test_what_counting_calls_impossible_is(problem: ServerlessProblem) -> None:
    if impossible(problem):
        optimum = brute_force(problem)
        assert optimum is None or optimum.objective is None


def test_some_infeasible_problems_pass_the_counting() -> None:
    examples = drawn(serverless_problems(feasible=False), 60)
    assert 2 < sum(not impossible(problem) for problem in examples) < 58


@given(PROBLEMS)
@FEW
def test_names_do_not_change_the_optimum(problem: ServerlessProblem) -> None:
    optimum = brute_force(problem)
    if optimum is None:
        return
    for other in relabelled(problem, np.random.default_rng(3)):
        renamed = brute_force(other.problem)
        assert renamed is not None
        assert renamed.objective == pytest.approx(optimum.objective, rel=1e-12)
        back = worth(problem, other.back(renamed.plan))
        assert back == pytest.approx(optimum.objective, rel=1e-12)


@given(PROBLEMS)
@FEW
def test_slower_seconds_scale_the_optimum(problem: ServerlessProblem) -> None:
    optimum = brute_force(problem)
    if optimum is None or optimum.objective is None:
        return
    other, factor = scaled(problem, 5)
    slower = brute_force(other)
    assert slower is not None
    assert slower.objective == pytest.approx(optimum.objective * factor, rel=1e-12)


@given(PROBLEMS)
@FEW
def test_more_freedom_never_hurts(problem: ServerlessProblem) -> None:
    optimum = brute_force(problem)
    if optimum is None or optimum.objective is None:
        return
    for what, other in larger(problem, np.random.default_rng(3)):
        freed = brute_force(other)
        if freed is not None:
            assert freed.objective is not None, what
            assert freed.objective <= optimum.objective * (1 + 1e-12), what


def test_most_drawn_problems_are_small_enough_for_brute_force() -> None:
    examples = drawn(PROBLEMS, 60)
    assert sum(brute_force(problem) is not None for problem in examples) > 55


def test_brute_force_declines_what_is_too_large() -> None:
    assert brute_force(long_problems()[0]) is None


def test_a_long_problem_for_each_rule_of_degrees() -> None:
    assert {problem.pipeline_degree for problem in long_problems()} == {"layer", "model"}


#: What problems, layers, experts, networks and bills are like where nothing is said.
PLAIN_EXPERT = ExpertFunction(
    parameter_bytes=0,
    input_bytes_per_token=0.0,
    output_bytes_per_token=0.0,
    compute=VcpuModel(seconds_per_token=1.0),
)
PLAIN_LAYER = ServerlessLayer(tokens=np.zeros(1))
PLAIN_NETWORK = Network(storage_bytes_per_s=1.0, function_bytes_per_s=1.0)
PLAIN = ServerlessProblem(
    layers=(PLAIN_LAYER,), expert=PLAIN_EXPERT, network=PLAIN_NETWORK, memory_mb=(128,)
)


def test_every_option_of_a_problem_is_reached() -> None:
    examples: list[ServerlessProblem] = drawn(PROBLEMS, 400)
    layers = [layer for problem in examples for layer in problem.layers]
    for records, plain in (
        (examples, PLAIN),
        (layers, PLAIN_LAYER),
        ([problem.expert for problem in examples], PLAIN_EXPERT),
        ([problem.network for problem in examples], PLAIN_NETWORK),
        ([problem.billing for problem in examples], Billing()),
    ):
        used = Counter(
            name
            for record in records
            for name in record.__struct_fields__  # type: ignore[union-attr]
            if repr(getattr(record, name)) != repr(getattr(plain, name))
        )
        assert set(plain.__struct_fields__) - set(used) <= {"version"}
    kinds = {type(problem.expert.compute) for problem in examples if problem.expert}
    assert len(kinds) == 2
    assert {problem.num_scenarios for problem in examples} >= {1, 2}
    assert any(len(set(problem.experts().tolist())) > 1 for problem in examples)
    assert {design for problem in examples for design in problem.designs} == {1, 2, 3}


def test_every_design_is_best_somewhere() -> None:
    found = Counter[int]()
    for problem in drawn(serverless_problems(features=("designs", "layers", "promise")), 60):
        optimum = brute_force(problem)
        if optimum is not None and isinstance(optimum.plan, ServerlessPlan):
            found.update(optimum.plan.design.tolist())
    assert set(found) == {1, 2, 3}


@given(serverless_problems(plain=True))
def test_plain_problems_state_no_rule(problem: ServerlessProblem) -> None:
    assert problem.slo_s is None
    assert problem.billing == Billing()
    assert problem.designs == (1, 2, 3)
    assert problem.num_layers == problem.num_scenarios == 1


@pytest.mark.parametrize("feature", SERVERLESS_FEATURES)
def test_every_feature_can_stand_alone(feature: str) -> None:
    examples = drawn(serverless_problems(features=(feature,), feasible=None), 15)
    assert all(problem.num_experts <= 3 for problem in examples)


@given(PROBLEMS.flatmap(lambda p: st.tuples(st.just(p), serverless_plans(p))))
def test_plans_have_the_shape_and_range(pair: tuple[ServerlessProblem, ServerlessPlan]) -> None:
    problem, plan = pair
    broken = {violation.constraint for violation in violations(problem, plan)}
    assert not broken & {"shape", "C1", "C2", "C8"}


@given(serverless_problems(max_layers=5, max_experts=8, feasible=None))
@settings(max_examples=20)
def test_larger_problems_are_drawn_too(problem: ServerlessProblem) -> None:
    assert problem.num_experts <= 8
    assert problem.num_layers <= 5
