"""From the plan in force to one that the rules allow, changing little: where replanning starts."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.placement.plan import PlacementPlan, violations
from moeopt.placement.problem import PlacementProblem

#: Broken by what a plan moves, not by what it is.
_OF_MOVES = ("C11", "C12", "C13")


def repaired(problem: PlacementProblem, table: IntArray) -> IntArray | None:
    """Return `table` changed as far as the rules ask for it; ``None`` if that was not achieved.

    Copies are taken from dead and forbidden devices, from devices that have too many and from
    experts that have too many; experts that lack copies, and slots that must not be empty, get
    the coolest place that is open.

    Parameters
    ----------
    table
        ``(layers, slots)``, -1 for an empty slot.
    """
    if not _broken(problem, table):
        return table.copy()
    loads = problem.mean_loads()
    allowed = problem.allowed()
    pinned = problem.pair_mask(problem.pinned)
    rows = [
        _Layer(problem, row.copy(), loads[k], allowed[k], pinned[k]).mended()
        for k, row in enumerate(table)
    ]
    found = np.stack(rows)
    return None if _broken(problem, found) else found


def _broken(problem: PlacementProblem, table: IntArray) -> bool:
    found = violations(problem, PlacementPlan(physical_to_logical=table))
    return any(violation.constraint not in _OF_MOVES for violation in found)


class _Layer:
    """One layer's table, mended step by step."""

    def __init__(
        self,
        problem: PlacementProblem,
        row: IntArray,
        load: FloatArray,
        allowed: BoolArray,
        pinned: BoolArray,
    ) -> None:
        self.problem = problem
        self.row = row
        self.load = load
        self.allowed = allowed
        self.pinned = pinned
        self.device = problem.slot_device()
        self.speed = problem.cluster.relative_speed()
        self.node = problem.cluster.device_node()

    def mended(self) -> IntArray:
        """Take out what the rules forbid, then put in what they ask for."""
        self._take_out()
        for expert, device in zip(*np.nonzero(self.pinned), strict=True):
            if not (self.row[self.device == device] == expert).any():
                self._put(int(expert), np.flatnonzero(self.device == device))
        copies = np.bincount(self.row[self.row >= 0], minlength=len(self.load))
        lacking = np.maximum(self.problem.min_copies_per_expert - copies, 0)
        for expert in np.argsort(-self.load, kind="stable"):
            for _ in range(lacking[expert]):
                self._put(int(expert), np.arange(len(self.row)))
        if not self.problem.allow_empty_slots:
            self._fill()
        return self.row

    def _take_out(self) -> None:
        """Empty every slot whose copy breaks a rule: later copies give way to earlier ones."""
        most = self.problem.max_copies_per_expert or len(self.row)
        kept = np.zeros_like(self.allowed, dtype=np.int64)
        for slot, expert in enumerate(self.row.tolist()):
            if expert < 0:
                continue
            if kept[expert].sum() >= most or not self._open(expert, self.device[slot], kept):
                self.row[slot] = -1
            else:
                kept[expert, self.device[slot]] += 1

    def _fill(self) -> None:
        """Give each empty slot of a live device the expert whose copies are heaviest there."""
        live = self.problem.live()
        for slot in np.flatnonzero((self.row < 0) & live[self.device]):
            kept = self._kept()
            most = self.problem.max_copies_per_expert or len(self.row)
            share = self.load / np.maximum(kept.sum(axis=1), 1)
            for expert in np.argsort(-share, kind="stable"):
                if kept[expert].sum() < most and self._open(expert, self.device[slot], kept):
                    self.row[slot] = expert
                    break

    def _put(self, expert: int, slots: IntArray) -> None:
        """Put a copy in one of some slots: an empty one, else one of an expert that has spares."""
        kept = self._kept()
        copies = kept.sum(axis=1)
        share = self.load / np.maximum(copies, 1)
        filled = self.row >= 0
        heat = np.bincount(self.device[filled], share[self.row[filled]], minlength=len(self.speed))
        best, where = np.inf, -1
        for slot in slots:
            there = int(self.row[slot])
            spare = there < 0 or copies[there] > self.problem.min_copies_per_expert
            device = self.device[slot]
            held = there >= 0 and self.pinned[there, device] and kept[there, device] == 1
            if not spare or held or not self._open(expert, device, kept):
                continue
            # Empty slots first: they cost nobody a copy.
            cost = heat[device] / self.speed[device] + (0.0 if there < 0 else self.load.sum())
            if cost < best:
                best, where = cost, int(slot)
        if where >= 0:
            self.row[where] = expert

    def _open(self, expert: int, device: int, kept: IntArray) -> bool:
        """Tell whether a further copy of an expert may be on a device, beside those that are."""
        per_device = self.problem.max_copies_per_device
        if not self.allowed[expert, device]:
            return False
        if per_device is not None and kept[expert, device] >= per_device:
            return False
        if self.problem.distinct_nodes and kept[expert, self.node == self.node[device]].any():
            return False
        if self.problem.group_rule == "one_node":
            of_group = self.problem.expert_group() == self.problem.expert_group()[expert]
            homes = self.node[kept[of_group].any(axis=0)]
            return len(homes) == 0 or bool((homes == self.node[device]).all())
        return True

    def _kept(self) -> IntArray:
        """Return the copies of each expert on each device, ``(experts, devices)``."""
        kept = np.zeros_like(self.allowed, dtype=np.int64)
        filled = self.row >= 0
        np.add.at(kept, (self.row[filled], self.device[filled]), 1)
        return kept
