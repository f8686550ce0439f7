"""What a cache does under a policy: replays of streams and of whole problems."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moeopt.buffering import _kernels, _kernels_count
from moeopt.buffering._kernels_ahead import match_sequences
from moeopt.buffering.belady import belady, next_use
from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.policies import (
    KEPT_SEQUENCES,
    Hints,
    Matching,
    Policy,
    Replay,
    known_at_start,
    policy_named,
)
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import Schedule, Stream, plan_of, streams
from moeopt.core.arguments import whole
from moeopt.core.arrays import (
    FloatArray,
    IntArray,
    own_array,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import InstanceError

#: Whether a reference renews an item's place on the list, and whether its newest item leaves.
_LISTED = {
    _kernels.LRU: (True, False),
    _kernels.QUOTA_LRU: (True, False),
    _kernels.MRU: (True, True),
    _kernels.FIFO: (False, False),
    _kernels.LIFO: (False, True),
}

_GROUPED = {
    _kernels.INACTIVE_LIFO: _kernels_count.NEWEST_USED,
    _kernels.INACTIVE_LIFO_INSERTED: _kernels_count.NEWEST_LOADED,
    _kernels.LEAST_STALE: _kernels_count.OLDEST_USED,
}


@dataclass(frozen=True)
class _Arrays:
    """A stream as the kernels take it: all arrays their own, of one type each."""

    items: Any
    starts: Any
    opens: Any
    load_prices: Any
    miss_prices: Any
    sizes: Any
    pinned: Any


def replay(
    stream: Stream,
    policy: str,
    capacity: int | None = None,
    hints: Hints | None = None,
    *,
    record: bool = False,
    residents_first: bool | None = None,
) -> Replay:
    """Return what a cache does under a policy.

    Parameters
    ----------
    stream
        What the cache sees.
    policy
        Name, as in `POLICIES`.
    capacity
        Room of the cache, at least `least_room`; left out, the stream's own.
    hints
        What the policy may know beside; left out, nothing.
    record
        Whether to return the schedule; to count alone is faster.
    residents_first
        Whether each group first runs what it finds resident when it begins, and then what is
        missing, both as stated; left out, whenever the stream's groups may run in any order.

    Raises
    ------
    InstanceError
        If there is no such policy, the room is too small or a hint is missing.
    """
    rule, hints = policy_named(policy), hints or Hints()
    capacity = _room(stream, capacity)
    _require_hints(rule, hints, stream)
    if residents_first is None:
        residents_first = stream.any_order
    elif residents_first and not stream.any_order:
        raise InstanceError(
            "any_order", False, "must be true for residents to run first", "state it in the problem"
        )
    if rule.run is not None:
        return rule.run(replace(stream, any_order=residents_first), capacity, hints, record)
    return _replayed(stream, _arrays(stream), rule, capacity, hints, record, residents_first)


def miss_curve(
    stream: Stream, policy: str, capacities: IntArray, hints: Hints | None = None
) -> FloatArray:
    """Return the prices of what misses at each capacity, ``(capacities,)``; ``inf`` if too small.

    Parameters
    ----------
    stream, policy, hints
        As for `replay`.
    capacities
        Room of the cache, ``(capacities,)``.
    """
    rule, hints = policy_named(policy), hints or Hints()
    _require_hints(rule, hints, stream)
    if rule.code == _kernels.MATCHING:
        hints = replace(hints, matching=hints.matching or matching_of(_problem(hints)))
    arrays, least = _arrays(stream), least_room(stream)
    curve = np.full(len(capacities), np.inf)
    for k, room in enumerate(np.asarray(capacities).tolist()):
        if room < least:
            continue
        if rule.run is not None:
            curve[k] = rule.run(stream, room, hints, False).miss_cost
        else:
            result = _replayed(stream, arrays, rule, room, hints, False, stream.any_order)
            curve[k] = result.miss_cost
    return curve


def replay_problem(
    problem: BufferingProblem,
    policy: str,
    capacities: IntArray | None = None,
    *,
    record: bool = False,
) -> tuple[Replay, ...]:
    """Return what each cache of a problem does under a policy.

    Parameters
    ----------
    problem
        References and caches.
    policy
        Name, as in `POLICIES`.
    capacities
        Room of each cache, ``(caches,)``; left out, as the problem states it.
    record
        Whether to return the schedules.
    """
    parts = streams(problem)
    rooms = _rooms(parts, capacities)
    matching = None
    if policy_named(policy).code == _kernels.MATCHING:
        matching = matching_of(problem)
    return tuple(
        replay(part, policy, room, hints_of(problem, part, matching), record=record)
        for part, room in zip(parts, rooms.tolist(), strict=True)
    )


def policy_plan(
    problem: BufferingProblem, policy: str, capacities: IntArray | None = None
) -> BufferingPlan:
    """Return the plan that the caches of a problem follow under a policy.

    Parameters
    ----------
    problem, policy, capacities
        As for `replay_problem`.
    """
    parts = streams(problem)
    found = replay_problem(problem, policy, capacities, record=True)
    schedules = [result.schedule for result in found if result.schedule is not None]
    return plan_of(problem, parts, _rooms(parts, capacities), schedules)


def hints_of(problem: BufferingProblem, stream: Stream, matching: Matching | None = None) -> Hints:
    """Return what a problem lets a policy know beside the references of one of its caches.

    Parameters
    ----------
    problem, stream
        All of it, and what the cache sees.
    matching
        That of `matching_of`, if it is at hand.
    """
    history = None
    if problem.history is not None:
        last_item = stream.first_item + stream.num_items
        history = np.ravel(problem.history)[stream.first_item : last_item].astype(np.float64)
    return Hints(
        history=history,
        sequence_starts=problem.sequence_starts,
        problem=problem,
        matching=matching,
    )


def matching_of(problem: BufferingProblem) -> Matching:
    """Return which finished sequence each group's own is most like, by `activation_matching`.

    Parameters
    ----------
    problem
        References of all layers, and where sequences start; without these none finishes.
    """
    starts = problem.sequence_starts
    matched, counts = match_sequences(
        problem.item_of(),
        np.array(problem.starts),
        np.zeros(1, dtype=np.int64) if starts is None else np.array(starts),
        problem.layers,
        problem.layers * problem.experts,
        KEPT_SEQUENCES,
    )
    table = counts.reshape(-1, problem.layers, problem.experts)
    shares = table / np.maximum(table.sum(axis=2, keepdims=True), 1.0)
    none = np.zeros((1, problem.layers * problem.experts))
    return Matching(matched, np.concatenate([shares.reshape(len(counts), -1), none]))


def least_room(stream: Stream) -> int:
    """Return the least capacity that a cache can serve a stream with."""
    pinned = float(stream.sizes[stream.pinned].sum())
    asked = np.zeros(stream.num_items, dtype=np.bool_)
    asked[stream.items] = stream.serve == "load"
    return int(np.ceil(pinned + stream.sizes[asked & ~stream.pinned].max(initial=0.0)))


def _room(stream: Stream, capacity: int | None) -> int:
    """Return the capacity that is meant, if it is enough."""
    if capacity is None:
        capacity = int(_rooms((stream,), None)[0])
    capacity = whole("capacity", capacity)
    if capacity < (least := least_room(stream)):
        raise InstanceError(
            "capacity",
            capacity,
            f"must be at least {least}: what is pinned, and on demand the largest item beside it",
            "give the cache more room",
        )
    return capacity


def _require_hints(rule: Policy, hints: Hints, stream: Stream) -> None:
    if hints.history is not None:
        counts = own_array(hints.history, "history", np.float64)
        require_shape(counts, "history", (stream.num_items,), "items")
        require_finite_nonnegative(counts, "history")
    if rule.needs_history and hints.history is None:
        raise InstanceError(
            "history", None, f"must be stated for the policy {rule.name}", "give counts of the past"
        )


def _problem(hints: Hints) -> BufferingProblem:
    if hints.problem is None:
        raise InstanceError(
            "hints", None, "must hold the problem for the policy activation_matching", "give it"
        )
    return hints.problem


def _rooms(parts: tuple[Stream, ...], capacities: IntArray | None) -> IntArray:
    if capacities is not None:
        given = own_array(capacities, "capacities", np.int64)
        require_shape(given, "capacities", (len(parts),), "caches")
        return given
    rooms = [part.capacity for part in parts if part.capacity is not None]
    if len(rooms) < len(parts):
        raise InstanceError(
            "capacities", None, "must be given where the plan divides a budget", "divide it first"
        )
    return np.array(rooms, dtype=np.int64)


def _arrays(stream: Stream) -> _Arrays:
    """Return copies of a stream's arrays: the kernels are compiled for what can be written to."""
    bypassed = stream.serve == "bypass"
    return _Arrays(
        items=stream.items.astype(np.int32),
        starts=np.array(stream.starts, dtype=np.int64),
        opens=np.array(stream.opens, dtype=np.bool_),
        load_prices=np.array(stream.load_prices, dtype=np.float64),
        # Without bypassing, long and of no use.
        miss_prices=np.array(stream.miss_prices[: bypassed * stream.items.size], dtype=np.float64),
        sizes=np.array(stream.sizes, dtype=np.float64),
        pinned=np.array(stream.pinned, dtype=np.bool_),
    )


def _replayed(
    stream: Stream, arrays: _Arrays, rule: Policy, capacity: int, hints: Hints, record: bool,
    residents_first: bool,
) -> Replay:  # fmt: skip
    """Replay by the fastest kernel that knows the rule."""
    if stream.serve == "load" and not residents_first and _one_size(arrays):
        slots = min(int(capacity // arrays.sizes[0]), stream.num_items)
        if rule.code == _kernels.FURTHEST:
            return belady(stream, slots, record=record)
        counted = None if record else _counted(stream, arrays, rule, slots, hints)
        if counted is not None:
            return _told(stream, counted[0], counted[0], counted[1])
    score, wanted = known_at_start(rule, stream, capacity, hints.history)
    total, ahead = score.copy(), _ahead(stream, rule, hints)
    if stream.serve == "load":
        misses, cost, *events, order = _kernels.serve_demand(
            arrays.items, arrays.starts, arrays.load_prices, arrays.sizes, arrays.pinned,
            float(capacity), rule.code, stream.num_layers, total, score, *ahead, residents_first,
            record,
        )  # fmt: skip
        schedule = _schedule(events, order if residents_first else None) if record else None
        return _told(stream, misses, misses, cost, schedule)
    most = stream.num_items if stream.loads_per_group is None else stream.loads_per_group
    misses, loads, cost, *events = _kernels.serve_bypass(
        arrays.items, arrays.starts, arrays.opens, arrays.load_prices, arrays.miss_prices,
        arrays.sizes, arrays.pinned, float(capacity), most, stream.free_fill, rule.code,
        stream.num_layers, total, score, wanted, *ahead, record,
    )  # fmt: skip
    return _told(stream, misses, loads, cost, _schedule(events) if record else None)


def _one_size(arrays: _Arrays) -> bool:
    return bool((arrays.sizes == arrays.sizes[0]).all())


def _counted(
    stream: Stream, arrays: _Arrays, rule: Policy, slots: int, hints: Hints
) -> tuple[int, float] | None:
    """Return misses and their prices by a lean kernel, ``None`` if none knows the rule."""
    free = slots - int(arrays.pinned.sum())
    cache = (arrays.load_prices, arrays.pinned, free)
    found: Any = None
    if rule.code == _kernels.LFU and hints.history is None:
        found = _kernels_count.count_frequent(arrays.items, *cache)
    elif rule.code in _LISTED and (rule.code != _kernels.QUOTA_LRU or stream.num_layers == 1):
        found = _kernels_count.count_listed(arrays.items, *cache, *_LISTED[rule.code])
    elif rule.code in _GROUPED and (rule.code != _kernels.LEAST_STALE or stream.num_layers == 1):
        found = _kernels_count.count_grouped(
            arrays.items, arrays.starts, *cache, _GROUPED[rule.code]
        )
    return found  # type: ignore[no-any-return]


def _ahead(stream: Stream, rule: Policy, hints: Hints) -> tuple[IntArray, IntArray, FloatArray]:
    """Return next uses, matched sequences and their shares, as far as the rule looks at them."""
    following = np.empty(0, dtype=np.int64)
    matched, shares = np.empty(0, dtype=np.int64), np.zeros((1, stream.num_items))
    if rule.code == _kernels.FURTHEST:
        following = next_use(stream.items, stream.num_items)
    elif rule.code == _kernels.MATCHING:
        matching = hints.matching or matching_of(_problem(hints))
        matched = matching.matched[stream.groups]
        last_item = stream.first_item + stream.num_items
        shares = np.ascontiguousarray(matching.shares[:, stream.first_item : last_item])
    return following, matched, shares


def _schedule(events: list[IntArray], order: IntArray | None = None) -> Schedule:
    load_at, load_item, drop_at, drop_item = events
    return Schedule(load_at, load_item, drop_at, drop_item, order)


def _told(
    stream: Stream, misses: int, loads: int, cost: float, schedule: Schedule | None = None
) -> Replay:
    # With the JIT off the kernels give NumPy's numbers.
    return Replay(
        hits=stream.items.size - int(misses),
        misses=int(misses),
        loads=int(loads),
        miss_cost=float(cost),
        schedule=schedule,
    )
