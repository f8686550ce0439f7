"""The cheapest deployment, proven: fronts of all layers, and a knapsack over them.

Under a design and a degree the experts of a layer meet only in the layer's latency, and layers meet
only in the promise. So a layer is its front of latency and cost (`moeopt.serverless.fronts`), and
what is left is a multiple-choice knapsack (`moeopt.serverless.knapsack`). One degree for the whole
model makes a knapsack for each degree that matters.
"""

from __future__ import annotations

from dataclasses import replace

from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome, Violation
from moeopt.serverless.chosen import (
    ROUNDING,
    Chosen,
    Designs,
    Layer,
    layers_of,
    plain,
    plan_of,
    points_of,
)
from moeopt.serverless.explain import nothing_fits
from moeopt.serverless.fronts import LayerFront, fastest, none_within, priced
from moeopt.serverless.knapsack import Relaxed, choose, least_cost, relax, shortest
from moeopt.serverless.one_degree import solve_one_degree
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.promise import fixed_usd, limit_of, too_slow


def run_exact(problem: ServerlessProblem, context: Context, warm_start: object) -> Outcome:
    """Return the cheapest deployment, or the shortest latency there is where it misses the SLO."""
    return _with_start(problem, solve_exact(problem, context), warm_start)


def solve_exact(
    problem: ServerlessProblem, context: Context, designs: Designs | None = None
) -> Outcome:
    """Return the cheapest deployment.

    Parameters
    ----------
    problem, context
        What to solve, and until when.
    designs
        Designs to choose from in each layer; the problem's own if left out. The bound and the
        proof of infeasibility are those of this choice.
    """
    allowed = [problem.designs] * problem.num_layers if designs is None else designs
    if problem.pipeline_degree == "layer" or not any(1 in layer for layer in allowed):
        return _by_layer(problem, context, allowed)
    return solve_one_degree(problem, context, allowed)


def _by_layer(problem: ServerlessProblem, context: Context, designs: Designs) -> Outcome:
    """Solve with a degree for each layer, or none.

    Degrees are looked at where they may matter. First those that make a layer fast enough; then,
    at the price of latency in the linear relaxation, those that make a layer cheaper, until none
    does: then the relaxation is that over all degrees. Last those within its distance to the
    incumbent; others are in no better choice.
    """
    layers = layers_of(problem, context, designs)
    limit_s, fixed = limit_of(problem), fixed_usd(problem)
    fronts = _begun(context, layers)
    if fronts is None:
        return Outcome(limit=Limit.TIME)
    if any(front.is_empty for front in fronts) or shortest(plain(fronts)) > limit_s:
        fronts = [layer.best(f, fastest) for layer, f in zip(layers, fronts, strict=True)]
        if context.out_of_time() and _none(fronts, limit_s):
            return Outcome(limit=Limit.TIME)
    if any(front.is_empty for front in fronts):
        return Outcome(infeasible=nothing_fits(problem, fronts, designs))
    if shortest(plain(fronts)) > limit_s:
        return Outcome(infeasible=(_too_slow(problem, fronts),))
    # What is known should the time run out; without a limit it never does.
    root = _root_bound(layers, limit_s) if context.time_limit_s is not None else None
    fronts, relaxed = _with_priced(context, layers, fronts, limit_s)
    room = (relaxed.cost_usd - relaxed.bound_usd) * (1 + ROUNDING)
    fronts = [
        layer.more(front, none_within(relaxed.usd_per_s, float(least) + room))
        for layer, front, least in zip(layers, fronts, relaxed.least_usd, strict=True)
    ]
    whole = not context.out_of_time()
    choice = choose(plain(fronts), limit_s, context.gap)
    assert choice is not None, "some choice is fast enough"
    bound = choice.bound_usd if whole else root
    bound = None if bound is None else min(bound, choice.cost_usd) + fixed
    context.report(choice.cost_usd + fixed, bound, "knapsack over layers")
    return Outcome(
        plan=plan_of(problem, Chosen(fronts, choice)),
        bound=bound,
        limit=None if whole else Limit.TIME,
        statistics={"front_points": points_of(fronts)},
    )


def _begun(context: Context, layers: list[Layer]) -> list[LayerFront] | None:
    """Return fronts with the largest degree alone, ``None`` if there is no time for them."""
    fronts = []
    for layer in layers:
        if context.out_of_time():
            return None
        fronts.append(layer.front(layer.degrees[-1:]))
    return fronts


def _with_priced(
    context: Context, layers: list[Layer], fronts: list[LayerFront], limit_s: float
) -> tuple[list[LayerFront], Relaxed]:
    """Return fronts with all degrees that the linear relaxation uses, and the relaxation."""
    relaxed = relax(plain(fronts), limit_s)
    while not context.out_of_time():
        worth = priced(relaxed.usd_per_s)
        wider = [layer.best(front, worth) for layer, front in zip(layers, fronts, strict=True)]
        if _modes(wider) == _modes(fronts):
            break
        fronts, relaxed = wider, relax(plain(wider), limit_s)
    return fronts, relaxed


def _root_bound(layers: list[Layer], limit_s: float) -> float:
    """Return what no choice is cheaper than, whatever the degrees."""
    fronts = [layer.relaxed(layer.degrees[:1], layer.degrees[-1:]) for layer in layers]
    return least_cost(plain(fronts), limit_s)


def _none(fronts: list[LayerFront], limit_s: float) -> bool:
    return any(front.is_empty for front in fronts) or shortest(plain(fronts)) > limit_s


def _modes(fronts: list[LayerFront]) -> int:
    return sum(len(front.modes) for front in fronts)


def _too_slow(problem: ServerlessProblem, fronts: list[LayerFront]) -> Violation:
    worth = [fastest(front.front) for front in fronts]
    return too_slow(problem, sum(s for s, _ in worth), sum(usd for _, usd in worth))


def _with_start(problem: ServerlessProblem, found: Outcome, warm_start: object) -> Outcome:
    """Return the outcome with a valid warm start where nothing better was found."""
    if not isinstance(warm_start, ServerlessPlan) or violations(problem, warm_start):
        return found
    if isinstance(found.plan, ServerlessPlan):
        mine, theirs = (evaluate(problem, p).objective for p in (found.plan, warm_start))
        return replace(found, plan=warm_start) if theirs < mine else found
    return found if found.infeasible else replace(found, plan=warm_start)
