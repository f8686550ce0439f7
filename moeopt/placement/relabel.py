"""Renumbering the devices of a fresh plan so that most experts stay where they are."""

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
    device = np.repeat(np.arange(len(slots)), slots)
    experts = int(max(new.max(initial=-1), old.max(initial=-1))) + 1
    found = np.empty_like(new)
    for layer in range(len(new)):
        size = np.ones(experts) if expert_bytes is None else expert_bytes[layer, :experts]
        was, is_now = (_held(row[layer], device, (len(slots), experts)) for row in (old, new))
        kept = (was * size) @ is_now.T
        for one in np.unique(kinds):
            places = np.flatnonzero(kinds == one)
            rows, columns = linear_sum_assignment(-kept[np.ix_(places, places)])
            for to, come in zip(places[rows], places[columns], strict=True):
                here = slice(slot_start[to], slot_start[to + 1])
                there = slice(slot_start[come], slot_start[come + 1])
                found[layer, here] = in_place(new[layer, there], old[layer, here])
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


def in_place(new: IntArray, old: IntArray) -> IntArray:
    """Return one device's slots with the experts that stay in the slots where they are.

    Parameters
    ----------
    new, old
        Expert in each slot of the device, ``(slots,)``.
    """
    left = new.tolist()
    row = np.full(len(old), -2, dtype=np.int64)
    for slot, expert in enumerate(old.tolist()):
        if expert in left:
            left.remove(expert)
            row[slot] = expert
    row[row == -2] = left
    return row


def _held(row: IntArray, device: IntArray, shape: tuple[int, int]) -> FloatArray:
    """Tell which device holds which expert, ``(devices, experts)``."""
    held = np.zeros(shape)
    filled = row >= 0
    held[device[filled], row[filled]] = 1.0
    return held
