"""Belady's rule: next uses, fewest misses, and a heap that is made anew now and then."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from moeopt.buffering.belady import belady, next_use
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import replay
from moeopt.buffering.stream import Stream, streams


def stream_of(items: list[int], num_items: int, pinned: list[int] | None = None) -> Stream:
    """Return references one by one, each a group of its own."""
    pins = np.array([[0, i] for i in pinned or []], dtype=np.int64).reshape(-1, 2)
    problem = BufferingProblem(
        experts=num_items,
        active=np.array(items),
        starts=np.arange(len(items) + 1),
        slots=num_items,
        pinned=pins if pinned else None,
    )
    return streams(problem)[0]


def fewest_misses(items: list[int], slots: int) -> int:
    """Return the fewest misses over all ways to choose what leaves."""
    ways = {frozenset[int](): 0}
    for item in items:
        after: dict[frozenset[int], int] = {}
        for held, misses in ways.items():
            if item in held:
                found = [(held, misses)]
            elif len(held) < slots:
                found = [(held | {item}, misses + 1)]
            else:
                found = [(held - {other} | {item}, misses + 1) for other in held]
            for now, count in found:
                after[now] = min(count, after.get(now, count))
        ways = after
    return min(ways.values())


def furthest(items: list[int], slots: int) -> tuple[int, list[tuple[int, int]]]:
    """Return misses and drops, each next use found by looking."""
    held: set[int] = set()
    misses, drops = 0, []
    for at, item in enumerate(items):
        if item in held:
            continue
        misses += 1
        if len(held) == slots:
            ahead = {
                other: next((r for r in range(at, len(items)) if items[r] == other), None)
                for other in held
            }
            out = max(held, key=lambda i: (ahead[i] is None, ahead[i] or i))
            held.remove(out)
            drops.append((at, out))
        held.add(item)
    return misses, drops


def test_next_use() -> None:
    assert next_use(np.array([2, 0, 2, 2, 1]), 3).tolist() == [2, 5, 3, 7, 6]
    assert next_use(np.array([], dtype=np.int64), 3).tolist() == []


def test_fewest_misses_of_all_short_streams() -> None:
    for items in itertools.product(range(3), repeat=7):
        assert belady(stream_of(list(items), 3), 2).misses == fewest_misses(list(items), 2)


@pytest.mark.parametrize("seed", range(5))
def test_fewest_misses_of_random_streams(seed: int) -> None:
    items = np.random.default_rng(seed).integers(0, 7, 40).tolist()
    for slots in range(1, 7):
        assert belady(stream_of(items, 7), slots).misses == fewest_misses(items, slots)


@pytest.mark.parametrize("slots", [1, 4, 30])
def test_long_streams_fill_the_heap_many_times(slots: int) -> None:
    rng = np.random.default_rng(slots)
    items = np.minimum(rng.geometric(0.06, 1500) - 1, 39).tolist()
    told = belady(stream_of(items, 40), slots, record=True)
    misses, drops = furthest(items, slots)
    assert told.misses == misses == belady(stream_of(items, 40), slots).misses
    assert told.schedule is not None
    schedule = told.schedule
    assert list(zip(schedule.drop_at.tolist(), schedule.drop_item.tolist(), strict=True)) == drops
    assert schedule.load_item.tolist() == [items[at] for at in schedule.load_at.tolist()]


def test_the_heap_and_the_general_kernel_choose_the_same() -> None:
    """The second runs where sizes differ: here they hardly do."""
    items = np.random.default_rng(9).integers(0, 12, 400).tolist()
    stream = stream_of(items, 13, pinned=[0, 7])
    uneven = replace(stream, sizes=np.append(np.ones(12), 2.0))
    for slots in (3, 6, 12):
        a, b = replay(stream, "belady", slots), replay(uneven, "belady", slots, record=True)
        assert a.misses == b.misses
        assert b.schedule is not None
        c = belady(stream, slots, following=next_use(stream.items, 13), record=True).schedule
        assert c is not None
        assert c.drop_item.tolist() == b.schedule.drop_item.tolist()


def test_more_slots_than_items_load_each_once() -> None:
    told = belady(stream_of([0, 1, 0, 2, 1], 4), 9)
    assert (told.hits, told.misses, told.miss_cost) == (2, 3, 3.0)


def test_a_pool_of_layers() -> None:
    """Items of all layers in one cache; prices are of loads."""
    rng = np.random.default_rng(2)
    problem = BufferingProblem(
        layers=2, experts=4, active=np.concatenate([rng.permutation(4)[:2] for _ in range(20)]),
        starts=np.arange(0, 41, 2), slots=3, pooled=True, objective="miss_bytes", expert_bytes=8,
    )  # fmt: skip
    (stream,) = streams(problem)
    told = replay(stream, "belady")
    assert told.misses == fewest_misses(stream.items.tolist(), 3)
    assert told.miss_cost == 8 * told.misses
