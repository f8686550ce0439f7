"""The time of a layer, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.timeline import layer_time


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
