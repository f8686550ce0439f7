"""The placement wing's share of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.describe.cluster import Cluster, NodeGroup
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import Pair, PlacementProblem
from moeopt.testing.conformance.kit import Kit, Relabelled, register_kit
from moeopt.testing.conformance.placement_oracle import brute_force

#: Rules that methods for the plain case know: the strategy draws many such problems too.
_SIMPLE = ("duplicates", "groups", "max_copies", "min_copies", "one_node", "unequal_slots")


#: Seconds of a layer that do not depend on its loads.
_OF_A_LAYER = ("gate_s", "aggregation_s")

_LIMITS_OF_MOVES = ("max_moved_bytes", "max_moved_bytes_per_device", "max_moved_bytes_per_node")


def problems(feasible: bool) -> Any:
    """Return a strategy of problems small enough for brute force."""
    from hypothesis import strategies as st

    from moeopt.testing.strategies import placement_problems
    from moeopt.testing.strategies.placement import assignment_problems

    every = placement_problems(max_experts=5, max_devices=3, feasible=feasible)
    simple = [
        placement_problems(
            max_experts=6,
            max_devices=4,
            objectives=("max_load",),
            splits=("even",),
            features=features,
            feasible=feasible,
        )
        for features in ((), _SIMPLE, ("groups", "one_node"), ("duplicates",))
    ]
    return every | st.one_of(simple) | assignment_problems(feasible=feasible)


def long_problems() -> list[PlacementProblem]:
    """Return DeepSeek-like layers over many scenarios: seconds for any search or exact method."""
    rng = np.random.default_rng(7)
    loads = rng.lognormal(sigma=1.5, size=(16, 24, 64)) * 100.0
    cluster = Cluster.uniform(8, 2)
    found = [
        PlacementProblem(
            loads_tokens=loads, cluster=cluster, slots_per_device=9, objective=objective
        )
        for objective in ("mean_max", "max_load")
    ]
    grouped = msgspec.structs.replace(found[1], groups=8, group_rule="one_node")
    return [*found, grouped]


def tolerance(problem: PlacementProblem) -> float:
    """Return 1e-9, or what the linear program of the optimal split gives."""
    return 1e-6 if problem.split == "optimal" else 1e-9


def relabelled(problem: PlacementProblem, rng: np.random.Generator) -> list[Relabelled]:
    """Return the problem with devices, experts, layers and scenarios in another order."""
    return [
        _renamed_devices(problem, _device_order(problem.cluster, rng)),
        _renamed_experts(problem, _expert_order(problem, rng)),
        _reordered_layers(problem, rng.permutation(problem.num_layers)),
        _reordered_scenarios(problem, rng.permutation(problem.num_scenarios)),
    ]


def scaled(problem: PlacementProblem, exponent: int) -> tuple[PlacementProblem, float]:
    """Return the problem with loads times ``2**exponent``, and the objective's factor.

    Moved bytes do not grow with the loads, so their price does, nor do the gate and aggregation of
    a layer; activated experts stay as many.
    """
    factor = 2.0**exponent
    loads = problem.loads_tokens * factor
    if problem.objective == "activated":
        return msgspec.structs.replace(problem, loads_tokens=loads), 1.0
    changes: dict[str, Any] = {"loads_tokens": loads}
    changes["move_price_per_byte"] = problem.move_price_per_byte * factor
    if problem.expert_traffic_tokens is not None:
        changes["expert_traffic_tokens"] = problem.expert_traffic_tokens * factor
    if problem.timing is not None:
        whole = {name: getattr(problem.timing, name) * factor for name in _OF_A_LAYER}
        changes["timing"] = msgspec.structs.replace(problem.timing, **whole)
    return msgspec.structs.replace(problem, **changes), factor


def larger(
    problem: PlacementProblem, rng: np.random.Generator
) -> Iterable[tuple[str, PlacementProblem]]:
    """Return problems that allow all plans of this one at the same value, and more."""
    freed: dict[str, Any] = {"pinned": (), "forbidden": (), "max_copies_per_expert": None}
    freed |= dict.fromkeys(_LIMITS_OF_MOVES)
    yield "no pins, bans and limits", msgspec.structs.replace(problem, **freed)
    if not problem.allow_empty_slots:
        yield "slots that may stay empty", msgspec.structs.replace(problem, allow_empty_slots=True)
        return
    yield "one more slot", _one_more_slot(problem, int(rng.integers(problem.num_devices)))
    if problem.split != "nearest" and problem.objective != "layer_time":
        # Elsewhere a new device would send tokens too, or make a network of one node's links.
        yield "one more device", _one_more_device(problem)


def _renamed_devices(problem: PlacementProblem, order: IntArray) -> Relabelled:
    """Put device ``order[g]`` of the problem in place `g`."""
    place = np.argsort(order)
    slots = problem.slots()
    blocks = np.split(np.arange(problem.num_slots), np.cumsum(slots)[:-1])
    slot_order = np.concatenate([blocks[g] for g in order]).astype(np.int64)
    changes: dict[str, Any] = {
        "cluster": _reordered_cluster(problem.cluster, order),
        "pinned": tuple(_moved(pair, device=place) for pair in problem.pinned),
        "forbidden": tuple(_moved(pair, device=place) for pair in problem.forbidden),
        "dead_devices": tuple(int(place[g]) for g in problem.dead_devices),
    }
    for name in ("slots_per_device", "expert_memory_bytes", "max_moved_bytes_per_device"):
        value = getattr(problem, name)
        if isinstance(value, tuple):
            changes[name] = tuple(value[g] for g in order)
    by_node = problem.max_moved_bytes_per_node
    if isinstance(by_node, tuple):
        changes["max_moved_bytes_per_node"] = tuple(
            by_node[n] for n in _nodes_in(problem.cluster, order)
        )
    if problem.source_tokens is not None:
        changes["source_tokens"] = problem.source_tokens[order]
    if problem.previous is not None:
        changes["previous"] = problem.previous[:, slot_order]

    def back(plan: PlacementPlan) -> PlacementPlan:
        table = np.empty_like(plan.physical_to_logical)
        table[:, slot_order] = plan.physical_to_logical
        return PlacementPlan(physical_to_logical=table)

    return Relabelled("devices", msgspec.structs.replace(problem, **changes), back)


def _renamed_experts(problem: PlacementProblem, order: IntArray) -> Relabelled:
    """Give expert ``order[e]`` of the problem the name `e`."""
    name = np.append(np.argsort(order), -1)  # The last entry keeps -1, an empty slot.
    changes: dict[str, Any] = {
        "loads_tokens": problem.loads_tokens[..., order],
        "pinned": tuple(_moved(pair, expert=name) for pair in problem.pinned),
        "forbidden": tuple(_moved(pair, expert=name) for pair in problem.forbidden),
    }
    if isinstance(problem.expert_bytes, np.ndarray) and problem.expert_bytes.ndim:
        changes["expert_bytes"] = problem.expert_bytes[..., order]
    if problem.source_tokens is not None:
        changes["source_tokens"] = problem.source_tokens[..., order]
    if problem.expert_traffic_tokens is not None:
        changes["expert_traffic_tokens"] = problem.expert_traffic_tokens[:, order][:, :, order]
    if problem.previous is not None:
        changes["previous"] = name[problem.previous]
    old_name = np.append(order, -1)

    def back(plan: PlacementPlan) -> PlacementPlan:
        return PlacementPlan(physical_to_logical=old_name[plan.physical_to_logical])

    return Relabelled("experts", msgspec.structs.replace(problem, **changes), back)


def _reordered_layers(problem: PlacementProblem, order: IntArray) -> Relabelled:
    place = np.argsort(order)
    changes: dict[str, Any] = {
        "loads_tokens": problem.loads_tokens[:, order],
        "pinned": tuple(_moved(pair, layer=place) for pair in problem.pinned),
        "forbidden": tuple(_moved(pair, layer=place) for pair in problem.forbidden),
    }
    if isinstance(problem.expert_bytes, np.ndarray) and problem.expert_bytes.ndim == 2:
        changes["expert_bytes"] = problem.expert_bytes[order]
    if problem.source_tokens is not None:
        changes["source_tokens"] = problem.source_tokens[:, order]
    if problem.expert_traffic_tokens is not None:
        changes["expert_traffic_tokens"] = problem.expert_traffic_tokens[order]
    if problem.previous is not None:
        changes["previous"] = problem.previous[order]

    def back(plan: PlacementPlan) -> PlacementPlan:
        return PlacementPlan(physical_to_logical=plan.physical_to_logical[place])

    return Relabelled("layers", msgspec.structs.replace(problem, **changes), back)


def _reordered_scenarios(problem: PlacementProblem, order: IntArray) -> Relabelled:
    weights = problem.scenario_weights
    changed = msgspec.structs.replace(
        problem,
        loads_tokens=problem.loads_tokens[order],
        scenario_weights=None if weights is None else weights[order],
    )
    return Relabelled("scenarios", changed, lambda plan: plan)


def _device_order(cluster: Cluster, rng: np.random.Generator) -> IntArray:
    """Return devices in another order: whole nodes change places, and devices within each."""
    node = cluster.device_node()
    order = [rng.permutation(np.flatnonzero(node == n)) for n in rng.permutation(cluster.num_nodes)]
    return np.concatenate(order)


def _expert_order(problem: PlacementProblem, rng: np.random.Generator) -> IntArray:
    """Return experts in another order: whole groups change places, and experts within each."""
    members = np.arange(problem.num_experts).reshape(problem.groups, -1)
    order = [rng.permutation(members[n]) for n in rng.permutation(problem.groups)]
    return np.concatenate(order)


def _reordered_cluster(cluster: Cluster, order: IntArray) -> Cluster:
    """Return the cluster whose nodes follow each other as in the order of devices."""
    every = cluster.all_nodes()
    return Cluster(nodes=tuple(NodeGroup(node=every[n]) for n in _nodes_in(cluster, order)))


def _nodes_in(cluster: Cluster, order: IntArray) -> list[int]:
    """Return the nodes as they follow each other in an order of devices that keeps them whole."""
    node = cluster.device_node()[order]
    return [int(n) for n in node[np.append(True, node[1:] != node[:-1])]]


def _moved(pair: Pair, **places: IntArray) -> Pair:
    """Return the pair with the named indices looked up."""
    changes = {
        name: int(place[getattr(pair, name)])
        for name, place in places.items()
        if getattr(pair, name) is not None
    }
    return msgspec.structs.replace(pair, **changes)


def _one_more_slot(problem: PlacementProblem, device: int) -> PlacementProblem:
    slots = problem.slots().copy()
    at = int(slots[: device + 1].sum())
    slots[device] += 1
    changes: dict[str, Any] = {"slots_per_device": tuple(slots.tolist())}
    if problem.previous is not None:
        changes["previous"] = np.insert(problem.previous, at, -1, axis=1)
    return msgspec.structs.replace(problem, **changes)


def _one_more_device(problem: PlacementProblem) -> PlacementProblem:
    """Add a device with one slot, in a node of its own."""
    node = problem.cluster.all_nodes()[-1]
    alone = NodeGroup(node=msgspec.structs.replace(node, devices=1))
    changes: dict[str, Any] = {
        "cluster": Cluster(nodes=(*problem.cluster.nodes, alone)),
        "slots_per_device": (*problem.slots().tolist(), 1),
    }
    for name in ("expert_memory_bytes", "max_moved_bytes_per_device", "max_moved_bytes_per_node"):
        value = getattr(problem, name)
        if isinstance(value, tuple):
            changes[name] = (*value, max(value))
    if problem.previous is not None:
        changes["previous"] = np.insert(problem.previous, problem.num_slots, -1, axis=1)
    return msgspec.structs.replace(problem, **changes)


KIT = register_kit(
    Kit(
        wing="placement",
        problems=problems,
        long_problems=long_problems,
        optimum=brute_force,
        relabelled=relabelled,
        scaled=scaled,
        larger=larger,
        tolerance=tolerance,
    )
)
