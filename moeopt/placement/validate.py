"""Checks of a stated placement problem: what is malformed, or contradicts something else in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from moeopt.core.arrays import (
    FloatArray,
    own_array,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import InstanceError

if TYPE_CHECKING:
    from moeopt.placement.problem import Pair, PlacementProblem


#: Most cells of a table over layers, and experts on devices or slots: 20 times the largest that
#: is served today. It keeps a misprinted count from filling the memory.
MAX_CELLS = 100_000_000

#: By how much the columns of the traffic may miss the loads, as a share of the layer's tokens.
_SUMS_AGREE = 1e-9

#: Most of an objective, or of a part of it.
_MOST = np.finfo(float).max / 2**20


def normalise(problem: PlacementProblem) -> None:
    """Bring the arrays of a new problem to their documented shapes."""
    loads = problem.loads_tokens
    if loads.ndim == 2:
        # Checked while the indices are still those that the user wrote.
        require_finite_nonnegative(loads, "$.loads_tokens")
        _set(problem, "loads_tokens", loads[None])
    size = problem.expert_bytes
    if isinstance(size, np.ndarray) and size.ndim == 0:
        _set(problem, "expert_bytes", size.item())


def validate(problem: PlacementProblem) -> None:
    """Raise `InstanceError` for the first thing that is malformed or contradicts another."""
    _check_loads(problem)
    _check_devices(problem)
    _check_bytes(problem)
    _check_groups(problem)
    _check_copies(problem)
    _check_pairs(problem)
    _check_objective(problem)
    _check_sources(problem)
    _check_traffic(problem)
    _check_previous(problem)
    _check_finite(problem)


def _check_finite(problem: PlacementProblem) -> None:
    """Refuse objectives that would overflow, were everything on the slowest device."""
    # Imported here: rules need the problem's class, and that class runs the checks.
    from moeopt.placement.rules import fixed_seconds, term_rates

    layers, devices = problem.num_layers, problem.num_devices
    with np.errstate(over="ignore", invalid="ignore"):
        tokens = problem.loads_tokens.sum()
        parts = {
            "loads_tokens": tokens * max(1.0, 1.0 / problem.cluster.relative_speed().min()),
            "source_tokens": 0.0 if problem.source_tokens is None else problem.source_tokens.sum(),
            "timing": tokens * term_rates(problem).sum(axis=0).max()
            + fixed_seconds(problem) * layers,
            "cross_node_price": problem.cross_node_price * max(tokens, problem.num_slots * layers),
            "expert_bytes": problem.bytes_of_experts().sum() * devices,
        }
        parts["move_price_per_byte"] = problem.move_price_per_byte * parts["expert_bytes"]
    for name, most in parts.items():
        # With room for what is summed on the way, over copies and over parts of the objective.
        if not most <= _MOST:
            raise InstanceError(
                f"$.{name}",
                f"<a sum of {most:.3g}>",
                f"must sum up, over all that it counts for, to at most {_MOST:.3g}",
                "rescale it",
            )


def _set(problem: PlacementProblem, name: str, value: object) -> None:
    msgspec.structs.force_setattr(problem, name, value)


def _check_loads(problem: PlacementProblem) -> None:
    loads = problem.loads_tokens
    if loads.ndim != 3 or 0 in loads.shape:
        raise InstanceError(
            "$.loads_tokens",
            f"<shape {loads.shape}>",
            "must have shape (scenarios, layers, experts) or (layers, experts), none of them 0",
            "give at least one scenario, layer and expert",
        )
    require_finite_nonnegative(loads, "$.loads_tokens")
    _require_finite_sum(loads, "$.loads_tokens")
    weights = problem.scenario_weights
    if weights is None:
        return
    require_shape(weights, "$.scenario_weights", loads.shape[:1], "scenarios")
    require_finite_nonnegative(weights, "$.scenario_weights")
    _require_finite_sum(weights, "$.scenario_weights")
    if weights.sum() <= 0:
        raise InstanceError(
            "$.scenario_weights", 0, "must not all be 0", "give one scenario a weight"
        )


def _require_finite_sum(array: FloatArray, path: str) -> None:
    with np.errstate(over="ignore"):
        total = array.sum(dtype=np.float64)
    if not np.isfinite(total):
        raise InstanceError(
            path, f"<a sum above {np.finfo(float).max:.3g}>", "must have a finite sum", "rescale it"
        )


def _check_size(problem: PlacementProblem, name: str, per_layer: int, counted: str) -> None:
    if problem.num_layers * per_layer > MAX_CELLS:
        raise InstanceError(
            f"$.{name}",
            f"<{problem.num_layers * per_layer} cells>",
            f"must make at most {MAX_CELLS} cells, counted as {counted}",
            "is a count misprinted? else split the problem by layers",
        )


def _check_devices(problem: PlacementProblem) -> None:
    devices = problem.num_devices
    # Before anything is made for each device: a count misprinted would fill the memory.
    size = problem.num_experts * devices
    _check_size(problem, "cluster", size, "layers x experts x devices")
    _require_one_each(problem.slots_per_device, devices, "$.slots_per_device")
    _check_size(problem, "slots_per_device", problem.num_slots, "layers x slots")
    seen: set[int] = set()
    for i, dead in enumerate(problem.dead_devices):
        _require_index(dead, devices, f"$.dead_devices[{i}]", "devices")
        if dead in seen:
            raise InstanceError(
                f"$.dead_devices[{i}]", dead, "must be named once", "remove the repetition"
            )
        seen.add(dead)
    if len(set(problem.dead_devices)) == devices:
        raise InstanceError(
            "$.dead_devices",
            list(problem.dead_devices),
            "must leave a device alive",
            "remove an entry",
        )


def _check_bytes(problem: PlacementProblem) -> None:
    layers, experts = problem.num_layers, problem.num_experts
    if isinstance(problem.expert_bytes, np.ndarray):
        shape = (layers, experts) if problem.expert_bytes.ndim == 2 else (experts,)
        meaning = "layers, experts" if problem.expert_bytes.ndim == 2 else "experts"
        require_shape(problem.expert_bytes, "$.expert_bytes", shape, meaning)
    if problem.expert_bytes is not None:
        require_finite_nonnegative(np.asarray(problem.expert_bytes), "$.expert_bytes")
    if problem.expert_memory_bytes is not None:
        _require_one_each(problem.expert_memory_bytes, problem.num_devices, "$.expert_memory_bytes")
        _require_given(problem, "expert_bytes", "expert_memory_bytes")


def _check_groups(problem: PlacementProblem) -> None:
    if problem.num_experts % problem.groups:
        raise InstanceError(
            "$.groups",
            problem.groups,
            f"must divide the {problem.num_experts} experts",
            "use 1 for no groups",
        )
    if problem.cross_node_price > 0 and problem.group_rule == "one_node":
        raise InstanceError(
            "$.cross_node_price",
            problem.cross_node_price,
            'must be 0 with group_rule "one_node", which leaves no token outside',
            "choose the rule or the price",
        )


def _check_copies(problem: PlacementProblem) -> None:
    most = problem.max_copies_per_expert
    if most is not None and most < problem.min_copies_per_expert:
        raise InstanceError(
            "$.max_copies_per_expert",
            most,
            f"must be at least min_copies_per_expert = {problem.min_copies_per_expert}",
            "raise it or lower the other",
        )


def _check_pairs(problem: PlacementProblem) -> None:
    for name in ("pinned", "forbidden"):
        for i, pair in enumerate(getattr(problem, name)):
            path = f"$.{name}[{i}]"
            _require_index(pair.expert, problem.num_experts, f"{path}.expert", "experts")
            _require_index(pair.device, problem.num_devices, f"{path}.device", "devices")
            if pair.layer is not None:
                _require_index(pair.layer, problem.num_layers, f"{path}.layer", "layers")
    dead = set(problem.dead_devices)
    banned: dict[tuple[int, int], set[int | None]] = {}
    for ban in problem.forbidden:
        banned.setdefault((ban.expert, ban.device), set()).add(ban.layer)
    for i, pin in enumerate(problem.pinned):
        if pin.device in dead:
            raise _pin_error(i, pin, f"device {pin.device} is in dead_devices")
        layers = banned.get((pin.expert, pin.device), set())
        if layers and (pin.layer is None or layers & {None, pin.layer}):
            raise _pin_error(i, pin, "the same pair is in forbidden")


def _check_objective(problem: PlacementProblem) -> None:
    _require_together(problem, "cvar_tail", problem.objective == "cvar", 'objective "cvar"')
    _require_together(problem, "timing", problem.objective == "layer_time", '"layer_time"')
    if problem.cvar_tail is not None and problem.cvar_tail > 1:
        raise InstanceError(
            "$.cvar_tail", problem.cvar_tail, "must be in (0, 1]", "0.1 is the worst tenth"
        )
    if problem.objective == "activated" and problem.split != "even":
        raise InstanceError(
            "$.split",
            problem.split,
            'must be "even" with objective "activated": every copy of a used expert is activated',
            'write "split": "even"',
        )
    if problem.split == "optimal" and (
        problem.objective == "layer_time" or problem.cross_node_price > 0
    ):
        raise InstanceError(
            "$.split",
            problem.split,
            'must not be "optimal" with objective "layer_time" or a cross_node_price: the split'
            " that makes the largest load least is not unique, and they see which is taken",
            'use "even" or "nearest"',
        )
    if problem.objective == "layer_time":
        _check_bandwidths(problem)


def _check_bandwidths(problem: PlacementProblem) -> None:
    between = problem.cluster.num_nodes > 1
    for n, node in enumerate(problem.cluster.all_nodes()):
        device = node.resolved_device()
        rate = node.nic_bandwidth_bytes_per_s if between else device.link_bandwidth_bytes_per_s
        if rate is None:
            name = "nic_bandwidth_bytes_per_s" if between else "device.link_bandwidth_bytes_per_s"
            raise InstanceError(
                "$.cluster.nodes",
                f"<node {n} without {name}>",
                'must state its bandwidth for objective "layer_time"',
                "add it, or name a preset",
            )


def _check_sources(problem: PlacementProblem) -> None:
    if problem.source_tokens is None:
        return
    if problem.split != "nearest" and problem.objective != "layer_time":
        raise InstanceError(
            "$.source_tokens",
            f"<shape {problem.source_tokens.shape}>",
            'must be left out unless split is "nearest" or objective "layer_time"',
            "remove it: nothing would read it",
        )
    shape = (problem.num_devices, problem.num_layers, problem.num_experts)
    require_shape(problem.source_tokens, "$.source_tokens", shape, "devices, layers, experts")
    require_finite_nonnegative(problem.source_tokens, "$.source_tokens")
    dead = list(problem.dead_devices)
    if problem.source_tokens[dead].any():
        raise InstanceError(
            "$.source_tokens", "<tokens>", "must be 0 for dead devices", "set their rows to 0"
        )


def _check_traffic(problem: PlacementProblem) -> None:
    traffic = problem.expert_traffic_tokens
    if traffic is None:
        return
    layers, experts = problem.num_layers, problem.num_experts
    path, shown = "$.expert_traffic_tokens", f"<shape {traffic.shape}>"
    if problem.objective != "layer_time":
        rule = 'must be left out unless objective is "layer_time"'
        raise InstanceError(path, shown, rule, "remove it: nothing would read it")
    if problem.source_tokens is not None:
        rule = "must be left out with source_tokens: sources move with experts, or they do not"
        raise InstanceError(path, shown, rule, "remove one of the two")
    if problem.split != "even":
        rule = 'must be "even" with expert_traffic_tokens, whose sources are split over copies too'
        raise InstanceError("$.split", problem.split, rule, 'write "split": "even"')
    if problem.num_scenarios > 1:
        rule = f"must be left out with {problem.num_scenarios} scenarios: it is the traffic of one"
        raise InstanceError(path, shown, rule, "give the loads of one scenario")
    require_shape(traffic, path, (layers, experts, experts), "layers, experts, experts")
    require_finite_nonnegative(traffic, path)
    served, loads = traffic.sum(axis=1), problem.loads_tokens[0]
    off = np.abs(served - loads) > _SUMS_AGREE * loads.sum(axis=1, keepdims=True)
    if off.any():
        layer, expert = np.argwhere(off)[0].tolist()
        raise InstanceError(
            f"{path}[{layer}][..][{expert}]",
            f"<a column of {served[layer, expert]:.6g} tokens>",
            f"must sum to the expert's load, {loads[layer, expert]:.6g} tokens",
            "let loads_tokens be its column sums",
        )


def _check_previous(problem: PlacementProblem) -> None:
    used = {
        "move_price_per_byte": problem.move_price_per_byte > 0,
        "max_moved_bytes": problem.max_moved_bytes is not None,  # 0 is a limit too
        "max_moved_bytes_per_device": problem.max_moved_bytes_per_device is not None,
        "max_moved_bytes_per_node": problem.max_moved_bytes_per_node is not None,
    }
    for name in (name for name, is_used in used.items() if is_used):
        _require_given(problem, "previous", name)
        _require_given(problem, "expert_bytes", name)
    devices, nodes = problem.num_devices, problem.cluster.num_nodes
    name = "$.max_moved_bytes_per_device"
    _require_one_each(problem.max_moved_bytes_per_device, devices, name)
    name = "$.max_moved_bytes_per_node"
    _require_one_each(problem.max_moved_bytes_per_node, nodes, name, "node")
    if problem.previous is None:
        return
    shape = (problem.num_layers, problem.num_slots)
    require_shape(problem.previous, "$.previous", shape, "layers, slots")
    bad = (
        (problem.previous < -1)
        | (problem.previous >= problem.num_experts)
        | (problem.previous != np.floor(problem.previous))
    )
    if bad.any():
        layer, slot = np.argwhere(bad)[0].tolist()
        raise InstanceError(
            f"$.previous[{layer}][{slot}]",
            problem.previous[layer, slot].item(),
            f"must be an expert 0 to {problem.num_experts - 1}, or -1 for an empty slot",
            "correct the entry",
        )
    _set(problem, "previous", own_array(problem.previous, "$.previous", np.int64))


def _require_one_each(
    value: int | tuple[int, ...] | None, count: int, path: str, of: str = "device"
) -> None:
    if isinstance(value, tuple) and len(value) != count:
        raise InstanceError(
            path,
            list(value),
            f"must be one number or {count}, one for each {of} of the cluster",
            f"it has {len(value)}: complete it",
        )


def _require_index(value: int, count: int, path: str, of: str) -> None:
    if value >= count:
        raise InstanceError(
            path, value, f"must be 0 to {count - 1}: there are {count} {of}", "correct the index"
        )


def _require_given(problem: PlacementProblem, name: str, needed_by: str) -> None:
    if getattr(problem, name) is None:
        raise InstanceError(
            f"$.{name}", None, f"must be given with {needed_by}", f"add it, or drop {needed_by}"
        )


def _require_together(problem: PlacementProblem, name: str, needed: bool, by: str) -> None:
    value = getattr(problem, name)
    if needed and value is None:
        raise InstanceError(f"$.{name}", None, f"must be given with {by}", "add it")
    if not needed and value is not None:
        raise InstanceError(
            f"$.{name}", value, f"must be left out without {by}", "remove it: nothing would read it"
        )


def _pin_error(i: int, pin: Pair, why: str) -> InstanceError:
    return InstanceError(
        f"$.pinned[{i}]",
        f"expert {pin.expert} on device {pin.device}",
        f"must be possible, but {why}",
        "remove one of the two",
    )
