"""Strategies of the placement wing: problems with every rule it knows, and plans for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import msgspec
import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from moeopt.core.arrays import FloatArray
from moeopt.describe.cluster import Cluster, Device, NodeGroup
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import Objective, Pair, PlacementProblem, Split, Timing
from moeopt.testing.strategies._broken import broken
from moeopt.testing.strategies._witness import Sizes, Witness, witnesses
from moeopt.testing.strategies.loads import loads
from moeopt.testing.strategies.machines import clusters

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
SPLITS: tuple[Split, ...] = get_args(Split)

#: Optional parts of a problem. An example has a few of them, so that each shows up often and
#: most pairs meet; a failing example shrinks to those it needs.
FEATURES = (
    "dead",
    "device_memory",
    "device_moves",
    "distinct_nodes",
    "duplicates",
    "empty",
    "forbidden",
    "groups",
    "max_copies",
    "memory",
    "min_copies",
    "move_limit",
    "move_price",
    "named",
    "node_moves",
    "one_node",
    "pinned",
    "previous",
    "price",
    "unequal_slots",
    "weights",
)

#: Features that limit the bytes that may move.
_MOVE_LIMITS = {"device_moves", "move_limit", "node_moves"}

#: Features whose absence from the choice leaves all devices equal.
_UNEVEN = {"dead", "device_memory", "memory", "pinned", "price"}

_PRICE = st.sampled_from([1.0, 0.25, 0.0]) | st.floats(1e-3, 1e3)
#: Of a price, in the objective's: tokens, or the seconds of ``layer_time``.
_UNIT = {"layer_time": 1e-8}


@dataclass(frozen=True)
class _Limits:
    experts: int
    devices: int
    layers: int
    scenarios: int


@st.composite
def timings(draw: st.DrawFn) -> Timing:
    """Draw the costs of a token and of a layer."""
    token_bytes = st.sampled_from([0.0, 4096.0, 14336.0]) | st.floats(1.0, 65536.0)
    return Timing(
        seconds_per_token=draw(st.sampled_from([0.0, 1e-7]) | st.floats(1e-9, 1e-4)),
        dispatch_bytes_per_token=draw(token_bytes),
        combine_bytes_per_token=draw(token_bytes),
        gate_s=draw(st.sampled_from([0.0, 1e-4])),
        aggregation_s=draw(st.sampled_from([0.0, 2e-4])),
    )


@st.composite
def pairs(draw: st.DrawFn, *, experts: int = 6, devices: int = 4, layers: int = 2) -> Pair:
    """Draw a pair of an expert and a device, in one layer or in all.

    Parameters
    ----------
    experts, devices, layers
        Their numbers.
    """
    return Pair(
        expert=draw(st.integers(0, experts - 1)),
        device=draw(st.integers(0, devices - 1)),
        layer=draw(st.none() | st.integers(0, layers - 1)),
    )


@st.composite
def placement_plans(draw: st.DrawFn, problem: PlacementProblem) -> PlacementPlan:
    """Draw a plan of the right shape and range; it need not keep the problem's rules.

    Parameters
    ----------
    problem
        The problem that the plan is for.
    """
    size = problem.num_layers * problem.num_slots
    expert = st.integers(-1, problem.num_experts - 1)
    table = draw(st.lists(expert, min_size=size, max_size=size))
    shape = (problem.num_layers, problem.num_slots)
    return PlacementPlan(physical_to_logical=np.array(table, dtype=np.int64).reshape(shape))


def placement_problems(
    *,
    max_experts: int = 6,
    max_devices: int = 4,
    max_layers: int = 2,
    max_scenarios: int = 3,
    objectives: Sequence[Objective] = OBJECTIVES,
    splits: Sequence[Split] = SPLITS,
    features: Sequence[str] = FEATURES,
    feasible: bool | None = True,
    plain: bool = False,
) -> st.SearchStrategy[PlacementProblem]:
    """Draw placement problems, small by default.

    Parameters
    ----------
    max_experts, max_devices, max_layers, max_scenarios
        Largest sizes.
    objectives, splits
        Objectives and splits to draw from; ``"activated"`` has the even split whatever is said.
    features
        Optional rules to draw from, of `FEATURES`; without any, devices and nodes are equal.
    feasible
        ``True``: a plan exists, because one is drawn first and the rules are stated around it.
        ``False``: none exists, though counting alone may not show it. ``None``: either.
    plain
        Whether to draw only loads, equal devices and slots: short for no `features`.

    Examples
    --------
    >>> from moeopt.testing.strategies import placement_problems
    >>> strategy = placement_problems(objectives=("max_load",), splits=("even",), plain=True)
    """
    limits = _Limits(max_experts, max_devices, max_layers, max_scenarios)
    chosen = () if plain else tuple(features)
    stated = _stated(limits, tuple(objectives), tuple(splits), chosen)
    kept = stated.map(lambda pair: _problem(pair[0]))
    if feasible is True:
        return kept
    contradictory = stated.flatmap(lambda pair: broken(*pair, plain=not chosen)).map(_problem)
    if feasible is False:
        return contradictory
    if not chosen:
        return kept | contradictory
    return kept | contradictory | stated.flatmap(lambda pair: _tightened(pair[0])).map(_problem)


@st.composite
def assignment_problems(
    draw: st.DrawFn, *, max_devices: int = 4, max_layers: int = 2, feasible: bool = True
) -> PlacementProblem:
    """Draw problems that leave every expert alone on a device: only which device is open.

    Parameters
    ----------
    max_devices, max_layers
        Largest sizes.
    feasible
        Whether a plan exists, or none does though counting does not show it.
    """
    cluster = _with_bandwidths(draw(clusters(max_devices=max_devices, bandwidths=True)))
    devices = cluster.num_devices
    layers = draw(st.integers(1, max_layers))
    experts = draw(st.integers(max(1, devices - 1), devices))
    fields: dict[str, Any] = {
        "loads_tokens": draw(loads(1, layers, experts)),
        "cluster": cluster,
        "slots_per_device": 1,
        "objective": "layer_time",
        "timing": draw(timings()),
    }
    if experts < devices:
        fields.update(allow_empty_slots=True, max_copies_per_expert=1)
    if draw(st.booleans()):
        _state_traffic(draw, fields)
    elif draw(st.booleans()):
        shape = (devices, layers, experts)
        fields["source_tokens"] = draw(_numbers(shape, st.sampled_from([0.0, 1.0, 3.0])))
    home = draw(st.permutations(range(devices)))
    if feasible and draw(st.booleans()):
        fields["pinned"] = (Pair(expert=0, device=home[0]),)
    if feasible and experts > 1 and draw(st.booleans()):
        fields["forbidden"] = (Pair(expert=1, device=home[0], layer=0),)
    if not feasible:
        fields.update(_too_few_places(experts, home))
    return PlacementProblem(**fields)


def _too_few_places(experts: int, home: Sequence[int]) -> dict[str, Any]:
    """Leave two experts one device; a single expert none."""
    crowd = range(min(2, experts))
    closed = home[len(crowd) - 1 :]
    return {"forbidden": tuple(Pair(expert=e, device=g) for e in crowd for g in closed)}


def _problem(fields: dict[str, Any]) -> PlacementProblem:
    return PlacementProblem(**fields)


@st.composite
def _stated(
    draw: st.DrawFn,
    limits: _Limits,
    objectives: tuple[Objective, ...],
    splits: tuple[Split, ...],
    known: tuple[str, ...],
) -> tuple[dict[str, Any], Witness]:
    """Draw the fields of a problem together with a plan that keeps its rules."""
    objective = draw(st.sampled_from(objectives))
    split = "even" if objective == "activated" else draw(st.sampled_from(splits))
    if split == "optimal" and objective == "layer_time":
        # Together they leave the objective open, and a problem refuses that.
        split = "even"
    features = draw(st.sets(st.sampled_from(known), max_size=6)) if known else set()
    uniform = not set(known) & _UNEVEN
    timed = objective == "layer_time"
    cluster = draw(clusters(max_devices=limits.devices, bandwidths=timed, uniform=uniform))
    sizes = draw(_sizes(limits, cluster, features))
    witness = draw(witnesses(sizes))
    fields: dict[str, Any] = {
        "loads_tokens": draw(
            loads(draw(st.integers(1, limits.scenarios)), sizes.layers, sizes.experts)
        ),
        "cluster": cluster,
        "slots_per_device": witness.slots[0] if sizes.equal_slots else witness.slots,
        "objective": objective,
        "split": split,
    }
    if timed and split == "even" and draw(st.booleans()):
        _state_traffic(draw, fields)
    _state_structure(draw, fields, sizes, witness, features)
    if not known:
        return _with_timing(draw, fields), witness
    _state_pairs(draw, fields, sizes, witness, features)
    _state_bytes(draw, fields, sizes, witness, features)
    _state_moves(draw, fields, sizes, witness, features)
    _state_values(draw, fields, sizes, features)
    return _with_timing(draw, fields), witness


@st.composite
def _sizes(draw: st.DrawFn, limits: _Limits, cluster: Cluster, features: set[str]) -> Sizes:
    devices = cluster.num_devices
    experts = draw(st.integers(1, limits.experts))
    dead: set[int] = set()
    if "dead" in features and devices > 1:
        some = st.sets(st.integers(0, devices - 1), min_size=1, max_size=devices - 1)
        dead = draw(some)
    groups = 1
    if features & {"groups", "one_node", "price"}:
        groups = draw(st.sampled_from([n for n in range(experts, 0, -1) if experts % n == 0]))
    sizes = Sizes(
        layers=draw(st.integers(1, limits.layers)),
        experts=experts,
        groups=groups,
        device_node=cluster.device_node(),
        live=tuple(g for g in range(devices) if g not in dead),
        equal_slots="unequal_slots" not in features,
        one_node="one_node" in features,
        distinct_nodes="distinct_nodes" in features,
        duplicates="duplicates" in features,
        sparse="empty" in features,
    )
    if "min_copies" in features:
        copies = draw(st.integers(1, min(3, sizes.most_copies())))
        sizes = _replaced(sizes, min_copies=copies)
    return sizes


def _replaced(sizes: Sizes, **changes: Any) -> Sizes:
    return Sizes(**{**vars(sizes), **changes})


def _state_structure(
    draw: st.DrawFn, fields: dict[str, Any], sizes: Sizes, witness: Witness, features: set[str]
) -> None:
    """State groups, copies, empty slots and dead devices so that the witness keeps them."""
    copies = witness.copies(sizes.experts)
    devices = len(sizes.device_node)
    dead = [g for g in range(devices) if g not in sizes.live]
    if dead:
        fields["dead_devices"] = tuple(draw(st.permutations(dead)))
    if sizes.groups > 1:
        fields["groups"] = sizes.groups
    if sizes.one_node:
        fields["group_rule"] = "one_node"
    if sizes.distinct_nodes:
        fields["distinct_nodes"] = True
    if sizes.duplicates:
        most = max(1, int(copies.max()))
        fields["max_copies_per_device"] = draw(st.none() | st.integers(most, most + 2))
    if sizes.min_copies > 1:
        fields["min_copies_per_expert"] = sizes.min_copies
    if "max_copies" in features:
        most = int(copies.sum(axis=2).max())
        fields["max_copies_per_expert"] = draw(st.integers(most, most + 2))
    slot_device = np.repeat(np.arange(devices), witness.slots)
    live_slots = np.isin(slot_device, sizes.live)
    gaps = bool((witness.table[:, live_slots] < 0).any())
    if gaps or "empty" in features:
        fields["allow_empty_slots"] = True


def _state_pairs(
    draw: st.DrawFn, fields: dict[str, Any], sizes: Sizes, witness: Witness, features: set[str]
) -> None:
    """Pin pairs that the witness has and forbid pairs that it lacks."""
    held = witness.copies(sizes.experts) > 0
    if "pinned" in features:
        fields["pinned"] = draw(_pairs_where(held))
    if "forbidden" in features:
        fields["forbidden"] = draw(_pairs_where(~held))


@st.composite
def _pairs_where(draw: st.DrawFn, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[Pair, ...]:
    """Draw pairs that hold in one layer, or in all of them."""
    single = [Pair(layer=layer, expert=e, device=g) for layer, e, g in np.argwhere(mask).tolist()]
    every = [Pair(expert=e, device=g) for e, g in np.argwhere(mask.all(axis=0)).tolist()]
    if not single:
        return ()
    chosen = draw(st.lists(st.sampled_from(every + single), min_size=1, max_size=3))
    return tuple(chosen)


def _state_bytes(
    draw: st.DrawFn, fields: dict[str, Any], sizes: Sizes, witness: Witness, features: set[str]
) -> None:
    """State bytes of experts and device memory that the witness fits into."""
    if not features & {"memory", "device_memory", "move_price", *_MOVE_LIMITS}:
        return
    shape = (sizes.layers, sizes.experts)
    size = draw(st.sampled_from([(), shape[1:], shape]))
    element = st.integers(0, 3) | st.integers(1, 10**6)
    count = int(np.prod(size, dtype=np.int64))
    drawn = np.array(draw(st.lists(element, min_size=count, max_size=count))).reshape(size)
    fields["expert_bytes"] = int(drawn) if size == () else drawn
    weight = np.broadcast_to(drawn, shape)
    used = np.einsum("leg,le->g", witness.copies(sizes.experts), weight).astype(int)
    slack = draw(st.integers(0, 3))
    if "memory" in features:
        equal = draw(st.booleans())
        each = tuple(int(u) + slack for u in used)
        fields["expert_memory_bytes"] = max(each) if equal else each
        return
    if "device_memory" in features:
        fields["cluster"] = _with_memory(fields["cluster"], used + slack)
    memory = [device.memory_bytes for device in fields["cluster"].all_devices()]
    if any(m is not None and m < u for m, u in zip(memory, used.tolist(), strict=True)):
        fields["expert_memory_bytes"] = tuple(int(u) + slack for u in used)


def _with_memory(cluster: Cluster, used: np.ndarray[Any, np.dtype[np.int64]]) -> Cluster:
    """Give the devices of each node as much memory as the fullest of them uses."""
    groups, first = [], 0
    for node in cluster.all_nodes():
        memory = int(used[first : first + node.devices].max())
        device = msgspec.structs.replace(node.resolved_device(), memory_bytes=memory)
        groups.append(NodeGroup(node=msgspec.structs.replace(node, device=device)))
        first += node.devices
    return Cluster(nodes=tuple(groups))


def _state_moves(
    draw: st.DrawFn, fields: dict[str, Any], sizes: Sizes, witness: Witness, features: set[str]
) -> None:
    """State a previous plan, what moves cost, and limits of moves within which the witness is."""
    if not features & {"previous", "move_price", *_MOVE_LIMITS}:
        return
    previous = witness.table.copy()
    if previous.size:
        changes = st.tuples(st.integers(0, previous.size - 1), st.integers(-1, sizes.experts - 1))
        for at, expert in draw(st.lists(changes, max_size=previous.size)):
            previous.flat[at] = expert
    fields["previous"] = previous
    if "move_price" in features:
        fields["move_price_per_byte"] = draw(_PRICE) * _UNIT.get(fields["objective"], 1.0)
    if not features & _MOVE_LIMITS:
        return
    before = Witness(witness.slots, previous).copies(sizes.experts) > 0
    new = (witness.copies(sizes.experts) > 0) & ~before
    size = np.broadcast_to(fields["expert_bytes"], new.shape[:2])
    at_device = np.einsum("leg,le->g", new, size)
    if "move_limit" in features:
        fields["max_moved_bytes"] = int(at_device.sum()) + draw(st.integers(0, 3))
    if "device_moves" in features:
        fields["max_moved_bytes_per_device"] = _limits_above(draw, at_device)
    if "node_moves" in features:
        node = np.asarray(sizes.device_node)
        live = np.isin(np.arange(len(node)), sizes.live)
        near = np.stack([before[..., live & (node == n)].any(axis=2) for n in node], axis=2)
        entered = np.bincount(node, weights=np.einsum("leg,le->g", new & ~near, size))
        fields["max_moved_bytes_per_node"] = _limits_above(draw, entered)


def _limits_above(draw: st.DrawFn, used: npt.NDArray[Any]) -> int | tuple[int, ...]:
    """Draw one limit for all, or one for each, not below what is used."""
    slack = draw(st.integers(0, 3))
    each = tuple(int(u) + slack for u in used)
    return max(each) if draw(st.booleans()) else each


def _state_values(
    draw: st.DrawFn, fields: dict[str, Any], sizes: Sizes, features: set[str]
) -> None:
    """State what no plan can break: weights, sources, prices and names."""
    scenarios = len(fields["loads_tokens"])
    if "weights" in features:
        weights = draw(_numbers((scenarios,), st.sampled_from([1.0, 2.0, 0.0])))
        fields["scenario_weights"] = weights if weights.any() else weights + 1.0
    if "price" in features and not sizes.one_node and fields["split"] != "optimal":
        fields["cross_node_price"] = draw(_PRICE) * _UNIT.get(fields["objective"], 1.0)
    reads_sources = fields["split"] == "nearest" or fields["objective"] == "layer_time"
    if reads_sources and "expert_traffic_tokens" not in fields and draw(st.booleans()):
        shape = (len(sizes.device_node), sizes.layers, sizes.experts)
        sources = draw(_numbers(shape, st.sampled_from([0.0, 1.0, 3.0])))
        sources[[g for g in range(shape[0]) if g not in sizes.live]] = 0.0
        fields["source_tokens"] = sources
    if "named" in features:
        fields["name"] = draw(st.text("abc-0", max_size=5))
        fields["source"] = draw(st.text("abc é", max_size=5))
        fields["generator"] = {"name": "drawn", "seed": draw(st.integers(0, 9)), "size": 0.5}


def _state_traffic(draw: st.DrawFn, fields: dict[str, Any]) -> None:
    """Let sources move with the experts: their traffic, and loads of one scenario that it makes."""
    _, layers, experts = fields["loads_tokens"].shape
    shape = (layers, experts, experts)
    traffic = draw(_numbers(shape, st.sampled_from([0.0, 1.0, 7.0, 30.0])))
    fields["expert_traffic_tokens"] = traffic
    fields["loads_tokens"] = traffic.sum(axis=1)[None]


@st.composite
def _numbers(
    draw: st.DrawFn, shape: tuple[int, ...], element: st.SearchStrategy[float]
) -> FloatArray:
    size = int(np.prod(shape))
    return np.array(draw(st.lists(element, min_size=size, max_size=size))).reshape(shape)


def _with_timing(draw: st.DrawFn, fields: dict[str, Any]) -> dict[str, Any]:
    """State what the objective asks for: the tail of cvar, the costs and rates of layer_time."""
    if fields["objective"] == "cvar":
        fields["cvar_tail"] = draw(st.sampled_from([1.0, 0.5, 0.1]) | st.floats(0.01, 1.0))
    if fields["objective"] == "layer_time":
        fields["timing"] = draw(timings())
        fields["cluster"] = _with_bandwidths(fields["cluster"])
    return fields


def _with_bandwidths(cluster: Cluster) -> Cluster:
    """State the rates that a uniform cluster of default devices leaves open."""
    groups = []
    for group in cluster.nodes:
        node = group.resolved_node()
        device = node.resolved_device()
        if device.link_bandwidth_bytes_per_s is None or node.nic_bandwidth_bytes_per_s is None:
            link = device.link_bandwidth_bytes_per_s or 450e9
            nic = node.nic_bandwidth_bytes_per_s or 50e9
            faster: Device = msgspec.structs.replace(device, link_bandwidth_bytes_per_s=link)
            node = msgspec.structs.replace(node, device=faster, nic_bandwidth_bytes_per_s=nic)
            group = NodeGroup(node=node, count=group.count)
        groups.append(group)
    return Cluster(nodes=tuple(groups))


@st.composite
def _tightened(draw: st.DrawFn, fields: dict[str, Any]) -> dict[str, Any]:
    """Tighten one rule regardless of the witness: a plan may or may not be left."""
    fields = dict(fields)
    shape = fields["loads_tokens"].shape
    devices = fields["cluster"].num_devices
    rule = draw(st.sampled_from(["forbidden", "memory", "max_copies", "full"]))
    if rule == "forbidden":
        drawn = st.lists(pairs(experts=shape[2], devices=devices, layers=shape[1]), max_size=6)
        fields.pop("pinned", None)
        fields["forbidden"] = tuple(draw(drawn))
    elif rule == "memory":
        fields["expert_bytes"] = draw(st.integers(0, 3))
        fields["expert_memory_bytes"] = draw(st.integers(0, 4 * shape[1]))
    elif rule == "max_copies":
        least = fields.get("min_copies_per_expert", 1)
        fields["max_copies_per_expert"] = draw(st.integers(least, least + 1))
    else:
        fields["allow_empty_slots"] = False
    return fields
