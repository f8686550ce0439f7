"""Planners as methods: slots by layer curves, members by a rule, standing or moving."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moeopt.committee.allocation import Rows, allowed, rows
from moeopt.committee.bounds import bound as bound_of
from moeopt.committee.curves import Rule, Standing, bound_curves, standing
from moeopt.committee.knapsack import choose, merge
from moeopt.committee.link import carried
from moeopt.committee.loss import weights
from moeopt.committee.moving import Moving, moving, soon
from moeopt.committee.plan import CommitteePlan, evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.submodular import improve
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Method, Outcome

Run = Callable[[CommitteeProblem, Context, object], Outcome]

_log = logging.getLogger(__name__)

#: Makes slots of curves and rows: the slots and a lower bound, ``None`` if there are none.
Allocate = Callable[[Sequence[FloatArray], Rows, Context], "Allocated | None"]

#: Part of the time that the plan may take; the rest is for its bound.
_PLAN_SHARE = 0.6

#: Part of the time after which `auto` turns to the linear models.
_FIRST_SHARE = 0.5


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
            part = context if polish else None
            plan = standing_plan(problem, chosen.slots, period, stand, importance, part)
            found.append(Moving(plan, evaluate(problem, plan).objective))
            bounds.append(chosen.bound)
        if not found:
            return Outcome()
        best = min(found, key=lambda one: one.cost)
        tight = problem.loss != "masked" and min(problem.choices()) >= problem.num_windows
        # That no slots were found for a period does not say that there are none.
        every = len(bounds) == problem.choices().size
        proven = min(bounds) if tight and every else bound_of(problem, context.out_of_time)
        return _outcome(best, proven, context)

    return run


def moves(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
    """Return the best committee that hindsight finds: curves of flows, merged; or one that stays.

    A committee that stays, and one of each update's best, are soon found, and may be better than
    what the link leaves of one that a flow moves, or what there was time for.
    """
    del warm_start
    part = context.part(_PLAN_SHARE)
    importance = weights(problem)
    found: list[Moving] = []
    known: dict[int, list[FloatArray]] = {}
    for period in problem.choices().tolist():
        if found and part.out_of_time():
            break
        shared = rows(problem, period)
        stand = standing(problem, period, "lazy_greedy", importance)
        first = by_knapsack(allowed(problem, stand.costs), shared, part)
        if first is None:
            continue
        plan = standing_plan(problem, first.slots, period, stand, importance, part)
        found.append(Moving(plan, evaluate(problem, plan).objective))
        if not part.out_of_time():
            found.append(soon(problem, first.slots, period, importance))
        splits = [first.slots] if problem.loss == "masked" else []
        known[period] = bound_curves(problem, period, importance, part.out_of_time)
        chosen = by_knapsack(allowed(problem, known[period]), shared, part)
        least = min(one.cost for one in found)
        if chosen is not None and not context.close_enough(least, chosen.bound):
            splits.append(chosen.slots)
            found += [
                moving(problem, slots, period, part.out_of_time)
                for slots in splits
                if not part.out_of_time()
            ]
    if not found:
        return Outcome()
    best = min(found, key=lambda one: one.cost)
    cut = part.out_of_time()
    done = _outcome(best, bound_of(problem, context.out_of_time, known), context)
    return replace(done, limit=Limit.TIME) if cut else done


def auto(methods: Mapping[str, Method]) -> Run:
    """Return the best plan of those methods that suit the problem, with the best of their bounds.

    Parameters
    ----------
    methods
        All others by name.
    """

    def run(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
        # Where committees may move, what knapsack finds is one of the plans of flow_curves.
        still = problem.loss == "table" or problem.num_windows == 1
        names = ["knapsack" if still else "flow_curves", "exact"]
        known = warm_start if isinstance(warm_start, CommitteePlan) else None
        best = Outcome(plan=known)
        names = [name for name in names if methods[name].refuses(problem) is None]
        for name in names:
            part = context if name == names[-1] else context.part(_FIRST_SHARE)
            try:
                found = methods[name].run(problem, part, best.plan)
            except BackendError as error:
                if best.plan is None and name == names[-1]:
                    raise
                _log.warning("%s: %s", name, error)
                continue
            best = _better(problem, best, found)
            if best.infeasible or (best.plan is not None and _enough(problem, best, context)):
                break
        return best

    return run


def standing_plan(
    problem: CommitteeProblem,
    slots: IntArray,
    period: int,
    stand: Standing,
    importance: FloatArray | None,
    polish: Context | None = None,
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
        Time in which members are exchanged, under masked gating; ``None``: they are not.
    """
    if importance is None:
        none = np.zeros((0, 3), dtype=np.int64)
        return CommitteePlan(period=period, slots=slots, loads=none, drops=none)
    members = np.zeros((problem.num_layers, problem.num_experts), dtype=np.bool_)
    for layer, order in enumerate(stand.orders):
        members[layer, order[: stand.sizes[layer][slots[layer]]]] = True
    if polish is not None and problem.loss == "masked" and problem.router is not None:
        for layer in range(problem.num_layers):
            values = problem.router[:, layer]
            members[layer] = improve(values, problem.top_k, members[layer], polish.out_of_time)
    wanted = np.broadcast_to(members, importance.shape)
    if problem.free_fill or np.isinf(problem.load_bytes(period)):
        pairs = np.argwhere(members)
        loads = np.column_stack((np.zeros(len(pairs), dtype=np.int64), pairs))
        return CommitteePlan(period=period, slots=slots, loads=loads, drops=loads[:0])
    return carried(problem, slots, period, wanted, importance)


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
    return replace(best, bound=max(bounds, default=None), limit=one.limit or other.limit)


def _value(problem: CommitteeProblem, found: Outcome) -> float:
    """Return the objective of what was found, ``inf`` if that is no plan."""
    if not isinstance(found.plan, CommitteePlan):
        return np.inf
    return evaluate(problem, found.plan).objective
