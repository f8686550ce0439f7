"""Checks of a stated problem: what is malformed is named, what is impossible is counted."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from transfers_draws import problems_with_plans

import moeopt
from moeopt.core.errors import InstanceError
from moeopt.transfers import Busy, Fabric, TransferPlan, TransferProblem, Window
from moeopt.transfers.validate import MAX_PORTS, impossible

TRAFFIC = np.array([[0.0, 3, 1, 0], [2, 0, 2, 1], [1, 1, 0, 0], [0, 0, 5, 0]])
FAST = Fabric(ports_per_node=2, bandwidth_bytes_per_s=4.0)


def problem(**fields: Any) -> TransferProblem:
    stated = {"traffic_bytes": TRAFFIC, "bandwidth_bytes_per_s": 1.0}
    return TransferProblem(**{**stated, **fields})


@pytest.mark.parametrize(
    ("fields", "path", "rule"),
    [
        ({"traffic_bytes": np.zeros((2, 3))}, "$.traffic_bytes", "(waves, ports, ports)"),
        ({"traffic_bytes": np.zeros(4)}, "$.traffic_bytes", "(waves, ports, ports)"),
        ({"traffic_bytes": np.zeros((0, 0))}, "$.traffic_bytes", "none of them 0"),
        ({"traffic_bytes": np.zeros((1, MAX_PORTS + 1, 1))}, "$.traffic_bytes", "must have shape"),
        ({"traffic_bytes": [[0, -1], [0, 0]]}, "$.traffic_bytes[0][1]", "finite number >= 0"),
        ({"traffic_bytes": [[[0, np.nan], [0, 0]]]}, "$.traffic_bytes[0][0][1]", "finite number"),
        ({"traffic_bytes": [[0, 1.7e308], [1.7e308, 0]]}, "$.traffic_bytes", "finite sum"),
        ({"bandwidth_bytes_per_s": 0.0}, "$.bandwidth_bytes_per_s", "finite number > 0"),
        ({"bandwidth_bytes_per_s": np.inf}, "$.bandwidth_bytes_per_s", "finite number > 0"),
        ({"bandwidth_bytes_per_s": [1, 1, 0, 1]}, "$.bandwidth_bytes_per_s[2]", "> 0"),
        ({"bandwidth_bytes_per_s": [1.0] * 3}, "$.bandwidth_bytes_per_s", "shape (4,) = (ports)"),
        ({"receive_bytes_per_s": [1, -1, 1, 1]}, "$.receive_bytes_per_s[1]", "> 0"),
        ({"receive_bytes_per_s": [[1.0]]}, "$.receive_bytes_per_s", "shape (4,) = (ports)"),
        ({"windows": (Window(wave=1),)}, "$.windows[0].wave", "there are 1 waves"),
        ({"windows": (Window(source=4),)}, "$.windows[0].source", "0 to 3: there are 4 ports"),
        ({"windows": (Window(destination=9),)}, "$.windows[0].destination", "0 to 3"),
        (
            {"windows": (Window(source=1, destination=1),)},
            "$.windows[0].destination",
            "must differ from source",
        ),
        (
            {"windows": (Window(), Window(release_s=2, deadline_s=2))},
            "$.windows[1].deadline_s",
            "must be after release_s = 2",
        ),
        ({"busy": (Busy(port=4, start_s=0, end_s=1),)}, "$.busy[0].port", "0 to 3"),
        ({"busy": (Busy(port=0, start_s=1, end_s=1),)}, "$.busy[0].end_s", "after start_s = 1"),
        ({"absent_ports": (4,)}, "$.absent_ports[0]", "0 to 3"),
        ({"absent_ports": (1, 1)}, "$.absent_ports[1]", "must be named once"),
        ({"absent_ports": (0, 1, 2, 3)}, "$.absent_ports", "must leave a port"),
        (
            {"fabric": Fabric(ports_per_node=3, bandwidth_bytes_per_s=1)},
            "$.fabric.ports_per_node",
            "must divide the 4 ports",
        ),
        ({"chunk_bytes": 1.0, "preemptive": False}, "$.chunk_bytes", "cuts no message"),
    ],
)
def test_a_malformed_problem_is_named(fields: dict[str, Any], path: str, rule: str) -> None:
    with pytest.raises(InstanceError) as caught:
        problem(**fields)
    assert caught.value.path == path
    assert rule in caught.value.rule
    assert caught.value.remedy


def test_a_misprinted_size_is_refused_before_anything_is_made_of_it() -> None:
    vast = np.broadcast_to(np.zeros(1), (1, MAX_PORTS + 1, MAX_PORTS + 1))
    with pytest.raises(InstanceError, match=f"at most {MAX_PORTS} ports"):
        problem(traffic_bytes=vast)


@pytest.mark.parametrize(
    "fields",
    [
        {"startup_s": 1.0},
        {"chunk_bytes": 1.0},
        {"preemptive": False},
        {"half_duplex": True},
        {"windows": (Window(release_s=1),)},
        {"busy": (Busy(port=0, start_s=0, end_s=1),)},
        {"fabric": FAST},
    ],
)
def test_rounds_are_counted_in_plain_problems_only(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(InstanceError) as caught:
        problem(objective="rounds", **fields)
    assert caught.value.path == f"$.{name}"
    assert 'objective "rounds"' in caught.value.rule


def test_rounds_are_counted_with_equal_ports_only() -> None:
    with pytest.raises(InstanceError, match="must be the same for all ports"):
        problem(objective="rounds", bandwidth_bytes_per_s=[1, 1, 2, 1])
    with pytest.raises(InstanceError, match="must be the same for all ports"):
        problem(objective="rounds", receive_bytes_per_s=2.0)
    assert problem(objective="rounds", receive_bytes_per_s=[1.0] * 4).has_equal_ports


#: Constraint, fields, what the message says and by how much it cannot hold.
IMPOSSIBLE: dict[str, tuple[dict[str, Any], str, str, float]] = {
    "C6-message": (
        {"windows": (Window(source=0, destination=1, release_s=1, deadline_s=3),)},
        "$.windows",
        "message 0 -> 1 of wave 0 cannot arrive before 4 s, but is due at 3 s",
        1,
    ),
    "C6-startup": (
        {"startup_s": 0.5, "windows": (Window(source=0, destination=1, deadline_s=3),)},
        "$.windows",
        "cannot arrive before 3.5 s",
        0.5,
    ),
    "C6-first-round": (
        {
            "startup_s": 0.5,
            "startup_per": "round",
            "windows": (Window(source=0, destination=1, deadline_s=3),),
        },
        "$.windows",
        "cannot arrive before 3.5 s",
        0.5,
    ),
    "C6-two-windows": (
        {"windows": (Window(deadline_s=9), Window(source=0, release_s=9))},
        "$.windows",
        "message 0 -> 1 of wave 0 cannot arrive before 12 s",
        3,
    ),
    "C6-line": (
        {"windows": (Window(deadline_s=7),)},
        "$.windows",
        "port 2 receives 1 s too much for messages released at 0 s or later and due by 7 s",
        1,
    ),
    "C6-interval": (
        {"windows": (Window(destination=2, release_s=4, deadline_s=11),)},
        "$.windows",
        "port 2 receives 1 s too much for messages released at 4 s or later and due by 11 s",
        1,
    ),
    "C6-busy": (
        {"windows": (Window(deadline_s=9),), "busy": (Busy(port=2, start_s=3, end_s=5),)},
        "$.windows",
        "port 2 receives 1 s too much",
        1,
    ),
    "C6-half-duplex": (
        {"windows": (Window(deadline_s=9),), "half_duplex": True},
        "$.windows",
        "port 2 sends and receives 1 s too much",
        1,
    ),
    "C6-node": (
        {
            "windows": (Window(deadline_s=2),),
            "fabric": Fabric(ports_per_node=2, bandwidth_bytes_per_s=100),
            "traffic_bytes": TRAFFIC + np.array([[0, 0, 2, 0]] + [[0] * 4] * 3),
        },
        "$.windows",
        "node 0 sends 1 s too much",
        1,
    ),
    "C6-gap": (
        {
            "preemptive": False,
            "windows": (Window(source=3, deadline_s=8),),
            "busy": (Busy(port=3, start_s=4, end_s=5),),
        },
        "$.windows",
        "message 3 -> 2 of wave 0 cannot arrive before 10 s",
        2,
    ),
    "C9": (
        {"absent_ports": (3,)},
        "$.absent_ports",
        "6 bytes have an absent source or destination, most of them from port 3 to 2",
        6,
    ),
    "C11": (
        {
            "traffic_bytes": np.kron([[0, 2], [0, 0]], np.eye(3)[::-1]) * ([[1]] + [[0]] * 5),
            "absent_ports": (1, 2, 3, 4),
            "fabric": Fabric(ports_per_node=3, bandwidth_bytes_per_s=4.0, rails=True),
        },
        "$.absent_ports",
        "nodes 0 and 1 have no rail with both ports present",
        2,
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_met_is_said_with_the_rule_and_by_how_much(name: str) -> None:
    fields, path, said, amount = IMPOSSIBLE[name]
    (found,) = impossible(problem(**fields))
    assert (found.constraint, found.path) == (name.split("-")[0], path)
    assert said in found.message
    assert ";" in found.message
    assert found.amount == pytest.approx(amount)


def test_deadlines_that_can_just_be_kept_are_possible() -> None:
    assert impossible(problem(windows=(Window(deadline_s=8),))) == []
    assert impossible(problem(windows=(Window(destination=2, release_s=4, deadline_s=12),))) == []
    busy = (Busy(port=2, start_s=3, end_s=5),)
    assert impossible(problem(windows=(Window(deadline_s=10),), busy=busy)) == []


@given(problems_with_plans())
def test_nothing_is_called_impossible_that_has_a_plan(
    drawn: tuple[TransferProblem, TransferPlan],
) -> None:
    assert impossible(drawn[0]) == []


def test_arrays_are_brought_to_their_shapes() -> None:
    stated = problem(bandwidth_bytes_per_s=np.float64(2), receive_bytes_per_s=np.array(3))
    assert stated.traffic_bytes.shape == (1, 4, 4)
    assert (stated.bandwidth_bytes_per_s, stated.receive_bytes_per_s) == (2.0, 3)
    assert msgspec.structs.replace(stated) == stated


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"traffic_bytes": TRAFFIC * 5e-324}, "at least 1e-300 s"),
        ({"traffic_bytes": TRAFFIC * 1e-290, "bandwidth_bytes_per_s": 1e15}, "at least 1e-300 s"),
        ({"startup_s": 1e300, "bandwidth_bytes_per_s": 1e15}, "must be at most 1e+300"),
        ({"traffic_bytes": TRAFFIC * 1e290, "bandwidth_bytes_per_s": 1e-15}, "at most 1e+300"),
        ({"windows": (Window(release_s=1e308),)}, "must be at most 1e+300"),
    ],
)
def test_bytes_that_vanish_or_overflow_in_seconds_are_refused(
    fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InstanceError) as error:
        problem(**fields)
    assert said in str(error.value)


def test_magnitudes_at_the_limits_are_solved() -> None:
    for unit in (1e-299, 1e290):
        result = moeopt.solve(problem(traffic_bytes=TRAFFIC * unit))
        assert result.objective == pytest.approx(8 * unit, rel=1e-9)
        assert result.bound == pytest.approx(8 * unit, rel=1e-9)
