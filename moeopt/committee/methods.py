"""The committee wing's methods by name, and the wing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moeopt.committee.plan import CommitteePlan, evaluate, violations
from moeopt.committee.planners import auto, by_knapsack, by_merging, moves, stays
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.served import by_scheduler
from moeopt.committee.summary import summarise
from moeopt.committee.validate import impossible
from moeopt.core.registry import register
from moeopt.core.stop import Context
from moeopt.core.wing import Capabilities, Method, Outcome, Wing

if TYPE_CHECKING:
    from moeopt.mip import LinearModel


# The models bring scipy and ortools, which other methods do not need: imported on use.
def _run_exact(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.committee.exact import run_exact

    return run_exact(problem, context, warm_start)


def _refuses_exact(problem: CommitteeProblem) -> str | None:
    from moeopt.committee.exact import refuses_exact

    return refuses_exact(problem)


def _run_genetic(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.committee.planners_paper import run_genetic

    return run_genetic(problem, context, warm_start)


def _run_simple(problem: CommitteeProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.committee.planners_paper import run_simple

    return run_simple(problem, context, warm_start)


def _build(problem: CommitteeProblem) -> list[LinearModel]:
    from moeopt.committee.exact import build

    return build(problem)


def _refuses_table(problem: CommitteeProblem) -> str | None:
    if problem.loss == "table":
        return "a measured table does not say which experts there are"
    return None


_BOUNDED = Capabilities(bounds=True)

_OWN = (
    Method(
        name="exact",
        summary="the optimum: a MILP of slots, members, loads and substitutes",
        run=_run_exact,
        capabilities=Capabilities(
            exact=True, anytime=True, bounds=True, warm_start=True, complete=True
        ),
        refuses=_refuses_exact,
    ),
    Method(
        name="knapsack",
        summary="the best split for committees that stay: a multiple-choice knapsack over layers",
        run=stays(by_knapsack, "lazy_greedy", polish=True),
        capabilities=_BOUNDED,
    ),
    Method(
        name="flow_curves",
        summary="committees that move, in hindsight: a flow for each layer, its curves merged",
        run=moves,
        capabilities=_BOUNDED,
        refuses=_refuses_table,
    ),
    Method(
        name="greedy",
        summary="slot by slot to the layer where it saves most for its bytes, members likewise",
        run=stays(by_merging, "lazy_greedy"),
        capabilities=_BOUNDED,
    ),
    Method(
        name="lazy_greedy",
        summary="members by what they retain together, slots by a knapsack",
        run=stays(by_knapsack, "lazy_greedy"),
        capabilities=_BOUNDED,
        refuses=_refuses_table,
    ),
    Method(
        name="top_importance",
        summary="members by importance alone (the paper's rule), slots by a knapsack",
        run=stays(by_knapsack, "top_importance"),
        capabilities=_BOUNDED,
        refuses=_refuses_table,
    ),
    Method(
        name="genetic",
        summary="the paper's planner: a genetic search for slots, members by importance",
        run=_run_genetic,
        capabilities=Capabilities(anytime=True, bounds=True),
    ),
    Method(
        name="simple",
        summary="the paper's baseline: as many slots for each layer, members by importance",
        run=_run_simple,
        capabilities=_BOUNDED,
    ),
    Method(
        name="last_window",
        summary="online, the paper's scheduler: what mattered in the last period comes in",
        run=by_scheduler("paper"),
        capabilities=_BOUNDED,
        refuses=_refuses_table,
    ),
    Method(
        name="rent_or_buy",
        summary="online: who is missed, lately and as expected, by more than a load costs comes in",
        run=by_scheduler("rent_or_buy"),
        capabilities=_BOUNDED,
        refuses=_refuses_table,
    ),
)

_AUTO = Method(
    name="auto",
    summary="the best of knapsack, flow_curves and exact, until one is proven optimal",
    run=auto({method.name: method for method in _OWN}),
    capabilities=Capabilities(anytime=True, bounds=True, warm_start=True),
)

METHODS = (_AUTO, *_OWN)

WING = register(
    Wing(
        name="committee",
        problem_type=CommitteeProblem,
        plan_type=CommitteePlan,
        violations=violations,
        evaluate=evaluate,
        impossible=impossible,
        methods={method.name: method for method in METHODS},
        build=_build,
        summarise=summarise,
    )
)
