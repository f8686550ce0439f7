"""Replanning where it is limited what may be copied: in all, to each device, to each node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.placement.arrays import NoPlacementError
from moeopt.placement.descent import Ground, Trails, Turns, corners
from moeopt.placement.plan import Arrivals, arrivals, held_before, layer_copies, near_before
from moeopt.placement.problem import PlacementProblem

#: How often layers that met a limit of devices or nodes go on around it.
ROUNDS = 4

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
    store = _Store(problem, np.stack([_row(trails, begins, i) for i in range(len(begins))]))
    if not store.fits():
        raise NoPlacementError("no_plan_found: the limits forbid what the rules ask to be moved")
    taken: list[Turns] = []
    for _ in range(ROUNDS):
        kept, met = _take(store, trails, turns)
        taken.append(turns.part(kept))
        if len(met) == 0:
            break
        room = store.room(met)
        again = ground.at(problem, store.table).descend(store.table[met], met, *room)
        trails.append(again)
        fresh_begins, turns = corners([again], problem.num_layers)
        moved_on = fresh_begins.part(np.flatnonzero(fresh_begins.step > 0))
        turns = _numbered(Turns.joined([moved_on, turns]), len(trails) - 1)
    return begins, Turns.joined(taken)


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
    return trails[turns.trail[i]].row(turns.row[i], turns.step[i])


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
        self.node_of = np.eye(problem.cluster.num_nodes)[problem.cluster.device_node()]
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
        new = (layer_copies(self.problem, row) > 0) & ~self.held[layer]
        size = self.size[layer][:, None]
        before = self.device_bytes[layer].copy(), self.node_bytes[layer].copy()
        self.device_bytes[layer] = (new * size).sum(axis=0)
        self.node_bytes[layer] = ((new & ~self.near[layer]) * size).sum(axis=0) @ self.node_of
        if self.fits():
            self.table[layer] = row
            return True
        self.device_bytes[layer], self.node_bytes[layer] = before
        return False

    def room(self, layers: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return what may arrive in each of some layers, ``(layers, devices)``, ``(…, nodes)``."""
        of_device = self.device_limit - self.device_bytes.sum(axis=0) + self.device_bytes[layers]
        of_node = self.node_limit - self.node_bytes.sum(axis=0) + self.node_bytes[layers]
        return of_device, of_node
