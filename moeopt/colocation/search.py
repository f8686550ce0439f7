"""Local search over who shares a device: swaps from the decoupled answer, at falling heat."""

from __future__ import annotations

import math
import time

import numpy as np

from moeopt.colocation._kernels import BOTTLENECK, COMMUNICATION, TIME, anneal
from moeopt.colocation.bounds import bound as bound_of
from moeopt.colocation.layout import Layout, layout_of, plan_of, table_of
from moeopt.colocation.pairing import (
    lina,
    matched_devices,
    matched_groups,
    placed,
    refuses_lina,
)
from moeopt.colocation.plan import ColocationPlan, evaluate, violations
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import IntArray, read_only
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome

OBJECTIVES = {"time": TIME, "bottleneck": BOTTLENECK, "communication": COMMUNICATION}

#: Swaps tried in one descent: for each expert and device, and at least.
_STEPS_EACH, _STEPS_LEAST = 12, 4_000

#: Descents without a time limit, and swaps of all of them together.
_DESCENTS, _STEPS_MOST = 12, 3_000_000

#: First temperatures, as shares of the objective: the first descent hardly leaves its start.
_WARM = (0.003, 0.02, 0.06)


def run_search(problem: ColocationProblem, context: Context, warm_start: object) -> Outcome:
    """Return the best plan of several descents, the first from the best plan at hand."""
    bound = bound_of(problem)
    layout = layout_of(problem)
    start = first_plan(problem, layout, warm_start)
    if start is None:
        return Outcome(bound=bound)
    best = table_of(problem, start)
    value = evaluate(problem, start).objective
    context.report(value, bound, "start")
    steps = max(_STEPS_LEAST, _STEPS_EACH * int(problem.experts().sum()) * problem.num_devices)
    rng = np.random.default_rng(context.seed)
    limit, descents, pace_s = None, 0, math.inf
    while not context.close_enough(value, bound):
        if context.time_limit_s is None and (
            descents >= _DESCENTS or descents * steps >= _STEPS_MOST
        ):
            break
        if context.out_of_time():
            limit = Limit.TIME
            break
        warm = _WARM[descents % len(_WARM)]
        tried = steps if context.time_limit_s is None else _in_time(steps, pace_s, context)
        begun = time.perf_counter()
        found, reached = _descend(layout, best, OBJECTIVES[problem.objective], tried, warm, rng)
        pace_s = (time.perf_counter() - begun) / tried
        descents += 1
        if reached < value:
            best, value = found, float(reached)
            context.report(value, bound, f"descent {descents}")
    return Outcome(
        plan=plan_of(problem, best), bound=bound, limit=limit, statistics={"descents": descents}
    )


def _in_time(steps: int, pace_s: float, context: Context) -> int:
    """Return how many swaps of `pace_s` seconds each fit half of the time that is left."""
    return int(min(steps, max(_STEPS_LEAST, 0.5 * context.remaining_s() / pace_s)))


def first_plan(
    problem: ColocationProblem, layout: Layout, warm_start: object
) -> ColocationPlan | None:
    """Return a valid plan to start from: the given one, the decoupled one, or any that fits."""
    if isinstance(warm_start, ColocationPlan):
        return warm_start
    if problem.num_experts <= problem.num_devices:
        groups = matched_groups(layout, problem.num_devices)
        device = matched_devices(problem, layout, groups)
        if device is not None:
            return placed(problem, groups, device)
    return next((p for p in (_dealt(problem, layout), _packed(problem)) if p is not None), None)


def _packed(problem: ColocationProblem) -> ColocationPlan | None:
    if refuses_lina(problem) is not None:
        return None
    plan = lina(problem)
    return None if violations(problem, plan) else plan


def _dealt(problem: ColocationProblem, layout: Layout) -> ColocationPlan | None:
    """Deal experts to devices, pinned ones first, each where most memory is left."""
    device = np.full((problem.num_models, problem.num_experts), -1, dtype=np.int64)
    left = layout.budget.copy()
    room = np.full((problem.num_models, problem.num_devices), problem.experts_per_device)
    experts = [(m, e) for m, n in enumerate(problem.experts().tolist()) for e in range(n)]
    experts.sort(key=lambda me: (layout.allowed[me].sum(), -layout.size[me[0]], -me[1]))
    for m, e in experts:
        fits = layout.allowed[m, e] & (room[m] > 0) & (left >= layout.size[m])
        if not fits.any():
            return None
        g = int(np.argmax(np.where(fits, left / np.maximum(layout.size[m], 1.0) + room[m], -1.0)))
        device[m, e] = g
        left[g] -= layout.size[m]
        room[m, g] -= 1
    plan = ColocationPlan(device=device)
    return None if violations(problem, plan) else plan


def _descend(
    layout: Layout,
    at: IntArray,
    objective: int,
    steps: int,
    warm: float,
    rng: np.random.Generator,
) -> tuple[IntArray, float]:
    found, value = anneal(
        at.copy(), layout.traffic, layout.sent, layout.received, layout.tokens, layout.seconds,
        layout.fixed, layout.there, layout.back, layout.port, layout.speed, layout.size,
        read_only(layout.budget), layout.allowed, objective, steps, warm, rng,
    )  # fmt: skip
    return found, value
