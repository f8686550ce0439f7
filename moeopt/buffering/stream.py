"""What each cache sees: the references of one layer, or of all layers if they share a pool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Stream:
    """The references of one cache, in the order in which they come.

    Attributes
    ----------
    cache
        Which cache: the layer, or 0 for the pool.
    items
        What each reference asks for, ``(references,)``: an expert of the layer, or
        ``layer * experts + expert`` for a pool.
    starts
        First reference of each group, and the end of the last, ``(groups + 1,)``.
    groups
        The problem's group of each of these, ``(groups,)``.
    references
        The problem's reference of each of these, ``(references,)``.
    first_item
        The problem's ``layer * experts + expert`` of item 0.
    sizes
        Room that each item takes, ``(items,)``: 1, or its bytes if caches are stated in bytes.
    load_prices
        Cost of loading each item, ``(items,)``.
    miss_prices
        Cost of each reference that is bypassed, ``(references,)``.
    opens
        Whether residents may change before each group, ``(groups,)``.
    pinned
        Items resident from the start to the end, ``(items,)``.
    capacity
        Room of the cache; ``None`` if the plan decides.
    serve, loads_per_group, free_fill, any_order
        As the problem has them.
    layers
        How many share the cache.
    """

    cache: int
    items: IntArray
    starts: IntArray
    groups: IntArray
    references: IntArray
    first_item: int
    sizes: FloatArray
    load_prices: FloatArray
    miss_prices: FloatArray
    opens: BoolArray
    pinned: BoolArray
    capacity: int | None
    serve: Literal["load", "bypass"] = "load"
    loads_per_group: int | None = None
    free_fill: bool = False
    any_order: bool = False
    layers: int = 1

    @property
    def num_items(self) -> int:
        """Number of items."""
        return int(self.sizes.size)

    @property
    def num_groups(self) -> int:
        """Number of groups."""
        return int(self.groups.size)

    @property
    def num_layers(self) -> int:
        """Number of layers that share the cache; group `g` is of layer ``g % num_layers``."""
        return self.layers

    def group_of(self) -> IntArray:
        """Return the group, counted in this stream, of each reference, ``(references,)``."""
        return np.repeat(np.arange(self.num_groups), np.diff(self.starts))


@dataclass(frozen=True)
class Schedule:
    """What one cache does, in the counting of its stream.

    Attributes
    ----------
    load_at, load_item
        When each load takes place, and of what, ``(loads,)``: before a reference with
        ``serve="load"``, before a group with ``"bypass"``. In rising order of time.
    drop_at, drop_item
        The same of what leaves, ``(drops,)``, before the loads of its time.
    order
        References of the stream in the order in which they run, ``(references,)``; ``None`` as
        they come. Times count in this order.
    """

    load_at: IntArray
    load_item: IntArray
    drop_at: IntArray
    drop_item: IntArray
    order: IntArray | None = None


def streams(problem: BufferingProblem) -> tuple[Stream, ...]:
    """Return what each cache sees: one stream for each layer, or one for the pool."""
    missed = problem.miss_prices()
    if problem.pooled:
        return (_stream(problem, 0, np.arange(problem.num_groups), 0, problem.item_of(), missed),)
    groups = np.arange(problem.num_groups).reshape(-1, problem.layers)
    return tuple(
        _stream(problem, layer, groups[:, layer], layer * problem.experts, problem.active, missed)
        for layer in range(problem.layers)
    )


def with_capacity(stream: Stream, capacity: int) -> Stream:
    """Return the stream of a cache with this room.

    Parameters
    ----------
    stream
        What it sees.
    capacity
        Its room.
    """
    return replace(stream, capacity=int(capacity))


def plan_of(
    problem: BufferingProblem,
    parts: tuple[Stream, ...],
    capacities: IntArray,
    schedules: list[Schedule],
) -> BufferingPlan:
    """Return the plan of the caches' schedules.

    Parameters
    ----------
    problem
        What was asked.
    parts
        Its streams.
    capacities
        Room of each cache, ``(caches,)``.
    schedules
        What each cache does.
    """
    order = None
    if any(schedule.order is not None for schedule in schedules):
        order = np.arange(problem.num_references)
        for part, schedule in zip(parts, schedules, strict=True):
            if schedule.order is not None:
                order[part.references] = part.references[schedule.order]
    loads, drops = [], []
    for part, schedule in zip(parts, schedules, strict=True):
        when = part.references if problem.serve == "load" else part.groups
        loads.append((when[schedule.load_at], part.first_item + schedule.load_item))
        drops.append((when[schedule.drop_at], part.first_item + schedule.drop_item))
    load_at, load_item = _in_time(loads)
    drop_at, drop_item = _in_time(drops)
    return BufferingPlan(
        capacity=capacities,
        order=order,
        load_at=load_at,
        load_item=load_item,
        drop_at=drop_at,
        drop_item=drop_item,
    )


def _stream(
    problem: BufferingProblem, cache: int, groups: IntArray, first_item: int, items: IntArray,
    missed: FloatArray,
) -> Stream:  # fmt: skip
    """Return what a cache of these groups sees; `items` and `missed` are of all references."""
    pooled = problem.pooled
    lengths = np.diff(problem.starts)[groups]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    shift = np.repeat(problem.starts[groups] - starts[:-1], lengths)
    references = np.arange(starts[-1]) + shift
    layers = slice(None) if pooled else slice(cache, cache + 1)
    sizes = problem.sizes_bytes() if problem.cache_bytes is not None else np.ones(1)
    shape = (problem.layers, problem.experts)
    room = problem.slots if problem.cache_bytes is None else problem.cache_bytes
    capacity = None
    if room is not None:
        caches = 1 if pooled else problem.layers
        capacity = int(np.broadcast_to(np.asarray(room), (caches,))[cache])
    return Stream(
        cache=cache,
        items=items[references],
        starts=starts,
        groups=groups,
        references=references,
        first_item=first_item,
        sizes=np.broadcast_to(sizes, shape)[layers].ravel(),
        load_prices=problem.load_prices()[layers].ravel(),
        miss_prices=missed[references],
        opens=(groups // problem.layers) % problem.update_period == 0,
        pinned=problem.pinned_mask()[layers].ravel(),
        capacity=capacity,
        serve=problem.serve,
        loads_per_group=problem.loads_per_group,
        free_fill=problem.free_fill,
        any_order=problem.any_order,
        layers=problem.layers if pooled else 1,
    )


def _in_time(parts: list[tuple[IntArray, IntArray]]) -> tuple[IntArray, IntArray]:
    """Return times and items of all caches in rising order of time; of one cache as they were."""
    at = np.concatenate([part[0] for part in parts])
    item = np.concatenate([part[1] for part in parts])
    rising = np.argsort(at, kind="stable")
    return at[rising], item[rising]
