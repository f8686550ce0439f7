"""What the placement wing gives: the plan, its checker and its value.

Written from ``formulations/placement.md`` alone; no solver is imported here and none is trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.wing import Plan, Violation
from moeopt.describe import topology
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.split import shares_of_plan, slot_loads, traffic_of_plan
from moeopt.timeline import layer_time

#: Relative slack of comparisons between sums of floating-point numbers.
TOLERANCE = 1e-9


class PlacementPlan(Plan, frozen=True, kw_only=True, tag="placement"):
    """Which expert every physical slot holds.

    Attributes
    ----------
    version
        Version of the document's schema.
    physical_to_logical
        Expert in each slot, shape ``(layers, slots)``, slots rank-major, -1 for an empty slot:
        the object that every engine consumes.
    """

    version: Literal[1] = 1
    physical_to_logical: IntArray

    def copies(self, problem: PlacementProblem) -> IntArray:
        """Return the copies of each expert on each device, shape ``(layers, experts, devices)``."""
        return copies_of(problem, self.physical_to_logical)


@dataclass(frozen=True)
class Evaluation:
    """The value of a plan.

    Attributes
    ----------
    objective
        Sum over layers of `layer_objective`, plus the price of cross-node tokens and of moves.
    layer_objective
        Objective of each layer without prices, shape ``(layers,)``.
    imbalance
        Of each layer, shape ``(layers,)``: the largest device load over the mean, both averaged
        over scenarios; 1 is perfect.
    device_loads
        Load over relative speed, shape ``(scenarios, layers, devices)``; one scenario for
        ``"max_load"``, activated experts for ``"activated"``.
    cross_node_tokens
        Tokens served outside the node that serves most of their group.
    moved_bytes
        Bytes copied to devices that did not hold them in the previous plan; 0 without one.
    """

    objective: float
    layer_objective: FloatArray
    imbalance: FloatArray
    device_loads: FloatArray
    cross_node_tokens: float
    moved_bytes: float


@dataclass(frozen=True)
class Arrivals:
    """Bytes of the experts that a plan brings to devices that did not hold them.

    Attributes
    ----------
    device_bytes
        Bytes that arrive at each device, shape ``(layers, devices)``.
    node_bytes
        Those of them that come from other nodes, shape ``(layers, nodes)``: no live device of the
        node held the expert, and each device that gets it takes its own copy over the links.
    """

    device_bytes: FloatArray
    node_bytes: FloatArray


def violations(problem: PlacementProblem, plan: PlacementPlan) -> list[Violation]:
    """Return every constraint of the formulation page that the plan breaks."""
    table = plan.physical_to_logical
    shape = (problem.num_layers, problem.num_slots)
    if table.shape != shape:
        return [_violation("shape", "", f"must have shape {shape}, has {table.shape}", 1.0)]
    strange = (table < -1) | (table >= problem.num_experts) | (table != np.floor(table))
    if strange.any():
        layer, slot = np.argwhere(strange)[0].tolist()
        message = f"must be -1 to {problem.num_experts - 1}, is {table[layer, slot]}"
        return [_violation("shape", f"[{layer}][{slot}]", message, float(strange.sum()))]
    copies = plan.copies(problem)
    found = [
        *_copies_violations(problem, copies),
        *_slot_violations(problem, table),
        *_pair_violations(problem, copies),
        *_node_violations(problem, copies),
        *_memory_violations(problem, copies),
    ]
    return [*found, *_move_violations(problem, table)] if problem.limits_moves() else found


def evaluate(problem: PlacementProblem, plan: PlacementPlan) -> Evaluation:
    """Return the objective of a valid plan and the figures behind it."""
    table = plan.physical_to_logical
    loads, weights = scenario_loads(problem)
    live = problem.live()
    speed = problem.cluster.relative_speed()
    device = _device_tokens(problem, table, loads) / speed
    if problem.objective == "layer_time":
        value = _layer_times(problem, table, loads)
    else:
        value = device[..., live].max(axis=-1)
    layer_objective = aggregate(problem, value, weights)
    cross = 0.0
    if problem.cross_node_price > 0:
        cross = _cross_node_tokens(problem, table, loads, weights)
    moved = moved_bytes(problem, table)
    largest = weights @ device[..., live].max(axis=-1)
    mean = weights @ device.dot(speed) / speed[live].sum()
    return Evaluation(
        objective=float(layer_objective.sum())
        + problem.cross_node_price * cross
        + problem.move_price_per_byte * moved,
        layer_objective=layer_objective,
        imbalance=np.divide(largest, mean, out=np.ones_like(mean), where=mean > 0),
        device_loads=device,
        cross_node_tokens=cross,
        moved_bytes=moved,
    )


def scenario_loads(problem: PlacementProblem) -> tuple[FloatArray, FloatArray]:
    """Return the loads that the objective sees, and their weights.

    ``"max_load"`` sees one scenario, the mean; ``"activated"`` sees 1 for every used expert.
    """
    if problem.objective == "max_load":
        return problem.mean_loads()[None], np.ones(1)
    if problem.objective == "activated":
        return (problem.loads_tokens > 0).astype(np.float64), problem.weights()
    return problem.loads_tokens, problem.weights()


def aggregate(problem: PlacementProblem, value: FloatArray, weights: FloatArray) -> FloatArray:
    """Join each layer's values over scenarios, ``(scenarios, layers)``, into its objective."""
    if problem.objective == "worst_max":
        worst: FloatArray = value.max(axis=0)
        return worst
    if problem.objective == "cvar":
        assert problem.cvar_tail is not None
        return _cvar(value, weights, problem.cvar_tail)
    mean: FloatArray = np.asarray(weights @ value)
    return mean


def copies_of(problem: PlacementProblem, table: npt.NDArray[Any]) -> IntArray:
    """Return the copies of each expert on each device, shape ``(layers, experts, devices)``."""
    shape = len(table), problem.num_experts, problem.num_devices
    return np.bincount(_places(problem, table), minlength=math.prod(shape)).reshape(shape)


def _places(problem: PlacementProblem, table: npt.NDArray[Any]) -> IntArray:
    """Return where each copy stands in a table ``(layers, experts, devices)``, as one number."""
    index = np.arange(len(table))[:, None] * problem.num_experts + table
    places: IntArray = (index * problem.num_devices + problem.slot_device())[table >= 0]
    return places


def layer_copies(problem: PlacementProblem, row: npt.NDArray[Any]) -> IntArray:
    """Return the copies in one layer, shape ``(experts, devices)``, of its row of slots."""
    copies: IntArray = copies_of(problem, row[None])[0]
    return copies


def moved_bytes(problem: PlacementProblem, table: npt.NDArray[Any]) -> float:
    """Return the bytes copied to devices that do not hold them in the previous plan."""
    if problem.previous is None:
        return 0.0
    # Pair by pair: a table of all experts on all devices is far larger than the plan.
    new = np.setdiff1d(_places(problem, table), _places(problem, problem.previous))
    shape = len(table), problem.num_experts
    number = np.bincount(new // problem.num_devices, minlength=math.prod(shape)).reshape(shape)
    return float((number * problem.bytes_of_experts()).sum())


def arrivals(problem: PlacementProblem, table: npt.NDArray[Any]) -> Arrivals:
    """Return the bytes that a plan brings to each device and node; none without a previous one."""
    node_of = np.eye(problem.cluster.num_nodes)[problem.cluster.device_node()]
    if problem.previous is None:
        shape = (len(table), problem.num_devices)
        return Arrivals(np.zeros(shape), np.zeros(shape) @ node_of)
    held = held_before(problem)
    new = (copies_of(problem, table) > 0) & ~held
    size = problem.bytes_of_experts()
    return Arrivals(
        device_bytes=np.einsum("leg,le->lg", new, size),
        node_bytes=np.einsum("leg,le->lg", new & ~near_before(problem), size) @ node_of,
    )


def held_before(problem: PlacementProblem) -> BoolArray:
    """Tell where the previous plan has copies; nowhere without one.

    Shape ``(layers, experts, devices)``.
    """
    if problem.previous is None:
        shape = (problem.num_layers, problem.num_experts, problem.num_devices)
        return np.zeros(shape, dtype=np.bool_)
    return np.asarray(copies_of(problem, problem.previous) > 0)


def near_before(problem: PlacementProblem) -> BoolArray:
    """Tell where a live device of the node has a copy in the previous plan: a dead one sends none.

    Shape ``(layers, experts, devices)``.
    """
    node_of = np.eye(problem.cluster.num_nodes)[problem.cluster.device_node()]
    on_node = (held_before(problem) & problem.live()) @ node_of
    return np.asarray(on_node @ node_of.T > 0)


def port_bytes_per_s(problem: PlacementProblem) -> FloatArray:
    """Return each device's port rate: its share of the network, or its link within one node."""
    return topology.port_bytes_per_s(problem.cluster)


def device_sums(per_slot: FloatArray, slots: IntArray) -> FloatArray:
    """Sum the last axis over each device's run of slots; a device may have none.

    Parameters
    ----------
    per_slot
        Shape ``(..., slots)``, slots rank-major.
    slots
        Slots of each device, shape ``(devices,)``.
    """
    if (slots == slots[0]).all() and slots[0] > 0:
        return np.asarray(per_slot.reshape(*per_slot.shape[:-1], len(slots), -1).sum(axis=-1))
    sums = np.zeros((*per_slot.shape[:-1], len(slots)))
    some = slots > 0
    starts = (np.cumsum(slots) - slots)[some]
    sums[..., some] = np.add.reduceat(per_slot, starts, axis=-1)
    return sums


def _device_tokens(
    problem: PlacementProblem, table: npt.NDArray[Any], loads: FloatArray
) -> FloatArray:
    """Return the tokens that each device serves, ``(scenarios, layers, devices)``."""
    if problem.split == "even":
        per_slot = slot_loads(table, loads, divide=problem.objective != "activated")
        return device_sums(per_slot, problem.slots())
    copies = copies_of(problem, table)
    if problem.split == "optimal":
        # Every scenario has its own shares.
        return np.stack([_served(shares_of_plan(problem, copies, w), w[None])[0] for w in loads])
    return _served(shares_of_plan(problem, copies, loads[0]), loads)


def _served(shares: FloatArray, loads: FloatArray) -> FloatArray:
    """Return the tokens served, ``(scenarios, layers, devices)``, at the same shares in each."""
    return np.asarray((loads.swapaxes(0, 1) @ shares).swapaxes(0, 1))


def _layer_times(
    problem: PlacementProblem, table: npt.NDArray[Any], loads: FloatArray
) -> FloatArray:
    """Return the seconds of each layer, ``(scenarios, layers)``."""
    timing = problem.timing
    assert timing is not None
    live = problem.live()
    speed, port = problem.cluster.relative_speed(), port_bytes_per_s(problem)
    seconds = np.empty(loads.shape[:2])
    for scenario, layers, traffic in traffic_of_plan(problem, copies_of(problem, table), loads):
        seconds[scenario, layers] = layer_time(
            traffic,
            relative_speed=speed,
            port_bytes_per_s=port,
            seconds_per_token=timing.seconds_per_token,
            dispatch_bytes_per_token=timing.dispatch_bytes_per_token,
            combine_bytes_per_token=timing.combine_bytes_per_token,
            gate_s=np.where(live, timing.gate_s, 0.0),
            aggregation_s=np.where(live, timing.aggregation_s, 0.0),
        ).total_s
    return seconds


def _cross_node_tokens(
    problem: PlacementProblem, table: npt.NDArray[Any], loads: FloatArray, weights: FloatArray
) -> float:
    mean = np.tensordot(weights, loads, axes=1)
    shares = shares_of_plan(problem, copies_of(problem, table), mean)
    node_of = np.eye(problem.cluster.num_nodes)[problem.cluster.device_node()]
    by_node = mean[..., None] * (shares @ node_of)
    layers, nodes = problem.num_layers, problem.cluster.num_nodes
    by_group = by_node.reshape(layers, problem.groups, -1, nodes).sum(axis=2)
    return float((by_group.sum(axis=2) - by_group.max(axis=2)).sum())


def _cvar(value: FloatArray, weights: FloatArray, tail: float) -> FloatArray:
    """Return the mean of the worst `tail` of the scenarios, the last one counted in part."""
    order = np.argsort(-value, axis=0, kind="stable")
    ranked = np.take_along_axis(value, order, axis=0)
    mass = weights[order]
    before = np.cumsum(mass, axis=0) - mass
    counted = np.clip(tail - before, 0.0, mass)
    result: FloatArray = (ranked * counted).sum(axis=0) / counted.sum(axis=0)
    return result


def _violation(constraint: str, where: str, message: str, amount: float) -> Violation:
    path = f"$.physical_to_logical{where}"
    return Violation(constraint=constraint, path=path, message=message, amount=amount)


def _worst(constraint: str, excess: npt.NDArray[Any], what: str) -> list[Violation]:
    """Return one violation for the largest positive entry of `excess` (layer first), if any."""
    if excess.size == 0 or excess.max() <= 0:
        return []
    index = np.unravel_index(int(np.argmax(excess)), excess.shape)
    layer, *rest = (int(i) for i in index)
    message = f"{what.format(*rest)} in layer {layer}"
    return [_violation(constraint, f"[{layer}]", message, float(excess[index]))]


def _copies_violations(problem: PlacementProblem, copies: IntArray) -> list[Violation]:
    total = copies.sum(axis=2)
    least = problem.min_copies_per_expert
    found = _worst("C1", least - total, f"expert {{}} must have at least {least} copies")
    most = problem.max_copies_per_device
    # The excess is as large as the copies themselves: it is worked out where there is one.
    if most is not None and copies.max(initial=0) > most:
        what = f"expert {{}} must have at most {most} copies on device {{}}"
        found += _worst("C3", copies - most, what)
    if problem.max_copies_per_expert is not None:
        most = problem.max_copies_per_expert
        found += _worst("C4", total - most, f"expert {{}} must have at most {most} copies")
    return found


def _slot_violations(problem: PlacementProblem, table: npt.NDArray[Any]) -> list[Violation]:
    slot_live = problem.live()[problem.slot_device()]
    found = _worst("C8", (table >= 0) & ~slot_live, "slot {} of a dead device must be empty")
    if not problem.allow_empty_slots:
        found += _worst("C2", (table < 0) & slot_live, "slot {} must hold an expert")
    return found


def _pair_violations(problem: PlacementProblem, copies: IntArray) -> list[Violation]:
    found = []
    if problem.pinned:
        missing = problem.pair_mask(problem.pinned) & (copies == 0)
        found += _worst("C6", missing, "expert {} is pinned and must be on device {}")
    if problem.forbidden:
        there = problem.pair_mask(problem.forbidden) & (copies > 0)
        found += _worst("C7", there, "expert {} is forbidden on device {}")
    return found


def _node_violations(problem: PlacementProblem, copies: IntArray) -> list[Violation]:
    if not problem.distinct_nodes and problem.group_rule == "free":
        return []
    node_of = np.eye(problem.cluster.num_nodes, dtype=np.int64)[problem.cluster.device_node()]
    by_node = copies @ node_of
    found = []
    if problem.distinct_nodes:
        found += _worst("C9", by_node - 1, "expert {} must have at most one copy on node {}")
    if problem.group_rule == "one_node":
        shape = (problem.num_layers, problem.groups, -1, problem.cluster.num_nodes)
        nodes = (by_node.reshape(shape).sum(axis=2) > 0).sum(axis=2)
        found += _worst("C10", nodes - 1, "group {} must sit on one node")
    return found


def _memory_violations(problem: PlacementProblem, copies: IntArray) -> list[Violation]:
    if problem.expert_bytes is None:
        return []
    used = np.einsum("leg,le->g", copies, problem.bytes_of_experts())
    what = "device {0} holds {1:.6g} bytes of experts, at most {2:.6g} fit"
    return _most_over("C5", used, problem.memory_budget_bytes(), what)


def _move_violations(problem: PlacementProblem, table: npt.NDArray[Any]) -> list[Violation]:
    found = arrivals(problem, table)
    of_device, of_node = problem.arrival_budget_bytes()
    in_all = np.inf if problem.max_moved_bytes is None else float(problem.max_moved_bytes)
    moved = np.array([found.device_bytes.sum()])
    in_sum = "moves {1:.6g} bytes, at most {2:.6g} may move"
    at_device = "{1:.6g} bytes arrive at device {0}, at most {2:.6g} may"
    at_node = "{1:.6g} bytes arrive at node {0} from other nodes, at most {2:.6g} may"
    return [
        *_most_over("C11", moved, np.array([in_all]), in_sum),
        *_most_over("C12", found.device_bytes.sum(axis=0), of_device, at_device),
        *_most_over("C13", found.node_bytes.sum(axis=0), of_node, at_node),
    ]


def _most_over(constraint: str, used: FloatArray, budget: FloatArray, what: str) -> list[Violation]:
    """Return one violation for whatever is furthest over its budget of bytes, if anything is."""
    if not (used > budget * (1 + TOLERANCE)).any():
        return []
    worst = int(np.argmax(used - budget))
    message = what.format(worst, used[worst], budget[worst])
    return [_violation(constraint, "", message, float(used[worst] - budget[worst]))]
