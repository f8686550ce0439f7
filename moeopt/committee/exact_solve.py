"""The linear model of one update period, solved: its start, its solver, and what comes back."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from moeopt.committee.allocation import allowed, rows
from moeopt.committee.curves import standing
from moeopt.committee.exact_frame import Frame, counts_loads, updates_of
from moeopt.committee.exact_model import compile_tight, of_period, plan_of, point_of
from moeopt.committee.exact_prefixes import count_prefixes
from moeopt.committee.exact_rounding import rounded
from moeopt.committee.knapsack import choose
from moeopt.committee.loss import weights
from moeopt.committee.plan import CommitteePlan, evaluate, violations
from moeopt.committee.planners import standing_plan
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Status, relative_gap
from moeopt.core.stop import Context
from moeopt.mip import LinearModel, MipAnswer, solve_model

#: Entries that are built in a second, cautiously.
_ENTRIES_PER_S = 1.5e6

#: What a whole number may be off by.
_WHOLE = 1e-6

#: Most rounds of rows for what a solver's tolerance let through.
_ROUNDS = 20


@dataclass(frozen=True)
class Found:
    """What is known of the plans of one period.

    Attributes
    ----------
    plan
        A valid one, or ``None``.
    bound
        None costs less; infinite if there is none.
    limit
        What stopped the search, or ``None``.
    backend
        Solver, if one was used.
    build_s, nodes
        Seconds spent building models, and nodes of search trees.
    """

    plan: CommitteePlan | None
    bound: float
    limit: Limit | None = None
    backend: str | None = None
    build_s: float = 0.0
    nodes: int = 0


def entries_of(problem: CommitteeProblem, period: int) -> int:
    """Return about how many entries the rows of a period's model have, at most."""
    if problem.loss == "table":
        return 4 * problem.layers * (problem.experts + 1)
    cells = updates_of(problem, period).size * problem.layers * problem.experts
    entries = (5 if counts_loads(problem, period) else 1) * cells
    if problem.loss == "masked" and problem.router is not None:
        # A prefix, its parent, and every expert of a token once.
        tokens = len(problem.router) * problem.layers
        entries += 3 * count_prefixes(problem.router, problem.top_k) + tokens * problem.top_k
    return entries


def buildable(problem: CommitteeProblem, period: int, context: Context) -> bool:
    """Tell whether there is time to build a period's model."""
    return entries_of(problem, period) / _ENTRIES_PER_S <= context.remaining_s()


def solve_period(
    problem: CommitteeProblem, period: int, context: Context, known: CommitteePlan | None
) -> Found:
    """Solve the linear model of a period.

    Parameters
    ----------
    problem, period
        What was asked, and the windows from one update to the next.
    context
        Time, gap, seed and workers.
    known
        A valid plan of any period to start from, or ``None``.
    """
    first = None if known is None else of_period(problem, known, period)
    first = _standing(problem, period, context) if first is None else first
    if first is not None:
        context.report(value_of(problem, first), None, "standing")
    if not buildable(problem, period, context):
        return Found(first, 0.0, Limit.TIME)
    started = time.perf_counter()
    frame = compile_tight(problem, period)
    build_s = time.perf_counter() - started
    for _ in range(_ROUNDS):
        answer, first = _answer(frame, context, first, value_of(problem, known))
        plan = None if answer.x is None else plan_of(frame, answer.x)
        if plan is None or not forbid(frame, plan):
            break
    if plan is None or violations(problem, plan):
        plan = first
    none = answer.status is Status.INFEASIBLE and first is None
    return Found(
        plan,
        math.inf if none else max(0.0, answer.bound or 0.0),
        None if answer.limit is Limit.NONE else answer.limit,
        answer.backend,
        build_s + answer.build_s,
        answer.nodes or 0,
    )


def ask(model: LinearModel, context: Context, start: FloatArray | None = None) -> MipAnswer:
    """Return what a solver finds within the context's time."""
    remaining_s = context.remaining_s()
    return solve_model(
        model, time_limit_s=None if math.isinf(remaining_s) else remaining_s, gap=context.gap,
        seed=context.seed, threads=context.workers, warm_start=start,
    )  # fmt: skip


def _easier(frame: Frame) -> LinearModel:
    """Return the model in which loads and prefixes need not be whole.

    Where residents are, they are by themselves; solvers are faster if they are not told so.
    """
    model = frame.builder.build()
    integrality = model.integrality.copy()
    integrality[frame.load[1:][frame.load[1:] >= 0]] = False
    integrality[frame.served] = False
    return replace(model, integrality=integrality)


def _answer(
    frame: Frame, context: Context, first: CommitteePlan | None, value: float
) -> tuple[MipAnswer, CommitteePlan | None]:
    """Return what a solver finds, and the best plan of the period known before.

    Mostly it is what is found without whole numbers: flows and prefixes often need not be told.

    Parameters
    ----------
    frame, context
        What to solve, and until when.
    first
        A valid plan of the period, or ``None``.
    value
        Of the best plan of any period: with no better one to be had the answer has no point.
    """
    problem, model = frame.problem, _easier(frame)
    relaxed = ask(model.relaxed(), context)
    if relaxed.x is None:
        return relaxed, first
    off = np.abs(relaxed.x - np.round(relaxed.x))
    if off[model.integrality].max(initial=0.0) <= _WHOLE:
        return relaxed, first
    near = rounded(frame, relaxed.x)
    if near is not None and not violations(problem, near):
        first = better(problem, first, near)
    gap = relative_gap(min(value, value_of(problem, first)), relaxed.bound)
    if gap is not None and gap <= max(context.gap, OPTIMALITY_TOLERANCE):
        return replace(relaxed, x=None), first
    # Where rows were added to forbid something, no point is one of theirs, and it is left out.
    answer = ask(model, context, None if first is None else point_of(frame, first))
    bounds = [found.bound for found in (relaxed, answer) if found.bound is not None]
    return replace(answer, bound=max(bounds, default=None)), first


def value_of(problem: CommitteeProblem, plan: CommitteePlan | None) -> float:
    """Return the objective of a plan, infinite if there is none."""
    return math.inf if plan is None else evaluate(problem, plan).objective


def better(
    problem: CommitteeProblem, one: CommitteePlan | None, other: CommitteePlan | None
) -> CommitteePlan | None:
    """Return the better of two plans, the first if they are as good."""
    return other if value_of(problem, other) < value_of(problem, one) else one


def forbid(frame: Frame, plan: CommitteePlan) -> bool:
    """Forbid what breaks a rule by less than a solver's tolerance; tell whether there was any."""
    broken = {found.constraint for found in violations(frame.problem, plan)}
    for label in ("C1", "C2"):
        if label in broken:
            _fewer_slots(frame, label, plan.slots)
    if "C3" in broken and frame.choice.size:
        taken = frame.choice[0, np.arange(plan.slots.size), plan.slots]
        _not_all(frame, "C3", taken)
    elif "C3" in broken:
        _fewer_loads(frame, plan)
    return bool(broken)


def _standing(problem: CommitteeProblem, period: int, context: Context) -> CommitteePlan | None:
    """Return the plan of a committee that stays, ``None`` if none was found."""
    importance = None if problem.loss == "table" else weights(problem)
    stand = standing(problem, period, "top_importance", importance)
    shared = rows(problem, period)
    chosen = choose(
        allowed(problem, stand.costs), shared.uses, shared.limits, stop=context.out_of_time
    )
    if chosen is None or chosen.slots is None:
        return None
    plan = standing_plan(problem, chosen.slots, period, stand, importance)
    return None if violations(problem, plan) else plan


def _fewer_slots(frame: Frame, label: str, slots: IntArray) -> None:
    """Say that some layer has fewer slots than these, which together are too many."""
    problem = frame.problem
    fewer = frame.builder.add_columns(
        f"f{frame.builder.num_columns}", slots.size, upper=1, integer=True
    )
    layer = np.arange(slots.size)
    most = problem.most()
    frame.builder.add_rows(
        label, np.append(layer, layer), np.append(frame.slots, fewer),
        np.append(np.ones(slots.size), most - slots + 1.0), upper=most,
    )  # fmt: skip
    frame.builder.add_rows(label, np.zeros(slots.size, int), fewer, 1.0, lower=[1.0])


def _fewer_loads(frame: Frame, plan: CommitteePlan) -> None:
    """Say that some load of each update is not made whose loads are together too many."""
    problem, size = frame.problem, frame.problem.sizes_bytes()
    for window in np.unique(plan.loads[:, 0]).tolist():
        _, layer, expert = plan.loads[plan.loads[:, 0] == window].T
        columns = frame.load[window // plan.period, layer, expert]
        if (columns >= 0).all() and size[layer].sum() > problem.load_bytes(plan.period):
            _not_all(frame, "C3", columns)


def _not_all(frame: Frame, label: str, columns: IntArray) -> None:
    zeros = np.zeros(columns.size, int)
    frame.builder.add_rows(label, zeros, columns, 1.0, upper=[columns.size - 1.0])
