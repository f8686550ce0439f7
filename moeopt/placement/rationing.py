"""Replanning where it is limited what may be copied: in all, to each device, to each node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.placement.arrays import NoPlacementError
from moeopt.placement.descent import Ground, Trails, Turns, corners
from moeopt.placement.plan import Arrivals, arrivals, held_before, near_before
from moeopt.placement.problem import PlacementProblem

#: How often, at most, layers that met a limit of devices or nodes go on around it.
ROUNDS = 32

#: Steps of a layer in each of these rounds: of a longer descent little is taken before the limit.
STEPS = 24

#: Relative slack of sums of bytes.
_ROUNDED = 1 + 1e-12


def rationed(
    problem: PlacementProblem, ground: Ground, trails: list[Trails], begins: Turns, turns: Turns
) -> tuple[Turns, Turns]:
    """Return the turns that keep the limits, in order; further trails are added to `trails`.

    Turns are taken in the order of what a byte buys while they fit. A layer that meets a limit of
    a device or a node descends again from where it stands, in the room that all others leave.

    Raises
    ------
    NoPlacementError
        If already the first plans break a limit.
    """
    start = _starts(trails[0])
    ways = [begins]
    if (begins.size < start.size).any():
        # Where less is copied first, what is left may be too little for the next turn.
        ways.append(start)
    found = []
    for way in ways:
        store = _Store(problem, np.stack([_row(trails, way, i) for i in range(len(way))]))
        if store.fits():
            better = turns.part(np.flatnonzero(turns.heat < way.heat[turns.layer]))
            found.append((way, _taken(problem, ground, trails, store, better)))
    if not found:
        raise NoPlacementError("no_plan_found: the limits forbid what the rules ask to be moved")
    return min(found, key=lambda one: _end(*one))


def _starts(trails: Trails) -> Turns:
    """Return where the trails of all layers start."""
    begun = np.zeros(len(trails.layers), dtype=np.int64)
    heat, size, number = trails.heat[:, 0], np.round(trails.size[:, 0], 6), trails.number[:, 0]
    return Turns(trails.layers, begun, np.arange(len(begun)), begun, heat, size, number)


def _end(begins: Turns, turns: Turns) -> float:
    """Return the sum over layers of the heat after all turns."""
    heat = begins.heat.copy()
    # Of several turns of one layer the last counts.
    heat[turns.layer] = turns.heat
    return float(heat.sum())


def _taken(
    problem: PlacementProblem, ground: Ground, trails: list[Trails], store: _Store, turns: Turns
) -> Turns:
    """Take turns from what the store holds on, and go on around the limits that are met."""
    taken: list[Turns] = []
    unfinished = np.empty(0, dtype=np.int64)
    for _ in range(ROUNDS):
        kept, met = _take(store, trails, turns)
        met = np.union1d(met, unfinished)
        taken.append(turns.part(kept))
        # Nothing fits any more, or what is left is less than a step in all.
        if len(met) == 0 or (len(kept) == 0 and len(taken) > 1):
            break
        here = ground.at(problem, store.table)
        again = here.descend(store.table[met], met, *store.room(met), STEPS)
        unfinished = met[again.steps == STEPS]
        trails.append(again)
        onwards, turns = corners([again], problem.num_layers)
        moved_on = onwards.part(np.flatnonzero(onwards.step > 0))
        turns = _numbered(Turns.joined([moved_on, turns]), len(trails) - 1)
    return Turns.joined(taken)


def _take(store: _Store, trails: Sequence[Trails], turns: Turns) -> tuple[IntArray, IntArray]:
    """Take turns while they fit; return which, and the layers that met a limit."""
    kept: list[int] = []
    met: set[int] = set()
    for i, layer in enumerate(turns.layer.tolist()):
        if layer in met:
            continue
        if store.put(layer, _row(trails, turns, i)):
            kept.append(i)
        else:
            met.add(layer)
    return np.array(kept, dtype=np.int64), np.array(sorted(met), dtype=np.int64)


def _row(trails: Sequence[Trails], turns: Turns, i: int) -> IntArray:
    return trails[int(turns.trail[i])].row(int(turns.row[i]), int(turns.step[i]))


def _numbered(turns: Turns, trail: int) -> Turns:
    from dataclasses import replace

    return replace(turns, trail=np.full(len(turns), trail))


class _Store:
    """The layers' tables, and what they bring to each device and node."""

    def __init__(self, problem: PlacementProblem, table: IntArray) -> None:
        self.problem = problem
        self.table = table
        self.held: BoolArray = held_before(problem)
        self.near: BoolArray = near_before(problem)
        self.size = problem.bytes_of_experts()
        self.device = problem.slot_device()
        self.node = problem.cluster.device_node()
        found: Arrivals = arrivals(problem, table)
        self.device_bytes, self.node_bytes = found.device_bytes, found.node_bytes
        self.device_limit, self.node_limit = (
            budget * _ROUNDED for budget in problem.arrival_budget_bytes()
        )
        in_all = problem.max_moved_bytes
        self.limit = np.inf if in_all is None else in_all * _ROUNDED

    def fits(self) -> bool:
        """Tell whether all limits hold."""
        return bool(
            self.device_bytes.sum() <= self.limit
            and (self.device_bytes.sum(axis=0) <= self.device_limit).all()
            and (self.node_bytes.sum(axis=0) <= self.node_limit).all()
        )

    def put(self, layer: int, row: IntArray) -> bool:
        """Put another table in a layer if it fits; tell whether it did."""
        before = self.device_bytes[layer].copy(), self.node_bytes[layer].copy()
        self.device_bytes[layer], self.node_bytes[layer] = self._brings(layer, row)
        if self.fits():
            self.table[layer] = row
            return True
        self.device_bytes[layer], self.node_bytes[layer] = before
        return False

    def _brings(self, layer: int, row: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return what a row of slots brings to each device, and from other nodes to each node."""
        devices = self.problem.num_devices
        # Looked up slot by slot: a table of all experts on all devices is far larger.
        pairs = np.unique((row * devices + self.device)[row >= 0])
        expert, device = np.divmod(pairs, devices)
        size = np.where(self.held[layer, expert, device], 0.0, self.size[layer, expert])
        far = np.where(self.near[layer, expert, device], 0.0, size)
        node = self.node[device]
        nodes = self.problem.cluster.num_nodes
        by_device: FloatArray = np.bincount(device, size, devices).astype(np.float64)
        by_node: FloatArray = np.bincount(node, far, nodes).astype(np.float64)
        return by_device, by_node

    def room(self, layers: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return what may arrive in each of some layers, ``(layers, devices)``, ``(…, nodes)``."""
        of_device = self.device_limit - self.device_bytes.sum(axis=0) + self.device_bytes[layers]
        of_node = self.node_limit - self.node_bytes.sum(axis=0) + self.node_bytes[layers]
        return of_device, of_node
