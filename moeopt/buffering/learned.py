"""Our own policy: it learns from the trace, as it goes, which experts will be needed soon.

For every expert it expects a discounted use: 1 if the layer's next group needs it, `patience` times
that if the one after, and so on. It expects it from shares of past groups, forgotten at several
rates, and from how often the expert followed, soon or later, each of those that are active now.
How much each of these counts is learned by temporal differences (TD(0), Sutton 1988) with steps
scaled as in AdaGrad, starting from weights that serve well on any trace we have. Nothing is trained
before.

Belady's rule drops what is needed latest; this one drops what is expected to be needed least soon,
among the experts that the present group has no more need of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.buffering._kernels_learned import PRIOR, learned_bypass, learned_load
from moeopt.buffering.policies import Hints, Replay
from moeopt.buffering.stream import Schedule, Stream
from moeopt.core.arrays import BoolArray, FloatArray, read_only
from moeopt.core.errors import InstanceError

#: Shares are forgotten at these rates a group.
RATES = np.array([0.7, 0.9, 0.97, 0.995])

#: How much less an expert counts that follows one group later.
FADES = np.array([0.0, 0.5, 0.8])

#: Weights at the start: of the shares, of the share from the beginning, of the followers, and of
#: the part of all experts that are active.
START = np.array([0.1, 0.2, 0.4, 0.2, 0.2, 0.7, 0.7, 0.7, 0.0])

#: Size of the first steps of learning.
RATE = 0.02


@dataclass(frozen=True)
class Learner:
    """State of the policy over one stream, as its kernels take it.

    Attributes
    ----------
    arrays
        The state in the order of the kernels' parameters, `RATES` to the learning rate.
    """

    arrays: tuple[Any, ...]


def learner(
    stream: Stream,
    capacity: float,
    history: FloatArray | None = None,
    group_size: float | None = None,
) -> Learner:
    """Return the policy before the first group.

    Parameters
    ----------
    stream
        What the cache will see; only its shape is used, and with a history how large its first
        group is.
    capacity
        Room of the cache: the more fits, the farther the policy looks ahead.
    history
        Past counts of each item, ``(items,)``; they stand for ten groups.
    group_size
        References of a group, about, by which counts become shares; left out, those of the first
        group that has any.
    """
    layers = stream.num_layers
    experts = stream.num_items // layers
    fits = max(1.0, capacity / float(stream.sizes.mean())) / layers
    count = np.zeros((layers, experts))
    seen = np.zeros(layers)
    share = np.zeros((layers, experts, RATES.size))
    if history is not None and history.any():
        size = _first_size(stream) if group_size is None else group_size
        past = history.reshape(layers, experts)
        per_group = past / np.maximum(past.sum(axis=1, keepdims=True), 1e-300) * size
        count += 10 * np.minimum(per_group, 1.0)
        seen += 10
        share += np.minimum(per_group, 1.0)[:, :, None]
    pairs = np.full((layers, FADES.size, experts, experts), PRIOR)
    value = count / np.maximum(seen, 1.0)[:, None]
    return Learner(
        arrays=(
            RATES,
            FADES,
            share,
            count,
            pairs,
            np.zeros((layers, FADES.size, experts)),
            np.zeros((layers, FADES.size, experts)),
            np.zeros((layers, experts, START.size)),
            value.ravel(),
            START.copy(),
            np.full(START.size, 1e-3),
            seen,
            fits,
            RATE,
        )
    )


def _first_size(stream: Stream) -> int:
    """Return the references of the first group that has any, 0 if none has."""
    sizes = np.diff(stream.starts)
    return int(sizes[np.argmax(sizes > 0)]) if sizes.size else 0


def replay_learned(stream: Stream, capacity: int, hints: Hints, record: bool) -> Replay:
    """Return what the policy makes of a stream, as `moeopt.buffering.policies.Policy` has it.

    Parameters
    ----------
    stream, capacity
        What the cache sees, and its room.
    hints
        Of which it takes the history.
    record
        Whether to return the schedule.
    """
    missed, schedule = learned(stream, capacity, hints.history)
    paid = stream.load_prices[schedule.load_item]
    if stream.free_fill:
        paid = paid[schedule.load_at > 0]
    bypassed = stream.miss_prices[missed] if stream.serve == "bypass" else np.zeros(0)
    misses = int(missed.sum())
    return Replay(
        hits=stream.items.size - misses,
        misses=misses,
        loads=schedule.load_at.size,
        miss_cost=float(paid.sum() + bypassed.sum()),
        schedule=schedule if record else None,
    )


def learned(
    stream: Stream, capacity: int, history: FloatArray | None = None
) -> tuple[BoolArray, Schedule]:
    """Return which references miss, ``(references,)``, and what the cache does.

    Parameters
    ----------
    stream
        What the cache sees; with its `any_order` each group first runs what it finds resident.
    capacity
        Room of the cache, enough for any item with ``serve="load"``.
    history
        Past counts of each item, ``(items,)``.
    """
    state = learner(stream, capacity, history).arrays
    missed = np.zeros(stream.items.size, dtype=np.bool_)
    if stream.serve == "load":
        return missed, _load(stream, capacity, state, missed)
    return missed, _bypass(stream, capacity, state, missed)


def _load(stream: Stream, capacity: int, state: tuple[Any, ...], missed: BoolArray) -> Schedule:
    drop_at, drop_item = np.empty((2, stream.items.size), dtype=np.int64)
    order = np.arange(stream.items.size)
    drops = learned_load(
        stream.items, stream.starts, stream.num_layers, *cache_state(stream, capacity), *state,
        stream.any_order, order, missed, drop_at, drop_item,
    )  # fmt: skip
    if drops < 0:
        raise too_small(capacity)
    loads = np.flatnonzero(missed)
    missed[order] = missed.copy()
    return Schedule(
        load_at=loads,
        load_item=stream.items[order[loads]],
        drop_at=drop_at[:drops].copy(),
        drop_item=drop_item[:drops].copy(),
        order=order if stream.any_order else None,
    )


def cache_state(stream: Stream, capacity: float) -> tuple[Any, ...]:
    """Return who is resident and pinned, what is due, sizes, worths and the room that is left.

    Parameters
    ----------
    stream, capacity
        As for `learned`.
    """
    pinned = np.array(stream.pinned)
    worth = stream.load_prices / stream.sizes
    free = np.array([capacity - float(stream.sizes[pinned].sum())])
    due = np.zeros(stream.num_items, dtype=np.int64)
    return pinned.copy(), pinned, due, np.array(stream.sizes), worth, free


def too_small(capacity: float) -> InstanceError:
    """Return the error of a cache that cannot hold what is asked for."""
    rule = "must hold any one expert that is asked for, beside those pinned"
    return InstanceError("capacity", capacity, rule, "give the cache more room")


def _bypass(stream: Stream, capacity: int, state: tuple[Any, ...], missed: BoolArray) -> Schedule:
    most = stream.num_items if stream.loads_per_group is None else stream.loads_per_group
    # No item comes in twice before one group.
    room = int(min(most, stream.num_items) * stream.opens.sum())
    events = np.empty((4, room), dtype=np.int64)
    loads, drops = learned_bypass(
        stream.items, stream.starts, stream.num_layers, stream.opens, stream.pinned,
        read_only(stream.sizes), stream.miss_prices, read_only(stream.load_prices),
        stream.free_fill, most, float(capacity), *state, missed, *events,
    )  # fmt: skip
    return Schedule(
        load_at=events[0, :loads].copy(),
        load_item=events[1, :loads].copy(),
        drop_at=events[2, :drops].copy(),
        drop_item=events[3, :drops].copy(),
    )
