"""Proven optima by linear models, one for each update period that may be the best."""

from __future__ import annotations

import math
from dataclasses import replace

from moeopt.committee.allocation import allowed, rows
from moeopt.committee.bounds import bound as bound_of
from moeopt.committee.exact_model import compile_plain, compile_tight, periods_of
from moeopt.committee.exact_solve import ask, better, buildable, entries_of, solve_period, value_of
from moeopt.committee.knapsack import choose
from moeopt.committee.plan import CommitteePlan, violations
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.validate import impossible
from moeopt.core.errors import InstanceError
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Status
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome, Violation
from moeopt.mip import LinearModel

#: Most entries in the rows of all models, which take 2 GB. Under masked gating 800 tokens in 12
#: layers of 64 experts have as many, and HiGHS solves them within a minute.
MOST_ENTRIES = 2_000_000

#: Part of the time that a bound without a model may take.
_BOUND_SHARE = 0.2

__all__ = ["build", "refuses_exact", "relaxation", "run_exact"]


def refuses_exact(problem: CommitteeProblem) -> str | None:
    """Say why the linear models are too large, or ``None`` if they are not."""
    if sum(entries_of(problem, period) for period in periods_of(problem)) <= MOST_ENTRIES:
        return None
    less = "tokens" if problem.loss == "masked" else "windows"
    return f"its linear models have more than {MOST_ENTRIES} entries: take fewer {less} or periods"


def build(problem: CommitteeProblem, *, tighten: bool = True) -> list[LinearModel]:
    """Return the problem's models: the best optimum of all is the problem's.

    Parameters
    ----------
    problem
        One whose models are of a size that can be solved.
    tighten
        Whether to make a model of each update period that may be the best, of residents from
        update to update. Without it there is one of all, in which every rule stands in rows of its
        own label.

    Raises
    ------
    InstanceError
        If the models would be too large.
    """
    refused = refuses_exact(problem)
    if refused is not None:
        rule = f"must make models of at most {MOST_ENTRIES} entries"
        raise InstanceError("$", "<too large>", rule, "take fewer windows, or see flow_curves")
    if not tighten:
        return [compile_plain(problem).builder.build()]
    return [compile_tight(problem, period).builder.build() for period in periods_of(problem)]


def run_exact(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
    """Return an optimal plan, or the best plan and bound that the time allows."""
    broken = impossible(problem)
    if broken:
        return Outcome(infeasible=tuple(broken))
    best = warm_start if isinstance(warm_start, CommitteePlan) else None
    if best is not None and violations(problem, best):
        best = None
    least, periods = 0.0, periods_of(problem)
    if context.time_limit_s is not None:
        # In case that time is up before a model has a bound.
        models = any(buildable(problem, period, context) for period in periods)
        share = _BOUND_SHARE if models else 1.0
        least = bound_of(problem, context.part(share).out_of_time)
    found = []
    for done, period in enumerate(periods):
        part = solve_period(problem, period, _turn(context, len(periods) - done), best)
        found.append(part)
        best = better(problem, best, part.plan)
        context.report(None if best is None else value_of(problem, best), None, f"period {period}")
    value = value_of(problem, best)
    bound = min(value, max(least, min(part.bound for part in found)))
    if math.isinf(bound):
        return Outcome(infeasible=(_too_slow(problem),))
    limit = next((part.limit for part in found if part.limit is not None), None)
    enough = max(context.gap, OPTIMALITY_TOLERANCE) * value
    if limit in (None, Limit.GAP) and value - bound > enough:
        # Solvers prove to a share of the largest cost, beside which small ones may be all there is.
        bound = min(value, max(bound, bound_of(problem, context.out_of_time)))
    if best is not None and limit is None and value - bound <= OPTIMALITY_TOLERANCE * value:
        # What an optimal point misses by the solver's tolerance is no gap.
        bound = value
    backends = dict.fromkeys(part.backend for part in found if part.backend)
    return Outcome(
        plan=best,
        bound=bound,
        limit=limit,
        backend="; ".join(backends) or None,
        build_s=sum(part.build_s for part in found),
        statistics={"branches": sum(part.nodes for part in found)} if backends else {},
    )


def relaxation(problem: CommitteeProblem, context: Context) -> float:
    """Return the least optimum of the models without whole numbers: no plan costs less.

    0 where time is too short, infinite if no plan exists.

    Parameters
    ----------
    problem
        One that `refuses_exact` does not refuse.
    context
        Time that it may take.
    """
    periods, least = periods_of(problem), math.inf
    for done, period in enumerate(periods):
        part = _turn(context, len(periods) - done)
        if not buildable(problem, period, part):
            return 0.0
        answer = ask(compile_tight(problem, period).builder.build().relaxed(), part)
        if answer.status is not Status.INFEASIBLE:
            least = min(least, max(0.0, answer.bound or 0.0))
    return least


def _turn(context: Context, left: int) -> Context:
    """Return the context of one of some periods that are left: its part of the time."""
    if context.time_limit_s is None:
        return context
    return replace(context, time_limit_s=context.elapsed_s() + context.remaining_s() / left)


def _too_slow(problem: CommitteeProblem) -> Violation:
    """Return by how much the link is too slow for all slots that memory and latency allow.

    Without a table an empty committee loads nothing, so there is one.
    """
    over = math.inf
    for period in periods_of(problem):
        shared = rows(problem, period)
        used = [use[-1] for use in shared.uses]
        uses = [use[:-1] for use in shared.uses]
        chosen = choose(allowed(problem, used), uses, shared.limits[:-1])
        assert chosen is not None, "the fewest slots keep memory and latency"
        over = min(over, chosen.bound - float(shared.limits[-1]))
    message = (
        f"with any slots that memory and latency allow an update replaces {over:.6g} bytes more"
        " than the link carries in a period; allow longer periods, or a larger budget"
    )
    return Violation(constraint="C3", path="$.link_bytes_per_s", message=message, amount=over)
