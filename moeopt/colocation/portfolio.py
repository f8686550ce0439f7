"""``auto``: search from the decoupled answer, and proof where there are few experts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from moeopt.colocation.plan import ColocationPlan, evaluate
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.errors import BackendError
from moeopt.core.result import relative_gap
from moeopt.core.stop import Context
from moeopt.core.wing import Method, Outcome

_log = logging.getLogger(__name__)

#: A plan this close to the bound cannot be improved but in its rounding.
_REACHED = 1e-9

#: Most experts of all models for which a proof is tried without a time limit.
_FEW = 12

#: Share of a time limit for the search; the proof gets the rest.
_SEARCH_SHARE = 0.3


def auto(methods: Mapping[str, Method]) -> Callable[[ColocationProblem, Context, object], Outcome]:
    """Return the portfolio of `methods`, as a method's ``run``."""

    def run(problem: ColocationProblem, context: Context, warm_start: object) -> Outcome:
        provable = methods["exact"].refuses(problem) is None
        few = int(problem.experts().sum()) <= _FEW
        prove = provable and (few or context.time_limit_s is not None)
        share = context.part(_SEARCH_SHARE) if prove else context
        found = methods["search"].run(problem, share, warm_start)
        if not prove or _reached(problem, context, found):
            return found
        try:
            proven = methods["exact"].run(problem, context, found.plan or warm_start)
        except BackendError as error:
            if found.plan is None:
                raise
            _log.warning("not proven: %s", error)
            return found
        return _better(problem, found, proven)

    return run


def _reached(problem: ColocationProblem, context: Context, found: Outcome) -> bool:
    gap = relative_gap(_value(problem, found), found.bound)
    return gap is not None and gap <= max(_REACHED, context.gap)


def _value(problem: ColocationProblem, found: Outcome) -> float | None:
    if not isinstance(found.plan, ColocationPlan):
        return None
    return evaluate(problem, found.plan).objective


def _better(problem: ColocationProblem, found: Outcome, proven: Outcome) -> Outcome:
    """Return the better of both, with the larger bound."""
    mine, other = _value(problem, found), _value(problem, proven)
    best = found if other is None or (mine is not None and mine <= other) else proven
    bounds = [bound for bound in (found.bound, proven.bound) if bound is not None]
    return replace(
        best,
        bound=max(bounds, default=None),
        infeasible=proven.infeasible,
        limit=proven.limit,
        backend=proven.backend,
        statistics={**found.statistics, **proven.statistics},
    )
