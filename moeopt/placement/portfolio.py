"""``auto``: the portfolio a user gets."""

from __future__ import annotations

from dataclasses import replace

from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.placement import balance
from moeopt.placement.enumeration import is_enumerable, solve_exactly
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.search import plain_outcome, search

#: Up to this many (expert, device) pairs in a layer the exact model is tried.
TINY_PAIRS = 48

#: Seconds `auto` gives the exact model of a tiny problem without a time limit.
EXACT_TIME_S = 20.0


def auto(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None = None
) -> Outcome:
    """Solve with what suits the problem; there is always a bound.

    The plain case (one load, even split, no special rule) is enumerated if it is tiny, else gets
    the fast search, whose time is a fraction of what engines spend today, or, with a time limit,
    the search until the deadline. Anything else is annealed; a tiny problem then goes to the
    exact model, which starts from that plan and proves it or betters it.
    """
    if warm_start is None and is_enumerable(problem):
        return solve_exactly(problem, context)
    if is_tiny(problem):
        return _prove(problem, context, warm_start)
    if warm_start is None and context.time_limit_s is None and balance.is_plain(problem):
        blocks = balance.blocks_of(problem)
        found = plain_outcome(problem, balance.search(blocks, balance.AUTO_WORK, context.seed))
        if found.plan is not None:
            return found
    return search(problem, context, warm_start)


def _prove(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None
) -> Outcome:
    """Search, then let the exact model prove that plan or better it."""
    from moeopt.placement.exact import refuses

    first = search(problem, context.part(0.3), warm_start)
    if _proven(problem, first) or refuses(problem) is not None:
        return first
    assert first.plan is None or isinstance(first.plan, PlacementPlan)
    second = solve_exactly(problem, _limited(context), first.plan)
    bound = max((b for b in (first.bound, second.bound) if b is not None), default=None)
    if second.plan is None and not second.infeasible:
        return replace(first, bound=bound, limit=second.limit)
    return replace(second, bound=bound)


def is_tiny(problem: PlacementProblem) -> bool:
    """Tell whether the exact model of a layer is small enough to be tried as a matter of course."""
    scenarios = 1 if problem.objective == "max_load" else problem.num_scenarios
    pairs = problem.num_experts * problem.num_devices * min(scenarios, 4)
    return pairs <= TINY_PAIRS and problem.num_layers <= 8


def _proven(problem: PlacementProblem, outcome: Outcome) -> bool:
    if outcome.plan is None or outcome.bound is None:
        return False
    assert isinstance(outcome.plan, PlacementPlan)
    return evaluate(problem, outcome.plan).objective <= outcome.bound * (1 + 1e-9)


def _limited(context: Context) -> Context:
    if context.time_limit_s is not None:
        return context
    return replace(context, time_limit_s=context.elapsed_s() + EXACT_TIME_S)
