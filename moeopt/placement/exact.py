"""Expert placement solved exactly: mixed-integer linear models through any backend.

The models are those of ``formulations/placement.md``: the rules are written in
`moeopt.placement.exact_rules`, loads and costs in `moeopt.placement.exact_value`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.core.errors import BackendError, InstanceError
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Status
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.mip import LinearModel, MipAnswer, solve_model
from moeopt.placement.exact_explain import explain
from moeopt.placement.exact_model import CompiledLayers, compile_layers, refuses, split_layers
from moeopt.placement.exact_ports import num_products
from moeopt.placement.plan import PlacementPlan, evaluate, violations
from moeopt.placement.problem import PlacementProblem

#: Entries of a model that are built in a second, cautiously.
ENTRIES_PER_S = 1.5e6

__all__ = ["CompiledLayers", "build", "compile_layers", "refuses", "solve_exact", "split_layers"]


@dataclass(eq=False)
class _Part:
    """Layers that are solved together, and what is known of them.

    Attributes
    ----------
    problem
        The problem of these layers alone.
    layers
        Their indices in the whole problem.
    answer
        What the backend said, or ``None`` if time was out before it was asked.
    table, objective
        The best valid table known and its value, or ``None``.
    bound
        Proven lower bound of that value, or ``None``.
    """

    problem: PlacementProblem
    layers: tuple[int, ...]
    answer: MipAnswer | None = None
    table: IntArray | None = None
    objective: float | None = None
    bound: float | None = None

    @property
    def settled(self) -> bool:
        """Tell whether the table is proven optimal."""
        done = self.answer is not None and self.answer.status is Status.OPTIMAL
        return done and self.table is not None

    def offer(self, table: IntArray) -> None:
        """Take `table` if it is valid and better than what is there."""
        plan = PlacementPlan(physical_to_logical=table)
        if violations(self.problem, plan):
            return
        objective = evaluate(self.problem, plan).objective
        if self.objective is None or objective < self.objective:
            self.table, self.objective = table, objective


def build(problem: PlacementProblem, *, tighten: bool = True) -> list[LinearModel]:
    """Return the problem's models: one for each layer, or one for all if something joins them.

    Raises
    ------
    InstanceError
        If `refuses` has a reason: a model of something else would be worse than none.

    Parameters
    ----------
    problem
        One that `refuses` takes.
    tighten
        Whether rules on single columns become bounds, and the families V and S are added.
        Without it every rule stands in rows of its own label and nowhere else.
    """
    reason = refuses(problem)
    if reason is not None:
        nearest = problem.split == "nearest"
        path = "$.split" if nearest else "$.expert_traffic_tokens"
        value = problem.split if nearest else "<products of experts on one device>"
        raise InstanceError(path, value, f"must be compilable: {reason}", "change it")
    parts = split_layers(problem)
    return [compile_layers(part, layers, tighten=tighten).model for part, layers in parts]


def solve_exact(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None = None
) -> Outcome:
    """Solve every model of the problem and add up plans and bounds.

    Each model starts from the better of the warm start and the greedy plan and gets an equal part
    of the time that is left; what cannot even be built in time is left out. One without a proven
    optimum takes the better of its own bound and `moeopt.placement.bounds.layer_bounds`.
    """
    parts = [_Part(alone, layers) for alone, layers in split_layers(problem)]
    _offer_plans(problem, parts, warm_start)
    _report(parts, context, "starting")
    build_s = 0.0
    for i, part in enumerate(parts):
        if _build_s(part.problem) > context.remaining_s():
            break
        started = time.perf_counter()
        compiled = compile_layers(part.problem, part.layers, at_most=part.objective)
        build_s += time.perf_counter() - started
        part.answer = _solve(part, compiled, context, len(parts) - i)
        if part.answer.status is Status.INFEASIBLE:
            return Outcome(
                infeasible=explain(part.problem, part.layers, context.remaining_s()),
                backend=part.answer.backend,
                build_s=build_s,
            )
        _take(part, compiled)
        _report(parts, context, f"model {i + 1} of {len(parts)} {part.answer.status.value}")
    if not all(part.settled for part in parts):
        _lift_bounds(problem, parts)
    return _outcome(problem, parts, build_s)


def _report(parts: list[_Part], context: Context, note: str) -> None:
    """Tell what the layers' plans and bounds add up to, where each has one."""
    objectives = [part.objective for part in parts if part.objective is not None]
    bounds = [part.bound for part in parts if part.bound is not None]
    context.report(
        math.fsum(objectives) if len(objectives) == len(parts) else None,
        math.fsum(bounds) if len(bounds) == len(parts) else None,
        note,
    )


def _build_s(problem: PlacementProblem) -> float:
    """Estimate the seconds it takes to build a model, which nothing can interrupt."""
    slots = int(problem.slots()[problem.live()].sum())
    counts = min(problem.copies_limit(), max(1, slots - problem.num_experts + 1))
    columns = problem.num_layers * problem.num_experts * problem.num_devices * counts
    scenarios = 1 if problem.objective == "max_load" else problem.num_scenarios
    return (columns * (3 + scenarios) + 4 * num_products(problem)) / ENTRIES_PER_S


def _offer_plans(
    problem: PlacementProblem, parts: list[_Part], warm_start: PlacementPlan | None
) -> None:
    """Give every part the better of the warm start and the greedy plan."""
    from moeopt.placement.greedy import feasible_plan

    for plan in (warm_start, feasible_plan(problem)):
        if plan is not None:
            for part in parts:
                part.offer(plan.physical_to_logical[list(part.layers)])


def _solve(part: _Part, compiled: CompiledLayers, context: Context, models_left: int) -> MipAnswer:
    """Solve one model within its part of the time."""
    options: dict[str, Any] = {"seed": context.seed, "threads": context.workers}
    start = None
    if part.table is not None:
        fixed = compiled.fixed_to(part.table)
        start = solve_model(fixed, time_limit_s=_share_s(context, models_left), **options).x
    answer = solve_model(
        compiled.model,
        time_limit_s=_share_s(context, models_left),
        gap=context.gap,
        warm_start=start,
        **options,
    )
    if answer.status is Status.INFEASIBLE and part.table is not None:
        raise BackendError(
            answer.backend, "it calls a model infeasible that has a plan", "use another backend"
        )
    return answer


def _share_s(context: Context, models_left: int) -> float | None:
    remaining_s = context.remaining_s()
    return None if math.isinf(remaining_s) else remaining_s / models_left


def _take(part: _Part, compiled: CompiledLayers) -> None:
    """Note the table and the bound of a backend's answer.

    The largest load of an optimal point may be short by the backend's tolerance, and its bound
    with it: that difference is no gap.
    """
    answer = part.answer
    assert answer is not None
    part.bound = answer.bound
    if answer.x is None:
        return
    # A point may round to a table that breaks a rule by less than the backend's tolerance.
    part.offer(compiled.decode(answer.x))
    if part.objective is None or part.bound is None:
        return
    proven = answer.objective if answer.status is Status.OPTIMAL else None
    if proven is not None and abs(part.objective - proven) <= OPTIMALITY_TOLERANCE * part.objective:
        part.bound = part.objective
    # The plan itself shows that no bound above its value holds: what is above it by a backend's
    # tolerance is rounding, and for an optimum of 0 no relative tolerance says how much.
    if part.objective == 0.0 or part.bound <= part.objective * (1 + 10 * OPTIMALITY_TOLERANCE):
        part.bound = min(part.bound, part.objective)


def _lift_bounds(problem: PlacementProblem, parts: list[_Part]) -> None:
    """Give every part that is not settled the bound that needs no model, if that is better."""
    from moeopt.placement.bounds import layer_bounds

    lowest = layer_bounds(problem)
    for part in parts:
        if not part.settled:
            bound = float(lowest[list(part.layers)].sum())
            part.bound = bound if part.bound is None else max(bound, part.bound)


def _outcome(problem: PlacementProblem, parts: list[_Part], build_s: float) -> Outcome:
    """Put the layers together."""
    plan = None
    tables = [part.table for part in parts if part.table is not None]
    if len(tables) == len(parts):
        plan = PlacementPlan(physical_to_logical=np.concatenate(tables))
    bounds = [part.bound for part in parts if part.bound is not None]
    answers = [part.answer for part in parts if part.answer is not None]
    limits = [answer.limit for answer in answers if answer.limit is not Limit.NONE]
    if len(answers) < len(parts):
        limits.append(Limit.TIME)
    # Time outranks a gap that was reached.
    limit = Limit.TIME if Limit.TIME in limits else next(iter(limits), None)
    return Outcome(
        plan=plan,
        bound=math.fsum(bounds) if len(bounds) == len(parts) else None,
        limit=limit,
        backend=answers[-1].backend if answers else None,
        build_s=build_s + math.fsum(answer.build_s for answer in answers),
        statistics=_statistics(problem, parts),
    )


def _statistics(problem: PlacementProblem, parts: list[_Part]) -> dict[str, Any]:
    """Return bound and status of each layer, and the nodes of all models, as JSON types.

    A bound that several layers share is not any one's: theirs are ``None``.
    """
    bound: list[float | None] = [None] * problem.num_layers
    status = [Status.NO_PLAN_FOUND.value] * problem.num_layers
    for part in parts:
        for layer in part.layers:
            bound[layer] = part.bound if len(part.layers) == 1 else None
            if part.table is not None:
                status[layer] = (Status.OPTIMAL if part.settled else Status.FEASIBLE).value
    nodes = [p.answer.nodes for p in parts if p.answer is not None and p.answer.nodes is not None]
    return {
        "models": len(parts),
        "layer_bound": bound,
        "layer_status": status,
        "nodes": sum(nodes) if nodes else None,
    }
