"""Devices and slots of a fresh plan renumbered so that most experts stay where they are."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.problem import PlacementProblem


def relabelled(
    new: IntArray,
    old: IntArray,
    slot_start: IntArray,
    *,
    kind: IntArray | None = None,
    expert_bytes: FloatArray | None = None,
) -> IntArray:
    """Return `new` with its devices renumbered such that the least bytes must be copied.

    An assignment of the new plan's devices to the old one's, layer by layer; experts that stay on
    a device keep their slots.

    Parameters
    ----------
    new, old
        Expert in each slot, ``(layers, slots)``, -1 for an empty slot.
    slot_start
        First slot of each device, and the number of slots, ``(devices + 1,)``.
    kind
        ``(devices,)``: devices may change places only within one kind (speed, node, …); all if
        left out. Devices of one kind have equally many slots.
    expert_bytes
        ``(layers, experts)``; equal if left out.
    """
    from scipy.optimize import linear_sum_assignment

    slots = np.diff(slot_start)
    kinds = np.zeros(len(slots), dtype=np.int64) if kind is None else kind
    device_of = np.repeat(np.arange(len(slots)), slots)
    experts = int(max(new.max(initial=-1), old.max(initial=-1))) + 1
    within = np.arange(new.shape[1]) - slot_start[device_of]
    found = np.empty_like(new)
    for layer in range(len(new)):
        size = np.ones(experts) if expert_bytes is None else expert_bytes[layer, :experts]
        was, is_now = (_held(row[layer], device_of, (len(slots), experts)) for row in (old, new))
        kept = (was * size) @ is_now.T
        come = np.arange(len(slots))
        for one in np.unique(kinds):
            places = np.flatnonzero(kinds == one)
            rows, columns = linear_sum_assignment(-kept[np.ix_(places, places)])
            come[places[rows]] = places[columns]
        found[layer] = new[layer, slot_start[come[device_of]] + within]
    if (slots == slots[0]).all() and slots[0] > 0:
        return in_place(found, old, len(slots))
    for device, end in enumerate(slot_start[1:]):
        here = slice(slot_start[device], end)
        found[:, here] = in_place(found[:, here], old[:, here])
    return found


def device_kinds(problem: PlacementProblem) -> IntArray:
    """Return a number for each device; devices of one number may change places, ``(devices,)``.

    They have the same slots, speed and life, and, where groups or copies are bound to nodes, the
    same node.
    """
    bound = problem.group_rule == "one_node" or problem.distinct_nodes
    tells = np.stack(
        [
            problem.slots(),
            problem.cluster.relative_speed(),
            problem.live(),
            problem.cluster.device_node() * bound,
        ]
    )
    return np.asarray(np.unique(tells, axis=1, return_inverse=True)[1]).ravel()


def in_place(new: IntArray, old: IntArray, devices: int = 1) -> IntArray:
    """Return `new` with every expert that stays on its device in its old slot.

    Engines copy what changes its slot even where it stays on its device.

    Parameters
    ----------
    new, old
        Expert in each slot, ``(layers, slots)``, -1 for an empty one.
    devices
        Devices that share the slots equally.
    """
    slots = new.shape[1] // devices
    after, before = (table.reshape(len(table) * devices, slots) for table in (new, old))
    placed = np.empty_like(after)
    taken, used = np.zeros((2, *after.shape), dtype=np.bool_)
    for slot in range(slots):
        same = (after == before[:, slot, None]) & ~used
        rows = np.flatnonzero(same.any(axis=1))
        placed[rows, slot] = before[rows, slot]
        taken[rows, slot] = True
        used[rows, same[rows].argmax(axis=1)] = True
    # As many are left over as slots are free on each device, in the same order.
    placed[~taken] = after[~used]
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
    found = np.empty_like(new).reshape(len(new), ranks, -1)
    # Layer by layer: what ranks hold is far larger than the plans.
    for layer, row in enumerate(new.reshape(found.shape)):
        after, before = (_held_by_ranks(table[layer], experts, ranks) for table in (new, old))
        found[layer] = row[_order(before @ after.T, nodes)]
    return found.reshape(new.shape)


def _held(row: IntArray, device: IntArray, shape: tuple[int, int]) -> FloatArray:
    """Tell which device holds which expert, ``(devices, experts)``."""
    held = np.zeros(shape)
    filled = row >= 0
    held[device[filled], row[filled]] = 1.0
    return held


def _held_by_ranks(row: IntArray, experts: int, ranks: int) -> FloatArray:
    """Return 1 where a rank holds an expert of one layer, ``(ranks, experts)``."""
    held = np.zeros((ranks, experts + 1))
    np.put_along_axis(held, row.reshape(ranks, -1), 1.0, axis=1)  # -1 is the last column
    return held[:, :experts]


def _order(common: FloatArray, nodes: int) -> IntArray:
    """Return the new rank that takes the place of each old one, ``(ranks,)``.

    Parameters
    ----------
    common
        Experts that an old rank shares with a new one, ``(old, new)``.
    nodes
        Nodes whose ranks stay together.
    """
    from scipy.optimize import linear_sum_assignment

    size = len(common) // nodes
    blocks = common.reshape(nodes, size, nodes, size).transpose(0, 2, 1, 3)
    shared = np.empty((nodes, nodes))
    inside = np.empty((nodes, nodes, size), dtype=np.int64)
    for old in range(nodes):
        for new in range(nodes):
            rows, columns = linear_sum_assignment(blocks[old, new], maximize=True)
            shared[old, new] = blocks[old, new][rows, columns].sum()
            inside[old, new] = columns
    order = np.empty((nodes, size), dtype=np.int64)
    for old, new in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        order[old] = new * size + inside[old, new]
    return order.ravel()
