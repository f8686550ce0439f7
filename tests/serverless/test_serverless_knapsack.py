"""The multiple-choice knapsack against enumeration, and what it says where it cannot choose."""

import itertools

import numpy as np
import pytest

from moeopt.serverless import knapsack
from moeopt.serverless.knapsack import Front, choose, least_cost, undominated


def _front(random: np.random.Generator, points: int, digits: int | None) -> Front:
    latency, cost = random.random(points), random.random(points) ** 3
    if digits is not None:
        latency, cost = np.round(latency, digits), np.round(cost, digits)
    kept = undominated(latency, cost)
    return Front(latency_s=latency[kept], cost_usd=cost[kept])


def _enumerated(fronts: list[Front], limit_s: float) -> float:
    best = np.inf
    for point in itertools.product(*(range(front.cost_usd.size) for front in fronts)):
        latency = sum(front.latency_s[p] for front, p in zip(fronts, point, strict=True))
        cost = sum(front.cost_usd[p] for front, p in zip(fronts, point, strict=True))
        if latency <= limit_s and cost < best:
            best = cost
    return best


@pytest.mark.parametrize("seed", range(150))
@pytest.mark.parametrize("digits", [None, 1])
def test_as_cheap_as_enumeration(seed: int, digits: int | None) -> None:
    random = np.random.default_rng(seed)
    fronts = [_front(random, int(random.integers(1, 9)), digits) for _ in range(4)]
    fastest = sum(front.latency_s[0] for front in fronts)
    slowest = sum(front.latency_s[-1] for front in fronts)
    limit_s = fastest + random.random() * (slowest - fastest) * 1.1
    found, best = choose(fronts, limit_s), _enumerated(fronts, limit_s)
    if found is None:
        assert best == np.inf
        assert least_cost(fronts, limit_s) == np.inf
        return
    taken = [front.latency_s[p] for front, p in zip(fronts, found.point, strict=True)]
    assert sum(taken) <= limit_s
    assert found.cost_usd == pytest.approx(best, rel=1e-12)
    assert found.bound_usd == pytest.approx(best, rel=1e-9)
    assert least_cost(fronts, limit_s) <= best * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_a_limit_long_beside_what_is_saved_of_it_keeps_bounds_true(seed: int) -> None:
    """One layer takes 1e9 s whatever is chosen: a price of seconds times that has few digits."""
    random = np.random.default_rng(seed)
    long = Front(latency_s=np.array([1e9]), cost_usd=np.array([1e-3]))
    fronts = [*(_front(random, 3, None) for _ in range(3)), long]
    limit_s = float(sum(random.choice(front.latency_s) for front in fronts))
    best = _enumerated(fronts, limit_s)
    assert least_cost(fronts, limit_s) <= best


def test_too_slow_is_none_and_no_limit_is_cheapest() -> None:
    front = Front(latency_s=np.array([1.0, 2.0]), cost_usd=np.array([5.0, 3.0]))
    assert choose([front, front], 1.9) is None
    free = choose([front, front], np.inf)
    assert free is not None
    assert free.cost_usd == free.bound_usd == 6.0


def test_joined_sums_keep_a_true_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(7)
    fronts = [_front(random, 60, None) for _ in range(12)]
    limit_s = 0.4 * sum(front.latency_s[-1] for front in fronts)
    exact = choose(fronts, limit_s)
    monkeypatch.setattr(knapsack, "_MOST_PAIRS", 12)
    joined = choose(fronts, limit_s)
    assert exact is not None
    assert joined is not None
    assert exact.bound_usd == pytest.approx(exact.cost_usd, rel=1e-9)
    assert joined.bound_usd <= exact.cost_usd <= joined.cost_usd
    assert joined.bound_usd < joined.cost_usd


def test_a_gap_that_is_allowed_is_used() -> None:
    random = np.random.default_rng(3)
    fronts = [_front(random, 40, None) for _ in range(6)]
    limit_s = 0.3 * sum(front.latency_s[-1] for front in fronts)
    found = choose(fronts, limit_s, gap=0.5)
    assert found is not None
    assert found.cost_usd <= found.bound_usd * 2.0
