"""What must hold of deployments beside their methods: simulation, real tokens, predictions."""

from __future__ import annotations

from typing import get_args

import numpy as np

from moeopt.bench.reliability.agreement_identities import Sentences, above, apart
from moeopt.core.stop import Context
from moeopt.popularity import Predictor
from moeopt.popularity.prediction import Rule
from moeopt.serverless.bounds import staircase
from moeopt.serverless.chosen import layers_of, plain
from moeopt.serverless.knapsack import choose, least_cost
from moeopt.serverless.plan import ServerlessPlan, evaluate
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.promise import fixed_usd, limit_of
from moeopt.serverless.realised import meet
from moeopt.serverless.simulate import simulate
from moeopt.testing.conformance.kit import Optimum

_CLOSE = 1e-9


def simulations(problem: ServerlessProblem, optimum: Optimum) -> Sentences | None:
    """Check that a layer takes what the formulas say, with a pipeline no longer."""
    plan = optimum.plan
    if not isinstance(plan, ServerlessPlan):
        return None
    value, run = evaluate(problem, plan), simulate(problem, plan)
    said = []
    pairs = zip(plan.design.tolist(), run.layer_s.tolist(), value.layer_s.tolist(), strict=True)
    for layer, (design, took, stated) in enumerate(pairs):
        if design != 1:
            said += apart(f"simulated layer {layer} of design {design}", took, stated)
        elif took > stated * (1 + _CLOSE):
            said.append(f"simulated layer {layer} takes {took!r} s, the formulas say {stated!r}")
    return said


def real_tokens(problem: ServerlessProblem, optimum: Optimum) -> Sentences | None:
    """Check that a plan met by the very tokens it was made for costs what it said."""
    plan = optimum.plan
    if not isinstance(plan, ServerlessPlan) or optimum.objective is None:
        return None
    met = meet(problem, plan, [problem.tokens_of(e) for e in range(problem.num_layers)])
    failed = [
        f"calls are {name.replace('_', ' ')} with their own tokens"
        for name in ("over_memory", "over_payload", "over_time")
        if getattr(met, name).any()
    ]
    # What waits is billed for each scenario's own seconds, in the plan for the slowest one's.
    if problem.num_scenarios == 1 or problem.billing.non_moe_memory_mb is None:
        bill = float(problem.weights() @ met.cost_usd)
        failed += apart("the bill of its own tokens", bill, optimum.objective)
    slowest = float(met.layer_s.max(axis=0).sum())
    stated = float(evaluate(problem, plan).layer_s.sum())
    return failed + apart("the seconds of its own tokens", slowest, stated)


def staircases(problem: ServerlessProblem, optimum: Optimum) -> Sentences:
    """Check that what layers cost at least is together not above the optimum."""
    limit_s = limit_of(problem)
    total = fixed_usd(problem)
    for layer in range(problem.num_layers):
        steps = staircase(problem, layer)
        total += float(steps.cost_usd[steps.latency_s <= limit_s].min(initial=np.inf))
    return above("by staircases", total, optimum)


def knapsacks(problem: ServerlessProblem, optimum: Optimum) -> Sentences | None:
    """Check that the knapsack over all degrees of all layers has the optimum."""
    if problem.pipeline_degree != "layer" or optimum.objective is None:
        return None
    layers = layers_of(problem, Context(), [problem.designs] * problem.num_layers)
    fronts = plain([layer.front(layer.degrees) for layer in layers])
    limit_s, fixed = limit_of(problem), fixed_usd(problem)
    choice = choose(fronts, limit_s)
    if choice is None:
        return [f"no choice within {limit_s!r} s, but there is a plan"]
    quick = least_cost(fronts, limit_s) + fixed
    return [
        *apart("the knapsack", choice.cost_usd + fixed, optimum.objective),
        *above("of the knapsack", choice.bound_usd + fixed, optimum),
        *above("of its relaxation", quick, optimum),
    ]


def predictions(problem: ServerlessProblem, optimum: Optimum) -> Sentences | None:
    """Check that every predictor deals out as many choices as the batch has."""
    del optimum
    asked = problem.prediction
    if asked is None:
        return None
    predictor, said = Predictor(asked.table), []
    choices = float(asked.token_ids.size * asked.table.top_k)
    for rule in get_args(Rule):
        for layer, tokens in enumerate(predictor.tokens(asked.token_ids, rule)):
            said += apart(f"tokens of layer {layer} by {rule}", float(tokens.sum()), choices)
            said += [f"{rule} predicts {tokens.min()!r} tokens"] * bool((tokens < 0).any())
    return said


#: What is checked of each instance with a plan, by what the table calls it.
IDENTITIES = {
    "simulation without contention, formulas": simulations,
    "plans met by their own tokens": real_tokens,
    "staircases of layers": staircases,
    "knapsack over all degrees": knapsacks,
    "predicted tokens, those of the batch": predictions,
}
