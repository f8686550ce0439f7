"""What experts would take on a device, before anything is placed: what bounds and proofs weigh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.colocation.layout import Layout
from moeopt.colocation.problem import Objective
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.timeline import Exchange, busiest_port, interleaved_phases, line_seconds

#: Shares of a sum below this are rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Loads:
    """What each model has on a device, arrays of shape ``(models, ...)``.

    Attributes
    ----------
    sent, received
        Tokens to and from other devices.
    tokens
        Tokens that the experts there compute.
    held
        1 where there is an expert, else 0.
    """

    sent: FloatArray
    received: FloatArray
    tokens: FloatArray
    held: FloatArray


@dataclass(frozen=True)
class Parts:
    """Seconds of each component of Table 2; `lines` as `moeopt.timeline.line_seconds`.

    Attributes
    ----------
    gate_s, compute_s, aggregation_s
        Shape ``(models, ...)``.
    dispatch_s, combine_s
        Seconds of models j to k together, shape ``(models, models, ...)``; 0 where ``k < j``.
    """

    gate_s: FloatArray
    compute_s: FloatArray
    aggregation_s: FloatArray
    dispatch_s: FloatArray
    combine_s: FloatArray

    def at_least(self, floor: Parts) -> Parts:
        """Return the larger of both, component by component; `floor` has no axes but models."""
        axes = self.gate_s.ndim - 1

        def larger(one: FloatArray, other: FloatArray) -> FloatArray:
            return np.maximum(one, other.reshape(*other.shape, *[1] * axes))

        return Parts(
            larger(self.gate_s, floor.gate_s),
            larger(self.compute_s, floor.compute_s),
            larger(self.aggregation_s, floor.aggregation_s),
            larger(self.dispatch_s, floor.dispatch_s),
            larger(self.combine_s, floor.combine_s),
        )

    def value(self, objective: Objective) -> FloatArray:
        """Return the seconds that count, ``(...)``: of the aggregated dispatch, or of Table 2."""
        if objective == "communication":
            together: FloatArray = self.dispatch_s[0, -1]
            return together
        return interleaved_phases(
            self.gate_s,
            self.compute_s,
            self.aggregation_s,
            dispatch=busiest_port(self.dispatch_s),
            combine=busiest_port(self.combine_s),
        ).total_s


@dataclass(frozen=True)
class DeviceClass:
    """Devices that nothing tells apart.

    Attributes
    ----------
    devices
        Their indices, ascending.
    speed, port, budget
        Relative speed, bytes per second, and bytes for experts.
    pinned
        Whether experts are pinned to it: such a device is alone in its class.
    """

    devices: IntArray
    speed: float
    port: float
    budget: float
    pinned: bool


def device_classes(layout: Layout) -> list[DeviceClass]:
    """Return the classes of interchangeable devices, slow ports first."""
    told_apart = pinned_devices(layout)
    own = np.where(told_apart, np.arange(len(layout.port)), -1)
    keys = np.stack([layout.port, layout.speed, layout.budget, own], axis=1)
    kinds, index = np.unique(keys, axis=0, return_inverse=True)
    return [
        DeviceClass(np.flatnonzero(index.ravel() == i), speed, port, budget, pin >= 0)
        for i, (port, speed, budget, pin) in enumerate(kinds.tolist())
    ]


def pinned_devices(layout: Layout) -> BoolArray:
    """Tell which devices have experts pinned to them, ``(devices,)``."""
    # A pinned expert is allowed on one device only; on a single device nothing is told apart.
    if len(layout.port) == 1:
        return np.zeros(1, dtype=np.bool_)
    pinned = layout.allowed.sum(axis=2) == 1
    told: BoolArray = (layout.allowed & pinned[:, :, None]).any(axis=(0, 1))
    return told


def parts_of(
    layout: Layout, loads: Loads, speed: float | FloatArray, port: float | FloatArray
) -> Parts:
    """Return what the loads take on devices of a speed and a port that broadcast with them."""
    axes = loads.held.ndim - 1

    def by_model(one: FloatArray) -> FloatArray:
        return one.reshape(-1, *[1] * axes)

    def lines(carried: FloatArray) -> FloatArray:
        each = [
            Exchange(sent * size / port, received * size / port)
            for sent, received, size in zip(loads.sent, loads.received, carried, strict=True)
        ]
        return line_seconds(each)

    return Parts(
        gate_s=loads.held * by_model(layout.fixed[:, 0]) / speed,
        compute_s=loads.tokens * by_model(layout.seconds) / speed,
        aggregation_s=loads.held * by_model(layout.fixed[:, 1]) / speed,
        dispatch_s=lines(layout.there),
        combine_s=lines(layout.back),
    )


def expert_loads(layout: Layout, places: int, width: int) -> Loads:
    """Return the least that each expert adds to its device, arrays ``(models, width)``.

    With one expert of a model on a device that is all it sends and receives. With more, those
    beside it are its partners without the network: at most so many of its largest exchanges are
    left out, of what it sends and of what it receives. Columns beyond a model's experts are 0: a
    device without one.
    """
    models, experts = layout.tokens.shape
    sent, received = layout.sent, layout.received
    if places > 1:
        # Sorted along the partners, the largest `places - 1` last.
        kept = max(experts - (places - 1), 0)
        sent = np.sort(layout.traffic, axis=2)[:, :, :kept].sum(axis=2)
        received = np.sort(layout.traffic, axis=1)[:, :kept, :].sum(axis=1)
    there = np.arange(experts) < layout.count[:, None]

    def padded(one: FloatArray) -> FloatArray:
        wide = np.zeros((models, max(width, experts)))
        wide[:, :experts] = one
        return wide

    return Loads(
        padded(sent), padded(received), padded(layout.tokens), padded(there.astype(np.float64))
    )


def least_remote(layout: Layout, places: int) -> FloatArray:
    """Return the least tokens that each model sends between devices, ``(models,)``.

    What stays at home is what experts exchange with at most ``places - 1`` partners: of each expert
    at most its largest exchanges, both ways. Every exchange has two ends, so half of their sum.
    """
    if places == 1:
        remote: FloatArray = layout.sent.sum(axis=1)
        return remote
    both = layout.traffic + layout.traffic.transpose(0, 2, 1)
    lost = max(layout.tokens.shape[1] - (places - 1), 0)
    at_home = np.sort(both, axis=2)[:, :, lost:].sum(axis=(1, 2)) / 2
    total = layout.sent.sum(axis=1)
    rest: FloatArray = total - at_home
    # A difference of sums: what rounding alone leaves of it is nothing.
    rest[rest < _ROUNDING * total] = 0.0
    return rest
