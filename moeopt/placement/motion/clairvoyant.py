"""What one could do who knew all windows beforehand, and what nobody can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement import balance
from moeopt.placement.motion.costs import free_s
from moeopt.placement.motion.path import Between, Serving, best_path, bounds_between
from moeopt.placement.motion.simulate import Run, World, check_windows, replay
from moeopt.placement.relabel import renumbered


def clairvoyant(
    windows: FloatArray, table: IntArray, world: World, candidates: Iterable[IntArray]
) -> Run:
    """Return the best that can be made of some plans by one who knows all windows.

    In every window one plan is in force or on its way; a dynamic programme over windows and plans
    finds the least seconds of serving and migrating (`best_path`). Unlike a policy it may change
    the plan before the first window. Where migrations block, seconds are sums over layers, so that
    every layer goes its own best way; where they are overlapped, layers arrive together, and the
    plans that the layers would take if they blocked are candidates too.

    Never above the run of a policy, if the policy's plans are among the candidates.

    Parameters
    ----------
    windows, table, world
        As for `simulate`.
    candidates
        Plans, each ``(layers, slots)``; `table` is one without being named.
    """
    check_windows(windows)
    tables = _distinct([table, *candidates])
    layers = [_Layer.of(rows, world) for rows in np.stack(tables).swapaxes(0, 1)]
    number = _layer_by_layer(windows, tables, layers, world)
    if world.overlapped:
        number = np.concatenate([np.stack([layer.number for layer in layers], axis=1), number])
        _, first = np.unique(number, axis=0, return_index=True)
        # In the order in which they came: the plan in force is the first.
        number = _together(windows, number[np.sort(first)], layers, world)
    plans = list(_tables(number, layers))
    return replay(windows, table, plans, world, "clairvoyant")


def hindsight(windows: FloatArray, table: IntArray, world: World) -> list[IntArray]:
    """Return a plan for every window, and for every run of 2, 4, 8, ... windows, as candidates.

    Each is moeopt's search on the sum of its windows, experts distinct on a device where they fit,
    its devices matched to those of the plan before it.

    Parameters
    ----------
    windows, table, world
        As for `simulate`.
    """
    check_windows(windows)
    slots, devices = world.num_slots, world.costs.num_devices
    per_device = 1 if world.slots_per_device <= windows.shape[2] else 0
    found = []
    length = 1
    while length <= len(windows):
        before = table
        for first in range(0, len(windows) - length + 1, length):
            total = windows[first : first + length].sum(axis=0)
            blocks = balance.uniform_blocks(total, slots, devices, per_device=per_device)
            plan = balance.search(blocks, balance.AUTO_WORK, 0).table
            before = renumbered(plan, before, devices)
            found.append(before)
        length *= 2
    return found


def lower_bound_s(windows: FloatArray, world: World) -> float:
    """Return seconds that no policy and no schedule of plans can beat.

    No migration takes time, and every window has plans of its own. A layer's seconds are the sum
    of the largest of each phase. Whatever the plan, its busiest device serves at least
    `balance.block_bounds` in tokens over speed: the mean, and what experts cut evenly into at most
    all slots must leave somewhere. The same holds of tokens over the ports' rates, and a port
    carries all but one of the devices' part of what its device serves, in each direction. Gate and
    aggregation do not depend on the plan.

    Parameters
    ----------
    windows, world
        As for `simulate`.
    """
    check_windows(windows)
    costs, timing = world.costs, world.costs.timing
    loads = world.batch_loads(windows).reshape(-1, windows.shape[2])
    compute = _least_busy(loads, costs.relative_speed, world) * timing.seconds_per_token
    away = (costs.num_devices - 1) / costs.num_devices
    token_bytes = timing.dispatch_bytes_per_token + timing.combine_bytes_per_token
    exchange = _least_busy(loads, costs.port_bytes_per_s, world) * away * token_bytes
    fixed = (timing.gate_s + timing.aggregation_s) / float(costs.relative_speed.min())
    batches = float((compute + exchange).sum()) + fixed * len(loads)
    return world.batches_per_window * batches


def _least_busy(loads: FloatArray, rate: FloatArray, world: World) -> FloatArray:
    """Return a bound on the largest of each device's tokens over its rate, ``(layers,)``."""
    slots = np.arange(world.costs.num_devices + 1) * world.slots_per_device
    # In units of the fastest device, whose numbers are of the size of loads.
    blocks = balance.Blocks(
        load=np.ascontiguousarray(loads, dtype=np.float64),
        groups=0,
        node_start=np.array([0, len(rate)]),
        slot_start=slots,
        slow=rate.max() / rate,
        most=world.num_slots,
        may_empty=True,
    )
    return np.asarray(balance.block_bounds(blocks) / rate.max())


@dataclass(frozen=True, eq=False)
class _Layer:
    """What the plans have in one layer.

    Attributes
    ----------
    rows
        Each once, in the order in which they came, shape ``(rows, slots)``.
    number
        The row of each plan, shape ``(plans,)``.
    between
        Seconds of ports from row to row.
    """

    rows: IntArray
    number: IntArray
    between: Between

    @classmethod
    def of(cls, rows: IntArray, world: World) -> _Layer:
        _, first, number = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        own = rows[np.sort(first)]
        costs, slots = world.costs, world.slots_per_device
        expert_s = costs.expert_bytes / float(costs.port_bytes_per_s.min())

        def seconds(one: int, other: int) -> float:
            return costs.migration_s(own[one : one + 1], own[other : other + 1], slots)

        least, most = bounds_between(own[:, None], slots)
        between = Between(least * expert_s, most * expert_s, seconds)
        return cls(own, np.argsort(np.argsort(first))[number.ravel()], between)


def _tables(number: IntArray, layers: Sequence[_Layer]) -> IntArray:
    """Return plans, ``(plans, layers, slots)``, by their row in each layer, ``(plans, layers)``."""
    return np.stack([layer.rows[n] for layer, n in zip(layers, number.T, strict=True)], axis=1)


def _layer_by_layer(
    windows: FloatArray, tables: Sequence[IntArray], layers: Sequence[_Layer], world: World
) -> IntArray:
    """Return each window's row in each layer, ``(windows, layers)``, if migrations block.

    Each layer goes its own way.
    """
    loads = world.batch_loads(windows)
    seconds = np.stack(
        [world.costs.layers_s(loads, table, world.slots_per_device) for table in tables]
    )
    paths = []
    for at, layer in enumerate(layers):
        _, first = np.unique(layer.number, return_index=True)
        batch_s = seconds[first, :, at].T
        serving = Serving(batch_s, np.zeros_like(batch_s), world.batches_per_window)
        paths.append(best_path(serving, layer.between, overlapped=False))
    return np.array(paths).T


def _together(
    windows: FloatArray, number: IntArray, layers: Sequence[_Layer], world: World
) -> IntArray:
    """Return each window's row in each layer if migrations are overlapped, of these plans."""
    loads, costs = world.batch_loads(windows), world.costs
    tables = _tables(number, layers)
    batch_s, ports_s = np.empty((2, len(windows), len(tables)))
    for plan, table in enumerate(tables):
        time = costs.of_served(costs.served(loads, table, world.slots_per_device))
        batch_s[:, plan] = time.total_s.sum(axis=1)
        ports_s[:, plan] = free_s(time).sum(axis=1)

    def seconds(one: int, other: int) -> float:
        return costs.migration_s(tables[one], tables[other], world.slots_per_device)

    least, most = np.zeros((2, len(tables), len(tables)))
    for layer, rows in zip(layers, number.T, strict=True):
        least += layer.between.least[rows][:, rows]
        most += layer.between.most[rows][:, rows]
    serving = Serving(batch_s, ports_s, world.batches_per_window)
    path = best_path(serving, Between(least, most, seconds), overlapped=True)
    return number[path]


def _distinct(tables: Iterable[IntArray]) -> list[IntArray]:
    """Return each plan once, in the order in which they came first."""
    found: dict[bytes, IntArray] = {}
    for table in tables:
        found.setdefault(table.astype(np.int64).tobytes(), table)
    return list(found.values())
