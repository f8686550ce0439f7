"""``auto``: the portfolio a user gets."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

from moeopt.core.errors import BackendError
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.placement import assignment, balance, replan
from moeopt.placement.enumeration import enumerate_within, is_enumerable, solve_exactly
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import memory_can_bind
from moeopt.placement.search import plain_outcome, search

_log = logging.getLogger(__name__)

#: Up to this many (expert, device) pairs in a layer the exact model is tried.
TINY_PAIRS = 48

#: Seconds `auto` gives the exact model of a tiny problem without a time limit.
EXACT_TIME_S = 5.0

#: Up to this many pairs over all layers the linear relaxation is solved for its bound, and for
#: how many seconds.
MOST_LP_PAIRS = 5_000
LP_TIME_S = 5.0


def auto(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None = None
) -> Outcome:
    """Solve with what suits the problem; there is always a bound.

    The plain case (one load, even split, no special rule) is enumerated if it is tiny, else gets
    the fast search, whose time is a fraction of what engines spend today, or, with a time limit,
    the search until the deadline. Anything else is annealed; a tiny problem then goes to the
    exact model, which starts from that plan and proves it or betters it. Where a previous plan is
    in force, it is replanned from, and annealed further if there is a time limit. Where seconds
    count and each device has one expert, the assignment is solved exactly.
    """
    if assignment.not_assignable(problem) is None:
        return assignment.assign(problem, context)
    if warm_start is None and is_enumerable(problem):
        found = enumerate_within(problem, context)
        proven = found.statistics["proven_layers"] == problem.num_layers
        if found.plan is not None and (proven or context.time_limit_s is None):
            return found
        return _better(problem, found, search(problem, context, None))
    if is_tiny(problem):
        return _prove(problem, context, warm_start)
    if warm_start is None and context.time_limit_s is None and balance.is_plain(problem):
        blocks = balance.blocks_of(problem)
        layers, seconds = balance.search_timed(blocks, balance.AUTO_WORK, context.seed)
        context.report(float(layers.value.sum()), float(layers.bound.sum()), "searched")
        found = plain_outcome(problem, layers, layer_s=seconds)
        if found.plan is not None:
            return found
    if warm_start is None and replan.refuses(problem) is None:
        found = replan.outcome(problem, context, None)
        if isinstance(found.plan, PlacementPlan):
            if context.out_of_time():
                return found
            if context.time_limit_s is None:
                return _lifted(problem, context, found)
            warm_start = found.plan
    return _lifted(problem, context, search(problem, context, warm_start))


def is_tiny(problem: PlacementProblem) -> bool:
    """Tell whether a layer's exact model is small enough to be tried as a matter of course."""
    return _pairs(problem) <= TINY_PAIRS and problem.num_layers <= 8


def _pairs(problem: PlacementProblem) -> int:
    """Return the pairs of expert and device of a layer, times what scenarios add."""
    scenarios = 1 if problem.objective == "max_load" else problem.num_scenarios
    return problem.num_experts * problem.num_devices * min(scenarios, 4)


def _prove(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None
) -> Outcome:
    """Search, then let the exact model prove that plan or better it."""
    from moeopt.placement.exact import refuses

    if refuses(problem) is not None:
        return search(problem, context, warm_start)
    first = search(problem, context.part(0.3), warm_start)
    if first.infeasible or _proven(problem, first):
        return first
    assert first.plan is None or isinstance(first.plan, PlacementPlan)
    try:
        second = solve_exactly(problem, _limited(context), first.plan)
    except BackendError as error:
        if first.plan is None:
            raise
        _log.warning("not proven: %s", error)
        return first
    bound = max((b for b in (first.bound, second.bound) if b is not None), default=None)
    if second.plan is None and not second.infeasible:
        return replace(first, bound=bound, limit=second.limit)
    return replace(second, bound=bound)


def _lifted(problem: PlacementProblem, context: Context, outcome: Outcome) -> Outcome:
    """Lift the bound by the linear relaxation where rules bind that the cheap bounds cannot see."""
    from moeopt.placement.bounds import lp_bound

    rules = problem.pinned or problem.forbidden or memory_can_bind(problem)
    small = _pairs(problem) * problem.num_layers <= MOST_LP_PAIRS
    if outcome.bound is None or not rules or not small or _proven(problem, outcome):
        return outcome
    bound = lp_bound(problem, min(LP_TIME_S, context.remaining_s()))
    return outcome if bound is None else replace(outcome, bound=max(outcome.bound, bound))


def _better(problem: PlacementProblem, one: Outcome, other: Outcome) -> Outcome:
    """Return the outcome with the better plan, with the larger of the two bounds."""
    bound = max((b for b in (one.bound, other.bound) if b is not None), default=None)
    best = one if _value(problem, one) < _value(problem, other) else other
    return replace(best, bound=bound)


def _value(problem: PlacementProblem, outcome: Outcome) -> float:
    """Return the objective of an outcome's plan, ``inf`` without one."""
    if not isinstance(outcome.plan, PlacementPlan):
        return math.inf
    return evaluate(problem, outcome.plan).objective


def _proven(problem: PlacementProblem, outcome: Outcome) -> bool:
    bound = outcome.bound
    return bound is not None and _value(problem, outcome) <= bound * (1 + 1e-9)


def _limited(context: Context) -> Context:
    if context.time_limit_s is not None:
        return context
    return replace(context, time_limit_s=context.elapsed_s() + EXACT_TIME_S)
