"""What a page's script is given holds the picture's own numbers, in plotly's terms."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import numpy as np
import picture_samples as samples
import pytest
from picture_samples import picture

from moeopt.core.errors import AdapterError
from moeopt.report.interactive import figure, script, theme
from moeopt.report.picture import Axis, Bars, Level, Line, Mark, Points, Spans
from moeopt.report.style import DARK, HEAT, LIGHT, LOOKS


def numbers(stored: Any) -> Any:
    """Return an array from plotly's form."""
    if isinstance(stored, list):
        return np.array(stored)
    array = np.frombuffer(base64.b64decode(stored["bdata"]), dtype=f"<{stored['dtype']}")
    return array.reshape([int(side) for side in stored.get("shape", "-1").split(",")])


def same(stored: Any, expected: Any) -> None:
    """Check that an array in plotly's form holds exactly these numbers."""
    np.testing.assert_array_equal(numbers(stored), np.asarray(expected))


@pytest.mark.parametrize("name", samples.EVERY)
def test_plotly_knows_every_field(name: str) -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    made = figure(samples.EVERY[name])
    read = json.loads(json.dumps(made, allow_nan=False))
    assert read == made
    # Raises for a field or a value that plotly does not know.
    assert len(graph_objects.Figure(read).data) == len(made["data"])
    graph_objects.Figure(layout=theme(True))


def test_bars_side_by_side_have_the_heights() -> None:
    before, plan = figure(samples.BARS)["data"]
    same(before["y"], [7.1, 2e5 / 3, 0.0])
    same(plan["y"], [4, 5, 6])
    same(before["x"], [0, 1, 2])
    assert (before["offset"], before["width"], plan["offset"], plan["width"]) == (-0.4, 0.4, 0, 0.4)
    assert before["marker"]["color"] == LOOKS["before"].colour
    assert before["marker"]["pattern"]["shape"] == "/"
    assert before["hovertemplate"] == ("device %{x}<br>before: %{y:,.6~g} tokens<extra></extra>")
    assert "%{y:,d} tokens" in plan["hovertemplate"]


def test_bars_with_a_base_stand_on_it_and_tell_their_own_height() -> None:
    gate, experts = figure(samples.STACKED)["data"]
    same(experts["base"], [1.25, 2.5])
    same(experts["y"], [0.1, 0.2])
    same(experts["customdata"], [0.1, 0.2])
    assert gate["offset"] == experts["offset"]
    assert "base" not in gate
    assert "experts: %{customdata:,.6~g} US$" in experts["hovertemplate"]


def test_lines_have_the_points_and_break_where_nothing_is_known() -> None:
    front, rival = figure(samples.LINES)["data"]
    same(front["x"], [1, 2, 3, 4])
    same(front["y"], [0.9, np.nan, 0.4, 1 / 3])
    assert (front["line"]["shape"], rival["line"]["shape"]) == ("hv", "linear")
    assert (front["mode"], rival["mode"]) == ("lines", "lines+markers")
    assert front["line"]["dash"] == "solid"
    assert rival["line"]["dash"].count("px") == len(LOOKS["rival"].dash)


def test_a_line_of_one_point_is_seen() -> None:
    (line,) = figure(picture(Line(name="a", role="bound", x=[0], y=[1])))["data"]
    assert line["mode"] == "lines+markers"


def test_points_have_their_texts_and_no_markup_of_others() -> None:
    made = figure(samples.POINTS)
    (points,) = made["data"]
    same(points["x"], [128, 3008])
    same(points["y"], [0.1, 12.5])
    assert points["text"] == ["$1 to $2", "&lt;b&gt;b&lt;/b&gt;"]
    assert points["textposition"] == ["top right", "top left"]
    assert [made["layout"][axis]["type"] for axis in ("xaxis", "yaxis")] == ["log", "log"]
    assert "memory %{x:,d} MB<br>ways: %{y:,.6~g} s" in points["hovertemplate"]


def test_a_point_by_itself_and_stars_stand_out() -> None:
    line = Line(name="front", role="plan", x=[0, 1], y=[1, 1], points=True)
    rival = Points(name="rival", role="rival", x=[0, 1], y=[1, 1])
    best = Points(name="best", role="best", x=[0], y=[1])
    front, plain, star = (trace["marker"] for trace in figure(picture(line, rival, best))["data"])
    assert front["size"] < plain["size"] < star["size"]
    assert star["size"] > 2 * front["size"]
    assert (star["symbol"], star["line"], "line" in front) == ("star", {"width": 1}, False)
    # In the colour of what is behind.
    edge = theme(True)["template"]["data"]["scatter"][0]["marker"]["line"]
    assert edge == {"color": DARK.paper}


def test_a_level_crosses_the_whole_picture() -> None:
    layout = figure(samples.BARS)["layout"]
    (level,) = layout["shapes"]
    assert (level["y0"], level["y1"], level["x0"], level["x1"]) == (4.125, 4.125, 0, 1)
    assert level["xref"] == "x domain"
    assert level["name"] == "bound: 4.125 tokens"
    assert layout["showlegend"]
    assert level["showlegend"]


@pytest.mark.parametrize(("from_zero", "room"), [(False, [96.0, 104.0]), (True, [104.0])])
def test_a_level_beyond_all_else_has_room(from_zero: bool, room: list[float]) -> None:
    top = Level(name="limit", role="bound", value=100.0)
    line = Line(name="a", role="plan", x=[0, 1], y=[0, 50])
    axis = Axis(label="load", from_zero=from_zero)
    layout = figure(picture(top, line, y=axis))["layout"]
    assert layout["yaxis"]["autorangeoptions"] == {"include": room}


def test_a_map_of_few_whole_numbers_has_a_colour_for_each() -> None:
    made = figure(samples.COPIES)
    (heat,) = made["data"]
    same(heat["z"], [[0, 1, 2], [3, 0, 1]])
    assert (heat["zmin"], heat["zmax"]) == (-0.5, 3.5)
    edges, colours = zip(*heat["colorscale"], strict=True)
    assert list(edges) == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1]
    assert colours[0] == colours[1] == "rgba(0,0,0,0)"
    assert colours[-1] == HEAT[-1]
    assert made["layout"]["yaxis"]["range"] == [1.5, -0.5]
    assert "expert %{x}<br>device %{y}<br>copies: %{z:,d}<extra>" in heat["hovertemplate"]


def test_a_map_of_other_numbers_has_a_scale_from_zero_with_its_unit() -> None:
    (heat,) = figure(samples.BYTES)["data"]
    same(heat["z"], [[0.0, 0.1], [1e3 / 3, 1e-7]])
    assert (heat["zmin"], heat["zmax"]) == (0, 1e3 / 3)
    assert [colour for _, colour in heat["colorscale"]] == ["rgba(0,0,0,0)", *HEAT]
    # So little is drawn as few, not as nothing.
    assert heat["colorscale"][1][0] < 1e-7 / 1e3
    assert heat["colorbar"]["title"]["text"] == "sent (MB)"
    assert heat["hovertemplate"].endswith("sent: %{z:,.6~g} MB<extra></extra>")


def test_spans_have_starts_ends_and_lanes_and_frames_where_marked() -> None:
    made = figure(samples.SPANS)
    transfer, compute = made["data"]
    same(transfer["base"], [0.1, 0.2, 1 / 3])
    np.testing.assert_allclose(
        numbers(transfer["base"]) + numbers(transfer["x"]), [0.7, 0.3, 0.9], rtol=1e-15
    )
    same(transfer["y"], [0, 1, 1])
    same(transfer["marker"]["line"]["width"], [0, 3, 0])
    assert compute["marker"]["line"]["width"] == 0
    assert transfer["hovertext"] == ["a", "b", "c"]
    assert "%{base:,.6~g} to %{x:,.6~g} ms" in transfer["hovertemplate"]
    assert made["layout"]["yaxis"]["range"] == [2.6, -0.6]
    assert made["layout"]["xaxis"]["rangemode"] == "tozero"


def test_axes_have_their_units_and_names() -> None:
    layout = figure(samples.BARS)["layout"]
    assert layout["yaxis"]["title"]["text"] == "load (tokens)"
    assert layout["yaxis"]["rangemode"] == "tozero"
    names = {"0": "gpu 0", "1": "gpu 1", "2": "gpu $2$"}
    assert layout["xaxis"]["labelalias"] == names
    assert layout["xaxis"]["dtick"] == 1
    assert "title" not in layout
    assert "width" not in layout


def test_of_many_names_some_are_shown() -> None:
    axis = Axis(label="device", names=tuple(f"gpu {i}" for i in range(2000)))
    shown = figure(picture(x=axis))["layout"]["xaxis"]
    assert shown["dtick"] == 84
    # As plotly writes the numbers that the names stand for.
    assert shown["labelalias"]["1,999"] == "gpu 1999"
    assert (shown["tickformat"], shown["hoverformat"]) == (",d", ",d")


@pytest.mark.parametrize(("last", "step"), [(10, 1), (11, None)])
def test_whole_axes_have_whole_ticks(last: int, step: int | None) -> None:
    line = Line(name="a", role="plan", x=[0, last], y=[0, 1])
    axis = figure(picture(line, x=Axis(label="layer", whole=True)))["layout"]["xaxis"]
    assert axis.get("dtick") == step
    assert axis["nticks"] == 10


def test_marks_of_one_name_are_told_once() -> None:
    twice = [Bars(name="copy", role="first", x=[0], height=[i]) for i in (1, 2)]
    made = figure(picture(*twice))
    assert [trace["showlegend"] for trace in made["data"]] == [True, False]
    assert not made["layout"]["showlegend"]
    assert figure(picture(*twice, Level(name="a", role="bound", value=0)))["layout"]["showlegend"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([-127, 127], "i1"),
        ([0, 128], "i2"),
        ([0, -32768], "i4"),
        ([0, 2**31 - 1], "i4"),
        ([0, 2**31], "f8"),
        ([0, 0.5], "f8"),
        ([0, np.nan], "f8"),
        ([0, np.inf], "f8"),
    ],
)
def test_numbers_are_stored_exactly_in_few_bytes(values: list[float], kind: str) -> None:
    (line,) = figure(picture(Line(name="a", role="plan", x=[0, 1], y=values)))["data"]
    assert line["y"]["dtype"] == kind
    same(line["y"], values)


@pytest.mark.parametrize("name", samples.EMPTY)
@pytest.mark.parametrize("log", [False, True])
def test_marks_of_nothing_are_shown(name: str, log: bool) -> None:
    axis = Axis(label="some", log=log, whole=True)
    made = figure(picture(samples.EMPTY[name], x=axis, y=axis))
    assert len(made["data"]) == 1
    json.dumps(made, allow_nan=False)


def test_thousands_of_bars_are_small() -> None:
    draw = np.random.default_rng(1)
    start = draw.random(4000)
    bars: Mark = Spans(
        name="transfer",
        role="second",
        lane=draw.integers(0, 64, 4000),
        start=start,
        end=start + draw.random(4000),
        texts=tuple(f"from {i % 64} to {i // 64}: {i} MB" for i in range(4000)),
        marked=np.arange(4000) == 7,
    )
    made = figure(picture(bars))
    assert len(json.dumps(made)) < 300_000
    assert "pattern" not in made["data"][0]["marker"]
    assert made["layout"]["height"] == 900


def test_themes_change_what_is_no_mark() -> None:
    light, dark = theme(False)["template"], theme(True)["template"]
    assert light["layout"]["font"]["color"] == LIGHT.ink
    assert dark["layout"]["font"]["color"] == DARK.ink
    assert dark["data"]["bar"][0]["marker"]["line"]["color"] == DARK.ink
    assert figure(samples.BARS)["layout"]["template"] == light
    # The page's own colour is behind.
    assert dark["layout"]["paper_bgcolor"] == dark["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"


def test_names_hold_no_templates() -> None:
    (trace,) = figure(picture(Bars(name="%{x} & co", role="plan", x=[0], height=[1])))["data"]
    assert trace["hovertemplate"].count("%{") == 2
    assert trace["name"].endswith("&amp; co")


def test_figures_need_no_plotly_but_the_script_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert len(figure(samples.BARS)["data"]) == 2
    with pytest.raises(AdapterError, match=r"plotly.*pip install 'moeopt\[plot\]'"):
        script()


def test_the_script_is_plotlys() -> None:
    pytest.importorskip("plotly")
    assert "plotly.js v" in script()[:200]
