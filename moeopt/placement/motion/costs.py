"""What placement in motion costs: the seconds of a batch under a plan, and of a migration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from moeopt.core.arguments import number, whole
from moeopt.core.arrays import BoolArray, FloatArray, IntArray, own_array
from moeopt.core.errors import InstanceError
from moeopt.describe.presets import preset
from moeopt.placement.plan import device_sums
from moeopt.placement.problem import Timing
from moeopt.placement.split import slot_loads
from moeopt.timeline import Exchange, LayerTime
from moeopt.transfers.migration import choose_sources, moves_between

#: Share of a device's peak that grouped products of DeepSeek-V2-Lite's experts reach in bf16: on
#: H200s (docs/measurements/torch-gpus.md, the floor less its bytes: 0.75 ms for 24,576 rows).
MEASURED_EFFICIENCY = 0.57


@dataclass(frozen=True, eq=False)
class Costs:
    """What devices and ports cost: a batch by `moeopt.timeline`, a migration by its makespan.

    Every device sends equally many tokens to every expert (even sources), and an expert's tokens
    split evenly over its copies, as in vLLM. Experts are computed at a rate in tokens: reading
    weights, which bounds batches of few tokens, is not modelled, so batches must be large.

    Attributes
    ----------
    timing
        Costs of a token and of a layer.
    expert_bytes
        Bytes of every expert.
    port_bytes_per_s
        Rate of each device's port, each direction, shape ``(devices,)``.
    relative_speed
        Of each device, shape ``(devices,)``.
    """

    timing: Timing
    expert_bytes: float
    port_bytes_per_s: FloatArray
    relative_speed: FloatArray

    def __post_init__(self) -> None:
        for name in ("port_bytes_per_s", "relative_speed"):
            values: FloatArray = own_array(getattr(self, name), name, np.float64)
            if values.ndim != 1 or not (np.isfinite(values).all() and (values > 0).all()):
                rule = "must have one finite number > 0 for each device"
                raise InstanceError(name, values.tolist(), rule, "correct the devices")
            object.__setattr__(self, name, values)
        if len(self.port_bytes_per_s) != len(self.relative_speed):
            raise InstanceError(
                "relative_speed",
                f"<{len(self.relative_speed)} devices>",
                f"must be as many as the {len(self.port_bytes_per_s)} ports",
                "name both for each device",
            )
        expert_bytes = number("expert_bytes", self.expert_bytes)
        if not (np.isfinite(expert_bytes) and expert_bytes > 0):
            raise InstanceError(
                "expert_bytes", expert_bytes, "must be a finite number > 0", "correct it"
            )

    @classmethod
    def of_model(
        cls,
        model: str,
        device: str,
        devices: int,
        port_bytes_per_s: float,
        *,
        efficiency: float = MEASURED_EFFICIENCY,
    ) -> Costs:
        """Return the costs of a model on equal devices, both by the names of their presets.

        Parameters
        ----------
        model, device
            Presets, such as ``"deepseek-v2-lite"`` and ``"h200"``.
        devices
            Number of devices.
        port_bytes_per_s
            Rate of each device's port, each direction.
        efficiency
            Share of the device's peak that its experts reach.
        """
        if whole("devices", devices) < 1:
            raise InstanceError("devices", devices, "must be >= 1", "raise it")
        if not 0 < number("efficiency", efficiency) <= 1:
            rule = "must be a share above 0, at most 1"
            raise InstanceError("efficiency", efficiency, rule, "measure it")
        shape, machine = preset("model", model), preset("device", device)
        token_bytes = 2.0 * shape.hidden_size  # bf16
        return cls(
            timing=Timing(
                seconds_per_token=shape.flops_per_token / (efficiency * machine.flops_per_s),
                dispatch_bytes_per_token=token_bytes,
                combine_bytes_per_token=token_bytes,
            ),
            expert_bytes=float(shape.expert_bytes),
            port_bytes_per_s=np.full(devices, number("port_bytes_per_s", port_bytes_per_s)),
            relative_speed=np.ones(devices),
        )

    @property
    def num_devices(self) -> int:
        """Number of devices."""
        return len(self.relative_speed)

    def batch_s(self, loads: FloatArray, table: IntArray, slots_per_device: int) -> float:
        """Return the seconds of one batch through all layers.

        Parameters
        ----------
        loads
            Tokens of each expert in the batch, shape ``(layers, experts)``.
        table
            Expert in each slot, shape ``(layers, slots)``, -1 for an empty slot.
        slots_per_device
            Slots of each device.
        """
        return float(self.layers_s(loads, table, slots_per_device).sum())

    def layers_s(self, loads: FloatArray, table: IntArray, slots_per_device: int) -> FloatArray:
        """Return the seconds of each layer, shape ``(..., layers)``.

        Parameters
        ----------
        loads
            Shape ``(layers, experts)``, or ``(windows, layers, experts)``.
        table, slots_per_device
            As for `batch_s`.
        """
        return np.asarray(self.of_served(self.served(loads, table, slots_per_device)).total_s)

    def served(self, loads: FloatArray, table: IntArray, slots_per_device: int) -> FloatArray:
        """Return the tokens that each device serves, shape ``(..., layers, devices)``.

        Parameters
        ----------
        loads, table, slots_per_device
            As for `layers_s`.
        """
        windows = loads if loads.ndim == 3 else loads[None]
        slots = np.full(self.num_devices, slots_per_device)
        served = device_sums(slot_loads(table, windows), slots)
        return served if loads.ndim == 3 else served[0]

    def of_served(self, served: FloatArray) -> LayerTime:
        """Return the phases of layers whose devices serve so many tokens.

        With even sources every device sends the same part of what each device serves, so that
        `moeopt.timeline.layer_time` needs no traffic matrix.

        Parameters
        ----------
        served
            Tokens, shape ``(..., devices)``.
        """
        timing, devices = self.timing, self.num_devices
        sent = (served.sum(axis=-1, keepdims=True) - served) / devices / self.port_bytes_per_s
        received = served * ((devices - 1) / devices) / self.port_bytes_per_s
        there, back = timing.dispatch_bytes_per_token, timing.combine_bytes_per_token
        return LayerTime(
            gate_s=np.broadcast_to(timing.gate_s / self.relative_speed, served.shape),
            dispatch=Exchange(sent * there, received * there),
            compute_s=served * timing.seconds_per_token / self.relative_speed,
            combine=Exchange(received * back, sent * back),
            aggregation_s=np.broadcast_to(timing.aggregation_s / self.relative_speed, served.shape),
        )

    def migration_s(self, old: IntArray, new: IntArray, slots_per_device: int) -> float:
        """Return the seconds that the ports need to turn one plan into another.

        Layer after layer, each with the least makespan: sources as `choose_sources` says, and
        batches as `order_migration` makes them of experts of one size, at the slowest port's rate.

        Parameters
        ----------
        old, new
            Expert in each slot, shape ``(layers, slots)``.
        slots_per_device
            Slots of each device.
        """
        experts = int(migration_experts(old, new, slots_per_device).sum())
        return experts * self.expert_bytes / float(self.port_bytes_per_s.min())


def free_s(time: LayerTime) -> FloatArray:
    """Return the seconds in which no token travels, shape ``(...)`` without the devices.

    Ports are free for a migration meanwhile: the exchanges of tokens go first.

    Parameters
    ----------
    time
        Phases of layers.
    """
    busy = time.dispatch_s.max(axis=-1) + time.combine_s.max(axis=-1)
    return np.asarray(time.total_s - busy)


def migration_experts(old: IntArray, new: IntArray, slots_per_device: int) -> IntArray:
    """Return the makespan of each layer's migration in experts, shape ``(layers,)``.

    Experts of one size over ports that send and receive at once are edges of a bipartite graph.
    Its colours are batches, and as many suffice as its busiest port has experts (König), so that
    `order_migration` needs just what `choose_sources` makes the busiest port's. That is the most
    that a device receives, or must send because it alone holds it, where no device can be asked
    for more.

    Parameters
    ----------
    old, new
        Expert in each slot, shape ``(layers, slots)``.
    slots_per_device
        Slots of each device.
    """
    makespan = np.zeros(len(old), dtype=np.int64)
    changed = np.flatnonzero((old != new).any(axis=1))
    if not changed.size:
        return makespan
    old, new = old[changed], new[changed]
    experts = 1 + int(max(old.max(), new.max()))
    before, after = (held(table, slots_per_device, experts) for table in (old, new))
    lacking = after & ~before
    wanted, copies = lacking.sum(axis=1), before.sum(axis=1)
    # What a device alone can send, and all that it can be asked for: whole numbers, exact.
    asks = np.stack([wanted * (copies == 1), wanted], axis=2).astype(np.float32)
    alone, asked = (before.astype(np.float32) @ asks).max(axis=1).astype(np.int64).T
    least = np.maximum(lacking.sum(axis=2).max(axis=1), alone)
    makespan[changed] = least
    for layer in np.flatnonzero(asked > least).tolist():
        rows = (table[layer].astype(np.int32).tobytes() for table in (old, new))
        makespan[changed[layer]] = _with_chosen_sources(*rows, slots_per_device)
    return makespan


def transfers(old: IntArray, new: IntArray, slots_per_device: int) -> int:
    """Return how many experts are copied to devices that lacked them, over all layers.

    Parameters
    ----------
    old, new, slots_per_device
        As for `Costs.migration_s`.
    """
    experts = 1 + int(max(old.max(initial=-1), new.max(initial=-1)))
    return int((held(new, slots_per_device, experts) & ~held(old, slots_per_device, experts)).sum())


def held(table: IntArray, slots_per_device: int, experts: int) -> BoolArray:
    """Tell which device holds which expert, shape ``(..., layers, devices, experts)``.

    Parameters
    ----------
    table
        Expert in each slot, shape ``(..., layers, slots)``, -1 for an empty slot.
    slots_per_device
        Slots of each device.
    experts
        Experts of each layer.
    """
    by_device = table.reshape(*table.shape[:-1], -1, slots_per_device)
    # The last expert stands for empty slots.
    on = np.zeros((*by_device.shape[:-1], experts + 1), dtype=np.bool_)
    np.put_along_axis(on, by_device, True, axis=-1)
    return on[..., :experts]


@lru_cache(maxsize=1 << 12)
def _with_chosen_sources(old: bytes, new: bytes, slots_per_device: int) -> int:
    """Return one layer's makespan; the last answers are kept, for who judges policies asks again.

    Parameters
    ----------
    old, new
        Expert in each slot, int32.
    slots_per_device
        Slots of each device.
    """
    before, after = (np.frombuffer(row, dtype=np.int32).astype(np.int64) for row in (old, new))
    _, moves = moves_between(before, after, slots_per_device)
    return round(choose_sources(moves).busiest_bytes)
