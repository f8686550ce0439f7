"""Bounds: never above the optimum, and tight where theory says so."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from oracle import brute_force as optimum
from oracle import fits

from moeopt import solve
from moeopt.core.stop import Context
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement import Pair, PlacementProblem, Timing, layer_bounds
from moeopt.placement.balance import AUTO_WORK, blocks_of, search
from moeopt.placement.bounds import lp_bound, pigeonhole_bound
from moeopt.placement.certify import certify
from moeopt.testing.strategies import placement_problems


@settings(max_examples=20, deadline=None)
@given(placement_problems(max_experts=4, max_devices=3, max_layers=1, feasible=True))
def test_no_bound_is_above_the_optimum(problem):
    """The sum of the layers' bounds is at most the brute-force optimum."""
    assume(fits(problem))
    best = optimum(problem)
    assert best is not None
    assert layer_bounds(problem).sum() <= best.objective * (1 + 1e-9) + 1e-9


def test_fractional_replication_bound_is_the_mean():
    """With slots for every expert everywhere the bound is the mean load, and it is reached."""
    problem = PlacementProblem(
        loads_tokens=np.array([[5.0, 3.0, 1.0]]), cluster=Cluster.uniform(3), slots_per_device=3
    )
    np.testing.assert_allclose(layer_bounds(problem), [3.0])
    assert solve(problem).objective == pytest.approx(3.0)


def test_pigeonhole_of_copies():
    """Two copies at most leave half of the hot expert on one device."""
    problem = PlacementProblem(
        loads_tokens=np.array([[100.0, 1.0, 1.0, 1.0]]),
        cluster=Cluster.uniform(4),
        slots_per_device=2,
        max_copies_per_expert=2,
    )
    np.testing.assert_allclose(layer_bounds(problem), [50.0])


def test_pigeonhole_of_devices():
    """Three equal experts on two devices: one device holds two, though the mean is 1.5."""
    problem = PlacementProblem(
        loads_tokens=np.ones((1, 3)),
        cluster=Cluster.uniform(2),
        slots_per_device=(2, 1),
    )
    np.testing.assert_allclose(layer_bounds(problem), [2.0])
    assert pigeonhole_bound(np.array([[9.0, 3.0, 2.0, 2.0]]), 5, 2).tolist() == [4.0]


def test_lp_bound_knows_of_pins():
    """Two experts pinned to one device: the LP sees their sum, the cheap bounds only the mean."""
    problem = PlacementProblem(
        loads_tokens=np.array([[5.0, 4.0, 1.0, 1.0]]),
        cluster=Cluster.uniform(2),
        slots_per_device=2,
        pinned=(Pair(expert=0, device=0), Pair(expert=1, device=0)),
    )
    assert layer_bounds(problem).sum() < 7
    assert lp_bound(problem) == pytest.approx(9.0)


def test_activated_bound_counts_whole_experts():
    """Five used experts on two devices: one device holds three."""
    problem = PlacementProblem(
        loads_tokens=np.array([[1.0, 2.0, 1.0, 1.0, 1.0, 0.0]]),
        cluster=Cluster.uniform(2),
        slots_per_device=3,
        objective="activated",
    )
    np.testing.assert_allclose(layer_bounds(problem), [3.0])


def test_certify_raises_the_bound_of_a_hot_node_to_its_optimum():
    """A node whose mean cannot be reached gets the bound that its exact model proves."""
    load = np.array([[60.0, 8.0, 7.0, 1.0] + [1.0] * 4])
    problem = PlacementProblem(
        loads_tokens=load,
        cluster=Cluster.uniform(4, 2),
        slots_per_device=3,
        groups=2,
        group_rule="one_node",
    )
    found = search(blocks_of(problem), AUTO_WORK, 0)
    assert found.bound[0] == pytest.approx(38.0)
    tight = certify(problem, found, Context())
    whole = solve(problem, "exact")
    assert whole.status == "optimal"
    assert tight.bound[0] == pytest.approx(whole.objective, rel=1e-3)
    assert tight.bound[0] > 38.0 + 0.1


def test_nodes_that_differ_are_not_certified():
    """On nodes of unlike speed the hot group may sit elsewhere: the node's optimum is no bound."""
    cluster = Cluster(
        nodes=(
            NodeGroup(node=Node(devices=2)),
            NodeGroup(node=Node(devices=2, device=Device(relative_speed=2.0))),
        )
    )
    problem = PlacementProblem(
        loads_tokens=np.array([[16.0, 31, 63, 22, 12, 9, 42, 103]]),
        cluster=cluster,
        slots_per_device=(2, 2, 6, 6),
        groups=2,
        group_rule="one_node",
        allow_empty_slots=True,
    )
    limited = solve(problem, "search", time_limit_s=1.5)
    assert limited.bound <= 74.5 + 1e-6
    assert solve(problem, "exact").objective == pytest.approx(74.5)


@pytest.mark.parametrize("groups", [4, 16])
def test_the_hierarchical_bound_is_at_least_the_mean(groups):
    """Beyond the groups that are enumerated, and on uneven nodes, the mean load still bounds."""
    loads = np.random.default_rng(0).lognormal(3, 1, (2, 64)).round()
    uneven = Cluster(nodes=(NodeGroup(node=Node(devices=4)), NodeGroup(node=Node(devices=2))))
    cluster = Cluster.uniform(8, 4) if groups == 16 else uneven
    problem = PlacementProblem(
        loads_tokens=loads, cluster=cluster, slots_per_device=16, groups=groups,
        group_rule="one_node", allow_empty_slots=True,
    )  # fmt: skip
    bound = layer_bounds(problem)
    assert (bound >= loads.sum(axis=1) / cluster.num_devices - 1e-9).all()


def test_scenarios_are_bounded_by_their_mean_too():
    """Two scenarios whose hot experts differ: the mean of maxima is at least the max of means."""
    loads = np.array([[[8.0, 0.0, 0.0]], [[8.0, 0.0, 0.0]]])
    problem = PlacementProblem(
        loads_tokens=loads, cluster=Cluster.uniform(3), slots_per_device=1, objective="mean_max"
    )
    np.testing.assert_allclose(layer_bounds(problem), [8.0])


def test_ports_are_bounded_wherever_sources_are():
    """What a device cannot serve itself it sends; beside an expert only so many others fit."""
    timing = Timing(
        seconds_per_token=0.0, dispatch_bytes_per_token=1.0, combine_bytes_per_token=1.0
    )
    cluster = Cluster.uniform(2, 1, Device(link_bandwidth_bytes_per_s=1.0))
    fields = {"cluster": cluster, "objective": "layer_time", "timing": timing}
    staying = PlacementProblem(
        loads_tokens=np.array([[9.0, 5.0]]), source_tokens=np.array([[[9.0, 4.0]], [[0.0, 1.0]]]),
        slots_per_device=1, **fields,
    )  # fmt: skip
    # Device 0 serves itself 9 tokens at best and sends 4, each there and back.
    np.testing.assert_allclose(layer_bounds(staying), [8.0])
    assert solve(staying).objective == pytest.approx(8.0)
    traffic = np.array([[[0.0, 5, 1, 1], [5, 0, 1, 1], [1, 1, 0, 7], [1, 1, 7, 0]]])
    moving = PlacementProblem(
        loads_tokens=traffic.sum(axis=1), expert_traffic_tokens=traffic, slots_per_device=2,
        **fields,
    )  # fmt: skip
    # Beside each expert its largest partner: 2 of its tokens travel, 8 over two ports.
    np.testing.assert_allclose(layer_bounds(moving), [8.0])
    assert solve(moving).objective == pytest.approx(8.0)
