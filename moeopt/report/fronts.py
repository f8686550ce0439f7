"""Frontiers: of two things that are both wanted small, what more of one buys of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from moeopt.buffering.frontier import MemoryPoint
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import Result
from moeopt.core.units import bytes_unit
from moeopt.placement.frontiers import Frontier
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.replan import Front
from moeopt.report.drawing import draw
from moeopt.report.picture import Axis, Line, Mark, Picture
from moeopt.report.placement.fronts import frontier_picture, moves_picture
from moeopt.report.trade import Trade, pareto_picture
from moeopt.serverless.knapsack import Front as CostFront
from moeopt.serverless.plan import ServerlessPlan, evaluate
from moeopt.serverless.problem import ServerlessProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LATENCY = Axis(label="latency", unit="s")
_BILL = Axis(label="bill of a batch", unit="USD")


def frontier_front(found: Frontier, *, ax: Axes | None = None) -> Axes:
    """Draw a placement frontier: slots, locality, devices or moves.

    Parameters
    ----------
    found
        Of `moeopt.placement.frontiers.frontier`.
    ax
        Where; on axes of its own if left out.

    Returns
    -------
    Axes
        Where it was drawn.
    """
    return draw(frontier_picture(found), ax)


def moves_front(
    problem: PlacementProblem,
    front: Front | None = None,
    *,
    plan: PlacementPlan | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw balance against bytes moved from the previous plan (`moves_picture`)."""
    return draw(moves_picture(problem, front, plan), ax)


def memory_front(points: Sequence[MemoryPoint], *, ax: Axes | None = None) -> Axes:
    """Draw a step's time against the memory of the cache (`memory_picture`)."""
    return draw(memory_picture(points), ax)


def cost_front(
    problem: ServerlessProblem,
    solves: Sequence[tuple[float, Result[ServerlessPlan]]],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw a batch's bill against its latency (`cost_picture`)."""
    return draw(cost_picture(problem, solves), ax)


def layer_cost_front(front: CostFront, *, layer: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw what one serverless layer can do (`layer_cost_picture`)."""
    return draw(layer_cost_picture(front, layer), ax)


def memory_picture(points: Sequence[MemoryPoint]) -> Picture:
    """Return the picture of a step's time against the memory of the cache.

    Parameters
    ----------
    points
        Of `moeopt.buffering.frontier.pareto`.

    Raises
    ------
    InstanceError
        If there is none.
    """
    if not points:
        raise InstanceError("points", "[]", "must not be empty", "give some budgets")
    size, unit = bytes_unit(max(point.used_bytes for point in points))
    memory = np.array([point.used_bytes for point in points]) / size
    milliseconds = 1e3 * np.array([point.seconds_per_step for point in points])
    ends = [
        f"{memory[i]:.4g} {unit} take {milliseconds[i]:.4g} ms a step"
        f" ({100 * points[i].hit_rate:.3g} % hits)"
        for i in (int(np.argmin(memory)), int(np.argmax(memory)))
    ]
    trade = Trade(
        cost=memory,
        value=milliseconds,
        cost_axis=Axis(label="memory of all slots", unit=unit, from_zero=True),
        value_axis=Axis(label="time of a step", unit="ms", from_zero=True),
    )
    title = "Time of a step against memory of the cache"
    return pareto_picture(trade, "memory", title, f"{ends[0]}, {ends[1]}.")


def cost_picture(
    problem: ServerlessProblem, solves: Sequence[tuple[float, Result[ServerlessPlan]]]
) -> Picture:
    """Return the picture of a batch's bill against its latency.

    A bound is of all that is as fast as was promised: it holds up to the promise.

    Parameters
    ----------
    problem
        What the plans are of, but for its promise.
    solves
        Promised seconds, ``inf`` for no promise, and the result of solving with that promise.

    Raises
    ------
    InstanceError
        If none has a plan.
    """
    plans = [result.plan for _, result in solves if result.plan is not None]
    if not plans:
        raise InstanceError("solves", "[]", "must have a plan", "promise more seconds")
    bills = [evaluate(problem, plan) for plan in plans]
    seconds = np.array([bill.latency_s for bill in bills])
    dollars = np.array([bill.cost_usd for bill in bills])
    ends = [
        f"{dollars[i]:.4g} USD in {seconds[i]:.4g} s"
        for i in (int(np.argmin(seconds)), int(np.argmin(dollars)))
    ]
    trade = Trade(cost=seconds, value=dollars, cost_axis=_LATENCY, value_axis=_BILL)
    says = f"From {ends[0]} to {ends[1]}."
    drawn = pareto_picture(trade, "cost", "Bill of a batch against its latency", says)
    return replace(drawn, marks=[*_promised(solves, seconds), *drawn.marks])


def layer_cost_picture(front: CostFront, layer: int | None = None) -> Picture:
    """Return the picture of what a layer can do: its exact front of latency and bill.

    Parameters
    ----------
    front
        Of `moeopt.serverless.fronts.layer_front`, its ``front``.
    layer
        For the title.

    Raises
    ------
    InstanceError
        If it has no point.
    """
    if not front.latency_s.size:
        raise InstanceError("front", "[]", "must have a point", "some memory size must fit")
    which = "a layer" if layer is None else f"layer {layer}"
    ends = [f"{front.cost_usd[i]:.4g} USD in {front.latency_s[i]:.4g} s" for i in (0, -1)]
    says = f"{front.latency_s.size} ways that no other beats, from {ends[0]} to {ends[1]}."
    trade = Trade(cost=front.latency_s, value=front.cost_usd, cost_axis=_LATENCY, value_axis=_BILL)
    return pareto_picture(trade, "layer-cost", f"Bill of {which} against its latency", says)


def _promised(
    solves: Sequence[tuple[float, Result[ServerlessPlan]]], seconds: FloatArray
) -> list[Mark]:
    """Return the staircase of bounds, each from the promise before to its own."""
    known = sorted((limit, r.bound) for limit, r in solves if r.bound is not None)
    if not known:
        return []
    limits, bounds = (np.array(column) for column in zip(*known, strict=True))
    last = max(seconds.max(), limits[np.isfinite(limits)].max(initial=0.0))
    ends = np.minimum(limits, last)
    first = min(float(seconds.min()), float(ends[0]))
    return [
        Line(
            name="bound",
            role="bound",
            x=np.append(first, ends),
            y=np.append(bounds, bounds[-1]),
            step=True,
        )
    ]
