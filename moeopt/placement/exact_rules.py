"""The rules C1 to C13 of the formulation page as rows over the copies of experts on devices.

Everything here is linear in ``n[l,e,g]``, the copies of expert `e` on device `g` in layer `l`;
how loads follow from the copies is the business of `moeopt.placement.exact_value`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.mip import ModelBuilder
from moeopt.placement.plan import held_before, near_before
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import memory_can_bind


@dataclass(frozen=True, eq=False)
class Frame:
    """A model in the making, and the columns that several families share.

    Attributes
    ----------
    problem
        The problem; all its layers go into this model.
    builder
        Receives columns and rows.
    tighten
        Whether domains are cut by the rules and the families V and S are added. Without it every
        rule stands in its own rows and nowhere else, so that dropping them drops the rule.
    at_most
        Objective of a known plan: plans that cost more may be cut off with `tighten`.
    copies
        Columns ``n``, shape ``(layers, experts, devices)``.
    copies_upper
        Their upper bounds.
    present
        Columns that are 1 where an expert has a copy, same shape: ``v``, or ``n`` itself where
        that is binary; ``None`` if nothing counts moves.
    home
        Columns ``h``, 1 where a group's node is, shape ``(layers, groups, nodes)``; ``None`` if
        nothing asks where groups sit.
    """

    problem: PlacementProblem
    builder: ModelBuilder
    tighten: bool
    at_most: float | None
    copies: IntArray
    copies_upper: IntArray
    present: IntArray | None
    home: IntArray | None


def start_model(
    problem: PlacementProblem, name: str, *, tighten: bool, at_most: float | None = None
) -> Frame:
    """Return a model with the columns of the rules and none of their rows."""
    builder = ModelBuilder(name)
    lower, upper = copies_domain(problem, tighten)
    prices = problem.move_price_per_byte * _bytes_if_new(problem)
    counts_moves = problem.limits_moves() or bool(prices.any())
    binary = int(upper.max()) <= 1
    copies = builder.add_columns(
        "n",
        upper.shape,
        lower=lower,
        upper=upper,
        integer=True,
        objective=prices if binary else 0.0,
    )
    present = copies if counts_moves else None
    if counts_moves and not binary:
        present = builder.add_columns("v", upper.shape, upper=1, integer=True, objective=prices)
    home = None
    if problem.group_rule == "one_node" or prices_nodes(problem):
        shape = (problem.num_layers, problem.groups, problem.cluster.num_nodes)
        home = builder.add_columns("h", shape, upper=1, integer=True)
    return Frame(problem, builder, tighten, at_most, copies, upper, present, home)


def add_rules(frame: Frame) -> None:
    """Add the rows of every rule that the problem states."""
    least_copies(frame)
    filled_slots(frame)
    copies_per_device(frame)
    copies_per_expert(frame)
    memory(frame)
    pinned(frame)
    forbidden(frame)
    dead_devices(frame)
    distinct_nodes(frame)
    present_where_copied(frame)
    one_home(frame)
    groups_at_home(frame)
    moved_bytes(frame)
    bytes_at_devices(frame)
    bytes_at_nodes(frame)


def copies_domain(problem: PlacementProblem, tighten: bool) -> tuple[IntArray, IntArray]:
    """Return bounds of ``n``: the slots, and with `tighten` what C3, C4 and C6 to C9 leave."""
    shape = (problem.num_layers, problem.num_experts, problem.num_devices)
    upper = np.broadcast_to(problem.slots(), shape).astype(np.int64)
    lower = np.zeros(shape, dtype=np.int64)
    if tighten:
        most = [problem.max_copies_per_device, problem.max_copies_per_expert]
        most += [1] if problem.distinct_nodes else []
        for limit in most:
            upper = upper if limit is None else np.minimum(upper, limit)
        upper = np.where(problem.allowed(), upper, 0)
        # A contradiction stays one: solvers and `plainly_infeasible` see lower > upper.
        lower = problem.pair_mask(problem.pinned).astype(np.int64)
    return lower, upper


def prices_nodes(problem: PlacementProblem) -> bool:
    """Tell whether the price of cross-node tokens can cost anything."""
    return problem.cross_node_price > 0 and problem.cluster.num_nodes > 1


def least_copies(frame: Frame) -> None:
    """C1: every expert has at least `min_copies_per_expert` copies."""
    least = frame.problem.min_copies_per_expert
    sum_rows(frame.builder, "C1", frame.copies, lower=least)


def filled_slots(frame: Frame) -> None:
    """C2: a device holds its slots' number of experts, or fewer where slots may be empty."""
    problem = frame.problem
    slots = problem.slots()
    must = problem.live() & (not problem.allow_empty_slots)
    columns = frame.copies.transpose(0, 2, 1)
    shape = (problem.num_layers, problem.num_devices)
    least = np.broadcast_to(np.where(must, slots, 0), shape).ravel()
    sum_rows(frame.builder, "C2", columns, lower=least, upper=np.broadcast_to(slots, shape).ravel())


def copies_per_device(frame: Frame) -> None:
    """C3: at most `max_copies_per_device` copies of an expert on a device."""
    most = frame.problem.max_copies_per_device
    if most is not None and not frame.tighten:
        sum_rows(frame.builder, "C3", frame.copies[..., None], upper=most)


def copies_per_expert(frame: Frame) -> None:
    """C4: at most `max_copies_per_expert` copies of an expert."""
    most = frame.problem.max_copies_per_expert
    if most is not None:
        sum_rows(frame.builder, "C4", frame.copies, upper=most)


def memory(frame: Frame) -> None:
    """C5: the experts of all layers on a device fit its memory."""
    problem = frame.problem
    budget = problem.memory_budget_bytes()
    limited = np.flatnonzero(np.isfinite(budget))
    if problem.expert_bytes is None or (frame.tighten and not memory_can_bind(problem)):
        return
    unit = bytes_unit(problem)
    columns = frame.copies[:, :, limited].transpose(2, 0, 1)
    weights = problem.bytes_of_experts()[None] / unit
    sum_rows(frame.builder, "C5", columns, weights, upper=budget[limited] / unit, keep=1)


def pinned(frame: Frame) -> None:
    """C6: a pinned expert has a copy on its device."""
    pairs = frame.problem.pair_mask(frame.problem.pinned)
    if pairs.any() and not frame.tighten:
        sum_rows(frame.builder, "C6", frame.copies[pairs][:, None], lower=1)


def forbidden(frame: Frame) -> None:
    """C7: an expert has no copy on a device that is forbidden to it."""
    pairs = frame.problem.pair_mask(frame.problem.forbidden)
    if pairs.any() and not frame.tighten:
        sum_rows(frame.builder, "C7", frame.copies[pairs][:, None], upper=0)


def dead_devices(frame: Frame) -> None:
    """C8: a dead device holds nothing."""
    dead = ~frame.problem.live()
    if dead.any() and not frame.tighten:
        sum_rows(frame.builder, "C8", frame.copies[:, :, dead].transpose(0, 2, 1), upper=0)


def distinct_nodes(frame: Frame) -> None:
    """C9: at most one copy of an expert on a node."""
    if frame.problem.distinct_nodes:
        for devices in devices_of_nodes(frame.problem):
            sum_rows(frame.builder, "C9", frame.copies[:, :, devices], upper=1)


def present_where_copied(frame: Frame) -> None:
    """D4: an expert with copies on a device is present there, ``n <= upper v``."""
    if frame.present is not None and frame.present is not frame.copies:
        columns = np.stack([frame.copies, frame.present], axis=-1)
        weights = np.stack([np.ones(frame.copies.shape), -frame.copies_upper], axis=-1)
        sum_rows(frame.builder, "D4", columns, weights, upper=0)


def one_home(frame: Frame) -> None:
    """D10: every group has one home node."""
    if frame.home is not None:
        sum_rows(frame.builder, "D10", frame.home, lower=1, upper=1)


def groups_at_home(frame: Frame) -> None:
    """C10: with the rule ``one_node`` the copies of a group sit on its home node.

    Written for every expert and device: the sum over a node's devices would leave ``h`` loose.
    """
    problem = frame.problem
    if problem.group_rule != "one_node":
        return
    assert frame.home is not None
    home = frame.home[:, problem.expert_group()][:, :, problem.cluster.device_node()]
    columns = np.stack([frame.copies, home], axis=-1)
    weights = np.stack([np.ones(home.shape), -frame.copies_upper], axis=-1)
    sum_rows(frame.builder, "C10", columns, weights, upper=0)


def moved_bytes(frame: Frame) -> None:
    """C11: the bytes copied to devices that did not hold them stay within `max_moved_bytes`."""
    problem = frame.problem
    if problem.max_moved_bytes is None:
        return
    assert frame.present is not None
    unit = bytes_unit(problem)
    sum_rows(
        frame.builder,
        "C11",
        frame.present.reshape(1, -1),
        _bytes_if_new(problem).reshape(1, -1) / unit,
        upper=problem.max_moved_bytes / unit,
    )


def bytes_at_devices(frame: Frame) -> None:
    """C12: the bytes that arrive at a device stay within `max_moved_bytes_per_device`."""
    problem = frame.problem
    budget, _ = problem.arrival_budget_bytes()
    limited = np.flatnonzero(np.isfinite(budget))
    if len(limited) == 0:
        return
    assert frame.present is not None
    unit = bytes_unit(problem)
    columns = frame.present[:, :, limited].transpose(2, 0, 1)
    weights = _bytes_if_new(problem)[:, :, limited].transpose(2, 0, 1) / unit
    sum_rows(frame.builder, "C12", columns, weights, upper=budget[limited] / unit, keep=1)


def bytes_at_nodes(frame: Frame) -> None:
    """C13: the bytes that arrive at a node from others stay within `max_moved_bytes_per_node`."""
    problem = frame.problem
    _, budget = problem.arrival_budget_bytes()
    if not np.isfinite(budget).any():
        return
    assert frame.present is not None
    unit = bytes_unit(problem)
    new = np.where(near_before(problem), 0.0, _bytes_if_new(problem)) / unit
    for node, devices in enumerate(devices_of_nodes(problem)):
        columns = frame.present[:, :, devices].reshape(1, -1)
        weights = new[:, :, devices].reshape(1, -1)
        sum_rows(frame.builder, "C13", columns, weights, upper=budget[node] / unit)


def bytes_unit(problem: PlacementProblem) -> float:
    """Return the bytes that rows count in: those of the largest expert."""
    return float(problem.bytes_of_experts().max()) or 1.0


def devices_of_nodes(problem: PlacementProblem) -> list[IntArray]:
    """Return the devices of each node."""
    node = problem.cluster.device_node()
    return [np.flatnonzero(node == m) for m in range(problem.cluster.num_nodes)]


def sum_rows(
    builder: ModelBuilder,
    group: str,
    columns: IntArray,
    weights: FloatArray | float = 1.0,
    *,
    lower: FloatArray | IntArray | float = -np.inf,
    upper: FloatArray | IntArray | float = np.inf,
    keep: int | None = None,
) -> None:
    """Add the rows ``lower <= sum weights * columns <= upper``.

    Parameters
    ----------
    builder, group
        Where the rows go, and their label.
    columns, weights
        Summed over all but the first `keep` axes; by default over the last axis.
    lower, upper
        One for each row, or one for all.
    keep
        Number of leading axes that number the rows.
    """
    keep = columns.ndim - 1 if keep is None else keep
    count = int(np.prod(columns.shape[:keep]))
    row = np.arange(count).reshape(*columns.shape[:keep], *[1] * (columns.ndim - keep))
    builder.add_rows(group, row, columns, weights, lower=lower, upper=upper, count=count)


def _bytes_if_new(problem: PlacementProblem) -> FloatArray:
    """Return what a copy costs to bring, ``(layers, experts, devices)``: 0 where it is already."""
    held = held_before(problem)
    if problem.previous is None:
        return np.zeros(held.shape)
    return np.where(held, 0.0, problem.bytes_of_experts()[..., None])
