"""Every policy once more, in plain Python, from the words of ``policies.py`` alone.

Nothing is kept but a log of what happened; every worth is worked out from it anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import Stream


@dataclass
class Told:
    """What a replay tells."""

    hits: int = 0
    misses: int = 0
    loads: int = 0
    cost: float = 0.0
    load_events: list[tuple[int, int]] = field(default_factory=list)
    drop_events: list[tuple[int, int]] = field(default_factory=list)
    order: list[int] = field(default_factory=list)


class Cache:
    """One cache, and all that has happened in it."""

    def __init__(self, problem: BufferingProblem, stream: Stream, name: str, capacity: int) -> None:
        self.problem, self.stream, self.name, self.capacity = problem, stream, name, capacity
        self.layers = problem.layers if problem.pooled else 1
        self.per_layer = stream.num_items // self.layers
        self.items = [int(i) for i in stream.items]
        self.size = [float(s) for s in stream.sizes]
        self.pinned = {i for i in range(stream.num_items) if stream.pinned[i]}
        self.resident: set[int] = set()
        self.log: list[tuple[int, int, float, int]] = []  # item, group, price, reference
        self.loaded: dict[int, int] = {}
        self.left: dict[int, int] = {}
        self.set_worth: dict[int, float] = {}
        self.age = 0.0
        self.history: list[float] | None = None
        if problem.history is not None:
            table = [float(c) for row in problem.history for c in row]
            self.history = table[stream.first_item : stream.first_item + stream.num_items]
        self.kept = self._kept()
        self.matched = matched(problem) if name == "activation_matching" else []
        self.due: list[int] = []
        self.told = Told()

    def room(self) -> float:
        return self.capacity - sum(self.size[i] for i in self.resident | self.pinned)

    def layer(self, item: int) -> int:
        return item // self.per_layer

    def last(self, item: int) -> int:
        return max((p for p, entry in enumerate(self.log) if entry[0] == item), default=-1)

    def key(self, item: int, group: int, coming: int) -> tuple[float, int, int]:
        return (self.worth(item, group, coming), self.last(item), -item)

    def worth(self, item: int, group: int, coming: int) -> float:
        return float(getattr(self, "worth_" + self.name)(item, group, coming))

    def worth_lru(self, item: int, group: int, coming: int) -> float:
        return self.last(item)

    def worth_mru(self, item: int, group: int, coming: int) -> float:
        return -self.last(item)

    def worth_fifo(self, item: int, group: int, coming: int) -> float:
        return self.entered(item)

    def worth_lifo(self, item: int, group: int, coming: int) -> float:
        return -self.entered(item)

    def entered(self, item: int) -> int:
        """Return when an item was loaded; one that asks to come in would be now."""
        return self.loaded[item] if item in self.resident else len(self.log)

    def classes(self, item: int, group: int) -> int:
        asked = {self.items[r] for r in self.references(group)}
        ran = {entry[0] for entry in self.log if entry[1] == group}
        return 0 if item not in asked else 1 if item in ran else 2

    def references(self, group: int) -> range:
        return range(int(self.stream.starts[group]), int(self.stream.starts[group + 1]))

    def worth_inactive_lifo(self, item: int, group: int, coming: int) -> float:
        which = self.classes(item, group)
        return which * 1e9 - (self.last(item) if which else self.entered(item))

    def worth_inactive_lifo_inserted(self, item: int, group: int, coming: int) -> float:
        return self.classes(item, group) * 1e9 - self.entered(item)

    def worth_lfu(self, item: int, group: int, coming: int) -> float:
        past = 0.0 if self.history is None else self.history[item]
        return past + sum(entry[0] == item for entry in self.log)

    def worth_group_lfu(self, item: int, group: int, coming: int) -> float:
        due = self.classes(item, group) == 2
        return self.worth_lfu(item, group, coming) + (1e9 if due else 0.0)

    def worth_lfru(self, item: int, group: int, coming: int) -> float:
        since = [e for p, e in enumerate(self.log) if e[0] == item and p >= self.left.get(item, 0)]
        return len(since) / (len(self.log) - self.last(item))

    def worth_lec(self, item: int, group: int, coming: int) -> float:
        unit = float(self.stream.load_prices[item])
        if self.stream.serve == "bypass":
            unit = sum(float(p) for p in self.stream.miss_prices) / len(self.items)
        past = 0.0 if self.history is None else self.history[item] * unit
        return past + sum(entry[2] for entry in self.log if entry[0] == item)

    def worth_gdsf(self, item: int, group: int, coming: int) -> float:
        return self.set_worth.get(item, 0.0)

    def worth_least_stale(self, item: int, group: int, coming: int) -> float:
        here, step, layer = group % self.layers, group // self.layers, self.layer(item)
        first = step * self.layers
        asked = {self.items[r] for g in range(first, group + 1) for r in self.references(g)}
        if item not in asked:
            return layer if layer < here else 1e6 - layer
        if layer < here:
            return 2e6 + layer
        return 3e6 if self.classes(item, group) == 1 else 4e6

    def worth_quota_lru(self, item: int, group: int, coming: int) -> float:
        inside = [*self.resident, *self.pinned, coming]
        return -sum(self.size[i] for i in inside if self.layer(i) == self.layer(item))

    def worth_static_top_k(self, item: int, group: int, coming: int) -> float:
        assert self.history is not None
        return self.history[item] if item in self.kept else -math.inf

    def _kept(self) -> set[int]:
        room = self.capacity - sum(self.size[i] for i in self.pinned)
        kept: set[int] = set()
        if self.history is None:
            return kept
        for item in sorted(range(len(self.history)), key=lambda i: (-self.history[i], i)):
            if item not in self.pinned and self.size[item] <= room:
                kept.add(item)
                room -= self.size[item]
        return kept

    def worth_activation_matching(self, item: int, group: int, coming: int) -> float:
        whole = int(self.stream.groups[group])
        ahead = (self.layer(item) - group % self.layers) % self.layers
        share = 0.0
        like = self.matched[whole]
        if like is not None:
            experts = self.problem.experts
            layer, expert = divmod(self.stream.first_item + item, experts)
            row = like[layer]
            share = row[expert] / sum(row) if sum(row) else 0.0
        return (share + 1e-8) * (1.0 - ahead / (self.layers + 1))

    def worth_belady(self, item: int, group: int, coming: int) -> float:
        last = max(entry[3] for entry in self.log if entry[0] == item)
        later = [r for r in range(last + 1, len(self.items)) if self.items[r] == item]
        return -min(later, default=len(self.items) + item)

    def load(self, item: int, at: int, price: float) -> None:
        self.resident.add(item)
        self.loaded[item] = len(self.log)
        self.told.loads += 1
        self.told.cost += price
        self.told.load_events.append((at, item))

    def drop(self, item: int, at: int) -> None:
        self.resident.remove(item)
        self.left[item] = len(self.log)
        self.age = self.set_worth.get(item, 0.0)
        self.told.drop_events.append((at, item))

    def run(self, item: int, group: int, price: float, reference: int) -> None:
        self.log.append((item, group, price, reference))
        since = [e for p, e in enumerate(self.log) if e[0] == item and p >= self.left.get(item, 0)]
        self.set_worth[item] = self.age + sum(e[2] for e in since) / self.size[item]
        self.told.order.append(reference)

    def on_demand(self, residents_first: bool) -> Told:
        for group in range(self.stream.num_groups):
            turn = list(self.references(group))
            if residents_first:
                there = self.resident | self.pinned
                turn.sort(key=lambda r: self.items[r] not in there)
            for reference in turn:
                item, at = self.items[reference], len(self.log)
                price = float(self.stream.load_prices[item])
                if item in self.resident | self.pinned:
                    self.told.hits += 1
                else:
                    self.told.misses += 1
                    while self.room() < self.size[item]:
                        keys = {i: self.key(i, group, item) for i in self.resident}
                        self.drop(min(keys, key=keys.__getitem__), at)
                    self.load(item, at, price)
                self.run(item, group, price, reference)
        return self.told

    def bypassing(self) -> Told:
        asking = self.first_to_ask()
        for group in range(self.stream.num_groups):
            if self.stream.opens[group]:
                self.let_in(asking, group)
                asking = set()
            for reference in self.references(group):
                item = self.items[reference]
                price = float(self.stream.miss_prices[reference])
                if item in self.resident | self.pinned:
                    self.told.hits += 1
                else:
                    self.told.misses += 1
                    self.told.cost += price
                    asking.add(item)
                self.run(item, group, price, reference)
        return self.told

    def first_to_ask(self) -> set[int]:
        if self.history is None:
            return set()
        known = {i for i, count in enumerate(self.history) if count > 0} - self.pinned
        counted = dict.fromkeys(("lfu", "group_lfu", "lec"), known)
        return {**counted, "static_top_k": self.kept}.get(self.name, set())

    def let_in(self, asking: set[int], group: int) -> None:
        before, entered, asking = group - 1, set(), set(asking)
        most = self.stream.loads_per_group
        while asking and (most is None or len(entered) < most):
            keys = {i: self.key(i, before, i) for i in asking}
            item = max(keys, key=keys.__getitem__)
            asking.remove(item)
            if keys[item][0] == -math.inf:
                continue
            leaving = self.in_place_of(item, keys[item], before, entered)
            if leaving is None:
                continue
            for other in leaving:
                self.drop(other, group)
            free = self.stream.free_fill and group == 0
            self.load(item, group, 0.0 if free else float(self.stream.load_prices[item]))
            entered.add(item)

    def in_place_of(
        self, item: int, key: tuple[float, int, int], before: int, entered: set[int]
    ) -> list[int] | None:
        """Return what leaves for an item, ``None`` if it is worth less than one of these."""
        stays, leaving = set(self.resident), []
        while self.room() < self.size[item]:
            keys = {i: self.key(i, before, item) for i in self.resident - entered}
            least = min(keys, key=keys.__getitem__, default=None)
            if least is None or keys[least] > key:
                self.resident = stays
                return None
            self.resident.remove(least)
            leaving.append(least)
        self.resident = stays
        return leaving


def matched(problem: BufferingProblem) -> list[list[list[int]] | None]:
    """For each group the counts of the finished sequence that its own is most like so far."""
    firsts = [0] if problem.sequence_starts is None else [int(s) for s in problem.sequence_starts]
    places: list[list[list[int]]] = []
    chosen: list[int] = []
    found: list[list[list[int]] | None] = []
    own: list[list[int]] = []
    for group in range(problem.num_groups):
        step, layer = divmod(group, problem.layers)
        if layer == 0 and step in firsts:
            if step:
                if len(places) == 64:
                    place = chosen.index(min(chosen))
                    places[place], chosen[place] = own, 1
                else:
                    places.append(own)
                    chosen.append(1)
            own = [[0] * problem.experts for _ in range(problem.layers)]
        for reference in range(int(problem.starts[group]), int(problem.starts[group + 1])):
            own[layer][int(problem.active[reference])] += 1
        if not places:
            found.append(None)
            continue
        alike = [sum(map(cosine, own, place)) for place in places]
        best = alike.index(max(alike))
        chosen[best] += 1
        found.append(places[best])
    return found


def cosine(a: list[int], b: list[int]) -> float:
    """Return the cosine of the angle of two vectors, 0 if one is nothing."""
    both = sum(x * x for x in a) * sum(y * y for y in b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(both) if both else 0.0


def reference_replay(
    problem: BufferingProblem,
    stream: Stream,
    name: str,
    capacity: int,
    residents_first: bool = False,
) -> Told:
    """Return what a cache does under a policy."""
    cache = Cache(problem, stream, name, capacity)
    return cache.bypassing() if stream.serve == "bypass" else cache.on_demand(residents_first)
