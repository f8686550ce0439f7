"""What cannot change the optimum of a plain all-to-all: its way back, and messages in two waves."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

import moeopt
from moeopt.core.registry import wing_named
from moeopt.testing.strategies import transfer_problems

#: Methods whose plans meet the optimum wherever they take a plain problem: messages may be cut.
PREEMPTIVE = ("birkhoff", "single_peer", "multi_peer", "paced", "auto")

PLAIN = transfer_problems(
    max_ports=6, features=("absent", "local", "one_peer", "receive", "unequal", "waves")
)


def value(problem, method):
    """Return the makespan that a method finds, or ``None`` if it takes no such problem."""
    if wing_named("transfers").methods[method].refuses(problem) is not None:
        return None
    return moeopt.solve(problem, method).objective


@pytest.mark.parametrize("method", PREEMPTIVE)
@given(problem=PLAIN)
@settings(max_examples=15)
def test_the_way_back_takes_as_long(method, problem):
    back = msgspec.structs.replace(
        problem,
        traffic_bytes=problem.traffic_bytes.transpose(0, 2, 1),
        bandwidth_bytes_per_s=problem.receive_rate(),
        receive_bytes_per_s=problem.send_rate(),
    )
    there = value(problem, method)
    if there is not None:
        assert value(back, method) == pytest.approx(there, rel=1e-9)


@pytest.mark.parametrize("method", PREEMPTIVE)
@given(problem=PLAIN)
@settings(max_examples=15)
def test_a_message_in_two_waves_takes_as_long(method, problem):
    share = np.random.default_rng(0).random(problem.traffic_bytes.shape)
    parts = [problem.traffic_bytes * share, problem.traffic_bytes * (1 - share)]
    cut = msgspec.structs.replace(problem, traffic_bytes=np.concatenate(parts))
    whole = value(problem, method)
    if whole is not None:
        assert value(cut, method) == pytest.approx(whole, rel=1e-9)
