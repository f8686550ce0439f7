"""Replays: worked examples, what must hold of every policy, and the same with the JIT off."""

from __future__ import annotations

import numpy as np
import pytest
from both_ways import compiled_and_interpreted

from moeopt.buffering.policies import POLICIES
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, miss_curve, replay, replay_problem
from moeopt.buffering.stream import Stream, streams

#: Policies that need nothing but the references.
PLAIN = sorted(
    name
    for name, policy in POLICIES.items()
    if policy.run is None and not policy.needs_history and name != "activation_matching"
)


def scans(items: int, times: int, slots: int, grouped: bool = True) -> Stream:
    """Return repeated scans of a few items; each a group of its own, or each reference one."""
    active = np.tile(np.arange(items), times)
    step = items if grouped else 1
    problem = BufferingProblem(
        experts=items, active=active, starts=np.arange(0, active.size + 1, step), slots=slots
    )
    return streams(problem)[0]


def routed(seed: int, steps: int = 200, **options: object) -> BufferingProblem:
    """Return a problem whose steps need experts like those of the step before."""
    rng = np.random.default_rng(seed)
    active = np.empty((steps, 2, 3), dtype=np.int64)
    for layer in range(2):
        taste = rng.random(12)
        for step in range(steps):
            taste = 0.8 * taste + 0.2 * rng.random(12)
            active[step, layer] = np.sort(np.argsort(taste)[-3:])
    fields: dict[str, object] = {"layers": 2, "experts": 12, "slots": 5}
    starts = np.arange(0, active.size + 1, 3)
    return BufferingProblem(active=active.ravel(), starts=starts, **(fields | options))  # type: ignore[arg-type]


def test_the_example_of_the_paper_evicts_the_expert_that_ran_last() -> None:
    """Slots hold {1, 2}, the batch needs {1, 2, 3}: for 3 leaves 2 (arXiv 2303.06182)."""
    problem = BufferingProblem(
        experts=4, active=np.array([1, 2, 1, 2, 3]), starts=np.array([0, 2, 5]), slots=2
    )
    for name in ("inactive_lifo", "inactive_lifo_inserted"):
        told = replay(streams(problem)[0], name, record=True)
        assert told.schedule is not None
        assert told.schedule.drop_item.tolist() == [2]
        assert told.schedule.load_item.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "grouped", "hits"),
    [
        ("lru", True, 0),
        ("fifo", True, 0),
        ("lifo", True, 3),
        ("mru", True, 5),
        ("belady", True, 5),
        ("inactive_lifo", True, 5),
        # If every reference is a batch of its own, the latest loaded of the inactive leaves.
        ("inactive_lifo", False, 3),
        ("inactive_lifo_inserted", False, 3),
        ("least_stale", False, 0),
    ],
)
def test_four_scans_of_three_items_with_two_slots(name: str, grouped: bool, hits: int) -> None:
    assert replay(scans(3, 4, 2, grouped), name).hits == hits
    assert replay(scans(3, 4, 2, grouped), name, record=True).hits == hits


@pytest.mark.parametrize(("items", "slots"), [(3, 2), (5, 3), (7, 5)])
def test_long_run_rates_of_scans(items: int, slots: int) -> None:
    times = 20 * (items - 1) * items
    references = items * times
    for name, rate in (
        ("lru", 0.0),
        ("fifo", 0.0),
        ("lifo", (slots - 1) / items),
        ("mru", (slots - 1) / (items - 1)),
        ("belady", (slots - 1) / (items - 1)),
        ("inactive_lifo", (slots - 1) / (items - 1)),
    ):
        hits = replay(scans(items, times, slots), name).hits
        assert abs(hits / references - rate) < 2 / times


@pytest.mark.parametrize("name", PLAIN)
def test_no_policy_beats_belady(name: str) -> None:
    for seed in range(3):
        for stream in streams(routed(seed, pooled=seed == 2)):
            rooms = np.arange(1, stream.num_items + 1)
            costs, least = miss_curve(stream, name, rooms), miss_curve(stream, "belady", rooms)
            assert (costs >= least).all()
            assert costs[-1] == least[-1] == np.unique(stream.items).size


@pytest.mark.parametrize("name", ["inactive_lifo", "inactive_lifo_inserted", "least_stale"])
def test_with_room_for_a_batch_each_expert_is_loaded_once_for_it(name: str) -> None:
    """Inactive items first: what a group needs does not leave while it runs."""
    stream = streams(routed(4))[0]
    told = replay(stream, name, 3, record=True).schedule
    assert told is not None
    group = stream.group_of()
    for at, item in zip(told.drop_at.tolist(), told.drop_item.tolist(), strict=True):
        assert item not in stream.items[group == group[at]]


def test_running_residents_first_saves_loads_of_lru() -> None:
    """Two slots, {1, 2, 3} again and again: what is there runs before it is pushed out."""
    stated = {"experts": 4, "active": np.tile([1, 2, 3], 10), "starts": np.arange(0, 31, 3)}
    fixed = BufferingProblem(slots=2, **stated)  # type: ignore[arg-type]
    free = BufferingProblem(slots=2, any_order=True, **stated)  # type: ignore[arg-type]
    (stream,) = streams(free)
    assert replay_problem(fixed, "lru")[0].hits == 0
    assert replay(stream, "lru", residents_first=False).hits == 0
    told = replay(stream, "lru", record=True)
    assert told.hits == 18
    assert told.schedule is not None
    assert told.schedule.order is not None
    assert told.schedule.order[:6].tolist() == [0, 1, 2, 4, 5, 3]


def test_pinned_items_take_room_and_never_miss() -> None:
    pinned = routed(5, pinned=np.array([[0, 0], [0, 1], [1, 11]]))
    for name in PLAIN:
        for record in (False, True):
            for stream in streams(pinned):
                told = replay(stream, name, hints=hints_of(pinned, stream), record=record)
                fewer = replay(streams(routed(5))[stream.cache], name, 12)
                assert told.misses > fewer.misses - 2
                if told.schedule is not None:
                    held = set(told.schedule.load_item.tolist())
                    assert not held & set(np.flatnonzero(stream.pinned).tolist())


def test_a_static_list_is_loaded_once_if_the_rest_is_bypassed() -> None:
    """Five slots of each layer: the five most counted, and no change after the first step."""
    history = np.array([np.arange(12.0), np.arange(12.0)[::-1]])
    problem = routed(6, serve="bypass", history=history, free_fill=True)
    for layer, told in enumerate(replay_problem(problem, "static_top_k", record=True)):
        stream = streams(problem)[layer]
        kept = np.argsort(-history[layer])[:5]
        assert told.loads == 5
        assert told.schedule is not None
        assert set(told.schedule.load_item.tolist()) == set(kept.tolist())
        assert told.misses == (~np.isin(stream.items, kept)).sum() == told.miss_cost


def test_loads_are_capped_and_groups_stay_closed_between_updates() -> None:
    problem = routed(7, serve="bypass", loads_per_group=2, update_period=4)
    for name in PLAIN:
        for told in replay_problem(problem, name, record=True):
            assert told.schedule is not None
            groups, loads = np.unique(told.schedule.load_at, return_counts=True)
            assert loads.max() <= 2
            assert not (groups % 4).any()
            assert told.loads == loads.sum()


SCRIPT = """
import numpy as np
from moeopt.buffering.policies import POLICIES
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import replay_problem
rng = np.random.default_rng(3)
fields = dict(
    layers=2, experts=6, active=np.concatenate([rng.permutation(6)[:2] for _ in range(60)]),
    starts=np.arange(0, 121, 2), sequence_starts=np.array([0, 10, 20]), slots=4, pooled=True,
    history=rng.integers(0, 5, (2, 6)).astype(float), objective="seconds",
    load_s=rng.integers(1, 5, (2, 6)) / 4, miss_s=0.5, expert_bytes=rng.integers(1, 3, (2, 6)),
)
for extra in (
    {}, {"any_order": True}, {"slots": None, "cache_bytes": 7},
    {"serve": "bypass", "loads_per_group": 1}, {"history": None},
):
    problem = BufferingProblem(**(fields | extra))
    for name, policy in POLICIES.items():
        if policy.run is None and not (policy.needs_history and problem.history is None):
            for record in (False, True):
                print(name, record, replay_problem(problem, name, record=record))
"""


def test_kernels_do_the_same_with_the_jit_off() -> None:
    compiled, interpreted = compiled_and_interpreted(SCRIPT)
    assert sum("Replay(" in line for line in compiled) == 2 * (5 * 16 - 1)
    assert compiled == interpreted
