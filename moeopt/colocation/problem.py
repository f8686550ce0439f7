"""What a user of the colocation wing states: layers of several models that share devices.

The sets, data and constraints C1 to C4 are those of ``formulations/colocation.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.wing import Document, Problem
from moeopt.describe.cluster import Bytes, Cluster, Count

Objective = Literal["time", "bottleneck", "communication"]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Index = Annotated[int, msgspec.Meta(ge=0)]


class ModelLayer(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One MoE layer of one model.

    Attributes
    ----------
    name
        For tables.
    traffic_tokens
        Tokens from the device of each expert to each other expert, shape ``(experts, experts)``:
        sources move with their experts, as in Aurora. The diagonal needs no network.
    gate_s, aggregation_s
        Seconds of the gate and of the aggregation on a device of relative speed 1.
    seconds_per_token
        Expert computation of one token on a device of relative speed 1.
    dispatch_bytes_per_token, combine_bytes_per_token
        Bytes that a token carries to its expert, and back.
    expert_bytes
        Memory of each expert; ``None`` if memory does not matter.
    """

    name: str = ""
    traffic_tokens: FloatArray
    gate_s: NonNegative = 0.0
    aggregation_s: NonNegative = 0.0
    seconds_per_token: NonNegative = 0.0
    dispatch_bytes_per_token: NonNegative = 1.0
    combine_bytes_per_token: NonNegative = 1.0
    expert_bytes: Bytes | None = None

    @property
    def num_experts(self) -> int:
        """Number of experts."""
        return len(self.traffic_tokens)

    def tokens(self) -> FloatArray:
        """Return the tokens that each expert computes, ``(experts,)``: local ones too."""
        tokens: FloatArray = self.traffic_tokens.sum(axis=0)
        return tokens

    def remote(self) -> FloatArray:
        """Return the tokens between different experts, ``(experts, experts)``: no diagonal."""
        remote: FloatArray = self.traffic_tokens * ~np.eye(self.num_experts, dtype=np.bool_)
        return remote


class Pin(Document, frozen=True, kw_only=True):
    """An expert that must sit on a device.

    Attributes
    ----------
    model, expert, device
        Indices from 0.
    """

    model: Index
    expert: Index
    device: Index


class ColocationProblem(Problem, frozen=True, kw_only=True, tag="colocation"):
    """Experts of several models to be placed on shared devices, one MoE layer of each.

    Attributes
    ----------
    models
        The layers, in the order in which they take turns on a device.
    cluster
        The devices. A device's port is its share of the network between nodes, or its link if
        there is one node.
    experts_per_device
        Most experts of one model on one device.
    expert_memory_bytes
        Device memory for experts: one number, or one for each device. Left out, a device's own
        memory is the limit where it is known.
    pinned
        Experts that must sit on a device.
    objective
        ``"time"``: one layer of all models as they take turns (Aurora's Table 2, eq. 4), each
        phase as slow as its slowest device. ``"bottleneck"``: the largest time that any device
        would take alone (section 7's hyperedge weight). ``"communication"``: the aggregated
        all-to-all of all models (Theorem 6.1).
    """

    version: Literal[1] = 1
    models: tuple[ModelLayer, ...]
    cluster: Cluster
    experts_per_device: Count = 1
    expert_memory_bytes: Bytes | tuple[Bytes, ...] | None = None
    pinned: tuple[Pin, ...] = ()
    objective: Objective = "time"

    def __post_init__(self) -> None:
        # Imported here: the checks need this class, and this class runs the checks.
        from moeopt.colocation.validate import validate

        validate(self)

    @property
    def num_models(self) -> int:
        """Number of models."""
        return len(self.models)

    @property
    def num_experts(self) -> int:
        """Number of experts of the model that has most."""
        return max(model.num_experts for model in self.models)

    @property
    def num_devices(self) -> int:
        """Number of devices."""
        return self.cluster.num_devices

    def experts(self) -> IntArray:
        """Return the number of experts of each model, ``(models,)``."""
        return np.array([model.num_experts for model in self.models])

    def expert_sizes(self) -> FloatArray:
        """Return the bytes of an expert of each model, ``(models,)``; 0 where unstated."""
        return np.array([float(model.expert_bytes or 0) for model in self.models])

    def memory_budget_bytes(self) -> FloatArray:
        """Return each device's bytes for experts, shape ``(devices,)``; ``inf`` if unlimited."""
        if self.expert_memory_bytes is not None:
            budget = np.asarray(self.expert_memory_bytes, dtype=np.float64)
            return np.broadcast_to(budget, (self.num_devices,))
        return self.cluster.memory_bytes()
