"""What must hold of committees beside their methods: bounds, flows, greedy sets, schedulers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, count

import numpy as np

from moeopt.bench.reliability.agreement_identities import Sentences, above, apart
from moeopt.committee.bounds import bound
from moeopt.committee.exact import relaxation
from moeopt.committee.hindsight import hindsight_curves, hindsight_schedule
from moeopt.committee.loss import retained
from moeopt.committee.online import schedule
from moeopt.committee.periods import tables
from moeopt.committee.plan import CommitteePlan, evaluate, violations
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.submodular import lazy_greedy, upper_bound, upper_curve
from moeopt.core.arrays import FloatArray
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.stop import Context
from moeopt.testing.conformance.case import below
from moeopt.testing.conformance.kit import Optimum

#: After how many looks at the clock bounds are stopped.
_LOOKS = (0, 1, 3, 10)

_CLOSE = 1e-9

_RULES = ("paper", "rent_or_buy")


def bounds_cut_short(problem: CommitteeProblem, optimum: Optimum) -> Sentences:
    """Check that the bound, stopped or not, and the relaxation are not above the optimum."""
    relaxed = relaxation(problem, Context()) * (1 - OPTIMALITY_TOLERANCE)
    said = above("in full", bound(problem), optimum) + above("by relaxation", relaxed, optimum)
    for looks in _LOOKS:
        said += above(f"stopped at look {looks}", bound(problem, _after(looks)), optimum)
    return said


def flows_in_hindsight(problem: CommitteeProblem, optimum: Optimum) -> Sentences | None:
    """Check that a flow for the best plan's slots costs what that plan and its curve do."""
    plan = optimum.plan
    adds_up = problem.loss in ("additive", "skip") and problem.link_bytes_per_s is None
    if not adds_up or not isinstance(plan, CommitteePlan) or optimum.objective is None:
        return None
    found, least = hindsight_schedule(problem, plan.slots, plan.period)
    curves = hindsight_curves(problem, plan.period)
    told = sum(float(curve[n]) for curve, n in zip(curves, plan.slots.tolist(), strict=True))
    value = evaluate(problem, found).objective
    return [
        *(f"a flow's plan breaks {broken}" for broken in violations(problem, found)[:1]),
        *apart("a flow's plan", value, optimum.objective),
        *apart("a flow's curve", told, optimum.objective),
        *above("by flows", least, optimum),
    ]


def greedy_sets(problem: CommitteeProblem, optimum: Optimum) -> Sentences | None:
    """Check that greedy sets retain 1 - 1/e of the most, and that no bound is below it."""
    del optimum
    if problem.loss != "masked" or problem.router is None:
        return None
    said = []
    for layer in range(problem.layers):
        values = problem.router[:, layer]
        order = lazy_greedy(values, problem.top_k, problem.experts)
        curve = upper_curve(values, problem.top_k, order)
        for slots in range(problem.experts + 1):
            most = _most_retained(values, problem.top_k, slots)
            bounds = {
                "greedy's bound": float(order.upper[slots]),
                "the curve": float(curve[slots]),
                "upper_bound": upper_bound(values, problem.top_k, slots),
            }
            where = f"of {slots} experts in layer {layer}, which retain {most!r}"
            kept = float(order.retained[slots])
            said += [
                f"{name} {where}, is {upper!r}"
                for name, upper in bounds.items()
                if not below(most, upper, _CLOSE)
            ]
            if not (below((1 - 1 / np.e) * most, kept, _CLOSE) and below(kept, most, _CLOSE)):
                said.append(f"greedy {where}, retains {kept!r}")
    return said


def schedulers(problem: CommitteeProblem, optimum: Optimum) -> Sentences | None:
    """Check that online schedulers break no rule, and cost no less than the optimum."""
    plan = optimum.plan
    if problem.loss == "table" or not isinstance(plan, CommitteePlan):
        return None
    assert optimum.objective is not None, "there is a plan"
    said = []
    for rule in _RULES:
        for delay in range(3):
            made = schedule(problem, plan.slots, rule, period=plan.period, delay=delay)
            broken = violations(problem, made)
            said += [f"{rule} with a delay of {delay} breaks {one}" for one in broken[:1]]
            value = evaluate(problem, made).objective
            if not below(optimum.objective, value, _CLOSE):
                said.append(f"{rule} costs {value!r}, the optimum {optimum.objective!r}")
    return said


def tables_of_periods(problem: CommitteeProblem, optimum: Optimum) -> Sentences | None:
    """Check that a planner's table has what the scheduler's plan costs without a link."""
    plan = optimum.plan
    linked = problem.loss == "table" or problem.link_bytes_per_s is not None
    if linked or not isinstance(plan, CommitteePlan):
        return None
    said, layers = [], np.arange(problem.layers)
    for rule in _RULES:
        table, _ = tables(problem, [plan.period], rule=rule)
        made = schedule(problem, plan.slots, rule, period=plan.period)
        value = evaluate(problem, made).objective
        said += apart(f"the table of {rule}", float(table[0, layers, plan.slots].sum()), value)
    return said


#: What is checked of each instance with a plan, by what the table calls it.
IDENTITIES = {
    "bounds cut short, relaxations": bounds_cut_short,
    "flows in hindsight": flows_in_hindsight,
    "greedy sets and their bounds, all sets": greedy_sets,
    "schedulers with delays": schedulers,
    "tables of periods, schedules": tables_of_periods,
}


def _after(looks: int) -> Callable[[], bool]:
    """Return a clock that has run out when it is looked at once more than so often."""
    seen = count()
    return lambda: next(seen) >= looks


def _most_retained(values: FloatArray, top_k: int, slots: int) -> float:
    """Return what the best set of so many experts retains."""
    experts = range(values.shape[1])
    sets = (np.isin(experts, chosen) for chosen in combinations(experts, slots))
    return max(retained(values, each, top_k) for each in sets) if slots else 0.0
