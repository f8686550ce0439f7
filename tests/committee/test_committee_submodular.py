"""Which experts stay under masked gating: the greedy order, importance, exchanges."""

from __future__ import annotations

import heapq
from itertools import combinations

import numpy as np
import pytest
from both_ways import compiled_and_interpreted

from moeopt.committee.loss import own_experts
from moeopt.committee.submodular import (
    improve,
    lazy_greedy,
    prefix_retained,
    top_importance,
)
from moeopt.core.arrays import BoolArray, FloatArray

#: Tokens, experts and experts of a token.
SIZES = [(1, 4, 2), (7, 5, 1), (9, 6, 2), (12, 6, 3), (5, 4, 4), (6, 3, 5)]


def f(values: FloatArray, members: object, top_k: int) -> float:
    chosen = values[:, list(members)]  # type: ignore[call-overload]
    return float(np.sort(chosen, axis=1)[:, max(0, chosen.shape[1] - top_k) :].sum())


def importance(values: FloatArray, top_k: int) -> FloatArray:
    return np.where(own_experts(values, top_k), values, 0.0).sum(axis=0)


def best_of(values: FloatArray, slots: int, top_k: int) -> float:
    return max(f(values, s, top_k) for s in combinations(range(values.shape[1]), slots))


def mask(experts: int, members: object) -> BoolArray:
    there = np.zeros(experts, dtype=np.bool_)
    there[list(members)] = True  # type: ignore[call-overload]
    return there


def plain_greedy(values: FloatArray, top_k: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(values.shape[1]):
        rest = [e for e in range(values.shape[1]) if e not in chosen]
        chosen.append(max(rest, key=lambda e: (f(values, [*chosen, e], top_k), -e)))
    return chosen


def minoux(values: FloatArray, top_k: int) -> list[int]:
    """Greedy as Minoux has it: gains from earlier steps, in a heap, are bounds of later ones."""
    heap = [(-f(values, [e], top_k), e, 0) for e in range(values.shape[1])]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap:
        _, expert, known = heapq.heappop(heap)
        if known == len(chosen):
            chosen.append(expert)
            continue
        gain = f(values, [*chosen, expert], top_k) - f(values, chosen, top_k)
        heapq.heappush(heap, (-gain, expert, len(chosen)))
    return chosen


@pytest.mark.parametrize(("tokens", "experts", "top_k"), SIZES)
def test_the_order_is_that_of_plain_and_of_lazy_greedy(
    tokens: int, experts: int, top_k: int
) -> None:
    for seed in range(20):
        # Whole numbers, so that gains are often equal and always exact.
        values = np.random.default_rng(seed).integers(0, 5, (tokens, experts)).astype(float)
        found = lazy_greedy(values, top_k, experts)
        assert found.experts.tolist() == plain_greedy(values, top_k) == minoux(values, top_k)
        prefixes = [f(values, found.experts[:k], top_k) for k in range(experts + 1)]
        assert found.retained.tolist() == prefixes


@pytest.mark.parametrize("top_k", [1, 3])
def test_the_order_of_many_experts_is_that_of_lazy_greedy(top_k: int) -> None:
    values = np.random.default_rng(5).exponential(size=(300, 40))
    found = lazy_greedy(values, top_k, 25)
    assert found.experts.tolist() == minoux(values, top_k)[:25]
    prefixes = [f(values, found.experts[:k], top_k) for k in range(26)]
    assert found.retained == pytest.approx(prefixes)
    assert (np.diff(found.retained, 2) <= 1e-9).all()
    assert found.upper.shape == (41,)


def test_the_order_of_equal_experts_is_theirs() -> None:
    assert lazy_greedy(np.ones((4, 5)), 2, 5).experts.tolist() == [0, 1, 2, 3, 4]
    assert lazy_greedy(np.zeros((4, 3)), 1, 3).experts.tolist() == [0, 1, 2]
    assert top_importance(np.array([1.0, 2.0, 1.0, 2.0])).tolist() == [1, 3, 0, 2]
    # What thirds of a token come to is rounded, but what is left to gain is nothing.
    thirds = np.tile(np.array([0.1, 0.7, 0.2, 0.3]) / 3, (7, 1))
    assert lazy_greedy(thirds, 1, 4).experts.tolist() == [1, 0, 2, 3]


def test_no_expert_and_no_token() -> None:
    found = lazy_greedy(np.ones((3, 2)), 1, 0)
    assert found.experts.size == 0
    assert found.retained.tolist() == [0.0]
    assert found.upper.tolist() == [0.0, 3.0, 3.0]
    assert lazy_greedy(np.ones((0, 2)), 1, 2).retained.tolist() == [0.0, 0.0, 0.0]
    assert improve(np.ones((0, 2)), 1, mask(2, [1])).tolist() == [False, True]


def test_values_may_be_a_part_of_a_larger_array() -> None:
    router = np.random.default_rng(3).random((30, 3, 8))
    part, own = router[4:25, 1], np.ascontiguousarray(router[4:25, 1])
    one, other = lazy_greedy(part, 2, 8), lazy_greedy(own, 2, 8)
    assert (one.experts == other.experts).all()
    assert (one.upper == other.upper).all()
    start = mask(8, [0, 1, 2])
    assert (improve(part, 2, start) == improve(own, 2, start)).all()
    order = np.array([6, 1, 3])
    assert (prefix_retained(part, 2, order) == prefix_retained(own, 2, order)).all()


@pytest.mark.parametrize(("tokens", "experts", "top_k"), SIZES)
def test_prefixes_of_any_order(tokens: int, experts: int, top_k: int) -> None:
    rng = np.random.default_rng(8)
    values = rng.random((tokens, experts))
    order = rng.permutation(experts)
    prefixes = [f(values, order[:k], top_k) for k in range(experts + 1)]
    assert prefix_retained(values, top_k, order) == pytest.approx(prefixes)


def test_what_is_retained_is_submodular_and_at_least_its_importance() -> None:
    for seed in range(600):
        rng = np.random.default_rng(seed)
        experts, top_k = int(rng.integers(2, 6)), int(rng.integers(1, 4))
        values = rng.exponential(size=(int(rng.integers(1, 8)), experts))
        weights = importance(values, top_k)
        large = rng.permutation(experts)[: int(rng.integers(1, experts + 1))]
        other, large = int(large[0]), large[1:]
        small = large[: int(rng.integers(0, large.size + 1))]
        gains = [f(values, [*s, other], top_k) - f(values, s, top_k) for s in (small, large)]
        assert -1e-12 <= gains[1] <= gains[0] + 1e-12
        assert weights[large].sum() <= f(values, large, top_k) + 1e-12
        # All experts retain all importance.
        assert f(values, range(experts), top_k) == pytest.approx(weights.sum())
        assert lazy_greedy(values, top_k, experts).retained[-1] == pytest.approx(weights.sum())


def test_both_rules_keep_their_share_of_the_optimum() -> None:
    worst = {"greedy": 1.0, "importance": 1.0}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        experts, top_k = int(rng.integers(3, 8)), int(rng.integers(1, 4))
        values = rng.exponential(size=(int(rng.integers(2, 9)), experts))
        ranked = top_importance(importance(values, top_k))
        by_weight = prefix_retained(values, top_k, ranked)
        greedy = lazy_greedy(values, top_k, experts).retained
        for slots in range(1, experts):
            best = best_of(values, slots, top_k)
            assert greedy[slots] >= (1 - 1 / np.e) * best
            assert by_weight[slots] >= slots / experts * best * (1 - 1e-12)
            worst["greedy"] = min(worst["greedy"], greedy[slots] / best)
            worst["importance"] = min(worst["importance"], by_weight[slots] / best)
    # Both fall short, importance by more.
    assert worst["importance"] < worst["greedy"] < 1


@pytest.mark.parametrize(
    ("experts", "slots", "printed", "share"),
    [(8, 1, 0.143, 0.125), (16, 4, 0.267, 0.25), (64, 8, 0.127, 0.125)],
)
def test_the_share_of_importance_is_tight(
    experts: int, slots: int, printed: float, share: float
) -> None:
    """Expert 0 is second best for every token and first choice of none."""
    values = np.zeros((experts - 1, experts))
    values[:, 0] = 1 - 1e-3
    values[np.arange(experts - 1), np.arange(1, experts)] = 1.0
    weights = importance(values, 1)
    assert weights.tolist() == [0.0] + [1.0] * (experts - 1)
    chosen = top_importance(weights)[:slots]
    assert chosen.tolist() == list(range(1, slots + 1))
    found = lazy_greedy(values, 1, slots)
    assert found.experts.tolist() == list(range(slots))
    ratio = f(values, chosen, 1) / found.retained[-1]
    assert round(ratio, 3) == printed
    assert share <= ratio < share * experts / (experts - 1) * 1.02


def test_an_exchange_finds_what_greedy_misses() -> None:
    # Expert 0 is worth most alone, and nothing beside 1 and 2, which share its tokens.
    values = np.array([[2.0, 3.0, 0.0]] * 2 + [[2.0, 0.0, 3.0]] * 2)
    greedy = mask(3, lazy_greedy(values, 1, 2).experts)
    assert greedy.tolist() == [True, True, False]
    better = improve(values, 1, greedy)
    assert better.tolist() == [False, True, True]
    assert greedy.tolist() == [True, True, False]
    assert improve(values, 1, greedy, out_of_time=lambda: True).tolist() == greedy.tolist()


@pytest.mark.parametrize(("tokens", "experts", "top_k"), [*SIZES, (40, 12, 1), (40, 12, 3)])
def test_no_single_exchange_is_left(tokens: int, experts: int, top_k: int) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        values = rng.exponential(size=(tokens, experts))
        for slots in range(1, experts):
            start = mask(experts, rng.permutation(experts)[:slots])
            found = improve(values, top_k, start)
            assert found.sum() == slots
            members, absent = np.flatnonzero(found), np.flatnonzero(~found)
            retained = f(values, members, top_k)
            assert retained >= f(values, np.flatnonzero(start), top_k) * (1 - 1e-12)
            for leaves in members:
                for comes in absent:
                    other = [*members[members != leaves], comes]
                    assert f(values, other, top_k) <= retained * (1 + 2e-9)


def test_exchanges_follow_the_best_pair() -> None:
    rng = np.random.default_rng(11)
    values = rng.integers(0, 9, (60, 9)).astype(float)
    for top_k in (1, 2, 4):
        members = [0, 1, 2, 3]
        while True:
            pairs = [(o, i) for o in sorted(members) for i in range(9) if i not in members]
            after = [f(values, [*(m for m in members if m != o), i], top_k) for o, i in pairs]
            if max(after) <= f(values, members, top_k):
                break
            leaves, comes = pairs[int(np.argmax(after))]
            members = [*(m for m in members if m != leaves), comes]
        assert (improve(values, top_k, mask(9, range(4))) == mask(9, members)).all()


def test_of_equal_exchanges_the_first_is_made() -> None:
    values = np.array([[0.0, 2.0, 0.0, 2.0, 2.0]] * 3)
    found = improve(values, 1, np.array([True, False, True, False, False]))
    assert np.flatnonzero(found).tolist() == [1, 2]


def test_exchanges_end_however_little_was_there() -> None:
    values = np.random.default_rng(3).exponential(size=(30, 8)) * 1e8
    values[:, :3] = 1e-12 * np.arange(1, 31)[:, None]
    found = improve(values, 2, mask(8, range(3)))
    assert f(values, np.flatnonzero(found), 2) >= 0.9 * best_of(values, 3, 2)


def test_one_expert_is_found_by_exchange_alone() -> None:
    values = np.random.default_rng(2).exponential(size=(50, 30))
    found = improve(values, 2, mask(30, [7]))
    assert np.flatnonzero(found).tolist() == [int(values.sum(axis=0).argmax())]


SCRIPT = """
import numpy as np
from moeopt.committee.submodular import *
values = np.random.default_rng(4).exponential(size=(40, 7))
for top_k in (1, 3):
    order = lazy_greedy(values, top_k, 7)
    print(order.experts.tolist(), order.retained.round(9).tolist(), order.upper.round(9).tolist())
    print(prefix_retained(values, top_k, order.experts[::-1]).round(9).tolist())
    print(improve(values, top_k, np.arange(7) < 3).tolist())
    print(upper_curve(values, top_k, order).round(6).tolist())
    print(round(upper_bound(values, top_k, 3), 6))
"""


def test_kernels_do_the_same_with_the_jit_off() -> None:
    compiled, interpreted = compiled_and_interpreted(SCRIPT)
    assert len(compiled) == 10
    assert compiled == interpreted
