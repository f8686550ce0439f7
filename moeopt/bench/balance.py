"""How even a placement's device loads are, computed from the slots alone."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.plan import device_sums
from moeopt.placement.split import slot_loads


def device_loads(table: IntArray, loads: FloatArray, devices: int) -> FloatArray:
    """Return each device's tokens if copies share evenly, shape ``(..., layers, devices)``.

    Parameters
    ----------
    table
        Expert in each slot, shape ``(layers, slots)``, -1 for an empty one; as many slots
        on every device.
    loads
        Shape ``(..., layers, experts)``.
    devices
        Number of devices.

    Raises
    ------
    ValueError
        If an expert has no slot: the loads would not add up.
    """
    layers, experts = loads.shape[-2:]
    held = np.zeros((layers, experts + 1), dtype=np.bool_)
    held[np.arange(layers)[:, None], table] = True  # an empty slot, -1, is the column too many
    if not held[:, :-1].all():
        raise ValueError("an expert has no slot")
    per_slot = slot_loads(table, loads.reshape(-1, layers, experts))
    sums = device_sums(per_slot, np.full(devices, table.shape[1] // devices))
    return sums.reshape(*loads.shape[:-1], devices)


def imbalance(device: FloatArray) -> FloatArray:
    """Return the largest device load over the mean, over the last axis."""
    ratio: FloatArray = device.max(axis=-1) / device.mean(axis=-1)
    return ratio
