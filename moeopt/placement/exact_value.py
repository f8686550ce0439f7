"""How loads and costs follow from the copies: the rows D, V and S of the formulation page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.placement.exact_ports import add_network
from moeopt.placement.exact_rules import (
    Frame,
    copies_domain,
    devices_of_nodes,
    prices_nodes,
    sum_rows,
)
from moeopt.placement.exact_terms import Shares, token_unit, tokens_served, with_term
from moeopt.placement.plan import held_before, port_bytes_per_s, scenario_loads
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import fixed_seconds, memory_can_bind

#: Relative slack of bounds that are computed and not stated.
_ROUNDING = 1e-6

#: Experts whose copies order identical devices (S1): beyond these the powers cost more than ties.
_ORDERING_EXPERTS = 3


@dataclass(frozen=True, eq=False)
class Largest:
    """The largest device load of each scenario and layer, in `token_unit`.

    Attributes
    ----------
    columns
        Columns ``t``, shape ``(scenarios, layers)``; the same one for all scenarios of a layer
        under ``"worst_max"``.
    ceiling
        Their upper bounds, same shape.
    """

    columns: IntArray
    ceiling: FloatArray


def add_value(frame: Frame) -> None:
    """Add the objective and what it needs."""
    problem = frame.problem
    largest = _add_objective(frame)
    if problem.objective == "activated":
        served = Shares(frame.copies[None, ..., None], np.ones(1))
    elif problem.split == "optimal":
        served = _free_shares(frame)
    else:
        served = _even_shares(frame, largest)
    loads_below(frame, served, largest)
    if problem.objective == "layer_time":
        add_network(frame, served)
    if prices_nodes(problem):
        cross_node_tokens(frame, served)
    if frame.tighten:
        room_at_home(frame)
        order_devices(frame)


def _even_shares(frame: Frame, largest: Largest) -> Shares:
    """Add ``y`` and ``z`` with D1 to D3 and return the shares ``sum_k z / k``."""
    builder, shape = frame.builder, frame.copies.shape
    least, most = counts_domain(frame, largest)
    counts = np.arange(int(least.min()), max(int(most.max()), int(least.min())) + 1)
    y_upper = (least[..., None] <= counts) & (counts <= most[..., None])
    y = builder.add_columns("y", (*shape[:2], len(counts)), upper=y_upper, integer=True)
    some = counts[counts > 0]
    z_upper = np.minimum(frame.copies_upper[..., None], some)
    z_upper = np.where(_copy_fits(frame, largest, some), z_upper, 0)
    # n integer would do, but backends cut and branch better on integer z.
    z = builder.add_columns("z", (*shape, len(some)), upper=z_upper, integer=True)
    one_count(frame, y)
    copies_of_count(frame, y[..., counts > 0], z, some)
    copies_in_all(frame, z)
    if frame.tighten:
        largest_copy(frame, y, counts, largest)
    return Shares(z[None], 1.0 / some)


def counts_domain(frame: Frame, largest: Largest) -> tuple[IntArray, IntArray]:
    """Return the fewest and the most copies of each expert, each ``(layers, experts)``.

    Without `tighten` any number. With it C1, C6 and the ceiling of the load (a copy must fit under
    it on the fastest device) bound them from below; C3, C4 and C9, and the slots that the others'
    fewest copies leave, from above.
    """
    problem, shape = frame.problem, frame.copies.shape[:2]
    if not frame.tighten:
        return np.zeros(shape, dtype=np.int64), np.full(shape, problem.num_slots)
    least = np.maximum(problem.pair_mask(problem.pinned).sum(axis=2), problem.min_copies_per_expert)
    loads, fastest = _loads_in_units(problem), _fastest(frame)
    room = largest.ceiling[..., None] * fastest
    needed = np.divide(loads, room, out=np.zeros_like(loads), where=room > 0).max(axis=0)
    least = np.maximum(least, np.ceil(needed - _ROUNDING).astype(np.int64))
    slots = int(problem.slots()[problem.live()].sum())
    left = slots - (least.sum(axis=1, keepdims=True) - least)
    fitting = np.minimum(frame.copies_upper.sum(axis=2), problem.copies_limit())
    return least, np.minimum(left, fitting)


def _copy_fits(frame: Frame, largest: Largest, counts: IntArray) -> BoolArray:
    """Tell which copies stay under the ceiling, ``(layers, experts, devices, counts)``."""
    speed = frame.problem.cluster.relative_speed()
    room = largest.ceiling[:, :, None, None, None] * speed[:, None]
    size = _loads_in_units(frame.problem)[..., None, None] / counts
    return np.asarray((size <= room * (1 + _ROUNDING)).all(axis=0))


def _fastest(frame: Frame) -> FloatArray:
    """Return the speed of the fastest device that each expert may sit on, ``(layers, experts)``."""
    speed = frame.problem.cluster.relative_speed()
    fastest: FloatArray = np.where(frame.copies_upper > 0, speed, speed.min()).max(axis=2)
    return fastest


def _loads_in_units(problem: PlacementProblem) -> FloatArray:
    """Return ``(scenarios, layers, experts)`` loads that the objective sees, in `token_unit`."""
    return scenario_loads(problem)[0] / token_unit(problem)


def one_count(frame: Frame, y: IntArray) -> None:
    """D1: every expert has one number of copies."""
    sum_rows(frame.builder, "D1", y, lower=1, upper=1)


def copies_of_count(frame: Frame, y: IntArray, z: IntArray, counts: IntArray) -> None:
    """D2: an expert with ``k`` copies has ``k`` copies, ``sum_g z = k y``."""
    columns = np.concatenate([z.transpose(0, 1, 3, 2), y[..., None]], axis=-1)
    weights = np.ones(columns.shape)
    weights[..., -1] = -counts
    sum_rows(frame.builder, "D2", columns, weights, lower=0, upper=0)


def copies_in_all(frame: Frame, z: IntArray) -> None:
    """D3: copies are counted under one number or another, ``n = sum_k z``."""
    columns = np.concatenate([z, frame.copies[..., None]], axis=-1)
    weights = np.ones(columns.shape)
    weights[..., -1] = -1
    sum_rows(frame.builder, "D3", columns, weights, lower=0, upper=0)


def _free_shares(frame: Frame) -> Shares:
    """Add the shares ``q`` of the optimal split with D6 and D7."""
    loads, _ = scenario_loads(frame.problem)
    shape = (*loads.shape, frame.problem.num_devices)
    q = frame.builder.add_columns("q", shape, upper=1)
    everything_served(frame, q, loads)
    served_by_copies(frame, q)
    return Shares(q[..., None], np.ones(1))


def everything_served(frame: Frame, q: IntArray, loads: FloatArray) -> None:
    """D6: an expert's tokens are all served somewhere."""
    sum_rows(frame.builder, "D6", q, lower=np.where(loads > 0, 1.0, 0.0).ravel(), upper=1)


def served_by_copies(frame: Frame, q: IntArray) -> None:
    """D7: a device serves an expert only with a copy, ``q <= n``."""
    columns = np.stack([q, np.broadcast_to(frame.copies, q.shape)], axis=-1)
    sum_rows(frame.builder, "D7", columns, np.array([1.0, -1.0]), upper=0)


def _add_objective(frame: Frame) -> Largest:
    """Add the columns of the largest load ``t`` and their cost."""
    problem, builder = frame.problem, frame.builder
    weights = scenario_loads(problem)[1]
    unit = token_unit(problem)
    loads = _loads_in_units(problem)
    shape = loads.shape[:2]
    if problem.objective == "cvar":
        t = builder.add_columns("t", shape)
        tail_excess(frame, t)
        return Largest(t, np.full(shape, np.inf))
    cost = np.broadcast_to(unit * weights[:, None], shape)
    if problem.objective == "worst_max":
        cost = np.full((1, shape[1]), unit)
    if problem.objective == "layer_time":
        assert problem.timing is not None
        cost = cost * problem.timing.seconds_per_token
    ceiling = _ceilings(frame, cost)
    t = builder.add_columns("t", cost.shape, upper=ceiling, objective=cost)
    return Largest(np.broadcast_to(t, shape), np.broadcast_to(ceiling, shape))


def _ceilings(frame: Frame, cost: FloatArray) -> FloatArray:
    """Return what ``t`` can be in a plan that costs no more than the cut-off.

    No ``t`` is below the mean load over all speed, so one can exceed it only by what the cut-off
    leaves above the mean loads' cost and what no plan changes; prices and ports only add to it.
    """
    problem = frame.problem
    if frame.at_most is None or not frame.tighten:
        return np.full(cost.shape, np.inf)
    speed = problem.cluster.relative_speed()[problem.live()].sum()
    mean = _loads_in_units(problem).sum(axis=2) / speed
    mean = mean.max(axis=0, keepdims=True) if problem.objective == "worst_max" else mean
    known = float((cost * mean).sum()) + fixed_seconds(problem) * problem.num_layers
    left = max(0.0, frame.at_most - known)
    above = np.divide(left, cost, out=np.full(cost.shape, np.inf), where=cost > 0)
    return np.asarray((mean + above) * (1 + _ROUNDING))


def tail_excess(frame: Frame, largest: IntArray) -> None:
    """D8: what a scenario exceeds the tail's threshold by, ``u >= t - threshold``.

    Rockafellar and Uryasev: CVaR is the least of ``threshold + sum weight u / tail``.
    """
    problem, builder = frame.problem, frame.builder
    assert problem.cvar_tail is not None
    unit = token_unit(problem)
    cost = unit * problem.weights()[:, None] / problem.cvar_tail
    threshold = builder.add_columns("r", largest.shape[1], objective=unit)
    excess = builder.add_columns("u", largest.shape, objective=cost)
    columns = np.stack([largest, excess, np.broadcast_to(threshold, excess.shape)], axis=-1)
    sum_rows(builder, "D8", columns, np.array([1.0, -1.0, -1.0]), upper=0)


def loads_below(frame: Frame, served: Shares, largest: Largest) -> None:
    """D5: the load of every device, over its speed, is at most the largest."""
    problem = frame.problem
    devices = np.arange(problem.num_devices)
    if problem.objective != "layer_time":
        # Dead devices have no load that counts; the timeline waits for every device.
        devices = devices[problem.live()]
    columns, weights = tokens_served(served, _loads_in_units(problem), devices)
    speed = np.broadcast_to(problem.cluster.relative_speed()[devices], columns.shape[:3])
    columns = with_term(columns, largest.columns[..., None])
    weights = with_term(weights, -speed)
    sum_rows(frame.builder, "D5", columns, weights, upper=0)


def cross_node_tokens(frame: Frame, served: Shares) -> None:
    """D11: what a node serves of an expert is priced unless the node is its group's home.

    Column ``o[l,e,m]`` is the share of expert `e` that node `m` serves from outside the home.
    """
    problem, builder = frame.problem, frame.builder
    assert frame.home is not None
    loads, weights = scenario_loads(problem)
    price = problem.cross_node_price * np.tensordot(weights, loads, axes=1)
    home = frame.home[:, problem.expert_group()]
    outside = builder.add_columns("o", home.shape, objective=price[..., None])
    for node, devices in enumerate(devices_of_nodes(problem)):
        inside = served.columns[0][:, :, devices].reshape(*home.shape[:2], -1)
        most = np.ones(home.shape[:2])
        if problem.objective == "activated":
            # Copies are counted there and not shares of one expert.
            most = frame.copies_upper[:, :, devices].sum(axis=2)
        columns = with_term(with_term(inside, outside[..., node]), home[..., node])
        factor = np.broadcast_to(np.tile(served.weights, len(devices)), inside.shape)
        factor = with_term(with_term(factor, -np.ones(home.shape[:2])), -most)
        sum_rows(builder, "D11", columns, factor, upper=0)


def largest_copy(frame: Frame, y: IntArray, counts: IntArray, largest: Largest) -> None:
    """V1: some device serves a copy of each expert, ``load / copies <= t max speed``.

    The relaxation spreads a copy over all devices; this row does not let it be spread thin.
    """
    loads = _loads_in_units(frame.problem)
    weights = loads[..., None] / counts
    columns = with_term(np.broadcast_to(y, weights.shape), largest.columns[..., None])
    pace = np.broadcast_to(-_fastest(frame), loads.shape)
    sum_rows(frame.builder, "V1", columns, with_term(weights, pace), upper=0)


def room_at_home(frame: Frame) -> None:
    """V2: a node's slots hold the copies of the groups at home there and of no others."""
    problem = frame.problem
    if problem.group_rule != "one_node":
        return
    assert frame.home is not None
    shape = (problem.num_layers, problem.groups, -1)
    for node, devices in enumerate(devices_of_nodes(problem)):
        inside = frame.copies[:, :, devices].reshape(shape)
        columns = with_term(inside, frame.home[..., node])
        weights = np.ones(columns.shape)
        weights[..., -1] = -problem.slots()[devices].sum()
        sum_rows(frame.builder, "V2", columns, weights, upper=0)


def order_devices(frame: Frame) -> None:
    """S1: identical devices are numbered by their copies of the most loaded experts.

    Any plan can be renumbered so that a linear function of a device's copies does not increase
    within a class of identical devices; the function reads the copies of a few experts as digits.
    """
    layer, experts, digits = _ordering_digits(frame.problem)
    for devices in identical_devices(frame.problem):
        columns = frame.copies[layer][experts][:, devices].T
        pairs = np.concatenate([columns[:-1], columns[1:]], axis=-1)
        sum_rows(frame.builder, "S1", pairs, np.concatenate([digits, -digits]), lower=0)


def ordering(problem: PlacementProblem, copies: IntArray) -> FloatArray:
    """Return the value that S1 orders by, for copies ``(layers, experts, devices)``."""
    layer, experts, digits = _ordering_digits(problem)
    value: FloatArray = digits @ copies[layer][experts]
    return value


def _ordering_digits(problem: PlacementProblem) -> tuple[int, IntArray, FloatArray]:
    """Return the layer, the experts and the powers that make up the function of S1."""
    mean = problem.mean_loads()
    layer = int(np.argmax(mean.max(axis=1)))
    experts = np.argsort(-mean[layer], kind="stable")[:_ORDERING_EXPERTS]
    base = float(copies_domain(problem, tighten=True)[1].max()) + 1
    return layer, experts.astype(np.int64), base ** np.arange(len(experts), dtype=np.float64)[::-1]


def identical_devices(problem: PlacementProblem) -> list[IntArray]:
    """Return the classes of two and more live devices that no rule and no cost tells apart."""
    marks = _marks(problem)
    classes: dict[bytes, list[int]] = {}
    for device in np.flatnonzero(problem.live() & (problem.slots() > 0)).tolist():
        key = b"".join(np.ascontiguousarray(mark[..., device]).tobytes() for mark in marks)
        classes.setdefault(key, []).append(device)
    return [np.array(devices) for devices in classes.values() if len(devices) > 1]


def _marks(problem: PlacementProblem) -> list[npt.NDArray[Any]]:
    """Return everything that can tell devices apart, devices last."""
    marks: list[npt.NDArray[Any]] = [problem.slots(), problem.cluster.relative_speed()]
    marks += [problem.pair_mask(pairs) for pairs in (problem.pinned, problem.forbidden) if pairs]
    if problem.distinct_nodes or problem.group_rule == "one_node" or prices_nodes(problem):
        marks.append(problem.cluster.device_node())
    if memory_can_bind(problem):
        marks.append(problem.memory_budget_bytes())
    if problem.previous is not None:
        marks.append(held_before(problem))
    at_device, at_node = problem.arrival_budget_bytes()
    marks.append(at_device)
    if np.isfinite(at_node).any():
        marks.append(problem.cluster.device_node())
    if problem.objective == "layer_time":
        marks += [port_bytes_per_s(problem), np.moveaxis(problem.source_shares(), 0, -1)]
    return marks
