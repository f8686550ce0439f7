"""What is in the way of a better placement: which bound a layer meets, and which rules are used up.

A layer's bound is the largest of several (`moeopt.placement.bounds`); the one that is largest is
the reason why no plan is better, wherever the plan reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.units import bytes_text
from moeopt.placement import balance
from moeopt.placement.bounds import pigeonhole_bound
from moeopt.placement.plan import arrivals
from moeopt.placement.rules import memory_can_bind
from moeopt.report.placement.numbers import Told, copies_text, memory_bytes
from moeopt.report.wings import Fact

#: A layer this close to a perfectly even load is told to be even.
CLOSE = 1e-3

#: A bound is the cause where it alone makes this share of what is above an even load.
CAUSE = 0.9

#: Layers that are told of one by one.
WORST = 3

_EVEN, _EXPERT, _SIZES, _GROUPS, _PROOF, _OPEN = range(6)

_REASONS = {
    _EVEN: "nothing: devices are loaded alike",
    _EXPERT: "the largest copy: copies of one expert are as much as a device takes",
    _SIZES: "large experts without a copy: some device must hold several of them",
    _GROUPS: "groups that must stay on one node: the hottest node",
    _PROOF: "several things together: the bound has no single cause",
    _OPEN: "not known: a better plan may exist, or the bound is too low",
}


def binds(told: Told) -> list[Fact]:
    """Return what stands in the way of better."""
    return [*_layers(told), *_slots(told), *_memory(told), *_moves(told)]


def causes(told: Told) -> dict[int, FloatArray]:
    """Return what each cause alone makes of each layer's largest load, ``(layers,)`` each.

    Of loads under one scenario; of others a layer's bound has no single cause.
    """
    problem = told.problem
    load = problem.mean_loads()
    blocks = replace(balance.blocks_of(problem), least=1)
    found = {
        _EXPERT: balance.block_bounds(replace(blocks, groups=0)),
        _SIZES: pigeonhole_bound(load, blocks.num_slots, len(blocks.slow)) * blocks.slow.min(),
    }
    if problem.group_rule == "one_node":
        found[_GROUPS] = balance.block_bounds(blocks)
    return found


def reasons(told: Told) -> list[int]:
    """Return why each layer is no better, one of the reasons for each layer.

    Of several the first: it is the simplest.
    """
    found = causes(told) if balance.sees_one_load(told.problem) else {}
    value, even = told.after.value.layer_objective, told.unit
    if told.problem.objective == "layer_time":
        even = np.zeros_like(value)
    least = even + CAUSE * (value - even)
    why = np.full(len(value), _OPEN)
    for reason, bound in [*found.items(), (_PROOF, told.bound)][::-1]:
        why[bound >= least] = reason
    why[value <= even * (1 + CLOSE)] = _EVEN
    return [int(reason) for reason in why]


def _layers(told: Told) -> list[Fact]:
    why = reasons(told)
    facts = []
    for reason, text in _REASONS.items():
        layers = [layer for layer, found in enumerate(why) if found == reason]
        if layers:
            if reason == _OPEN:
                text = _open(told)
            which = "" if len(layers) == len(why) > 1 else f" ({_listed(layers)})"
            label = "layer" if len(layers) == 1 else "layers"
            facts.append(
                Fact(label=f"{len(layers):,} {label}{which}", text=text, number=len(layers))
            )
    return [*facts, *_scenarios(told), *_worst(told, why)]


def _open(told: Told) -> str:
    """Return what is known of layers that no bound explains, and the rules that bounds miss."""
    problem = told.problem
    rules = {
        "pins": bool(problem.pinned),
        "forbidden pairs": bool(problem.forbidden),
        "memory": memory_can_bind(problem),
        "limits of moved bytes": problem.limits_moves(),
        "the price of a move": problem.move_price_per_byte > 0,
        "the price of tokens across nodes": problem.cross_node_price > 0,
    }
    there = [name for name, is_there in rules.items() if is_there]
    missed = f"; the bound of a layer knows nothing of {' and '.join(there)}" if there else ""
    gap = None if told.result is None else told.result.gap
    if gap is not None and gap <= OPTIMALITY_TOLERANCE:
        return f"the whole plan: proven optimal with all that it pays and keeps{missed}"
    return f"{_REASONS[_OPEN]}{missed}"


def _scenarios(told: Told) -> list[Fact]:
    """Return what a bound of several scenarios leaves out."""
    if told.problem.objective not in ("mean_max", "worst_max", "cvar"):
        return []
    count = told.problem.num_scenarios
    if count == 1:
        return []
    text = f"the bound lets each of {count} have its own plan: one plan for all may miss it"
    return [Fact(label="scenarios", text=text, number=count)]


def _worst(told: Told, why: Sequence[int]) -> list[Fact]:
    """Return the layers furthest above an even load, and what is hot in them."""
    if told.problem.objective == "layer_time":
        return []
    above = np.divide(
        told.after.largest, told.after.mean, out=np.ones(len(why)), where=told.after.mean > 0
    )
    order = [int(k) for k in np.argsort(-above, kind="stable")[:WORST] if above[k] > 1 + CLOSE]
    return [
        Fact(
            label=f"worst layer: {layer}" if i == 0 else f"then layer {layer}",
            text=f"{above[layer]:.4f} times the mean: {_hottest(told, layer, why[layer])}",
            number=float(above[layer]),
        )
        for i, layer in enumerate(order)
    ]


def _hottest(told: Told, layer: int, why: int) -> str:
    """Return what the busiest device of a layer has, and what keeps its largest part so large."""
    load = np.where(told.problem.live(), told.after.devices[layer], -np.inf)
    device = int(np.argmax(load))
    part = told.served[layer, :, device]
    expert = int(np.argmax(part))
    speed = told.problem.cluster.relative_speed()[device]
    share = 100.0 * part[expert] / speed / told.after.mean[layer]
    copies = int(told.copies[layer, expert].sum())
    text = (
        f"device {device}; {share:.3g} % of the mean are expert {expert},"
        f" which has {copies_text(copies)}"
    )
    return f"{text}, {_no_more(told, copies)}" if why == _EXPERT else text


def _no_more(told: Told, copies: int) -> str:
    """Return why an expert has no more copies."""
    constraint, most = min(told.problem.copies_limits().items(), key=lambda item: item[1])
    if copies >= most:
        return f"as many as it may ({constraint})"
    return "and a copy more would take the slot of another's"


def _slots(told: Told) -> list[Fact]:
    problem = told.problem
    total = int(problem.slots()[problem.live()].sum()) * problem.num_layers
    used = int((told.plan.physical_to_logical >= 0).sum())
    several = int((told.copies.sum(axis=2) > 1).sum())
    text = f"{used:,} of {total:,} in use; experts with several copies: {several:,}"
    limit = problem.copies_limit()
    full = int((told.copies.sum(axis=2) == limit).sum())
    if limit > 1 and full:
        text += f", {full:,} of them as many as the rules allow"
    return [Fact(label="slots", text=text, number=used)]


def _memory(told: Told) -> list[Fact]:
    budget = told.problem.memory_budget_bytes()
    if told.problem.expert_bytes is None or not np.isfinite(budget).any():
        return []
    used = memory_bytes(told)
    return [_used_up("memory of the fullest device", used, budget)]


def _moves(told: Told) -> list[Fact]:
    problem = told.problem
    if not problem.limits_moves():
        return []
    found = arrivals(problem, told.plan.physical_to_logical)
    device, node = problem.arrival_budget_bytes()
    in_all = np.inf if problem.max_moved_bytes is None else float(problem.max_moved_bytes)
    limits = (
        ("bytes moved in all (C11)", np.array([found.device_bytes.sum()]), np.array([in_all])),
        ("bytes into the busiest device (C12)", found.device_bytes.sum(axis=0), device),
        ("bytes into the busiest node (C13)", found.node_bytes.sum(axis=0), node),
    )
    return [_used_up(*limit) for limit in limits if np.isfinite(limit[2]).any()]


def _used_up(label: str, used: FloatArray, budget: FloatArray) -> Fact:
    """Return how far the tightest budget of several is used up."""
    safe = np.where(budget > 0, budget, 1.0)
    share = np.where(budget > 0, used / safe, np.where(used > 0, np.inf, 1.0))
    share = np.where(np.isfinite(budget), share, -1.0)
    at = int(np.argmax(share))
    text = f"{bytes_text(used[at])} of {bytes_text(budget[at])}, {100 * share[at]:.4g} %"
    return Fact(label=label, text=text, number=float(used[at]))


def _listed(layers: Sequence[int]) -> str:
    """Return numbers with runs joined: ``3, 5-8``; cut where there are many."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return ", ".join(texts[:8]) + (", …" if len(texts) > 8 else "")
