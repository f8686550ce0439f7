"""Brute force for tiny buffering problems, written from the formulation and from no solver.

It shares no arithmetic with ``moeopt.buffering``: every set of experts that a cache could hold is
kept with the cheapest way to it, reference by reference or group by group.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem
from moeopt.testing.conformance.kit import Optimum

#: Experts that a cache may come to hold, references and divisions of a budget, beyond which brute
#: force declines.
MOST_ITEMS, MOST_REFERENCES, MOST_DIVISIONS = 7, 24, 5000

#: What has happened, the last first: a linked list of ``(what, when, which)``.
_Events = Any


@dataclass(frozen=True)
class _Cache:
    """What one cache sees.

    Attributes
    ----------
    items
        Experts that are asked for and not pinned, as ``layer * experts + expert``.
    groups
        The groups that ask it, with their references in the stated order.
    pinned
        Room that is taken for good, in slots or bytes.
    """

    items: tuple[int, ...]
    groups: tuple[tuple[int, tuple[int, ...]], ...]
    pinned: int


def brute_force(problem: BufferingProblem) -> Optimum | None:
    """Return the optimum over every plan, or ``None`` if there are too many of them."""
    facts = _Facts(problem)
    caches = [facts.cache(c) for c in range(facts.caches)]
    if any(len(cache.items) > MOST_ITEMS for cache in caches):
        return None
    if problem.num_references > MOST_REFERENCES:
        return None
    rooms = _rooms(problem, caches, facts)
    if rooms is None:
        return None
    # What each cache makes of each room that it may get.
    found = [
        {room: _cheapest(facts, cache, room) for room in {division[c] for division in rooms}}
        for c, cache in enumerate(caches)
    ]
    best: tuple[float, tuple[int, ...]] = (math.inf, ())
    for division in rooms:
        cost = sum(found[c][room][0] for c, room in enumerate(division))
        if cost < best[0]:
            best = (cost, division)
    if math.isinf(best[0]):
        return Optimum(None, None)
    events = [_unlinked(found[c][room][1]) for c, room in enumerate(best[1])]
    return Optimum(best[0], _plan(problem, best[1], events))


class _Facts:
    """The problem's numbers by item and reference, in the objective's unit."""

    def __init__(self, problem: BufferingProblem) -> None:
        self.problem = problem
        self.caches = 1 if problem.pooled else problem.layers
        layers, experts = problem.layers, problem.experts
        each = [(layer, expert) for layer in range(layers) for expert in range(experts)]
        self.bytes = [_entry(problem.expert_bytes, *one) for one in each]
        self.size = self.bytes if problem.cache_bytes is not None else [1] * len(each)
        self.layer_bytes = [
            max(self.bytes[layer * experts : (layer + 1) * experts]) for layer in range(layers)
        ]
        pins = [] if problem.pinned is None else problem.pinned.tolist()
        self.pinned = {layer * experts + expert for layer, expert in pins}
        starts = problem.starts.tolist()
        self.item = [0] * problem.num_references
        self.groups: list[tuple[int, ...]] = []
        for g in range(problem.num_groups):
            self.groups.append(tuple(range(starts[g], starts[g + 1])))
            for r in self.groups[-1]:
                self.item[r] = g % layers * experts + int(problem.active[r])
        self.load = [self._load_price(*one) for one in each]
        self.miss = [self._miss_price(r) for r in range(problem.num_references)]

    def cache(self, number: int) -> _Cache:
        layers = self.problem.layers
        groups = tuple(
            (g, references)
            for g, references in enumerate(self.groups)
            if self.problem.pooled or g % layers == number
        )
        asked = {self.item[r] for _, references in groups for r in references}
        experts = self.problem.experts
        own = {i for i in self.pinned if self.problem.pooled or i // experts == number}
        return _Cache(
            tuple(sorted(asked - self.pinned)), groups, int(sum(self.size[i] for i in own))
        )

    def opens(self, group: int) -> bool:
        return group // self.problem.layers % self.problem.update_period == 0

    def _load_price(self, layer: int, expert: int) -> float:
        problem = self.problem
        if problem.objective == "misses":
            return 1.0 if problem.serve == "load" else 0.0
        size = _entry(problem.expert_bytes, layer, expert)
        if problem.objective == "miss_bytes":
            return size
        if problem.load_s is not None:
            return _entry(problem.load_s, layer, expert)
        return 0.0 if problem.timing is None else size / problem.timing.link_bytes_per_s

    def _miss_price(self, reference: int) -> float:
        problem = self.problem
        where = divmod(self.item[reference], problem.experts)
        if problem.objective == "misses":
            return 1.0
        if problem.objective == "miss_bytes":
            return _entry(problem.expert_bytes, *where)
        weight = 1.0 if problem.weights is None else float(problem.weights[reference])
        return weight * (0.0 if problem.miss_s is None else _entry(problem.miss_s, *where))


def _entry(value: Any, layer: int, expert: int) -> float:
    """Return what a number, a column of layers or a table says of one expert."""
    array = np.asarray(value)
    index = (layer, expert)[: array.ndim]
    return float(array[index])


def _rooms(
    problem: BufferingProblem, caches: list[_Cache], facts: _Facts
) -> list[tuple[int, ...]] | None:
    """Return every division of the room, or the one that is stated."""
    stated = problem.slots if problem.cache_bytes is None else problem.cache_bytes
    if stated is not None:
        return [tuple(np.broadcast_to(np.asarray(stated), (len(caches),)).tolist())]
    assert problem.budget_bytes is not None, "validated"
    most = [range(cache.pinned, cache.pinned + len(cache.items) + 1) for cache in caches]
    if math.prod(map(len, most)) > MOST_DIVISIONS:
        return None
    return [
        division
        for division in product(*most)
        if sum(n * size for n, size in zip(division, facts.layer_bytes, strict=True))
        <= problem.budget_bytes
    ]


def _cheapest(facts: _Facts, cache: _Cache, room: int) -> tuple[float, _Events]:
    """Return the least cost of a cache with so much room, and what happens then."""
    left = room - cache.pinned
    if left < 0:
        return math.inf, None
    nothing: frozenset[int] = frozenset()
    ways: dict[frozenset[int], tuple[float, _Events]] = {nothing: (0.0, None)}
    for place, (group, references) in enumerate(cache.groups):
        if facts.problem.serve == "load":
            ways = _loaded(facts, ways, references, left)
        else:
            ways = _bypassed(facts, cache, ways, group, place == 0, left)
    return min(ways.values(), key=lambda way: way[0], default=(math.inf, None))


def _loaded(
    facts: _Facts,
    ways: dict[frozenset[int], tuple[float, _Events]],
    references: tuple[int, ...],
    room: int,
) -> dict[frozenset[int], tuple[float, _Events]]:
    """Serve a group on demand, in every order where any is allowed."""
    states = {(held, references): way for held, way in ways.items()}
    for position in references:
        after: dict[Any, tuple[float, _Events]] = {}
        for (held, waiting), (cost, events) in states.items():
            for r in waiting if facts.problem.any_order else waiting[:1]:
                others = tuple(one for one in waiting if one != r)
                item = facts.item[r]
                ran = (events, ("run", position, r))
                if item in facts.pinned or item in held:
                    _keep(after, (held, others), cost, ran)
                    continue
                for kept in _subsets(held):
                    now = kept | {item}
                    if sum(facts.size[i] for i in now) > room:
                        continue
                    changed = _changes(ran, position, held, now)
                    _keep(after, (now, others), cost + facts.load[item], changed)
        states = after
    return {held: way for (held, _), way in states.items()}


def _bypassed(
    facts: _Facts,
    cache: _Cache,
    ways: dict[frozenset[int], tuple[float, _Events]],
    group: int,
    first: bool,
    room: int,
) -> dict[frozenset[int], tuple[float, _Events]]:
    """Let every set of residents serve a group, changed before it where that is allowed."""
    problem = facts.problem
    most = len(cache.items) if problem.loads_per_group is None else problem.loads_per_group
    every = [
        one for one in _subsets(frozenset(cache.items)) if sum(facts.size[i] for i in one) <= room
    ]
    after: dict[frozenset[int], tuple[float, _Events]] = {}
    for held, (cost, events) in ways.items():
        for now in every if facts.opens(group) else [held]:
            if len(now - held) > most:
                continue
            free = first and problem.free_fill
            loads = 0.0 if free else sum(facts.load[i] for i in now - held)
            absent = sum(
                facts.miss[r]
                for r in facts.groups[group]
                if facts.item[r] not in now and facts.item[r] not in facts.pinned
            )
            _keep(after, now, cost + loads + absent, _changes(events, group, held, now))
    return after


def _keep(found: dict[Any, tuple[float, _Events]], key: Any, cost: float, events: _Events) -> None:
    if key not in found or cost < found[key][0]:
        found[key] = (cost, events)


def _subsets(items: frozenset[int]) -> Iterator[frozenset[int]]:
    for count in range(len(items), -1, -1):
        yield from map(frozenset, combinations(sorted(items), count))


def _changes(events: _Events, when: int, held: frozenset[int], now: frozenset[int]) -> _Events:
    for what, items in (("drop", held - now), ("load", now - held)):
        for item in sorted(items):
            events = (events, (what, when, item))
    return events


def _unlinked(events: _Events) -> list[tuple[str, int, int]]:
    found = []
    while events is not None:
        events, last = events
        found.append(last)
    return found[::-1]


def _plan(
    problem: BufferingProblem, rooms: tuple[int, ...], events: list[list[tuple[str, int, int]]]
) -> BufferingPlan:
    """Return the plan of what happens in each cache."""
    every = [event for one in events for event in one]
    order = None
    if problem.any_order:
        order = np.array([which for _, _, which in sorted(_of("run", every), key=lambda e: e[1])])
        order = order.astype(np.int64)
    lists: dict[str, Any] = {}
    for what in ("load", "drop"):
        # In order of time; within one, as it happened.
        happened = sorted(_of(what, every), key=lambda event: event[1])
        lists[f"{what}_at"] = np.array([when for _, when, _ in happened], dtype=np.int64)
        lists[f"{what}_item"] = np.array([item for _, _, item in happened], dtype=np.int64)
    return BufferingPlan(capacity=np.array(rooms, dtype=np.int64), order=order, **lists)


def _of(what: str, events: Iterable[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    return [event for event in events if event[0] == what]
