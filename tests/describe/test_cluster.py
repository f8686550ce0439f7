"""Clusters count their devices node by node."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.describe.topology import port_bytes_per_s

groups = st.lists(
    st.builds(
        lambda devices, count, speed: NodeGroup(
            node=Node(device=Device(relative_speed=speed), devices=devices), count=count
        ),
        st.integers(1, 5),
        st.integers(1, 4),
        st.floats(0.1, 4.0),
    ),
    min_size=1,
    max_size=4,
).map(tuple)


@given(groups)
def test_every_view_counts_the_same_devices(nodes: tuple[NodeGroup, ...]) -> None:
    cluster = Cluster(nodes=nodes)
    device_node = cluster.device_node()
    assert cluster.num_devices == len(cluster.all_devices()) == len(device_node)
    assert cluster.num_nodes == len(cluster.all_nodes()) == device_node[-1] + 1
    assert (device_node[1:] >= device_node[:-1]).all()
    for g, node in enumerate(device_node.tolist()):
        expected = cluster.all_nodes()[node].resolved_device()
        assert cluster.all_devices()[g] == expected
        assert cluster.relative_speed()[g] == expected.relative_speed


@given(st.integers(1, 6), st.integers(1, 6))
def test_uniform_spreads_devices_evenly(nodes: int, each: int) -> None:
    cluster = Cluster.uniform(nodes * each, nodes)
    assert cluster.device_node().tolist() == [n for n in range(nodes) for _ in range(each)]


def test_uniform_needs_nodes_that_divide() -> None:
    with pytest.raises(InstanceError, match="divide the 8 devices"):
        Cluster.uniform(8, 3)


def test_names_are_looked_up() -> None:
    cluster = Cluster(nodes=(NodeGroup(node="hgx-h200", count=2), NodeGroup(node=Node())))
    assert cluster.num_devices == 17
    assert cluster.all_devices()[0].name == "h200"
    assert Cluster.uniform(2, device="v100").all_devices()[1].memory_bytes == 32 * 2**30


def test_an_unknown_name_is_found_when_the_cluster_is_made() -> None:
    with pytest.raises(InstanceError, match=r"\$.nodes\[1\].node"):
        Cluster(nodes=(NodeGroup(node="hgx-h100"), NodeGroup(node="hgx-h1000")))


@pytest.mark.parametrize("rate", [5e-324, 1e-31, 1e31, 1e300])
def test_rates_with_which_seconds_would_vanish_or_overflow_are_refused(rate: float) -> None:
    with pytest.raises(InstanceError, match=r"\$\.relative_speed: must be 1e-30 to 1e\+30"):
        Device(relative_speed=rate)
    with pytest.raises(InstanceError, match="link_bandwidth_bytes_per_s"):
        Device(link_bandwidth_bytes_per_s=rate)
    with pytest.raises(InstanceError, match="nic_bandwidth_bytes_per_s"):
        Node(nic_bandwidth_bytes_per_s=rate)


def test_a_million_nodes_are_counted_by_their_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads an instance asks for these arrays, whatever number stands there."""
    asked = []
    resolved = Node.resolved_device

    def noted(node: Node) -> Device:
        asked.append(node)
        return resolved(node)

    groups = (NodeGroup(node=Node(device=Device(memory_bytes=5)), count=999_999),)
    cluster = Cluster(nodes=(*groups, NodeGroup(node=Node(devices=2))))
    monkeypatch.setattr(Node, "resolved_device", noted)
    views = (cluster.relative_speed(), cluster.memory_bytes(), port_bytes_per_s(cluster))
    assert [view.shape for view in (*views, cluster.device_node())] == [(1_000_001,)] * 4
    assert views[1][-3:].tolist() == [5.0, np.inf, np.inf]
    assert len(cluster.all_devices()) == 1_000_001
    assert len(asked) == 4 * 2
