"""Physical slots renumbered, so that an engine moves as little as it can for the same plan."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray


def kept_in_place(new: IntArray, old: IntArray, ranks: int) -> IntArray:
    """Return `new` with every expert that stays on its rank in its old slot.

    vLLM copies what changes its slot even where it stays on its rank.

    Parameters
    ----------
    new, old
        Expert in each slot, ``(layers, slots)``, slots rank-major; -1 in `old` for an empty one.
    ranks
        Number of ranks.
    """
    slots = new.shape[1] // ranks
    after, before = new.reshape(-1, slots), old.reshape(-1, slots)
    placed = np.full_like(after, -1)
    used = np.zeros(after.shape, dtype=np.bool_)
    for slot in range(slots):
        same = (after == before[:, slot, None]) & ~used
        rows = np.flatnonzero(same.any(axis=1))
        placed[rows, slot] = before[rows, slot]
        used[rows, same[rows].argmax(axis=1)] = True
    # As many are left over as slots are free on each rank, in the same order.
    placed[placed < 0] = after[~used]
    return placed.reshape(new.shape)


def renumbered(new: IntArray, old: IntArray, ranks: int, nodes: int = 1) -> IntArray:
    """Return `new` with its ranks permuted so that most experts are where they were.

    Exact for one node; with several, the ranks of a node stay together, which is exact as well.

    Parameters
    ----------
    new, old
        Expert in each slot, ``(layers, slots)``, slots rank-major; -1 in `old` for an empty one.
    ranks
        Number of ranks.
    nodes
        Nodes whose ranks must stay together.
    """
    experts = int(max(new.max(), old.max())) + 1
    common = _common(_held(new, experts, ranks), _held(old, experts, ranks))
    rows = new.reshape(len(new), ranks, -1)
    return np.stack(
        [row[_order(stay, nodes)] for row, stay in zip(rows, common, strict=True)]
    ).reshape(new.shape)


def _held(table: IntArray, experts: int, ranks: int) -> FloatArray:
    """Return 1 where a rank holds an expert, ``(layers, ranks, experts)``."""
    rows = table.reshape(len(table), ranks, -1)
    held = np.zeros((len(table), ranks, experts + 1))
    np.put_along_axis(held, rows, 1.0, axis=2)  # -1 is the last column
    return held[:, :, :experts]


def _common(after: FloatArray, before: FloatArray) -> FloatArray:
    """Return the experts that a new rank shares with an old one, ``(layers, new, old)``."""
    common: FloatArray = after @ before.transpose(0, 2, 1)
    return common


def _order(common: FloatArray, nodes: int) -> IntArray:
    """Return the new rank that takes the place of each old one, ``(ranks,)``."""
    from scipy.optimize import linear_sum_assignment

    size = len(common) // nodes
    blocks = common.reshape(nodes, size, nodes, size).transpose(0, 2, 1, 3)
    shared = np.empty((nodes, nodes))
    inside = np.empty((nodes, nodes, size), dtype=np.int64)
    for new in range(nodes):
        for old in range(nodes):
            rows, columns = linear_sum_assignment(blocks[new, old], maximize=True)
            shared[new, old] = blocks[new, old][rows, columns].sum()
            inside[new, old, columns] = rows
    order = np.empty((nodes, size), dtype=np.int64)
    for new, old in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        order[old] = new * size + inside[new, old]
    return order.ravel()
