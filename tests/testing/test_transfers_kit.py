"""The transfers strategies reach every option; the way back takes as long as the way there."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, seed, settings

from moeopt.testing.conformance.transfers_kit import long_problems
from moeopt.testing.conformance.transfers_oracle import brute_force
from moeopt.testing.strategies import transfer_problems
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window

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
