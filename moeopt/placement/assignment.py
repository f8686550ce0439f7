"""One expert on each device: the assignment of least layer time, and Aurora's sort.

With one expert per device the objective ``layer_time`` is a sum of two maxima over pairs of an
expert and its device: seconds of computation, and seconds of the port, in which dispatch and
combine count together because the combine keeps the same ports busy. So it is where sources stay
with the devices and where they move with the experts: only the port's seconds differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.placement.bounds import layer_bounds
from moeopt.placement.plan import (
    TOLERANCE,
    PlacementPlan,
    evaluate,
    port_bytes_per_s,
    violations,
)
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import memory_can_bind, network_of, term_rates

#: Relative difference below which two computed numbers are the same.
_SAME = 1e-12


@dataclass(frozen=True)
class Pairs:
    """What an expert alone on a device takes there.

    The rows after the experts are of devices that stay empty.

    Attributes
    ----------
    load_tokens
        Tokens that each expert serves, shape ``(rows,)``.
    local_tokens
        Those of them that need no network, shape ``(rows, devices)``, live devices only.
    compute_s, port_s
        Seconds of computation, and of the port in both all-to-alls, same shape.
    """

    load_tokens: FloatArray
    local_tokens: FloatArray
    compute_s: FloatArray
    port_s: FloatArray


@dataclass(frozen=True)
class Assignment:
    """A column for every row.

    Attributes
    ----------
    column
        Shape ``(rows,)``.
    value
        The sum of the two maxima.
    steps
        Thresholds at which matchings were made.
    """

    column: IntArray
    value: float
    steps: int


def pairs_of(problem: PlacementProblem, layer: int) -> Pairs:
    """Return what each expert of a layer takes on each live device, in the first scenario."""
    live = np.flatnonzero(problem.live())
    network = network_of(problem, layer)
    spare = max(0, len(live) - problem.num_experts)
    load = np.pad(problem.loads_tokens[0, layer], (0, spare))
    leaves = np.pad(network.leaves[0], (0, spare))
    local = np.pad(network.stays[0][:, live], ((0, spare), (0, 0)))
    sent = network.sends[0, live] + leaves[:, None] - local
    compute, port = term_rates(problem)[:, live]
    return Pairs(
        load_tokens=load,
        local_tokens=local,
        compute_s=load[:, None] * compute,
        port_s=np.maximum(sent, load[:, None] - local) * port,
    )


def not_alone(problem: PlacementProblem) -> str | None:
    """Return why an expert need not be alone on its device, in one copy; ``None`` if it must."""
    if problem.objective != "layer_time":
        return 'it takes objective "layer_time" only'
    if problem.num_scenarios > 1:
        return "it takes one load scenario"
    slots = problem.slots()[problem.live()]
    if slots.max() > 1:
        return "it takes one slot per device"
    spare = int(slots.sum()) > problem.num_experts
    copied = not problem.allow_empty_slots or problem.copies_limit() > 1
    if problem.min_copies_per_expert > 1 or (spare and copied):
        return "it takes one copy of each expert: empty slots, and max_copies_per_expert = 1"
    return None


def not_assignable(problem: PlacementProblem) -> str | None:
    """Return why `assign` cannot take a problem, or ``None`` if it can."""
    if problem.group_rule != "free" or problem.cross_node_price > 0:
        return "it knows no groups"
    if problem.move_price_per_byte > 0 or problem.limits_moves():
        return "it knows neither a price nor a limit of moves"
    if problem.num_layers > 1 and memory_can_bind(problem):
        return "it takes one layer after the other, which memory joins"
    return not_alone(problem)


def not_sortable(problem: PlacementProblem) -> str | None:
    """Return why Aurora's sort does not say what to do with a problem, or ``None`` if it does."""
    if problem.objective != "layer_time":
        return 'it takes objective "layer_time" only'
    spare = int(problem.slots()[problem.live()].sum()) > problem.num_experts
    if problem.min_copies_per_expert > 1 or (spare and not problem.allow_empty_slots):
        return "it gives every expert one copy: state as many slots, or allow_empty_slots"
    return None


def assign(problem: PlacementProblem, context: Context, warm_start: object = None) -> Outcome:
    """Give every expert a device of its own so that each layer's time is the least possible.

    The proof is `least_sum_of_maxima`'s. If time ends before the last layer, those that are left
    keep Aurora's sort.
    """
    del warm_start
    table = _sorted_table(problem)
    live = np.flatnonzero(problem.live())
    slot = (np.cumsum(problem.slots()) - problem.slots())[live]
    steps: list[int] = []
    for layer in range(problem.num_layers):
        if context.out_of_time():
            break
        pairs = pairs_of(problem, layer)
        allowed = _allowed(problem, layer, live)
        found = least_sum_of_maxima(pairs.compute_s, pairs.port_s, allowed)
        if found is None:
            return _impossible(problem, layer, context)
        table[layer] = -1
        table[layer, slot[found.column[: problem.num_experts]]] = np.arange(problem.num_experts)
        steps.append(found.steps)
    plan = PlacementPlan(physical_to_logical=table)
    bound = layer_bounds(problem)
    bound[: len(steps)] = evaluate(problem, plan).layer_objective[: len(steps)]
    return Outcome(
        plan=None if violations(problem, plan) else plan,
        bound=float(bound.sum()),
        limit=None if len(steps) == problem.num_layers else Limit.TIME,
        statistics={"layer_bound": bound.tolist(), "thresholds": steps},
    )


def least_sum_of_maxima(
    compute: FloatArray, port: FloatArray, allowed: BoolArray
) -> Assignment | None:
    """Return the matching of least ``max compute + max port``, exactly; ``None`` if there is none.

    Two thresholds sweep in opposite directions. Of the pairs whose port time is below a limit, a
    bottleneck matching has the least ``beta`` that the largest computation can be; of those that
    also compute no longer than beta, another has the least ``alpha`` that the largest port time
    can be. Any matching below the limit has computation of at least beta, so one that reaches
    alpha in its port time is no better than these two; one that does not has all its pairs below
    alpha, which is the next limit, and is better only if they are also below the best sum less
    beta. When nothing is left, the best seen is the optimum. The limit falls in every step.

    Parameters
    ----------
    compute, port
        Seconds of every row in every column, ``(rows, columns)``.
    allowed
        Which pairs may be used, same shape.
    """
    # Imported on use: matchings bring scipy, which a fast solve does not need.
    from moeopt.matching import bottleneck_matching

    column, value, steps = np.empty(0, dtype=np.int64), np.inf, 0
    while True:
        found = bottleneck_matching(np.where(allowed, compute, np.inf))
        if found is None:
            return Assignment(column, value, steps) if steps else None
        beta = found[1]
        found = bottleneck_matching(np.where(allowed & (compute <= beta), port, np.inf))
        assert found is not None
        steps += 1
        alpha = found[1]
        if alpha + beta < value:
            column, value = found[0], alpha + beta
        allowed = allowed & (port < alpha) & (port + beta < value)


def sort(problem: PlacementProblem, context: Context, warm_start: object = None) -> Outcome:
    """Place by `aurora_sort` and tell the conditions of Theorem 5.1; its optimum where they hold.

    Where all hold (`conditions`) the sort is optimal: with the experts in their order and the
    devices from fast to slow, both seconds of a pair grow with the expert and with the device. If
    the faster of two devices has the smaller of two experts, the larger on the slower takes at
    least as long as any of the two on any of the two: exchanging them makes neither maximum
    larger. So the sort minimises each maximum, and their sum.
    """
    del context, warm_start
    plan = aurora_sort(problem)
    bound = layer_bounds(problem)
    known = conditions(problem)
    if plan is not None and all(known.values()):
        bound = evaluate(problem, plan).layer_objective
    return Outcome(
        plan=plan,
        bound=float(bound.sum()),
        statistics={"layer_bound": bound.tolist(), "conditions": known},
    )


def aurora_sort(problem: PlacementProblem) -> PlacementPlan | None:
    """Put the experts that process most tokens on the fastest devices; no plan if that is invalid.

    Theorem 5.1 of Aurora: experts sorted by the tokens that they process, descending, go to the
    devices from the highest performance to the lowest, one to each. Ours: speed ranks devices
    before bandwidth, experts of equal tokens are sorted by port time, and where devices have
    several slots the next expert goes to the device that then computes least long (LPT by speed),
    which with one slot each is the theorem's sort.
    """
    plan = PlacementPlan(physical_to_logical=_sorted_table(problem))
    return None if violations(problem, plan) else plan


def conditions(problem: PlacementProblem) -> dict[str, bool]:
    """Tell which conditions of Theorem 5.1, stated or hidden, hold in all layers.

    Returns
    -------
    dict
        ``one_expert_per_device``: as the paper supposes.
        ``compute_and_bandwidth_ordered_alike``: its footnote 2, no device computes faster than
        another and sends slower.
        ``one_scalar_load``: the tokens that an expert processes decide how long each port is
        busy with it, and more tokens take no less.
        ``one_order_for_all_maxima``: some order of the experts sorts computation and port times
        alike; the proof moves one maximum, and the time is a sum of several.
        ``local_tokens_fixed``: the tokens of an expert that need no network are the same wherever
        it sits.
    """
    problem = _averaged(problem)
    layers = [_layer_conditions(pairs_of(problem, i)) for i in range(problem.num_layers)]
    port = port_bytes_per_s(problem)[_fastest_first(problem)]
    return {
        "one_expert_per_device": not_alone(problem) is None,
        "compute_and_bandwidth_ordered_alike": bool((np.diff(port) <= 0).all()),
        **{name: all(layer[name] for layer in layers) for name in layers[0]},
    }


def _layer_conditions(pairs: Pairs) -> dict[str, bool]:
    load, port = pairs.load_tokens, pairs.port_s
    order = np.lexsort((port.sum(axis=1), load))
    longer = np.diff(port[order], axis=0)
    rounding = _SAME * float(port.max())
    ordered = bool((longer >= -rounding).all())
    equal = np.diff(load[order]) <= _SAME * float(load.max())
    spread = np.ptp(pairs.local_tokens, axis=1).max()
    return {
        "one_scalar_load": ordered and bool((longer[equal] <= rounding).all()),
        "one_order_for_all_maxima": ordered,
        "local_tokens_fixed": bool(spread <= _SAME * float(load.max())),
    }


def _sorted_table(problem: PlacementProblem) -> IntArray:
    """Return the table of the sort, ``(layers, slots)``, whatever the rules."""
    problem = _averaged(problem)
    ranked = _fastest_first(problem)
    slots, speed = problem.slots()[ranked], problem.cluster.relative_speed()[ranked]
    first = (np.cumsum(problem.slots()) - problem.slots())[ranked]
    table = np.full((problem.num_layers, problem.num_slots), -1, dtype=np.int64)
    for layer in range(problem.num_layers):
        pairs = pairs_of(problem, layer)
        load, port = (x[: problem.num_experts] for x in (pairs.load_tokens, pairs.port_s))
        held, filled = np.zeros(len(ranked)), np.zeros(len(ranked), dtype=np.int64)
        for expert in np.lexsort((-port.sum(axis=1), -load)):
            after = np.where(filled < slots, (held + load[expert]) / speed, np.inf)
            place = int(np.argmin(after))
            table[layer, first[place] + filled[place]] = expert
            held[place] += load[expert]
            filled[place] += 1
    return table


def _averaged(problem: PlacementProblem) -> PlacementProblem:
    """Return the problem with the mean of its scenarios, which is what the paper knows."""
    if problem.num_scenarios == 1:
        return problem
    return msgspec.structs.replace(
        problem, loads_tokens=problem.mean_loads()[None], scenario_weights=None
    )


def _fastest_first(problem: PlacementProblem) -> IntArray:
    """Return the live devices, fast before slow, of equal speed the better connected first."""
    live = np.flatnonzero(problem.live())
    port = port_bytes_per_s(problem)[live]
    return live[np.lexsort((-port, -problem.cluster.relative_speed()[live]))]


def _allowed(problem: PlacementProblem, layer: int, live: IntArray) -> BoolArray:
    """Tell where each expert may be alone; an empty place may be on any device without pins."""
    pinned = problem.pair_mask(problem.pinned)[layer][:, live]
    size = problem.bytes_of_experts()[layer][:, None]
    fits = size <= problem.memory_budget_bytes()[live] * (1 + TOLERANCE)
    allowed = problem.allowed()[layer][:, live] & fits & (problem.slots()[live] > 0)
    pins = pinned.sum(axis=1, keepdims=True)
    allowed &= (pins == 0) | (pinned & (pins == 1))
    spare = max(0, len(live) - problem.num_experts)
    return np.pad(allowed, ((0, spare), (0, 0)), constant_values=True)


def _impossible(problem: PlacementProblem, layer: int, context: Context) -> Outcome:
    """Return the proof that no matching covers a layer, with the rules that are in its way."""
    # Imported here: only this needs the models.
    from moeopt.placement.exact_explain import explain
    from moeopt.placement.exact_model import layer_problem

    alone = layer_problem(problem, layer)
    return Outcome(infeasible=explain(alone, (layer,), context.remaining_s()))
