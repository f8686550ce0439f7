"""Bottleneck matchings: a column for every row, the largest weight as small as can be."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from moeopt.core.arrays import FloatArray, IntArray


def bottleneck_matching(weight: FloatArray) -> tuple[IntArray, float] | None:
    """Match every row to a column of its own so that the largest weight is the least possible.

    Parameters
    ----------
    weight
        Shape ``(rows, columns)``, no more rows than columns; ``inf`` where they do not go together.

    Returns
    -------
    column, largest
        The column of each row, ``(rows,)``, and the largest weight used; of all matchings with
        that, one with the least sum. ``None`` if no matching covers every row.

    Notes
    -----
    Binary search over the sorted weights, each by Hopcroft and Karp: O(n^2 sqrt(n) log n), as
    Aurora, section 6.2.
    """
    if weight.shape[0] == 0:
        return np.empty(0, dtype=np.int64), 0.0
    values = np.unique(weight[np.isfinite(weight)])
    low, high = 0, len(values) - 1
    # Every row must afford its cheapest column, and as many columns must be afforded.
    if high < 0 or not _covers(weight <= values[high]):
        return None
    low = int(np.searchsorted(values, weight.min(axis=1).max()))
    while low < high:
        middle = (low + high) // 2
        if _covers(weight <= values[middle]):
            high = middle
        else:
            low = middle + 1
    largest = float(values[high])
    _, column = linear_sum_assignment(np.where(weight <= largest, weight, np.inf))
    return column.astype(np.int64), largest


def _covers(allowed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> bool:
    """Tell whether some matching within `allowed` covers every row."""
    matched = maximum_bipartite_matching(csr_array(allowed), perm_type="column")
    return bool((matched >= 0).all())
