"""How a solve went: its objective and its bound over time, and how they meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.progress import Moment
from moeopt.core.result import relative_gap
from moeopt.core.units import time_unit
from moeopt.report.drawing import draw
from moeopt.report.picture import Axis, Line, Picture, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Moments up to which each is marked.
_MARKED = 30


def solver_progress(result_or_history: Any, ax: Any = None) -> Axes:
    """Draw the objective and the bound of a solve over time.

    Parameters
    ----------
    result_or_history
        A `Result`, the record of it that a plan's file keeps, or the history of either.
    ax
        Axes to draw on; ``None`` makes some.

    Raises
    ------
    InstanceError
        If nothing is known of the solve.
    AdapterError
        If matplotlib is not installed.
    """
    history = getattr(result_or_history, "history", result_or_history)
    return draw(solver_progress_picture(history), ax)


def solver_progress_picture(history: Sequence[Moment]) -> Picture:
    """Return the objective and the bound of a solve over time, as staircases.

    Parameters
    ----------
    history
        `Result.history`.

    Raises
    ------
    InstanceError
        If it is empty.
    """
    if not history:
        rule = "must have a moment in it"
        raise InstanceError("history", "<empty>", rule, "give the history of a solve that began")
    moments = [Moment(*moment) for moment in history]
    size_s, unit = time_unit(moments[-1].elapsed_s)
    x = np.array([moment.elapsed_s for moment in moments]) / size_s
    values: list[tuple[str, Role, list[float | None]]] = [
        ("objective of the best plan", "plan", [moment.objective for moment in moments]),
        ("lower bound", "bound", [moment.bound for moment in moments]),
    ]
    return Picture(
        name="solver-progress",
        title="What was known when",
        x=Axis(label="time since the solve began", unit=unit, from_zero=True),
        y=Axis(label="objective"),
        marks=[
            Line(name=name, role=role, x=x, y=_floats(known), step=True, points=len(x) <= _MARKED)
            for name, role, known in values
            if any(value is not None for value in known)
        ],
        says=_says(moments),
    )


def _floats(values: list[float | None]) -> FloatArray:
    """Return the values with NaN, which breaks a line, for what is not known."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _says(moments: list[Moment]) -> str:
    """Return when the plan was found, and how far from the bound it ended."""
    last = moments[-1]
    plans = [moment for moment in moments if moment.objective is not None]
    parts = []
    if last.objective is not None:
        reached = next(moment for moment in plans if moment.objective == last.objective)
        first = plans[0]
        parts.append(f"The plan's objective, {last.objective:.6g}, was known after"
                     f" {_time(reached.elapsed_s)}")  # fmt: skip
        if first.objective != last.objective:
            parts[0] += (
                f"; the first plan, after {_time(first.elapsed_s)}, had {first.objective:.6g}"
            )
    gap = relative_gap(last.objective, last.bound)
    if last.bound is not None:
        away = "" if gap is None else f": the gap is {100 * gap:.3g} %"
        parts.append(f"Nothing below {last.bound:.6g} is possible{away}")
    return "".join(f"{part}. " for part in parts).strip()


def _time(seconds: float) -> str:
    size_s, unit = time_unit(seconds)
    return f"{seconds / size_s:.3g} {unit}"
