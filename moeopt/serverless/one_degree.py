"""One pipeline degree for the whole model: a search over ranges of degrees.

A range is bounded by the knapsack over fronts that none of its degrees can better in any layer. A
choice from them that uses no pipeline, or comes from a range of one degree, is a deployment.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence

from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.serverless.chosen import Chosen, Designs, Layer, layers_of, plain, plan_of
from moeopt.serverless.degrees import MOST_DEGREES
from moeopt.serverless.explain import no_common_degree, nothing_fits
from moeopt.serverless.fronts import fastest
from moeopt.serverless.knapsack import choose
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.promise import fixed_usd, limit_of, too_slow


def solve_one_degree(problem: ServerlessProblem, context: Context, designs: Designs) -> Outcome:
    """Return the cheapest deployment that has one degree wherever the design is 1.

    Parameters
    ----------
    problem, context
        What to solve, and until when.
    designs
        Designs to choose from in each layer; 1 is among some of them.
    """
    layers = layers_of(problem, context, designs)
    degrees = _all_degrees(layers)
    limit_s, fixed = limit_of(problem), fixed_usd(problem)
    best: Chosen | None = None
    least, tried = math.inf, 0
    # Ranges by bound; of equal ones that of large degrees first. Before all of them the largest
    # degree alone, with fewest minibatches: a good beginning.
    number = itertools.count()
    queue = [(-math.inf, next(number), begin, len(degrees)) for begin in (len(degrees) - 1, 0)]
    while queue and not context.out_of_time():
        bound, _, begin, end = heapq.heappop(queue)
        if best is not None and bound >= best.choice.cost_usd:
            continue
        tried += 1
        found = _bounded(layers, degrees[begin], degrees[end - 1], limit_s, context.gap)
        if found is None:
            continue
        if end - begin == 1 or not _is_pipelined(found):
            least = min(least, found.choice.bound_usd)
            if best is None or found.choice.cost_usd < best.choice.cost_usd:
                best = found
                context.report(best.choice.cost_usd + fixed, None, f"{tried} ranges of degrees")
            continue
        middle = (begin + end) // 2
        for part in ((middle, end), (begin, middle)):
            heapq.heappush(queue, (found.choice.bound_usd, next(number), *part))
    open_bounds = [bound for bound, *_ in queue]
    stopped = Limit.TIME if queue else None
    if best is None:
        return Outcome(limit=stopped) if stopped else _none(problem, context, layers, degrees)
    bound = min([least, best.choice.cost_usd, *open_bounds])
    return Outcome(
        plan=plan_of(problem, best),
        bound=bound + fixed if math.isfinite(bound) else None,
        limit=stopped,
        statistics={"degrees": len(degrees), "ranges": tried},
    )


def _bounded(layers: list[Layer], low: int, high: int, limit_s: float, gap: float) -> Chosen | None:
    """Return the best choice of what no degree of a range can better, ``None`` if there is none."""
    fronts = [layer.relaxed([low], [high]) for layer in layers]
    if any(front.is_empty for front in fronts):
        return None
    choice = choose(plain(fronts), limit_s, gap)
    return None if choice is None else Chosen(fronts, choice)


def _is_pipelined(chosen: Chosen) -> bool:
    points = zip(chosen.fronts, chosen.choice.point.tolist(), strict=True)
    return any(front.modes[front.mode[point]].design == 1 for front, point in points)


def _all_degrees(layers: list[Layer]) -> Sequence[int]:
    """Return the degrees that matter in some layer, ascending; all whole ones if too many do."""
    if any(len(layer.degrees) > MOST_DEGREES for layer in layers):
        return range(1, max(layer.degrees[-1] for layer in layers if layer.degrees) + 1)
    return sorted({degree for layer in layers for degree in layer.degrees})


def _none(
    problem: ServerlessProblem, context: Context, layers: list[Layer], degrees: Sequence[int]
) -> Outcome:
    """Return why no degree of the model gives a plan: what is too slow, or fits nowhere.

    The fastest of all, and of these the cheapest, by ranges of degrees as above.
    """
    number = itertools.count()

    def ranged(begin: int, end: int) -> tuple[tuple[float, float], int, int, int]:
        worth = _fastest(layers, degrees[begin], degrees[end - 1])
        return worth, next(number), begin, end

    queue = [ranged(0, len(degrees))]
    while queue and math.isfinite(queue[0][0][0]):
        if context.out_of_time():
            return Outcome(limit=Limit.TIME)
        worth, _, begin, end = heapq.heappop(queue)
        if end - begin == 1:
            return Outcome(infeasible=(too_slow(problem, *worth),))
        middle = (begin + end) // 2
        heapq.heappush(queue, ranged(middle, end))
        heapq.heappush(queue, ranged(begin, middle))
    fronts = [layer.best(layer.front(()), fastest) for layer in layers]
    stuck = nothing_fits(problem, fronts, [layer.designs for layer in layers])
    return Outcome(infeasible=stuck or (no_common_degree(),))


def _fastest(layers: list[Layer], low: int, high: int) -> tuple[float, float]:
    """Return the shortest latency that a range of degrees may have, and the least bill of it."""
    worth = [fastest(layer.relaxed([low], [high]).front) for layer in layers]
    return sum(seconds for seconds, _ in worth), sum(usd for _, usd in worth)
