"""The colocation strategies reach every option, and the kit's long problems every objective."""

from collections import Counter

import numpy as np
from hypothesis import given, seed, settings

from moeopt.colocation.problem import ColocationProblem, ModelLayer, Pin
from moeopt.describe.cluster import Cluster
from moeopt.testing.conformance.colocation_kit import long_problems
from moeopt.testing.strategies import COLOCATION_OBJECTIVES, colocation_problems

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
