"""List schedules and padded rounds: start-ups, windows, busy ports, whole messages."""

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
from moeopt.transfers.bounds import makespan_bound
from moeopt.transfers.generate import startups
from moeopt.transfers.greedy import _attempts
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window

SQUARES = st.integers(2, 6).map(lambda n: (n, n))
TRAFFIC = SQUARES.flatmap(lambda s: arrays(np.float64, s, elements=st.just(0.0) | st.floats(1, 64)))

RULES: tuple[dict[str, Any], ...] = (
    {},
    {"startup_s": 2.0},
    {"startup_s": 2.0, "peers": "one"},
    {"half_duplex": True, "peers": "one", "startup_s": 0.5},
    {"preemptive": False},
    {"chunk_bytes": 10.0},
    {"windows": (Window(source=0, release_s=7.0), Window(destination=1, release_s=3.0))},
    {"busy": (Busy(port=0, start_s=2.0, end_s=5.0), Busy(port=1, start_s=4.0, end_s=30.0))},
    {"busy": (Busy(port=1, start_s=1.0, end_s=2.0),), "chunk_bytes": 5.0, "startup_s": 0.25},
)


@pytest.mark.parametrize("rules", RULES)
@given(traffic=TRAFFIC)
def test_list_schedules_keep_every_rule(rules: dict[str, Any], traffic: FloatArray) -> None:
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=1.0, **rules)
    # `solve` checks the plan by replay.
    result = solve(problem, "greedy", gap=0.5)
    assert result.plan is not None
    assert result.objective >= makespan_bound(problem) * (1 - 1e-9)


@pytest.mark.parametrize("per", ["message", "round"])
@pytest.mark.parametrize("peers", ["one", "many"])
@given(traffic=TRAFFIC, startup=st.floats(0, 30))
def test_padded_rounds_keep_every_rule(
    per: str, peers: str, traffic: FloatArray, startup: float
) -> None:
    problem = TransferProblem(
        traffic_bytes=traffic,
        bandwidth_bytes_per_s=1.0,
        startup_s=startup,
        startup_per=per,  # type: ignore[arg-type]
        peers=peers,  # type: ignore[arg-type]
    )
    result = solve(problem, "few_rounds", gap=0.5)
    assert result.plan is not None


def test_start_ups_cost_near_nothing_more_than_they_must() -> None:
    for family in ("uniform", "zipf"):
        problem = startups(8, family)
        assert solve(problem, "few_rounds").objective <= 1.05 * makespan_bound(problem)


def test_padding_saves_rounds_that_are_dear() -> None:
    problem = msgspec.structs.replace(startups(8, "uniform", startup_per="round"), peers="one")
    cheap = solve(msgspec.structs.replace(problem, startup_s=1e-9), "few_rounds").plan
    dear = solve(msgspec.structs.replace(problem, startup_s=1e-3), "few_rounds").plan
    assert dear.num_rounds < cheap.num_rounds


def test_deadlines_are_met_where_a_list_schedule_can() -> None:
    traffic = np.array([[0, 5, 5], [0, 0, 0], [0, 0, 0]], dtype=float)
    soon = Window(source=0, destination=2, deadline_s=5.0)
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=1.0, windows=(soon,))
    plan = solve(problem, "greedy").plan
    assert plan.destination.tolist() == [2, 1]


def test_a_list_schedule_that_misses_a_deadline_is_no_plan() -> None:
    # Feasible only if the first message is cut for the second, which it never does.
    traffic = np.array([[0, 8, 1], [0, 0, 0], [0, 0, 0]], dtype=float)
    late = Window(source=0, destination=2, release_s=4.0, deadline_s=5.5)
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=1.0, windows=(late,))
    result = solve(problem, "greedy")
    assert result.status is Status.NO_PLAN_FOUND
    assert result.statistics["late_s"] > 0
    assert solve(problem).objective == pytest.approx(9.0)


def test_both_networks_of_a_fabric_are_used_at_once() -> None:
    traffic = np.zeros((4, 4))
    traffic[0, 1] = traffic[0, 2] = 6.0
    problem = TransferProblem(
        traffic_bytes=traffic,
        bandwidth_bytes_per_s=1.0,
        fabric=Fabric(ports_per_node=2, bandwidth_bytes_per_s=3.0),
    )
    result = solve(problem, "greedy")
    assert result.objective == pytest.approx(6.0)


def test_same_seed_same_plan() -> None:
    problem = startups(16, "uniform")
    assert solve(problem, "few_rounds", seed=3).plan == solve(problem, "few_rounds", seed=3).plan


@pytest.mark.parametrize(
    ("method", "rules", "why"),
    [
        ("greedy", {"startup_s": 1.0, "startup_per": "round"}, "per round"),
        ("greedy", {"objective": "rounds"}, "rounds"),
        ("few_rounds", {"half_duplex": True}, "half-duplex"),
        ("few_rounds", {"windows": (Window(release_s=1.0),)}, "windows"),
    ],
)
def test_what_does_not_fit_is_refused(method: str, rules: dict[str, Any], why: str) -> None:
    problem = TransferProblem(
        traffic_bytes=np.array([[0.0, 3.0], [1.0, 0.0]]), bandwidth_bytes_per_s=1.0, **rules
    )
    with pytest.raises(InstanceError, match=why):
        solve(problem, method)


def test_rails_are_crossed_by_passing_on() -> None:
    traffic = np.zeros((4, 4))
    traffic[0, 3] = 2.0
    fabric = Fabric(ports_per_node=2, bandwidth_bytes_per_s=2.0, rails=True)
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=1.0, fabric=fabric)
    plan = solve(problem, "greedy").plan
    # One second inside the node, two between the nodes, on either rail.
    assert plan.makespan_s == pytest.approx(3.0)
    assert plan.origin.tolist() == [0, 0]
    assert plan.target.tolist() == [3, 3]


def test_an_absent_port_passes_nothing_on() -> None:
    traffic = np.zeros((4, 4))
    traffic[0, 3] = 2.0
    fabric = Fabric(ports_per_node=2, bandwidth_bytes_per_s=2.0, rails=True)
    for absent in (1, 2):
        problem = TransferProblem(
            traffic_bytes=traffic, bandwidth_bytes_per_s=1.0, fabric=fabric, absent_ports=(absent,)
        )
        plan = solve(problem, "greedy").plan
        assert plan.makespan_s == pytest.approx(3.0)
        assert absent not in {*plan.source.tolist(), *plan.destination.tolist()}


@pytest.mark.parametrize(("messages", "restarts"), [(1, 20), (3, 120), (6, 3000), (8, 3000)])
def test_chance_is_asked_more_often_the_more_orders_there_are(messages: int, restarts: int) -> None:
    traffic = np.diag(np.ones(messages), 1)
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=1)
    by_rule = 3
    assert sum(1 for _ in _attempts(problem, 0)) == by_rule + restarts
