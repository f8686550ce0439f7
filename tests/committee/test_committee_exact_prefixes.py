"""What residents retain, as a sum over prefixes, against the largest values of each token."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moeopt.committee.exact_prefixes import Prefixes, count_prefixes, joined, prefixes_of
from moeopt.committee.loss import retained


def _value(prefixes: Prefixes, there: np.ndarray, top_k: int) -> float:
    inside = np.minimum(prefixes.count(there), top_k)
    return float(prefixes.alone @ there + prefixes.worth @ inside)


def _committees(experts: int) -> list[np.ndarray]:
    return [np.array(chosen) for chosen in itertools.product((False, True), repeat=experts)]


@pytest.mark.parametrize("top_k", [1, 2, 3, 5, 6])
def test_prefixes_retain_what_the_best_residents_do(top_k: int) -> None:
    rng = np.random.default_rng(top_k)
    for values in (
        rng.integers(0, 4, (7, 5)).astype(float),
        rng.random((6, 5)),
        np.zeros((2, 5)),
        np.ones((1, 5)),
    ):
        prefixes = prefixes_of(values, top_k)
        assert prefixes.worth.size <= count_prefixes(values, top_k)
        for there in _committees(5):
            assert _value(prefixes, there, top_k) == pytest.approx(retained(values, there, top_k))


def test_tokens_share_prefixes_that_are_the_same_set() -> None:
    # Both tokens have {0, 1} and {0, 1, 2} as their best, in another order.
    values = np.array([[4.0, 3.0, 1.0], [3.0, 5.0, 2.0]])
    prefixes = prefixes_of(values, 1)
    assert prefixes.alone.tolist() == [1.0, 2.0, 0.0]
    assert sorted(prefixes.worth.tolist()) == [3.0, 3.0]
    assert sorted(prefixes.parent.tolist()) == [-1, 0] or sorted(prefixes.parent) == [-1, 1]


def test_joined_prefixes_number_their_experts_on() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 4, (4, 3)).astype(float) for _ in range(3)]
    found = joined([prefixes_of(values, 1) for values in parts])
    there = rng.random((3, 3)) < 0.5
    kept = sum(retained(values, own, 1) for values, own in zip(parts, there, strict=True))
    assert _value(found, there.ravel(), 1) == pytest.approx(kept)
