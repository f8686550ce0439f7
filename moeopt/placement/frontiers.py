"""Frontiers: what more slots, more locality, more devices or more moved bytes buy.

Each is a sweep of one quantity with the best plan found at every value, a bound that no plan
beats, and whether the point is worth having: no other costs less and is as good, or costs no more
and is better. The solves do not depend on each other and may run anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from moeopt.core.arrays import BoolArray
from moeopt.core.errors import InstanceError
from moeopt.core.many import Run, Solve, in_turn, solve_all
from moeopt.core.result import Result, Status, relative_gap
from moeopt.placement import locality
from moeopt.placement.bounds import total_bound
from moeopt.placement.frontier_cases import (
    Case,
    Span,
    devices_cases,
    locality_ends,
    prices,
    slots_cases,
)
from moeopt.placement.plan import PlacementPlan, copies_of, evaluate
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.summary import unit_of

Kind = Literal["slots", "locality", "devices", "moves"]

#: Most points of the moves frontier, which has one for each change of a plan.
MOST_MOVES = 16

#: A point is near the best if its objective is at most this share above it.
NEAR = 0.01


@dataclass(frozen=True, kw_only=True)
class Point:
    """The best plan found at one value of what is swept.

    Attributes
    ----------
    at
        The swept value: redundant slots of a layer, price of a token across nodes, devices, or
        moved bytes.
    cost
        What the point takes, in `Frontier.cost`; ``None`` without a plan.
    problem
        What was asked there.
    status
        Of the solve: ``"optimal"``, ``"feasible"``, ``"infeasible"`` or ``"no_plan_found"``.
    plan
        ``None`` where none was found.
    objective
        Of the layers, without prices.
    bound
        No plan of this point's problem has a smaller objective without prices.
    unit
        What the objective would be if every device were loaded alike, as far as loads go; for
        ``"layer_time"`` a second.
    figures
        More that the frontier tells of its points, by name.
    on_frontier
        Whether no other point is better in cost or objective and as good in the other.
    runtime_s
        Of the solve.
    """

    at: float
    cost: float | None = None
    problem: PlacementProblem
    status: str
    plan: PlacementPlan | None = None
    objective: float | None = None
    bound: float | None = None
    unit: float | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    on_frontier: bool = False
    runtime_s: float = field(default=0.0, compare=False)

    @property
    def imbalance(self) -> float | None:
        """Objective over `unit`: 1 is perfect; seconds for ``"layer_time"``."""
        return None if self.objective is None or not self.unit else self.objective / self.unit

    @property
    def gap(self) -> float | None:
        """Relative distance of the objective to its bound."""
        return relative_gap(self.objective, self.bound)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain types, the plan as its table."""
        names = ("at", "cost", "status", "objective", "bound", "gap", "imbalance", "on_frontier")
        table = None if self.plan is None else self.plan.physical_to_logical
        return {
            **{name: getattr(self, name) for name in names},
            **self.figures,
            "runtime_s": self.runtime_s,
            "slots_per_device": self.problem.slots(),
            "physical_to_logical": table,
        }


@dataclass(frozen=True)
class Frontier:
    """What a sweep found.

    Attributes
    ----------
    kind
        Which frontier.
    cost
        What points cost, in words with its unit.
    points
        In the order of the sweep.
    """

    kind: Kind
    cost: str
    points: tuple[Point, ...]

    def enough(self, share: float = NEAR) -> Point | None:
        """Return the cheapest point within `share` of the best objective, ``None`` without any."""
        with_plans = [point for point in self.points if point.objective is not None]
        most = min((_known(point.objective) for point in with_plans), default=0.0) * (1 + share)
        near = [point for point in with_plans if _known(point.objective) <= most]
        return min(near, key=lambda point: _known(point.cost), default=None)

    def thriftiest(self) -> Point | None:
        """Return the point of least cost times objective: of devices, what each does most on."""
        with_plans = [point for point in self.points if point.objective is not None]
        product = [_known(point.cost) * _known(point.objective) for point in with_plans]
        return with_plans[int(np.argmin(product))] if with_plans else None


@dataclass(frozen=True)
class Asked:
    """How the points of a frontier are found.

    Attributes
    ----------
    span
        What is swept.
    method, time_limit_s, seed
        Of each solve, as for `moeopt.solve`. With a time limit, plans that were found by a short
        cut are searched further for so long.
    run
        Where the solves run.
    """

    span: Span = field(default_factory=Span)
    method: str = "auto"
    time_limit_s: float | None = None
    seed: int = 0
    run: Run = in_turn

    def results(self, cases: Sequence[Case]) -> list[Result[Any]]:
        """Return the result of each case, by its easier problem where it has one."""
        first = [self.solve_of(case.easier or case.problem) for case in cases]
        results = solve_all(first, self.run)
        eased = [i for i, case in enumerate(cases) if case.easier and results[i].plan is not None]
        starts = [(cases[i].problem, results[i].plan) for i in eased]
        for i, further in zip(eased, self.further(starts), strict=True):
            results[i] = replace(further, runtime_s=further.runtime_s + results[i].runtime_s)
        return results

    def further(
        self, starts: Sequence[tuple[PlacementProblem, PlacementPlan | None]]
    ) -> list[Result[Any]]:
        """Return plans at least as good as those given, searched for the time limit if any."""
        if self.time_limit_s is None:
            return [_as_it_is(problem, plan) for problem, plan in starts]
        searches = [
            Solve(problem, "search", self.time_limit_s, seed=self.seed, warm_start=plan)
            for problem, plan in starts
        ]
        return solve_all(searches, self.run)

    def solve_of(self, problem: PlacementProblem) -> Solve:
        """Return the solve of a problem as it was asked for."""
        return Solve(problem, self.method, self.time_limit_s, seed=self.seed)


def frontier(problem: PlacementProblem, kind: Kind, asked: Asked | None = None) -> Frontier:
    """Return one of the frontiers of a problem.

    Parameters
    ----------
    problem
        Where the sweep begins from; what is swept need not be stated in it.
    kind
        ``"slots"``: the objective against redundant slots of a layer. ``"locality"``: against
        tokens that cross nodes. ``"devices"``: seconds against devices. ``"moves"``: against the
        bytes that are copied from the previous plan.
    asked
        How; left out, the frontier's own choice, one solve after the other.

    Raises
    ------
    InstanceError
        If the frontier does not suit the problem, or there is none of this kind.
    """
    if kind not in get_args(Kind):
        rule = f"must be one of {', '.join(get_args(Kind))}"
        raise InstanceError("frontier", kind, rule, "choose one of them")
    asked = asked or Asked()
    build: dict[str, Callable[[PlacementProblem, Asked], Frontier]] = {
        "slots": _slots,
        "locality": _locality,
        "devices": _devices,
        "moves": _moves,
    }
    found = build[kind](problem, asked)
    costs, values = (
        np.array([np.inf if value is None else value for value in column])
        for column in (
            [point.cost for point in found.points],
            [point.objective for point in found.points],
        )
    )
    best = undominated(costs, values)
    points = (
        replace(point, on_frontier=bool(on)) for point, on in zip(found.points, best, strict=True)
    )
    return replace(found, points=tuple(points))


def undominated(cost: Any, objective: Any) -> BoolArray:
    """Tell which points no other beats in one number without losing in the other, ``(points,)``.

    Points of infinite objective are none.
    """
    no_more = np.less_equal.outer(cost, cost) & np.less_equal.outer(objective, objective)
    less = np.less.outer(cost, cost) | np.less.outer(objective, objective)
    found: BoolArray = np.isfinite(objective) & ~np.any(no_more & less, axis=0)
    return found


def _slots(problem: PlacementProblem, asked: Asked) -> Frontier:
    cases = slots_cases(problem, asked.span)
    points: list[Point] = []
    before: Point | None = None
    for case, result in zip(cases, asked.results(cases), strict=True):
        point = _point(case.at, case.problem, result)
        saved = None
        if before is not None and point.objective is not None:
            saved = 1.0 - point.objective / _known(before.objective)
        figures = {"memory_bytes": _memory(point), "saved": saved}
        points.append(replace(point, cost=case.at, figures=figures))
        before = points[-1] if point.objective else before
    return Frontier("slots", "redundant slots of each layer", tuple(points))


def _devices(problem: PlacementProblem, asked: Asked) -> Frontier:
    cases = devices_cases(problem, asked.span)
    points: list[Point] = []
    first: Point | None = None
    for case, result in zip(cases, asked.results(cases), strict=True):
        point = replace(_point(case.at, case.problem, result), cost=case.at)
        first = first or (point if point.objective else None)
        speed_up = None
        if first is not None and point.objective:
            speed_up = _known(first.objective) / point.objective
        figures = {
            "slots": float(case.problem.slots().max()),
            "memory_bytes": _memory(point),
            "speed_up": speed_up,
            "efficiency": None if speed_up is None else speed_up * _known(first).at / case.at,
        }
        points.append(replace(point, figures=figures))
    return Frontier("devices", "devices", tuple(points))


def _locality(problem: PlacementProblem, asked: Asked) -> Frontier:
    free, one_node = locality_ends(problem)
    swept = prices(problem, asked.span)
    ends = solve_all([asked.solve_of(end) for end in (free, one_node)], asked.run)
    if ends[1].plan is not None and locality.covers(free):
        curves = asked.run(locality.cooled, locality.layers_of(free, ends[1].plan))
        starts = [(_priced(free, price), locality.at_price(curves, price)) for price in swept]
        between = asked.further(starts)
    else:
        between = asked.results([Case(price, _priced(free, price)) for price in swept])
    least = ends[0].bound
    points = [_crossing(0.0, free, ends[0], least)]
    for price, result in zip(swept, between, strict=True):
        points.append(_crossing(price, _priced(free, price), result, least))
    points.append(_crossing(np.inf, one_node, ends[1], ends[1].bound))
    return Frontier("locality", "tokens that cross nodes", tuple(points))


def _moves(problem: PlacementProblem, asked: Asked) -> Frontier:
    from moeopt.placement.replan import replan_front

    for name, value, left_out in (
        ("method", asked.method, "auto"),
        ("time_limit_s", asked.time_limit_s, None),
    ):
        if value != left_out:
            rule = "must be left out on the moves frontier"
            raise InstanceError(name, value, rule, "one descent finds all of it")
    front = replan_front(problem)
    most = float(front.moved_bytes[-1])
    first = float(front.moved_bytes[0])
    budgets = asked.span.values(first, most, max((most - first) / MOST_MOVES, 1e-9))
    chosen = sorted({front.within(budget) for budget in budgets if budget >= first})
    points = []
    for i in chosen:
        plan = PlacementPlan(physical_to_logical=front.table(i))
        point = _point(float(front.moved_bytes[i]), problem, _as_it_is(problem, plan))
        figures = {"transfers": float(front.transfers[i])}
        points.append(
            replace(point, cost=point.at, objective=float(front.objective[i]), figures=figures)
        )
    return Frontier("moves", "moved bytes", tuple(points))


def _priced(problem: PlacementProblem, price: float) -> PlacementProblem:
    return msgspec.structs.replace(problem, cross_node_price=price)


def _as_it_is(problem: PlacementProblem, plan: PlacementPlan | None) -> Result[Any]:
    """Return the result of a plan that a short cut found."""
    assert plan is not None
    return Result(
        status=Status.FEASIBLE,
        plan=plan,
        objective=evaluate(problem, plan).objective,
        bound=total_bound(problem),
        method="short cut",
    )


def _point(at: float, problem: PlacementProblem, result: Result[Any]) -> Point:
    """Return the point of one result, its objective evaluated without prices."""
    priced = problem.cross_node_price > 0 or problem.move_price_per_byte > 0
    point = Point(
        at=at,
        problem=problem,
        status=result.status.value,
        plan=result.plan,
        # What bounds the prices too may be above the layers alone.
        bound=total_bound(problem) if priced else result.bound,
        runtime_s=result.runtime_s,
    )
    if result.plan is None:
        return point
    value = evaluate(problem, result.plan)
    unit = 1.0 if problem.objective == "layer_time" else unit_of(problem, value).sum()
    return replace(point, objective=float(value.layer_objective.sum()), unit=float(unit))


def _crossing(
    price: float, problem: PlacementProblem, result: Result[Any], bound: float | None
) -> Point:
    """Return a point of the locality frontier; `bound` is that of any price."""
    point = replace(_point(price, problem, result), bound=bound)
    if point.plan is None:
        return point
    # At price 1, because at 0 nobody counts; one_node has no price.
    counted = msgspec.structs.replace(problem, group_rule="free", cross_node_price=1.0)
    cross = evaluate(counted, point.plan).cross_node_tokens
    share = cross / float(problem.mean_loads().sum())
    return replace(point, cost=cross, figures={"cross_node_share": share})


def _memory(point: Point) -> float | None:
    """Return the bytes of experts on the fullest device, ``None`` where sizes are not stated."""
    if point.plan is None or point.problem.expert_bytes is None:
        return None
    copies = copies_of(point.problem, point.plan.physical_to_logical)
    used = np.einsum("leg,le->g", copies, point.problem.bytes_of_experts())
    return float(used.max())


def _known(value: Any) -> Any:
    assert value is not None
    return value
