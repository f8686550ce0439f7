"""What people do without an optimiser: the largest memory, or a design at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.serverless.bounds import bound
from moeopt.serverless.chosen import with_least_degrees
from moeopt.serverless.degrees import largest_degree
from moeopt.serverless.exact import solve_exact
from moeopt.serverless.plan import ServerlessPlan, violations
from moeopt.serverless.problem import ServerlessProblem

#: Drawings of designs before giving up.
_DRAWINGS = 100

#: LambdaML exchanges through storage.
_STORAGE_FIRST = (2, 1, 3)


def lambdaml(problem: ServerlessProblem) -> ServerlessPlan:
    """Return the deployment of LambdaML as the paper compares with it.

    Every expert gets the largest memory and no replicas, and layers exchange through storage, or
    in the first allowed design if that one is not. Nothing is asked of the promise.
    """
    design = next(d for d in _STORAGE_FIRST if d in problem.designs)
    here = np.arange(problem.num_experts) < problem.experts()[:, None]
    largest = max(largest_degree(problem.tokens_of(layer)) for layer in range(problem.num_layers))
    plan = ServerlessPlan(
        design=np.full(problem.num_layers, design),
        pipeline_degree=np.full(problem.num_layers, largest if design == 1 else 0),
        memory_mb=np.where(here, max(problem.memory_mb), 0),
        replicas=here.astype(np.int64),
    )
    return with_least_degrees(problem, plan)


def run_lambdaml(problem: ServerlessProblem, context: Context, warm_start: object) -> Outcome:
    """Return LambdaML's deployment, if it keeps the rules; otherwise tell which it breaks."""
    del warm_start
    plan = lambdaml(problem)
    broken = violations(problem, plan)
    return Outcome(
        plan=None if broken else plan,
        bound=None if context.out_of_time() else bound(problem),
        statistics={"breaks": [str(violation) for violation in broken]} if broken else {},
    )


def run_random(problem: ServerlessProblem, context: Context, warm_start: object) -> Outcome:
    """Return the best deployment for designs drawn at random, drawn again if they cannot do."""
    del warm_start
    random = np.random.default_rng(context.seed)
    # Objectives and bounds of a drawing say nothing of the whole.
    quiet = replace(context, progress=None)
    for drawing in range(_DRAWINGS):
        drawn = random.choice(problem.designs, problem.num_layers).tolist()
        found = solve_exact(problem, quiet, [(design,) for design in drawn])
        if found.plan is not None or context.out_of_time():
            break
        # If no designs can do, more drawings will not help.
        whole = solve_exact(problem, quiet) if drawing == 0 else None
        if whole is not None and whole.infeasible:
            return replace(whole, statistics={"drawings": 1})
    return Outcome(
        plan=found.plan,
        bound=None if context.out_of_time() else bound(problem),
        limit=found.limit,
        statistics={"drawings": drawing + 1},
    )
