"""The paper's planners as methods: its genetic search, and the even split that it compares with.

Both plan committees that stay, of the members that eq. 1 ranks first; swapping them is the
scheduler's. The search is given what configurations really cost, where the paper's has a
prediction (`moeopt.committee.surrogate`). The paper chooses the update period before, by a sweep.
Here every period is planned for, each with the same share of the time, and the best is taken, which
can only be better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from moeopt.committee.bounds import bound as bound_of
from moeopt.committee.configurations import Space, space_of
from moeopt.committee.curves import standing
from moeopt.committee.genetic import costs_by, search
from moeopt.committee.loss import weights
from moeopt.committee.plan import CommitteePlan, evaluate
from moeopt.committee.planners import standing_plan
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome

#: Part of the time that the search may take; the rest is for the bound, which the paper has not.
_SEARCH_SHARE = 0.9

#: Makes slots of the costs of a period and the configurations that it allows: the slots, and what
#: there is to tell.
_Divide = Callable[[list[FloatArray], Space, Context], tuple[IntArray | None, dict[str, Any]]]


def run_genetic(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
    """Return the plan of the paper's search: slots by its genetic algorithm, members by eq. 1."""
    del warm_start
    return _planned(problem, context, _searched)


def run_simple(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
    """Return the paper's simple plan: as many slots for each layer, members by eq. 1."""
    del warm_start
    return _planned(problem, context, lambda costs, space, part: (even_slots(space), {}))


def even_slots(space: Space) -> IntArray | None:
    """Return as many slots for each layer, and one more from the first on while these fit.

    A layer that can have no more, or must have more, has what it can or must; ``None`` if no such
    configuration keeps the constraints.

    Parameters
    ----------
    space
        Configurations to choose from.
    """
    levels = np.arange(int(space.most.max()) + 1)[:, None]
    even = np.clip(levels, space.fewest, space.most)
    kept = np.flatnonzero(space.keeps(even))
    if not kept.size:
        return None
    slots: IntArray = even[kept[-1]]
    for layer in range(slots.size):
        more = slots.copy()
        more[layer] += 1
        if space.keeps(more[None])[0]:
            slots = more
    return slots


def _searched(
    costs: list[FloatArray], space: Space, context: Context
) -> tuple[IntArray | None, dict[str, Any]]:
    found = search(costs_by(costs), space, context)
    told = {
        "evaluations": found.evaluations,
        "rounds": found.rounds,
        "runs": found.runs,
        "complete": found.complete,
        "history": [[point.evaluations, point.cost] for point in found.history],
    }
    return found.slots, told


def _planned(problem: CommitteeProblem, context: Context, divide: _Divide) -> Outcome:
    """Return the best plan of all periods, and a bound that owes nothing to it."""
    importance = None if problem.loss == "table" else weights(problem)
    best: CommitteePlan | None = None
    least, cut = np.inf, False
    told: dict[str, Any] = {}
    periods = problem.choices().tolist()
    for done, period in enumerate(periods):
        if best is not None and context.out_of_time():
            break
        stand = standing(problem, period, "top_importance", importance)
        part = _part(context, done, len(periods))
        slots, said = divide(stand.costs, space_of(problem, period), part)
        cut = cut or not said.get("complete", True)
        if slots is None:
            continue
        plan = standing_plan(problem, slots, period, stand, importance)
        cost = evaluate(problem, plan).objective
        if cost < least:
            best, least, told = plan, cost, said
            context.report(cost, None, f"period {period}")
    proven = bound_of(problem, context.out_of_time)
    return Outcome(
        plan=best,
        # What rounding has put above the plan's cost is none of the bound.
        bound=min(proven, least),
        limit=Limit.TIME if cut or context.out_of_time() else None,
        statistics=told,
    )


def _part(context: Context, done: int, periods: int) -> Context:
    """Return the context of one period's search: an equal part of the time that is left."""
    quiet = replace(context, progress=None)
    if context.time_limit_s is None:
        return quiet
    until_s = _SEARCH_SHARE * context.time_limit_s
    left_s = max(0.0, until_s - context.elapsed_s())
    return replace(quiet, time_limit_s=context.elapsed_s() + left_s / (periods - done))
