"""What no placement can beat: lower bounds of each layer's objective, each with its argument."""

from __future__ import annotations

import logging
import time

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import BackendError
from moeopt.placement.balance import Blocks, block_bounds
from moeopt.placement.plan import aggregate, port_bytes_per_s, scenario_loads
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import fixed_seconds, network_of

_log = logging.getLogger(__name__)


def layer_bounds(problem: PlacementProblem) -> FloatArray:
    """Return the best of the cheap bounds for each layer's objective, shape ``(layers,)``.

    Each scenario's largest device load is bounded on its own and the bounds are joined as the
    objective joins scenarios: mean, maximum and tail mean are monotone, so the result is a bound.
    """
    if problem.objective == "activated":
        return _activated_bound(problem)
    loads, weights = scenario_loads(problem)
    per_scenario = np.stack([load_bound(problem, scenario) for scenario in loads])
    if problem.objective == "layer_time":
        return aggregate(problem, _seconds(problem, per_scenario, loads), weights)
    joined = aggregate(problem, per_scenario, weights)
    # A mean of maxima is at least the maximum of the means, and the other joins are at least that.
    return np.maximum(joined, load_bound(problem, problem.mean_loads()))


def total_bound(problem: PlacementProblem) -> float:
    """Return a lower bound of the whole objective: layers add, prices are not negative."""
    return float(layer_bounds(problem).sum())


def load_bound(problem: PlacementProblem, load: FloatArray) -> FloatArray:
    """Return a lower bound of the largest load over speed of each layer, for one scenario.

    The largest of four:

    * *fractional replication*: all tokens are served, so some device has at least the mean,
      ``sum_e w_e / sum_g v_g``, whatever the split;
    * *pigeonhole of copies*: an expert with c copies has a copy of at least ``w_e / c`` (for any
      split), which sits on a device of at most the largest speed. Given the slots and the most
      copies, EPLB's greedy counts make the largest ``w_e / c_e`` least: so it is a bound;
    * *pigeonhole of devices* (`pigeonhole_bound`): of the largest experts that are not copied,
      some device holds several;
    * *node level* (groups on one node): whichever groups a node takes, both bounds hold inside
      it; the best spread of groups over nodes, by enumeration of subsets, bounds all spreads.

    Parameters
    ----------
    load
        ``(layers, experts)``.
    """
    blocks = _relaxed_blocks(problem, load)
    fastest = float(blocks.slow.min())
    pigeons = pigeonhole_bound(load, blocks.num_slots, len(blocks.slow)) * fastest
    return np.maximum(block_bounds(blocks), pigeons)


def pigeonhole_bound(load: FloatArray, slots: int, devices: int) -> FloatArray:
    """Return a lower bound of the largest device load of each layer, in tokens.

    With ``r = slots - experts`` spare slots at most r experts have more than one copy, so all but
    r experts sit whole on one device; leaving the r largest out only weakens what follows. Of the
    ``k * devices + 1`` largest of the rest some device holds ``k + 1``, and these weigh at least
    as much as the ``k + 1`` smallest of them.

    Parameters
    ----------
    load
        ``(layers, experts)``.
    slots, devices
        Slots of all devices together, and the number of devices.
    """
    layers, experts = load.shape
    spare = max(0, slots - experts)
    whole = -np.sort(-load, axis=1)[:, spare:]
    best = np.zeros(layers)
    for k in range(1, (whole.shape[1] - 1) // devices + 1):
        last = k * devices
        best = np.maximum(best, whole[:, last - k : last + 1].sum(axis=1))
    return best


def lp_bound(problem: PlacementProblem, time_limit_s: float | None = None) -> float | None:
    """Return the bound of the exact model without integrality, prices included.

    Worth its time where pins, bans or memory force an imbalance that the cheap bounds, which see
    none of them, cannot know of. ``None`` if the problem has no linear model, time ran out or the
    solvers failed.
    """
    from moeopt.core.result import Status
    from moeopt.mip import solve_model
    from moeopt.placement.exact import build, refuses

    if refuses(problem) is not None:
        return None
    started = time.perf_counter()
    total = 0.0
    for model in build(problem):
        left = None if time_limit_s is None else time_limit_s - (time.perf_counter() - started)
        if left is not None and left <= 0:
            return None
        try:
            answer = solve_model(model.relaxed(), time_limit_s=left)
        except BackendError as error:
            _log.info("no bound by the linear relaxation: %s", error)
            return None
        if answer.status is not Status.OPTIMAL or answer.bound is None:
            return None
        total += answer.bound
    # A linear program is solved within a tolerance: leave that much.
    return total * (1 - 1e-7)


def _relaxed_blocks(problem: PlacementProblem, load: FloatArray) -> Blocks:
    """Return the problem without the rules that the bounds do not use."""
    live = problem.live()
    slots = problem.slots()[live]
    node = problem.cluster.device_node()[live]
    _, first = np.unique(node, return_index=True)
    return Blocks(
        load=np.ascontiguousarray(load),
        groups=problem.groups if problem.group_rule == "one_node" else 0,
        node_start=np.append(first, len(node)).astype(np.int64),
        slot_start=np.concatenate([[0], np.cumsum(slots)]).astype(np.int64),
        slow=1.0 / problem.cluster.relative_speed()[live],
        least=1,
        most=max(1, problem.copies_limit()),
        per_device=problem.max_copies_per_device or 0,
        may_empty=problem.allow_empty_slots,
    )


def _activated_bound(problem: PlacementProblem) -> FloatArray:
    """Return the bound of ``"activated"``: used experts need their copies, spread at best evenly.

    Where every slot must be filled, those that unused experts cannot fill hold used ones. A device
    holds whole copies: with equal speeds the mean is rounded up.
    """
    loads, weights = scenario_loads(problem)
    speed = problem.cluster.relative_speed()[problem.live()]
    used = loads.sum(axis=2) * problem.min_copies_per_expert
    if not problem.allow_empty_slots:
        slots = problem.slots()[problem.live()].sum()
        unused = problem.num_experts - loads.sum(axis=2)
        used = np.maximum(used, slots - unused * problem.copies_limit())
    per_scenario = used / speed.sum()
    if (speed == speed[0]).all():
        per_scenario = np.ceil(used / len(speed) - 1e-9) / speed[0]
    return aggregate(problem, per_scenario, weights)


def _seconds(problem: PlacementProblem, bound: FloatArray, loads: FloatArray) -> FloatArray:
    """Turn load bounds into bounds of a layer's seconds, ``(scenarios, layers)``.

    Computation is the load bound times seconds per token, the all-to-alls are those of
    `port_bound`, gate and aggregation the same for all plans.
    """
    timing = problem.timing
    assert timing is not None
    carried = timing.dispatch_bytes_per_token + timing.combine_bytes_per_token
    seconds = bound * timing.seconds_per_token + carried * port_bound(problem, loads)
    return np.asarray(seconds + fixed_seconds(problem))


def port_bound(problem: PlacementProblem, loads: FloatArray) -> FloatArray:
    """Return a lower bound of the busiest port's tokens over its rate, ``(scenarios, layers)``.

    * *Evenly spread sources, even split*: a device sends itself its load over the number of
      devices, so ``W (1 - 1/G)`` tokens are sent whatever the plan, and the busiest port takes at
      least their share by rate.
    * *Other sources*: a device serves itself at most what it sends to as many experts as it has
      slots. The rest it sends: a floor of its own port, and together of all ports by rate.
    * *Sources that move*: an expert on a device of c slots is local to at most c - 1 others, so
      what it exchanges with all but the c - 1 largest of them travels, whatever its copies.

    Parameters
    ----------
    loads
        Tokens of each expert, ``(scenarios, layers, experts)``.
    """
    live = problem.live()
    rate, slots = port_bytes_per_s(problem)[live], problem.slots()[live]
    if problem.expert_traffic_tokens is not None:
        return _moving_bound(problem.expert_traffic_tokens, int(slots.max()), rate)[None]
    if problem.source_tokens is None and problem.split == "even":
        return np.asarray(loads.sum(axis=2) * (1.0 - 1.0 / len(rate)) / rate.sum())
    bound = np.empty(loads.shape[:2])
    for layer in range(problem.num_layers):
        network = network_of(problem, layer)
        ranked = -np.sort(-network.stays[..., live], axis=1)
        local = np.where(np.arange(ranked.shape[1])[:, None] < slots, ranked, 0.0).sum(axis=1)
        sent = np.maximum(network.sends[:, live] - local, 0.0)
        bound[:, layer] = np.maximum((sent / rate).max(axis=1), sent.sum(axis=1) / rate.sum())
    return bound


def _moving_bound(tokens: FloatArray, slots: int, rate: FloatArray) -> FloatArray:
    """Return `port_bound` of each layer where sources move with the experts, ``(layers,)``.

    Parameters
    ----------
    tokens
        From the device of each expert to each expert, ``(layers, experts, experts)``.
    slots
        Most slots of a device.
    rate
        Of each port.
    """
    remote = tokens * ~np.eye(tokens.shape[1], dtype=np.bool_)
    directions = [-np.sort(-towards, axis=2) for towards in (remote, remote.swapaxes(1, 2))]
    travels = [ranked[:, :, max(0, slots - 1) :].sum(axis=(1, 2)) for ranked in directions]
    return np.asarray(np.maximum(*travels) / rate.sum())
