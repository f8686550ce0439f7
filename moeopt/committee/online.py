"""Schedulers that know only the past: which experts come and go after each window.

Step objects, for a server to use as it runs, and their replay over a problem.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moeopt.committee.loss import weights as importance_of
from moeopt.committee.plan import TOLERANCE, CommitteePlan
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.rules import Paper, RentOrBuy, Rule, rule_named
from moeopt.core.arguments import whole
from moeopt.core.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    own_array,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import InstanceError

#: Most updates of a delay or a target.
_MOST = 10**9


def _nobody() -> IntArray:
    return np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Changes:
    """What a scheduler asks for after a window; rows of layer and expert, in rising order.

    Attributes
    ----------
    asked
        Whose transfer may begin now, ``(asked, 2)``.
    drops
        Who leaves before the next window, ``(drops, 2)``, before any of `loads` comes.
    loads
        Who serves from the next window on, ``(loads, 2)``: asked for now, or so many updates ago
        as the scheduler's `delay`. A server to which one has not come yet masks it until it has.
    """

    asked: IntArray = field(default_factory=_nobody)
    drops: IntArray = field(default_factory=_nobody)
    loads: IntArray = field(default_factory=_nobody)


class Scheduler:
    """A committee of several layers that changes between windows, by a rule that sees the past.

    Parameters
    ----------
    problem
        Whose layers, experts, bytes, link and prices hold; its losses are not looked at.
    slots
        Experts of each layer for which there is room, ``(layers,)``.
    rule
        ``"paper"`` or ``"rent_or_buy"``.
    period
        Windows from one update to the next, one of the problem's; left out, the first of these.
    target_updates
        Updates from one target of the paper's rule to the next, over which its changes are spread.
    delay
        Updates from asking for an expert to its arrival. As many of each layer as it has staging
        slots let their victims serve until then; others' leave when they are asked for.
    history
        What each expert weighed before, ``(layers, experts)``, such as counts of a past trace:
        decides who is there first. Its unit does not matter once a window has been seen: of a
        layer, the shares count. Only a first fill that is not free takes it for what an expert
        weighs in a window, beside the price of a load. Left out, a free first fill takes the first
        experts, and nobody is there without one.

    Attributes
    ----------
    resident
        Who is there, ``(layers, experts)``.
    start
        What is to be done before the first window.

    Examples
    --------
    >>> from moeopt.committee import CommitteeProblem
    >>> from moeopt.committee.online import Scheduler
    >>> problem = CommitteeProblem(experts=3, importance=[[[0, 0, 0]]], budget_bytes=1)
    >>> scheduler = Scheduler(problem, slots=[1], rule="paper")
    >>> scheduler.start.loads.tolist()
    [[0, 0]]
    >>> changes = scheduler.observe([[1.0, 4.0, 2.0]])
    >>> changes.drops.tolist(), changes.loads.tolist()
    ([[0, 0]], [[0, 1]])
    """

    def __init__(
        self,
        problem: CommitteeProblem,
        slots: Any,
        rule: str,
        *,
        period: int | None = None,
        target_updates: int = 1,
        delay: int = 0,
        history: Any = None,
    ) -> None:
        self.slots = slots_of(problem, slots)
        self.period = _period(problem, period)
        self.delay = _least("delay", delay, 0)
        self._sizes = problem.sizes_bytes()
        self._carried = problem.load_bytes(self.period)
        self._staging = problem.by_layer(problem.staging_slots).astype(np.int64)
        self._rule = rule_of(problem, rule, self.period, target_updates, self.delay, history)
        self.resident = first_members(problem, self.slots, history)
        self._windows, self._update = 0, 0
        # Rows of the update at which one comes, its layer, it, and who serves until then.
        self._coming = np.zeros((0, 4), dtype=np.int64)
        filled = Changes(loads=np.argwhere(self.resident))
        self.start = filled if problem.free_fill else self._changed()

    def observe(self, weights: Any) -> Changes:
        """Take in what each expert weighed in the window that just ended; say what changes.

        Parameters
        ----------
        weights
            Importance of all experts, resident or not, ``(layers, experts)``, in the units of the
            price of a load.

        Raises
        ------
        InstanceError
            If they are of another shape, negative or not finite.
        """
        table = own_array(weights, "weights", np.float64)
        require_shape(table, "weights", self.resident.shape, "layers, experts")
        require_finite_nonnegative(table, "weights")
        self._rule.observe(table)
        self._windows += 1
        if self._windows % self.period:
            return Changes()
        self._update += 1
        return self._changed()

    def _changed(self) -> Changes:
        """Ask for the best exchanges, and let in who has come."""
        before = self.resident.copy()
        asked = self._asked()
        if self.delay:
            self._let_go(asked)
        due = np.full((len(asked), 1), self._update + self.delay)
        coming = np.concatenate((self._coming, np.hstack((due, asked))))
        here = coming[:, 0] <= self._update
        self._coming = coming[~here]
        _, layer, expert, victim = coming[here].T
        goes = victim >= 0
        self.resident[layer[goes], victim[goes]] = False
        self.resident[layer, expert] = True
        return Changes(
            asked=asked[np.lexsort((asked[:, 1], asked[:, 0])), :2],
            drops=np.argwhere(before & ~self.resident),
            loads=np.argwhere(self.resident & ~before),
        )

    def _let_go(self, asked: IntArray) -> None:
        """Drop the victims for whom there is no staging slot; they are -1 in `asked` then."""
        _, layers, _, victims = self._coming.T
        staged = np.bincount(layers[victims >= 0], minlength=self.slots.size)
        for row, (layer, _, victim) in enumerate(asked.tolist()):
            if victim >= 0 and staged[layer] >= self._staging[layer]:
                self.resident[layer, victim] = False
                asked[row, 2] = -1
            elif victim >= 0:
                staged[layer] += 1

    def _asked(self) -> IntArray:
        """Return the best exchanges that the link carries and that are due, ``(asked, 3)``.

        Rows of layer, expert and victim, -1 for a free slot, the best for its bytes first.
        """
        _, layers, experts, victims = self._coming.T
        busy = np.zeros_like(self.resident)
        busy[layers, experts] = True
        busy[layers[victims >= 0], victims[victims >= 0]] = True
        reserved = np.bincount(layers[victims < 0], minlength=self.slots.size)
        free = self.slots - self.resident.sum(axis=1) - reserved
        rows, gain = _exchanges(self._rule, self.resident, busy, free)
        order = np.argsort(-gain / self._sizes[rows[:, 0]], kind="stable")
        rows = rows[order[: -(-order.size // self._rule.updates_left())]]
        sizes = self._sizes[rows[:, 0]]
        left = self._carried * (1 + TOLERANCE)
        if sizes.sum() <= left:
            return rows
        fits = np.zeros(len(rows), dtype=np.bool_)
        for k, size in enumerate(sizes.tolist()):
            fits[k] = size <= left
            left -= size * fits[k]
        return rows[fits]


def schedule(
    problem: CommitteeProblem,
    slots: Any,
    rule: str,
    *,
    period: int | None = None,
    target_updates: int = 1,
    delay: int = 0,
    history: Any = None,
    importance: FloatArray | None = None,
) -> CommitteePlan:
    """Return what an online scheduler does over the windows of a problem, each seen once over.

    Parameters
    ----------
    problem
        Windows, prices and link; its loss must not be a table.
    slots, rule, period, target_updates, delay, history
        As for `Scheduler`.
    importance
        What the scheduler is told each expert weighed, ``(windows, layers, experts)``. Left out,
        eq. 1's, counted from the router if that is what the problem has.
    """
    table = importance_of(problem)
    if importance is not None:
        shape, table = table.shape, own_array(importance, "importance", np.float64)
        require_shape(table, "importance", shape, "windows, layers, experts")
    scheduler = Scheduler(
        problem,
        slots,
        rule,
        period=period,
        target_updates=target_updates,
        delay=delay,
        history=history,
    )
    steps = [scheduler.start] + [scheduler.observe(seen) for seen in table[:-1]]
    return CommitteePlan(
        period=scheduler.period,
        slots=scheduler.slots,
        loads=_rows([step.loads for step in steps]),
        drops=_rows([step.drops for step in steps]),
    )


def _rows(changes: list[IntArray]) -> IntArray:
    """Return rows of window, layer and expert."""
    window = np.repeat(np.arange(len(changes)), [len(rows) for rows in changes])
    return np.column_stack((window, np.concatenate(changes)))


def _exchanges(
    rule: Rule, resident: BoolArray, busy: BoolArray, free: IntArray
) -> tuple[IntArray, FloatArray]:
    """Return the exchanges that gain, rows of layer, expert and victim, and what they gain.

    Those of a layer stand together, the best first; into free slots nobody's place is taken, -1.

    Parameters
    ----------
    rule
        Says what each expert is worth.
    resident
        Who is there, ``(layers, experts)``.
    busy
        Who is on the way, or leaves for one that is.
    free
        Slots of each layer with nobody in them, ``(layers,)``.
    """
    score = rule.scores()
    layer = np.arange(len(score))[:, None]
    outside = np.where(resident | busy, -np.inf, score)
    inside = np.where(resident & ~busy, score, np.inf)
    comes = np.argsort(-outside, axis=1, kind="stable")
    leaves = np.argsort(inside, axis=1, kind="stable")
    # Free slots come before the worst residents.
    place = np.arange(score.shape[1]) - free[:, None]
    leaves = np.where(place < 0, -1, leaves[layer, np.maximum(place, 0)])
    lost = np.where(place < 0, 0.0, inside[layer, leaves])
    gain = outside[layer, comes] - lost - rule.prices()[:, None]
    where = gain > 0
    rows = np.stack((np.broadcast_to(layer, comes.shape), comes, leaves), axis=2)
    return rows[where], gain[where]


def rule_of(
    problem: CommitteeProblem,
    name: str,
    period: int,
    target_updates: int = 1,
    delay: int = 0,
    history: Any = None,
) -> Rule:
    """Return a rule as it is before the first window.

    Parameters
    ----------
    problem, period, target_updates, delay, history
        As for `Scheduler`.
    name
        ``"paper"`` or ``"rent_or_buy"``.
    """
    layers, experts = problem.num_layers, problem.num_experts
    known = None
    if history is not None:
        known = own_array(history, "history", np.float64)
        require_shape(known, "history", (layers, experts), "layers, experts")
        require_finite_nonnegative(known, "history")
    updates = _least("target_updates", target_updates, 1)
    if rule_named(name) == "paper":
        return Paper(layers, experts, updates, period, known)
    if updates > 1:
        raise InstanceError(
            "target_updates", updates, 'must be 1 but for rule="paper"', "leave it out"
        )
    prices = problem.by_layer(problem.load_price)
    return RentOrBuy(prices, experts, period, delay * period, known)


def first_members(problem: CommitteeProblem, slots: IntArray, history: Any = None) -> BoolArray:
    """Return who a free fill brings in before the first window, ``(layers, experts)``.

    Nobody if it is not free; else the best of the history, or the first experts without one.

    Parameters
    ----------
    problem, slots, history
        As for `Scheduler`.
    """
    shape = (problem.num_layers, problem.num_experts)
    known = np.zeros(shape) if history is None else np.asarray(history)
    rank = np.argsort(np.argsort(-known, axis=1, kind="stable"), axis=1)
    there: BoolArray = (rank < slots[:, None]) & problem.free_fill
    return there


def slots_of(problem: CommitteeProblem, slots: Any) -> IntArray:
    """Return the slots of each layer as an array, ``(layers,)``.

    Raises
    ------
    InstanceError
        If they are no whole numbers from 0 to all experts, one for each layer.
    """
    given = own_array(slots, "slots", np.int64)
    require_shape(given, "slots", (problem.num_layers,), "layers")
    require_finite_nonnegative(given, "slots")
    if given.dtype.kind != "i":
        raise InstanceError("slots", given.tolist(), "must be whole numbers", "round them")
    if given.max() > problem.num_experts:
        rule = f"must be no more than the {problem.num_experts} experts of a layer"
        raise InstanceError("slots", given.tolist(), rule, "lower them")
    return given


def _period(problem: CommitteeProblem, period: int | None) -> int:
    choices = problem.choices()
    if period is None:
        return int(choices[0])
    if whole("period", period) not in choices:
        raise InstanceError(
            "period", period, f"must be one of the problem's, {choices.tolist()}", "state it there"
        )
    return int(period)


def _least(path: str, value: Any, least: int) -> int:
    if not least <= whole(path, value) <= _MOST:
        rule = f"must be {least} or more, {_MOST} at most"
        raise InstanceError(path, value, rule, "give another number")
    return int(value)
