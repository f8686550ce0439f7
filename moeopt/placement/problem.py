"""What a user of the placement wing states: loads, machines, rules and the objective.

The sets, data and constraints C1 to C13 are those of ``formulations/placement.md``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray, NumberOrArray
from moeopt.core.wing import Document, Problem
from moeopt.describe.cluster import Bytes, Cluster, Count, Positive

Objective = Literal["max_load", "mean_max", "worst_max", "cvar", "activated", "layer_time"]
Split = Literal["even", "nearest", "optimal"]
GroupRule = Literal["free", "one_node"]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Index = Annotated[int, msgspec.Meta(ge=0)]
Slots = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Array = npt.NDArray[Any]


class Pair(Document, frozen=True, kw_only=True, omit_defaults=True):
    """An expert on a device, in one layer or in all of them.

    Attributes
    ----------
    expert, device
        Indices from 0.
    layer
        Index from 0, or ``None`` for every layer.
    """

    expert: Index
    device: Index
    layer: Index | None = None


class Timing(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What a token and a layer cost, for the ``layer_time`` objective.

    Attributes
    ----------
    seconds_per_token
        Expert computation of one token on a device of relative speed 1.
    dispatch_bytes_per_token, combine_bytes_per_token
        Bytes one token carries to its expert, and back.
    gate_s, aggregation_s
        Seconds of the gate and of the aggregation on a device of relative speed 1. Every live
        device has its part in them, whatever it holds.
    """

    seconds_per_token: NonNegative
    dispatch_bytes_per_token: NonNegative
    combine_bytes_per_token: NonNegative
    gate_s: NonNegative = 0.0
    aggregation_s: NonNegative = 0.0


class PlacementProblem(Problem, frozen=True, kw_only=True, tag="placement"):
    """Experts and their replicas to be placed on devices, layer by layer.

    Attributes
    ----------
    loads_tokens
        Tokens of each expert, shape ``(scenarios, layers, experts)``; ``(layers, experts)`` is
        one scenario.
    cluster
        The devices, in nodes.
    slots_per_device
        Expert slots of each device in each layer: one number, or one for each device.
    scenario_weights
        Weight of each scenario, shape ``(scenarios,)``; equal if left out.
    expert_bytes
        Bytes of an expert: one number, or shape ``(experts,)`` or ``(layers, experts)``.
    expert_memory_bytes
        Device memory for experts, over all layers: one number or one for each device. Left out,
        a device's own memory is the limit where it is known.
    groups
        Number of groups of consecutive, equally many experts (the router's groups).
    group_rule
        ``"one_node"`` keeps every group on one node (hierarchical placement).
    cross_node_price
        Objective units for each token (for ``"activated"``: each activated copy) that is served
        outside the node that serves most of its group: the soft form of ``"one_node"``.
    max_copies_per_device
        Most copies of one expert on one device; ``None`` for any number.
    min_copies_per_expert, max_copies_per_expert
        Fewest and most copies of each expert; ``None`` for any number.
    distinct_nodes
        Whether copies of an expert must sit on distinct nodes (fault tolerance).
    allow_empty_slots
        Whether a slot may stay empty; engines want every slot filled.
    pinned, forbidden
        Pairs that must, and must not, occur.
    dead_devices
        Devices that hold nothing and send nothing.
    objective
        What is minimised, summed over layers (see the formulation page).
    cvar_tail
        Share of the worst scenarios that ``"cvar"`` averages.
    split
        How an expert's tokens split over its copies: evenly (vLLM, EPLB), to the nearest (SGLang
        static), or optimally for each scenario (LPLB).
    source_tokens
        Tokens each device sends to each expert, shape ``(devices, layers, experts)``, for
        ``split="nearest"`` and ``"layer_time"``; left out, every live device sends equally.
    expert_traffic_tokens
        Tokens from the device of each expert to each expert, shape ``(layers, experts,
        experts)``, for ``"layer_time"``, instead of `source_tokens`: here sources move with the
        experts (Aurora's convention). The columns sum to `loads_tokens`, one scenario; the
        diagonal never leaves its device.
    timing
        Costs of a token and of a layer, for ``"layer_time"``.
    previous
        The plan in force, shape ``(layers, slots)`` as `PlacementPlan.physical_to_logical`.
    move_price_per_byte
        Objective units for each byte copied to a device that does not hold it in `previous`.
    max_moved_bytes
        Most bytes that may be copied, over all layers.
    max_moved_bytes_per_device
        Most bytes that may arrive at a device that does not hold the expert in `previous`, over
        all layers: one number or one for each device.
    max_moved_bytes_per_node
        Most bytes that may arrive at the devices of a node from other nodes, over all layers: an
        expert that no live device of the node holds in `previous` comes from another, once for
        each device that gets it. One number or one for each node.
    """

    version: Literal[1] = 1
    loads_tokens: FloatArray
    cluster: Cluster
    slots_per_device: Slots | tuple[Slots, ...]
    scenario_weights: FloatArray | None = None
    expert_bytes: NumberOrArray | None = None
    expert_memory_bytes: Bytes | tuple[Bytes, ...] | None = None
    groups: Count = 1
    group_rule: GroupRule = "free"
    cross_node_price: NonNegative = 0.0
    max_copies_per_device: Count | None = 1
    min_copies_per_expert: Count = 1
    max_copies_per_expert: Count | None = None
    distinct_nodes: bool = False
    allow_empty_slots: bool = False
    pinned: tuple[Pair, ...] = ()
    forbidden: tuple[Pair, ...] = ()
    dead_devices: tuple[Index, ...] = ()
    objective: Objective = "max_load"
    cvar_tail: Positive | None = None
    split: Split = "even"
    source_tokens: FloatArray | None = None
    expert_traffic_tokens: FloatArray | None = None
    timing: Timing | None = None
    previous: Array | None = None
    move_price_per_byte: NonNegative = 0.0
    max_moved_bytes: Bytes | None = None
    max_moved_bytes_per_device: Bytes | tuple[Bytes, ...] | None = None
    max_moved_bytes_per_node: Bytes | tuple[Bytes, ...] | None = None

    def __post_init__(self) -> None:
        # Imported here: the checks need this class, and this class runs the checks.
        from moeopt.placement.validate import normalise, validate

        normalise(self)
        validate(self)

    @property
    def num_scenarios(self) -> int:
        """Number of load scenarios."""
        return int(self.loads_tokens.shape[0])

    @property
    def num_layers(self) -> int:
        """Number of MoE layers."""
        return int(self.loads_tokens.shape[1])

    @property
    def num_experts(self) -> int:
        """Number of logical experts of each layer."""
        return int(self.loads_tokens.shape[2])

    @property
    def num_devices(self) -> int:
        """Number of devices, dead ones included."""
        return self.cluster.num_devices

    @property
    def num_slots(self) -> int:
        """Physical slots of each layer, those of dead devices included."""
        return int(self.slots().sum())

    def slots(self) -> IntArray:
        """Return the slots of each device, shape ``(devices,)``."""
        return np.broadcast_to(
            np.asarray(self.slots_per_device, dtype=np.int64), (self.num_devices,)
        )

    def slot_device(self) -> IntArray:
        """Return the device of each physical slot, shape ``(slots,)``: slots are rank-major."""
        return np.repeat(np.arange(self.num_devices), self.slots())

    def slot_start(self) -> IntArray:
        """Return each device's first slot, and the number of slots, shape ``(devices + 1,)``."""
        return np.concatenate([[0], np.cumsum(self.slots())]).astype(np.int64)

    def live(self) -> npt.NDArray[np.bool_]:
        """Tell which devices are alive, shape ``(devices,)``."""
        live = np.ones(self.num_devices, dtype=np.bool_)
        live[list(self.dead_devices)] = False
        return live

    def weights(self) -> FloatArray:
        """Return the scenario weights, shape ``(scenarios,)``, summing to 1."""
        if self.scenario_weights is None:
            return np.full(self.num_scenarios, 1.0 / self.num_scenarios)
        weights: FloatArray = self.scenario_weights / self.scenario_weights.sum()
        return weights

    def mean_loads(self) -> FloatArray:
        """Return the loads averaged over scenarios, shape ``(layers, experts)``."""
        return np.tensordot(self.weights(), self.loads_tokens, axes=1)

    def bytes_of_experts(self) -> FloatArray:
        """Return the bytes of each expert, shape ``(layers, experts)``; 0 where not stated."""
        value = 0 if self.expert_bytes is None else self.expert_bytes
        return np.full((self.num_layers, self.num_experts), value, dtype=np.float64)

    def memory_budget_bytes(self) -> FloatArray:
        """Return each device's bytes for experts, shape ``(devices,)``; ``inf`` if unlimited."""
        if self.expert_memory_bytes is not None:
            return _one_each(self.expert_memory_bytes, self.num_devices)
        return self.cluster.memory_bytes()

    def arrival_budget_bytes(self) -> tuple[FloatArray, FloatArray]:
        """Return the bytes that may arrive (C12, C13); ``inf`` if unlimited.

        Shape ``(devices,)`` of each device, and ``(nodes,)`` of each node from other nodes.
        """
        device = self.max_moved_bytes_per_device
        node = self.max_moved_bytes_per_node
        return (
            _one_each(np.inf if device is None else device, self.num_devices),
            _one_each(np.inf if node is None else node, self.cluster.num_nodes),
        )

    def limits_moves(self) -> bool:
        """Tell whether there is a limit of moved bytes (C11, C12 or C13)."""
        limits = (
            self.max_moved_bytes,
            self.max_moved_bytes_per_device,
            self.max_moved_bytes_per_node,
        )
        return any(limit is not None for limit in limits)

    def expert_group(self) -> IntArray:
        """Return the group of each expert, shape ``(experts,)``."""
        return np.arange(self.num_experts) // (self.num_experts // self.groups)

    def pair_mask(self, pairs: tuple[Pair, ...]) -> npt.NDArray[np.bool_]:
        """Return `pairs` as a mask of shape ``(layers, experts, devices)``."""
        mask = np.zeros((self.num_layers, self.num_experts, self.num_devices), dtype=np.bool_)
        for pair in pairs:
            layers = slice(None) if pair.layer is None else pair.layer
            mask[layers, pair.expert, pair.device] = True
        return mask

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Tell where an expert may sit, shape ``(layers, experts, devices)`` (C7 and C8)."""
        return ~self.pair_mask(self.forbidden) & self.live()

    def copies_limit(self) -> int:
        """Return the most copies that any expert can have under C2, C3, C4 and C9."""
        return min(self.copies_limits().values())

    def copies_limits(self) -> dict[str, int]:
        """Return the most copies that an expert can have under each constraint that limits it."""
        live = self.live()
        limits = {"C2": self.num_slots}
        if self.max_copies_per_device is not None:
            limits["C3"] = int(live.sum()) * self.max_copies_per_device
        if self.max_copies_per_expert is not None:
            limits["C4"] = self.max_copies_per_expert
        if self.distinct_nodes:
            limits["C9"] = len(set(self.cluster.device_node()[live].tolist()))
        return limits

    def source_shares(self) -> FloatArray:
        """Return the share of an expert's tokens that each device sends.

        Shape ``(devices, layers, experts)``, summing to 1 over devices.
        """
        live = self.live().astype(np.float64)
        even = np.broadcast_to(
            (live / live.sum())[:, None, None],
            (self.num_devices, self.num_layers, self.num_experts),
        )
        if self.source_tokens is None:
            return even
        total = self.source_tokens.sum(axis=0)
        return np.where(total > 0, self.source_tokens / np.where(total > 0, total, 1.0), even)


def _one_each(value: float | tuple[int, ...], count: int) -> FloatArray:
    """Return one number for each of `count`, shape ``(count,)``."""
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (count,))
