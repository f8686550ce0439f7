"""Where marks stand and what axes span: the same however a picture is drawn."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray
from moeopt.core.units import number_text
from moeopt.report.picture import Axis, Bars, Heat, Level, Line, Mark, Picture, Points, Spans
from moeopt.report.style import LOOKS

#: Thickness of a bar in a lane, and of all bars of one position together, in positions.
FILLED = 0.8

#: More bars than these are drawn without hatches and edges, or nothing else were seen of them.
PLAIN_BARS = 80

#: Points are larger than the markers along a line: one by itself, and stars, which are mostly air.
_POINT, _LONE, _STAR = 1.2, 1.4, 1.5

#: Names that an axis of usual size shows at most.
MOST_NAMES = 24

#: Whole values up to this are colours of their own.
_STEPS = 12

#: Below this ratio of its numbers a logarithmic axis is short.
_SHORT_LOG = 1000.0


def bar_places(picture: Picture) -> dict[int, tuple[float, float]]:
    """Return the left edge, from their positions, and the width of the bars of each mark's index.

    Bars without a base stand side by side; those with one stand on the last that has none.
    """
    slots: dict[int, int] = {}
    used = 0
    positions: list[FloatArray] = []
    for index, mark in enumerate(picture.marks):
        if isinstance(mark, Bars):
            used += mark.base is None
            slots[index] = max(used - 1, 0)
            positions.append(mark.x)
    if not slots:
        return {}
    gaps = np.diff(np.unique(np.concatenate(positions)))
    room = FILLED * (float(gaps.min()) if len(gaps) else 1.0)
    width = room / max(used, 1)
    return {index: (slot * width - room / 2, width) for index, slot in slots.items()}


def name_step(axis: Axis, most: int = MOST_NAMES) -> int:
    """Return that every how many-th name is shown, for `most` names in all."""
    return max(1, -(-len(axis.names) // most))


def x_range(picture: Picture) -> tuple[float, float] | None:
    """Return what the x axis spans where positions decide it, not values."""
    if picture.x.log:
        return None
    columns = [mark.values.shape[1] for mark in picture.marks if isinstance(mark, Heat)]
    return _around(max(columns, default=0) or len(picture.x.names), 0.5 if columns else 0.6)


def y_range(picture: Picture) -> tuple[float, float] | None:
    """Return what the y axis spans, from below, where positions decide it, not values.

    Rows and lanes are read like a table's: the first on top.
    """
    if picture.y.log:
        return None
    rows = [mark.values.shape[0] for mark in picture.marks if isinstance(mark, Heat)]
    lanes = [int(m.lane.max()) + 1 for m in picture.marks if isinstance(m, Spans) and len(m.lane)]
    span = _around(max(*rows, *lanes, len(picture.y.names), 0, 0), 0.5 if rows else 0.6)
    return span[::-1] if span and (rows or lanes) else span


def numbers_along(picture: Picture, which: str) -> FloatArray:
    """Return all numbers of a picture's marks along its ``"x"`` or its ``"y"``, also NaN."""
    fields = {"x": ("x", "start", "end"), "y": ("y", "height", "lane", "value")}[which]
    every = [np.atleast_1d(getattr(m, f)) for m in picture.marks for f in fields if hasattr(m, f)]
    return np.concatenate([np.empty(0), *every])


def right_half(picture: Picture, points: Points) -> BoolArray:
    """Return which points have more room on their left for what stands beside them."""
    every, own = numbers_along(picture, "x"), points.x
    if picture.x.log:
        every, own = np.log(every[every > 0]), np.log(np.where(own > 0, own, 1.0))
    if not np.isfinite(every).any():
        return np.zeros(len(own), dtype=bool)
    return np.asarray(own > (np.nanmin(every) + np.nanmax(every)) / 2)


def marker_scale(mark: Line | Points) -> float:
    """Return how large the markers of a mark are: 1 for those along a line."""
    if isinstance(mark, Line):
        return 1.0
    star = _STAR if LOOKS[mark.role].marker == "*" else 1.0
    return _POINT * star * (_LONE if len(mark.x) == 1 else 1.0)


def short_log(numbers: FloatArray) -> bool:
    """Return whether numbers span so few powers of ten that ticks must stand between these."""
    positive = numbers[numbers > 0]
    return not len(positive) or float(positive.max() / positive.min()) < _SHORT_LOG


def grid_lines(picture: Picture) -> str:
    """Return at which axes' ticks lines help: of ``"xy"`` those that values are read from."""
    kinds = {type(mark) for mark in picture.marks}
    return "" if Heat in kinds else "y" if Bars in kinds else "x" if Spans in kinds else "xy"


def heat_steps(values: FloatArray) -> int | None:
    """Return the largest value of a map of few whole numbers; ``None`` if it has others or many."""
    whole = bool(np.all(values == np.floor(values)))
    most = int(values.max(initial=0)) if whole else _STEPS + 1
    return max(most, 1) if most <= _STEPS else None


def heat_top(values: FloatArray) -> float:
    """Return the value of the darkest colour."""
    return float(np.nanmax(values, initial=0.0)) or 1.0


def heat_text(heat: Heat) -> str:
    """Return what a map's colours mean, with its unit."""
    return f"{heat.name} ({heat.unit})" if heat.unit else heat.name


def legend_name(picture: Picture, mark: Mark) -> str:
    """Return a mark as the legend tells it: a level with its value, since nothing else does."""
    if not isinstance(mark, Level):
        return mark.name
    return f"{mark.name}: {number_text(mark.value)} {picture.y.unit}".rstrip()


def _around(positions: int, margin: float) -> tuple[float, float] | None:
    return (-margin, positions - 1 + margin) if positions else None
