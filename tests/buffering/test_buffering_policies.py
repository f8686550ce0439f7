"""Every policy against a plain Python one that was written from its words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from buffering_policy_reference import Told, reference_replay

from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.policies import POLICIES, Hints, Policy, Replay, policy_named
from moeopt.buffering.portfolio import planned
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import (
    hints_of,
    least_room,
    matching_of,
    miss_curve,
    policy_plan,
    replay,
    replay_problem,
)
from moeopt.buffering.stream import Stream, streams
from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit
from moeopt.core.stop import Context

NAMES = [name for name, policy in POLICIES.items() if policy.run is None]


def drawn(seed: int, **options: object) -> BufferingProblem:
    """Return a small problem with prices that add up exactly."""
    rng = np.random.default_rng(seed)
    layers, experts, steps = (int(rng.integers(*r)) for r in ((1, 4), (3, 7), (6, 13)))
    sizes = rng.integers(0, experts + 1, layers * steps)
    popular = rng.random((layers, experts)) ** 2 + 0.05
    groups = [
        rng.choice(experts, min(int(k), 4), replace=False, p=row / row.sum())
        for k, row in zip(sizes, np.tile(popular, (steps, 1)), strict=True)
    ]
    lengths = [len(group) for group in groups]
    fields: dict[str, object] = {
        "layers": layers,
        "experts": experts,
        "active": np.concatenate(groups),
        "starts": np.concatenate(([0], np.cumsum(lengths))),
        "weights": rng.integers(1, 5, sum(lengths)) / 2,
        "sequence_starts": np.unique(np.append(rng.integers(0, steps, 3), 0)),
        "expert_bytes": rng.integers(1, 4, (layers, experts)),
        "load_s": rng.integers(1, 8, (layers, experts)) / 4,
        "miss_s": rng.integers(1, 8, (layers, experts)) / 8,
        "history": rng.integers(0, 4, (layers, experts)).astype(float),
        "objective": "seconds",
        "pooled": bool(rng.integers(2)),
        "slots": int(rng.integers(2, 5)),
    }
    if rng.integers(3) == 0:
        fields["pinned"] = np.array([[0, int(rng.integers(experts))]])
    return BufferingProblem(**(fields | options))  # type: ignore[arg-type]


def assert_same(got: Replay, expected: Told, ordered: bool) -> None:
    assert (got.hits, got.misses, got.loads) == (expected.hits, expected.misses, expected.loads)
    assert got.miss_cost == expected.cost
    if got.schedule is None:
        return
    schedule = got.schedule
    events = zip(schedule.load_at.tolist(), schedule.load_item.tolist(), strict=True)
    assert list(events) == expected.load_events
    events = zip(schedule.drop_at.tolist(), schedule.drop_item.tolist(), strict=True)
    assert list(events) == expected.drop_events
    assert (schedule.order is not None) == ordered
    if schedule.order is not None:
        assert schedule.order.tolist() == expected.order


def check(problem: BufferingProblem, name: str) -> None:
    """Compare both ways to replay with the reference, and the plan with the checker."""
    total = 0.0
    for stream in streams(problem):
        capacity = stream.capacity
        assert capacity is not None
        hints = hints_of(problem, stream)
        expected = reference_replay(problem, stream, name, capacity, stream.any_order)
        told = replay(stream, name, capacity, hints, record=True)
        assert_same(told, expected, stream.any_order)
        assert_same(replay(stream, name, None, hints), expected, stream.any_order)
        total += expected.cost
    plan = policy_plan(problem, name)
    assert violations(problem, plan) == []
    assert evaluate(problem, plan).objective == total


@pytest.mark.parametrize("name", NAMES)
def test_on_demand(name: str) -> None:
    for seed in range(6):
        check(drawn(seed), name)


@pytest.mark.parametrize("name", NAMES)
def test_on_demand_without_history_or_prices(name: str) -> None:
    history = np.ones((1, 5)) if POLICIES[name].needs_history else None
    for seed in range(3):
        rng = np.random.default_rng(seed)
        active = np.concatenate([rng.permutation(5)[:3] for _ in range(30)])
        problem = BufferingProblem(
            experts=5, active=active, starts=np.arange(0, 91, 3), slots=2 + seed, history=history
        )
        check(problem, name)


@pytest.mark.parametrize("name", NAMES)
def test_sizes(name: str) -> None:
    for seed in range(6, 10):
        check(drawn(seed, slots=None, cache_bytes=7), name)


@pytest.mark.parametrize("name", NAMES)
def test_residents_first(name: str) -> None:
    for seed in range(10, 13):
        check(drawn(seed, any_order=True), name)


@pytest.mark.parametrize("name", NAMES)
def test_bypass(name: str) -> None:
    for seed in range(13, 18):
        check(drawn(seed, serve="bypass", loads_per_group=1 + seed % 3), name)


@pytest.mark.parametrize("name", NAMES)
def test_bypass_with_sizes_periods_and_a_free_fill(name: str) -> None:
    for seed in range(18, 23):
        options = {"slots": None, "cache_bytes": 6, "update_period": 1 + seed % 3}
        check(drawn(seed, serve="bypass", free_fill=True, pinned=None, **options), name)


def test_matching_keeps_so_many_sequences() -> None:
    """With more than 64 sequences, places are taken again."""
    rng = np.random.default_rng(5)
    active = np.concatenate([rng.permutation(4)[:2] for _ in range(300)])
    problem = BufferingProblem(
        layers=2, experts=4, active=active, starts=np.arange(0, 601, 2),
        sequence_starts=np.arange(0, 150, 2), slots=3, pooled=True,
    )  # fmt: skip
    assert set(matching_of(problem).matched[-20:].tolist()) - set(range(64))
    (stream,) = streams(problem)
    expected = reference_replay(problem, stream, "activation_matching", 3)
    assert replay(stream, "activation_matching", 3, hints_of(problem, stream)).hits == expected.hits


def test_curves_are_the_costs_of_replays() -> None:
    problem = drawn(30, pooled=False, pinned=None)
    (stream, *_) = streams(problem)
    hints = hints_of(problem, stream)
    rooms = np.arange(stream.num_items + 2)
    for name in NAMES:
        curve = miss_curve(stream, name, rooms, hints)
        assert np.isinf(curve[: least_room(stream)]).all()
        for room in rooms[least_room(stream) :].tolist():
            assert curve[room] == replay(stream, name, room, hints).miss_cost
        asked = np.unique(stream.items)
        assert curve[-1] == stream.load_prices[asked].sum()


def test_a_problem_replays_each_cache() -> None:
    problem = drawn(31, pooled=False)
    found = replay_problem(problem, "lru")
    own = [replay(stream, "lru") for stream in streams(problem)]
    assert list(found) == own
    wider = replay_problem(problem, "lru", np.full(problem.layers, 6), record=True)
    assert sum(r.misses for r in wider) <= sum(r.misses for r in found)
    assert all(r.schedule is not None for r in wider)


def test_a_policy_may_bring_its_own_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(stream: Stream, capacity: int, hints: Hints, record: bool) -> Replay:
        return replace(replay(stream, "fifo", capacity, hints, record=record), loads=-capacity)

    own = Policy("own", "First in, first out", "As fifo.", "This test.", run=run)
    monkeypatch.setitem(POLICIES, "own", own)
    (stream, *_) = streams(drawn(32))
    assert policy_named("own") is own
    assert replay(stream, "own", 4).loads == -4
    expected = miss_curve(stream, "fifo", np.array([4, 5]))
    assert miss_curve(stream, "own", np.array([4, 5])).tolist() == expected.tolist()


def test_what_cannot_be_replayed_is_refused_in_words() -> None:
    (stream, *_) = streams(drawn(33))
    with pytest.raises(InstanceError, match=r"policy: must be one of .*lru.*got 'oldest'"):
        replay(stream, "oldest")
    with pytest.raises(InstanceError, match="capacity: must be at least"):
        replay(stream, "lru", 0)
    with pytest.raises(InstanceError, match="history: must be stated for the policy static_top_k"):
        replay(stream, "static_top_k", 4)
    with pytest.raises(InstanceError, match="hints: must hold the problem"):
        replay(stream, "activation_matching", 4)
    with pytest.raises(InstanceError, match="any_order: must be true"):
        replay(stream, "lru", 4, residents_first=True)
    with pytest.raises(InstanceError, match="capacities: must be given"):
        replay(replace(stream, capacity=None), "lru")
    with pytest.raises(InstanceError, match="capacity: must be a whole number"):
        replay(stream, "lru", 2.5)  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match=r"capacities: .*shape"):
        replay_problem(drawn(33), "lru", np.zeros(9, dtype=np.int64))
    for name, history in (("learned", np.ones(99)), ("lfu", np.full(stream.num_items, np.nan))):
        with pytest.raises(InstanceError, match="history"):
            replay(stream, name, 9, Hints(history=history))


@pytest.mark.parametrize("name", ["lru", "learned", "activation_matching"])
def test_a_budget_is_divided_in_the_time_there_is(name: str) -> None:
    problem = drawn(34, pooled=False, pinned=None, slots=None, budget_bytes=24)
    plan, limit = planned(problem, name, Context())
    hurried, cut = planned(problem, name, Context(time_limit_s=1e-9))
    patient, none = planned(problem, name, Context(time_limit_s=600.0))
    assert plan is not None
    assert hurried is not None
    assert patient is not None
    assert (limit, cut, none) == (None, Limit.TIME, None)
    assert violations(problem, hurried) == []
    assert plan.capacity.tolist() == patient.capacity.tolist()


def test_every_policy_says_what_it_does_and_where_it_is_from() -> None:
    for name, policy in POLICIES.items():
        assert policy.name == name
        assert policy.rule.endswith(".")
        assert policy.source.endswith(".")
        assert (policy.run is None) != (policy.code is None)
    codes = [policy.code for policy in POLICIES.values() if policy.code is not None]
    assert sorted(codes) == list(range(len(codes)))
