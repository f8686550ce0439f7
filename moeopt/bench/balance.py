"""How even a placement's device loads are, computed from the slots alone."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray


def device_loads(table: IntArray, loads: FloatArray, devices: int) -> FloatArray:
    """Return each device's tokens if copies share evenly, shape ``(..., layers, devices)``.

    Parameters
    ----------
    table
        Expert in each slot, shape ``(layers, slots)``, as many slots on every device.
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
    row = np.arange(layers)[:, None]
    flat = (row * experts + table).ravel()
    copies = np.bincount(flat, minlength=layers * experts).reshape(layers, experts)
    if (copies == 0).any():
        raise ValueError("an expert has no slot")
    each = (loads / copies)[..., row, table]
    return np.asarray(each.reshape(*loads.shape[:-1], devices, -1).sum(axis=-1))


def imbalance(device: FloatArray) -> FloatArray:
    """Return the largest device load over the mean, over the last axis."""
    ratio: FloatArray = device.max(axis=-1) / device.mean(axis=-1)
    return ratio
