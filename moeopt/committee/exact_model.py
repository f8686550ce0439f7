"""A committee problem as linear models, and the way between their points and plans.

Columns, rows and labels are those of ``formulations/committee.md``: a model for each update period
that may be the best, or one of all in the plain form.
"""

from __future__ import annotations

import msgspec
import numpy as np

from moeopt.committee.exact_frame import Frame, start_plain, start_tight, updates_of
from moeopt.committee.exact_rules import add_rules
from moeopt.committee.plan import CommitteePlan, resident_at, violations
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray


def compile_tight(problem: CommitteeProblem, period: int) -> Frame:
    """Return the model of one period with all its rows; it is what solvers get."""
    frame = start_tight(problem, period)
    add_rules(frame)
    return frame


def compile_plain(problem: CommitteeProblem) -> Frame:
    """Return the model of all periods, with every rule in rows of its own label."""
    frame = start_plain(problem)
    add_rules(frame)
    return frame


def periods_of(problem: CommitteeProblem) -> list[int]:
    """Return the periods of which one is the best, in falling order: small models first.

    Without a link a multiple of another choice is no better than that one, which allows all its
    updates; nor is one that leaves a single update better than any shorter one. For a single update
    a link carries most in the longest period. A table may have losses of its own for each.
    """
    stated, windows = sorted(problem.choices().tolist(), reverse=True), problem.num_windows
    if problem.loss == "table":
        return stated
    if problem.link_bytes_per_s is not None:
        return [p for p in stated if p < windows or p == stated[0]]
    return [p for p in stated if not any(p % q == 0 or p >= windows for q in stated if q < p)]


def plan_of(frame: Frame, x: FloatArray) -> CommitteePlan:
    """Return the plan of a point of the tight form."""
    there = np.zeros((0, 0, 0), dtype=np.bool_)
    if frame.there.size:
        there = x[frame.there] > 0.5
    slots = np.round(x[frame.slots]).astype(np.int64)
    return plan_with(frame.problem, int(frame.periods[0]), slots, there)


def plan_with(
    problem: CommitteeProblem, period: int, slots: IntArray, there: BoolArray
) -> CommitteePlan:
    """Return the plan with these residents.

    Parameters
    ----------
    problem
        What was asked.
    period
        Windows from one update to the next.
    slots
        Of each layer, ``(layers,)``.
    there
        Who is resident after each update, ``(updates, layers, experts)``; none with a table.
    """
    before = np.zeros_like(there)
    before[1:] = there[:-1]
    tables = []
    for changed in (there & ~before, before & ~there):
        rows = np.argwhere(changed)
        rows[:, 0] *= min(period, problem.num_windows)
        tables.append(rows)
    return CommitteePlan(period=period, slots=slots, loads=tables[0], drops=tables[1])


def point_of(frame: Frame, plan: CommitteePlan) -> FloatArray:
    """Return the point of the tight form for a valid plan of its period."""
    problem, x = frame.problem, np.zeros(frame.builder.num_columns)
    x[frame.slots] = plan.slots
    if frame.choice.size:
        x[frame.choice[0, np.arange(problem.layers), plan.slots]] = 1.0
        return x
    there = resident_at(problem, plan)[updates_of(problem, plan.period)]
    x[frame.there] = there
    counted = np.flatnonzero(frame.load[1:] >= 0)
    x[frame.load[1:].ravel()[counted]] = (there[1:] & ~there[:-1]).ravel()[counted]
    if frame.prefixes is not None:
        inside = frame.prefixes.count(there.ravel())
        x[frame.served] = np.minimum(inside, problem.top_k)
    return x


def of_period(problem: CommitteeProblem, plan: CommitteePlan, period: int) -> CommitteePlan | None:
    """Return a valid plan's changes in another period, ``None`` if they break a rule there."""
    if plan.period == period:
        return plan
    other = msgspec.structs.replace(plan, period=period)
    return None if violations(problem, other) else other
