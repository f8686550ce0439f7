"""Transfers from Python: bad arguments are named, arrays are owned, plans are read and reversed."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transfers_draws import placed, plan_of, problems

import moeopt.transfers
from moeopt.core.errors import InstanceError
from moeopt.transfers import (
    Busy,
    Fabric,
    NoScheduleError,
    TransferPlan,
    TransferProblem,
    Window,
    evaluate,
    schedule,
    violations,
)

TRAFFIC = np.array([[0.0, 3, 1], [2, 0, 2], [1, 1, 0]])


def problem(**fields: Any) -> TransferProblem:
    stated = {"traffic_bytes": TRAFFIC, "bandwidth_bytes_per_s": 1.0}
    return TransferProblem(**{**stated, **fields})


@pytest.mark.parametrize(
    ("fields", "path", "rule"),
    [
        ({"objective": "rounds "}, "$.objective", "must be one of 'makespan'"),
        ({"peers": "two"}, "$.peers", "must be one of 'many'"),
        ({"startup_per": "step"}, "$.startup_per", "must be one of 'message'"),
        ({"startup_s": -1.0}, "$.startup_s", "must be a number >= 0"),
        ({"startup_s": math.inf}, "$.startup_s", "must be a finite number"),
        ({"chunk_bytes": math.nan}, "$.chunk_bytes", "must be a number >= 0"),
        ({"incast_penalty": "0.1"}, "$.incast_penalty", "must be a number"),
        ({"preemptive": 1}, "$.preemptive", "must be True or False"),
        ({"half_duplex": None}, "$.half_duplex", "must be True or False"),
        ({"windows": Window()}, "$.windows", "must be a tuple"),
        ({"windows": ((0, 1),)}, "$.windows[0]", "must be a Window"),
        ({"busy": (Window(),)}, "$.busy[0]", "must be a Busy"),
        ({"absent_ports": (-1,)}, "$.absent_ports[0]", ">= 0"),
        ({"absent_ports": 1}, "$.absent_ports", "must be a tuple"),
        ({"fabric": 8}, "$.fabric", "must be a Fabric or None"),
        ({"traffic_bytes": TRAFFIC * 1j}, "$.traffic_bytes", "real numbers"),
        ({"traffic_bytes": [[0, 1], [2]]}, "$.traffic_bytes[1]", "rectangular"),
        ({"traffic_bytes": None}, "$.traffic_bytes", "rectangular"),
        ({"bandwidth_bytes_per_s": "fast"}, "$.bandwidth_bytes_per_s", "real numbers"),
        ({"bandwidth_bytes_per_s": None}, "$.bandwidth_bytes_per_s", "real numbers"),
        ({"version": 2}, "$.version", "must be one of 1"),
    ],
)
def test_a_problem_names_its_bad_field(fields: dict[str, Any], path: str, rule: str) -> None:
    with pytest.raises(InstanceError) as caught:
        problem(**fields)
    assert caught.value.path == path
    assert rule in caught.value.rule
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: Window(wave=-1), "$.wave"),
        (lambda: Window(release_s=-0.5), "$.release_s"),
        (lambda: Window(deadline_s=0), "$.deadline_s"),
        (lambda: Busy(port=0.5, start_s=0, end_s=1), "$.port"),  # type: ignore[arg-type]
        (lambda: Busy(port=0, start_s=0, end_s=math.inf), "$.end_s"),
        (lambda: Fabric(ports_per_node=0, bandwidth_bytes_per_s=1), "$.ports_per_node"),
        (lambda: Fabric(ports_per_node=2, bandwidth_bytes_per_s=0), "$.bandwidth_bytes_per_s"),
        (lambda: plan_of([(0, 1, "4", 0, 1, 0, 0, 0, 1)]), "$.size_bytes"),
    ],
)
def test_every_record_is_checked(make: Any, path: str) -> None:
    with pytest.raises(InstanceError) as caught:
        make()
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("arguments", "rules", "path"),
    [
        ((3.0,), {}, "$.traffic_bytes"),
        (([[0, 1]],), {}, "$.traffic_bytes"),
        ((TRAFFIC, "1"), {}, "$.bandwidth_bytes_per_s"),
        ((TRAFFIC, [1, 2]), {}, "$.bandwidth_bytes_per_s"),
        ((TRAFFIC,), {"alpha": -1}, "$.startup_s"),
        ((TRAFFIC,), {"peer": "one"}, "$.peer"),
        ((TRAFFIC,), {"startup_s": 1.0}, "$.startup_s"),
        ((TRAFFIC,), {"gap": "0"}, "gap"),
        ((TRAFFIC,), {"method": "birkhof"}, "method"),
    ],
)
def test_schedule_names_its_bad_argument(
    arguments: tuple[Any, ...], rules: dict[str, Any], path: str
) -> None:
    with pytest.raises(InstanceError) as caught:
        schedule(*arguments, **rules)
    assert caught.value.path == path


def test_schedule_takes_lists_and_gives_arrays_of_its_own() -> None:
    found = schedule(TRAFFIC.tolist(), 2)
    assert (found.makespan_s, found.bound_s, found.gap) == (2, 2, 0)
    found.size_bytes[0] = 7
    assert violations(problem(bandwidth_bytes_per_s=2), found.plan) == []


def test_schedule_says_why_there_is_no_order() -> None:
    with pytest.raises(NoScheduleError, match="infeasible: C6 at"):
        schedule(TRAFFIC, windows=(Window(deadline_s=1),))


def test_numpy_scalars_and_lists_are_brought_to_python() -> None:
    made = problem(
        traffic_bytes=TRAFFIC.astype(np.int32),
        startup_s=np.float32(0.5),
        half_duplex=np.True_,
        absent_ports=[],
        windows=[Window(source=np.int64(1), release_s=np.float64(2))],  # type: ignore[arg-type]
    )
    assert made.traffic_bytes.dtype == np.float64
    assert (made.startup_s, made.half_duplex, made.absent_ports) == (0.5, True, ())
    assert type(made.windows[0].source) is int


def test_a_problem_owns_its_arrays() -> None:
    traffic = TRAFFIC.copy()
    made = problem(traffic_bytes=traffic)
    traffic[:] = 9
    assert made.traffic_bytes[0, 0, 1] == 3
    with pytest.raises(ValueError, match="read-only"):
        made.traffic_bytes[0, 0, 1] = 5


def test_views_of_a_problem_by_hand() -> None:
    """Two nodes of two ports on rails, two waves, a window for one of them."""
    traffic = np.ones((2, 4, 4))
    made = problem(
        traffic_bytes=traffic,
        bandwidth_bytes_per_s=[1, 2, 3, 4],
        receive_bytes_per_s=2,
        absent_ports=(1,),
        windows=(Window(wave=1, release_s=3), Window(source=0, release_s=2, deadline_s=9)),
        fabric=Fabric(ports_per_node=2, bandwidth_bytes_per_s=10, rails=True),
    )
    assert made.num_messages == 24
    np.testing.assert_array_equal(made.pair_bytes(), 2 * (1 - np.eye(4)))
    np.testing.assert_array_equal(
        made.pair_rate(), [[10, 10, 1, 1], [10, 10, 2, 2], [2, 2, 10, 10], [2, 2, 10, 10]]
    )
    assert made.direct()[0].tolist() == [True, True, True, False]
    assert made.present().tolist() == [True, False, True, True]
    assert made.release()[:, 0, 1].tolist() == [2, 3]
    assert made.deadline()[:, 0:2, 2].tolist() == [[9, math.inf], [9, math.inf]]
    assert (made.is_timed, made.has_equal_ports) == (True, False)


def test_each_port_has_its_own_list() -> None:
    """Port 1 sends one message twice and receives it back, and sits out round 1."""
    made = plan_of([
        (0, 1, 3.0, 0.0, 3.0, 0, 0, 0, 1),
        (1, 0, 1.0, 1.0, 1.0, 0, 0, 1, 0),
        (1, 2, 2.0, 0.0, 2.0, 0, 1, 1, 2),
        (2, 0, 1.0, 3.0, 1.0, 1, 0, 1, 0),
        (1, 0, 1.0, 4.0, 1.0, 2, 0, 1, 0),
    ])  # fmt: skip
    first, last = made.rounds_for(1)
    assert (first.round_index, last.round_index) == (0, 2)
    assert [(part.peer, part.start_s, part.wave) for part in first.sends] == [(2, 0, 1), (0, 1, 0)]
    (received,) = first.receives
    assert (received.peer, received.size_bytes, received.duration_s) == (0, 3, 3)
    assert last.receives == ()
    (relayed,) = made.rounds_for(2)[1].sends
    assert (relayed.peer, relayed.origin, relayed.target) == (0, 1, 0)
    assert made.rounds_for(7) == []
    assert (made.num_rounds, made.makespan_s) == (3, 5)


@given(problems(timed=False), st.randoms(use_true_random=False), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_reversed_plan_brings_everything_back(
    stated: TransferProblem, random: Any, scale: float
) -> None:
    made = placed(stated, random, even=True)
    back = made.reversed(scale)
    assert violations(stated.reversed(scale), back) == []
    assert back.makespan_s == pytest.approx(scale * made.makespan_s)
    assert evaluate(stated.reversed(scale), back).startups == evaluate(stated, made).startups
    again = back.reversed(1 / scale)
    for name in ("source", "target", "wave"):
        assert sorted(getattr(again, name)) == sorted(getattr(made, name))
    np.testing.assert_allclose(np.sort(again.start_s), np.sort(made.start_s), atol=1e-9)


def test_a_reversed_plan_of_pairs_needs_no_names_of_messages() -> None:
    made = TransferPlan(
        source=np.array([0, 1]), destination=np.array([1, 2]), size_bytes=np.array([3.0, 2.0]),
        start_s=np.array([0.0, 1.0]), duration_s=np.array([3.0, 2.0]), round_index=np.array([0, 1]),
    )  # fmt: skip
    back = made.reversed()
    assert (back.wave, back.origin, back.target) == (None, None, None)
    assert (back.source.tolist(), back.destination.tolist()) == ([2, 1], [1, 0])
    assert (back.start_s.tolist(), back.round_index.tolist()) == ([0, 0], [0, 1])


def test_public_names_load_on_use_and_are_listed() -> None:
    for name in moeopt.transfers.__all__:
        assert getattr(moeopt.transfers, name) is not None
        assert name in dir(moeopt.transfers)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = moeopt.transfers.nonsense


def test_plans_compare_by_value_and_are_replaced() -> None:
    made = plan_of([(0, 1, 3.0, 0.0, 3.0, 0, 0, 0, 1)])
    assert msgspec.structs.replace(made) == made
    assert msgspec.structs.replace(made, size_bytes=np.array([2.0])) != made
