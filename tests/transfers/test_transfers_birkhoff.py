"""Birkhoff rounds: every byte once, one peer each way, no longer than the largest line."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.transfers.birkhoff import decompose, rounds_of
from moeopt.transfers.generate import FAMILIES, tokens

SQUARES = st.integers(1, 7).map(lambda n: (n, n))
INTEGERS = SQUARES.flatmap(lambda s: arrays(np.int64, s, elements=st.integers(0, 9)))
FLOATS = SQUARES.flatmap(
    lambda s: arrays(np.float64, s, elements=st.just(0.0) | st.floats(1e-9, 1e9))
)


def line(matrix: IntArray | FloatArray) -> float:
    return max(matrix.sum(axis=0).max(initial=0), matrix.sum(axis=1).max(initial=0))


def delivered(peer: IntArray, sent: IntArray | FloatArray) -> FloatArray:
    total = np.zeros((peer.shape[1], peer.shape[1]))
    number, source = np.nonzero(peer >= 0)
    np.add.at(total, (source, peer[number, source]), sent[number, source])
    assert (sent[peer < 0] == 0).all()
    return total


def assert_one_sender_each(peer: IntArray) -> None:
    for row in peer:
        targets = row[row >= 0]
        assert len(set(targets.tolist())) == len(targets)


@given(INTEGERS)
def test_integer_rounds_deliver_exactly_in_exactly_the_largest_line(matrix: IntArray) -> None:
    length, peer, sent = decompose(matrix)
    assert length.sum() == line(matrix)
    assert (length > 0).all()
    assert (sent <= length[:, None]).all()
    assert_one_sender_each(peer)
    np.testing.assert_array_equal(delivered(peer, sent), matrix)
    # Each round ends with a message or makes a line that has no time to spare from then on.
    assert len(length) <= np.count_nonzero(matrix) + 2 * len(matrix)


@given(FLOATS)
def test_rounds_of_any_numbers_sum_to_the_largest_line(matrix: FloatArray) -> None:
    rounds = rounds_of(matrix)
    assert_one_sender_each(rounds.peer)
    assert rounds.length.sum() == pytest.approx(line(matrix), rel=1e-12)
    assert (rounds.sent <= rounds.length[:, None] * (1 + 1e-12)).all()
    np.testing.assert_allclose(delivered(rounds.peer, rounds.sent), matrix, rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_at_several_sizes(family: str) -> None:
    for ports in (4, 9, 20):
        matrix = tokens(family, ports, seed=ports)
        rounds = rounds_of(matrix)
        assert rounds.length.sum() == pytest.approx(line(matrix), rel=1e-12)
        np.testing.assert_allclose(delivered(rounds.peer, rounds.sent), matrix, rtol=1e-12)


@given(st.integers(2, 4).flatmap(lambda n: arrays(np.int64, (n, n), elements=st.integers(0, 6))))
def test_the_first_round_is_the_longest_that_any_can_be(matrix: IntArray) -> None:
    length, _, _ = decompose(matrix)
    if length.size:
        assert length[0] == _longest_first_round(matrix)


def _longest_first_round(matrix: IntArray) -> int:
    """Try every partial matching for how long it may last without delaying the end."""
    n = len(matrix)
    slack_in = line(matrix) - matrix.sum(axis=0)
    slack_out = line(matrix) - matrix.sum(axis=1)
    best = 0
    for size in range(n + 1):
        for rows in combinations(range(n), size):
            for columns in permutations(range(n), size):
                pairs = list(zip(rows, columns, strict=True))
                if any(matrix[pair] == 0 for pair in pairs):
                    continue
                limits = [matrix[i, j] + min(slack_out[i], slack_in[j]) for i, j in pairs]
                limits += [slack_out[i] for i in range(n) if i not in rows]
                limits += [slack_in[j] for j in range(n) if j not in columns]
                best = max(best, int(min(limits)))
    return best


def test_a_matrix_of_zeros_needs_no_rounds() -> None:
    assert len(rounds_of(np.zeros((5, 5))).length) == 0
    assert len(rounds_of(np.zeros((0, 0))).length) == 0


def test_tiny_messages_beside_huge_ones_are_not_lost() -> None:
    matrix = np.array([[0.0, 1e15, 1e-6], [1e-6, 0.0, 3.5], [1e-3, 1e-6, 0.0]])
    rounds = rounds_of(matrix)
    np.testing.assert_allclose(delivered(rounds.peer, rounds.sent), matrix, rtol=1e-12)
    assert rounds.length.sum() == pytest.approx(line(matrix), rel=1e-12)
    assert (rounds.sent[rounds.peer >= 0] > 0).any()


def test_tokens_of_many_bytes_stay_whole() -> None:
    matrix = tokens("zipf", 8, seed=3) * 7168.0
    rounds = rounds_of(matrix)
    assert (rounds.sent % 7168 == 0).all()


def test_more_room_for_rounds_is_made_when_it_is_needed() -> None:
    matrix = np.random.default_rng(0).integers(1, 2**40, (24, 24))
    length, peer, sent = decompose(matrix)
    assert len(length) > 4 * 24 + 8
    np.testing.assert_array_equal(delivered(peer, sent), matrix)


@pytest.mark.parametrize(
    "units",
    [
        np.full((3, 3), 2**62),  # Each fits into 64 bits, their sums do not.
        np.array([[0, 2**64 - 1], [1, 0]], dtype=np.uint64),
        np.full((2, 2), np.float32(3e38)),
        np.array([[0.5]]),
        np.array([[-1]]),
        np.array([[np.nan]]),
        np.array([[np.inf, -np.inf], [0, 0]]),
        np.ones((2, 3), dtype=np.int64),
    ],
)
def test_what_no_kernel_can_count_is_refused(units: IntArray) -> None:
    with pytest.raises(InstanceError):
        decompose(units)


def test_lines_just_below_the_limit_are_counted_exactly() -> None:
    matrix = np.full((3, 3), 2**59 // 3)
    length, _, _ = decompose(matrix)
    assert sum(length.tolist()) == 3 * (2**59 // 3)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.float16, np.float32])
def test_arrays_of_every_type_go_in_rounds(kind: type[np.number]) -> None:
    most = np.finfo(kind).max if np.issubdtype(kind, np.floating) else np.iinfo(kind).max
    rounds = rounds_of(np.array([[0, most, most], [most, 0, most], [most, most, 0]], dtype=kind))
    assert rounds.length.sum() == pytest.approx(2.0 * float(most), rel=1e-12)


@pytest.mark.parametrize("entry", [5e-324, 1e-300, 1e300])
def test_the_smallest_and_largest_numbers_go_in_rounds(entry: float) -> None:
    rounds = rounds_of(np.full((2, 2), entry))
    assert rounds.length.sum() == pytest.approx(2 * entry, rel=1e-12)


@pytest.mark.parametrize("row", [[1e308, 1e308], [np.inf, -np.inf], [np.nan, 1.0], [-1.0, 2.0]])
def test_a_sum_beyond_all_numbers_is_refused(row: list[float]) -> None:
    with pytest.raises(InstanceError, match="finite sum"):
        rounds_of(np.array([row, row]))
