"""What once went wrong: each case failed before its rule was mended."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.transfers import Busy, Fabric, TransferPlan, TransferProblem, Window, bound, violations
from moeopt.transfers.summary import picture

SQUARES = st.integers(2, 5).map(lambda n: (n, n))
TRAFFIC = SQUARES.flatmap(lambda s: arrays(np.float64, s, elements=st.just(0.0) | st.floats(1, 64)))


def stated(traffic: Any, **rules: Any) -> TransferProblem:
    return TransferProblem(
        traffic_bytes=np.array(traffic, dtype=float), bandwidth_bytes_per_s=1.0, **rules
    )


@pytest.mark.parametrize("method", ["auto", "birkhoff", "single_peer", "few_rounds"])
def test_waves_of_a_pair_share_a_start_up(method: str) -> None:
    problem = stated([[[0, 1], [0, 0]], [[0, 2], [0, 0]]], startup_s=0.5)
    assert solve(problem, method).objective == pytest.approx(3.5)


def test_rounds_that_cost_nothing_are_no_barriers() -> None:
    traffic = [[0, 2, 2, 1], [1, 0, 0, 0], [0, 3, 0, 3], [2, 2, 3, 0]]
    free = {"startup_per": "round", "peers": "one"}
    problem = stated(traffic, half_duplex=True, preemptive=False, **free)
    assert solve(problem).plan is not None
    fabric = Fabric(ports_per_node=2, bandwidth_bytes_per_s=3.0, rails=True)
    assert solve(stated(traffic, fabric=fabric, **free)).plan is not None


def test_a_port_may_be_busy_while_rounds_start_up() -> None:
    problem = stated(
        [[0, 1, 1], [0, 0, 0], [0, 0, 0]],
        startup_s=1.0,
        startup_per="round",
        peers="one",
        busy=(Busy(port=0, start_s=2.0, end_s=3.0),),
    )
    plan = TransferPlan(
        source=np.array([0, 0]),
        destination=np.array([1, 2]),
        size_bytes=np.array([1.0, 1.0]),
        start_s=np.array([1.0, 3.0]),
        duration_s=np.array([1.0, 1.0]),
        round_index=np.array([0, 1]),
    )
    assert violations(problem, plan) == []
    assert bound(problem) <= plan.makespan_s
    timely = msgspec.structs.replace(problem, windows=(Window(deadline_s=4.0),))
    assert solve(timely).status is not Status.INFEASIBLE


@pytest.mark.parametrize("method", ["birkhoff", "single_peer", "few_rounds", "greedy", "paced"])
@given(traffic=TRAFFIC, startup=st.sampled_from([0.0, 0.5, 8.0]))
def test_the_way_back_is_a_plan_too(method: str, traffic: FloatArray, startup: float) -> None:
    problem = stated(traffic, startup_s=startup)
    plan = solve(problem, method, gap=0.5).plan
    assert violations(problem.reversed(2.0), plan.reversed(2.0)) == []


def test_sizes_far_apart_are_proven_or_at_least_planned() -> None:
    problem = stated([[0, 1, 1e8], [0, 0, 1e8], [0, 0, 0]], half_duplex=True, peers="one")
    assert solve(problem, "exact").plan is not None


def test_few_ports_get_the_fewest_rounds_from_auto() -> None:
    from moeopt.transfers.generate import all_to_all

    problem = msgspec.structs.replace(all_to_all("zipf", 5, 3), objective="rounds")
    assert solve(problem).status is Status.OPTIMAL


def test_a_release_beyond_a_solvers_digits_is_not_infeasible() -> None:
    problem = stated([[0, 3], [2, 0]], windows=(Window(source=0, release_s=1e17),))
    assert solve(problem).status is not Status.INFEASIBLE


def test_what_is_passed_on_is_sent_in_a_later_round() -> None:
    traffic = np.zeros((4, 4))
    traffic[0, 3] = 2.0
    fabric = Fabric(ports_per_node=2, bandwidth_bytes_per_s=2.0, rails=True)
    plan = solve(stated(traffic, fabric=fabric), "greedy").plan
    assert np.diff(plan.round_index[np.argsort(plan.start_s)]).tolist() == [1]


def test_a_plan_that_no_problem_can_have_is_not_drawn() -> None:
    one = {"size_bytes": np.ones(1), "start_s": np.zeros(1), "duration_s": np.ones(1)}
    far = TransferPlan(
        source=np.array([0]), destination=np.array([10**12]), round_index=np.array([0]), **one
    )
    uneven = TransferPlan(
        source=np.array([0, 1]), destination=np.array([1]), round_index=np.array([0]), **one
    )
    for plan in (far, uneven):
        with pytest.raises(InstanceError):
            picture(plan)


def test_every_plan_has_its_speed_up() -> None:
    from moeopt.transfers import schedule

    order = schedule([[0, 3, 1], [2, 0, 2], [1, 1, 0]], peers="one")
    assert set(order.speedups()) == {"all_at_once", "sjf", "random", "shifted"}
