"""Who reaches whom how fast: a cluster's links as a matrix, and as a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.describe.cluster import Cluster

if TYPE_CHECKING:
    import networkx as nx


def link_bandwidth_bytes_per_s(cluster: Cluster) -> FloatArray:
    """Return the rate from each device to each other one, shape ``(devices, devices)``.

    Inside a node the slower of the two ports on its fabric; between nodes the slower of the two
    network shares. ``nan`` where the cluster does not state it, ``inf`` from a device to itself.
    """
    node = cluster.device_node()
    inside = _rates([device.link_bandwidth_bytes_per_s for device in cluster.all_devices()])
    between = _rates(
        [n.nic_bandwidth_bytes_per_s for n in cluster.all_nodes() for _ in range(n.devices)]
    )
    same = node[:, None] == node[None, :]
    rate = np.where(same, np.minimum.outer(inside, inside), np.minimum.outer(between, between))
    np.fill_diagonal(rate, np.inf)
    return rate


def port_bytes_per_s(cluster: Cluster) -> FloatArray:
    """Return each device's port rate: its share of the network, or its link within one node.

    Shape ``(devices,)``, each direction; ``inf`` where the cluster does not state it.
    """
    between = cluster.num_nodes > 1
    rates = []
    for group in cluster.nodes:
        node = group.resolved_node()
        device = node.resolved_device()
        rate = node.nic_bandwidth_bytes_per_s if between else device.link_bandwidth_bytes_per_s
        rates.append(np.inf if rate is None else rate)
    return cluster.on_devices(rates)


def topology_graph(cluster: Cluster) -> nx.Graph:
    """Return the cluster as a tree: a switch for each node, devices below, the network above.

    Edges carry ``bandwidth_bytes_per_s`` (``None`` if unstated); vertices are ``("device", g)``,
    ``("node", n)`` and ``("network",)``, devices with their name and node.
    """
    import networkx as nx

    graph = nx.Graph()
    first = 0
    for n, node in enumerate(cluster.all_nodes()):
        device = node.resolved_device()
        share = node.nic_bandwidth_bytes_per_s
        graph.add_edge(
            ("network",),
            ("node", n),
            bandwidth_bytes_per_s=None if share is None else share * node.devices,
        )
        for g in range(first, first + node.devices):
            graph.add_node(("device", g), name=device.name, node=n)
            graph.add_edge(
                ("node", n),
                ("device", g),
                bandwidth_bytes_per_s=device.link_bandwidth_bytes_per_s,
            )
        first += node.devices
    return graph


def _rates(stated: list[float | None]) -> FloatArray:
    return np.array([np.nan if rate is None else rate for rate in stated])
