"""The one form in which robust placement takes what was counted: windows of expert loads."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import FloatArray, own_array, require_finite_nonnegative
from moeopt.core.errors import InstanceError


def windows_of(value: object, path: str = "windows") -> FloatArray:
    """Return windows of loads, ``(windows, layers, experts)``, finite and >= 0.

    Parameters
    ----------
    value
        What the caller gave.
    path
        Where it stands, for errors.
    """
    array: FloatArray = own_array(value, path, np.float64)
    if array.ndim != 3 or 0 in array.shape:
        raise InstanceError(
            path,
            f"<shape {array.shape}>",
            "must have shape (windows, layers, experts), none of them 0",
            "put loads[None] for one window",
        )
    require_finite_nonnegative(array, path)
    return array
