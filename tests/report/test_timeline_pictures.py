"""The pictures of a layer's time: every bar is a phase, and what is outlined is as long as it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from picture_bars import bars_of, covered, overlap

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.report.timeline import (
    MOST_DEVICES,
    interleaved_timeline,
    interleaved_timeline_picture,
    layer_timeline,
    layer_timeline_picture,
)
from moeopt.timeline import Exchange, LayerTime, interleaved, interleaved_alone


def layer_of(rows: FloatArray) -> LayerTime:
    """Return a layer of gate, sent, received, experts, sent, received, aggregation."""
    return LayerTime(rows[0], Exchange(*rows[1:3]), rows[3], Exchange(*rows[4:6]), rows[6])


def one_device(gate: float, transfer: float, compute: float, aggregation: float) -> LayerTime:
    rows = [gate, transfer, transfer, compute, transfer, transfer, aggregation]
    return layer_of(np.array(rows)[:, None])


#: Aurora's Table 2 with an idle network: a round of 19, of which the paper's formula leaves out 3.
TABLE_2 = [one_device(1.0, 4.0, 6.0, 1.0), one_device(1.0, 3.0, 3.0, 1.0)]


@st.composite
def tables(draw: st.DrawFn, *, least: int = 1) -> FloatArray:
    """Draw ``(models, 7, devices)`` whole seconds, so that sums are exact."""
    shape = (draw(st.integers(least, 4)), 7, draw(st.integers(1, 3)))
    return draw(arrays(np.float64, shape, elements=st.integers(0, 20).map(float)))


def test_the_paper_s_exclusive_layer() -> None:
    # Identity 8 of the paper's notes: 1 + 4 + 3 + 4 + 1.
    picture = layer_timeline_picture(one_device(1.0, 4.0, 3.0, 1.0))
    assert [(bar.group, bar.start, bar.end) for bar in bars_of(picture)] == [
        ("gate", 0, 1),
        ("dispatch", 1, 5),
        ("compute", 5, 8),
        ("combine", 8, 12),
        ("aggregation", 12, 13),
    ]
    assert all(bar.marked for bar in bars_of(picture))
    assert picture.x.text == "time (s)"
    assert picture.says.startswith("It takes 13 s: gate (device 0 computes) 1 s (8 %), dispatch")
    assert picture.says.endswith("Devices compute 38 % of the time.")  # 5 of 13


def test_a_device_that_is_not_the_slowest_waits() -> None:
    rows = np.zeros((7, 2))
    rows[3], rows[1] = [2.0, 6.0], [3.0, 1.0]
    bars = bars_of(layer_timeline_picture(layer_of(rows * 1e-3)))
    assert [(bar.lane, bar.start, bar.end, bar.marked) for bar in bars] == [
        (0, 0, 3, True),
        (0, 3, 5, False),
        (1, 0, 1, False),
        (1, 3, 9, True),
    ]


@given(tables())
def test_of_a_layer_by_itself_every_phase_is_there_and_the_outlined_fill_its_time(
    table: FloatArray,
) -> None:
    layer = layer_of(table[0] * 60.0)
    bars = bars_of(layer_timeline_picture(layer))
    assert overlap(bars) <= 0
    assert covered([bar for bar in bars if bar.marked]) == pytest.approx(float(layer.total_s))
    for phase in ("gate", "dispatch", "compute", "combine", "aggregation"):
        drawn = sum(bar.end - bar.start for bar in bars if bar.group == phase)
        assert drawn == pytest.approx(float(getattr(layer, f"{phase}_s").sum()))


def test_the_paper_s_table_2_with_an_idle_network() -> None:
    picture = interleaved_timeline_picture(interleaved(TABLE_2), models=["a", "b"])
    assert picture.y.names == ("device 0", "network: a", "network: b")
    told = [(b.lane, b.text, b.start, b.end) for b in bars_of(picture)]
    assert told == [
        (0, "gate", 0, 1),  # of b
        (0, "compute", 4, 10),
        (0, "compute", 10, 13),
        (0, "aggregation", 14, 15),
        (0, "aggregation", 17, 18),
        (0, "gate", 18, 19),  # of a's next layer
        (1, "dispatch", 0, 4),
        (1, "combine", 10, 14),
        (2, "dispatch", 1, 7),
        (2, "combine", 13, 17),
    ]
    outlined = [(b.start, b.end, b.group) for b in bars_of(picture) if b.marked]
    assert sorted(outlined) == [
        (0, 4, "a"),
        (4, 10, "a"),
        (10, 14, "a"),
        (13, 17, "b"),
        (17, 18, "b"),
        (18, 19, "a"),
    ]
    assert "combine of a and b (device 0 sends) 7 s (37 %)" in picture.says


@given(tables(least=2))
def test_the_outlined_chain_is_as_long_as_the_round(table: FloatArray) -> None:
    found = interleaved([layer_of(rows * 60.0) for rows in table])
    bars = bars_of(interleaved_timeline_picture(found))
    chain = [bar for bar in bars if bar.marked]
    total = float(found.total_s)
    assert covered(chain) == pytest.approx(total)
    assert max((bar.end for bar in bars), default=0.0) == pytest.approx(total)
    devices = [bar for bar in bars if bar.lane < table.shape[2]]
    assert overlap(devices) <= 0
    computing = sum(bar.end - bar.start for bar in devices)
    share = float(found.utilisation.sum())
    assert computing == pytest.approx(share * total)


def test_where_only_maxima_are_known_there_is_one_lane() -> None:
    found = replace(interleaved(TABLE_2), layers=())
    picture = interleaved_timeline_picture(found)
    assert picture.y.names == ("devices", "network: model 0", "network: model 1")
    assert covered([bar for bar in bars_of(picture) if bar.marked]) == 19


def test_one_of_several_layers_is_chosen_by_its_index() -> None:
    layers = [layer.mapped(lambda x: np.stack([x, 2 * x])) for layer in TABLE_2]
    for index, total in ((0, 19), (1, 38)):
        bars = bars_of(interleaved_timeline_picture(interleaved(layers), index))
        assert max(bar.end for bar in bars) == total
    alone = interleaved_alone(layers)
    assert interleaved_timeline_picture(alone, 1, 0).y.names[0] == "device 0"
    assert bars_of(layer_timeline_picture(layers[0], 1))[-1].end == 32
    with pytest.raises(InstanceError, match="one index for each leading axis"):
        layer_timeline_picture(layers[0])


def test_of_many_devices_those_that_set_the_time_are_always_shown() -> None:
    rows = np.ones((7, MOST_DEVICES + 8))
    rows[1, 3] = 5.0  # only its port is slow
    rows[3] += np.arange(len(rows[3]))
    layer = layer_of(rows)
    picture = layer_timeline_picture(layer)
    assert len(picture.y.names) == MOST_DEVICES
    assert "3" in picture.y.names
    assert f"{MOST_DEVICES} of {MOST_DEVICES + 8} devices" in picture.says
    shown = covered([bar for bar in bars_of(picture) if bar.marked])
    assert shown == pytest.approx(float(layer.total_s))
    found = interleaved([layer, layer])
    picture = interleaved_timeline_picture(found)
    assert covered([bar for bar in bars_of(picture) if bar.marked]) == float(found.total_s)


def test_what_takes_no_time_has_no_bars() -> None:
    picture = layer_timeline_picture(one_device(0.0, 0.0, 0.0, 0.0))
    assert bars_of(picture) == []
    assert picture.says.startswith("It takes no time.")


def test_they_are_drawn_on_the_axes_that_are_given() -> None:
    figures = pytest.importorskip("matplotlib.figure")
    for drawn in (
        lambda ax: layer_timeline(TABLE_2[0], ax=ax),
        lambda ax: interleaved_timeline(interleaved(TABLE_2), models=["a", "b"], ax=ax),
    ):
        ax = figures.Figure().subplots()
        assert drawn(ax) is ax
        assert ax.get_xlabel() == "time (s)"
