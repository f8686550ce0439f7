"""The time of a layer that has its devices to itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from moeopt.core.errors import InstanceError
from moeopt.timeline import Exchange, LayerTime, Step, layer_time

SECONDS = st.integers(0, 20).map(float)


def equal_devices(gate: float, transfer: float, compute: float, aggregation: float) -> LayerTime:
    """Return a layer whose devices all take the same, dispatch and combine alike."""
    both = Exchange.even(np.full(3, transfer))
    return LayerTime(np.full(3, gate), both, np.full(3, compute), both, np.full(3, aggregation))


@st.composite
def layers(draw: st.DrawFn) -> LayerTime:
    """Draw a layer of whole seconds, so that sums are exact."""
    devices = draw(st.integers(1, 4))
    rows = draw(arrays(np.float64, (7, devices), elements=SECONDS))
    return LayerTime(rows[0], Exchange(*rows[1:3]), rows[3], Exchange(*rows[4:6]), rows[6])


@st.composite
def layer_inputs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what `layer_time` takes."""
    n = draw(st.integers(1, 4))
    amounts = st.floats(0.1, 100.0)

    def each() -> Any:
        return draw(arrays(np.float64, n, elements=amounts))

    return {
        "traffic_tokens": draw(arrays(np.float64, (n, n), elements=st.floats(0.0, 100.0))),
        "relative_speed": each(),
        "port_bytes_per_s": each(),
        "seconds_per_token": draw(amounts),
        "dispatch_bytes_per_token": draw(amounts),
        "combine_bytes_per_token": draw(amounts),
        "gate_s": each(),
        "aggregation_s": each(),
    }


def test_phases_of_a_small_layer() -> None:
    time = layer_time(
        np.array([[4.0, 2.0], [1.0, 3.0]]),
        relative_speed=np.array([1.0, 2.0]),
        port_bytes_per_s=np.array([10.0, 5.0]),
        seconds_per_token=0.1,
        dispatch_bytes_per_token=20.0,
        combine_bytes_per_token=10.0,
    )
    # Device 0 sends 2 and receives 1, device 1 the reverse: 2 tokens at each port.
    assert time.dispatch_s == pytest.approx([2 * 20 / 10, 2 * 20 / 5])
    assert time.combine_s == pytest.approx([2, 4])
    assert time.compute_s == pytest.approx([0.5, 0.25])
    assert time.total_s == pytest.approx(8 + 0.5 + 4)


def test_tokens_that_stay_are_served_but_not_sent() -> None:
    time = layer_time(
        np.diag([3.0, 5.0]),
        relative_speed=np.ones(2),
        port_bytes_per_s=np.ones(2),
        seconds_per_token=1.0,
        dispatch_bytes_per_token=1.0,
        combine_bytes_per_token=1.0,
    )
    assert time.dispatch_s == pytest.approx([0, 0])
    assert time.total_s == pytest.approx(5)


def test_leading_axes_are_kept() -> None:
    traffic = np.arange(24.0).reshape(3, 2, 2, 2)
    time = layer_time(
        traffic,
        relative_speed=np.ones(2),
        port_bytes_per_s=np.ones(2),
        seconds_per_token=1.0,
        dispatch_bytes_per_token=1.0,
        combine_bytes_per_token=0.0,
    )
    assert time.total_s.shape == (3, 2)
    # Largest of what is sent and received, 14, and the busier device's 13 + 15.
    assert time.total_s[1, 1] == pytest.approx(14 + 28)


def test_eq_3_by_hand() -> None:
    """``t = G + F_max + A + 2 b_max``: papers' worked example 8."""
    time = equal_devices(gate=1.0, transfer=4.0, compute=3.0, aggregation=1.0)
    assert time.total_s == 13
    # Equal devices: nothing is gained by going on early.
    assert time.overlapped_s == 13


def test_going_on_early_only_helps_where_different_devices_are_slow() -> None:
    busy = Exchange.even(np.array([1.0, 5.0]))
    time = LayerTime(np.array([4.0, 0.0]), busy, np.array([6.0, 1.0]), busy, np.array([1.0, 2.0]))
    assert time.total_s == 4 + 5 + 6 + 5 + 2
    assert time.overlapped_s == 5 + 7 + 2


def test_gate_and_aggregation_on_unequal_devices() -> None:
    time = layer_time(
        np.zeros((3, 2, 2)),
        relative_speed=np.array([1.0, 2.0]),
        port_bytes_per_s=np.ones(2),
        seconds_per_token=1.0,
        dispatch_bytes_per_token=1.0,
        combine_bytes_per_token=1.0,
        gate_s=6.0,
        aggregation_s=np.array([0.0, 4.0]),
    )
    np.testing.assert_array_equal(time.gate_s, [[6, 3]] * 3)
    np.testing.assert_array_equal(time.aggregation_s, [[0, 2]] * 3)
    np.testing.assert_array_equal(time.total_s, [8, 8, 8])


def test_combine_is_dispatch_reversed() -> None:
    time = layer_time(
        np.array([[0.0, 3.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]),
        relative_speed=np.ones(3),
        port_bytes_per_s=np.array([1.0, 1.0, 2.0]),
        seconds_per_token=1.0,
        dispatch_bytes_per_token=1.0,
        combine_bytes_per_token=2.0,
    )
    np.testing.assert_array_equal(time.dispatch.send_s, [4, 2, 0])
    np.testing.assert_array_equal(time.dispatch.receive_s, [0, 3, 1.5])
    np.testing.assert_array_equal(time.combine.send_s, 2 * time.dispatch.receive_s)
    np.testing.assert_array_equal(time.combine.receive_s, 2 * time.dispatch.send_s)
    np.testing.assert_array_equal(time.combine_s, 2 * time.dispatch_s)


def test_utilisation_counts_computation_only() -> None:
    time = equal_devices(gate=1.0, transfer=4.0, compute=3.0, aggregation=1.0)
    assert time.utilisation == pytest.approx([5 / 13] * 3)
    np.testing.assert_array_equal(equal_devices(0.0, 0.0, 0.0, 0.0).utilisation, [0, 0, 0])


def test_a_model_takes_the_sum_of_its_layers() -> None:
    traffic = np.arange(24.0).reshape(2, 3, 2, 2)

    def time(tokens: Any) -> LayerTime:
        one = {"seconds_per_token": 1.0, "dispatch_bytes_per_token": 1.0}
        ones = {"relative_speed": np.ones(2), "port_bytes_per_s": np.ones(2)}
        return layer_time(tokens, **one, **ones, combine_bytes_per_token=1.0, gate_s=1.0)

    np.testing.assert_array_equal(time(traffic).model_time_s, time(traffic).total_s.sum(axis=1))
    assert time(traffic[0, 0]).model_time_s == time(traffic[0, 0]).total_s


def test_the_slowest_device_of_each_phase_is_named() -> None:
    time = LayerTime(
        gate_s=np.array([0.0, 2.0, 1.0]),
        dispatch=Exchange(np.array([3.0, 1.0, 0.0]), np.array([0.0, 1.0, 4.0])),
        compute_s=np.array([7.0, 2.0, 2.0]),
        combine=Exchange(np.array([0.0, 5.0, 1.0]), np.array([4.0, 0.0, 0.0])),
        aggregation_s=np.zeros(3),
    )
    assert time.bottleneck() == (
        Step("gate", (0,), 1, None, 0.0, 2.0, 2 / 18),
        Step("dispatch", (0,), 2, "receives", 2.0, 6.0, 4 / 18),
        Step("compute", (0,), 0, None, 6.0, 13.0, 7 / 18),
        Step("combine", (0,), 1, "sends", 13.0, 18.0, 5 / 18),
    )
    assert time.bottleneck()[2].seconds == 7


def test_one_layer_of_several_is_explained() -> None:
    one = equal_devices(gate=1.0, transfer=4.0, compute=3.0, aggregation=1.0)
    several = one.mapped(lambda seconds: np.stack([seconds, 2 * seconds]))
    assert several.bottleneck(1)[-1].end_s == 26
    for index in [(), (2,), (0, 0)]:
        with pytest.raises(InstanceError, match="must name one of the times"):
            several.bottleneck(*index)


@given(layers())
def test_the_explanation_adds_up(layer: LayerTime) -> None:
    steps = layer.bottleneck()
    assert sum(step.seconds for step in steps) == layer.total_s
    assert not steps or sum(step.share for step in steps) == pytest.approx(1)
    for step in steps:
        seconds = getattr(layer, f"{step.phase}_s")
        assert seconds[step.device] == seconds.max() == step.seconds
        if step.direction:
            directions = getattr(layer, step.phase)
            way = {"sends": directions.send_s, "receives": directions.receive_s}[step.direction]
            assert way[step.device] == step.seconds


@given(layers())
def test_eq_1_is_never_above_eq_3(layer: LayerTime) -> None:
    assert layer.overlapped_s <= layer.total_s
    assert layer.utilisation.max() <= 1


#: What makes a layer no faster.
WORSE: dict[str, Callable[[Any], Any]] = {
    "traffic_tokens": lambda x: x + np.eye(len(x))[::-1],
    "relative_speed": lambda x: x / 2,
    "port_bytes_per_s": lambda x: x / 2,
    "seconds_per_token": lambda x: x * 2,
    "dispatch_bytes_per_token": lambda x: x * 2,
    "combine_bytes_per_token": lambda x: x * 2,
    "gate_s": lambda x: x + 1,
    "aggregation_s": lambda x: x + 1,
}


@pytest.mark.parametrize("name", WORSE)
@given(inputs=layer_inputs())
def test_worse_inputs_give_no_shorter_time(name: str, inputs: dict[str, Any]) -> None:
    before = layer_time(**inputs)
    after = layer_time(**{**inputs, name: WORSE[name](inputs[name])})
    assert after.total_s >= before.total_s * (1 - 1e-12)
    assert after.overlapped_s >= before.overlapped_s * (1 - 1e-12)
