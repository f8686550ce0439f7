"""An order on the wire: valid by replay, its time against the busiest port's and the paper's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import moeopt
from moeopt.colocation import generate
from moeopt.colocation.plan import ColocationPlan, device_phases, evaluate
from moeopt.colocation.plan import violations as broken_by
from moeopt.colocation.problem import ColocationProblem, ModelLayer
from moeopt.colocation.summary import wire_table
from moeopt.colocation.wire import WireOrder, order_on_the_wire
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Node, NodeGroup
from moeopt.io import load_problem
from moeopt.testing.strategies import colocation_problems
from moeopt.timeline import line_seconds
from moeopt.transfers.plan import violations

#: N^1 sends 1 -> 2 and 2 -> 0, N^2 sends 0 -> 1, 1 -> 3 and 2 -> 3, a byte each.
FIRST, SECOND = np.zeros((4, 4)), np.zeros((4, 4))
FIRST[[1, 2], [2, 0]] = 1.0
SECOND[[0, 1, 2], [1, 3, 3]] = 1.0


def stated(*traffic: Any, cluster: Cluster | None = None, **fields: Any) -> ColocationProblem:
    """Return layers of these tokens, a byte each, on devices that send a byte a second."""
    models = tuple(ModelLayer(traffic_tokens=np.array(one, float), **fields) for one in traffic)
    made = cluster or ports(*[1.0] * models[0].num_experts)
    return ColocationProblem(models=models, cluster=made)


def ports(*rates: float) -> Cluster:
    """Return a device for each rate, a node of its own."""
    nodes = [Node(nic_bandwidth_bytes_per_s=rate) for rate in rates]
    return Cluster(nodes=tuple(NodeGroup(node=node) for node in nodes))


def in_order(problem: ColocationProblem) -> ColocationPlan:
    """Return the plan that puts expert e of each model on device e."""
    device = np.tile(np.arange(problem.num_experts), (problem.num_models, 1))
    device[device >= problem.experts()[:, None]] = -1
    return ColocationPlan(device=device)


def ordered(problem: ColocationProblem, **options: Any) -> WireOrder:
    """Order the plan above, or the method's where it does not fit, and check what must hold."""
    plan = in_order(problem)
    if broken_by(problem, plan):
        plan = moeopt.solve(problem, "search").plan
    order = order_on_the_wire(problem, plan, **options)
    must_hold(problem, plan, order)
    return order


def must_hold(problem: ColocationProblem, plan: ColocationPlan, order: WireOrder) -> None:
    assert violations(order.problem, order.plan) == []
    assert order.problem.num_waves == 2 * problem.num_models
    value = evaluate(problem, plan)
    assert order.busiest_port_s == value.time_s
    assert order.total_s >= value.time_s * (1 - 1e-9)
    assert (order.end_s >= order.least_end_s * (1 - 1e-9)).all()
    # The replayed plan has each wave's bytes within the times that the round was reckoned with.
    wave = order.plan.wave
    release, end = order.release_s.ravel(), order.end_s.ravel()
    slack = 1e-9 * order.total_s
    assert (order.plan.start_s >= release[wave] - slack).all()
    assert (order.plan.end_s <= end[wave] + slack).all()
    steps = order.interleaved.critical()
    assert sum(step.seconds for step in steps) == pytest.approx(order.total_s)
    if order.no_idle_s is not None:
        assert order.no_idle_s <= order.busiest_port_s * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("unequal", [False, True])
def test_together_takes_the_largest_line_sum_of_the_sum_if_no_release_binds(
    seed: int, unequal: bool
) -> None:
    """Theorem 4.2 for the aggregated matrix, sparse traffic included."""
    rng = np.random.default_rng(seed)
    sparse = [rng.integers(0, 9, (5, 5)) * (rng.random((5, 5)) < 0.4) for _ in range(3)]
    rates = rng.choice([1.0, 2.0, 4.0], 5) if unequal else np.ones(5)
    order = ordered(stated(*sparse, cluster=ports(*rates.tolist())), in_turn=False)
    remote = sum(sparse) * (1 - np.eye(5))
    lines = np.maximum(remote.sum(axis=0), remote.sum(axis=1)) / rates
    assert order.end_s[0, -1] == pytest.approx(lines.max())
    assert order.end_s[1, -1] == pytest.approx(2 * lines.max())
    assert order.proven


def test_what_delays_nothing_before_it_may_end_later() -> None:
    """N^1 has senders 1 and 2 for 1 s, so both bytes for device 3 wait: 3 s, together 2 s."""
    problem = stated(FIRST, SECOND)
    in_turn, together = ordered(problem), ordered(problem, in_turn=False)
    np.testing.assert_allclose(in_turn.end_s[0], [1, 3])
    np.testing.assert_allclose(together.end_s[0], [2, 2])
    np.testing.assert_allclose(in_turn.least_end_s[0], [1, 2])
    assert in_turn.proven
    # Back from 3 on: a second for the first model, the second one again has to wait.
    assert (in_turn.total_s, in_turn.busiest_port_s) == (pytest.approx(6), 4)
    assert together.total_s == pytest.approx(4)


def test_busiest_ports_are_only_a_bound_where_a_release_binds() -> None:
    """Ports 0 and 2 get 4 bytes each, but sender 1 cannot feed both from the start: 3 by 2 s."""
    first = [[0, 0, 0], [1, 0, 2], [1, 0, 0]]
    second = [[0, 0, 2], [1, 0, 0], [1, 0, 0]]
    models = tuple(
        ModelLayer(traffic_tokens=np.array(tokens, float), gate_s=gate)
        for tokens, gate in ((first, 0.0), (second, 2.0))
    )
    order = ordered(ColocationProblem(models=models, cluster=stated(first).cluster))
    np.testing.assert_allclose(order.release_s[0], [0, 2])
    np.testing.assert_allclose(order.least_end_s[0], [3, 4])
    np.testing.assert_allclose(order.end_s[0], [3, 4.5])
    assert order.total_s > order.busiest_port_s


@pytest.mark.parametrize(
    ("name", "total", "formula"), [("aurora-table-2", 16, 16), ("aurora-table-2-idle", 19, 16)]
)
def test_table_2_on_the_wire(name: str, total: float, formula: float) -> None:
    """The papers' examples: an order has their times, the formula leaves the idle network out."""
    problem = load_problem(f"@colocation/{name}")
    order = ordered(problem)
    assert order.total_s == pytest.approx(total)
    assert order.no_idle_s == pytest.approx(formula)
    assert order.proven


@pytest.mark.parametrize("cluster", generate.KINDS)
def test_dense_traffic_reaches_the_busiest_ports(cluster: generate.Kind) -> None:
    problem = generate.limoe(cluster=cluster)
    plan = moeopt.solve(problem, "two_step").plan
    order = order_on_the_wire(problem, plan)
    must_hold(problem, plan, order)
    assert order.proven
    assert order.total_s == pytest.approx(order.busiest_port_s, rel=1e-6)
    assert order.interleaved.utilisation.shape == (8,)
    assert order.interleaved.utilisation == pytest.approx(
        evaluate(problem, plan).utilisation, rel=1e-6
    )


@given(colocation_problems(objectives=("time",)), st.booleans())
@settings(max_examples=30)
def test_every_order_is_valid(problem: ColocationProblem, in_turn: bool) -> None:
    order = ordered(problem, in_turn=in_turn)
    if in_turn:
        # The first of all is alone in the network.
        alone = line_seconds([order.interleaved.layers[0].dispatch])
        assert order.end_s[0, 0] == pytest.approx(alone.max(), rel=1e-7, abs=1e-300)


def test_one_model_takes_its_own_time() -> None:
    problem = stated([[3, 2], [4, 1]], gate_s=1.0, aggregation_s=2.0, seconds_per_token=0.5)
    order = ordered(problem)
    (layer,) = device_phases(problem, in_order(problem))
    assert order.total_s == pytest.approx(float(layer.total_s))
    assert order.no_idle_s is None


def test_nothing_to_send_leaves_computation() -> None:
    order = ordered(stated([[3]], [[4]], cluster=Cluster.uniform(1), seconds_per_token=1.0))
    assert order.plan.source.size == 0
    assert order.total_s == 7
    quiet = stated([[0, 2], [0, 0]], np.diag([1, 5]), seconds_per_token=1.0)
    assert ordered(quiet).total_s == pytest.approx(2 + 2 + 5)


def test_one_peer_at_a_time_is_slower_on_unequal_ports() -> None:
    """The fast port feeds two slow ones: at once in 2 s, one by one in 4."""
    problem = stated([[0, 2, 2], [0, 0, 0], [0, 0, 0]], cluster=ports(2.0, 1.0, 1.0))
    assert ordered(problem).total_s == pytest.approx(4)
    assert ordered(problem, peers="one").total_s == pytest.approx(8)


def test_without_time_waves_follow_each_other() -> None:
    """0 -> 1 and 2 -> 3 could go at once."""
    apart = np.zeros((2, 4, 4))
    apart[0, 0, 1] = apart[1, 2, 3] = 1.0
    problem = stated(*apart)
    order = ordered(problem, time_limit_s=1e-9)
    assert not order.proven
    np.testing.assert_allclose(order.end_s[0], [1, 2])
    np.testing.assert_allclose(ordered(problem).end_s[0], [1, 1])


def test_a_plan_that_is_not_valid_is_refused() -> None:
    problem = stated(FIRST, SECOND)
    with pytest.raises(InstanceError, match="breaks C2"):
        order_on_the_wire(problem, ColocationPlan(device=np.zeros((2, 4), dtype=np.int64)))


def test_table_of_the_wire() -> None:
    problem = stated(FIRST, SECOND)
    table = wire_table(problem, ordered(problem))
    assert [row[:2] for row in table.rows] == [
        ["dispatch", "model 0"],
        ["dispatch", "model 1"],
        ["combine", "model 0"],
        ["combine", "model 1"],
    ]
    assert table.rows[1][2:] == pytest.approx([0, 3, 2])
    assert table.title == "when all tokens have arrived, in s"
    assert table.note == (
        "The round takes 6 s, by its busiest ports 4 s, by the paper's formula 4 s."
    )
    late = wire_table(problem, ordered(problem, time_limit_s=1e-9))
    assert late.note.endswith("; some wave may end earlier.")
