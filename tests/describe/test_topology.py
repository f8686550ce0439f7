"""Links of a cluster."""

import networkx as nx
import numpy as np

from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.describe.topology import (
    link_bandwidth_bytes_per_s,
    port_bytes_per_s,
    topology_graph,
)

FAST = Device(name="fast", link_bandwidth_bytes_per_s=400e9)
SLOW = Device(name="slow", link_bandwidth_bytes_per_s=100e9)
MIXED = Cluster(
    nodes=(
        NodeGroup(node=Node(device=FAST, devices=2, nic_bandwidth_bytes_per_s=50e9)),
        NodeGroup(node=Node(device=SLOW, devices=1, nic_bandwidth_bytes_per_s=25e9)),
    )
)


def test_the_slower_port_decides():
    """Inside a node the fabric counts, between nodes the slower network share."""
    rate = link_bandwidth_bytes_per_s(MIXED)
    np.testing.assert_array_equal(
        rate, [[np.inf, 400e9, 25e9], [400e9, np.inf, 25e9], [25e9, 25e9, np.inf]]
    )


def test_unstated_rates_are_nan_not_zero():
    """What the cluster does not say is unknown."""
    assert np.isnan(link_bandwidth_bytes_per_s(Cluster.uniform(2))[0, 1])


def test_a_port_is_the_network_share_or_the_link_of_the_only_node():
    """Unstated rates never limit."""
    np.testing.assert_array_equal(port_bytes_per_s(MIXED), [50e9, 50e9, 25e9])
    np.testing.assert_array_equal(port_bytes_per_s(Cluster.uniform(2, device=FAST)), [400e9, 400e9])
    np.testing.assert_array_equal(port_bytes_per_s(Cluster.uniform(2, nodes=2)), [np.inf, np.inf])


def test_the_graph_is_a_tree_over_all_devices():
    """Each device hangs below its node; the network joins the nodes with all their shares."""
    graph = topology_graph(MIXED)
    assert nx.is_tree(graph)
    assert nx.shortest_path_length(graph, ("device", 0), ("device", 1)) == 2
    assert nx.shortest_path_length(graph, ("device", 0), ("device", 2)) == 4
    assert graph.edges[("network",), ("node", 0)]["bandwidth_bytes_per_s"] == 100e9
    assert graph.nodes[("device", 2)] == {"name": "slow", "node": 1}
