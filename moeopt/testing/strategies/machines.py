"""Strategies for hardware and model shapes: realistic figures, presets among them."""

from __future__ import annotations

from hypothesis import strategies as st

from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.describe.model import MoEModel
from moeopt.describe.presets import preset, preset_names

#: Rates and sizes are drawn from the range real hardware spans, never from all of float64.
_MEMORY_BYTES = st.integers(1, 512 * 2**30)
_RATE = st.sampled_from([1e9, 25e9, 50e9]) | st.floats(1e8, 1e13)
_SPEED = st.sampled_from([1.0, 0.5, 2.0]) | st.floats(0.1, 10.0)
_NAME = st.text("abcxyz-0123456789", max_size=8)


@st.composite
def devices(draw: st.DrawFn, *, bandwidths: bool = False) -> Device:
    """Draw a device.

    Parameters
    ----------
    bandwidths
        Whether the link's rate is always stated.
    """
    if draw(st.booleans()):
        link = draw(_RATE) if bandwidths else None
        return Device(link_bandwidth_bytes_per_s=link)
    return Device(
        name=draw(_NAME),
        memory_bytes=draw(st.none() | _MEMORY_BYTES),
        memory_bandwidth_bytes_per_s=draw(st.none() | _RATE),
        flops_per_s=draw(st.none() | st.floats(1e12, 1e16)),
        link_bandwidth_bytes_per_s=draw(_RATE if bandwidths else st.none() | _RATE),
        relative_speed=draw(_SPEED),
        source=draw(_NAME),
    )


@st.composite
def nodes(draw: st.DrawFn, *, max_devices: int = 4, bandwidths: bool = False) -> Node:
    """Draw a node of drawn devices, or of a preset device.

    Parameters
    ----------
    max_devices
        Most devices of the node.
    bandwidths
        Whether the rates of the link and of the network are always stated.
    """
    named = st.sampled_from(preset_names("device"))
    return Node(
        device=draw(devices(bandwidths=bandwidths) | named),
        devices=draw(st.integers(1, max_devices)),
        nic_bandwidth_bytes_per_s=draw(_RATE if bandwidths else st.none() | _RATE),
        source=draw(_NAME),
    )


@st.composite
def clusters(
    draw: st.DrawFn, *, max_devices: int = 8, bandwidths: bool = False, uniform: bool = False
) -> Cluster:
    """Draw a cluster of drawn nodes and, where they fit, preset nodes.

    Parameters
    ----------
    max_devices
        Most devices of the cluster.
    bandwidths
        Whether the rates of links and of the network are always stated.
    uniform
        Whether all devices and nodes are equal and of speed 1.
    """
    if uniform:
        per_node = draw(st.integers(1, max_devices))
        count = draw(st.integers(1, max_devices // per_node))
        return Cluster.uniform(per_node * count, count)
    groups: list[NodeGroup] = []
    left = max_devices
    while left and (not groups or (len(groups) < 3 and draw(st.booleans()))):
        fitting = _presets_within(left)
        drawn: st.SearchStrategy[Node | str] = nodes(max_devices=left, bandwidths=bandwidths)
        node = draw(drawn | st.sampled_from(fitting) if fitting else drawn)
        size = preset("node", node).devices if isinstance(node, str) else node.devices
        count = draw(st.integers(1, left // size))
        groups.append(NodeGroup(node=node, count=count))
        left -= size * count
    return Cluster(nodes=tuple(groups))


@st.composite
def models(draw: st.DrawFn) -> MoEModel:
    """Draw the shape of an MoE model, a preset among others."""
    if draw(st.booleans()):
        shape: MoEModel = preset("model", draw(st.sampled_from(preset_names("model"))))
        return shape
    groups = draw(st.integers(1, 8))
    experts = groups * draw(st.integers(1, 32))
    return MoEModel(
        name=draw(_NAME),
        moe_layers=draw(st.integers(1, 64)),
        dense_layers=draw(st.integers(0, 4)),
        experts=experts,
        top_k=draw(st.integers(1, min(experts, 16))),
        shared_experts=draw(st.integers(0, 2)),
        hidden_size=draw(st.integers(1, 8192)),
        expert_hidden_size=draw(st.integers(1, 16384)),
        groups=groups,
        groups_per_token=draw(st.integers(1, groups)),
        bytes_per_parameter=draw(st.sampled_from([2.0, 1.0, 0.5, 0.53125])),
        source=draw(_NAME),
    )


def _presets_within(devices: int) -> list[str]:
    return [name for name in preset_names("node") if preset("node", name).devices <= devices]
