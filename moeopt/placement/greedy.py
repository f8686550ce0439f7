"""Constructions: contiguous, round robin, LPT and anti-correlation, under every rule."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.placement.plan import PlacementPlan, scenario_loads, violations
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.repair import repaired
from moeopt.placement.rules import Rules, rules_of

#: Huang et al.'s printed weight of the correlation, beside loads that are shares of a layer.
PRINTED_WEIGHT = 0.5

#: Our weight, in units of the mean load. As printed, 0.5 stands beside shares of about
#: ``1 / experts`` and swamps them; a third of the mean share (0.005 at 64 experts) does not.
SCALED_WEIGHT = 1.0 / 3.0


def contiguous(problem: PlacementProblem) -> PlacementPlan | None:
    """Return experts in order of their number: what engines start with, and no plan if invalid.

    Slot ``i`` of the live slots holds expert ``i``; slots beyond the experts hold experts 0, 1, …
    again (vLLM's initial layout).
    """
    live = np.flatnonzero(problem.live()[problem.slot_device()])
    return _sequence(problem, live, np.arange(len(live)) % problem.num_experts)


def round_robin(problem: PlacementProblem) -> PlacementPlan | None:
    """Return experts dealt to the devices in turn, and no plan if that breaks a rule."""
    device = problem.slot_device()
    turn = np.arange(len(device)) - problem.slot_start()[device]
    order = np.lexsort((device, turn))
    order = order[problem.live()[device[order]]]
    # Each further pass over the experts is dealt from one device on, so that copies part.
    deal = np.arange(len(order))
    return _sequence(problem, order, (deal + deal // problem.num_experts) % problem.num_experts)


def lpt(problem: PlacementProblem) -> PlacementPlan | None:
    """Place the largest copies first, each on the least loaded device with room.

    The greedy of Huang et al. (arXiv 2303.06182, section VII; Graham's LPT with cardinalities)
    on mean loads, after EPLB's greedy choice of replica counts. Rules are kept by construction
    where possible; ``None`` if the construction runs into a corner.
    """
    return _construct(problem, weight=0.0)


def anticorrelation(
    problem: PlacementProblem, weight: float = SCALED_WEIGHT, *, as_printed: bool = False
) -> PlacementPlan | None:
    """Place as `lpt`, but keep experts apart that are busy in the same scenarios.

    Huang et al. (arXiv 2303.06182, section VII): the load of a device is
    ``sum_m (A_m + weight * S_am)`` over its residents, ``A_m`` the mean load and ``S_am`` the
    Pearson correlation of the loads of resident and newcomer over the scenarios.

    Parameters
    ----------
    weight
        Weight of the correlation; 0 gives `lpt`.
    as_printed
        Whether the weight stands beside loads as shares of the layer, as printed (0.5); otherwise
        it is in units of the mean load, which keeps its meaning for any number of experts.
    """
    return _construct(problem, weight=weight, as_printed=as_printed)


def feasible_plan(problem: PlacementProblem) -> PlacementPlan | None:
    """Return any valid plan that a construction finds, the previous plan among the candidates.

    Where bytes may hardly move, a plan made from the previous one is likelier than a fresh one.
    """
    if problem.previous is not None:
        kept = _valid(problem, problem.previous)
        if kept is None and problem.limits_moves():
            mended = repaired(problem, problem.previous)
            kept = None if mended is None else _valid(problem, mended)
        if kept is not None:
            return kept
    for build in (lpt, contiguous, round_robin):
        plan = build(problem)
        if plan is not None:
            return plan
    return None


def homes_of_groups(problem: PlacementProblem) -> BoolArray | None:
    """Return which devices each expert may use so that groups stay whole; ``None`` if free.

    Groups go, heaviest first, to the node with the least load over speed that still has slots.
    Shape ``(layers, experts, devices)``.
    """
    if problem.group_rule == "free":
        return None
    layers, experts = problem.num_layers, problem.num_experts
    node = problem.cluster.device_node()
    live = problem.live()
    nodes = problem.cluster.num_nodes
    size = experts // problem.groups
    slots = np.bincount(node, weights=np.where(live, problem.slots(), 0), minlength=nodes)
    speed = np.bincount(
        node, weights=np.where(live, problem.cluster.relative_speed(), 0), minlength=nodes
    )
    heat = problem.mean_loads().reshape(layers, problem.groups, size).sum(axis=2)
    open_nodes = _nodes_open_to_groups(problem)
    homes = np.zeros((layers, problem.groups), dtype=np.int64)
    for layer in range(layers):
        room = slots // (size * problem.min_copies_per_expert)
        load = np.zeros(nodes)
        for group in np.argsort(-heat[layer], kind="stable"):
            open_here = (room > 0) & open_nodes[layer, group]
            after = (load + heat[layer, group]) / np.where(speed > 0, speed, 1.0)
            choice = int(np.argmin(np.where(open_here, after, np.inf)))
            homes[layer, group] = choice
            load[choice] += heat[layer, group]
            room[choice] -= 1
    by_expert = np.repeat(homes, size, axis=1)
    return np.asarray(by_expert[:, :, None] == node)


def _nodes_open_to_groups(problem: PlacementProblem) -> BoolArray:
    """Tell which nodes can hold a whole group, pins included, ``(layers, groups, nodes)``."""
    layers, nodes = problem.num_layers, problem.cluster.num_nodes
    member = np.eye(nodes, dtype=np.int64)[problem.cluster.device_node()]
    shape = (layers, problem.groups, -1, nodes)
    somewhere = ((problem.allowed() @ member) > 0).reshape(shape).all(axis=2)
    if not problem.pinned:
        return np.asarray(somewhere)
    pins = (problem.pair_mask(problem.pinned) @ member).reshape(shape).sum(axis=2)
    pinned_elsewhere = pins.sum(axis=2, keepdims=True) > pins
    return np.asarray(somewhere & ~pinned_elsewhere)


def _sequence(
    problem: PlacementProblem, slots: npt.NDArray[np.int64], experts: npt.NDArray[np.int64]
) -> PlacementPlan | None:
    row = np.full(problem.num_slots, -1, dtype=np.int64)
    row[slots] = experts
    table = np.tile(row, (problem.num_layers, 1))
    return _valid(problem, table)


def _valid(problem: PlacementProblem, table: IntArray) -> PlacementPlan | None:
    plan = PlacementPlan(physical_to_logical=table)
    return None if violations(problem, plan) else plan


def _construct(
    problem: PlacementProblem, weight: float, *, as_printed: bool = False
) -> PlacementPlan | None:
    from moeopt.placement import _kernels_build

    loads, weights = scenario_loads(problem)
    mean = np.tensordot(weights, loads, axes=1)
    rules = rules_of(problem, homes_of_groups(problem))
    room = np.where(problem.live(), problem.memory_budget_bytes(), 0.0)
    table = np.full((problem.num_layers, problem.num_slots), -1, dtype=np.int64)
    copies = np.zeros((problem.num_experts, problem.num_devices), dtype=np.int64)
    for layer in range(problem.num_layers):
        counts = _counts(problem, rules, layer, mean[layer])
        piece = mean[layer] / np.maximum(counts, 1)
        affinity = np.zeros((0, 0))
        if weight > 0:
            unit = mean[layer].sum() if as_printed else mean[layer].mean()
            # The correlation is of the scenarios' loads even where the objective sees their mean.
            affinity = weight * unit * _correlation(problem.loads_tokens[:, layer])
        # Memory is shared by the layers still to come: a layer may use its part of what is left.
        part = room * _share_of_bytes(rules.size, layer)
        fits = _kernels_build.construct(
            piece,
            counts,
            np.argsort(-piece, kind="stable"),
            rules.slot_start,
            1.0 / problem.cluster.relative_speed(),
            rules.allowed[layer],
            rules.pinned[layer],
            problem.max_copies_per_device or 0,
            problem.distinct_nodes,
            rules.node,
            rules.size[layer],
            part,
            affinity,
            table[layer],
            copies,
        )
        if not fits:
            return None
        room = room - copies.T @ rules.size[layer]
    return _valid(problem, table)


def _counts(
    problem: PlacementProblem, rules: Rules, layer: int, load: FloatArray
) -> npt.NDArray[np.int64]:
    """Return EPLB's greedy replica counts, node by node where groups are kept whole."""
    from moeopt.placement import _kernels

    counts = np.empty(problem.num_experts, dtype=np.int64)
    least = problem.min_copies_per_expert
    slots = np.where(problem.live(), problem.slots(), 0)
    if problem.group_rule == "free":
        _kernels.replicate(load, int(slots.sum()), least, rules.most[layer], counts)
        return counts
    home = rules.node[np.argmax(rules.allowed[layer], axis=1)]
    for node in np.unique(home):
        inside = np.flatnonzero(home == node)
        some = np.empty(len(inside), dtype=np.int64)
        node_slots = int(slots[rules.node == node].sum())
        _kernels.replicate(load[inside], node_slots, least, rules.most[layer][inside], some)
        counts[inside] = some
    return counts


def _correlation(loads: FloatArray) -> FloatArray:
    """Return the Pearson correlation of the experts' loads over scenarios, 0 where undefined."""
    # In units of a power of two near the largest load: squares of others overflow, or vanish.
    loads = np.ldexp(loads, -math.frexp(float(loads.max()))[1])
    centred = loads - loads.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    scale = np.outer(norm, norm)
    product = centred.T @ centred
    return np.asarray(np.divide(product, scale, out=np.zeros_like(product), where=scale > 0))


def _share_of_bytes(size: FloatArray, layer: int) -> float:
    left = size[layer:].sum()
    return float(size[layer].sum() / left) if left > 0 else 1.0
