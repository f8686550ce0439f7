"""Edge colouring: every unit once, no port twice in a slot, no more slots than needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transfers_oracle import brute_force_slots

from moeopt.core.stop import Context
from moeopt.transfers.coloring import (
    MOST_UNITS,
    edge_slots,
    least_slots,
    refuses_edge_coloring,
    run_edge_coloring,
    unit_slots,
)
from moeopt.transfers.plan import TransferPlan, evaluate, violations
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window

#: Aurora's Algorithm 1 may, and with index order must, take a slot more than the largest line.
COUNTER_EXAMPLES = {
    3: [[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 0, 1, 0]],
    2: [[0, 0, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]],
}

UNITS = st.integers(1, 7).flatmap(
    lambda n: arrays(np.int64, (n, n), elements=st.integers(0, 9)).map(without_diagonal)
)


def without_diagonal(units):
    return units * ~np.eye(len(units), dtype=bool)


def problem_of(units, unit=1.0, **rules):
    traffic = np.asarray(units, dtype=float) * unit
    return TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=2.0, **rules)


def solved(problem) -> TransferPlan:
    assert refuses_edge_coloring(problem) is None
    plan = run_edge_coloring(problem, Context(), None).plan
    assert isinstance(plan, TransferPlan)
    assert violations(problem, plan) == []
    return plan


def assert_every_unit_once(peer, units, half_duplex):
    slot, source = np.nonzero(peer >= 0)
    sent = np.zeros_like(units)
    np.add.at(sent, (source, peer[slot, source]), 1)
    np.testing.assert_array_equal(sent, units)
    for row in peer:
        receivers = row[row >= 0].tolist()
        users = [*receivers, *np.flatnonzero(row >= 0)] if half_duplex else receivers
        assert len(set(users)) == len(users)


@given(UNITS)
def test_full_duplex_takes_the_largest_line(units):
    peer = unit_slots(units)
    assert_every_unit_once(peer, units, half_duplex=False)
    assert len(peer) == max(units.sum(axis=0).max(), units.sum(axis=1).max())


@given(UNITS)
def test_half_duplex_is_valid_and_not_below_its_bound(units):
    peer = unit_slots(units, half_duplex=True)
    assert_every_unit_once(peer, units, half_duplex=True)
    assert len(peer) >= least_slots(units, half_duplex=True)


@pytest.mark.parametrize("seed", range(25))
def test_tiny_half_duplex_is_optimal(seed):
    rng = np.random.default_rng(seed)
    units = without_diagonal(rng.integers(0, 3, (4, 4)) * (rng.random((4, 4)) < 0.6))
    assert len(unit_slots(units, half_duplex=True)) == brute_force_slots(units, half_duplex=True)


@pytest.mark.parametrize("ports", [16, 17, 32, 64])
@pytest.mark.parametrize("degree", [10, 30, 60])
def test_random_half_duplex_takes_no_more_than_the_bound(ports, degree):
    """Ports with nearly the same number of units have hardly a slot to spare."""
    rng = np.random.default_rng(ports * degree)
    ends = rng.permutation(np.repeat(np.arange(ports), degree))[: ports * degree // 2 * 2]
    units = np.zeros((ports, ports), dtype=np.int64)
    np.add.at(units, (ends[::2], ends[1::2]), 1)
    units = without_diagonal(units)
    peer = unit_slots(units, half_duplex=True)
    assert_every_unit_once(peer, units, half_duplex=True)
    assert len(peer) == least_slots(units, half_duplex=True)


@pytest.mark.parametrize("slots", COUNTER_EXAMPLES)
def test_where_the_papers_order_may_fail(slots):
    units = np.array(COUNTER_EXAMPLES[slots])
    assert len(unit_slots(units)) == slots == brute_force_slots(units)


def test_three_ports_that_all_talk_need_half_as_much_again():
    """Shannon's graph, here among ports with less to do."""
    units = np.zeros((8, 8), dtype=np.int64)
    units[0, 1] = units[1, 2] = units[2, 0] = 40
    units[3:, :3] = 1
    # 80 units at a port and 5 more from outside; 120 in the set, one pair of it at a time.
    assert least_slots(units, half_duplex=True) == 120
    assert len(unit_slots(units, half_duplex=True)) == 120
    assert len(unit_slots(units)) == 45


def test_no_budget_for_random_steps_still_ends(monkeypatch):
    monkeypatch.setattr("moeopt.transfers.coloring._STEPS", 0)
    units = without_diagonal(np.ones((7, 7), dtype=np.int64))
    peer = unit_slots(units, half_duplex=True)
    assert_every_unit_once(peer, units, half_duplex=True)


def test_edges_given_first_get_the_first_slots():
    """Three edges at vertex 0, then one elsewhere: it shares the first slot."""
    end, other = np.array([0, 0, 0, 1]), np.array([3, 4, 5, 4])
    slots = edge_slots(end, other, 6, 1)
    assert slots[:3].tolist() == [0, 1, 2]
    assert slots[3] == 0


@given(UNITS, st.booleans(), st.sampled_from(["one", "many"]))
def test_plans_without_start_ups_are_as_long_as_their_slots(units, half_duplex, peers):
    problem = problem_of(units, 10.0, half_duplex=half_duplex, peers=peers)
    plan = solved(problem)
    slot_s = run_edge_coloring(problem, Context(), None).statistics["unit_bytes"] / 2.0
    counts = np.round(problem.pair_bytes() / (2.0 * slot_s)).astype(np.int64)
    slots = len(unit_slots(counts, half_duplex=half_duplex))
    assert plan.makespan_s == pytest.approx(slots * slot_s)


@given(UNITS, st.booleans(), st.sampled_from(["message", "round"]))
def test_start_ups_and_chunks_are_kept(units, half_duplex, per):
    problem = problem_of(
        units, 5.0, half_duplex=half_duplex, startup_s=0.3, startup_per=per, chunk_bytes=5.0
    )
    assert evaluate(problem, solved(problem)).startups >= int(units.any())


@given(UNITS)
def test_fewest_rounds_is_an_objective_with_barriers(units):
    problem = problem_of(units, objective="rounds")
    assert evaluate(problem, solved(problem)).num_rounds <= max(1, units.sum())


@given(UNITS, st.sampled_from(["message", "round"]))
def test_waves_of_a_pair_share_its_slots(units, per):
    solved(problem_of(np.stack([units, units.T]), startup_per=per))


def test_slots_of_a_pair_are_one_part_and_equal_slots_one_round():
    problem = problem_of([[0, 900, 0], [0, 0, 0], [0, 0, 0]])
    plan = solved(problem)
    assert (len(plan.source), plan.num_rounds) == (1, 1)
    problem = problem_of([[0, 900, 0], [0, 0, 900], [900, 0, 0]], objective="rounds")
    assert evaluate(problem, solved(problem)).num_rounds == 1


def test_unit_is_the_common_divisor_of_any_numbers():
    for unit in (0.1, 1 / 3, 7e-9, 2.0**40 / 7):
        problem = problem_of([[0, 6, 0], [4, 0, 0], [0, 10, 0]], unit)
        outcome = run_edge_coloring(problem, Context(), None)
        assert outcome.statistics["unit_bytes"] == pytest.approx(2 * unit)
        assert outcome.statistics["slots"] == 8


def test_nothing_to_send_is_an_empty_plan():
    for rules in ({}, {"half_duplex": True}, {"objective": "rounds"}, {"chunk_bytes": 3.0}):
        assert solved(problem_of(np.zeros((3, 3)), **rules)).makespan_s == 0.0


ONE = [[0.0, 3.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (problem_of(ONE, windows=(Window(release_s=1.0),)), "without windows"),
        (problem_of(ONE, busy=(Busy(port=0, start_s=0.0, end_s=1.0),)), "without windows"),
        (problem_of(ONE, receive_bytes_per_s=3.0), "equal ports"),
        (
            problem_of(ONE, fabric=Fabric(ports_per_node=2, bandwidth_bytes_per_s=1.0)),
            "one network",
        ),
        (problem_of(ONE, preemptive=False), "preemptive"),
        (problem_of([ONE, ONE], startup_s=1.0), "one wave"),
        (problem_of([[0, np.pi], [np.e, 0]]), "one unit"),
        (problem_of([[0, 3.0], [4.0, 0]], chunk_bytes=2.0), "one unit"),
        (problem_of([[0, MOST_UNITS + 1.0], [1.0, 0]]), "larger units"),
        (problem_of(np.pad([[0, 1e6], [1.0, 0]], (0, 60))), "pairs of port and slot"),
    ],
)
def test_what_it_refuses(problem, why):
    said = refuses_edge_coloring(problem)
    assert said is not None
    assert why in said
