"""Our own policy: legal on any stream, causal, and it learns what follows what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moeopt.buffering import _kernels_learned as kernels
from moeopt.buffering.learned import cache_state, learned, learner
from moeopt.buffering.online import LearnedCache
from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, replay
from moeopt.buffering.stream import Stream, plan_of, streams
from moeopt.core.errors import InstanceError
from moeopt.library import trace_path
from moeopt.traces import read_trace


def in_pairs(steps: int, seed: int = 0) -> BufferingProblem:
    """Return a stream in which expert ``2 p + 1`` follows ``2 p``, pairs drawn at random."""
    pair = np.random.default_rng(seed).integers(0, 8, steps)
    active = np.stack([2 * pair, 2 * pair + 1], axis=1).ravel()
    return BufferingProblem(experts=16, active=active, starts=np.arange(2 * steps + 1), slots=4)


@pytest.mark.parametrize(
    "rules",
    [
        {"slots": 3},
        {"slots": 1},
        {"slots": 5, "pooled": True},
        {"slots": 3, "any_order": True},
        {"slots": 3, "pooled": True, "any_order": True, "pinned": [[0, 1]]},
        {"slots": 3, "pinned": [[0, 0], [1, 2]]},
        {"cache_bytes": 9, "expert_bytes": [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]]},
        {"slots": 3, "serve": "bypass"},
        {"slots": 3, "serve": "bypass", "loads_per_group": 1, "update_period": 2},
        {
            "slots": 3, "serve": "bypass", "objective": "seconds", "load_s": 2.0, "miss_s": 1.0,
            "free_fill": True,
        },
        {
            "cache_bytes": 9, "expert_bytes": [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]],
            "serve": "bypass",
        },
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_its_schedules_keep_every_rule(rules: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [rng.permutation(6)[: rng.integers(0, 4)] for _ in range(60)]
    problem = BufferingProblem(
        layers=2, experts=6, active=np.concatenate(groups),
        starts=np.cumsum([0, *map(len, groups)]), history=rng.random((2, 6)), **rules,
    )  # fmt: skip
    parts = streams(problem)
    rooms = np.array([part.capacity for part in parts])
    found = [replay(part, "learned", hints=hints_of(problem, part), record=True) for part in parts]
    plan = plan_of(problem, parts, rooms, [each.schedule for each in found])  # type: ignore[misc]
    assert violations(problem, plan) == []
    value = evaluate(problem, plan)
    assert value.misses == sum(each.misses for each in found)
    assert value.objective == pytest.approx(sum(each.miss_cost for each in found))


def _cut(stream: Stream, groups: int) -> Stream:
    end = int(stream.starts[groups])
    return replace(
        stream, items=stream.items[:end], starts=stream.starts[: groups + 1],
        groups=stream.groups[:groups], references=stream.references[:end],
        miss_prices=stream.miss_prices[:end], opens=stream.opens[:groups],
    )  # fmt: skip


def growing(groups: int, **fields: Any) -> BufferingProblem:
    """Return a stream whose groups grow from 1 to 6 of 16 experts, the lower ones more popular."""
    rng = np.random.default_rng(7)
    sizes = 1 + 6 * np.arange(groups) // groups
    popular = 1 / np.arange(1, 17)
    active = [rng.choice(16, size, replace=False, p=popular / popular.sum()) for size in sizes]
    return BufferingProblem(
        experts=16, active=np.concatenate(active), starts=np.cumsum([0, *sizes]), **fields
    )


@pytest.mark.parametrize("history", [None, np.arange(16.0)])
@pytest.mark.parametrize("serve", ["load", "bypass"])
def test_it_does_not_know_the_future(serve: Any, history: Any) -> None:
    """What it does in the first groups is the same whatever comes after them."""
    for problem, slots in (
        (in_pairs(100), 4),
        (growing(240, slots=6), 6),
        (growing(240, slots=10, any_order=serve == "load"), 10),
    ):
        (stream,) = streams(problem)
        stream = replace(stream, serve=serve)
        whole, _ = learned(stream, slots, history)
        part, _ = learned(_cut(stream, 120), slots, history)
        assert (whole[: part.size] == part).all()


def test_what_is_there_runs_first_if_it_may() -> None:
    """Eight experts in turn, four slots: in any order those that are there hit."""
    active = np.tile(np.arange(8), 20)
    problem = BufferingProblem(
        experts=8, active=active, starts=np.arange(21) * 8, slots=4, any_order=True
    )
    (stream,) = streams(problem)
    first, stated = (replay(stream, "learned", residents_first=r) for r in (None, False))
    assert first.hits == 4 * 19
    assert stated.hits < first.hits
    missed, schedule = learned(stream, 4)
    assert schedule.order is not None
    assert missed[:8].all()
    assert (np.sort(schedule.order[schedule.load_at]) == np.flatnonzero(missed)).all()


def test_loads_may_be_dearer_than_floats_can_say() -> None:
    """What came for nothing still leaves when it is of no more use."""
    problem = BufferingProblem(
        experts=2, active=np.array([0] + 30 * [1]), starts=np.arange(32), slots=1, serve="bypass",
        load_s=np.array([[1e300, 0.0]]), miss_s=1e-10, objective="seconds", free_fill=True,
        history=np.array([[1.0, 0.0]]),
    )  # fmt: skip
    (stream,) = streams(problem)
    found = replay(stream, "learned", hints=hints_of(problem, stream), record=True)
    assert found.schedule is not None
    assert found.schedule.drop_item.tolist() == [0]


def test_it_learns_what_follows_what() -> None:
    """LRU loads the second of a pair again and again; once known, it is kept for the first."""
    (stream,) = streams(in_pairs(2000))
    lru = replay(stream, "lru").misses
    late = learned(stream, 4)[0][2000:].sum()
    assert late < lru / 2


def test_history_is_used_from_the_start() -> None:
    active = np.tile([0, 1, 2, 3, 4, 5, 6, 7, 0, 1], 2)
    fields: dict[str, Any] = {
        "experts": 8, "active": active, "starts": np.arange(21), "slots": 3, "serve": "bypass",
        "free_fill": True,
    }  # fmt: skip
    history = np.zeros((1, 8))
    history[0, [5, 6]] = 10
    (stream,) = streams(BufferingProblem(**fields))
    _, schedule = learned(stream, 3, history.ravel())
    assert sorted(schedule.load_item[schedule.load_at == 0].tolist()) == [5, 6]
    _, schedule = learned(stream, 3)
    assert schedule.load_at.min() > 0


def test_no_worse_than_any_other_on_the_reference_trace() -> None:
    """On the first 3,000 tokens of our own model's held-out text, at three sizes."""
    trace = read_trace(trace_path("reference-held-out")).part(0, 3000)
    ids = np.sort(trace.expert_ids[:, 4].astype(np.int64), axis=1)
    for slots in (6, 12, 24):
        problem = BufferingProblem(
            experts=64, active=ids.ravel(), starts=np.arange(len(ids) + 1) * 4, slots=slots
        )
        (stream,) = streams(problem)
        others = [
            replay(stream, name).misses
            for name in ("lru", "group_lfu", "lfru", "gdsf", "inactive_lifo", "least_stale")
        ]
        assert replay(stream, "learned").misses < min(others)


def test_the_kernels_run_without_the_jit(monkeypatch: pytest.MonkeyPatch) -> None:
    (stream,) = streams(in_pairs(60))
    compiled, _ = learned(stream, 4)
    for name in ("expect", "patience_of", "serve_group", "_least", "_last_of"):
        monkeypatch.setattr(kernels, name, getattr(kernels, name).py_func)
    missed = np.zeros(stream.items.size, dtype=np.bool_)
    drops = np.empty((2, stream.items.size), dtype=np.int64)
    kernels.learned_load.py_func(
        stream.items, stream.starts, 1, *cache_state(stream, 4), *learner(stream, 4).arrays, False,
        np.arange(stream.items.size), missed, *drops,
    )  # fmt: skip
    assert (missed == compiled).all()


def test_the_object_does_what_the_replay_does() -> None:
    (stream,) = streams(in_pairs(300))
    missed, schedule = learned(stream, 4)
    cache = LearnedCache(experts=16, slots=4, active_experts=1)
    loads, drops = [], []
    for expert in stream.items.tolist():
        served = cache.serve([expert])
        loads += served.missing.tolist()
        drops += served.dropped.tolist()
        assert cache.resident().size <= 4
        assert expert in cache.resident()
    assert loads == schedule.load_item.tolist() == stream.items[missed].tolist()
    assert drops == schedule.drop_item.tolist()


@pytest.mark.parametrize("history", [None, np.arange(16.0)])
def test_the_object_does_so_whatever_the_groups(history: Any) -> None:
    (stream,) = streams(growing(120, slots=7))
    missed, schedule = learned(stream, 7, history)
    cache = LearnedCache(experts=16, slots=7, active_experts=1, history=history)
    served = [cache.serve(group) for group in np.split(stream.items, stream.starts[1:-1])]
    assert np.concatenate([s.missing for s in served]).tolist() == stream.items[missed].tolist()
    assert np.concatenate([s.dropped for s in served]).tolist() == schedule.drop_item.tolist()


def test_the_object_says_for_whom_room_is_made() -> None:
    cache = LearnedCache(experts=8, slots=3, active_experts=3, history=np.arange(8))
    assert cache.serve([0, 1, 2]).missing.tolist() == [0, 1, 2]
    served = cache.serve([2, 3, 4])
    assert served.missing.tolist() == [3, 4]
    assert sorted(served.dropped.tolist()) == [0, 1]
    assert served.makes_room_for.tolist() == [0, 1]


@pytest.mark.parametrize("active", [[8], [-1], [1, 1], [1.5]])
def test_the_object_refuses_what_is_no_group(active: list[int]) -> None:
    with pytest.raises(InstanceError, match="different experts below 8"):
        LearnedCache(experts=8, slots=3).serve(active)


@pytest.mark.parametrize("sizes", [{"experts": 0, "slots": 1}, {"experts": 4, "slots": 0}])
def test_the_object_refuses_sizes(sizes: dict[str, int]) -> None:
    with pytest.raises(InstanceError, match="must be >= 1"):
        LearnedCache(**sizes)
    with pytest.raises(InstanceError, match="shape"):
        LearnedCache(experts=4, slots=1, history=[1.0])


@pytest.mark.parametrize("options", [{"history": [1, -1]}, {"active_experts": float("nan")}])
def test_the_object_refuses_what_is_no_past(options: dict[str, Any]) -> None:
    with pytest.raises(InstanceError, match="finite"):
        LearnedCache(experts=2, slots=1, **options)
