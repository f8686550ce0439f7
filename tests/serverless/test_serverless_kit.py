"""The serverless strategies reach every option and every design, the oracle thousands of tokens."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
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
from moeopt.testing.conformance.serverless_kit import long_problems
from moeopt.testing.conformance.serverless_oracle import brute_force
from moeopt.testing.strategies import serverless_problems

PROBLEMS = serverless_problems()


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


@pytest.mark.parametrize("number", [3, 5, 13, 22, 40])
def test_generated_problems_are_worth_what_the_oracle_says(number: int) -> None:
    """Thousands of tokens: many minibatches, rounding, waiting."""
    problem = small(2, 2, number)
    optimum = brute_force(problem)
    assert optimum is not None
    assert worth(problem, optimum.plan) == pytest.approx(optimum.objective, rel=1e-12)


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
