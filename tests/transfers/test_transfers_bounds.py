"""Bounds: never above the optimum, and reached where theory says so."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transfers_draws import paced, problems, problems_with_plans
from transfers_oracle import brute_force_rounds, brute_force_slots

from moeopt.transfers import Busy, Fabric, TransferPlan, TransferProblem, Window
from moeopt.transfers.bounds import (
    bound,
    least_rounds,
    makespan_bound,
    message_bound,
    odd_set_bound,
    round_startup_bound,
    rounds_bound,
    tail_bound,
    tight_line_rounds,
)

#: The worked example of padding: every line sum of it is at most 4.
PADDED = [[0, 3, 1], [2, 0, 2], [1, 1, 0]]

#: Two senders that have the third port's both messages last need 3 units, the others 2.
LAST_TOGETHER = [[0, 1, 1], [1, 0, 1], [0, 0, 0]]

#: Matrices for which a greedy order may miss the largest line sum.
GREEDY_MISSES = (
    [[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 0, 1, 0]],
    [[0, 0, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]],
)


def problem(traffic: Any, rate: Any = 1.0, **fields: Any) -> TransferProblem:
    fields["traffic_bytes"] = np.array(traffic, dtype=float)
    return TransferProblem(bandwidth_bytes_per_s=rate, **fields)


@pytest.mark.parametrize(
    ("units", "slots"),
    [(PADDED, 4), (LAST_TOGETHER, 2), (GREEDY_MISSES[0], 3), (GREEDY_MISSES[1], 2)],
)
def test_worked_examples_with_equal_ports(units: Any, slots: int) -> None:
    assert makespan_bound(problem(units)) == slots
    assert makespan_bound(problem(units, peers="one")) == slots
    assert brute_force_slots(units) == slots


def test_unequal_ports_one_peer_at_a_time_or_several() -> None:
    """The toy of rates 2, 1, 1: the printed theorem says 2 seconds, the printed order takes 4."""
    toy = [[0, 2, 2], [0, 0, 0], [0, 0, 0]]
    assert makespan_bound(problem(toy, [2, 1, 1])) == 2
    assert makespan_bound(problem(toy, [2, 1, 1], peers="one")) == 4


@st.composite
def matrices(draw: st.DrawFn) -> list[list[int]]:
    """Draw up to 9 tokens between 2 to 4 ports."""
    ports = draw(st.integers(2, 4))
    units = [[0] * ports for _ in range(ports)]
    for cell in draw(st.lists(st.integers(0, ports**2 - 1), max_size=9)):
        units[cell // ports][cell % ports] += 1
    return units


@given(matrices())
def test_the_largest_line_sum_is_the_optimum_of_equal_ports(units: Any) -> None:
    assert makespan_bound(problem(units)) == brute_force_slots(units)


@given(matrices())
def test_half_duplex_bounds_are_at_most_the_optimum(units: Any) -> None:
    best = brute_force_slots(units, half_duplex=True)
    assert makespan_bound(problem(units, half_duplex=True, peers="one")) <= best


@given(matrices())
def test_rounds_bounds_are_at_most_the_fewest(units: Any) -> None:
    assert rounds_bound(problem(units, objective="rounds")) <= brute_force_rounds(units)


@given(problems_with_plans())
def test_no_bound_is_above_a_valid_plan(drawn: tuple[TransferProblem, TransferPlan]) -> None:
    stated, plan = drawn
    assert makespan_bound(stated) <= plan.makespan_s * (1 + 1e-9)
    assert rounds_bound(stated) <= plan.num_rounds


@given(problems(paceable=True))
def test_the_fluid_bound_is_reached_by_pacing(stated: TransferProblem) -> None:
    plan = paced(stated)
    assert tail_bound(stated) == pytest.approx(plan.makespan_s)


@given(problems(timed=False))
def test_transposing_and_scaling_change_no_bound_but_by_the_scale(stated: TransferProblem) -> None:
    back = stated.reversed(2.0)
    assert makespan_bound(back) == pytest.approx(2 * makespan_bound(stated))
    assert rounds_bound(back) == rounds_bound(stated)


@given(problems(fabric=False), st.randoms(use_true_random=False))
def test_names_of_ports_change_no_bound(stated: TransferProblem, random: Any) -> None:
    order = list(range(stated.num_ports))
    random.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    replace = msgspec.structs.replace
    renamed = replace(
        stated,
        traffic_bytes=stated.traffic_bytes[:, order][:, :, order],
        bandwidth_bytes_per_s=stated.send_rate()[order],
        receive_bytes_per_s=stated.receive_rate()[order],
        windows=tuple(replace(w, source=place.get(w.source)) for w in stated.windows),
        busy=tuple(replace(b, port=place[b.port]) for b in stated.busy),
        absent_ports=tuple(place[port] for port in stated.absent_ports),
    )
    assert makespan_bound(renamed) == pytest.approx(makespan_bound(stated))
    assert rounds_bound(renamed) == rounds_bound(stated)


def test_nothing_to_send_takes_no_time() -> None:
    for fields in ({}, {"startup_s": 1.0, "startup_per": "round"}, {"objective": "rounds"}):
        assert bound(problem([[5, 0], [0, 7]], **fields)) == 0


def test_start_ups_of_messages() -> None:
    """Port 0 sends 4 bytes in two messages: two start-ups, whether one after the other or not."""
    for peers in ("one", "many"):
        stated = problem(PADDED, startup_s=0.5, peers=peers)
        assert makespan_bound(stated) == 5
    fast = problem([[0, 2, 2], [0, 0, 0], [0, 0, 0]], [4, 1, 1], startup_s=0.5)
    assert message_bound(fast) == 2.5
    # In the paced plan both start-ups pass at once, as bytes at the receivers' rate.
    assert makespan_bound(fast) == 2.5
    assert makespan_bound(msgspec.structs.replace(fast, peers="one")) == 5


def test_messages_of_one_pair_may_share_a_start_up() -> None:
    stated = problem([[[0, 2], [0, 0]], [[0, 3], [0, 0]]], startup_s=1.0)
    assert makespan_bound(stated) == 6
    late = msgspec.structs.replace(stated, windows=(Window(wave=1, release_s=4),))
    assert makespan_bound(late) == 8


def test_start_ups_of_rounds() -> None:
    """The port of most partners and the port of most bytes are two: both count in full."""
    traffic = [[0, 1, 1, 1], [0, 0, 9, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    one = problem(traffic, startup_s=0.5, startup_per="round", peers="one")
    assert (least_rounds(one), round_startup_bound(one)) == (3, 11.5)
    many = msgspec.structs.replace(one, peers="many")
    assert (least_rounds(many), makespan_bound(many)) == (1, 10.5)
    half = msgspec.structs.replace(one, half_duplex=True)
    # Ports 0, 1 and 2 have 11 seconds among them, one transmission at a time.
    assert (least_rounds(half), makespan_bound(half)) == (3, 12.5)
    late = msgspec.structs.replace(one, windows=(Window(source=0, release_s=20),))
    # Three bytes in three rounds, of which the first may have begun before.
    assert makespan_bound(late) == 24


def test_work_that_is_released_late() -> None:
    """3 bytes to port 1 at 5 s and 1 byte at 7 s: the port is through at 9, not at 8."""
    traffic = [[0, 3, 0], [0, 0, 0], [0, 1, 0]]
    windows = (Window(source=0, release_s=5), Window(source=2, release_s=7))
    assert tail_bound(problem(traffic, windows=windows)) == 9
    assert tail_bound(problem(traffic, windows=windows[:1])) == 8


def test_busy_times_interrupt_a_port() -> None:
    busy = (Busy(port=0, start_s=1, end_s=2), Busy(port=0, start_s=5, end_s=9))
    # 4 bytes fit into 0..1 and 2..5 exactly.
    assert tail_bound(problem(PADDED, busy=busy)) == 5
    assert tail_bound(problem(PADDED, busy=busy, startup_s=0.5)) == 10
    whole = problem([[0, 3], [0, 0]], busy=busy, preemptive=False)
    assert makespan_bound(whole) == 5
    longer = problem([[0, 3.5], [0, 0]], busy=busy, preemptive=False)
    assert (makespan_bound(longer), tail_bound(longer)) == (12.5, 4.5)


def test_half_duplex_triangle() -> None:
    """Three ports: one transmission at a time, whoever sends; shared rates do better."""
    one = problem(PADDED, half_duplex=True, peers="one")
    assert (odd_set_bound(one), makespan_bound(one)) == (10, 10)
    assert brute_force_slots(PADDED, half_duplex=True) == 10
    many = problem(PADDED, half_duplex=True)
    assert (odd_set_bound(many), makespan_bound(many)) == (0, 8)


def test_half_duplex_odd_set_of_five() -> None:
    """All pairs of five ports: 20 seconds at two pairs a time; a sixth port changes nothing."""
    five = np.ones((5, 5)) - np.eye(5)
    assert odd_set_bound(problem(five, half_duplex=True, peers="one")) == 10
    six = np.zeros((6, 6))
    six[:5, :5], six[5, 0] = five, 0.5
    assert odd_set_bound(problem(six, half_duplex=True, peers="one")) == 10


def test_two_tiers() -> None:
    """A node sends 6 bytes by two ports of rate 1: 3 seconds, though one port has 5 of them."""
    traffic = np.zeros((4, 4))
    traffic[0, 2], traffic[0, 3], traffic[1, 3] = 2, 3, 1
    fabric = Fabric(ports_per_node=2, bandwidth_bytes_per_s=100)
    stated = problem(traffic, fabric=fabric)
    assert makespan_bound(stated) == 3
    assert makespan_bound(problem(traffic, fabric=fabric, startup_s=0.5)) == 3.25
    assert makespan_bound(problem(traffic, fabric=fabric, absent_ports=())) == 3
    slow = Fabric(ports_per_node=2, bandwidth_bytes_per_s=0.25)
    # What leaves port 0 takes its own rate and the fast network's: 5 bytes at 1.25 a second.
    assert makespan_bound(problem(traffic, fabric=slow)) == 4
    # On rails 3 bytes must change their place: at 1 byte a second in all four ports.
    rails = Fabric(ports_per_node=2, bandwidth_bytes_per_s=0.25, rails=True)
    assert makespan_bound(problem(traffic, fabric=rails)) == 4
    traffic[0, 3], traffic[0, 1] = 6, 3
    assert makespan_bound(problem(traffic, fabric=rails)) == 12


def test_rounds_of_nodes_whose_ports_reach_several_nodes() -> None:
    traffic = np.zeros((8, 8))
    traffic[0, 2:] = 1
    fabric = Fabric(ports_per_node=2, bandwidth_bytes_per_s=100)
    stated = problem(traffic, fabric=fabric, startup_s=1.0, startup_per="round", peers="one")
    assert (least_rounds(stated), makespan_bound(stated)) == (2, 5)


def test_two_ports_without_a_pause_need_more_rounds_than_partners() -> None:
    """Ports 0 and 1 are never idle, and no message of one is as long as one of the other."""
    units = [[0, 3, 2], [4, 0, 1], [0, 0, 0]]
    stated = problem(units, objective="rounds")
    assert (least_rounds(stated), tight_line_rounds(stated), bound(stated)) == (2, 3, 3)
    assert brute_force_rounds(units) == 3
    turning = [[0, 3, 2], [2, 0, 3], [3, 2, 0]]
    assert rounds_bound(problem(turning, objective="rounds")) == 2
    assert brute_force_rounds(turning) == 2
