"""Pictures of two things that are both wanted small: what more of one buys of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.placement.frontiers import undominated
from moeopt.report.picture import Axis, Level, Line, Mark, Picture, Points, Role

#: Points of a frontier that are marked one by one; more are a line.
MOST_MARKED = 40

#: Roles of the points that are told apart.
_MARKED: tuple[Role, ...] = ("best", "rival", "third")


@dataclass(frozen=True, kw_only=True)
class Trade:
    """Points of which less is better in both directions.

    Attributes
    ----------
    cost, value
        Of each point, ``(points,)``.
    cost_axis, value_axis
        What they are.
    bound
        No point has a smaller value: one number for all, or one for each, ``(points,)``, NaN where
        it is not known; ``None`` if nothing is.
    marked
        At most three points to be told apart, by what they are called: cost and value.
    """

    cost: Any
    value: Any
    cost_axis: Axis
    value_axis: Axis
    bound: Any = None
    marked: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def pareto_picture(trade: Trade, name: str, title: str, says: str = "") -> Picture:
    """Return the picture of a frontier: a staircase, with what is beaten standing behind.

    Between two points of the staircase the cheaper one is what can be had.

    Parameters
    ----------
    trade
        The points.
    name, title, says
        As of `Picture`.
    """
    cost, value = (np.asarray(column, dtype=np.float64) for column in (trade.cost, trade.value))
    best = undominated(cost, value)
    front = np.flatnonzero(best)[np.unique(cost[best], return_index=True)[1]]
    marks: list[Mark] = []
    if not best.all():
        marks.append(Points(name="beaten", role="quiet", x=cost[~best], y=value[~best]))
    marks.append(
        Line(
            name="frontier",
            role="plan",
            x=cost[front],
            y=value[front],
            step=True,
            points=len(front) <= MOST_MARKED,
        )
    )
    marks += _bound(trade, cost)
    for (text, (at, height)), role in zip(trade.marked.items(), _MARKED, strict=False):
        where = f"{at:.4g} {trade.cost_axis.unit}".rstrip()
        marks.append(Points(name=text, role=role, x=[at], y=[height], texts=(where,)))
    return Picture(
        name=name, title=title, x=trade.cost_axis, y=trade.value_axis, marks=marks, says=says
    )


def _bound(trade: Trade, cost: FloatArray) -> list[Mark]:
    """Return what nothing can beat: a level, or the bound of each point."""
    if trade.bound is None:
        return []
    bound = np.asarray(trade.bound, dtype=np.float64)
    if bound.ndim == 0:
        return [Level(name="bound", role="bound", value=float(bound))]
    # Each is of its own point: between two nothing is known.
    return [Points(name="bound", role="bound", x=cost, y=bound)]
