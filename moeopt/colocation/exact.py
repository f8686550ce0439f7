"""Proven optima: the linear model of ``formulations/colocation.md``, and who solves it.

Two models' aggregated all-to-all on equal devices is a bottleneck matching, solved as that. Where
all that devices can hold can be listed, groups are chosen (`moeopt.colocation.exact_cpsat`). The
rest is left to the linear model's own solvers.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from moeopt.colocation.bounds import bound as bound_of
from moeopt.colocation.exact_cpsat import group_backend
from moeopt.colocation.exact_groups import count_groups
from moeopt.colocation.exact_model import Frame, start_model
from moeopt.colocation.exact_rules import add_rules, memory, one_device, pinned, places
from moeopt.colocation.exact_value import add_value
from moeopt.colocation.layout import Layout, layout_of
from moeopt.colocation.plan import ColocationPlan, evaluate, violations
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.weights import device_classes
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Status
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome, Violation
from moeopt.matching import bottleneck_matching
from moeopt.mip import LinearModel, MipAnswer, solve_guarded, solve_model

#: More groups than this are not listed.
MOST_GROUPS = 60_000

#: Most columns of a linear model that is solved.
MOST_COLUMNS = 200_000

#: Columns that are built in a second, cautiously.
_COLUMNS_PER_S = 4e5

#: Seconds that an explanation of an infeasible problem may take, whatever time is left.
_EXPLAIN_S = 1.0

__all__ = ["build", "compile_model", "refuses_exact", "run_exact"]


def refuses_exact(problem: ColocationProblem) -> str | None:
    """Say why nothing here proves this problem's optimum, or ``None`` if something does."""
    if is_matching(problem) or _columns(problem) <= MOST_COLUMNS:
        return None
    return f"its model has more than {MOST_COLUMNS} columns: see search"


def build(problem: ColocationProblem, *, tighten: bool = True) -> list[LinearModel]:
    """Return the problem's model, alone in a list.

    Parameters
    ----------
    problem
        One whose model is of a size that can be solved.
    tighten
        Whether rules on single columns become bounds, rows that cannot bind are left out, and the
        families V and S are added. Without it every rule stands in rows of its own label.

    Raises
    ------
    InstanceError
        If the model would be too large.
    """
    if _columns(problem) > MOST_COLUMNS:
        rule = f"must make at most {MOST_COLUMNS} columns"
        raise InstanceError("$", f"<{_columns(problem)} columns>", rule, "see search")
    return [compile_model(problem, tighten=tighten).builder.build()]


def compile_model(problem: ColocationProblem, *, tighten: bool = True) -> Frame:
    """Return the rows of the model; its builder makes the `LinearModel`."""
    frame = start_model(problem, tighten=tighten)
    add_rules(frame)
    add_value(frame)
    return frame


def run_exact(problem: ColocationProblem, context: Context, warm_start: object) -> Outcome:
    """Return an optimal plan, or the best plan and bound that the time allows."""
    if is_matching(problem):
        return _matched(problem)
    known = _known(problem, warm_start)
    if _columns(problem) / _COLUMNS_PER_S > context.remaining_s():
        return Outcome(plan=known, bound=bound_of(problem), limit=Limit.TIME)
    started = time.perf_counter()
    frame = compile_model(problem)
    groups = count_groups(problem)
    build_s = time.perf_counter() - started
    start = None if known is None else frame.point(known)
    if known is not None:
        context.report(_value(problem, known), frame.bound_s, "start")
    answer = _ask(frame, context, start, groups=groups <= MOST_GROUPS)
    if answer.status is Status.INFEASIBLE:
        return Outcome(
            infeasible=(_too_small(problem, context),), backend=answer.backend, build_s=build_s
        )
    plan, bound = _best(problem, frame, answer, known)
    return Outcome(
        plan=plan,
        bound=bound,
        limit=None if answer.limit is Limit.NONE else answer.limit,
        backend=answer.backend,
        build_s=build_s + answer.build_s,
        statistics={"groups": groups, "branches": answer.nodes},
    )


def is_matching(problem: ColocationProblem) -> bool:
    """Tell whether the optimum is a bottleneck matching: Case II, and nothing that it ignores."""
    layout = layout_of(problem)
    return (
        problem.objective == "communication"
        and problem.num_models <= 2
        and problem.experts_per_device == 1
        and problem.num_experts <= problem.num_devices
        and not problem.pinned
        and len(device_classes(layout)) == 1
        and bool(layout.size.sum() <= layout.budget.min())
    )


def _matched(problem: ColocationProblem) -> Outcome:
    """Pair experts so that the largest line of a pair is as small as can be; any device will do.

    Line sums add, so the largest of the pairs is the aggregated all-to-all's time: the matching's
    optimum is the problem's. A model with fewer experts than devices is filled up with none.
    """
    layout = layout_of(problem)
    device = np.full((problem.num_models, problem.num_experts), -1, dtype=np.int64)
    first = int(layout.count[0])
    device[0, :first] = np.arange(first)
    if problem.num_models == 2:
        second = int(layout.count[1])
        column = _pairing(layout, problem.num_devices)
        device[1, column[column < second]] = np.flatnonzero(column < second)
    plan = ColocationPlan(device=device)
    return Outcome(plan=plan, bound=evaluate(problem, plan).objective)


def _pairing(layout: Layout, devices: int) -> IntArray:
    """Return the expert of the second model on each device, in order of the first's; or none."""
    lines = np.zeros((2, 2, devices))
    for m in range(2):
        lines[m, 0, : layout.sent.shape[1]] = layout.sent[m] * layout.there[m]
        lines[m, 1, : layout.sent.shape[1]] = layout.received[m] * layout.there[m]
    weight = (lines[0, :, :, None] + lines[1, :, None, :]).max(axis=0)
    found = bottleneck_matching(weight)
    assert found is not None
    return found[0]


def _known(problem: ColocationProblem, warm_start: object) -> ColocationPlan | None:
    """Return the warm start, or the decoupled answer, or any plan at hand."""
    # Imported here: search is for problems of any size, and this module for few experts.
    from moeopt.colocation.search import first_plan

    plan = first_plan(problem, layout_of(problem), warm_start)
    return None if plan is None or violations(problem, plan) else plan


def _ask(frame: Frame, context: Context, start: FloatArray | None, *, groups: bool) -> MipAnswer:
    """Solve the model by choosing groups, or by its own solvers."""
    remaining_s = context.remaining_s()
    limit_s = None if math.isinf(remaining_s) else remaining_s
    model = frame.builder.build()
    if groups:
        return solve_guarded(
            model, group_backend(frame), time_limit_s=limit_s, gap=context.gap, seed=context.seed,
            threads=context.workers, warm_start=start,
            told=lambda objective, bound: context.report(objective, bound, "groups"),
        )  # fmt: skip
    return solve_model(
        model, time_limit_s=limit_s, gap=context.gap, seed=context.seed, threads=context.workers,
        warm_start=start,
    )  # fmt: skip


def _best(
    problem: ColocationProblem, frame: Frame, answer: MipAnswer, known: ColocationPlan | None
) -> tuple[ColocationPlan | None, float]:
    """Return the better of the answer's plan and the known one, and what bounds it."""
    plan = known
    if answer.x is not None:
        found = frame.plan(answer.x)
        # A point may round to a plan that breaks a rule by less than the backend's tolerance.
        if not violations(problem, found) and _value(problem, found) <= _value(problem, known):
            plan = found
    bound = max(frame.bound_s, answer.bound or 0.0)
    value = _value(problem, plan)
    # What an optimal point misses by the backend's tolerance is no gap.
    if answer.status is Status.OPTIMAL and value - bound <= OPTIMALITY_TOLERANCE * value:
        bound = value
    return plan, min(bound, value)


def _value(problem: ColocationProblem, plan: ColocationPlan | None) -> float:
    return math.inf if plan is None else evaluate(problem, plan).objective


def _too_small(problem: ColocationProblem, context: Context) -> Violation:
    """Return by how many bytes the memory of devices must give way for there to be a plan.

    Pins and places alone are counted before anything is solved: what is left is memory.
    """
    frame = start_model(problem, tighten=False)
    largest = float(frame.layout.size.max())
    slack = int(frame.builder.add_columns("over", objective=largest))
    one_device(frame)
    places(frame)
    pinned(frame)
    memory(frame, slack)
    model = frame.builder.build()
    cost = model.objective.copy()
    cost[frame.total] = 0.0
    limit_s = max(_EXPLAIN_S, min(context.remaining_s(), 10 * _EXPLAIN_S))
    answer = solve_model(replace(model, objective=cost), time_limit_s=limit_s)
    amount = answer.bound if answer.objective is None else answer.objective
    message = (
        f"no plan fits: some device's memory must be {amount or 0.0:.6g} bytes larger;"
        " raise expert_memory_bytes"
    )
    return Violation(
        constraint="C3", path="$.expert_memory_bytes", message=message, amount=amount or 0.0
    )


def _columns(problem: ColocationProblem) -> int:
    """Return about how many columns the model has."""
    layout = layout_of(problem)
    pairs = 0
    if problem.experts_per_device > 1:
        both = layout.traffic + layout.traffic.transpose(0, 2, 1)
        pairs = int(np.triu(both, 1).astype(np.bool_).sum())
    clocks = problem.num_devices if problem.objective == "bottleneck" else 1
    timed = clocks * problem.num_models * (problem.num_models + 8)
    return int((layout.count.sum() + pairs) * problem.num_devices) + timed
