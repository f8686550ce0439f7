"""The buffering wing's methods by name, and the wing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moeopt.buffering.plan import BufferingPlan, evaluate, violations
from moeopt.buffering.policies import POLICIES
from moeopt.buffering.portfolio import auto, best_online, by_policy, refuses_policy
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.summary import summarise
from moeopt.buffering.validate import impossible
from moeopt.core.registry import register
from moeopt.core.stop import Context
from moeopt.core.wing import Capabilities, Method, Outcome, Wing

if TYPE_CHECKING:
    from moeopt.mip import LinearModel


# The models bring scipy and ortools, which a replay does not need: imported on use.
def _run_exact(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.buffering.exact import run_exact

    return run_exact(problem, context, warm_start)


def _refuses_exact(problem: BufferingProblem) -> str | None:
    from moeopt.buffering.exact import refuses_exact

    return refuses_exact(problem)


def _run_clairvoyant(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.buffering.clairvoyant import run_clairvoyant

    return run_clairvoyant(problem, context, warm_start)


def _build(problem: BufferingProblem) -> list[LinearModel]:
    from moeopt.buffering.exact import build

    return build(problem)


_BOUNDED = Capabilities(bounds=True)

_POLICIES = tuple(
    Method(
        name=name,
        summary=policy.summary,
        run=by_policy(name),
        capabilities=_BOUNDED,
        refuses=refuses_policy(name),
    )
    for name, policy in POLICIES.items()
)

_BEST_ONLINE = Method(
    name="best_online",
    summary="the best on this trace of all policies that do not know the future",
    run=best_online({method.name: method for method in _POLICIES}),
    capabilities=_BOUNDED,
)

_OWN = (
    Method(
        name="exact",
        summary="the optimum in hindsight: a flow for experts of one size, else a MILP",
        run=_run_exact,
        capabilities=Capabilities(
            exact=True, anytime=True, bounds=True, warm_start=True, complete=True
        ),
        refuses=_refuses_exact,
    ),
    Method(
        name="clairvoyant",
        summary="hindsight for experts of any size: Belady's rule by price and size, rounded flows",
        run=_run_clairvoyant,
        capabilities=_BOUNDED,
    ),
    _BEST_ONLINE,
    *_POLICIES,
)

_AUTO = Method(
    name="auto",
    summary="the optimum in hindsight where it can be had, else the best that hindsight finds",
    run=auto({method.name: method for method in _OWN}),
    capabilities=Capabilities(anytime=True, bounds=True, warm_start=True),
)

METHODS = (_AUTO, *_OWN)

WING = register(
    Wing(
        name="buffering",
        problem_type=BufferingProblem,
        plan_type=BufferingPlan,
        violations=violations,
        evaluate=evaluate,
        impossible=impossible,
        methods={method.name: method for method in METHODS},
        build=_build,
        summarise=summarise,
    )
)
