"""How often a committee changes: the paper's sweep, a choice by loss, and tables for planners.

All run a rule of `moeopt.committee.rules` over the windows of a problem, for one period after
another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.committee._kernels_follow import follow
from moeopt.committee.configurations import stated_periods
from moeopt.committee.loss import weights, window_losses
from moeopt.committee.online import first_members, rule_of, schedule, slots_of
from moeopt.committee.plan import evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arguments import number
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError


@dataclass(frozen=True)
class Tried:
    """What a rule does at one period.

    Attributes
    ----------
    period
        Windows from one update to the next.
    objective
        Loss and the price of loads.
    mean_swap_bytes, peak_swap_bytes
        Loaded by an update after the first, on average and at most.
    stall_s
        Seconds a window, on average, by which updates take longer than a period; 0 without a link.
    """

    period: int
    objective: float
    mean_swap_bytes: float
    peak_swap_bytes: float
    stall_s: float


@dataclass(frozen=True)
class PeriodChoice:
    """A period, and what was found of all that were tried.

    Attributes
    ----------
    period
        The one chosen.
    tried
        In the order in which they were tried.
    """

    period: int
    tried: tuple[Tried, ...]


def sweep_periods(
    problem: CommitteeProblem, slots: Any, *, grows: float = 0.01, history: Any = None
) -> PeriodChoice:
    """Return the period that the paper's sweep finds: the shortest before updates block.

    From the longest of the problem's periods to shorter ones, until the time that inference waits
    for the link starts to grow (section 3.4.1 of arXiv:2308.15030). It waits where what the paper's
    rule exchanges at an update takes the link longer than a period. If already the longest blocks,
    it is returned.

    Parameters
    ----------
    problem
        Windows, a link and periods; its loss must not be a table.
    slots
        Of each layer, ``(layers,)``.
    grows
        Share of a window that waiting must exceed to count as growth.
    history
        As for `Scheduler`.

    Raises
    ------
    InstanceError
        If the problem has no link, or `grows` is negative.
    """
    window_s = problem.window_s
    if problem.link_bytes_per_s is None or window_s is None:
        raise InstanceError(
            "$.link_bytes_per_s", None, "must be stated to see what it carries", "state the link"
        )
    room = slots_of(problem, slots)
    if not number("grows", grows) >= 0:
        raise InstanceError("grows", grows, "must be 0 or more", "give a share of a window")
    most = float(grows) * window_s
    tried: list[Tried] = []
    for period in sorted(problem.choices().tolist(), reverse=True):
        run = _Run(problem, "paper", period, history)
        resident, loads = run.committees(room)
        moved = problem.sizes_bytes() @ loads[:, 1:]
        waited = np.maximum(moved / problem.link_bytes_per_s - period * window_s, 0.0)
        tried.append(
            Tried(
                period=period,
                objective=float(run.costs(resident, loads).sum()),
                mean_swap_bytes=float(moved.mean()) if moved.size else 0.0,
                peak_swap_bytes=float(moved.max(initial=0.0)),
                stall_s=float(waited.sum()) / problem.num_windows,
            )
        )
        if tried[-1].stall_s > most:
            break
    fine = [one.period for one in tried if one.stall_s <= most]
    return PeriodChoice(min(fine, default=tried[0].period), tuple(tried))


def best_period(
    problem: CommitteeProblem,
    slots: Any,
    rule: str = "rent_or_buy",
    *,
    delay: int = 0,
    history: Any = None,
) -> PeriodChoice:
    """Return the period at which an online scheduler does best on the windows of a problem.

    Every schedule keeps within the link, so that none stalls; of the same cost, the longest.

    Parameters
    ----------
    problem
        Windows and periods; its loss must not be a table.
    slots, rule, delay, history
        As for `moeopt.committee.online.schedule`.
    """
    tried = []
    for period in sorted(problem.choices().tolist(), reverse=True):
        plan = schedule(problem, slots, rule, period=period, delay=delay, history=history)
        updates = -(-problem.num_windows // period)
        rows = plan.loads[plan.loads[:, 0] > 0]
        size = problem.sizes_bytes()[rows[:, 1]]
        moved = np.bincount(rows[:, 0] // period, weights=size, minlength=updates)[1:]
        tried.append(
            Tried(
                period=period,
                objective=evaluate(problem, plan).objective,
                mean_swap_bytes=float(moved.mean()) if moved.size else 0.0,
                peak_swap_bytes=float(moved.max(initial=0.0)),
                stall_s=0.0,
            )
        )
    best = min(tried, key=lambda one: one.objective)
    return PeriodChoice(best.period, tuple(tried))


def tables(
    problem: CommitteeProblem,
    periods: Any = None,
    *,
    rule: str = "paper",
    history: Any = None,
) -> tuple[FloatArray, FloatArray]:
    """Return what each number of slots costs and exchanges at each period, for planners.

    Two arrays ``(periods, layers, experts + 1)``: the cost of a layer over all windows, loss and
    price of loads, and the experts that an update after the first replaces on average; `table` and
    `swaps` of a `CommitteeProblem` with ``loss="table"`` and these periods. The link holds no load
    back here: the problem with the tables has it.

    Parameters
    ----------
    problem
        Windows and prices; its loss must not be a table.
    periods
        Windows from one update to the next, ``(periods,)``; left out, those of the problem.
    rule, history
        As for `moeopt.committee.online.schedule`.
    """
    chosen = problem.choices() if periods is None else stated_periods(periods)
    shape = (chosen.size, problem.num_layers, problem.num_experts + 1)
    table, swaps = np.zeros(shape), np.zeros(shape)
    for p, period in enumerate(chosen.tolist()):
        run = _Run(problem, rule, period, history)
        for k in range(problem.num_experts + 1):
            resident, loads = run.committees(np.full(problem.num_layers, k))
            table[p, :, k] = run.costs(resident, loads)
            if loads.shape[1] > 1:
                swaps[p, :, k] = loads[:, 1:].mean(axis=1)
    return table, swaps


class _Run:
    """What a rule makes of the windows at one period, without a link, whatever the slots.

    Parameters
    ----------
    problem, period, history
        As for `schedule`.
    rule
        Name of the rule.
    """

    def __init__(
        self, problem: CommitteeProblem, rule: str, period: int, history: Any = None
    ) -> None:
        self._problem, self._period, self._history = problem, period, history
        seen = weights(problem)
        ranks = rule_of(problem, rule, period, history=history)
        self._prices = ranks.prices()
        scores = []
        for window in range(problem.num_windows):
            if window % period == 0:
                scores.append(ranks.scores())
            ranks.observe(seen[window])
        # A free fill takes the place of the first update.
        score = np.stack(scores, axis=1)
        if problem.free_fill:
            score[:, 0] = 0.0
        self._score = score
        self._best = np.argsort(-score, axis=2, kind="stable")
        self._worst = np.argsort(score, axis=2, kind="stable")
        starts = np.arange(0, problem.num_windows, period)
        self._weights = np.add.reduceat(seen, starts, axis=0)

    def committees(self, slots: IntArray) -> tuple[BoolArray, IntArray]:
        """Return who is there, ``(updates, layers, experts)``, and loads, ``(layers, updates)``.

        Parameters
        ----------
        slots
            Of each layer, ``(layers,)``.
        """
        layers, updates, experts = self._score.shape
        resident = np.zeros((layers, updates, experts), dtype=np.bool_)
        resident[:, 0] = first_members(self._problem, slots, self._history)
        loads = np.zeros((layers, updates), dtype=np.int64)
        for layer in range(layers):
            loads[layer] = follow(
                self._score[layer],
                self._best[layer],
                self._worst[layer],
                int(slots[layer]),
                float(self._prices[layer]),
                resident[layer],
            )
        return np.swapaxes(resident, 0, 1), loads

    def costs(self, resident: BoolArray, loads: IntArray) -> FloatArray:
        """Return the loss and the price of loads of each layer, ``(layers,)``.

        Parameters
        ----------
        resident, loads
            Of `committees`.
        """
        if self._problem.loss == "masked":
            windows = np.arange(self._problem.num_windows) // self._period
            lost = window_losses(self._problem, resident[windows]).sum(axis=0)
        else:
            lost = np.where(resident, 0.0, self._weights).sum(axis=(0, 2))
        return np.asarray(lost + self._problem.by_layer(self._problem.load_price) * loads.sum(1))
