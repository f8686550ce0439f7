"""The hot loop of the knapsack over layers: which sums others beat in cost and in every use.

Plain arrays in and out; the same code runs with the JIT off.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.jit import kernel


@kernel
def mark_undominated(cost: FloatArray, axes: FloatArray, places: IntArray, kept: BoolArray) -> None:
    """Mark in `kept` the sums that no earlier one is seen to beat, in cost and on two axes.

    Sums come in the order of a third axis. Where they stand on the others, ``axes``, is a number
    from 0 to ``places - 1``: an earlier sum counts from the next whole number on, and a later one
    asks up to the last whole number before, so that two sums between the same two are not compared.
    """
    # Least costs of prefixes: a binary indexed tree on both axes.
    least = np.full((places[0] + 1, places[1] + 1), np.inf)
    for n in range(cost.size):
        found = np.inf
        i = int(np.floor(axes[0, n])) + 1
        while i > 0:
            j = int(np.floor(axes[1, n])) + 1
            while j > 0:
                found = min(found, least[i, j])
                j -= j & -j
            i -= i & -i
        kept[n] = found > cost[n]
        if not kept[n]:
            continue
        i = int(np.ceil(axes[0, n])) + 1
        while i <= places[0]:
            j = int(np.ceil(axes[1, n])) + 1
            while j <= places[1]:
                least[i, j] = min(least[i, j], cost[n])
                j += j & -j
            i += i & -i
