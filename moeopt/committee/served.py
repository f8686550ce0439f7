"""Online schedulers as methods: slots and first members by a planner, then the windows replayed."""

from __future__ import annotations

from collections.abc import Callable

from moeopt.committee.allocation import allowed, rows
from moeopt.committee.bounds import bound as bound_of
from moeopt.committee.curves import standing
from moeopt.committee.loss import weights
from moeopt.committee.online import schedule
from moeopt.committee.plan import CommitteePlan, evaluate
from moeopt.committee.planners import by_knapsack
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome


def by_scheduler(rule: str) -> Callable[[CommitteeProblem, Context, object], Outcome]:
    """Return a scheduler as a method's ``run``.

    Slots and the first committee are planned as for a committee that stays, by what these windows
    sum up to, as if they had been profiled; what follows sees the past alone. Of several periods
    the one that does best on these windows is taken, as a sweep on a profile takes it.

    Parameters
    ----------
    rule
        Of `moeopt.committee.online.Scheduler`.
    """

    def run(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
        del warm_start
        importance = weights(problem)
        best: CommitteePlan | None = None
        least = float("inf")
        for period in problem.choices().tolist():
            if best is not None and context.out_of_time():
                break
            stand = standing(problem, period, "lazy_greedy", importance)
            split = by_knapsack(allowed(problem, stand.costs), rows(problem, period), context)
            if split is None:
                continue
            history = importance.mean(axis=0)
            plan = schedule(
                problem, split.slots, rule, period=period, history=history, importance=importance
            )
            cost = evaluate(problem, plan).objective
            if cost < least:
                best, least = plan, cost
        return Outcome(
            plan=best,
            # What rounding has put above the plan's cost is none of the bound.
            bound=min(bound_of(problem, context.out_of_time), least),
            limit=Limit.TIME if context.out_of_time() else None,
        )

    return run
