"""Where experts live and what each device keeps of them, together.

arXiv:2303.06182 first deals experts to devices, equally many each and as balanced as it can, and
then gives every device a cache: what shares a cache is an outcome. Here an assignment is judged by
what its caches cost, and improved by swaps of two experts between two devices, which keep counts
equal. Fit it on an earlier part of a trace and judge it on the later one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import msgspec
import numpy as np

from moeopt.buffering.policies import Hints
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, matching_of, replay
from moeopt.buffering.stream import Schedule, Stream, streams
from moeopt.core.arguments import whole
from moeopt.core.arrays import BoolArray, FloatArray, IntArray, require_shape
from moeopt.core.errors import InstanceError

#: ``"total"``: the cost of all devices. ``"worst"``: of each pass of a layer the device that pays
#: most, as all wait for it.
Measure = Literal["total", "worst"]


@dataclass(frozen=True)
class Joint:
    """An assignment improved by swaps.

    Attributes
    ----------
    assignment
        Device of each expert, ``(layers, experts)``.
    cost, start_cost
        What its caches cost, and those of the assignment to begin with, on what it was fitted to.
    tried, swaps
        Swaps that were looked at, and that were made.
    """

    assignment: IntArray
    cost: float
    start_cost: float
    tried: int
    swaps: int


def device_problem(
    problem: BufferingProblem, assignment: IntArray, device: int
) -> BufferingProblem:
    """Return what one device's caches see: the references to its own experts, ids as they are.

    Slots and all other rules are those of each device.

    Parameters
    ----------
    problem
        The references to all experts.
    assignment
        Device of each expert, ``(layers, experts)``.
    device
        Which one.
    """
    dealt, devices = _devices_of(problem, assignment)
    if not 0 <= whole("device", device) < devices:
        raise InstanceError("device", device, f"must be below {devices}, from 0", "name another")
    mine = dealt == device
    kept = mine.ravel()[problem.item_of()]
    counts = np.concatenate(([0], np.cumsum(kept)))
    pinned = problem.pinned
    if pinned is not None and pinned.size:
        pinned = pinned[mine[pinned[:, 0], pinned[:, 1]]]
    return msgspec.structs.replace(
        problem,
        active=problem.active[kept],
        starts=counts[problem.starts],
        weights=None if problem.weights is None else problem.weights[kept],
        pinned=pinned,
        generator=None,
    )


def device_streams(
    problem: BufferingProblem, assignment: IntArray, device: int
) -> tuple[Stream, ...]:
    """Return the stream of each cache of one device.

    Parameters
    ----------
    problem, assignment, device
        As for `device_problem`. References and groups are numbered as in that problem.
    """
    return streams(device_problem(problem, assignment, device))


def assignment_cost(
    problem: BufferingProblem, assignment: IntArray, policy: str, measure: Measure = "total"
) -> float:
    """Return what the caches of all devices cost, in the objective's unit.

    Parameters
    ----------
    problem
        The references to all experts; its slots are those of each device.
    assignment
        Device of each expert, ``(layers, experts)``.
    policy
        As for `moeopt.buffering.replays.replay`.
    measure
        What counts.
    """
    table, devices = _devices_of(problem, assignment)
    caches = _caches(problem, policy, measure)
    return sum(cache.cost(cache.paid(table, devices)) for cache in caches)


def joint_assignment(
    problem: BufferingProblem,
    start: IntArray,
    policy: str,
    *,
    measure: Measure = "total",
    most_tries: int | None = None,
    seed: int = 0,
) -> Joint:
    """Improve an assignment by swaps until none is better.

    Parameters
    ----------
    problem
        The references to all experts; its slots are those of each device.
    start
        Device of each expert to begin with, ``(layers, experts)``: where the paper's way ends.
    policy
        Of the caches.
    measure
        What counts.
    most_tries
        Swaps to look at in each layer; ``None``: until all of them are no better.
    seed
        Of the order in which swaps are looked at.
    """
    table, devices = _devices_of(problem, start)
    caches = _caches(problem, policy, measure)
    if most_tries is not None and whole("most_tries", most_tries) < 0:
        raise InstanceError("most_tries", most_tries, "must be 0 or more", "leave it out for all")
    rng = np.random.default_rng(seed)
    paid = [cache.paid(table, devices) for cache in caches]
    began = sum(cache.cost(rows) for cache, rows in zip(caches, paid, strict=True))
    tried = swaps = 0
    again = True
    while again:
        before = swaps
        for layer in range(problem.num_layers):
            at = 0 if problem.pooled else layer
            search = _Search(caches[at], table, paid[at])
            search.run(layer, most_tries, rng)
            paid[at] = search.paid
            tried, swaps = tried + search.tried, swaps + search.swaps
        # In a pool, what a later layer swaps may make a swap of an earlier one pay.
        again = problem.pooled and most_tries is None and swaps > before
    cost = sum(cache.cost(rows) for cache, rows in zip(caches, paid, strict=True))
    return Joint(table, cost, began, tried, swaps)


@dataclass(frozen=True)
class _Cache:
    """One cache of every device: what all of them together see, and how they serve it."""

    part: Stream
    hints: Hints
    policy: str
    measure: Measure

    def paid(self, table: IntArray, devices: int) -> FloatArray:
        """Return what each device pays, ``(devices, 1)`` or in each group ``(devices, groups)``."""
        return np.stack([self.paid_by(table, device) for device in range(devices)])

    def cost(self, paid: FloatArray) -> float:
        """Return what counts of what the devices pay."""
        return float(paid.sum() if self.measure == "total" else paid.max(axis=0).sum())

    def paid_by(self, table: IntArray, device: int) -> FloatArray:
        """Return what one device pays."""
        items = slice(self.part.first_item, self.part.first_item + self.part.num_items)
        mine = table.ravel()[items] == device
        own, hints = _own(self.part, mine), self.hints
        if hints.history is not None:
            hints = replace(hints, history=hints.history * mine)
        told = replay(own, self.policy, hints=hints, record=self.measure == "worst")
        if told.schedule is None:
            return np.array([told.miss_cost])
        return _by_group(own, told.schedule)


@dataclass
class _Search:
    """Swaps of experts of one layer; `table` is changed."""

    cache: _Cache
    table: IntArray
    paid: FloatArray
    tried: int = 0
    swaps: int = 0

    def run(self, layer: int, most: int | None, rng: np.random.Generator) -> None:
        """Look at all pairs in some order, round after round, until none of them is better."""
        row = self.table[layer]
        # The same order in every round: so many pairs in a row without a swap are all of them.
        pairs = rng.permutation(np.stack(np.triu_indices(row.size, 1), axis=1)).tolist()
        since = 0
        while since < len(pairs):
            for a, b in pairs:
                since += 1
                if row[a] != row[b]:
                    if self.tried == most:
                        return
                    self.tried += 1
                    since = 0 if self._better(row, a, b) else since
                if since >= len(pairs):
                    return

    def _better(self, row: IntArray, a: int, b: int) -> bool:
        """Swap two experts if that costs less."""
        row[a], row[b] = row[b], row[a]
        paid = self.paid.copy()
        for device in (int(row[a]), int(row[b])):
            paid[device] = self.cache.paid_by(self.table, device)
        if self.cache.cost(paid) < self.cache.cost(self.paid):
            self.paid = paid
            self.swaps += 1
            return True
        row[a], row[b] = row[b], row[a]
        return False


def _caches(problem: BufferingProblem, policy: str, measure: Measure) -> list[_Cache]:
    if measure not in get_args(Measure):
        raise InstanceError(
            "measure", measure, f"must be one of {', '.join(get_args(Measure))}", "choose one"
        )
    matching = matching_of(problem) if policy == "activation_matching" else None
    return [
        _Cache(part, hints_of(problem, part, matching), policy, measure)
        for part in streams(problem)
    ]


def _own(part: Stream, mine: BoolArray) -> Stream:
    """Return the stream of those of a cache's items that a device has."""
    kept = mine[part.items]
    counts = np.concatenate(([0], np.cumsum(kept)))
    return replace(
        part,
        items=part.items[kept],
        starts=counts[part.starts],
        references=part.references[kept],
        miss_prices=part.miss_prices[kept],
        pinned=part.pinned & mine,
    )


def _by_group(part: Stream, told: Schedule) -> FloatArray:
    """Return what a schedule costs in each group, ``(groups,)``."""
    price = part.load_prices[told.load_item]
    if part.serve == "load":
        return _summed(part, part.group_of()[told.load_at], price)
    if part.free_fill:
        price = np.where(told.load_at == 0, 0.0, price)
    absent = ~_found(part, told)
    missed = _summed(part, part.group_of()[absent], part.miss_prices[absent])
    return missed + _summed(part, told.load_at, price)


def _summed(part: Stream, group: IntArray, price: FloatArray) -> FloatArray:
    found: FloatArray = np.bincount(group, price, part.num_groups).astype(np.float64)
    return found


def _found(part: Stream, told: Schedule) -> BoolArray:
    """Return which references of a stream that is bypassed find their item, ``(references,)``."""
    times = part.num_groups + 1
    at = np.concatenate([told.drop_at, told.load_at])
    item = np.concatenate([told.drop_item, told.load_item])
    load = np.repeat([False, True], [told.drop_at.size, told.load_at.size])
    # By item and time; what is dropped and loaded again at one time is there.
    order = np.lexsort((load, at, item))
    key = (item * times + at)[order]
    last = np.searchsorted(key, part.items * times + part.group_of(), side="right") - 1
    there = part.pinned[part.items]
    known = np.flatnonzero(last >= 0)
    event = order[last[known]]
    there[known] |= load[event] & (item[event] == part.items[known])
    return there


def _devices_of(problem: BufferingProblem, assignment: IntArray) -> tuple[IntArray, int]:
    """Return a copy of a checked assignment, and the number of devices."""
    table = np.asarray(assignment)
    shape = (problem.num_layers, problem.num_experts)
    require_shape(table, "assignment", shape, "layers, experts")
    if table.dtype.kind not in "iu" or table.min() < 0:
        raise InstanceError(
            "assignment", f"<{table.dtype} array>", "must name devices", "number them from 0"
        )
    if table.max() >= table.size:
        # Each device is replayed, those without an expert too.
        rule = f"must number devices below {table.size}, as many as there are experts"
        raise InstanceError("assignment", int(table.max()), rule, "number them from 0")
    return table.astype(np.int64), int(table.max()) + 1
