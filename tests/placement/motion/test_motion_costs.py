"""Costs of placement in motion: a batch is the timeline's, a migration the transfers wing's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_parts import costs, plans, streams

from moeopt import InstanceError
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement.motion import Costs
from moeopt.placement.motion.costs import free_s, held, migration_experts, transfers
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem
from moeopt.timeline import layer_time
from moeopt.transfers.migration import moves_between, order_migration

LOADS = np.array([[3.0, 1.0]])
APART = np.array([[0, 1]])


def test_a_batch_of_two_devices_by_hand():
    """Each device sends half of all: the busy one receives 1.5 tokens and computes 3."""
    world = costs(gate_s=0.25)
    # Gate, dispatch of 1.5 bytes, 3 tokens at 2 s, combine of 1.5 tokens at 3 bytes, aggregation.
    assert world.batch_s(LOADS, APART, 1) == 0.25 + 1.5 + 6.0 + 4.5 + 0.5
    time = world.of_served(world.served(LOADS, APART, 1))
    assert free_s(time).tolist() == [0.25 + 6.0 + 0.5]


def test_copies_share_an_expert_evenly_and_empty_slots_serve_nothing():
    """Expert 0 on both devices: 1.5 tokens each, and the second device has expert 1's besides."""
    table = np.array([[0, -1, 0, 1]])
    assert costs().served(LOADS, table, 2).tolist() == [[1.5, 2.5]]


@settings(max_examples=30, deadline=None)
@given(streams())
def test_a_batch_is_the_timelines_with_even_sources(stream):
    """The short form gives what `layer_time` gives of the whole traffic matrix."""
    windows, tables, world = stream
    found = world.costs.layers_s(windows, tables[0], world.slots_per_device)
    served = world.costs.served(windows, tables[0], world.slots_per_device)
    devices, timing = world.costs.num_devices, world.costs.timing
    traffic = np.repeat(served[..., None, :], devices, axis=-2) / devices
    time = layer_time(
        traffic,
        relative_speed=world.costs.relative_speed,
        port_bytes_per_s=world.costs.port_bytes_per_s,
        seconds_per_token=timing.seconds_per_token,
        dispatch_bytes_per_token=timing.dispatch_bytes_per_token,
        combine_bytes_per_token=timing.combine_bytes_per_token,
        gate_s=timing.gate_s,
        aggregation_s=timing.aggregation_s,
    )
    np.testing.assert_allclose(found, time.total_s, rtol=1e-12)
    one = world.costs.layers_s(windows[0], tables[0], world.slots_per_device)
    np.testing.assert_allclose(found[0], one, rtol=1e-15)


def test_a_batch_is_what_the_placement_wing_says_of_the_plan():
    """The objective layer_time of the plan, on unequal devices."""
    ports, speeds = np.array([2.0, 1.0, 1.0]), np.array([1.0, 2.0, 1.0])
    devices = [
        NodeGroup(
            node=Node(device=Device(relative_speed=speed), nic_bandwidth_bytes_per_s=port), count=1
        )
        for port, speed in zip(ports, speeds, strict=True)
    ]
    world = costs(3, ports=ports, speed=speeds)
    loads = np.array([[5.0, 1.0, 3.0, 2.0], [1.0, 1.0, 8.0, 0.0]])
    table = np.array([[0, 1, 2, 0, 3, 1], [2, 0, 2, 1, 3, 2]])
    problem = PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster(nodes=tuple(devices)),
        slots_per_device=2,
        objective="layer_time",
        timing=world.timing,
    )
    value = evaluate(problem, PlacementPlan(physical_to_logical=table))
    np.testing.assert_allclose(world.layers_s(loads, table, 2), value.layer_objective)


def test_a_migration_lasts_as_its_busiest_port_at_the_slowest_rate():
    """Device 0 gets two experts of the two others, which get one each from it."""
    old = np.array([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]])
    new = np.array([[2, 4, 0, 3, 1, 5], [1, 0, 2, 3, 4, 5]])
    # The second layer only changes slots on a device.
    assert migration_experts(old, new, 2).tolist() == [2, 0]
    assert transfers(old, new, 2) == 4
    assert costs(3, ports=[4.0, 2.0, 4.0], expert_bytes=10.0).migration_s(old, new, 2) == 10.0


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_migrations_makespan_is_that_of_its_order(data):
    """Of experts of one size the batches of `order_migration` are no longer than a port's work."""
    sizes = {"layers": 1, "experts": 5, "devices": 3, "slots_per_device": 3}
    old, new = data.draw(plans(**sizes)), data.draw(plans(**sizes))
    _, moves = moves_between(old[0], new[0], 3)
    assert migration_experts(old, new, 3) == order_migration(moves).makespan_bytes
    assert transfers(old, new, 3) == moves.num_moves


def test_what_a_device_holds():
    """Copies on a device count once, empty slots not at all."""
    on = held(np.array([[0, 0, 2, -1]]), 2, 3)
    assert on.tolist() == [[[True, False, False], [False, False, True]]]


def test_a_models_costs_are_its_presets_and_the_measured_rate():
    """24,576 rows of DeepSeek-V2-Lite take an H200 the 0.75 ms that were measured."""
    found = Costs.of_model("deepseek-v2-lite", "h200", 8, 50e9)
    assert found.timing.seconds_per_token * 24_576 == pytest.approx(0.75e-3, rel=0.02)
    assert found.expert_bytes == 3 * 2048 * 1408 * 2
    assert found.timing.dispatch_bytes_per_token == found.timing.combine_bytes_per_token == 4096
    assert found.port_bytes_per_s.tolist() == [50e9] * 8
    faster = Costs.of_model("deepseek-v2-lite", "h200", 8, 50e9, efficiency=1.0)
    assert faster.timing.seconds_per_token == 6 * 2048 * 1408 / 989e12


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"ports": 0.0}, "port_bytes_per_s"),
        ({"speed": np.nan}, "relative_speed"),
        ({"expert_bytes": 0.0}, "expert_bytes"),
        ({"expert_bytes": "many"}, "expert_bytes"),
        ({"ports": "fast"}, "port_bytes_per_s"),
    ],
)
def test_costs_that_are_none_are_refused(changes, path):
    """The error names the field."""
    with pytest.raises(InstanceError) as error:
        costs(**changes)
    assert error.value.path == path


def test_ports_and_speeds_must_be_of_the_same_devices():
    """One port and two speeds."""
    with pytest.raises(InstanceError, match="relative_speed"):
        Costs(costs().timing, 1.0, np.ones(1), np.ones(2))


@pytest.mark.parametrize(
    ("devices", "port", "efficiency", "path"),
    [
        (0, 50e9, 0.5, "devices"),
        (2.5, 50e9, 0.5, "devices"),
        (8, "fast", 0.5, "port_bytes_per_s"),
        (8, 50e9, 0.0, "efficiency"),
        (8, 50e9, 57.0, "efficiency"),
    ],
)
def test_models_without_devices_or_speed_are_refused(devices, port, efficiency, path):
    """No division by zero, no negative seconds, no percent for a share."""
    with pytest.raises(InstanceError) as error:
        Costs.of_model("deepseek-v2-lite", "h200", devices, port, efficiency=efficiency)
    assert error.value.path == path
