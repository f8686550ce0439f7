"""What matplotlib draws holds the picture's own numbers, and reads well."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import picture_samples as samples
import pytest
from picture_samples import picture

from moeopt.core.errors import AdapterError, InstanceError
from moeopt.report.drawing import draw, save
from moeopt.report.picture import Axis, Bars, Heat, Level, Line, Points, Spans
from moeopt.report.style import DARK, HEAT, LOOKS, heat_colour

matplotlib = pytest.importorskip("matplotlib")
images = pytest.importorskip("matplotlib.image")
pyplot = pytest.importorskip("matplotlib.pyplot")
colours = pytest.importorskip("matplotlib.colors")


@pytest.fixture
def ax() -> Any:
    """Give axes of a figure that is not pyplot's."""
    return matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained").subplots()


@pytest.fixture(autouse=True)
def _no_figures() -> Iterator[None]:
    with matplotlib.rc_context({"backend": "agg"}):
        yield
    pyplot.close("all")


def names_at(axis: Any) -> list[str]:
    """Return what is written at an axis' ticks."""
    return [text.get_text() for text in axis.get_ticklabels()]


def test_bars_side_by_side_have_the_heights_and_touch_no_others(ax: Any) -> None:
    draw(samples.BARS, ax)
    before, plan = ax.containers
    assert [bar.get_height() for bar in before] == [7.1, 2e5 / 3, 0.0]
    assert [bar.get_height() for bar in plan] == [4, 5, 6]
    left = [[bar.get_x() for bar in bars] for bars in (before, plan)]
    np.testing.assert_allclose(left, [[-0.4, 0.6, 1.6], [0.0, 1.0, 2.0]])
    assert {bar.get_width() for bars in (before, plan) for bar in bars} == {0.4}
    assert colours.same_color(before[0].get_facecolor(), LOOKS["before"].colour)


def test_bars_with_a_base_stand_on_it(ax: Any) -> None:
    draw(samples.STACKED, ax)
    gate, experts = ax.containers
    assert [(bar.get_y(), bar.get_height()) for bar in gate] == [(0, 1.25), (0, 2.5)]
    assert [bar.get_y() for bar in experts] == [1.25, 2.5]
    np.testing.assert_allclose([bar.get_height() for bar in experts], [0.1, 0.2], rtol=1e-14)
    assert [bar.get_x() for bar in gate] == [bar.get_x() for bar in experts] == [-0.4, 0.6]


def test_stacks_stand_side_by_side(ax: Any) -> None:
    stacks = [
        Bars(name=f"{stack}{part}", role="first", x=[0, 10], height=[1, 2], base=base)
        for stack in "ab"
        for part, base in (("below", None), ("above", [1, 2]))
    ]
    draw(picture(*stacks), ax)
    left = [bars[0].get_x() for bars in ax.containers]
    np.testing.assert_allclose(left, [-4, -4, 0, 0])


def test_lines_have_the_points_and_break_where_nothing_is_known(ax: Any) -> None:
    draw(samples.LINES, ax)
    front, rival = ax.lines
    np.testing.assert_array_equal(front.get_xydata().T, [[1, 2, 3, 4], [0.9, np.nan, 0.4, 1 / 3]])
    assert (front.get_drawstyle(), rival.get_drawstyle()) == ("steps-post", "default")
    assert (front.get_marker(), rival.get_marker()) == ("", LOOKS["rival"].marker)
    np.testing.assert_array_equal(rival.get_xydata(), [[1, 5], [4, 6]])


def test_a_line_of_one_point_is_seen(ax: Any) -> None:
    draw(picture(Line(name="bound", role="bound", x=[0], y=[1])), ax)
    assert ax.lines[0].get_marker() == LOOKS["bound"].marker


def test_points_have_their_texts_beside_them(ax: Any) -> None:
    draw(samples.POINTS, ax)
    (points,) = ax.lines
    np.testing.assert_array_equal(points.get_xydata(), [[128, 0.1], [3008, 12.5]])
    assert points.get_linestyle() == "None"
    assert [(text.get_text(), text.xy) for text in ax.texts] == [
        (r"\$1 to \$2", (128, 0.1)),
        ("<b>b</b>", (3008, 12.5)),
    ]
    # Those on the right stand on the left, within the picture.
    assert [text.get_ha() for text in ax.texts] == ["left", "right"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_a_point_by_itself_and_stars_stand_out(ax: Any) -> None:
    line = Line(name="front", role="plan", x=[0, 1], y=[1, 1], points=True)
    points = [
        Points(name=f"{role} {len(x)}", role=role, x=x, y=[1] * len(x))
        for role in ("rival", "best")
        for x in ([0, 1], [0])
    ]
    draw(picture(line, *points), ax)
    sizes = [drawn.get_markersize() for drawn in ax.lines]
    front, rivals, rival, stars, star = sizes
    assert front < rivals < rival
    assert rivals < stars < star
    assert star > 2 * front
    # Set off from what they stand on.
    assert all(colours.same_color(drawn.get_markeredgecolor(), "w") for drawn in ax.lines[1:])
    order = [drawn.get_zorder() for drawn in ax.lines]
    assert order == sorted(order)


def test_a_level_is_told_with_its_value(ax: Any) -> None:
    draw(samples.BARS, ax)
    (level,) = ax.lines
    assert list(level.get_ydata()) == [4.125, 4.125]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["before", "this plan", "bound: 4.125 tokens"]


def test_the_legend_covers_no_data(ax: Any) -> None:
    draw(samples.BARS, ax)
    ax.figure.draw_without_rendering()
    legend, title = ax.get_legend().get_window_extent(), ax.get_title(loc="left")
    assert title == "Some marks"
    assert legend.y0 >= ax.get_window_extent().y1 - 1
    assert ax._left_title.get_window_extent().y0 >= legend.y1 - 4


def test_names_that_fit_in_a_row_are_in_one() -> None:
    marks = [Level(name=name, role="plan", value=1.0) for name in ("a", "b", "c" * 20, "d")]
    rows = {}
    for width in (12, 6, 3):
        ax = matplotlib.figure.Figure(figsize=(width, 3)).subplots()
        draw(picture(*marks), ax)
        ax.figure.draw_without_rendering()
        texts = ax.get_legend().get_texts()
        rows[width] = len({round(text.get_window_extent().y0) for text in texts})
        assert ax.get_legend().get_window_extent().width < ax.bbox.width
    assert rows == {12: 1, 6: 2, 3: 4}


def test_a_single_mark_needs_no_legend(ax: Any) -> None:
    draw(samples.POINTS, ax)
    assert ax.get_legend() is None


def test_a_map_of_few_whole_numbers_has_a_colour_for_each(ax: Any) -> None:
    draw(samples.COPIES, ax)
    (shown,) = ax.images
    values = np.array([[0, 1, 2], [3, 0, 1]])
    np.testing.assert_array_equal(shown.get_array().filled(0), values)
    cells = shown.to_rgba(shown.get_array())
    np.testing.assert_array_equal(cells[..., 3], values > 0)
    assert colours.to_hex(cells[0, 1]) == heat_colour(1 / 3)
    assert colours.to_hex(cells[1, 0]) == HEAT[-1]
    assert list(shown.colorbar.get_ticks()) == [1, 2, 3]
    assert (*ax.get_xlim(), *ax.get_ylim()) == (-0.5, 2.5, 1.5, -0.5)


def test_a_map_of_other_numbers_has_a_scale_from_zero_with_its_unit(ax: Any) -> None:
    draw(samples.BYTES, ax)
    (shown,) = ax.images
    values = [[0.0, 0.1], [1e3 / 3, 1e-7]]
    np.testing.assert_array_equal(shown.get_array().filled(0), values)
    assert (shown.norm.vmin, shown.norm.vmax) == (0, 1e3 / 3)
    cells = shown.to_rgba(shown.get_array())
    assert cells[0, 0, 3] == 0
    assert colours.to_hex(cells[1, 1]) == HEAT[0]
    assert colours.to_hex(cells[1, 0]) == HEAT[-1]
    assert shown.colorbar.ax.get_ylabel() == "sent (MB)"


def test_spans_have_starts_ends_and_lanes_and_frames_where_marked(ax: Any) -> None:
    draw(samples.SPANS, ax)
    transfer, frame, compute = ax.collections
    corners = np.array([path.vertices[:4] for path in transfer.get_paths()])
    np.testing.assert_array_equal(corners[:, 0, 0], [0.1, 0.2, 1 / 3])
    np.testing.assert_array_equal(corners[:, 2, 0], [0.7, 0.3, 0.9])
    np.testing.assert_array_equal(corners[:, [0, 2], 1].mean(axis=1), [0, 1, 1])
    np.testing.assert_array_equal(frame.get_paths()[0].vertices[:2, 0], [0.2, 0.3])
    assert len(frame.get_paths()) == len(compute.get_paths()) == 1
    assert frame.get_linewidth()[0] > 2 > transfer.get_linewidth()[0]
    assert frame.get_facecolor().size == 0
    # The first lane is on top.
    assert ax.get_ylim() == (2.6, -0.6)
    assert ax.get_xlim()[0] <= 0


def test_axes_have_their_units(ax: Any) -> None:
    draw(samples.BARS, ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("device", "load (tokens)")


def test_names_stand_at_their_positions(ax: Any) -> None:
    draw(samples.BARS, ax)
    assert list(ax.get_xticks()) == [0, 1, 2]
    assert names_at(ax.xaxis) == ["gpu 0", "gpu 1", r"gpu \$2\$"]


def test_of_many_names_some_are_shown(ax: Any) -> None:
    axis = Axis(label="device", names=tuple(f"gpu {i}" for i in range(100)))
    draw(picture(Bars(name="load", role="plan", x=[99], height=[1]), x=axis), ax)
    assert list(ax.get_xticks()) == list(range(0, 100, 5))
    assert names_at(ax.xaxis)[-1] == "gpu 95"
    assert ax.get_xlim() == (-0.6, 99.6)


def test_names_of_a_small_picture_are_fewer_and_touch_no_others() -> None:
    ax = matplotlib.figure.Figure(figsize=(3, 2)).subplots()
    axis = Axis(label="expert", names=tuple(f"expert {i}" for i in range(100)))
    draw(picture(x=axis, y=axis), ax)
    ax.figure.draw_without_rendering()
    assert {text.get_rotation() for text in ax.get_xticklabels()} == {40}
    up = [text.get_window_extent() for text in ax.get_yticklabels()]
    assert len(up) > 3
    assert all(below.y1 < above.y0 for below, above in pairwise(up))
    across = [text.get_window_extent() for text in ax.get_xticklabels()]
    height = min(text.get_window_extent().height for text in ax.get_yticklabels())
    assert all(right.x1 - left.x1 > height for left, right in pairwise(across))


def test_whole_axes_have_whole_ticks(ax: Any) -> None:
    line = Line(name="slots", role="plan", x=[0, 1, 2], y=[3, 4, 5])
    draw(picture(line, x=Axis(label="layer", whole=True), y=Axis(label="slots", whole=True)), ax)
    ticks = np.concatenate([ax.get_xticks(), ax.get_yticks()])
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_zero_is_in_sight_where_it_must_be(ax: Any) -> None:
    line = Line(name="load", role="plan", x=[0, 1], y=[1000.0, 1001.0])
    draw(picture(line, y=Axis(label="load", from_zero=True)), ax)
    assert ax.get_ylim()[0] == 0


def test_an_axis_of_nothing_but_zeros_starts_there(ax: Any) -> None:
    bars = Bars(name="load", role="plan", x=[0, 1], height=[0, 0])
    draw(picture(bars, y=Axis(label="load", from_zero=True)), ax)
    assert ax.get_ylim()[0] == 0 < ax.get_ylim()[1]


def test_a_short_logarithmic_axis_has_plain_numbers(ax: Any) -> None:
    draw(samples.POINTS, ax)
    ax.figure.draw_without_rendering()
    assert {"200", "500", "1,000"} <= set(names_at(ax.xaxis))


def test_it_returns_the_axes_that_it_was_given(ax: Any) -> None:
    assert draw(samples.LINES, ax) is ax


def test_without_axes_it_draws_on_a_new_figure_of_pyplots() -> None:
    drawn = draw(samples.LINES)
    assert pyplot.get_fignums() == [drawn.figure.number]
    assert pyplot.gca() is drawn


def test_two_pictures_on_the_same_axes_share_a_legend(ax: Any) -> None:
    draw(samples.LINES, ax)
    draw(picture(Line(name="third", role="third", x=[0], y=[1])), ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(names) == ["front", "rival", "third"]


def test_marks_of_one_name_are_told_once(ax: Any) -> None:
    twice = [Spans(name="copy", role="first", lane=[0], start=[i], end=[i + 1]) for i in (0, 2)]
    draw(picture(*twice, Level(name="deadline", role="bound", value=0.0)), ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["copy", "deadline: 0"]


@pytest.mark.parametrize("name", samples.EMPTY)
@pytest.mark.parametrize("log", [False, True])
def test_marks_of_nothing_are_drawn(name: str, log: bool, ax: Any) -> None:
    mark = samples.EMPTY[name]
    axis = Axis(label="some", log=log and not isinstance(mark, Heat), from_zero=True)
    draw(picture(mark, x=axis, y=axis), ax)
    ax.figure.draw_without_rendering()
    assert ax.get_title(loc="left") == "Some marks"


def test_thousands_of_bars_are_plain(ax: Any) -> None:
    lane, start = np.arange(4000) % 16, np.arange(4000) // 16
    draw(picture(Spans(name="a", role="second", lane=lane, start=start, end=start + 0.9)), ax)
    (bars,) = ax.collections
    assert len(bars.get_paths()) == 4000
    assert bars.get_hatch() is None
    assert bars.get_linewidth()[0] == 0


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_picture_gives_the_same_file(kind: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        with pyplot.rc_context({"font.size": 20 if name == "two" else 8}):
            save(samples.BARS, tmp_path / f"{name}.{kind}")
    one, two = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    # Nothing stays behind: neither figures nor temporary files.
    assert pyplot.get_fignums() == []
    assert len(list(tmp_path.iterdir())) == 2


def test_files_for_light_and_for_dark_pages(tmp_path: Path) -> None:
    for dark, paper in ((False, "#ffffff"), (True, DARK.paper)):
        save(samples.BARS, tmp_path / "a.png", dark=dark)
        pixels = images.imread(tmp_path / "a.png")
        assert pixels.shape[:2] == (495, 880)
        assert colours.to_hex(pixels[0, 0]) == paper


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"^path: must end in \.png, \.svg or \.pdf") as caught:
        save(samples.BARS, tmp_path / "a.gif")
    assert caught.value.value == str(tmp_path / "a.gif")


@pytest.mark.parametrize("action", [draw, lambda some: save(some, "a.png")], ids=["draw", "save"])
def test_without_matplotlib_it_says_what_to_install(
    action: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(AdapterError, match=r"matplotlib.*pip install 'moeopt\[plot\]'"):
        action(samples.BARS)


def test_what_is_behind_comes_first(ax: Any) -> None:
    heat = Heat(name="load", values=np.ones((2, 2)))
    points = Points(name="here", role="rival", x=[0], y=[1])
    drawn = draw(picture(heat, points), ax)
    assert drawn.images[0].get_zorder() < drawn.lines[0].get_zorder()
