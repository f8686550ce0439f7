"""One layer of any placement problem as plain arrays, for the kernels that carry every rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.placement.plan import (
    copies_of,
    held_before,
    near_before,
    port_bytes_per_s,
    scenario_loads,
)
from moeopt.placement.problem import PlacementProblem

#: Codes of the kernels for how scenarios are joined.
MEAN, WORST, TAIL = 0, 1, 2


@dataclass(frozen=True)
class Rules:
    """What holds for all layers.

    Attributes
    ----------
    slot_start
        First slot of each device, and the number of slots.
    rates
        ``(terms, devices)``: one over the rate at which a device does each term's work; the
        objective is the sum over terms of the largest ``load * rate``.
    node
        ``(devices,)``.
    allowed, pinned
        ``(layers, experts, devices)``.
    held
        ``(layers, experts, devices)``: what each device holds in the previous plan.
    near
        ``(layers, experts, devices)``: what a live device of its node holds there.
    size
        ``(layers, experts)`` bytes.
    most
        ``(layers, experts)``: most copies of each expert.
    """

    slot_start: IntArray
    rates: FloatArray
    node: IntArray
    allowed: BoolArray
    pinned: BoolArray
    held: BoolArray
    near: BoolArray
    size: FloatArray
    most: IntArray


@dataclass(frozen=True)
class Network:
    """The tokens of one layer that may need the network, whatever the plan.

    Under the even split the port of a device sends ``sends + sum_e x_e (leaves_e - local_e)`` and
    receives ``sum_e x_e (load_e - local_e)``, where ``x_e`` is its share of an expert and
    ``local_e = stays_e + sum_f x_f between_fe``.

    Attributes
    ----------
    sends
        ``(scenarios, devices)``: tokens that a device sends whatever it holds.
    leaves
        ``(scenarios, experts)``: tokens that the device of an expert sends because of it.
    stays
        ``(scenarios, experts, devices)``: those of an expert's tokens that are on a device before
        they are sent.
    between
        ``(experts, experts)``: tokens from the device of each expert to each other expert, local
        if both are on one device; ``(0, 0)`` where sources stay with the devices.
    """

    sends: FloatArray
    leaves: FloatArray
    stays: FloatArray
    between: FloatArray


def network_of(problem: PlacementProblem, layer: int) -> Network:
    """Return what may need the network in a layer; nothing unless the objective sees it."""
    if problem.objective != "layer_time":
        none = np.zeros((0, 0))
        return Network(none, none, np.zeros((0, 0, 0)), none)
    if problem.expert_traffic_tokens is not None:
        tokens = problem.expert_traffic_tokens[layer]
        own = np.diagonal(tokens)
        return Network(
            sends=np.zeros((1, problem.num_devices)),
            leaves=tokens.sum(axis=1)[None],
            stays=np.repeat(own[None, :, None], problem.num_devices, axis=2),
            between=tokens - np.diag(own),
        )
    loads, _ = scenario_loads(problem)
    # In C order whatever the order of the shares: kernels are compiled for each.
    stays = np.ascontiguousarray(loads[:, layer, :, None] * problem.source_shares()[:, layer].T)
    return Network(
        sends=stays.sum(axis=1),
        leaves=np.zeros(stays.shape[:2]),
        stays=stays,
        between=np.zeros((0, 0)),
    )


def rules_of(problem: PlacementProblem, allowed: BoolArray | None = None) -> Rules:
    """Return the rules of a problem; `allowed` narrows where experts may sit."""
    open_pairs = problem.allowed() if allowed is None else problem.allowed() & allowed
    per_device = problem.max_copies_per_device or problem.num_slots
    most = np.minimum(open_pairs.sum(axis=2) * per_device, problem.copies_limit())
    return Rules(
        slot_start=problem.slot_start(),
        rates=term_rates(problem),
        node=problem.cluster.device_node(),
        allowed=open_pairs,
        pinned=problem.pair_mask(problem.pinned),
        held=held_before(problem),
        near=near_before(problem),
        size=np.ascontiguousarray(problem.bytes_of_experts()),
        most=most.astype(np.int64),
    )


def home_mask(problem: PlacementProblem, table: IntArray) -> BoolArray | None:
    """Return where experts may sit so that groups stay on the nodes they are on in `table`.

    Shape ``(layers, experts, devices)``; ``None`` where they need not.
    """
    if problem.group_rule == "free":
        return None
    node = problem.cluster.device_node()
    copies = copies_of(problem, table)
    home = node[np.argmax(copies > 0, axis=2)]
    return np.asarray(home[:, :, None] == node)


def term_rates(problem: PlacementProblem) -> FloatArray:
    """Return the rate of each term on each device, ``(terms, devices)`` (see `Rules`).

    ``"layer_time"`` has two terms, computation, whose loads are tokens served, and the two
    all-to-alls, whose loads are the tokens of a port's busier direction (see `Network`). What the
    gate and the aggregation add is the same for all plans.
    """
    slow = 1.0 / problem.cluster.relative_speed()
    if problem.objective != "layer_time":
        return slow[None]
    assert problem.timing is not None
    carried = problem.timing.dispatch_bytes_per_token + problem.timing.combine_bytes_per_token
    busy = carried / port_bytes_per_s(problem)
    return np.stack([slow * problem.timing.seconds_per_token, busy])


def fixed_seconds(problem: PlacementProblem) -> float:
    """Return the seconds of a layer that no plan changes: the slowest gate and aggregation."""
    timing = problem.timing
    if timing is None:
        return 0.0
    slowest = float(problem.cluster.relative_speed()[problem.live()].min())
    return timing.gate_s / slowest + timing.aggregation_s / slowest


def joining(problem: PlacementProblem) -> tuple[int, float]:
    """Return how scenarios are joined, as the kernels' code, and the tail."""
    if problem.objective == "worst_max":
        return WORST, 1.0
    if problem.objective == "cvar":
        return TAIL, float(problem.cvar_tail or 1.0)
    return MEAN, 1.0


def loads_and_weights(problem: PlacementProblem) -> tuple[FloatArray, FloatArray]:
    """Return the loads the objective sees, contiguous, and the scenario weights."""
    loads, weights = scenario_loads(problem)
    return np.ascontiguousarray(loads), np.ascontiguousarray(weights)


def memory_can_bind(problem: PlacementProblem) -> bool:
    """Tell whether some choice of experts overfills a device: only then does C5 join layers."""
    if problem.expert_bytes is None:
        return False
    repeats = problem.max_copies_per_device
    slots = problem.slots()
    ranked = -np.sort(-problem.bytes_of_experts(), axis=1)
    budget = problem.memory_budget_bytes()
    for device in np.flatnonzero(problem.live() & np.isfinite(budget)):
        each = int(slots[device]) if repeats is None else repeats
        fullest = np.repeat(ranked, max(each, 1), axis=1)[:, : slots[device]]
        if fullest.sum() > budget[device]:
            return True
    return False


def layers_joined(problem: PlacementProblem) -> bool:
    """Tell whether a rule joins the layers: C5 if it can bind, or C11, C12 or C13."""
    joined = memory_can_bind(problem) or problem.limits_moves()
    return joined and problem.num_layers > 1
