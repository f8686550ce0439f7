"""Brute force for tiny committee problems, written from the formulation and from no solver.

It shares no arithmetic with ``moeopt.committee``: every choice of period and slots is tried, and
with each the cheapest way from update to update through every set of residents. Layers are looked
at together where a link couples them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from moeopt.committee.plan import CommitteePlan
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.testing.conformance.kit import Optimum

#: Sets of residents and numbers of slots beyond which brute force declines.
MOST_STATES, MOST_SLOTS = 256, 4000

#: Slack of rules about sums of seconds and rates, as on the formulation page.
_SLACK = 1 + 1e-9


def brute_force(problem: CommitteeProblem) -> Optimum | None:
    """Return the optimum over every plan, or ``None`` if there are too many of them."""
    facts = _Facts(problem)
    counts = [range(facts.fewest[e], facts.most[e] + 1) for e in range(facts.layers)]
    if math.prod(map(len, counts)) > MOST_SLOTS:
        return None
    fitting = [slots for slots in product(*counts) if facts.fits(slots)]
    if problem.loss == "table":
        return _best_measured(facts, fitting)
    # A plan for some slots is one for more, at the same cost.
    wide = [one for one in fitting if not any(_more(other, one) for other in fitting)]
    if any(1 << facts.experts * len(block) > MOST_STATES for block in facts.blocks):
        return None
    best: tuple[float, CommitteePlan | None] = (math.inf, None)
    for period in facts.periods:
        moves = [_Moves(facts, block, period) for block in facts.blocks]
        for slots in wide:
            ways = [move.cheapest([slots[e] for e in move.block]) for move in moves]
            cost = sum(way[0] for way in ways)
            if cost < best[0]:
                paths = [(m.block, way[1]) for m, way in zip(moves, ways, strict=True)]
                best = (cost, _plan(facts, period, slots, paths))
    return Optimum(*best) if best[1] is not None else Optimum(None, None)


class _Facts:
    """The problem's numbers in plain Python."""

    def __init__(self, problem: CommitteeProblem) -> None:
        self.problem = problem
        self.layers, self.experts = problem.layers, problem.experts
        self.bytes = self._each(problem.expert_bytes)
        self.slot_bytes = [
            a + b for a, b in zip(self.bytes, self._each(problem.activation_bytes), strict=True)
        ]
        self.staged = sum(
            n * b for n, b in zip(self._each(problem.staging_slots), self.bytes, strict=True)
        )
        self.slot_s = self._each(problem.slot_s)
        self.price = self._each(problem.load_price)
        fewest = min(problem.top_k, problem.experts)
        stated = fewest if problem.min_slots is None else problem.min_slots
        self.fewest = [int(n) for n in self._each(stated)]
        stated = problem.experts if problem.max_slots is None else problem.max_slots
        self.most = [int(n) for n in self._each(stated)]
        self.periods = [1] if problem.periods is None else [int(p) for p in problem.periods]
        linked = problem.link_bytes_per_s is not None and problem.window_s is not None
        every = range(self.layers)
        self.blocks = [list(every)] if linked else [[layer] for layer in every]
        self.windows = 1
        if problem.importance is not None:
            self.windows = len(problem.importance)
        elif problem.window_starts is not None:
            self.windows = len(problem.window_starts)

    def fits(self, slots: Sequence[int]) -> bool:
        """Tell whether memory and latency allow so many slots."""
        used = self.problem.fixed_bytes + self.staged
        used += sum(k * b for k, b in zip(slots, self.slot_bytes, strict=True))
        took = self.problem.base_s + sum(k * s for k, s in zip(slots, self.slot_s, strict=True))
        slow = self.problem.latency_s is not None and took > self.problem.latency_s * _SLACK
        return used <= self.problem.budget_bytes and not slow

    def carried(self, period: int) -> float:
        """Return the bytes that pass the link in one period."""
        rate, window = self.problem.link_bytes_per_s, self.problem.window_s
        return math.inf if rate is None or window is None else rate * window * period * _SLACK

    def loss(self, window: int, layer: int, residents: frozenset[int]) -> float:
        """Return what the absent experts of a layer cost in a window."""
        absent = set(range(self.experts)) - residents
        if self.problem.loss == "additive":
            assert self.problem.importance is not None, "validated"
            return float(sum(self.problem.importance[window, layer, e] for e in absent))
        return sum(self._missed(x, residents) for x in self._tokens(window, layer))

    def _missed(self, values: Sequence[float], residents: frozenset[int]) -> float:
        """Return what one token, of these router values, loses."""
        order = sorted(range(self.experts), key=lambda e: (-values[e], e))
        own = order[: self.problem.top_k]
        if self.problem.loss == "skip":
            return sum(values[e] for e in own if e not in residents)
        served = [e for e in order if e in residents][: self.problem.top_k]
        return sum(values[e] for e in own) - sum(values[e] for e in served)

    def _tokens(self, window: int, layer: int) -> Iterator[list[float]]:
        router, starts = self.problem.router, self.problem.window_starts
        assert router is not None, "validated"
        begins = [0] if starts is None else starts.tolist()
        for token in range(begins[window], [*begins, len(router)][window + 1]):
            yield router[token, layer].tolist()

    def _each(self, value: Any) -> list[Any]:
        """Return a number, or one for each layer, as a list."""
        table = np.asarray(value)
        return np.broadcast_to(table, (self.layers,)).tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Sets:
    """Sets of residents of some layers, as numbers in binary: ``layer * experts + expert``.

    Attributes
    ----------
    cost
        Of each set in each update's windows, ``(updates, sets)``.
    price, load_bytes
        Of going from one set to another, ``(sets, sets)``.
    sizes
        Residents of each layer, ``(layers, sets)``.
    """

    cost: FloatArray
    price: FloatArray
    load_bytes: FloatArray
    sizes: IntArray


class _Moves:
    """What some layers cost from update to update."""

    def __init__(self, facts: _Facts, block: list[int], period: int) -> None:
        self.facts, self.block, self.period = facts, block, period
        self.sets = self._sets()

    def cheapest(self, slots: list[int]) -> tuple[float, list[int]]:
        """Return the least cost with so many slots of each layer, and the set of each update."""
        sets = self.sets
        fitting = np.flatnonzero((sets.sizes <= np.array(slots)[:, None]).all(axis=0))
        inner = np.ix_(fitting, fitting)
        step = np.where(
            sets.load_bytes[inner] <= self.facts.carried(self.period), sets.price[inner], math.inf
        )
        # From nothing: the empty set is number 0.
        begin = step[0].copy()
        if self.facts.problem.free_fill:
            begin = np.zeros(fitting.size)
        value, came = begin + sets.cost[0, fitting], []
        for cost in sets.cost[1:, fitting]:
            through = value[:, None] + step
            came.append(through.argmin(axis=0))
            value = through.min(axis=0) + cost
        at = int(value.argmin())
        least, path = float(value[at]), [at]
        for before in reversed(came):
            path.append(int(before[path[-1]]))
        return least, [int(fitting[i]) for i in path[::-1]]

    def _sets(self) -> _Sets:
        facts, experts = self.facts, self.facts.experts
        bits = len(self.block) * experts
        number = np.arange(1 << bits)
        new = number[None, :] & ~number[:, None]
        shape = (number.size, number.size)
        price, load_bytes = np.zeros(shape), np.zeros(shape)
        for bit in range(bits):
            layer = self.block[bit // experts]
            loaded = new >> bit & 1
            price += facts.price[layer] * loaded
            load_bytes += facts.bytes[layer] * loaded
        each = [number >> i * experts & (1 << experts) - 1 for i in range(len(self.block))]
        windows = np.zeros((facts.windows, number.size))
        for i, layer in enumerate(self.block):
            windows += self._layer_losses(layer)[:, each[i]]
        cost = [
            windows[t : t + self.period].sum(axis=0) for t in range(0, facts.windows, self.period)
        ]
        sizes = np.array([[int(one).bit_count() for one in part] for part in each])
        return _Sets(np.array(cost), price, load_bytes, sizes)

    def _layer_losses(self, layer: int) -> FloatArray:
        """Return the loss of each set of one layer's experts in each window."""
        experts = self.facts.experts
        return np.array(
            [
                [self.facts.loss(t, layer, _members(one, experts)) for one in range(1 << experts)]
                for t in range(self.facts.windows)
            ]
        )


def _best_measured(facts: _Facts, fitting: list[tuple[int, ...]]) -> Optimum:
    """Return the least sum of a table's entries whose swaps pass the link."""
    problem, best = facts.problem, Optimum(None, None)
    for number, period in enumerate(facts.periods):
        table, swaps = _of_period(problem.table, number), _of_period(problem.swaps, number)
        for slots in fitting:
            chosen = list(enumerate(slots))
            moved = sum(facts.bytes[e] * (0.0 if swaps is None else swaps[e, k]) for e, k in chosen)
            if moved > facts.carried(period) or table is None:
                continue
            cost = float(sum(table[e, k] for e, k in chosen))
            if best.objective is None or cost < best.objective:
                best = Optimum(cost, _plan(facts, period, slots, []))
    return best


def _of_period(table: FloatArray | None, number: int) -> FloatArray | None:
    return table if table is None or table.ndim == 2 else np.asarray(table[number])


def _more(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Tell whether one has all slots of the other, and another one."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def _members(number: int, experts: int) -> frozenset[int]:
    return frozenset(e for e in range(experts) if number >> e & 1)


def _plan(
    facts: _Facts, period: int, slots: tuple[int, ...], paths: list[tuple[list[int], list[int]]]
) -> CommitteePlan:
    """Return the plan of the sets of each update."""
    rows: dict[str, list[tuple[int, int, int]]] = {"loads": [], "drops": []}
    for block, path in paths:
        held: frozenset[int] = frozenset()
        for update, number in enumerate(path):
            now = _members(number, len(block) * facts.experts)
            for name, items in (("drops", held - now), ("loads", now - held)):
                rows[name] += [
                    (update * period, block[i // facts.experts], i % facts.experts) for i in items
                ]
            held = now
    return CommitteePlan(
        period=period,
        slots=np.array(slots, dtype=np.int64),
        loads=_rows(rows["loads"]),
        drops=_rows(rows["drops"]),
    )


def _rows(found: list[tuple[int, int, int]]) -> IntArray:
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 3)
