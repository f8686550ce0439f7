"""CP-SAT on groups, as a backend of a colocation problem's linear model.

Groups (`moeopt.colocation.exact_groups`) make the problem a set partition. What any one device
takes is a weight of its group, so ``"bottleneck"`` and ``"communication"`` are solved by
thresholds: the least weight up to which the groups can still be put together (the paper's
3-dimensional bottleneck matching). Weights are compared as they are: no proof depends on rounding.
``"time"`` joins the components of different devices; it begins with the same thresholds, on weights
that count at least every component's floor, and what they leave open is minimised in whole steps
rounded down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from moeopt.colocation.bounds import floors
from moeopt.colocation.exact_groups import Groups, groups_of
from moeopt.colocation.exact_model import Frame
from moeopt.colocation.layout import layout_of
from moeopt.colocation.plan import ColocationPlan, evaluate
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.weights import device_classes
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.result import Limit
from moeopt.mip import Backend, BackendCapabilities, LinearModel
from moeopt.mip.answer import Claim, Verdict
from moeopt.mip.backends.cpsat import CPSAT
from moeopt.mip.backends.record import Request
from moeopt.mip.interrupts import solve_cpsat

#: Steps in the value of the plan at hand: finer than what counts as optimal.
_STEPS = 2.0**30

#: A second solve gets this many times what the first took, and at least this many seconds.
_CONFIRM_FACTOR = 2.0
_CONFIRM_LEAST_S = 1.0

#: Values this close are the same, but for the order of their sums.
_CLOSE = 1e-12


def group_backend(frame: Frame) -> Backend:
    """Return the backend that solves this model, and no other."""
    return Backend(
        name="cpsat groups",
        version=_version,
        available=CPSAT.available,
        run=partial(_run, frame),
        capabilities=BackendCapabilities(incumbents=True),
    )


def _version() -> str:
    return CPSAT.version()


@dataclass(eq=False)
class _Search:
    """What is known while groups are chosen; seconds are the problem's own.

    Attributes
    ----------
    problem, groups
        What is solved.
    weight
        No plan with the group takes less, shape ``(groups,)``.
    plan, value
        The best plan, or ``None``, and its objective.
    low
        No plan is below this.
    branches
        Of all of CP-SAT's searches.
    stopped
        Whether time ran out.
    """

    problem: ColocationProblem
    groups: Groups
    weight: FloatArray
    request: Request
    frame: Frame
    plan: ColocationPlan | None = None
    value: float = math.inf
    low: float = 0.0
    branches: int = 0
    stopped: bool = False

    @property
    def proven(self) -> bool:
        """Tell whether the plan is known to be as good as any, up to the gap asked for."""
        return self.low >= self.value * (1 - max(self.request.gap, _CLOSE))

    def offer(self, plan: ColocationPlan) -> None:
        """Take a plan if it is better."""
        value = evaluate(self.problem, plan).objective
        if value < self.value:
            self.plan, self.value = plan, value
            if self.request.on_incumbent is not None:
                self.request.on_incumbent(self.frame.point(plan), None)


def _run(frame: Frame, model: LinearModel, request: Request) -> Claim:
    """Choose groups by thresholds, and minimise where these leave something open."""
    problem = frame.problem
    groups = groups_of(problem)
    layout = layout_of(problem)
    parts = groups.parts
    if problem.objective == "time":
        parts = parts.at_least(floors(problem, layout, device_classes(layout)))
    weight = parts.value(problem.objective)
    search = _Search(problem, groups, weight, request, frame, low=frame.bound_s)
    if request.warm_start is not None:
        search.offer(frame.plan(request.warm_start))
    if not _by_thresholds(search):
        return Claim(verdict=Verdict.INFEASIBLE)
    if problem.objective == "time" and not (search.proven or search.stopped):
        _by_steps(search)
    # The model's costs may be scaled: T is in its own units.
    low = model.objective[frame.total] * search.low / frame.unit_s + model.objective_offset
    if search.plan is None:
        return Claim(verdict=Verdict.UNKNOWN, limit=Limit.TIME, bound=float(low))
    return Claim(
        verdict=Verdict.OPTIMAL if search.proven else Verdict.FEASIBLE,
        limit=Limit.TIME if search.stopped else Limit.NONE,
        x=frame.point(search.plan),
        bound=float(low),
        nodes=search.branches,
    )


def _by_thresholds(search: _Search) -> bool:
    """Find the least threshold whose groups can be put together; tell whether any can."""
    weight = search.weight
    values = np.unique(weight[weight <= search.value * (1 + _CLOSE)])
    if search.plan is not None and not values.size:
        # All others take longer.
        search.low = search.value
        return True
    # Every expert is in some group: below the most of their least weights nothing can be.
    first = int(np.searchsorted(values, max(search.low * (1 - _CLOSE), _least_of_all(search))))
    last = len(values) - 1
    if search.plan is None:
        # Whether there is any plan at all.
        found = _put_together(search, weight < np.inf)
        if found is None:
            return search.stopped
        last = int(np.searchsorted(values, weight[found].max()))
    while first < last and not (search.proven or search.stopped):
        middle = (first + last) // 2
        found = _put_together(search, weight <= values[middle])
        if found is not None:
            last = int(np.searchsorted(values, weight[found].max()))
        elif not search.stopped:
            first = middle + 1
            search.low = max(search.low, float(values[first]))
    if first >= last and not search.stopped:
        search.low = max(search.low, float(values[last]))
    return True


def _least_of_all(search: _Search) -> float:
    """Return the most that any expert takes at least."""
    least = -math.inf
    for m, experts in enumerate(search.problem.experts().tolist()):
        member = search.groups.member[m, :, :experts]
        cheapest = np.where(member, search.weight[:, None], np.inf).min(axis=0, initial=np.inf)
        least = max(least, float(cheapest.max()))
    return least


def _put_together(search: _Search, allowed: BoolArray) -> IntArray | None:
    """Return groups, of those allowed, that are a plan; ``None`` if there are none, or no time."""
    some = np.flatnonzero(allowed)
    compiled, taken = _partition(search, some)
    if compiled is None:
        return None
    chosen = _solved(search, compiled, taken)
    if chosen is None:
        return None
    search.offer(ColocationPlan(device=search.groups.device_of(some[chosen])))
    found: IntArray = some[chosen]
    return found


def _by_steps(search: _Search) -> None:
    """Minimise the round's time over the groups that could make it shorter."""
    assert search.plan is not None
    groups, per_second = search.groups, _STEPS / search.value
    some = np.flatnonzero(search.weight < search.value * (1 - _CLOSE))
    compiled, taken = _partition(search, some)
    known = search.value
    if compiled is not None:
        total = _timed(search, compiled, taken, some, per_second)
        compiled.minimize(total)
        solver = _solver(search)
        status = solve_cpsat(solver, compiled)
        search.branches += solver.num_branches
        if status.name in ("OPTIMAL", "FEASIBLE"):
            chosen = [i for i, variable in enumerate(taken) if solver.value(variable)]
            search.offer(ColocationPlan(device=groups.device_of(some[chosen])))
            known = min(known, solver.best_objective_bound / per_second)
        search.stopped = status.name not in ("OPTIMAL", "INFEASIBLE")
        if status.name == "UNKNOWN":
            return
        if not search.stopped:
            known = _confirmed(search, compiled, taken, some, solver.wall_time, known, per_second)
    # Whatever uses another group takes at least as long as the plan that was at hand.
    search.low = max(search.low, known)


def _confirmed(
    search: _Search, compiled: Any, taken: list[Any], some: IntArray, took_s: float, known: float,
    per_second: float,
) -> float:  # fmt: skip
    """Return the bound `known`, or less if a solve without presolve finds better in like time.

    A point can be checked, a proof cannot: see `_solver`.
    """
    solver = _solver(search)
    solver.parameters.cp_model_presolve = False
    limit_s = max(_CONFIRM_LEAST_S, _CONFIRM_FACTOR * took_s)
    remaining_s = search.request.remaining_s()
    solver.parameters.max_time_in_seconds = (
        limit_s if remaining_s is None else min(limit_s, remaining_s)
    )
    status = solve_cpsat(solver, compiled)
    search.branches += solver.num_branches
    if status.name not in ("OPTIMAL", "FEASIBLE"):
        return known
    chosen = [i for i, variable in enumerate(taken) if solver.value(variable)]
    search.offer(ColocationPlan(device=search.groups.device_of(some[chosen])))
    better = status.name == "OPTIMAL" or search.value < known * (1 - _CLOSE)
    return min(known, float(solver.best_objective_bound) / per_second) if better else known


def _timed(
    search: _Search, compiled: Any, taken: list[Any], some: IntArray, per_second: float
) -> Any:
    """Add Table 2 in whole steps, and return the variable of the round's time."""
    groups, models = search.groups, search.problem.num_models
    most = int(_STEPS) * 2
    rows = _rows(search, some)

    def largest(seconds: FloatArray) -> Any:
        """Return a variable that is at least the seconds of every group that is taken."""
        # Just below, so that rounding never makes anything longer.
        steps = np.floor(seconds[some] * per_second * (1 - _CLOSE)).astype(np.int64)
        variable = compiled.new_int_var(0, most, "")
        for row in rows:
            if steps[row].any():
                terms = [taken[i] for i in row.tolist()]
                compiled.add(variable >= _weighted(terms, steps[row].tolist()))
        return variable

    def after(*ends: Any) -> Any:
        variable = compiled.new_int_var(0, most, "")
        for end in ends:
            compiled.add(variable >= end)
        return variable

    parts = groups.parts
    gate, compute, aggregation = (
        [largest(row) for row in seconds]
        for seconds in (parts.gate_s, parts.compute_s, parts.aggregation_s)
    )
    spans = [(j, k) for j in range(models) for k in range(j, models)]
    dispatch = {span: largest(parts.dispatch_s[span]) for span in spans}
    combine = {span: largest(parts.combine_s[span]) for span in spans}
    release = [sum(gate[1 : j + 1]) for j in range(models)]
    sent = [after(*(release[j] + dispatch[j, k] for j in range(k + 1))) for k in range(models)]
    free: Any = release[-1]
    done = []
    for k in range(models):
        free = after(free + compute[k], sent[k] + compute[k])
        done.append(free)
    ready = [after(done[k], sent[-1]) for k in range(models)]
    for k in range(models):
        back = after(*(ready[j] + combine[j, k] for j in range(k + 1)))
        free = after(free + aggregation[k], back + aggregation[k])
    total = after(free + gate[0])
    # No device takes longer than the round.
    weight = np.floor(search.weight * per_second * (1 - _CLOSE))
    for row in rows:
        terms = [taken[i] for i in row.tolist()]
        compiled.add(total >= _weighted(terms, weight[some[row]].astype(np.int64).tolist()))
    return total


def _partition(search: _Search, some: IntArray) -> tuple[Any, list[Any]]:
    """Return a ``CpModel`` that takes groups, and its variables; no model if an expert has none."""
    from ortools.sat.python import cp_model

    compiled = cp_model.CpModel()
    taken = [compiled.new_bool_var("") for _ in range(some.size)]
    for row in _rows(search, some):
        if not row.size:
            return None, []
        compiled.add_exactly_one(taken[i] for i in row.tolist())
    for index, kind in enumerate(search.groups.classes):
        row = np.flatnonzero(search.groups.kind[some] == index)
        terms = [taken[i] for i in row.tolist()]
        compiled.add(_weighted(terms, [1] * len(terms)) <= len(kind.devices))
    return compiled, taken


def _rows(search: _Search, some: IntArray) -> list[IntArray]:
    """Return for every expert which of some groups it is in."""
    return [
        np.flatnonzero(search.groups.member[m, some, e])
        for m, count in enumerate(search.problem.experts().tolist())
        for e in range(count)
    ]


def _weighted(terms: list[Any], weights: list[int]) -> Any:
    from ortools.sat.python import cp_model

    return cp_model.LinearExpr.weighted_sum(terms, weights)


def _solved(search: _Search, compiled: Any, taken: list[Any]) -> list[int] | None:
    """Return which variables are 1 in a solution; ``None`` if there is none, or time ran out."""
    solver = _solver(search)
    status = solve_cpsat(solver, compiled)
    search.branches += solver.num_branches
    if status.name in ("OPTIMAL", "FEASIBLE"):
        return [i for i, variable in enumerate(taken) if solver.value(variable)]
    search.stopped = status.name != "INFEASIBLE"
    return None


def _solver(search: _Search) -> Any:
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    # With probing, CP-SAT 9.15 proves some of these models optimal at points that are not: one of
    # them is among the tests.
    solver.parameters.cp_model_probing_level = 0
    solver.parameters.num_workers = search.request.threads
    solver.parameters.random_seed = search.request.seed
    solver.parameters.relative_gap_limit = search.request.gap
    remaining_s = search.request.remaining_s()
    if remaining_s is not None:
        solver.parameters.max_time_in_seconds = remaining_s
    return solver
