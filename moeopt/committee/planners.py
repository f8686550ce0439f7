"""Planners as methods: slots by layer curves, members by a rule, standing or moving."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moeopt.committee.allocation import Rows, allowed, rows
from moeopt.committee.bounds import bound as bound_of
from moeopt.committee.curves import Rule, Standing, bound_curves, standing
from moeopt.committee.knapsack import choose, merge
from moeopt.committee.link import carried
from moeopt.committee.loss import weights
from moeopt.committee.moving import Moving, moving
from moeopt.committee.plan import CommitteePlan, evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.submodular import improve
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Method, Outcome

Run = Callable[[CommitteeProblem, Context, object], Outcome]

#: Makes slots of curves and rows: the slots and a lower bound, ``None`` if there are none.
Allocate = Callable[[Sequence[FloatArray], Rows, Context], "Allocated | None"]

#: Part of the time that the plan may take; the rest is for its bound.
_PLAN_SHARE = 0.6


@dataclass(frozen=True)
class Allocated:
    """Slots, and what no others cost less than by the same curves."""

    slots: IntArray
    bound: float


def by_knapsack(curves: Sequence[FloatArray], shared: Rows, context: Context) -> Allocated | None:
    """Return the slots of least cost: a multiple-choice knapsack."""
    found = choose(curves, shared.uses, shared.limits, stop=context.out_of_time)
    if found is not None and found.slots is not None:
        return Allocated(found.slots, found.bound)
    return None if found is None else by_merging(curves, shared, context)


def by_merging(curves: Sequence[FloatArray], shared: Rows, context: Context) -> Allocated | None:
    """Return the slots that the steepest steps of all curves give, one after another."""
    del context
    found = merge(curves, shared.uses, shared.limits)
    return None if found is None else Allocated(found.slots, found.bound)


def stays(allocate: Allocate, rule: Rule, polish: bool = False) -> Run:
    """Return a method for the best committee that stays as it is.

    Parameters
    ----------
    allocate
        How slots are divided.
    rule
        How members are chosen.
    polish
        Whether members are exchanged as long as that helps, under masked gating.
    """

    def run(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
        del warm_start
        importance = None if problem.loss == "table" else weights(problem)
        found: list[Moving] = []
        bounds: list[float] = []
        for period in problem.choices().tolist():
            stand = standing(problem, period, rule, importance)
            shared = rows(problem, period)
            chosen = allocate(allowed(problem, stand.costs), shared, context)
            if chosen is None:
                continue
            plan = standing_plan(problem, chosen.slots, period, stand, importance, polish)
            found.append(Moving(plan, evaluate(problem, plan).objective))
            bounds.append(chosen.bound)
        if not found:
            return Outcome()
        best = min(found, key=lambda one: one.cost)
        tight = problem.loss != "masked" and min(problem.choices()) >= problem.num_windows
        proven = min(bounds) if tight else bound_of(problem, context.out_of_time)
        return _outcome(best, proven, context)

    return run


def moves(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
    """Return the best committee that hindsight finds: curves of flows, merged."""
    del warm_start
    until = context.part(_PLAN_SHARE).out_of_time
    importance = weights(problem)
    found: list[Moving] = []
    for period in problem.choices().tolist():
        if found and until():
            break
        shared = rows(problem, period)
        for curves in _curves(problem, period, importance, until):
            chosen = by_knapsack(allowed(problem, curves), shared, context.part(_PLAN_SHARE))
            if chosen is not None:
                found.append(moving(problem, chosen.slots, period, until))
    if not found:
        return Outcome()
    best = min(found, key=lambda one: one.cost)
    return _outcome(best, bound_of(problem, context.out_of_time), context)


def auto(methods: Mapping[str, Method]) -> Run:
    """Return the best plan of those methods that suit the problem, with the best of their bounds.

    Parameters
    ----------
    methods
        All others by name.
    """

    def run(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
        names = ["knapsack", "flow_curves", "exact"]
        if problem.loss == "table" or problem.num_windows == 1:
            names = ["knapsack", "exact"]
        best: Outcome | None = None
        for name in names:
            if methods[name].refuses(problem) is not None:
                continue
            start = warm_start if best is None or best.plan is None else best.plan
            found = methods[name].run(problem, context, start)
            best = found if best is None else _better(problem, best, found)
            if best.infeasible or (best.plan is not None and _enough(problem, best, context)):
                break
        assert best is not None, "knapsack takes any problem"
        return best

    return run


def standing_plan(
    problem: CommitteeProblem,
    slots: IntArray,
    period: int,
    stand: Standing,
    importance: FloatArray | None,
    polish: bool = False,
) -> CommitteePlan:
    """Return the plan of a committee that stays.

    Parameters
    ----------
    problem
        What was asked.
    slots
        Of each layer, ``(layers,)``.
    period
        Windows from one update to the next.
    stand
        Orders in which experts join.
    importance
        The problem's `weights`; ``None`` with a table.
    polish
        As for `stays`.
    """
    if importance is None:
        none = np.zeros((0, 3), dtype=np.int64)
        return CommitteePlan(period=period, slots=slots, loads=none, drops=none)
    members = np.zeros((problem.num_layers, problem.num_experts), dtype=np.bool_)
    for layer, order in enumerate(stand.orders):
        members[layer, order[: stand.sizes[layer][slots[layer]]]] = True
    if polish and problem.loss == "masked" and problem.router is not None:
        for layer in range(problem.num_layers):
            values = problem.router[:, layer]
            members[layer] = improve(values, problem.top_k, members[layer])
    wanted = np.broadcast_to(members, importance.shape)
    if problem.free_fill or np.isinf(problem.load_bytes(period)):
        pairs = np.argwhere(members)
        loads = np.column_stack((np.zeros(len(pairs), dtype=np.int64), pairs))
        return CommitteePlan(period=period, slots=slots, loads=loads, drops=loads[:0])
    return carried(problem, slots, period, wanted, importance)


def _curves(
    problem: CommitteeProblem,
    period: int,
    importance: FloatArray,
    out_of_time: Callable[[], bool],
) -> list[list[FloatArray]]:
    """Return the curves by which slots for a committee that moves are divided, each way tried."""
    if problem.loss != "masked":
        return [bound_curves(problem, period, importance, out_of_time)]
    return [
        standing(problem, period, "lazy_greedy", importance).costs,
        bound_curves(problem, period, importance, out_of_time),
    ]


def _outcome(best: Moving, bound: float, context: Context) -> Outcome:
    # What rounding has put above the plan's cost is none of the bound.
    return Outcome(
        plan=best.plan,
        bound=min(bound, best.cost),
        limit=Limit.TIME if context.out_of_time() else None,
    )


def _enough(problem: CommitteeProblem, best: Outcome, context: Context) -> bool:
    """Tell whether what was found will do, or no time is left to better it."""
    return context.out_of_time() or context.close_enough(_value(problem, best), best.bound)


def _better(problem: CommitteeProblem, one: Outcome, other: Outcome) -> Outcome:
    """Return the outcome with the better plan, and the better bound of both."""
    if other.infeasible:
        return other
    bounds = [found.bound for found in (one, other) if found.bound is not None]
    best = min(one, other, key=lambda found: _value(problem, found))
    return replace(best, bound=max(bounds, default=None))


def _value(problem: CommitteeProblem, found: Outcome) -> float:
    """Return the objective of what was found, ``inf`` if that is no plan."""
    if not isinstance(found.plan, CommitteePlan):
        return np.inf
    return evaluate(problem, found.plan).objective
