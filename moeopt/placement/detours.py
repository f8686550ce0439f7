"""Small shapes replanned once more from near every plan of their front.

A descent takes what pays best now, and few experts in few slots lead it into corners. Where there
are few slots, every plan one swap or one change of a slot off the front is descended from too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arrays import BoolArray, IntArray
from moeopt.placement.descent import Ground, Trails, Turns, corners
from moeopt.placement.problem import PlacementProblem

#: Plans, at most, that are descended from: what a few milliseconds allow.
MOST_STARTS = 5_000


def detours(problem: PlacementProblem, ground: Ground, trails: Sequence[Trails]) -> list[Trails]:
    """Return the descents from all plans one action off the layers' fronts; none if too many.

    Layers that are as even as they shall be are left alone.
    """
    each = problem.num_slots * (problem.num_slots // 2 + problem.num_experts)
    if problem.num_layers * each > MOST_STARTS:
        return []
    corner = Turns.joined(corners(trails, problem.num_layers))
    corner = corner.part(np.flatnonzero(corner.heat > ground.target[corner.layer]))
    if len(corner) == 0 or len(corner) * each > MOST_STARTS:
        return []
    tables, layers = [], []
    for i, layer in enumerate(corner.layer.tolist()):
        row = trails[int(corner.trail[i])].row(int(corner.row[i]), int(corner.step[i]))
        near = _one_action_off(problem, row)
        near = near[_valid(problem, ground, near, layer)]
        tables.append(near)
        layers.append(np.full(len(near), layer))
    return [ground.descend(np.concatenate(tables), np.concatenate(layers))]


def _one_action_off(problem: PlacementProblem, row: IntArray) -> IntArray:
    """Return a layer's table with two devices' slots swapped, and with a slot given to another."""
    device, slots, experts = problem.slot_device(), len(row), problem.num_experts
    one, other = np.triu_indices(slots, 1)
    differ = (device[one] != device[other]) & (row[one] != row[other])
    one, other = one[differ], other[differ]
    swapped = np.tile(row, (len(one), 1))
    at = np.arange(len(one))
    swapped[at, one], swapped[at, other] = row[other], row[one]
    given = np.tile(row, (slots * experts, 1))
    given[np.arange(len(given)), np.repeat(np.arange(slots), experts)] = np.tile(
        np.arange(experts), slots
    )
    return np.concatenate([swapped, given[(given != row).any(axis=1)]])


def _valid(problem: PlacementProblem, ground: Ground, tables: IntArray, layer: int) -> BoolArray:
    """Tell which tables of a layer the rules allow, limits of moved bytes aside, ``(tables,)``."""
    experts, devices = problem.num_experts, problem.num_devices
    index = (np.arange(len(tables))[:, None] * experts + tables) * devices + problem.slot_device()
    count = np.bincount(index[tables >= 0], minlength=len(tables) * experts * devices)
    copies = count.reshape(-1, experts, devices)
    allowed, pinned = (
        mask[layer if len(mask) > 1 else 0, :experts] for mask in (ground.allowed, ground.pinned)
    )
    total = copies.sum(axis=2)
    ok = (total >= problem.min_copies_per_expert) & (total <= problem.copies_limit())
    fits = ((copies == 0) | allowed) & ((copies > 0) | ~pinned)
    if problem.max_copies_per_device is not None:
        fits &= copies <= problem.max_copies_per_device
    if problem.distinct_nodes:
        node_of = np.eye(problem.cluster.num_nodes, dtype=np.int64)[problem.cluster.device_node()]
        ok &= (copies @ node_of <= 1).all(axis=2)
    return np.asarray(ok.all(axis=1) & fits.all(axis=(1, 2)))
