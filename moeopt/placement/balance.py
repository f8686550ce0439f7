"""The plain case, fast: one load per expert, even split, no rule beyond copies, slots and groups.

This is what engines ask every few minutes, so nothing here loops over layers in Python.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, read_only
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import memory_can_bind

#: Groups up to which the best spread over nodes is found by looking at all subsets.
MOST_GROUPS_ENUMERATED = 8

#: Work per slot that ``fast`` and ``auto`` spend, in pairs of slots looked at. With these the
#: whole call takes a fraction of the time of the engines' own policies (`moeopt bench placement`).
FAST_WORK = 60
AUTO_WORK = 500

#: Within this relative distance of its bound a layer is not searched further: in the calls that
#: engines make, and in a search that has the time.
CLOSE = 5e-4
SEARCHED_CLOSE = 1e-4


@dataclass(frozen=True)
class Blocks:
    """A plain problem as the kernels want it: live devices only, in order of their nodes.

    Attributes
    ----------
    load
        ``(layers, experts)``.
    groups
        Number of expert groups that must each stay on one node; 0 if they are free.
    node_start
        First device of each node, and the number of devices.
    slot_start
        First slot of each device, and the number of slots.
    slow
        One over the relative speed of each device.
    least, most, per_device
        Fewest and most copies of an expert, most on one device (0: any number).
    may_empty
        Whether slots may stay empty.
    """

    load: FloatArray
    groups: int
    node_start: IntArray
    slot_start: IntArray
    slow: FloatArray
    least: int = 1
    most: int = 1
    per_device: int = 0
    may_empty: bool = False

    @property
    def num_slots(self) -> int:
        """Slots of each layer."""
        return int(self.slot_start[-1])

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return len(self.node_start) - 1

    def even_nodes(self) -> bool:
        """Tell whether all nodes have equally many devices."""
        sizes = np.diff(self.node_start)
        return bool((sizes == sizes[0]).all())


@dataclass(frozen=True)
class Balanced:
    """What the fast path found.

    Attributes
    ----------
    table
        Expert in each slot of the live devices, ``(layers, slots)``.
    value
        Largest load over speed of each layer; ``inf`` where no plan was found.
    bound
        Proven lower bound of each layer's value.
    """

    table: IntArray
    value: FloatArray
    bound: FloatArray


def is_plain(problem: PlacementProblem) -> bool:
    """Tell whether the fast path covers every rule of the problem."""
    return (
        sees_one_load(problem)
        and problem.split == "even"
        and not problem.pinned
        and not problem.forbidden
        and not problem.distinct_nodes
        and problem.cross_node_price == 0
        and problem.move_price_per_byte == 0
        and not problem.limits_moves()
        and not memory_can_bind(problem)
    )


def sees_one_load(problem: PlacementProblem) -> bool:
    """Tell whether the objective is the largest device load of one scenario.

    With one scenario its mean, its maximum and its tail mean are all that scenario's largest load.
    """
    if problem.objective in ("mean_max", "worst_max", "cvar"):
        return problem.num_scenarios == 1
    return problem.objective == "max_load"


def blocks_of(problem: PlacementProblem) -> Blocks:
    """Return the blocks of a plain problem."""
    live = problem.live()
    slots = problem.slots()[live]
    node = problem.cluster.device_node()[live]
    _, first = np.unique(node, return_index=True)
    return Blocks(
        load=np.ascontiguousarray(problem.mean_loads()),
        groups=problem.groups if problem.group_rule == "one_node" else 0,
        node_start=np.append(first, len(node)).astype(np.int64),
        slot_start=np.concatenate([[0], np.cumsum(slots)]).astype(np.int64),
        slow=1.0 / problem.cluster.relative_speed()[live],
        least=problem.min_copies_per_expert,
        most=problem.copies_limit(),
        per_device=problem.max_copies_per_device or 0,
        may_empty=problem.allow_empty_slots,
    )


def uniform_blocks(
    load: FloatArray,
    slots: int,
    devices: int,
    *,
    nodes: int = 1,
    groups: int = 0,
    per_device: int = 0,
) -> Blocks:
    """Return blocks of equal devices; `groups` > 0 asks for hierarchical placement."""
    return Blocks(
        load=np.ascontiguousarray(load, dtype=np.float64),
        groups=groups,
        node_start=np.arange(nodes + 1) * (devices // nodes),
        slot_start=np.arange(devices + 1) * (slots // devices),
        slow=np.ones(devices),
        most=min(slots, per_device * devices) if per_device > 0 else slots,
        per_device=per_device,
    )


def expand(problem: PlacementProblem, table: IntArray) -> IntArray:
    """Return `table` with the slots of dead devices put back, empty."""
    live = problem.live()[problem.slot_device()]
    if live.all():
        return table
    whole = np.full((len(table), len(live)), -1, dtype=np.int64)
    whole[:, live] = table
    return whole


def eplb(blocks: Blocks) -> Balanced:
    """Place as DeepSeek's EPLB does: groups to nodes, greedy replicas, LPT; no search.

    Equal to deepseek-ai/EPLB plan for plan in device loads, where its assumptions hold (equal
    devices, copies allowed anywhere, nodes dividing groups or one block).
    """
    spread, lower = _eplb_spread(blocks)
    return _solve(blocks, spread, lower, work=0, seed=0)


def hierarchical(blocks: Blocks) -> Balanced:
    """Spread groups optimally over nodes, then EPLB's replicas and LPT on each; no search."""
    spread, lower = best_spread(blocks)
    return _solve(blocks, spread, lower, work=0, seed=0)


def fast(blocks: Blocks) -> Balanced:
    """Place as EPLB does, then descend by swaps for a bounded time; never worse than EPLB."""
    spread, lower = _eplb_spread(blocks)
    return _solve(blocks, spread, lower, work=FAST_WORK, seed=0)


def search(blocks: Blocks, work: int, seed: int) -> Balanced:
    """Spread groups optimally, then search replica counts and places; never worse than EPLB."""
    if blocks.groups == 0:
        spread, lower = _eplb_spread(blocks)
        return _solve(blocks, spread, lower, work=work, seed=seed)
    spread, lower = best_spread(blocks)
    found = _solve(blocks, spread, lower, work=work, seed=seed)
    simple, _ = _eplb_spread(blocks)
    other = _solve(blocks, simple, lower, work=0, seed=seed)
    better = other.value < found.value
    found.table[better] = other.table[better]
    found.value[better] = other.value[better]
    return found


def search_timed(blocks: Blocks, work: int, seed: int) -> tuple[Balanced, list[float]]:
    """Return what `search` finds, layer by layer, and the seconds of each layer.

    Loading the compiled kernels is no layer's time: it is done before.
    """
    eplb(replace(blocks, load=blocks.load[:1]))
    found, seconds = [], []
    for layer in range(len(blocks.load)):
        started = time.perf_counter()
        one = replace(blocks, load=blocks.load[layer : layer + 1])
        found.append(search(one, work, seed + layer))
        seconds.append(time.perf_counter() - started)
    return joined(found), seconds


def joined(layers: list[Balanced]) -> Balanced:
    """Put layers that were planned apart together."""
    return Balanced(
        table=np.concatenate([layer.table for layer in layers]),
        value=np.concatenate([layer.value for layer in layers]),
        bound=np.concatenate([layer.bound for layer in layers]),
    )


def best_spread(blocks: Blocks) -> tuple[IntArray, FloatArray]:
    """Return the node of each expert and each layer's hierarchical bound.

    Exact for up to `MOST_GROUPS_ENUMERATED` groups on equally large nodes, else EPLB's LPT with
    the bound of one block.
    """
    from moeopt.placement import _kernels_layers

    layers, experts = blocks.load.shape
    if blocks.groups > MOST_GROUPS_ENUMERATED or not blocks.even_nodes():
        return _eplb_spread(blocks)
    node_of_group = np.zeros((layers, blocks.groups), dtype=np.int64)
    lower = np.empty(layers)
    _kernels_layers.partition_groups(
        read_only(blocks.load),
        blocks.groups,
        np.diff(blocks.slot_start[blocks.node_start]),
        blocks.slow.reshape(blocks.num_nodes, -1),
        blocks.least,
        _most_on_node(blocks),
        blocks.may_empty,
        node_of_group,
        lower,
    )
    return np.repeat(node_of_group, experts // blocks.groups, axis=1), lower


def block_bounds(blocks: Blocks) -> FloatArray:
    """Return each layer's bound: mean load, largest piece, and the group rule where it is exact."""
    if blocks.groups > 0:
        return best_spread(blocks)[1]
    from moeopt.placement import _kernels_layers

    lower = np.empty(len(blocks.load))
    most = min(blocks.most, blocks.num_slots)
    if blocks.per_device > 0:
        most = min(most, blocks.per_device * len(blocks.slow))
    _kernels_layers.bound_layers(
        read_only(blocks.load), blocks.num_slots, blocks.slow, blocks.least, most, lower
    )
    return lower


def _most_on_node(blocks: Blocks) -> IntArray:
    """Return the most copies of an expert that each node may hold."""
    slots = np.diff(blocks.slot_start[blocks.node_start])
    most = np.minimum(slots, blocks.most)
    if blocks.per_device > 0:
        most = np.minimum(most, blocks.per_device * np.diff(blocks.node_start))
    return np.asarray(most, dtype=np.int64)


def _eplb_spread(blocks: Blocks) -> tuple[IntArray, FloatArray]:
    """Return EPLB's node of each expert, and the bound of the cluster as one block."""
    from moeopt.placement import _kernels_layers

    layers, experts = blocks.load.shape
    if blocks.groups == 0:
        return np.zeros((layers, experts), dtype=np.int64), block_bounds(blocks)
    node_of_group = np.zeros((layers, blocks.groups), dtype=np.int64)
    if blocks.groups % blocks.num_nodes == 0:
        _kernels_layers.pack_groups(blocks.load, blocks.groups, blocks.num_nodes, node_of_group)
    else:
        _pack_unevenly(blocks, node_of_group)
    # Without the exact spread the bound is that of one block, which ignores the groups.
    lower = block_bounds(replace(blocks, groups=0))
    return np.repeat(node_of_group, experts // blocks.groups, axis=1), lower


def _pack_unevenly(blocks: Blocks, node_of_group: IntArray) -> None:
    """Spread groups by LPT where nodes take different numbers of them, as far as slots go."""
    layers, experts = blocks.load.shape
    size = experts // blocks.groups
    node_slots = np.diff(blocks.slot_start[blocks.node_start])
    speed = np.add.reduceat(1.0 / blocks.slow, blocks.node_start[:-1])
    room = node_slots // (size * blocks.least)
    heat = blocks.load.reshape(layers, blocks.groups, size).sum(axis=2)
    for layer in range(layers):
        left = room.copy()
        load = np.zeros(len(room))
        for group in np.argsort(-heat[layer], kind="stable"):
            after = np.where(left > 0, (load + heat[layer, group]) / speed, np.inf)
            node = int(np.argmin(after))
            node_of_group[layer, group] = node
            load[node] += heat[layer, group]
            left[node] -= 1


def _solve(
    blocks: Blocks, spread: IntArray, lower: FloatArray, *, work: int, seed: int
) -> Balanced:
    from moeopt.placement import _kernels_layers

    one_block = blocks.groups == 0
    ends = np.array([0, len(blocks.slow)]) if one_block else blocks.node_start
    table = np.empty((len(blocks.load), blocks.num_slots), dtype=np.int64)
    value = np.empty(len(blocks.load))
    _kernels_layers.solve_layers(
        blocks.load,
        ends,
        blocks.slot_start,
        blocks.slow,
        spread,
        blocks.least,
        blocks.most,
        blocks.per_device,
        blocks.may_empty,
        lower,
        work,
        CLOSE if work <= AUTO_WORK else SEARCHED_CLOSE,
        seed,
        table,
        value,
    )
    return Balanced(table=table, value=value, bound=lower)
