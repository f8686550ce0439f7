"""Releases, deadlines and busy ports: the least makespan, and by how much deadlines are missed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings

from moeopt.core.arrays import FloatArray
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.testing.conformance.transfers_oracle import brute_force
from moeopt.testing.strategies import transfer_problems
from moeopt.transfers.bounds import bound
from moeopt.transfers.exact_flow import flow_of
from moeopt.transfers.plan import violations
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window
from moeopt.transfers.timed import plan_of_amounts, refuses_timed, run_timed

PAIR = [[0, 4], [0, 0]]

TIMED = ("busy", "deadlines", "half_duplex", "one_peer", "receive", "releases", "unequal", "waves")


def problem(traffic: Any, **fields: Any) -> TransferProblem:
    """Return a problem between ports of one byte per second."""
    fields.setdefault("bandwidth_bytes_per_s", 1.0)
    return TransferProblem(traffic_bytes=np.array(traffic, dtype=float), **fields)


def timed(stated: TransferProblem) -> Outcome:
    """Return the outcome, its plan checked."""
    outcome = run_timed(stated, Context(), None)
    if outcome.plan is not None:
        assert violations(stated, outcome.plan) == []
    return outcome


def makespan(stated: TransferProblem) -> float:
    return timed(stated).plan.makespan_s  # type: ignore[union-attr]


@given(transfer_problems(max_ports=3, features=TIMED))
@settings(max_examples=60)
def test_the_makespan_is_that_of_brute_force(stated: TransferProblem) -> None:
    best = brute_force(stated)
    if refuses_timed(stated) is not None or best is None:
        return
    sizes = stated.messages()[stated.messages() > 0]
    # Deadlines that hang on less than a solver's tolerance are in docs/limits.md.
    assume(sizes.size == 0 or sizes.min() > 1e-6 * sizes.max())
    outcome = timed(stated)
    assert outcome.plan is not None
    assert outcome.plan.makespan_s == pytest.approx(best.objective, rel=1e-6, abs=1e-12)
    assert outcome.bound == pytest.approx(best.objective, rel=1e-6, abs=1e-12)


@given(transfer_problems(max_ports=3, features=TIMED, feasible=False))
@settings(max_examples=30)
def test_deadlines_that_contradict_are_found(stated: TransferProblem) -> None:
    if refuses_timed(stated) is not None or not stated.present().all():
        return
    (found,) = timed(stated).infeasible
    assert (found.constraint, found.path) == ("C6", "$.windows")
    assert found.amount > 0


def test_lateness_is_enough_and_not_too_much() -> None:
    stated = problem(
        [[0, 2, 2, 0], [0] * 4, [0] * 4, [0, 0, 3, 0]],
        windows=(Window(deadline_s=4.0), Window(source=3, release_s=1.0)),
    )
    (found,) = timed(stated).infeasible
    # Port 2 receives 5 bytes.
    assert found.amount == pytest.approx(1.0, rel=2e-3)
    assert found.amount >= 1.0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 4),
        ({"busy": (Busy(port=0, start_s=1.0, end_s=3.0),)}, 6),
        ({"busy": (Busy(port=0, start_s=1.0, end_s=3.0), Busy(port=1, start_s=2.0, end_s=4.0))}, 7),
        ({"windows": (Window(release_s=2.5),)}, 6.5),
        ({"windows": (Window(deadline_s=4.0),)}, 4),
        (
            {"windows": (Window(release_s=9.0),), "busy": (Busy(port=1, start_s=0, end_s=9.5),)},
            13.5,
        ),
    ],
)
def test_one_message_goes_around_what_is_in_its_way(fields: Any, expected: float) -> None:
    assert makespan(problem(PAIR, **fields)) == pytest.approx(expected, rel=1e-12)


def test_the_cheap_bound_is_not_always_reached() -> None:
    """Port 1's message is due when port 3's is released: port 2 must idle until then."""
    stated = problem(
        [[0, 1, 1, 0], [0] * 4, [0] * 4, [0, 0, 1, 0]],
        windows=(
            Window(source=0, destination=1, deadline_s=1.0),
            Window(source=3, release_s=1.0),
        ),
    )
    outcome = timed(stated)
    assert bound(stated) == pytest.approx(2.0)
    assert outcome.bound == pytest.approx(3.0, rel=1e-6)
    assert outcome.plan.makespan_s == pytest.approx(3.0)  # type: ignore[union-attr]


def random_ports(ports: int, waves: int, **fields: Any) -> TransferProblem:
    rng = np.random.default_rng(ports)
    traffic = rng.random((waves, ports, ports))
    line = float(traffic.sum(axis=(0, 1)).max())
    return problem(
        traffic,
        windows=(Window(wave=0, deadline_s=5 * line), Window(wave=waves - 1, release_s=line / 2)),
        busy=tuple(
            Busy(port=p, start_s=0.1 * line * p, end_s=0.1 * line * (p + 2)) for p in range(3)
        ),
        **fields,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"peers": "one"},
        {"half_duplex": True},
        {"bandwidth_bytes_per_s": 0.5 + np.arange(12) / 12},
        {"bandwidth_bytes_per_s": 0.5 + np.arange(12) / 12, "peers": "one"},
    ],
    ids=["equal", "one peer", "half-duplex", "unequal", "unequal, one peer"],
)
def test_two_waves_between_twelve_ports_are_proven(fields: dict[str, Any]) -> None:
    outcome = timed(random_ports(12, 2, **fields))
    assert outcome.plan is not None
    assert outcome.plan.makespan_s == pytest.approx(outcome.bound, rel=1e-6)


def test_equal_ports_have_one_peer_at_a_time_though_they_may_have_many() -> None:
    plan = timed(random_ports(6, 2)).plan
    alone = problem(random_ports(6, 2).traffic_bytes, peers="one")
    assert "C3" not in {found.constraint for found in violations(alone, plan)}  # type: ignore[arg-type]


def amounts(stated: TransferProblem) -> FloatArray:
    """Return amounts that fill the first interval by a solver's tolerance too much."""
    flow = flow_of(stated)
    amount = np.zeros((len(flow.need), len(flow.begin)))
    amount[:, 0] = flow.length[0] * (1 + 1e-7)
    amount[:, -1] = flow.need - amount[:, 0]
    return amount


def test_what_a_tolerance_put_into_an_interval_goes_into_the_last() -> None:
    stated = problem(PAIR, busy=(Busy(port=0, start_s=1.0, end_s=2.0),))
    flow = flow_of(stated)
    plan = plan_of_amounts(stated, flow, amounts(stated), len(flow.begin) - 1)
    assert violations(stated, plan) == []
    assert plan.makespan_s == pytest.approx(5.0)


def test_nothing_to_send_takes_no_time() -> None:
    stated = problem([[0, 0], [0, 0]], windows=(Window(release_s=5.0),))
    assert (makespan(stated), timed(stated).bound) == (0.0, 0.0)


def test_without_time_a_bound_is_left() -> None:
    outcome = run_timed(random_ports(12, 2), Context(time_limit_s=1e-9), None)
    assert outcome.plan is None
    assert outcome.bound == pytest.approx(bound(random_ports(12, 2)))
    assert outcome.limit == "time"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"startup_s": 1.0}, "start-ups"),
        ({"preemptive": False}, "cuts"),
        ({"chunk_bytes": 1.0}, "cuts"),
        ({"half_duplex": True, "peers": "one"}, "half-duplex"),
        ({"fabric": Fabric(ports_per_node=2, bandwidth_bytes_per_s=9.0)}, "two_tier"),
    ],
)
def test_what_sums_of_lines_do_not_tell_is_refused(fields: dict[str, Any], word: str) -> None:
    assert word in (refuses_timed(problem(PAIR, **fields)) or "")


def test_messages_too_small_for_a_solver_to_see_are_sent() -> None:
    traffic = [[0, 3e-3, 4e-8], [2e-10, 0, 5.2], [0.4, 1.4, 0]]
    plan = timed(problem(traffic)).plan
    assert len(plan.source) >= 6  # type: ignore[union-attr]
