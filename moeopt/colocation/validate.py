"""Checks of a stated colocation problem: what is malformed, and what no plan can satisfy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, require_finite_nonnegative
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Violation

if TYPE_CHECKING:
    from moeopt.colocation.problem import ColocationProblem, ModelLayer

#: Most cells of all models' traffic, of experts on devices, and of places on devices: a misprinted
#: size must not fill the memory.
MAX_CELLS = 50_000_000


def validate(problem: ColocationProblem) -> None:
    """Raise `InstanceError` for the first thing that is malformed or contradicts another."""
    if not problem.models:
        raise InstanceError("$.models", [], "must name a model", "add one layer of each model")
    for i, model in enumerate(problem.models):
        _check_traffic(model, f"$.models[{i}].traffic_tokens")
    _check_sizes(problem)
    _check_bandwidths(problem)
    _check_seconds(problem)
    _check_memory(problem)
    _check_pins(problem)


def impossible(problem: ColocationProblem) -> list[Violation]:
    """Return the constraints that no plan can satisfy, as far as counting alone shows."""
    return [
        violation
        for check in (_places_impossible, _memory_impossible, _pins_impossible)
        for violation in check(problem)
    ]


def _check_traffic(model: ModelLayer, path: str) -> None:
    traffic = model.traffic_tokens
    if traffic.ndim != 2 or 0 in traffic.shape or traffic.shape[0] != traffic.shape[1]:
        raise InstanceError(
            path,
            f"<shape {traffic.shape}>",
            "must have shape (experts, experts), not 0",
            "give a row and a column for each expert",
        )
    require_finite_nonnegative(traffic, path)


def _check_sizes(problem: ColocationProblem) -> None:
    models, experts = problem.num_models, problem.num_experts
    devices, places = problem.num_devices, problem.experts_per_device
    counted = {
        "models": ("models x experts x experts", models * experts * experts),
        "cluster": ("models x experts x devices", models * experts * devices),
        "experts_per_device": ("models x devices x places", models * devices * places),
    }
    for name, (what, cells) in counted.items():
        if cells > MAX_CELLS:
            raise InstanceError(
                f"$.{name}",
                f"<{cells} cells>",
                f"must make at most {MAX_CELLS} cells, counted as {what}",
                "is a count misprinted?",
            )


def _check_bandwidths(problem: ColocationProblem) -> None:
    if problem.num_devices == 1 or not any(_needs_network(model) for model in problem.models):
        return
    between = problem.cluster.num_nodes > 1
    first = 0
    for group in problem.cluster.nodes:
        node = group.resolved_node()
        device = node.resolved_device()
        rate = node.nic_bandwidth_bytes_per_s if between else device.link_bandwidth_bytes_per_s
        if rate is None:
            name = "nic_bandwidth_bytes_per_s" if between else "device.link_bandwidth_bytes_per_s"
            raise InstanceError(
                "$.cluster.nodes",
                f"<node {first} without {name}>",
                "must state its bandwidth: tokens travel",
                "add it, or name a preset",
            )
        first += group.count


def _needs_network(model: ModelLayer) -> bool:
    carried = model.dispatch_bytes_per_token + model.combine_bytes_per_token
    return carried > 0 and bool(model.remote().any())


def _check_seconds(problem: ColocationProblem) -> None:
    """Refuse models whose time would overflow, were all of it done by the slowest device."""
    from moeopt.describe.topology import port_bytes_per_s

    speed = problem.cluster.relative_speed().min()
    port = port_bytes_per_s(problem.cluster).min()
    total = 0.0
    for i, model in enumerate(problem.models):
        with np.errstate(over="ignore", invalid="ignore"):
            tokens = model.traffic_tokens.sum(dtype=np.float64)
            carried = model.dispatch_bytes_per_token + model.combine_bytes_per_token
            fixed = model.num_experts * (model.gate_s + model.aggregation_s)
            total += (fixed + tokens * model.seconds_per_token) / speed + tokens * carried / port
        if not np.isfinite(total):
            raise InstanceError(
                f"$.models[{i}]",
                f"<seconds above {np.finfo(float).max:.3g}>",
                "must take a finite time",
                "rescale its tokens, bytes or seconds",
            )


def _check_memory(problem: ColocationProblem) -> None:
    budget = problem.expert_memory_bytes
    if budget is None:
        return
    if isinstance(budget, tuple) and len(budget) != problem.num_devices:
        raise InstanceError(
            "$.expert_memory_bytes",
            f"<{len(budget)} entries>",
            f"must have one entry for each of the {problem.num_devices} devices",
            "or give one number for all",
        )
    if all(model.expert_bytes is None for model in problem.models):
        raise InstanceError(
            "$.expert_memory_bytes",
            budget,
            "must be left out if no model states expert_bytes",
            "add expert_bytes to the models",
        )


def _check_pins(problem: ColocationProblem) -> None:
    seen: dict[tuple[int, int], int] = {}
    for i, pin in enumerate(problem.pinned):
        path = f"$.pinned[{i}]"
        _require_index(pin.model, problem.num_models, f"{path}.model", "models")
        experts = problem.models[pin.model].num_experts
        _require_index(pin.expert, experts, f"{path}.expert", "experts of that model")
        _require_index(pin.device, problem.num_devices, f"{path}.device", "devices")
        before = seen.setdefault((pin.model, pin.expert), pin.device)
        if before != pin.device:
            raise InstanceError(
                f"{path}.device",
                pin.device,
                f"must be {before}, where the same expert is pinned already: it sits on one device",
                "remove one of the two",
            )


def _require_index(value: int, count: int, path: str, of: str) -> None:
    if value >= count:
        raise InstanceError(
            path, value, f"must be 0 to {count - 1}: there are {count} {of}", "correct the index"
        )


def _places_impossible(problem: ColocationProblem) -> list[Violation]:
    places = problem.num_devices * problem.experts_per_device
    return [
        _violation(
            "C2",
            "$.experts_per_device",
            f"model {m} has {experts} experts for {places} places on {problem.num_devices} devices;"
            " raise experts_per_device, or add devices",
            experts - places,
        )
        for m, experts in enumerate(problem.experts().tolist())
        if experts > places
    ]


def _memory_impossible(problem: ColocationProblem) -> list[Violation]:
    """Look for one model, or all together, with more bytes than there is memory."""
    size, budget = problem.expert_sizes(), problem.memory_budget_bytes()
    path = "$.expert_memory_bytes"
    found = []
    for m, experts in enumerate(problem.experts().tolist()):
        if size[m] > 0 and experts <= problem.num_devices * problem.experts_per_device:
            room = np.minimum(np.floor(budget / size[m]), problem.experts_per_device)
            if room.sum() < experts:
                message = (
                    f"only {room.sum():.0f} of the {experts} experts of model {m} fit into the"
                    " devices' memory; raise it"
                )
                missing = float((experts - room.sum()) * size[m])
                found.append(_violation("C3", path, message, missing))
    total = float(size @ problem.experts())
    if not found and total > budget.sum():
        message = f"{total:.6g} bytes of experts, {budget.sum():.6g} fit; raise the memory"
        found.append(_violation("C3", path, message, total - float(budget.sum())))
    return found


def _pins_impossible(problem: ColocationProblem) -> list[Violation]:
    """Look for a device with more experts pinned to it than it may hold."""
    pinned = pinned_counts(problem)
    if not pinned.any():
        return []
    found = []
    over = pinned - problem.experts_per_device
    if over.max() > 0:
        m, g = (int(i) for i in np.unravel_index(int(np.argmax(over)), over.shape))
        message = (
            f"{pinned[m, g]} experts of model {m} are pinned to device {g}, at most"
            f" {problem.experts_per_device} may sit there; move a pin"
        )
        found.append(_violation("C4", "$.pinned", message, float(over.max())))
    excess: FloatArray = problem.expert_sizes() @ pinned - problem.memory_budget_bytes()
    if excess.max() > 0:
        g = int(np.argmax(excess))
        message = f"the experts pinned to device {g} exceed its memory; move a pin"
        found.append(_violation("C3", "$.pinned", message, float(excess.max())))
    return found


def pinned_counts(problem: ColocationProblem) -> IntArray:
    """Return how many experts of each model are pinned to each device, ``(models, devices)``."""
    counts = np.zeros((problem.num_models, problem.num_devices), dtype=np.int64)
    for model, _, device in {(pin.model, pin.expert, pin.device) for pin in problem.pinned}:
        counts[model, device] += 1
    return counts


def _violation(constraint: str, path: str, message: str, amount: float) -> Violation:
    return Violation(constraint=constraint, path=path, message=message, amount=float(amount))
