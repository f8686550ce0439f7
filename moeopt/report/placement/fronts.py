"""Frontiers of placement: what slots, locality, devices or moved bytes buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from moeopt.core.errors import InstanceError
from moeopt.core.units import bytes_text, bytes_unit
from moeopt.placement.frontiers import NEAR, Frontier, Kind, Point
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.replan import Front, replan_front
from moeopt.placement.summary import unit_of
from moeopt.report.picture import Axis, Picture
from moeopt.report.trade import Trade, pareto_picture

_NEAR = f"within {100 * NEAR:g} % of the best"


@dataclass(frozen=True)
class _Shape:
    """How one kind of frontier is drawn."""

    title: str
    axis: Axis
    cost: Callable[[Point], float]
    #: What the marked point is called.
    near: str = _NEAR


_IMBALANCE = Axis(label="largest device load over the mean")
_MILLISECONDS = Axis(label="time of all layers", unit="ms", from_zero=True)

_SHAPES: Mapping[Kind, _Shape] = {
    "slots": _Shape(
        "Balance against redundant slots",
        Axis(label="redundant slots of each layer", whole=True, from_zero=True),
        lambda point: point.at,
    ),
    "locality": _Shape(
        "Balance against tokens that cross nodes",
        Axis(label="tokens that cross nodes", unit="%", from_zero=True),
        lambda point: 100.0 * (point.figures["cross_node_share"] or 0.0),
    ),
    "devices": _Shape(
        "Time against devices",
        Axis(label="devices", log=True, whole=True),
        lambda point: point.at,
        "most from each device",
    ),
    "moves": _Shape(
        "Balance against bytes moved",
        Axis(label="bytes moved", unit="B", from_zero=True),
        lambda point: point.at,
    ),
}


def frontier_picture(found: Frontier) -> Picture:
    """Return the picture of a placement frontier of any kind.

    Parameters
    ----------
    found
        Of `moeopt.placement.frontiers.frontier`.

    Raises
    ------
    InstanceError
        If no point has a plan.
    """
    shape = _SHAPES[found.kind]
    points = [point for point in found.points if point.objective is not None]
    near = found.thriftiest() if found.kind == "devices" else found.enough()
    if near is None:
        raise InstanceError("frontier", found.kind, "must have a point with a plan", "sweep more")
    size, axis = _scaled(shape.axis, max(map(shape.cost, points)))
    seconds = near.problem.objective == "layer_time"
    trade = Trade(
        cost=[shape.cost(point) / size for point in points],
        value=[_told(point, point.objective) for point in points],
        cost_axis=axis,
        value_axis=_MILLISECONDS if seconds else _IMBALANCE,
        bound=_bounds(found.kind, points),
        marked={shape.near: (shape.cost(near) / size, _told(near, near.objective))},
    )
    ends = [min(points, key=shape.cost), max(points, key=shape.cost)]
    texts = [
        f"{_told(point, point.objective):.4g}{' ms' if seconds else ''}"
        f" at {shape.cost(point) / size:.4g} {axis.unit or axis.label}"
        for point in (*ends, near)
    ]
    says = f"From {texts[0]} to {texts[1]}; {shape.near}: {texts[2]}."
    return pareto_picture(trade, f"frontier-{found.kind}", shape.title, says)


def moves_picture(
    problem: PlacementProblem, front: Front | None = None, plan: PlacementPlan | None = None
) -> Picture:
    """Return the picture of balance against bytes moved from the previous plan.

    Parameters
    ----------
    problem
        With a previous plan.
    front
        Of `moeopt.placement.replan_front`; found, if left out.
    plan
        A plan to be marked.

    Raises
    ------
    InstanceError
        If the problem cannot be replanned.
    """
    front = replan_front(problem) if front is None else front
    start = evaluate(problem, PlacementPlan(physical_to_logical=front.table(0)))
    mean = float(unit_of(problem, start).sum())
    imbalance = front.objective / mean
    near = int(np.flatnonzero(imbalance <= imbalance[-1] * (1 + NEAR))[0])
    marked = {_NEAR: (float(front.moved_bytes[near]), float(imbalance[near]))}
    if plan is not None:
        value = evaluate(problem, plan)
        marked["this plan"] = (value.moved_bytes, float(value.layer_objective.sum()) / mean)
    size, axis = _scaled(_SHAPES["moves"].axis, max(at for at, _ in marked.values()))
    trade = Trade(
        cost=front.moved_bytes / size,
        value=imbalance,
        cost_axis=axis,
        value_axis=_IMBALANCE,
        bound=front.bound / mean,
        marked={name: (at / size, height) for name, (at, height) in marked.items()},
    )
    texts = [f"{imbalance[i]:.4f} for {bytes_text(front.moved_bytes[i])}" for i in (0, -1, near)]
    says = (
        f"{len(front)} {'plan' if len(front) == 1 else 'plans'}, from {texts[0]} to {texts[1]};"
        f" {_NEAR}: {texts[2]}, {front.transfers[near]:,} copies of experts."
    )
    return pareto_picture(trade, "moves", _SHAPES["moves"].title, says)


def _scaled(axis: Axis, largest: float) -> tuple[float, Axis]:
    """Return an axis in a unit of few digits, and the size of the unit: of bytes, as others are."""
    if axis.unit != "B":
        return 1.0, axis
    size, unit = bytes_unit(largest)
    return size, Axis(label=axis.label, unit=unit, from_zero=axis.from_zero)


def _told(point: Point, value: float | None) -> float:
    """Return a point's objective or bound as it is told: over the mean, or in milliseconds."""
    if value is None:
        return np.nan
    if point.problem.objective == "layer_time":
        return 1e3 * value
    return value / point.unit if point.unit else value


def _bounds(kind: Kind, points: list[Point]) -> float | list[float] | None:
    """Return the bound of each point, or the one of all.

    Of locality that of plans whose experts may sit anywhere: with groups on one node it is higher,
    but of other plans at the same cost it says nothing.
    """
    bounds = [_told(point, point.bound) for point in points]
    known = [bound for bound in bounds if np.isfinite(bound)]
    if not known:
        return None
    return min(known) if kind == "locality" or min(known) == max(known) else bounds
