"""Tighter bounds of hierarchical plans: the hottest node of a layer, solved exactly alone.

Where groups must stay whole and all nodes are alike, some node holds the hottest group, and no
plan of that node can beat the optimum of that group alone on it. The node is small, so the exact
model bounds it closely, where the mean of its load can be several per cent short: a very hot
expert needs a whole number of copies, and the slots beside them are few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.stop import Context
from moeopt.describe.cluster import Cluster, NodeGroup
from moeopt.placement import balance
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem

#: Layers this close to their bound are left as they are.
CLOSE = 1e-3

#: The gap at which a node's exact solve may stop.
NODE_GAP = 2e-4


@dataclass(frozen=True)
class _Node:
    """The hottest node of a layer with one of its groups as a problem of its own."""

    problem: PlacementProblem
    experts: IntArray
    slots: slice
    alone: bool


def nodes_alike(problem: PlacementProblem) -> bool:
    """Tell whether all nodes are equal and alive: then it does not matter which holds a group."""
    nodes = problem.cluster.num_nodes
    if problem.num_devices % nodes or not problem.live().all():
        return False
    sizes = np.bincount(problem.cluster.device_node())
    slots = problem.slots().reshape(nodes, -1)
    speed = problem.cluster.relative_speed().reshape(nodes, -1)
    return bool(
        (sizes == sizes[0]).all() and (slots == slots[0]).all() and (speed == speed[0]).all()
    )


def certify(
    problem: PlacementProblem, found: balance.Balanced, context: Context
) -> balance.Balanced:
    """Raise the bounds of layers with a gap above `CLOSE`, worst first, until time is out.

    Where a node holds one group only, a better plan that the exact model finds is taken too.

    Parameters
    ----------
    problem
        A plain problem with ``group_rule="one_node"`` and `nodes_alike`.
    found
        Plans and bounds so far.
    context
        Its time is shared by the layers that need it.
    """
    from moeopt.placement.exact import solve_exact

    table, value, bound = found.table.copy(), found.value.copy(), found.bound.copy()
    gaps = 1.0 - bound / value
    todo = [int(layer) for layer in np.argsort(-gaps) if gaps[layer] > CLOSE]
    for done, layer in enumerate(todo):
        if context.out_of_time():
            break
        node = _hottest_node(problem, table[layer], layer)
        share = context.remaining_s() / (len(todo) - done)
        limit = None if math.isinf(share) else context.elapsed_s() + share
        outcome = solve_exact(
            node.problem,
            replace(context, time_limit_s=limit, gap=NODE_GAP, progress=None),
            _warm_start(node, table[layer]),
        )
        if outcome.bound is not None:
            bound[layer] = max(bound[layer], outcome.bound)
        if node.alone and isinstance(outcome.plan, PlacementPlan):
            local = outcome.plan.physical_to_logical[0]
            table[layer, node.slots] = np.where(local < 0, -1, node.experts[local])
            value[layer] = evaluate(
                problem, PlacementPlan(physical_to_logical=table)
            ).layer_objective[layer]
        context.report(float(value.sum()), float(bound.sum()), f"bounding layer {layer}")
    # Backends prove within a tolerance; a bound above the plan by more is for `solve` to see.
    close = bound <= value * (1 + OPTIMALITY_TOLERANCE)
    bound = np.where(close, np.minimum(bound, value), bound)
    return balance.Balanced(table=table, value=value, bound=bound)


def _hottest_node(problem: PlacementProblem, row: IntArray, layer: int) -> _Node:
    """Return the node with the largest device load, reduced to its hottest group."""
    plan = PlacementPlan(physical_to_logical=np.tile(row, (problem.num_layers, 1)))
    loads = evaluate(problem, plan).device_loads[0, layer]
    device_node = problem.cluster.device_node()
    node = int(device_node[np.argmax(loads)])
    slot_node = device_node[problem.slot_device()]
    where = np.flatnonzero(slot_node == node)
    slots = slice(int(where[0]), int(where[-1]) + 1)
    group_of = problem.expert_group()
    groups = np.unique(group_of[row[slots][row[slots] >= 0]])
    heat = problem.mean_loads()[layer]
    hottest = max(groups.tolist(), key=lambda group: float(heat[group_of == group].sum()))
    experts = np.flatnonzero(group_of == hottest)
    # With room for a second group the node may hold this one in fewer slots than it has.
    alone = len(where) < 2 * len(experts) * problem.min_copies_per_expert
    return _Node(
        problem=_node_problem(problem, heat[experts], node, may_empty=not alone),
        experts=experts,
        slots=slots,
        alone=alone and len(groups) == 1,
    )


def _node_problem(
    problem: PlacementProblem, load: FloatArray, node: int, *, may_empty: bool
) -> PlacementProblem:
    inside = problem.cluster.device_node() == node
    return PlacementProblem(
        loads_tokens=load[None],
        cluster=Cluster(nodes=(NodeGroup(node=problem.cluster.all_nodes()[node]),)),
        slots_per_device=tuple(problem.slots()[inside].tolist()),
        max_copies_per_device=problem.max_copies_per_device,
        min_copies_per_expert=problem.min_copies_per_expert,
        max_copies_per_expert=problem.max_copies_per_expert,
        allow_empty_slots=problem.allow_empty_slots or may_empty,
    )


def _warm_start(node: _Node, row: IntArray) -> PlacementPlan | None:
    if not node.alone:
        return None
    held = row[node.slots]
    local = np.where(held < 0, -1, np.searchsorted(node.experts, held))
    return PlacementPlan(physical_to_logical=local[None])
