"""What no plan of a stated placement problem can meet, as far as counting alone shows."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.core.wing import Violation
from moeopt.placement.problem import PlacementProblem


def impossible(problem: PlacementProblem) -> list[Violation]:
    """Return the constraints that no plan can satisfy, as far as counting alone shows."""
    return [
        violation
        for check in (_slots_impossible, _pairs_impossible, _memory_impossible, _nodes_impossible)
        for violation in check(problem)
    ]


def _slots_impossible(problem: PlacementProblem) -> list[Violation]:
    slots = int(problem.slots()[problem.live()].sum())
    experts, fewest = problem.num_experts, problem.min_copies_per_expert
    found = []
    if slots < experts * fewest:
        found.append(
            Violation(
                constraint="C2",
                path="$.slots_per_device",
                message=f"{slots} live slots must hold {experts} experts x {fewest} copies;"
                f" add {experts * fewest - slots} slots or devices",
                amount=float(experts * fewest - slots),
            )
        )
    limits = problem.copies_limits()
    rule = min(limits, key=limits.__getitem__)
    most = limits[rule]
    if most < fewest and rule != "C2":
        found.append(
            Violation(
                constraint=rule,
                path="$.min_copies_per_expert",
                message=f"each expert needs {fewest} copies but {rule} allows {most};"
                " lower min_copies_per_expert or allow more",
                amount=float(fewest - most),
            )
        )
    if slots > experts * most and not problem.allow_empty_slots:
        found.append(
            Violation(
                constraint="C2",
                path="$.allow_empty_slots",
                message=f"{slots} slots cannot all be filled by {experts} experts x {most} copies"
                f" ({rule} allows no more); set allow_empty_slots or allow more copies",
                amount=float(slots - experts * most),
            )
        )
    return found or _devices_impossible(problem)


def _devices_impossible(problem: PlacementProblem) -> list[Violation]:
    """Return the live device that has more slots than all experts together may take, if any."""
    if problem.allow_empty_slots or problem.max_copies_per_device is None:
        return []
    most = problem.num_experts * problem.max_copies_per_device
    slots = np.where(problem.live(), problem.slots(), 0)
    over = int(slots.max()) - most
    if over <= 0:
        return []
    return [
        Violation(
            constraint="C3",
            path="$.max_copies_per_device",
            message=f"device {int(slots.argmax())} has {slots.max()} slots, but C3 allows"
            f" {problem.num_experts} experts x {problem.max_copies_per_device} copies there;"
            " set allow_empty_slots or allow more copies",
            amount=float(over),
        )
    ]


def _pairs_impossible(problem: PlacementProblem) -> list[Violation]:
    homeless = problem.allowed().sum(axis=2) == 0
    found = [
        Violation(
            constraint="C7",
            path="$.forbidden",
            message=f"expert {expert} of layer {layer} must have a live device that is not"
            " forbidden; allow one",
            amount=1.0,
        )
        for layer, expert in np.argwhere(homeless)[:1].tolist()
    ]
    pins = problem.pair_mask(problem.pinned).sum(axis=1)
    over = pins - problem.slots()
    if problem.pinned and over.max() > 0:
        layer, device = np.unravel_index(int(np.argmax(over)), over.shape)
        found.append(
            Violation(
                constraint="C6",
                path="$.pinned",
                message=f"{pins[layer, device]} experts are pinned to device {device} in layer"
                f" {layer}, which has {problem.slots()[device]} slots; unpin some",
                amount=float(over.max()),
            )
        )
    return found


def _memory_impossible(problem: PlacementProblem) -> list[Violation]:
    if problem.expert_bytes is None:
        return []
    needed = float(problem.bytes_of_experts().sum()) * problem.min_copies_per_expert
    if not problem.allow_empty_slots:
        # Every live slot holds something, at least the smallest expert of its layer.
        live_slots = problem.slots()[problem.live()].sum()
        spare = max(0, int(live_slots) - problem.num_experts * problem.min_copies_per_expert)
        needed += spare * float(problem.bytes_of_experts().min(axis=1).sum())
    available = float(problem.memory_budget_bytes()[problem.live()].sum())
    if needed <= available:
        return []
    path = "$.cluster" if problem.expert_memory_bytes is None else "$.expert_memory_bytes"
    message = (
        f"the devices' {available:.4g} bytes must hold {needed:.4g} bytes of experts;"
        " add memory or devices, or use fewer slots"
    )
    return [Violation(constraint="C5", path=path, message=message, amount=needed - available)]


def _nodes_impossible(problem: PlacementProblem) -> list[Violation]:
    if problem.group_rule != "one_node":
        return []
    slots = np.where(problem.live(), problem.slots(), 0)
    node_slots = np.bincount(problem.cluster.device_node(), weights=slots).astype(int)
    size = problem.num_experts // problem.groups * problem.min_copies_per_expert
    fit = node_slots // size
    if fit.sum() < problem.groups:
        short = problem.groups - int(fit.sum())
        message = (
            f"{problem.groups} groups of {size} slots must each fit on one node, but the"
            f" nodes have room for {int(fit.sum())}; add slots or free the groups"
        )
        return [_group_violation(message, short)]
    return [] if problem.allow_empty_slots else _fill_impossible(problem, slots, fit)


def _fill_impossible(problem: PlacementProblem, slots: IntArray, fit: IntArray) -> list[Violation]:
    """Return why whole groups cannot fill every slot: too few of them, or of their copies.

    Parameters
    ----------
    problem
        A problem whose groups stay on one node and whose slots must all be filled.
    slots
        Usable slots of each device.
    fit
        Groups that each node has room for.
    """
    needed = _groups_to_fill(problem, slots)
    if needed.sum() > problem.groups:
        message = (
            f"the {int((needed > 0).sum())} live nodes need {int(needed.sum())} groups to fill"
            f" their slots, but there are {problem.groups}; set allow_empty_slots, allow more"
            " copies or use fewer nodes"
        )
        return [_group_violation(message, int(needed.sum()) - problem.groups)]
    short = needed - fit
    if short.max() <= 0:
        return []
    node = int(short.argmax())
    message = (
        f"node {node} needs {needed[node]} groups to fill its slots, but has room for"
        f" {fit[node]}; set allow_empty_slots, or change its slots"
    )
    return [_group_violation(message, int(short.max()))]


def _groups_to_fill(problem: PlacementProblem, slots: IntArray) -> IntArray:
    """Return the fewest groups whose copies can fill the slots of each node."""
    node_of, size = problem.cluster.device_node(), problem.num_experts // problem.groups
    nodes = problem.cluster.num_nodes
    per_device = problem.max_copies_per_device or int(slots.max())
    # Copies that one expert may have on each node, and how many of them on each device.
    here = np.minimum(slots, per_device)
    most = np.bincount(node_of, weights=here, minlength=nodes).astype(np.int64)
    most = np.minimum(most, problem.copies_limit())
    if problem.distinct_nodes:
        most = np.minimum(most, 1)
    total = np.bincount(node_of, weights=slots, minlength=nodes).astype(np.int64)
    needed = -(-total // np.maximum(size * most, 1))
    # A device alone may need more groups than its node on average.
    np.maximum.at(needed, node_of, -(-slots // (size * per_device)))
    return needed


def _group_violation(message: str, amount: int) -> Violation:
    return Violation(constraint="C10", path="$.group_rule", message=message, amount=float(amount))
