"""Pictures for plotly's script on a page: plain data, made without the plotly package."""

from __future__ import annotations

import base64
import html
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.errors import AdapterError
from moeopt.report.picture import Axis, Bars, Heat, Level, Line, Picture, Points, Spans
from moeopt.report.places import (
    FILLED,
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
from moeopt.report.style import DARK, HEAT, LIGHT, LOOKS, Look, heat_colour

#: matplotlib's markers by plotly's names.
_SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "v": "triangle-down",
    "D": "diamond", "P": "cross", "X": "x", "*": "star",
}  # fmt: skip

#: Of lines, and of markers along them, in dots.
_WIDTH, _MARKER = 2.2, 8.0

#: Height of a figure, of what is around its rows or lanes, of each of these, and the most, in dots.
_HEIGHT, _AROUND, _ROW, _HIGHEST = 400, 140, 18, 900

#: Room beyond a level that nothing else reaches, as a part of what an axis spans.
_MARGIN = 0.04

#: Maps of more cells than these along a side have no gaps between them.
_APART_CELLS = 80

#: Whole numbers below these fit plotly's short types.
_WHOLE = {"i1": 2**7, "i2": 2**15, "i4": 2**31}

#: Whole numbers on an axis are all written if they reach no further.
_ALL_WRITTEN = 10

_NOTHING = "rgba(0,0,0,0)"


def figure(picture: Picture) -> dict[str, Any]:
    """Return a picture for ``Plotly.newPlot``: what JSON can hold, with every number as it is.

    It has no title and no width: both are the page's. It looks as on a light page, see `theme`.

    Parameters
    ----------
    picture
        What is shown.

    Returns
    -------
    dict
        ``"data"`` and ``"layout"``. Arrays are plotly's: a type, and bytes in base 64.
    """
    places = bar_places(picture)
    traces: list[dict[str, Any]] = []
    levels: list[dict[str, Any]] = []
    for index, mark in enumerate(picture.marks):
        match mark:
            case Bars():
                traces.append(_bars(picture, mark, places[index]))
            case Line() | Points():
                traces.append(_points(picture, mark))
            case Spans():
                traces.append(_spans(picture, mark))
            case Heat():
                traces.append(_heat(picture, mark))
            case Level():
                levels.append(_level(picture, mark))
    _name_once(traces)
    layout = {
        "xaxis": _axis(picture, "x", x_range(picture)),
        "yaxis": _axis(picture, "y", y_range(picture)),
        "shapes": levels,
        "height": _height(picture),
        "showlegend": len({mark.name for mark in picture.marks}) > 1,
        **theme(False),
    }
    return {"data": traces, "layout": layout}


def theme(dark: bool) -> dict[str, Any]:
    """Return what ``Plotly.relayout`` takes to fit any figure to a dark page, or to a light one.

    Parameters
    ----------
    dark
        Whether the page is dark.
    """
    colours = DARK if dark else LIGHT
    axis = {
        "automargin": True,
        "autotickangles": [0, -35, -90],
        "gridcolor": colours.grid,
        "linecolor": colours.ink,
        "showline": True,
        "ticks": "outside",
        "tickcolor": colours.ink,
        "title": {"standoff": 8},
        "zeroline": False,
    }
    layout = {
        "bargap": 0,
        "barmode": "overlay",
        "font": {"color": colours.ink, "family": "system-ui, sans-serif", "size": 13},
        "hoverlabel": {"bgcolor": colours.paper, "font": {"color": colours.ink}, "namelength": -1},
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "margin": {"b": 10, "l": 10, "r": 10, "t": 10},
        "modebar": {"bgcolor": _NOTHING, "color": colours.grid, "activecolor": colours.ink},
        "paper_bgcolor": _NOTHING,
        "plot_bgcolor": _NOTHING,
        "xaxis": axis,
        "yaxis": axis,
    }
    # Frames and edges: all else of a mark has a colour of its own.
    frames = {
        "bar": [{"marker": {"line": {"color": colours.ink}}}],
        "heatmap": [{"colorbar": {"outlinecolor": colours.grid}}],
        "scatter": [{"marker": {"line": {"color": colours.paper}}}],
    }
    return {"template": {"layout": layout, "data": frames}}


def script() -> str:
    """Return plotly's script, as it is installed.

    Raises
    ------
    AdapterError
        If plotly is not installed.
    """
    try:
        from plotly import offline
    except ImportError:
        raise AdapterError(
            "interactive pictures need plotly, not installed here; pip install 'moeopt[plot]'"
        ) from None
    return str(offline.get_plotlyjs())


def _bars(picture: Picture, mark: Bars, place: tuple[float, float]) -> dict[str, Any]:
    edge, width = place
    trace = {
        "type": "bar",
        "name": _plain(mark.name),
        "x": _numbers(mark.x),
        "y": _numbers(mark.height),
        "offset": edge,
        "width": width,
        "marker": _fill(LOOKS[mark.role], len(mark.x)),
        "hovertemplate": _hover(picture.x, mark.name, "y", mark.height, picture.y.unit),
    }
    if mark.base is not None:
        # Where a bar has a base, plotly's y is its end.
        told = _hover(picture.x, mark.name, "customdata", mark.height, picture.y.unit)
        trace |= {
            "base": _numbers(mark.base),
            "customdata": _numbers(mark.height),
            "hovertemplate": told,
        }
    return trace


def _points(picture: Picture, mark: Line | Points) -> dict[str, Any]:
    look = LOOKS[mark.role]
    trace: dict[str, Any] = {
        "type": "scatter",
        "name": _plain(mark.name),
        "x": _numbers(mark.x),
        "y": _numbers(mark.y),
        "marker": {
            "color": look.colour,
            "symbol": _SYMBOLS[look.marker],
            "size": _MARKER * marker_scale(mark),
        },
        "hovertemplate": _hover(picture.x, mark.name, "y", mark.y, picture.y.unit, mark.x),
    }
    if isinstance(mark, Line):
        line = {"color": look.colour, "width": _WIDTH, "shape": "hv" if mark.step else "linear"}
        marked = "lines+markers" if mark.points or len(mark.x) == 1 else "lines"
        return trace | {"mode": marked, "line": line | _dash(look)}
    trace["marker"]["line"] = {"width": 1}
    if not mark.texts:
        return trace | {"mode": "markers"}
    texts = [_plain(text) for text in mark.texts]
    sides = ["top left" if left else "top right" for left in right_half(picture, mark)]
    beside = {"text": texts, "textposition": sides, "cliponaxis": False}
    told = "%{text}<br>" + trace["hovertemplate"]
    return trace | {"mode": "markers+text", "hovertemplate": told} | beside


def _spans(picture: Picture, mark: Spans) -> dict[str, Any]:
    look = LOOKS[mark.role]
    fill = _fill(look, len(mark.lane))
    if mark.marked is not None and mark.marked.any():
        fill["line"] = {"width": _numbers(3 * mark.marked.astype(np.int8))}
    form = _format(np.concatenate([mark.start, mark.end]))
    text = "%{hovertext}<br>" if mark.texts else ""
    told = (
        f"{text}{_plain(mark.name)}<br>{_plain(picture.y.label)} %{{y}}<br>"
        f"%{{base:{form}}} to %{{x:{form}}} {_plain(picture.x.unit)}<extra></extra>"
    )
    return {
        "type": "bar",
        "orientation": "h",
        "name": _plain(mark.name),
        "base": _numbers(mark.start),
        "x": _numbers(mark.end - mark.start),
        "y": _numbers(mark.lane),
        "width": FILLED,
        "marker": fill,
        "hovertext": [_plain(text) for text in mark.texts],
        "hovertemplate": told,
    }


def _heat(picture: Picture, mark: Heat) -> dict[str, Any]:
    steps = heat_steps(mark.values)
    bar: dict[str, Any] = {
        "title": {"text": _plain(heat_text(mark)), "side": "right"},
        "thickness": 14,
        "outlinewidth": 1,
    }
    if steps is None:
        top, bottom = heat_top(mark.values), 0.0
        # Only nothing at all is left blank.
        scale = [[0.0, _NOTHING], [1e-12, HEAT[0]]]
        scale += [[at / (len(HEAT) - 1), colour] for at, colour in enumerate(HEAT) if at]
    else:
        bottom, top = -0.5, steps + 0.5
        colours = [_NOTHING, *(heat_colour(step / steps) for step in range(1, steps + 1))]
        edges = [step / (steps + 1) for step in range(steps + 2)]
        scale = [[edges[s + side], c] for s, c in enumerate(colours) for side in (0, 1)]
        bar |= {"tick0": 0, "dtick": 1}
    gap = 1 if max(mark.values.shape, default=0) <= _APART_CELLS else 0
    return {
        "type": "heatmap",
        "name": _plain(mark.name),
        "z": _numbers(mark.values),
        "zmin": bottom,
        "zmax": top,
        "xgap": gap,
        "ygap": gap,
        "colorscale": scale,
        "colorbar": bar,
        "hovertemplate": (
            f"{_plain(picture.x.label)} %{{x}}<br>{_plain(picture.y.label)} %{{y}}<br>"
            + _valued(mark.name, "z", mark.values, mark.unit)
        ),
    }


def _level(picture: Picture, mark: Level) -> dict[str, Any]:
    look = LOOKS[mark.role]
    return {
        "type": "line",
        "name": _plain(legend_name(picture, mark)),
        "showlegend": True,
        "xref": "x domain",
        "x0": 0,
        "x1": 1,
        "y0": float(mark.value),
        "y1": float(mark.value),
        "line": {"color": look.colour, "width": _WIDTH} | _dash(look),
    }


def _axis(picture: Picture, which: str, span: tuple[float, float] | None) -> dict[str, Any]:
    axis: Axis = getattr(picture, which)
    made = {"title": {"text": _plain(axis.text)}, "showgrid": which in grid_lines(picture)}
    if axis.log and not short_log(numbers_along(picture, which)):
        return made | {"type": "log", "exponentformat": "power"}
    made |= {"exponentformat": "none", "separatethousands": True}
    if axis.log:
        # Numbers at 2 and 5 as well, written in full.
        return made | {"type": "log", "dtick": "D2", "minorloglabels": "complete"}
    made["type"] = "linear"
    if axis.from_zero:
        made["rangemode"] = "tozero"
    levels = [mark.value for mark in picture.marks if isinstance(mark, Level)]
    if levels and which == "y":
        # Plotly leaves no room around lines across.
        room = _MARGIN * _reach(picture, "y")
        below = [] if axis.from_zero else [min(levels) - room]
        made["autorangeoptions"] = {"include": [*below, max(levels) + room]}
    if span:
        made["range"] = list(span)
    if axis.whole or axis.names:
        made |= {"tickformat": ",d", "hoverformat": ",d", "nticks": 10}
        if _reach(picture, which) <= _ALL_WRITTEN:
            made |= {"tick0": 0, "dtick": 1}
    if axis.names:
        written = {f"{at:,}": _plain(name) for at, name in enumerate(axis.names)}
        made |= {"labelalias": written, "tick0": 0, "dtick": name_step(axis)}
    return made


def _reach(picture: Picture, which: str) -> float:
    """Return how far a picture's numbers along an axis lie apart."""
    sides = [m.values.shape[which == "x"] for m in picture.marks if isinstance(m, Heat)]
    zero = [0.0] if getattr(picture, which).from_zero else []
    numbers = np.concatenate([numbers_along(picture, which), zero, *map(np.arange, sides)])
    return float(np.nanmax(numbers) - np.nanmin(numbers)) if np.isfinite(numbers).any() else 0.0


def _name_once(traces: list[dict[str, Any]]) -> None:
    """Let marks of one name be one entry of the legend."""
    seen: set[str] = set()
    for trace in traces:
        trace |= {"legendgroup": trace["name"], "showlegend": trace["name"] not in seen}
        seen.add(trace["name"])


def _height(picture: Picture) -> int:
    lanes = any(isinstance(mark, Heat | Spans) for mark in picture.marks)
    span = y_range(picture)
    rows = abs(span[1] - span[0]) if lanes and span else 0.0
    return int(min(max(_HEIGHT, _AROUND + _ROW * rows), _HIGHEST))


def _hover(
    across: Axis, name: str, field: str, values: Any, unit: str, positions: Any = None
) -> str:
    form = "" if across.names or positions is None else f":{_format(positions)}"
    where = f"{_plain(across.label)} %{{x{form}}} {_plain(across.unit)}".rstrip()
    return f"{where}<br>{_valued(name, field, values, unit)}"


def _valued(name: str, field: str, values: Any, unit: str) -> str:
    told = f"{_plain(name)}: %{{{field}:{_format(values)}}} {_plain(unit)}".rstrip()
    # Without plotly's own box beside, which repeats the name.
    return f"{told}<extra></extra>"


def _fill(look: Look, bars: int) -> dict[str, Any]:
    fill: dict[str, Any] = {"color": look.colour, "line": {"width": 0}}
    if bars <= PLAIN_BARS:
        fill["pattern"] = {"shape": look.hatch, "fillmode": "overlay", "size": 8, "solidity": 0.2}
    return fill


def _dash(look: Look) -> dict[str, str]:
    lengths = ",".join(f"{length * _WIDTH:g}px" for length in look.dash)
    return {"dash": lengths or "solid"}


def _format(values: Any) -> str:
    """Return d3's format that shows such values: whole ones whole, large ones without a power."""
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if np.all(numbers == np.floor(numbers)):
        return ",d"
    return ",.2f" if np.abs(numbers).max() >= 1e5 else ",.6~g"


def _numbers(values: npt.NDArray[Any]) -> dict[str, str] | list[Any]:
    """Return an array as plotly reads it, exactly, in as few bytes as do."""
    if not values.size:
        return list(values.tolist())
    kind, stored = "f8", values.astype("<f8")
    if np.array_equal(stored, np.floor(stored)):
        most = np.abs(stored).max()
        kind = next((name for name, limit in _WHOLE.items() if most < limit), kind)
        stored = stored.astype(f"<{kind}")
    made = {"dtype": kind, "bdata": base64.b64encode(stored.tobytes()).decode()}
    return made if values.ndim == 1 else made | {"shape": ", ".join(map(str, values.shape))}


def _plain(text: str) -> str:
    """Return the text such that plotly reads no markup in it."""
    return html.escape(text, quote=False).replace("%{", "%\u2060{")
