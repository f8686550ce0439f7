"""The serverless wing's methods by name, and the wing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moeopt.core.registry import register
from moeopt.core.stop import Context
from moeopt.core.wing import Capabilities, Method, Outcome, Wing
from moeopt.serverless.exact import run_exact
from moeopt.serverless.ods import run_fixed_method, run_ods
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.simple import run_lambdaml, run_random
from moeopt.serverless.summary import summarise
from moeopt.serverless.validate import impossible

if TYPE_CHECKING:
    from moeopt.mip import LinearModel


# The linear model brings scipy and solvers, which the knapsack does not need: imported on use.
def _run_milp(problem: ServerlessProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.serverless.exact_model import run_milp

    return run_milp(problem, context, warm_start)


def _refuses_milp(problem: ServerlessProblem) -> str | None:
    from moeopt.serverless.exact_model import refuses_milp

    return refuses_milp(problem)


def _build(problem: ServerlessProblem) -> list[LinearModel]:
    from moeopt.serverless.exact_model import build

    return build(problem)


_BOUNDED = Capabilities(bounds=True)
_PROVEN = Capabilities(exact=True, anytime=True, bounds=True, warm_start=True, complete=True)

METHODS = (
    Method(
        name="auto",
        summary="the cheapest deployment, proven: fronts of layers and a knapsack",
        run=run_exact,
        capabilities=_PROVEN,
    ),
    Method(
        name="exact",
        summary="the same as auto: fronts of layers and a multiple-choice knapsack",
        run=run_exact,
        capabilities=_PROVEN,
    ),
    Method(
        name="milp",
        summary="the linear model of the page, through a solver: a second proof",
        run=_run_milp,
        capabilities=_PROVEN,
        refuses=_refuses_milp,
    ),
    Method(
        name="ods",
        summary="Algorithm 1: three single-design solutions, mixed layer by layer",
        run=run_ods,
        capabilities=_BOUNDED,
    ),
    Method(
        name="fixed_method",
        summary="the cheapest deployment with one communication design in all layers",
        run=run_fixed_method,
        capabilities=_BOUNDED,
    ),
    Method(
        name="lambdaml",
        summary="the largest memory and no replicas, through storage",
        run=run_lambdaml,
        capabilities=_BOUNDED,
    ),
    Method(
        name="random",
        summary="designs drawn at random, the rest as good as possible",
        run=run_random,
        capabilities=_BOUNDED,
    ),
)

WING = register(
    Wing(
        name="serverless",
        problem_type=ServerlessProblem,
        plan_type=ServerlessPlan,
        violations=violations,
        evaluate=evaluate,
        impossible=impossible,
        methods={method.name: method for method in METHODS},
        build=_build,
        summarise=summarise,
    )
)
