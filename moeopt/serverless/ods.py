"""ODS, Algorithm 1 of arXiv 2501.05313: the paper's optimal deployment selection.

Three subproblems fix one communication design for all layers; ODS then mixes them, layer by layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.serverless.bounds import bound
from moeopt.serverless.chosen import with_least_degrees
from moeopt.serverless.exact import solve_exact
from moeopt.serverless.plan import ServerlessPlan, evaluate
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.promise import limit_of


@dataclass(frozen=True)
class Selection:
    """What Algorithm 1 returns.

    Attributes
    ----------
    design
        Column chosen for each layer, ``(layers,)``, counted from 0; ``None`` in case ``"none"``.
    case
        ``"mixed"``: the loop found a choice within the limit. ``"single"``: it did not, and this is
        the cheapest single design that keeps the limit. ``"none"``: none does.
    rounds
        Choices that the loop looked at.
    """

    design: IntArray | None
    case: Literal["mixed", "single", "none"]
    rounds: int


def ods_select(cost: FloatArray, latency_s: FloatArray, limit_s: float) -> Selection:
    """Mix designs layer by layer: Algorithm 1 after its subproblems are solved.

    Each layer takes its cheapest design; while the whole is too slow, the slowest layer loses the
    design it has. E4: line 9 prints the argmin of latency, the text says the layer with the
    highest; it is the argmax here. The printed fallback may break the limit; here it is the
    cheapest single design that keeps it, and `Selection.case` tells which case this is.

    Parameters
    ----------
    cost, latency_s
        Of each layer under each design, ``(layers, designs)``; ``inf`` where there is none.
    limit_s
        Most latency in all.
    """
    layers = np.arange(len(cost))
    left = cost.copy()
    rounds = 0
    while rounds <= 2 * len(cost):
        design = np.argmin(left, axis=1)
        if not np.isfinite(left[layers, design]).all():
            break
        rounds += 1
        taken_s = latency_s[layers, design]
        if taken_s.sum() <= limit_s:
            return Selection(design=design, case="mixed", rounds=rounds)
        slowest = int(np.argmax(taken_s))
        left[slowest, design[slowest]] = math.inf
    whole = np.where(latency_s.sum(axis=0) <= limit_s, cost.sum(axis=0), math.inf)
    best = int(np.argmin(whole))
    if math.isinf(whole[best]):
        return Selection(design=None, case="none", rounds=rounds)
    return Selection(design=np.full(len(cost), best), case="single", rounds=rounds)


def run_ods(problem: ServerlessProblem, context: Context, warm_start: object) -> Outcome:
    """Return the deployment of Algorithm 1; its subproblems are solved exactly."""
    del warm_start
    singles = [fixed_design(problem, context, design) for design in problem.designs]
    cost = np.full((problem.num_layers, len(singles)), math.inf)
    latency = cost.copy()
    for column, single in enumerate(singles):
        if isinstance(single.plan, ServerlessPlan):
            value = evaluate(problem, single.plan)
            cost[:, column], latency[:, column] = value.layer_usd, value.layer_s
    chosen = ods_select(cost, latency, limit_of(problem))
    found = _bounded(problem, context, singles)
    statistics = {**found.statistics, "case": chosen.case, "rounds": chosen.rounds}
    if chosen.design is None:
        return replace(found, plan=None, statistics=statistics)
    plans = [single.plan for single in singles]
    taken = [plans[column] for column in chosen.design.tolist()]
    plan = with_least_degrees(problem, _joined(taken))
    return replace(found, plan=plan, statistics=statistics)


def run_fixed_method(problem: ServerlessProblem, context: Context, warm_start: object) -> Outcome:
    """Return the cheapest deployment that has one design in all layers."""
    del warm_start
    best, least = None, math.inf
    singles = [fixed_design(problem, context, design) for design in problem.designs]
    for single in singles:
        if isinstance(single.plan, ServerlessPlan):
            value = evaluate(problem, single.plan).objective
            if value < least:
                best, least = single.plan, value
    return replace(_bounded(problem, context, singles), plan=best)


def fixed_design(problem: ServerlessProblem, context: Context, design: int) -> Outcome:
    """Solve the subproblem (12) with one design in all layers, exactly."""
    # Objectives and bounds of a subproblem say nothing of the whole.
    quiet = replace(context, progress=None)
    return solve_exact(problem, quiet, [(design,)] * problem.num_layers)


def _bounded(problem: ServerlessProblem, context: Context, singles: list[Outcome]) -> Outcome:
    """Return an outcome without a plan: the bound if there is time for it, and what stopped."""
    stopped = [single.limit for single in singles if single.limit is not None]
    return Outcome(
        bound=None if context.out_of_time() else bound(problem),
        limit=stopped[0] if stopped else None,
    )


def _joined(plans: list[object]) -> ServerlessPlan:
    """Return the plan whose layer `e` is that of the `e`-th plan."""
    rows = [plan for plan in plans if isinstance(plan, ServerlessPlan)]
    assert len(rows) == len(plans)
    return ServerlessPlan(
        design=np.array([plan.design[e] for e, plan in enumerate(rows)]),
        pipeline_degree=np.array([plan.pipeline_degree[e] for e, plan in enumerate(rows)]),
        memory_mb=np.stack([plan.memory_mb[e] for e, plan in enumerate(rows)]),
        replicas=np.stack([plan.replicas[e] for e, plan in enumerate(rows)]),
    )
