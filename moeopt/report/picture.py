"""What a picture shows, as plain data: drawn by matplotlib or, on a page, by plotly.

Every number of a report's pictures is in one of these records, so that what is drawn can be checked
without looking, and both ways to draw show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray

#: What a mark stands for: decides its colour, dash, marker and hatch, the same in every picture.
#: ``before`` and ``plan`` are what was and what is planned, ``bound`` is what nothing can beat,
#: ``best`` an optimum in hindsight, ``rival`` what is compared with; ``first`` to ``sixth`` tell
#: things apart that have no order, ``quiet`` is what stands behind.
Role = Literal[
    "before", "plan", "bound", "best", "rival",
    "first", "second", "third", "fourth", "fifth", "sixth", "quiet",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis.

    Attributes
    ----------
    label
        What is counted or measured.
    unit
        In what, as ``"tokens"``; empty for plain numbers.
    log
        Whether the scale is logarithmic.
    whole
        Whether only whole numbers have a meaning: ticks stand at these.
    names
        Names of the positions 0, 1, …, instead of numbers; empty for numbers.
    from_zero
        Whether 0 must be in sight, as for bars.
    """

    label: str
    unit: str = ""
    log: bool = False
    whole: bool = False
    names: tuple[str, ...] = ()
    from_zero: bool = False

    @property
    def text(self) -> str:
        """Return label and unit, as they stand at the axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Upright bars; several of one picture stand side by side, or on each other.

    Attributes
    ----------
    name, role
        As the legend tells them.
    x
        Position of each bar.
    height
        Of each bar, shape ``(bars,)``.
    base
        Where each bar starts, 0 if left out: bars with a base stand on what is below.
    """

    name: str
    role: Role
    x: Any
    height: Any
    base: Any = None

    def __post_init__(self) -> None:
        _settle(self, "x", "height", "base")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through points; NaN breaks it.

    Attributes
    ----------
    name, role
        As the legend tells them.
    x, y
        Shape ``(points,)``.
    step
        Whether each value holds until the next point (a staircase).
    points
        Whether the points are marked.
    """

    name: str
    role: Role
    x: Any
    y: Any
    step: bool = False
    points: bool = False

    def __post_init__(self) -> None:
        _settle(self, "x", "y")


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points by themselves.

    Attributes
    ----------
    name, role
        As the legend tells them.
    x, y
        Shape ``(points,)``.
    texts
        What stands beside each point; empty for nothing.
    """

    name: str
    role: Role
    x: Any
    y: Any
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _settle(self, "x", "y")
        _require(not self.texts or len(self.texts) == len(self.x), "texts", "one for each point")


@dataclass(frozen=True, kw_only=True)
class Level:
    """One value across the whole picture.

    Attributes
    ----------
    name, role
        As the legend tells them.
    value
        Its height.
    """

    name: str
    role: Role
    value: float


@dataclass(frozen=True, kw_only=True)
class Heat:
    """A map of values in colours, dark for many; 0 is empty.

    Attributes
    ----------
    name, unit
        Of what the colours mean.
    values
        Shape ``(rows, columns)``: row ``i`` is at ``y = i``, column ``j`` at ``x = j``.
    """

    name: str
    values: Any
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values))
        _require(self.values.ndim == 2, "values", "a table")


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Lying bars from one moment to another, in lanes: what a Gantt chart is made of.

    Attributes
    ----------
    name, role
        As the legend tells them.
    lane
        Position of each bar on the y axis, shape ``(bars,)``.
    start, end
        Of each bar, in the x axis' unit.
    texts
        What each bar is, told where it is pointed at; empty for nothing.
    marked
        Which bars are set off by a thick outline: a bottleneck. ``None`` for none.
    """

    name: str
    role: Role
    lane: Any
    start: Any
    end: Any
    texts: tuple[str, ...] = ()
    marked: Any = None

    def __post_init__(self) -> None:
        _settle(self, "lane", "start", "end")
        if self.marked is not None:
            object.__setattr__(self, "marked", np.asarray(self.marked, dtype=bool))
        _require(not self.texts or len(self.texts) == len(self.lane), "texts", "one for each bar")


Mark = Bars | Line | Points | Level | Heat | Spans


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture: axes with their units, and marks, the first behind.

    Attributes
    ----------
    name
        A short name, of letters, digits and hyphens: the file's, and the page's anchor.
    title
        What is seen, in a few words.
    x, y
        The axes.
    marks
        What is drawn.
    says
        What it tells, in one or two sentences with figures: the caption, and what is read out to
        those who do not see it.
    """

    name: str
    title: str
    x: Axis
    y: Axis
    marks: Sequence[Mark]
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Pictures of one kind to choose from: of each layer, say. The first is shown.

    Attributes
    ----------
    name, title
        As of a `Picture`.
    choice
        What is chosen: ``"layer"``.
    names
        Of each picture, as the choice lists them.
    pictures
        All with the same kinds of axes.
    """

    name: str
    title: str
    choice: str
    names: Sequence[str]
    pictures: Sequence[Picture]

    def __post_init__(self) -> None:
        _require(len(self.names) == len(self.pictures) > 0, "names", "one for each picture")


def _settle(mark: Any, *fields: str) -> None:
    """Make the named fields float64 arrays of one length; ``None`` stays."""
    arrays: list[FloatArray | IntArray | BoolArray] = []
    for field in fields:
        value = getattr(mark, field)
        if value is not None:
            array = np.asarray(value, dtype=np.float64)
            object.__setattr__(mark, field, array)
            arrays.append(array)
    alike = all(array.shape == arrays[0].shape and array.ndim == 1 for array in arrays)
    _require(alike, ", ".join(fields), "of one length")


def _require(holds: bool, field: str, rule: str) -> None:
    # A picture is made by moeopt's own code, or a programmer's: no bad input of a user.
    if not holds:
        raise ValueError(f"{field}: must be {rule}")
