"""The time of one MoE layer that has its devices to itself (Aurora, section 4.1).

Inside one model nothing overlaps: the gate, the dispatch, the experts, the combine and the
aggregation follow each other, and an all-to-all ends everywhere at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.timeline.steps import Direction, Phase, Step, point


@dataclass(frozen=True)
class Exchange:
    """An all-to-all as its ports see it: seconds at the port's full rate.

    Attributes
    ----------
    send_s, receive_s
        Shape ``(..., devices)``.
    """

    send_s: FloatArray
    receive_s: FloatArray

    @classmethod
    def even(cls, seconds: FloatArray) -> Exchange:
        """Return an all-to-all that keeps both directions of each port busy for `seconds`."""
        return cls(send_s=seconds, receive_s=seconds)

    @property
    def busy_s(self) -> FloatArray:
        """Return the seconds of each port's busier direction, shape ``(..., devices)``."""
        busy: FloatArray = np.maximum(self.send_s, self.receive_s)
        return busy


@dataclass(frozen=True)
class LayerTime:
    """Seconds of each phase on each device; leading axes are the caller's.

    Attributes
    ----------
    gate_s, compute_s, aggregation_s
        Seconds of computation, shape ``(..., devices)``: ``|G_i|``, ``|F_i|`` and ``|A_i|``.
    dispatch, combine
        The two all-to-alls.
    """

    gate_s: FloatArray
    dispatch: Exchange
    compute_s: FloatArray
    combine: Exchange
    aggregation_s: FloatArray

    @property
    def dispatch_s(self) -> FloatArray:
        """Return ``|N_i|``, how long each port is busy with the dispatch, ``(..., devices)``."""
        return self.dispatch.busy_s

    @property
    def combine_s(self) -> FloatArray:
        """Return ``|C_i|``, how long each port is busy with the combine, ``(..., devices)``."""
        return self.combine.busy_s

    @property
    def computing_s(self) -> FloatArray:
        """Return what each device computes in all phases together, shape ``(..., devices)``."""
        return self.gate_s + self.compute_s + self.aggregation_s

    @property
    def total_s(self) -> FloatArray:
        """Return the layer's time, shape ``(...)``: the sum of the phases' maxima, eq. (3).

        ``t = max|G| + max|N| + max|F| + max|C| + max|A|``. The paper derives it from eq. (1) by a
        step that does not hold in general; with a barrier after every phase it holds outright.
        """
        return np.asarray(sum(phase.max(axis=-1) for phase in self._phases().values()))

    @property
    def overlapped_s(self) -> FloatArray:
        """Return eq. (1) as printed, shape ``(...)``; never above `total_s`.

        ``t = max(|G| + |N|) + max(|F| + |C|) + max|A|``: a device goes from its gate to its
        dispatch, and from its experts to its combine, without waiting for the others.
        """
        before = (self.gate_s + self.dispatch_s).max(axis=-1)
        after = (self.compute_s + self.combine_s).max(axis=-1)
        return np.asarray(before + after + self.aggregation_s.max(axis=-1))

    @property
    def model_time_s(self) -> FloatArray:
        """Return the time of a whole model whose layers are the last axis before the devices.

        Shape ``(...)`` without that axis; the sum of the layers' `total_s`.
        """
        return np.asarray(np.atleast_1d(self.total_s).sum(axis=-1))

    @property
    def utilisation(self) -> FloatArray:
        """Return the share of the time in which each device computes, ``(..., devices)``.

        Gate, experts and aggregation over `total_s`, as Aurora measures it; 0 where a layer takes
        no time.
        """
        return share_of(self.computing_s, self.total_s[..., None])

    def bottleneck(self, *index: int) -> tuple[Step, ...]:
        """Return the slowest device of each phase, phases in order of time.

        Phases that take no time are left out; the shares of the rest sum to 1.

        Parameters
        ----------
        *index
            Which layer, one index for each leading axis.
        """
        total = point(self.total_s, index)
        steps: list[Step] = []
        clock = 0.0
        for phase, seconds in self._phases().items():
            end = clock + float(seconds[index].max())
            if end > clock:
                device, direction = slowest((self,), phase, (0,), index)
                share = (end - clock) / total
                steps.append(Step(phase, (0,), device, direction, clock, end, share))
            clock = end
        return tuple(steps)

    def mapped(self, change: Callable[[FloatArray], FloatArray]) -> LayerTime:
        """Return the layer with `change` done to each of its arrays."""
        return LayerTime(
            gate_s=change(self.gate_s),
            dispatch=Exchange(change(self.dispatch.send_s), change(self.dispatch.receive_s)),
            compute_s=change(self.compute_s),
            combine=Exchange(change(self.combine.send_s), change(self.combine.receive_s)),
            aggregation_s=change(self.aggregation_s),
        )

    def arrays(self) -> tuple[FloatArray, ...]:
        """Return all its arrays, each ``(..., devices)``."""
        exchanges = (self.dispatch, self.combine)
        ports = [seconds for x in exchanges for seconds in (x.send_s, x.receive_s)]
        return (self.gate_s, self.compute_s, self.aggregation_s, *ports)

    def _phases(self) -> dict[Phase, FloatArray]:
        return {
            "gate": self.gate_s,
            "dispatch": self.dispatch_s,
            "compute": self.compute_s,
            "combine": self.combine_s,
            "aggregation": self.aggregation_s,
        }


def layer_time(
    traffic_tokens: FloatArray,
    *,
    relative_speed: FloatArray,
    port_bytes_per_s: FloatArray,
    seconds_per_token: float,
    dispatch_bytes_per_token: float,
    combine_bytes_per_token: float,
    gate_s: float | FloatArray = 0.0,
    aggregation_s: float | FloatArray = 0.0,
) -> LayerTime:
    """Return the time of a layer whose tokens travel as `traffic_tokens` says.

    Parameters
    ----------
    traffic_tokens
        Tokens from each source device to each serving device, shape ``(..., devices, devices)``;
        the diagonal is served but not sent.
    relative_speed
        Shape ``(devices,)``.
    port_bytes_per_s
        Rate of each device's port, each direction, shape ``(devices,)``.
    seconds_per_token
        Computation of one token on a device of relative speed 1.
    dispatch_bytes_per_token, combine_bytes_per_token
        Bytes of a token on its way to the expert and back.
    gate_s, aggregation_s
        Seconds of the gate and of the aggregation on a device of relative speed 1: one number, or
        what broadcasts to ``(..., devices)``.
    """
    local = np.diagonal(traffic_tokens, axis1=-2, axis2=-1)
    served = traffic_tokens.sum(axis=-2)
    sent = (traffic_tokens.sum(axis=-1) - local) / port_bytes_per_s
    received = (served - local) / port_bytes_per_s
    return LayerTime(
        gate_s=np.broadcast_to(gate_s / relative_speed, served.shape),
        dispatch=Exchange(sent * dispatch_bytes_per_token, received * dispatch_bytes_per_token),
        compute_s=served * seconds_per_token / relative_speed,
        # Combine is dispatch reversed: who sent receives.
        combine=Exchange(received * combine_bytes_per_token, sent * combine_bytes_per_token),
        aggregation_s=np.broadcast_to(aggregation_s / relative_speed, served.shape),
    )


def on_same_axes(layers: Sequence[LayerTime]) -> tuple[LayerTime, ...]:
    """Return layers on the same devices with the same leading axes.

    Raises
    ------
    InstanceError
        If they are not on equally many devices, or there is none.
    """
    shapes = [array.shape for layer in layers for array in layer.arrays()]
    devices = {shape[-1] for shape in shapes}
    if len(devices) != 1:
        raise InstanceError(
            "layers",
            f"<{sorted(devices)} devices>",
            "must be one for each model, all on the same devices",
            "give a device without experts of a model a time of 0",
        )
    shape = np.broadcast_shapes(*shapes)
    return tuple(layer.mapped(lambda array: np.broadcast_to(array, shape)) for layer in layers)


def share_of(part_s: FloatArray, total_s: FloatArray) -> FloatArray:
    """Return ``part_s / total_s``, 0 where the total is 0."""
    part, total = np.broadcast_arrays(part_s, total_s)
    return np.asarray(np.divide(part, total, out=np.zeros(part.shape), where=total > 0))


def slowest(
    layers: Sequence[LayerTime], phase: Phase, models: tuple[int, ...], index: tuple[int, ...]
) -> tuple[int, Direction | None]:
    """Return the device that takes longest, and what its port does, in a phase of some models."""
    if phase == "dispatch" or phase == "combine":
        exchanges: list[Exchange] = [getattr(layers[k], phase) for k in models]
        sent = np.sum([x.send_s[index] for x in exchanges], axis=0)
        received = np.sum([x.receive_s[index] for x in exchanges], axis=0)
        device = int(np.maximum(sent, received).argmax())
        return device, "sends" if sent[device] >= received[device] else "receives"
    seconds: FloatArray = getattr(layers[models[0]], f"{phase}_s")
    return int(seconds[index].argmax()), None
