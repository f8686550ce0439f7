"""Upper bounds of what a number of experts retain under masked gating."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

from moeopt.committee.loss import retained
from moeopt.committee.submodular import lazy_greedy, upper_bound, upper_curve
from moeopt.core.arrays import FloatArray

#: Tokens, experts and experts of a token.
SIZES = [(1, 4, 2), (7, 5, 1), (9, 6, 2), (12, 6, 3), (5, 4, 4), (6, 3, 5), (30, 8, 1), (30, 8, 2)]


def f(values: FloatArray, members: object, top_k: int) -> float:
    there = np.zeros(values.shape[1], dtype=np.bool_)
    there[list(members)] = True  # type: ignore[call-overload]
    return retained(values, there, top_k)


def best_curve(values: FloatArray, top_k: int) -> FloatArray:
    experts = values.shape[1]
    return np.array(
        [
            max(f(values, s, top_k) for s in combinations(range(experts), slots))
            for slots in range(experts + 1)
        ]
    )


def linear_bound(values: FloatArray, top_k: int, slots: int) -> float:
    """Return the bound of the linear model: shares of experts, and tokens served by shares."""
    tokens, experts = values.shape
    pairs = np.arange(values.size)
    serves = scipy.sparse.eye_array(values.size)
    there = scipy.sparse.coo_array((np.ones(values.size), (pairs, pairs % experts)))
    of_token = scipy.sparse.coo_array((np.ones(values.size), (pairs // experts, pairs)))
    rows = scipy.sparse.block_array(
        [[-there, serves], [None, of_token], [np.ones((1, experts)), None]], format="csr"
    )
    limits = np.concatenate((np.zeros(values.size), np.full(tokens, top_k), [slots]))
    prices = np.concatenate((np.zeros(experts), -values.ravel()))
    return -float(scipy.optimize.linprog(prices, rows, limits, bounds=(0, 1)).fun)


def topics(seed: int, tokens: int, experts: int) -> FloatArray:
    """Return gates of tokens about a few topics, each of which has experts of its own."""
    rng = np.random.default_rng(seed)
    likes = 3.0 * rng.normal(size=(4, experts))
    logits = likes[rng.integers(0, 4, tokens)] + rng.normal(size=(tokens, experts))
    gates = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(gates / gates.sum(axis=1, keepdims=True))


@pytest.mark.parametrize(("tokens", "experts", "top_k"), SIZES)
def test_no_set_retains_more(tokens: int, experts: int, top_k: int) -> None:
    for seed in range(6):
        values = np.random.default_rng(seed).exponential(size=(tokens, experts))
        best = best_curve(values, top_k)
        for most in (experts, experts // 2):
            found = lazy_greedy(values, top_k, most)
            closer = upper_curve(values, top_k, found, tries=3, rounds=5)
            for upper in (found.upper, closer):
                assert (upper >= best * (1 - 1e-12)).all()
                assert (upper[: most + 1] >= found.retained).all()
                assert (upper <= best[-1] * (1 + 1e-12)).all()
                assert (np.diff(upper) >= 0).all()
                assert (np.diff(upper, 2) <= 1e-9).all()
            assert (closer <= found.upper).all()
        for slots in range(experts + 1):
            for rounds in (1, 2, 7):
                bound = upper_bound(values, top_k, slots, rounds=rounds)
                assert best[slots] * (1 - 1e-12) <= bound <= best[-1] * (1 + 1e-12)


@pytest.mark.parametrize(("tokens", "experts", "top_k"), SIZES)
def test_it_is_met_where_the_best_set_is_plain(tokens: int, experts: int, top_k: int) -> None:
    """As many experts as serve a token, or fewer: each token has all. And all experts."""
    values = np.random.default_rng(6).exponential(size=(tokens, experts))
    found = lazy_greedy(values, top_k, experts)
    for slots in [*range(min(top_k, experts) + 1), experts]:
        assert found.upper[slots] == pytest.approx(found.retained[slots])
        assert upper_bound(values, top_k, slots) == pytest.approx(found.retained[slots])


def test_it_is_below_the_certificates_of_prefixes() -> None:
    """What a set retains, and the largest gains of as many more: the textbook's bound."""
    for seed in range(10):
        values = np.random.default_rng(seed).exponential(size=(20, 8))
        for top_k in (1, 2, 3):
            found = lazy_greedy(values, top_k, 8)
            for size in range(9):
                first = found.experts[:size].tolist()
                rest = [e for e in range(8) if e not in first]
                gains = [f(values, [*first, e], top_k) - found.retained[size] for e in rest]
                more = np.concatenate(([0.0], np.cumsum(np.sort(gains)[::-1])))
                held = found.retained[size] + np.concatenate((more, np.full(size, more[-1])))
                assert (found.upper <= held + 1e-9).all()
    # The largest columns alone, too.
    values = np.random.default_rng(1).random((9, 5))
    columns = np.cumsum(np.sort(values.sum(axis=0))[::-1])
    assert (lazy_greedy(values, 2, 5).upper[1:] <= columns + 1e-9).all()


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("kind", ["random", "topics"])
def test_prices_come_close_to_the_linear_model(kind: str, top_k: int) -> None:
    for seed in range(3):
        values = np.random.default_rng(seed).exponential(size=(40, 10))
        if kind == "topics":
            values = topics(seed, 40, 10)
        for slots in (3, 5):
            least = linear_bound(values, top_k, slots)
            first = upper_bound(values, top_k, slots, rounds=1)
            last = upper_bound(values, top_k, slots, rounds=300)
            assert least * (1 - 1e-9) <= last <= min(first, least * 1.0001)


def test_the_curve_closes_in_where_topics_have_experts() -> None:
    values = topics(7, 400, 24)
    found = lazy_greedy(values, 2, 24)
    closer = upper_curve(values, 2, found)
    gaps = 1 - found.retained[1:] / found.upper[1:]
    left = 1 - found.retained[1:] / closer[1:]
    assert left.mean() < gaps.mean() / 3
    assert left.max() < 0.02


def test_more_rounds_bound_no_worse_and_time_stops_them() -> None:
    values = np.random.default_rng(9).exponential(size=(200, 16))
    bounds = [upper_bound(values, 1, 5, rounds=rounds) for rounds in (1, 5, 20, 80)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < bounds[0]
    assert upper_bound(values, 1, 5, rounds=80, out_of_time=lambda: True) == bounds[0]
    found = lazy_greedy(values, 1, 16)
    assert (upper_curve(values, 1, found, out_of_time=lambda: True) == found.upper).all()


def test_it_may_start_from_any_set() -> None:
    values = np.random.default_rng(10).exponential(size=(60, 9))
    best = best_curve(values, 2)[4]
    for first in range(5):
        start = np.isin(np.arange(9), np.arange(first, first + 4))
        assert best <= upper_bound(values, 2, 4, start=start, rounds=60) <= best * 1.1
