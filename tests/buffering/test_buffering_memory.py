"""What memory buys: the frontier over budgets, sequences against experts, pins against cache."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from moeopt.buffering.clock import stall
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.frontier import pareto, undominated, with_slots
from moeopt.buffering.memory import share_memory
from moeopt.buffering.pins import pins_beside_cache
from moeopt.buffering.plan import evaluate
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.buffering.replays import miss_curve, policy_plan
from moeopt.buffering.stream import streams
from moeopt.core.errors import InstanceError
from moeopt.traces import RoutingTrace

TIMING = Timing(link_bytes_per_s=10.0, compute_s=0.5)


def recorded(seed: int = 0, tokens: int = 40, sequences: int = 8) -> RoutingTrace:
    """Return two layers of 6 experts, top 2, the second layer's nearly always the same."""
    rng = np.random.default_rng(seed)
    ids = np.argsort(rng.random((tokens, 2, 6)) * [[[1.0] * 6, [0.1] * 3 + [1.0] * 3]], axis=2)
    lengths = np.full(sequences, tokens // sequences)
    return RoutingTrace(ids[:, :, :2], sequence_lengths=lengths, experts=6)


def stated(**fields: Any) -> BufferingProblem:
    given: dict[str, Any] = {"slots": 2, "expert_bytes": 10, "timing": TIMING}
    return buffering_problem(recorded(), **(given | fields))


def test_more_memory_takes_no_longer() -> None:
    problem = stated()
    budgets = [20.0, 40.0, 60.0, 90.0, 120.0]
    points = pareto(problem, "lru", budgets)
    assert [point.slots.tolist() for point in points] == [[1, 1], [2, 2], [3, 3], [5, 4], [6, 6]]
    assert [point.used_bytes for point in points] == budgets
    # LRU holds, of every size, what it holds of the smaller one.
    misses = [point.misses for point in points]
    assert misses == sorted(misses, reverse=True)
    seconds = [point.seconds_per_step for point in points]
    assert seconds == sorted(seconds, reverse=True)
    assert [point.on_frontier for point in points] == [True] * 5
    for point in points:
        own = with_slots(problem, point.slots)
        plan = policy_plan(own, "lru")
        assert point.clock.total_s == stall(own, plan).total_s
        assert point.misses == evaluate(own, plan).misses
        assert point.seconds_per_step == point.clock.total_s / problem.num_steps


def test_slots_by_curves_miss_less() -> None:
    problem = stated()
    curves = [miss_curve(part, "lru", np.arange(7)) for part in streams(problem)]
    budgets = [20.0, 50.0, 80.0, 100.0]
    equal = pareto(problem, "lru", budgets)
    planned = pareto(problem, "lru", budgets, curves)
    for one, other, budget in zip(equal, planned, budgets, strict=True):
        assert other.used_bytes <= budget
        assert other.misses <= one.misses
    assert sum(p.misses for p in planned) < sum(p.misses for p in equal)


def test_a_pool_is_one_cache() -> None:
    (point,) = pareto(stated(pooled=True), "lru", [75.0])
    assert (point.slots.tolist(), point.used_bytes) == ([7], 70)


def test_undominated_points() -> None:
    one, other = np.array([1.0, 2.0, 2.0, 3.0, 1.0]), np.array([5.0, 3.0, 4.0, 3.0, 5.0])
    assert undominated(one, other).tolist() == [True, True, False, False, True]


def test_sequences_take_memory_from_experts() -> None:
    trace = recorded()
    # 12 experts of 10 bytes fit without sequences; each of these takes 15 bytes.
    points = share_memory(
        trace,
        "lru",
        memory_bytes=120.0,
        kv_bytes_per_token=3.0,
        context_tokens=5,
        sequences=[1, 2, 4, 7],
        timing=lambda n: Timing(link_bytes_per_s=10.0, compute_s=0.5 + 0.1 * n),
        expert_bytes=10,
    )
    # Of seven sequences 15 bytes are left, which hold no expert for each layer.
    assert [point.sequences for point in points] == [1, 2, 4]
    assert [point.kv_bytes for point in points] == [15, 30, 60]
    assert [point.slots.tolist() for point in points] == [[5, 5], [5, 4], [3, 3]]
    for point in points:
        assert point.tokens_per_step == point.sequences
        assert point.seconds_per_token == point.seconds_per_step / point.tokens_per_step
        assert point.clock.compute_s == pytest.approx(
            2 * (0.5 + 0.1 * point.sequences) * 40 / point.sequences
        )
    steps = [point.seconds_per_step for point in points]
    assert steps == sorted(steps)
    assert points[0].on_frontier
    least = min(points, key=lambda point: point.seconds_per_token)
    assert least.on_frontier


def test_one_pool_for_sequences_and_experts() -> None:
    (point,) = share_memory(
        recorded(),
        "quota_lru",
        memory_bytes=99.0,
        kv_bytes_per_token=1.0,
        context_tokens=9,
        sequences=[1],
        timing=TIMING,
        expert_bytes=10,
        pooled=True,
    )
    assert point.slots.tolist() == [9]


def test_no_room_for_a_sequence() -> None:
    with pytest.raises(InstanceError, match="memory_bytes"):
        share_memory(
            recorded(),
            "lru",
            memory_bytes=30.0,
            kv_bytes_per_token=1.0,
            context_tokens=20,
            sequences=[1, 2],
            timing=TIMING,
            expert_bytes=10,
        )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"memory_bytes": float("inf")}, "memory_bytes: must be finite"),
        ({"kv_bytes_per_token": -1.0}, "kv_bytes_per_token: must be finite and 0 or more"),
        ({"context_tokens": 2.5}, "context_tokens: must be a whole number"),
        ({"sequences": [0]}, "sequences: must be 1 or more"),
        ({"concurrent": 2}, "concurrent: must be left out"),
    ],
)
def test_what_is_no_memory(asked: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {
        "memory_bytes": 300.0, "kv_bytes_per_token": 1.0, "context_tokens": 20, "sequences": [1],
        "timing": TIMING,
    }  # fmt: skip
    with pytest.raises(InstanceError, match=said):
        share_memory(recorded(), "lru", **(given | asked))


@pytest.mark.parametrize("fields", [{}, {"serve": "bypass"}, {"pooled": True, "slots": 4}])
def test_best_pins_beside_a_cache(fields: dict[str, Any]) -> None:
    problem = stated(**({"slots": 3} | fields))
    found = pins_beside_cache(problem, "lru")
    pinned = msgspec.structs.replace(problem, pinned=found.pinned)
    assert evaluate(pinned, policy_plan(pinned, "lru")).objective == found.cost
    assert evaluate(problem, policy_plan(problem, "lru")).objective == found.cost_without
    assert found.cost == sum(curve.min() for curve in found.curves)
    assert found.pins.sum() == len(found.pinned)
    if problem.serve == "load":
        # A policy needs a slot for what is asked for.
        assert all(np.isinf(curve[-1]) for curve in found.curves)


def test_pins_win_on_a_scan() -> None:
    """LRU misses all of a scan that is one too long; pinned experts are hit."""
    scan = np.tile(np.arange(4), 6)
    problem = BufferingProblem(experts=4, active=scan, starts=np.arange(25), slots=3)
    found = pins_beside_cache(problem, "lru")
    assert (found.cost_without, found.pins.tolist(), found.cost) == (24, [2], 12)
    assert found.curves[0].tolist() == [24, 18, 12, np.inf]
    assert found.pinned.tolist() == [[0, 0], [0, 1]]
    # Which is worth nothing where each expert is asked for six times on end but its free load.
    blocks = msgspec.structs.replace(problem, active=np.repeat(np.arange(4), 6))
    assert pins_beside_cache(blocks, "lru").curves[0].tolist() == [4, 3, 2, np.inf]


def test_whose_popularity_counts() -> None:
    scan = np.tile(np.arange(4), 6)
    fields: dict[str, Any] = {"experts": 4, "active": scan, "starts": np.arange(25), "slots": 3}
    told = np.array([[0.0, 0.0, 1.0, 2.0]])
    past = BufferingProblem(**fields, history=told)
    given = pins_beside_cache(BufferingProblem(**fields), "lru", told)
    assert given.pinned.tolist() == pins_beside_cache(past, "lru").pinned.tolist()
    assert given.pinned.tolist() == [[0, 2], [0, 3]]


def test_pins_are_counted_in_slots() -> None:
    problem = msgspec.structs.replace(stated(), slots=None, cache_bytes=30)
    with pytest.raises(InstanceError, match="slots"):
        pins_beside_cache(problem, "lru")
    for wrong in (np.zeros(3), -np.ones((2, 6))):
        with pytest.raises(InstanceError, match="popularity"):
            pins_beside_cache(stated(), "lru", wrong)
