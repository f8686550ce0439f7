"""Counts from routing against straightforward loops."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.describe import loads

EXPERTS = 5


@pytest.fixture
def routing() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.stack(
        [
            np.stack([rng.choice(EXPERTS, 2, replace=False) for _ in range(3)]).astype(np.uint8)
            for _ in range(11)
        ]
    )


def counted(routing: np.ndarray) -> np.ndarray:
    counts = np.zeros((routing.shape[1], EXPERTS))
    for token in routing:
        for layer, chosen in enumerate(token):
            for expert in chosen:
                counts[layer, expert] += 1
    return counts


def test_a_long_trace_is_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places of all entries at once would take eight times the trace."""
    longest = []
    whole = loads.window_counts

    def noted(expert_ids: np.ndarray, *rest: int) -> np.ndarray:
        longest.append(len(expert_ids))
        return whole(expert_ids, *rest)

    monkeypatch.setattr(loads, "window_counts", noted)
    tokens = 2 * loads.TOKENS_AT_ONCE + 7
    ids = np.random.default_rng(0).integers(0, EXPERTS, (tokens, 3, 2), dtype=np.uint8)
    expected = [np.bincount(ids[:, layer].ravel(), minlength=EXPERTS) for layer in range(3)]
    np.testing.assert_array_equal(loads.total_counts(ids, EXPERTS), expected)
    assert max(longest) == loads.TOKENS_AT_ONCE


def test_windows_hold_consecutive_tokens(routing: np.ndarray) -> None:
    windows = loads.window_counts(routing, EXPERTS, 4)
    assert windows.shape == (2, 3, EXPERTS)
    np.testing.assert_array_equal(windows[0], counted(routing[:4]))
    np.testing.assert_array_equal(windows[1], counted(routing[4:8]))


def test_the_short_window_is_kept_on_request(routing: np.ndarray) -> None:
    windows = loads.window_counts(routing, EXPERTS, 4, keep_short=True)
    assert len(windows) == 3
    np.testing.assert_array_equal(windows[2], counted(routing[8:]))
    np.testing.assert_array_equal(windows.sum(axis=0), loads.total_counts(routing, EXPERTS))


def test_a_window_must_fit(routing: np.ndarray) -> None:
    with pytest.raises(InstanceError, match="at most the 11 tokens"):
        loads.window_counts(routing, EXPERTS, 12)
    assert len(loads.window_counts(routing, EXPERTS, 12, keep_short=True)) == 1
    with pytest.raises(InstanceError, match=">= 1"):
        loads.window_counts(routing, EXPERTS, 0)


def test_coactivation_counts_pairs_of_a_token(routing: np.ndarray) -> None:
    both = loads.coactivation_counts(routing, EXPERTS)
    expected = np.zeros((3, EXPERTS, EXPERTS))
    for token in routing:
        for layer, (one, other) in enumerate(token):
            expected[layer, one, other] += 1
            expected[layer, other, one] += 1
    for layer in range(3):
        np.fill_diagonal(expected[layer], counted(routing)[layer])
    np.testing.assert_array_equal(both, expected)


def test_sequences_are_dealt_whole() -> None:
    lengths = np.array([2, 1, 3, 1])
    contiguous = loads.source_devices(lengths, 2)
    np.testing.assert_array_equal(contiguous, [0, 0, 0, 1, 1, 1, 1])
    dealt = loads.source_devices(lengths, 2, "round_robin")
    np.testing.assert_array_equal(dealt, [0, 0, 1, 0, 0, 0, 1])


@pytest.mark.parametrize("dealing", ["contiguous", "round_robin"])
def test_fewer_sequences_than_devices_leave_some_idle(dealing: loads.Dealing) -> None:
    device = loads.source_devices(np.array([1, 1]), 8, dealing)
    assert len(set(device.tolist())) == 2
    assert device.max() < 8


def test_source_traffic_adds_up_to_the_counts(routing: np.ndarray) -> None:
    device = loads.source_devices(np.array([4, 4, 3]), 2, "round_robin")
    sent = loads.source_tokens(routing, device, EXPERTS, 2)
    np.testing.assert_array_equal(sent[0], counted(routing[device == 0]))
    np.testing.assert_array_equal(sent.sum(axis=0), counted(routing))


def test_source_devices_must_match_the_trace(routing: np.ndarray) -> None:
    with pytest.raises(InstanceError, match="11 tokens"):
        loads.source_tokens(routing, np.zeros(3, dtype=np.int64), EXPERTS, 2)


def test_halves_are_in_order_and_the_second_is_the_longer() -> None:
    windows = np.arange(5.0)[:, None, None]
    first, second = loads.halves(windows)
    assert first.ravel().tolist() == [0, 1]
    assert second.ravel().tolist() == [2, 3, 4]
    with pytest.raises(InstanceError, match="at least 2"):
        loads.halves(windows[:1])


@pytest.mark.parametrize(
    ("ids", "said"), [(np.full((2, 1, 1), 5), "0 to 4"), (np.zeros((2, 2), int), "top_k")]
)
def test_strange_routing_is_refused(ids: np.ndarray, said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        loads.window_counts(ids, EXPERTS, 1)
