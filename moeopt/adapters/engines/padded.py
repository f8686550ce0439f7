"""Empty slots filled with copies of experts, where they help most: engines have none empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt

from moeopt.adapters.engines.placements import (
    EnginePlacement,
    ModelLayers,
    placement_of,
    require_experts,
)
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.placement.plan import PlacementPlan, violations
from moeopt.placement.problem import PlacementProblem

Mask = npt.NDArray[np.bool_]


def padded(
    placement: EnginePlacement,
    loads: FloatArray,
    *,
    allowed: Mask | None = None,
    speed: FloatArray | None = None,
    apart: bool = True,
) -> EnginePlacement:
    """Return a placement without empty slots.

    Slot by slot, the copy is added that leaves the most loaded device least loaded, and of equal
    ones the most even; tokens split evenly over copies. It may have more to do than before.

    Parameters
    ----------
    placement
        With every expert somewhere.
    loads
        Tokens of each expert, ``(MoE layers, experts)``.
    allowed
        Where an expert may sit, ``(MoE layers, experts, devices)``; anywhere if left out.
    speed
        Relative speed of each device, ``(devices,)``; equal if left out.
    apart
        Whether a device gets a second copy of an expert only if it has all that it may hold.

    Raises
    ------
    InstanceError
        If an expert is nowhere, or no expert is allowed on a device with an empty slot.
    """
    require_experts(placement, "an engine")
    layers, devices = placement.num_layers, placement.devices
    speeds = np.ones(devices) if speed is None else speed
    if allowed is None:
        allowed = np.ones((layers, placement.experts, devices), dtype=np.bool_)
    held = placement.by_device().copy()
    for layer in np.flatnonzero((placement.table < 0).any(axis=1)):
        _fill(held[layer], loads[layer], allowed[layer], speeds, apart)
    if held.min() < 0:
        layer, device, _ = np.argwhere(held < 0)[0].tolist()
        raise InstanceError(
            f"table[{layer}]",
            f"<device {device}>",
            "must have an expert that may fill its empty slots",
            "allow one there",
        )
    return replace(placement, table=held.reshape(layers, -1))


def padded_placement_of(
    problem: PlacementProblem, plan: PlacementPlan, layers: ModelLayers | None = None
) -> EnginePlacement:
    """Return a plan as engines hold it, every device with as many slots as the largest, all filled.

    Parameters
    ----------
    problem, plan, layers
        As for `placement_of`, but devices may differ in their slots.

    Raises
    ------
    InstanceError
        As `placement_of`, or if the added copies would break a constraint of the problem.
    """
    wide = _widened(problem)
    table = _wide_table(problem, plan.physical_to_logical)
    bare = placement_of(wide, PlacementPlan(physical_to_logical=table), layers)
    filled = padded(
        bare,
        wide.mean_loads(),
        allowed=wide.allowed(),
        speed=wide.cluster.relative_speed(),
        apart=wide.max_copies_per_device is not None,
    )
    for violation in violations(wide, filled.plan()):
        raise InstanceError(
            "table",
            f"<{violation.constraint}: {violation.message}>",
            "must keep the problem's constraints when its empty slots are filled",
            "free the constraint, or solve with equal slots, all filled",
        )
    return filled


def _fill(held: IntArray, load: FloatArray, allowed: Mask, speed: FloatArray, apart: bool) -> None:
    """Fill the -1 of one layer, ``(devices, slots)``, in place, as far as is allowed."""
    copies = np.zeros(allowed.shape, dtype=np.int64)
    for device, slots in enumerate(held):
        copies[:, device] = np.bincount(slots[slots >= 0], minlength=len(load))
    while (held < 0).any():
        free = (held < 0).any(axis=1)
        choice = allowed & free
        if apart:
            fresh = choice & (copies == 0)
            choice = np.where(fresh.any(axis=0), fresh, choice)
        if not choice.any():
            return
        expert, device = _best(choice, copies, load, speed)
        held[device, int(np.argmin(held[device]))] = expert
        copies[expert, device] += 1


def _best(choice: Mask, copies: IntArray, load: FloatArray, speed: FloatArray) -> tuple[int, int]:
    """Return the expert whose copy helps most, and the device that gets it.

    That is the least largest load of a device; of equal ones the least sum of squares; then the
    first.
    """
    count = copies.sum(axis=1)
    share, less = load / count, load / (count + 1)
    now = share @ copies / speed
    without = now - (share - less)[:, None] * copies / speed
    gets = without + less[:, None] / speed
    most = np.where(choice, np.maximum(without.max(axis=1)[:, None], gets), np.inf)
    experts, devices = np.nonzero(most == most.min())
    squares = (without**2).sum(axis=1)[experts] - without[experts, devices] ** 2
    best = int(np.argmin(squares + gets[experts, devices] ** 2))
    return int(experts[best]), int(devices[best])


def _widened(problem: PlacementProblem) -> PlacementProblem:
    """Return the problem with as many slots on every device as on the largest."""
    slots = problem.slots()
    if (slots == slots[0]).all():
        return problem
    previous = problem.previous
    return msgspec.structs.replace(
        problem,
        slots_per_device=int(slots.max()),
        previous=None if previous is None else _wide_table(problem, previous),
    )


def _wide_table(problem: PlacementProblem, table: IntArray) -> IntArray:
    """Return a table with -1 in the slots that a device lacks to the largest."""
    slots: Sequence[int] = problem.slots().tolist()
    if table.shape != (problem.num_layers, sum(slots)):
        return table  # told of by whoever takes it
    parts = np.split(table, np.cumsum(slots)[:-1], axis=1)
    widest = max(slots)
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, widest - part.shape[1])), constant_values=-1) for part in parts],
        axis=1,
    )
