"""Pictures drawn by matplotlib: for notebooks, scripts and print."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from moeopt.core.arrays import BoolArray
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.core.files import write_atomically
from moeopt.report.picture import Axis, Bars, Heat, Level, Line, Mark, Picture, Points, Spans
from moeopt.report.places import (
    FILLED,
    MOST_NAMES,
    PLAIN_BARS,
    bar_places,
    grid_lines,
    heat_steps,
    heat_text,
    heat_top,
    legend_name,
    marker_scale,
    name_step,
    numbers_along,
    right_half,
    short_log,
    x_range,
    y_range,
)
from moeopt.report.style import DARK, HEAT, LIGHT, LOOKS, Look, Theme, heat_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches, and dots per inch of a PNG: 880 × 495 dots.
_SIZE, _DOTS = (8.0, 4.5), 110

#: What would make two files of the same picture differ, or tell who made them.
_LEFT_OUT: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

#: Maps of more cells than these along a side are averaged where they have fewer dots than cells.
_SHARP_CELLS = 512

#: Of lines, and of markers along them, in points.
_WIDTH, _MARKER = 1.8, 6.0

#: Letters that stand in an inch, and what the line and the spaces of a legend's entry take of them.
_LETTERS, _HANDLE = 14, 8

#: Names that stand in an inch, leaning or on each other.
_NAMES = 4


def draw(picture: Picture, ax: Axes | None = None) -> Axes:
    """Draw a picture.

    Parameters
    ----------
    picture
        What is drawn.
    ax
        Where; a new figure of pyplot's if left out, so that ``plt.show()`` and notebooks show it.

    Returns
    -------
    Axes
        Where it was drawn: all on it can still be changed. Lanes, and rows of maps, run downwards.

    Raises
    ------
    AdapterError
        If matplotlib is not installed.
    """
    if ax is None:
        ax = _pyplot().subplots(figsize=_SIZE, layout="constrained")[1]
    for which, axis in (("x", picture.x), ("y", picture.y)):
        _label(ax, which, axis)
        if axis.log:
            _logarithmic(ax, which, short_log(numbers_along(picture, which)))
    places = bar_places(picture)
    for index, mark in enumerate(picture.marks):
        _mark(ax, picture, mark, 2 + 0.01 * index, places.get(index, (0.0, 0.0)))
    _span(ax, picture)
    _grid(ax, picture)
    rows = _legend(ax, picture)
    ax.set_title(_plain(picture.title), loc="left", pad=8.0 + 14.2 * rows)
    return ax


def save(picture: Picture, path: str | os.PathLike[str], *, dark: bool = False) -> None:
    """Write a picture to a file, whole or not at all; the same picture gives the same bytes.

    Parameters
    ----------
    picture
        What is drawn, 8 × 4.5 inches large.
    path
        Ends in ``.png``, ``.svg`` or ``.pdf``.
    dark
        Whether it is for a dark page.

    Raises
    ------
    InstanceError
        If the path ends otherwise.
    AdapterError
        If matplotlib is not installed.
    OSError
        If the file cannot be written.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in _LEFT_OUT:
        rule = "must end in .png, .svg or .pdf"
        raise InstanceError("path", os.fspath(path), rule, "choose one of these kinds of file")
    style, figures = _parts()
    with style.context(["default", _settings(DARK if dark else LIGHT)]):
        figure = figures.Figure(figsize=_SIZE, layout="constrained")
        draw(picture, figure.subplots())
        data = io.BytesIO()
        figure.savefig(data, format=kind, dpi=_DOTS, metadata=_LEFT_OUT[kind])
    write_atomically(path, data.getvalue())


def _mark(ax: Axes, picture: Picture, mark: Mark, order: float, place: tuple[float, float]) -> None:
    match mark:
        case Bars():
            _bars(ax, mark, place, zorder=order)
        case Line() | Points():
            _line(ax, mark, zorder=order)
            if isinstance(mark, Points) and mark.texts:
                _texts(ax, mark, right_half(picture, mark))
        case Level():
            _level(ax, mark, legend_name(picture, mark), zorder=order)
        case Heat() if mark.values.size:
            _heat(ax, mark)
        case Spans():
            _spans(ax, mark, zorder=order)


def _bars(ax: Axes, mark: Bars, place: tuple[float, float], *, zorder: float) -> None:
    edge, width = place
    ax.bar(
        mark.x + edge,
        mark.height,
        width,
        0.0 if mark.base is None else mark.base,
        align="edge",
        label=_plain(mark.name),
        zorder=zorder,
        **_fill(ax, LOOKS[mark.role], len(mark.x)),
    )


def _line(ax: Axes, mark: Line | Points, *, zorder: float) -> None:
    look = LOOKS[mark.role]
    if isinstance(mark, Points):
        # An edge of paper sets them off from what they stand on.
        style: dict[str, Any] = {
            "linestyle": "none",
            "marker": look.marker,
            "markeredgecolor": ax.get_facecolor(),
            "markeredgewidth": 0.8,
        }
    else:
        style = {
            "linestyle": _dash(look),
            "drawstyle": "steps-post" if mark.step else "default",
            "marker": look.marker if mark.points or len(mark.x) == 1 else "",
        }
    name = _plain(mark.name)
    ax.plot(
        mark.x,
        mark.y,
        label=name,
        color=look.colour,
        linewidth=_WIDTH,
        markersize=_MARKER * marker_scale(mark),
        zorder=zorder,
        **style,
    )


def _level(ax: Axes, mark: Level, name: str, *, zorder: float) -> None:
    look = LOOKS[mark.role]
    line = ax.axhline(mark.value, label=_plain(name), zorder=zorder)
    line.set(color=look.colour, linestyle=_dash(look), linewidth=_WIDTH)


def _texts(ax: Axes, mark: Points, left: BoolArray) -> None:
    for x, y, text, is_left in zip(mark.x, mark.y, mark.texts, left, strict=True):
        side, away = ("right", -6) if is_left else ("left", 6)
        beside = ax.annotate(_plain(text), (x, y), (away, 5), textcoords="offset points", zorder=9)
        beside.set(fontsize="small", horizontalalignment=side)


def _heat(ax: Axes, mark: Heat) -> None:
    from matplotlib.colors import (
        BoundaryNorm,
        Colormap,
        LinearSegmentedColormap,
        ListedColormap,
        Normalize,
    )

    steps = heat_steps(mark.values)
    if steps is None:
        colours: Colormap = LinearSegmentedColormap.from_list("few to many", HEAT)
        norm: Normalize = Normalize(0.0, heat_top(mark.values))
    else:
        colours = ListedColormap([heat_colour(step / steps) for step in range(1, steps + 1)])
        norm = BoundaryNorm(np.arange(0.5, steps + 1), steps)
    image = ax.imshow(
        np.ma.masked_equal(mark.values, 0),
        cmap=colours,
        norm=norm,
        aspect="auto",
        interpolation="nearest" if max(mark.values.shape) <= _SHARP_CELLS else "auto",
    )
    ticks = None if steps is None else np.arange(1, steps + 1)
    figure: Any = ax.get_figure()
    bar = figure.colorbar(image, ax=ax, label=_plain(heat_text(mark)), ticks=ticks)
    bar.outline.set_visible(False)


def _spans(ax: Axes, mark: Spans, *, zorder: float) -> None:
    from matplotlib.collections import PolyCollection

    low, high = mark.lane - FILLED / 2, mark.lane + FILLED / 2
    corners = [(mark.start, low), (mark.end, low), (mark.end, high), (mark.start, high)]
    bars: Any = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)
    fill = _fill(ax, LOOKS[mark.role], len(bars))
    ax.add_collection(PolyCollection(bars, label=_plain(mark.name), zorder=zorder, **fill))
    if mark.marked is not None and mark.marked.any():
        frame = {"facecolor": "none", "edgecolor": _ink(ax), "linewidth": 2.2}
        ax.add_collection(PolyCollection(bars[mark.marked], zorder=zorder + 1, **frame))
    ax.autoscale_view()


def _fill(ax: Axes, look: Look, bars: int) -> dict[str, Any]:
    """Return how bars are filled: with hatch and edges, in the colour of what is behind, if few."""
    if bars > PLAIN_BARS:
        return {"facecolor": look.colour, "linewidth": 0.0}
    edge = ax.get_facecolor()
    return {"facecolor": look.colour, "edgecolor": edge, "hatch": look.hatch * 2, "linewidth": 0.6}


def _label(ax: Axes, which: str, axis: Axis) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    side = ax.xaxis if which == "x" else ax.yaxis
    side.set_label_text(_plain(axis.text))
    if axis.names:
        inches = _inches(ax, which)
        most = min(MOST_NAMES, max(1, int(_NAMES * inches)))
        shown = range(0, len(axis.names), name_step(axis, most))
        names = [_plain(axis.names[at]) for at in shown]
        leaning = which == "x" and sum(len(name) + 2 for name in names) > _LETTERS * inches
        turn: Any = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if leaning else {}
        side.set_ticks(list(shown), names, **turn)
    elif not axis.log:
        side.set_major_formatter(FuncFormatter(_written))
        if axis.whole:
            side.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def _logarithmic(ax: Axes, which: str, short: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    if short:
        # Powers of ten alone would be too few.
        side = ax.xaxis if which == "x" else ax.yaxis
        side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        side.set_major_formatter(FuncFormatter(_written))
        side.set_minor_formatter(NullFormatter())


def _span(ax: Axes, picture: Picture) -> None:
    if across := x_range(picture):
        ax.set_xlim(*across)
    elif _starts_at_zero(picture, "x", ax.get_xlim()[0]):
        ax.set_xlim(left=0.0)
    if up := y_range(picture):
        ax.set_ylim(*up)
    elif _starts_at_zero(picture, "y", ax.get_ylim()[0]):
        ax.set_ylim(bottom=0.0)


def _starts_at_zero(picture: Picture, which: str, low: float) -> bool:
    axis: Axis = getattr(picture, which)
    flat = not numbers_along(picture, which).any()
    return axis.from_zero and not axis.log and (low > 0 or flat)


def _grid(ax: Axes, picture: Picture) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    for which, side in (("x", ax.xaxis), ("y", ax.yaxis)):
        if which in grid_lines(picture):
            side.grid(True, color=_ink(ax), alpha=0.15, linewidth=0.8)


def _legend(ax: Axes, picture: Picture) -> int:
    """Put the marks' names above what they would cover; return the rows that they take."""
    handles, names = ax.get_legend_handles_labels()
    # matplotlib lists lines before bars; names of what stood there before come first.
    order = [_plain(legend_name(picture, mark)) for mark in picture.marks]
    every = dict(zip(reversed(names), reversed(handles), strict=True))
    found = {name: every[name] for name in (*(set(every) - set(order)), *order) if name in every}
    if len(found) < 2:
        return 0
    columns = _columns(ax, list(found))
    ax.legend(
        list(found.values()),
        list(found),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        borderaxespad=0.2,
        handlelength=2.6,
        columnspacing=1.4,
        fontsize="small",
    )
    return -(-len(found) // columns)


def _columns(ax: Axes, names: list[str]) -> int:
    """Return how many columns of names fit above the axes."""
    letters = _LETTERS * _inches(ax, "x")
    for columns in range(len(names), 1, -1):
        # As matplotlib deals them out.
        parts = np.array_split([len(name) + _HANDLE for name in names], columns)
        if sum(part.max() for part in parts) <= letters:
            return columns
    return 1


def _inches(ax: Axes, which: str) -> float:
    """Return how long an axis is, before titles and names take their room."""
    figure: Any = ax.get_figure()
    extent = ax.get_window_extent()
    return float((extent.width if which == "x" else extent.height) / figure.dpi)


def _dash(look: Look) -> Any:
    return (0, look.dash) if look.dash else "-"


def _ink(ax: Axes) -> Any:
    return ax.xaxis.label.get_color()


def _written(value: float, _: int | None = None) -> str:
    return f"{value:,.10g}"


def _plain(text: str) -> str:
    """Return the text such that dollars stay dollars, not the signs of a formula."""
    return text.replace("$", r"\$")


def _settings(theme: Theme) -> dict[str, Any]:
    inked = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys((*inked, "axes.edgecolor"), theme.ink),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), theme.paper),
        # Ids in an SVG are drawn by lot otherwise.
        "svg.hashsalt": "moeopt",
    }


def _pyplot() -> ModuleType:
    try:
        from matplotlib import pyplot
    except ImportError:
        raise _missing() from None
    return pyplot


def _parts() -> tuple[ModuleType, ModuleType]:
    # Not pyplot's: these figures are nobody's to show, and none stays behind.
    try:
        from matplotlib import figure, style
    except ImportError:
        raise _missing() from None
    return style, figure


def _missing() -> AdapterError:
    return AdapterError("pictures need matplotlib, not installed here; pip install 'moeopt[plot]'")
