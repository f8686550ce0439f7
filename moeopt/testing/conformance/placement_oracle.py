"""Brute force for tiny placement problems, written from the formulation and from no solver.

It shares no arithmetic with ``moeopt.placement``: the optimal split is the closed form of its
linear program's dual, the tail average is Rockafellar and Uryasev's minimum, so that the oracle
also stands against the wing's own evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from math import comb

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.testing.conformance.kit import Optimum

#: Plans of a layer, and combinations of layers, beyond which brute force declines.
MOST_PLANS = 20_000


def brute_force(problem: PlacementProblem, most: int = MOST_PLANS) -> Optimum | None:
    """Return the optimum over every plan, or ``None`` if there are more than `most` of them."""
    layers = []
    for layer in range(problem.num_layers):
        plans = layer_plans(problem, layer, most)
        if plans is None:
            return None
        if len(plans) == 0:
            return Optimum(None, None)
        layers.append(_Layer.of(problem, layer, plans))
    return _combine(problem, layers, most)


def layer_plans(problem: PlacementProblem, layer: int, most: int) -> IntArray | None:
    """Return every plan of a layer as copies, shape ``(plans, experts, devices)``.

    Only C5 and C11 to C13, which couple the layers, are left to the caller. ``None`` if the
    devices' own choices multiply to more than `most`.
    """
    choices: list[list[IntArray]] = []
    count = 1
    for g in range(problem.num_devices):
        if _hand_size(problem, g) > most:
            return None
        choices.append(_device_choices(problem, layer, g))
        count *= len(choices[-1])
    if count > most:
        return None
    if count == 0:
        return np.zeros((0, problem.num_experts, problem.num_devices), dtype=np.int64)
    picked = np.unravel_index(np.arange(count), [len(choice) for choice in choices])
    held = [np.array(choice)[i] for choice, i in zip(choices, picked, strict=True)]
    plans = np.stack(held, axis=2)
    return plans[_keeps_totals(problem, plans) & _keeps_nodes(problem, plans)]


def plan_values(problem: PlacementProblem, layer: int, plans: IntArray) -> FloatArray:
    """Return the objective of each plan of a layer, prices of tokens included, moves not."""
    loads, weights = _seen_loads(problem, layer)
    if problem.split == "optimal":
        return _aggregate(problem, _optimal_max(problem, plans, loads), weights)
    served = _served_by_source(problem, layer, plans)
    if problem.objective == "layer_time":
        value = _times(problem, _traffic(problem, layer, plans, served))
    else:
        speed = np.array([d.relative_speed for d in problem.cluster.all_devices()])
        device = np.einsum("pieg,se->psg", served, loads) / speed
        value = device[..., _live(problem)].max(axis=-1)
    total = _aggregate(problem, value, weights)
    if problem.cross_node_price > 0:
        tokens = np.einsum("pieg,se,s->peg", served, loads, weights)
        total = total + problem.cross_node_price * _cross_node(problem, tokens)
    return total


@dataclass(frozen=True)
class _Layer:
    """Plans of one layer: value, and bytes: on each device, moved to each, and to each node."""

    plans: IntArray
    value: FloatArray
    used: FloatArray
    moved: FloatArray
    entered: FloatArray

    @staticmethod
    def of(problem: PlacementProblem, layer: int, plans: IntArray) -> _Layer:
        weight = problem.bytes_of_experts()[layer]
        used = np.einsum("peg,e->pg", plans, weight)
        moved = np.zeros(used.shape)
        entered = np.zeros((len(plans), problem.cluster.num_nodes))
        if problem.previous is not None:
            old = _previous_copies(problem, layer) > 0
            moved = np.einsum("peg,e->pg", (plans > 0) & ~old, weight)
            senders = old.copy()
            senders[:, list(problem.dead_devices)] = False
            node = problem.cluster.device_node()
            for g in range(problem.num_devices):
                far = ~old[:, g] & ~senders[:, node == node[g]].any(axis=1)
                entered[:, node[g]] += (plans[:, :, g] > 0) @ (far * weight)
        paid = problem.move_price_per_byte * moved.sum(axis=1)
        return _Layer(plans, plan_values(problem, layer, plans) + paid, used, moved, entered)

    def footprint(self) -> FloatArray:
        """Return what the limits that join layers count, in the order of `_limits`."""
        in_all = self.moved.sum(axis=1)
        return np.column_stack([self.used, in_all, self.moved, self.entered])

    def best_of_each(self, columns: FloatArray) -> IntArray:
        """Return the plans that are best among those equal in `columns`."""
        order = np.argsort(self.value, kind="stable")
        _, first = np.unique(columns[order], axis=0, return_index=True)
        return np.asarray(order[first])


def _combine(problem: PlacementProblem, layers: list[_Layer], most: int) -> Optimum | None:
    """Choose a plan for each layer, together within device memory and the limits of moves."""
    limits = _limits(problem)
    total = np.zeros(1)
    footprint = np.zeros((1, len(limits)))
    chosen = np.zeros((1, 0), dtype=np.int64)
    for layer in layers:
        columns = layer.footprint() * np.isfinite(limits)
        kept = layer.best_of_each(columns)
        if len(total) * len(kept) > 20 * most:
            return None
        sums = footprint[:, None] + columns[kept]
        old, new = np.nonzero(
            (sums <= np.where(limits == np.inf, np.inf, limits * (1 + 1e-9))).all(-1)
        )
        total = total[old] + layer.value[kept][new]
        footprint = sums[old, new]
        chosen = np.column_stack([chosen[old], kept[new]])
    if len(total) == 0:
        return Optimum(None, None)
    best = int(np.argmin(total))
    copies = [layer.plans[i] for layer, i in zip(layers, chosen[best], strict=True)]
    return Optimum(float(total[best]), _plan_of(problem, copies))


def _limits(problem: PlacementProblem) -> FloatArray:
    """Return the limits of bytes: memory of each device; moved in all, to each, to each node."""
    memory = problem.memory_budget_bytes()
    stated = [
        (problem.max_moved_bytes, 1),
        (problem.max_moved_bytes_per_device, problem.num_devices),
        (problem.max_moved_bytes_per_node, problem.cluster.num_nodes),
    ]
    each = [np.broadcast_to(np.inf if limit is None else limit, count) for limit, count in stated]
    return np.concatenate([memory if problem.expert_bytes is not None else memory * np.inf, *each])


def _plan_of(problem: PlacementProblem, copies: list[IntArray]) -> PlacementPlan:
    rows = []
    for layer in copies:
        row: list[int] = []
        for g, slots in enumerate(problem.slots().tolist()):
            held = np.repeat(np.arange(problem.num_experts), layer[:, g]).tolist()
            row += held + [-1] * (slots - len(held))
        rows.append(row)
    shape = (problem.num_layers, problem.num_slots)
    return PlacementPlan(physical_to_logical=np.array(rows, dtype=np.int64).reshape(shape))


def _hand_size(problem: PlacementProblem, device: int) -> int:
    """Return how many multisets of experts fit a device's slots, before any rule."""
    slots = int(problem.slots()[device])
    kinds = problem.num_experts
    if problem.max_copies_per_device == 1:
        return max(comb(kinds, size) for size in range(slots + 1))
    return comb(kinds + slots, slots)


def _device_choices(problem: PlacementProblem, layer: int, device: int) -> list[IntArray]:
    """Return what one device may hold, as copies of each expert (C2, C3, C6, C7, C8)."""
    experts = problem.num_experts
    if device in problem.dead_devices:
        return [np.zeros(experts, dtype=np.int64)]
    named = [
        {p.expert for p in pairs if p.device == device and p.layer in (None, layer)}
        for pairs in (problem.pinned, problem.forbidden)
    ]
    pinned, forbidden = named
    slots = int(problem.slots()[device])
    sizes = range(slots + 1) if problem.allow_empty_slots else [slots]
    allowed = [e for e in range(experts) if e not in forbidden]
    pick = combinations if problem.max_copies_per_device == 1 else combinations_with_replacement
    choices = [
        np.bincount(np.array(held, dtype=np.int64), minlength=experts)
        for size in sizes
        for held in pick(allowed, size)
        if pinned <= set(held)
    ]
    top = problem.max_copies_per_device
    return [c for c in choices if top is None or c.max(initial=0) <= top]


def _keeps_totals(
    problem: PlacementProblem, plans: IntArray
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    total = plans.sum(axis=2)
    keeps = (total >= problem.min_copies_per_expert).all(axis=1)
    if problem.max_copies_per_expert is not None:
        keeps &= (total <= problem.max_copies_per_expert).all(axis=1)
    return np.asarray(keeps)


def _keeps_nodes(
    problem: PlacementProblem, plans: IntArray
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    by_node = _by_node(problem, plans)
    keeps = np.ones(len(plans), dtype=np.bool_)
    if problem.distinct_nodes:
        keeps &= (by_node <= 1).all(axis=(1, 2))
    if problem.group_rule == "one_node":
        by_group = by_node.reshape(len(plans), problem.groups, -1, by_node.shape[2]).sum(axis=2)
        keeps &= ((by_group > 0).sum(axis=2) <= 1).all(axis=1)
    return keeps


def _by_node(problem: PlacementProblem, values: FloatArray | IntArray) -> FloatArray:
    """Sum the last axis, over devices, to one over nodes."""
    node = problem.cluster.device_node()
    columns = [values[..., node == n].sum(axis=-1) for n in range(problem.cluster.num_nodes)]
    return np.stack(columns, axis=-1).astype(np.float64)


def _live(problem: PlacementProblem) -> list[int]:
    return [g for g in range(problem.num_devices) if g not in problem.dead_devices]


def _seen_loads(problem: PlacementProblem, layer: int) -> tuple[FloatArray, FloatArray]:
    loads = problem.loads_tokens[:, layer]
    given = problem.scenario_weights
    weights = np.ones(len(loads)) if given is None else given.astype(np.float64)
    weights = weights / weights.sum()
    if problem.objective == "max_load":
        return (loads * weights[:, None]).sum(axis=0, keepdims=True), np.ones(1)
    if problem.objective == "activated":
        return np.where(loads > 0, 1.0, 0.0), weights
    return loads, weights


def _sources(problem: PlacementProblem, layer: int) -> FloatArray:
    """Return the share of each expert's tokens that each device sends, ``(devices, experts)``."""
    live = _live(problem)
    shares = np.zeros((problem.num_devices, problem.num_experts))
    shares[live] = 1.0 / len(live)
    if problem.source_tokens is not None:
        tokens = problem.source_tokens[:, layer].astype(np.float64)
        sent = tokens.sum(axis=0) > 0
        shares[:, sent] = tokens[:, sent] / tokens[:, sent].sum(axis=0)
    return shares


def _served_by_source(problem: PlacementProblem, layer: int, plans: IntArray) -> FloatArray:
    """Return each source's part served on each device, ``(plans, sources, experts, devices)``."""
    sources = _sources(problem, layer)
    shares = np.empty((len(plans), problem.num_devices, *plans.shape[1:]))
    node = problem.cluster.device_node()
    for i in range(problem.num_devices):
        able = plans.astype(np.float64)
        if problem.split == "nearest":
            for near in (node == node[i], np.arange(len(node)) == i):
                close = able * near
                able = np.where(close.any(axis=2, keepdims=True), close, able)
        if problem.objective != "activated":
            able = able / able.sum(axis=2, keepdims=True)
        shares[:, i] = able * sources[i][:, None]
    return shares


def _optimal_max(problem: PlacementProblem, plans: IntArray, loads: FloatArray) -> FloatArray:
    """Return the least possible largest load over speed, ``(plans, scenarios)``.

    By duality it is the worst set of devices: the load that can go nowhere else over its speed.
    """
    live = _live(problem)
    devices = problem.cluster.all_devices()
    value = np.zeros((len(plans), len(loads)))
    for size in range(1, len(live) + 1):
        for some in combinations(live, size):
            others = [g for g in range(problem.num_devices) if g not in some]
            captive = ~(plans[:, :, others] > 0).any(axis=2)
            speed = sum(devices[g].relative_speed for g in some)
            value = np.maximum(value, captive @ loads.T / speed)
    return value


def _traffic(
    problem: PlacementProblem, layer: int, plans: IntArray, served: FloatArray
) -> FloatArray:
    """Return tokens by source and server, ``(plans, scenarios, devices, devices)``."""
    if problem.expert_traffic_tokens is None:
        return np.asarray(np.einsum("pieg,se->psig", served, problem.loads_tokens[:, layer]))
    part = plans / plans.sum(axis=2, keepdims=True)
    tokens = problem.expert_traffic_tokens[layer]
    traffic = np.zeros((len(plans), 1, problem.num_devices, problem.num_devices))
    for i in range(problem.num_experts):
        for j in range(problem.num_experts):
            if i == j:
                served_at_home = np.einsum("pg,gh->pgh", part[:, i], np.eye(problem.num_devices))
                traffic[:, 0] += tokens[i, j] * served_at_home
            else:
                traffic[:, 0] += tokens[i, j] * np.einsum("pg,ph->pgh", part[:, i], part[:, j])
    return traffic


def _times(problem: PlacementProblem, traffic: FloatArray) -> FloatArray:
    """Return the layer's time, ``(plans, scenarios)``, from tokens by source and server."""
    assert problem.timing is not None
    many = problem.cluster.num_nodes > 1
    port = np.array(
        [
            (
                n.nic_bandwidth_bytes_per_s
                if many
                else n.resolved_device().link_bandwidth_bytes_per_s
            )
            for n in problem.cluster.all_nodes()
            for _ in range(n.devices)
        ],
        dtype=np.float64,
    )
    speed = np.array([d.relative_speed for d in problem.cluster.all_devices()])
    away = traffic * (1.0 - np.eye(problem.num_devices))
    busiest = (np.maximum(away.sum(axis=-1), away.sum(axis=-2)) / port).max(axis=-1)
    token_bytes = problem.timing.dispatch_bytes_per_token + problem.timing.combine_bytes_per_token
    compute = (traffic.sum(axis=-2) / speed).max(axis=-1) * problem.timing.seconds_per_token
    whole = (problem.timing.gate_s + problem.timing.aggregation_s) / speed[_live(problem)].min()
    return np.asarray(busiest * token_bytes + compute + whole)


def _aggregate(problem: PlacementProblem, value: FloatArray, weights: FloatArray) -> FloatArray:
    if problem.objective == "worst_max":
        return np.asarray(value.max(axis=1))
    if problem.objective != "cvar":
        return value @ weights
    assert problem.cvar_tail is not None
    # min over t of t + E[(value - t)+] / tail; a value itself is among the minimisers.
    excess = np.maximum(value[:, None, :] - value[:, :, None], 0.0) @ weights
    return np.asarray((value + excess / problem.cvar_tail).min(axis=1))


def _cross_node(problem: PlacementProblem, tokens: FloatArray) -> FloatArray:
    by_node = _by_node(problem, tokens)
    by_group = by_node.reshape(len(tokens), problem.groups, -1, by_node.shape[2]).sum(axis=2)
    return np.asarray((by_group.sum(axis=2) - by_group.max(axis=2)).sum(axis=1))


def _previous_copies(problem: PlacementProblem, layer: int) -> IntArray:
    assert problem.previous is not None
    copies = np.zeros((problem.num_experts, problem.num_devices), dtype=np.int64)
    slot = 0
    for g, slots in enumerate(problem.slots().tolist()):
        for expert in problem.previous[layer, slot : slot + slots].tolist():
            if expert >= 0:
                copies[expert, g] += 1
        slot += slots
    return copies
