"""Hardware: devices in nodes, nodes in a cluster, the links between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document
from moeopt.describe.presets import preset

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

#: Least and most bytes/s, or tokens of a device for one of a device of speed 1.
RATES = (1e-30, 1e30)


class Device(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One accelerator.

    Attributes
    ----------
    name
        Name for tables.
    memory_bytes
        Device memory, or ``None`` if it never limits.
    memory_bandwidth_bytes_per_s
        Rate of that memory.
    flops_per_s
        Dense bf16 (or fp16) matrix rate.
    link_bandwidth_bytes_per_s
        Rate of the device's port on the fast fabric inside its node, each direction.
    relative_speed
        Expert throughput relative to a device of speed 1.
    source
        Where the figures come from.
    """

    name: str = "device"
    memory_bytes: Bytes | None = None
    memory_bandwidth_bytes_per_s: Positive | None = None
    flops_per_s: Positive | None = None
    link_bandwidth_bytes_per_s: Positive | None = None
    relative_speed: Positive = 1.0
    source: str = ""

    def __post_init__(self) -> None:
        _require_rate("relative_speed", self.relative_speed)
        _require_rate("link_bandwidth_bytes_per_s", self.link_bandwidth_bytes_per_s)


class Node(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Devices that share a fast fabric.

    Attributes
    ----------
    device
        The device, or the name of a preset (``"h100"``).
    devices
        How many of them.
    nic_bandwidth_bytes_per_s
        Rate of each device's share of the network between nodes, each direction.
    source
        Where the figures come from.
    """

    device: Device | str = msgspec.field(default_factory=Device)
    devices: Count = 1
    nic_bandwidth_bytes_per_s: Positive | None = None
    source: str = ""

    def __post_init__(self) -> None:
        _require_rate("nic_bandwidth_bytes_per_s", self.nic_bandwidth_bytes_per_s)

    def resolved_device(self) -> Device:
        """Return the device, looked up if it is named."""
        return preset("device", self.device) if isinstance(self.device, str) else self.device


class NodeGroup(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A number of equal nodes.

    Attributes
    ----------
    node
        The node, or the name of a preset (``"hgx-h100"``).
    count
        How many of them.
    """

    node: Node | str
    count: Count = 1

    def resolved_node(self) -> Node:
        """Return the node, looked up if it is named."""
        return preset("node", self.node) if isinstance(self.node, str) else self.node


class Cluster(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Nodes in order; device ``g`` counts through the nodes from the first.

    Attributes
    ----------
    nodes
        Groups of equal nodes.
    """

    nodes: Annotated[tuple[NodeGroup, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        for i, group in enumerate(self.nodes):
            try:
                group.resolved_node().resolved_device()
            except InstanceError as error:
                raise error.under(f"$.nodes[{i}].node") from None

    @staticmethod
    def uniform(devices: int, nodes: int = 1, device: Device | str | None = None) -> Cluster:
        """Return `devices` equal devices spread evenly over `nodes`.

        Raises
        ------
        InstanceError
            If the devices do not divide by the nodes, or either is no positive whole number.
        """
        devices, nodes = whole("devices", devices), whole("nodes", nodes)
        if devices < 1:
            raise InstanceError("devices", devices, "must be >= 1", "name at least one device")
        if nodes < 1 or devices % nodes:
            raise InstanceError(
                "nodes", nodes, f"must divide the {devices} devices", "write a Cluster node by node"
            )
        node = Node(device=Device() if device is None else device, devices=devices // nodes)
        return Cluster(nodes=(NodeGroup(node=node, count=nodes),))

    def all_nodes(self) -> list[Node]:
        """Return every node, resolved, in order."""
        return [node for group in self.nodes for node in [group.resolved_node()] * group.count]

    def all_devices(self) -> list[Device]:
        """Return every device, resolved, in order."""
        return [
            device
            for group, node in self._groups()
            for device in [node.resolved_device()] * (group.count * node.devices)
        ]

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return sum(group.count for group in self.nodes)

    @property
    def num_devices(self) -> int:
        """Number of devices."""
        return sum(group.count * group.resolved_node().devices for group in self.nodes)

    def device_node(self) -> IntArray:
        """Return the node of each device, shape ``(devices,)``."""
        sizes = np.repeat(
            [node.devices for _, node in self._groups()], [group.count for group in self.nodes]
        )
        return np.repeat(np.arange(len(sizes)), sizes)

    def relative_speed(self) -> FloatArray:
        """Return the relative speed of each device, shape ``(devices,)``."""
        return self.on_devices([n.resolved_device().relative_speed for _, n in self._groups()])

    def memory_bytes(self) -> FloatArray:
        """Return the memory of each device, ``inf`` where it is not stated, ``(devices,)``."""
        memory = [node.resolved_device().memory_bytes for _, node in self._groups()]
        return self.on_devices([np.inf if m is None else float(m) for m in memory])

    def on_devices(self, values: Sequence[float]) -> FloatArray:
        """Return for each device what belongs to its group of nodes, shape ``(devices,)``.

        Parameters
        ----------
        values
            One for each of `nodes`.
        """
        devices = [group.count * node.devices for group, node in self._groups()]
        return np.repeat(np.asarray(values, dtype=np.float64), devices)

    def _groups(self) -> list[tuple[NodeGroup, Node]]:
        return [(group, group.resolved_node()) for group in self.nodes]


def _require_rate(name: str, rate: float | None) -> None:
    """Refuse rates with which seconds would overflow, or vanish."""
    least, most = RATES
    if rate is not None and not least <= rate <= most:
        raise InstanceError(
            f"$.{name}", rate, f"must be {least:g} to {most:g}", "state it in its unit"
        )
