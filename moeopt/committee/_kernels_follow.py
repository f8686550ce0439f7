"""The hot loop of committees that follow scores, one layer at a time.

Plain arrays in and out; the same code runs with the JIT off.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.jit import kernel


@kernel
def follow(
    score: FloatArray,
    best: IntArray,
    worst: IntArray,
    slots: int,
    price: float,
    resident: BoolArray,
) -> IntArray:
    """Let the best that are absent take the places of the worst that are there; returns loads.

    `score` is ``(updates, experts)``; `best` and `worst` are its experts in falling and in rising
    order, of the same shape. A place changes hands if the difference of scores exceeds `price`.
    ``resident[0]`` is who is there before the first update; `resident`, of the same shape, is set
    to who is there after each. Returns how many each update loads, ``(updates,)``.
    """
    updates, experts = score.shape
    loads = np.zeros(updates, dtype=np.int64)
    for u in range(updates):
        if u > 0:
            resident[u] = resident[u - 1]
        free = slots - resident[u].sum()
        low = 0
        for rank in range(experts):
            comes = best[u, rank]
            if resident[u, comes]:
                continue
            lost = 0.0
            if free <= 0:
                while low < experts and not resident[u, worst[u, low]]:
                    low += 1
                if low == experts:
                    break
                lost = score[u, worst[u, low]]
            if not score[u, comes] - lost > price:
                break
            if free > 0:
                free -= 1
            else:
                resident[u, worst[u, low]] = False
            resident[u, comes] = True
            loads[u] += 1
    return loads
