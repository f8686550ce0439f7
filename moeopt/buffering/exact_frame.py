"""The columns of a buffering problem's linear models.

The tight form of ``formulations/buffering.md`` keeps or cuts the links between the references of
an item, the plain one says of every item at every time whether it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.buffering.nodes import Nodes, nodes_of
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import Stream
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.mip import ModelBuilder


@dataclass(frozen=True, eq=False)
class Tight:
    """The columns of a cache in the tight form.

    Attributes
    ----------
    stream, nodes
        The cache's stream, and its nodes.
    size
        Size of each node's item in units, ``(nodes,)``.
    room
        Units beside the pinned items; ``None`` if the plan decides.
    taken
        Units of the pinned items.
    keep
        Columns ``x``: a link is kept, ``(nodes,)``; -1 where there is none.
    stay
        Columns ``y``: the item is there, ``(nodes,)``; none with ``serve="load"``.
    both
        Columns ``b``: the links before and after are kept, ``(nodes,)``; -1 where one is missing,
        none unless references run in any order.
    through
        Columns ``v``: units that are there all the time that a group runs, ``(groups,)``; none
        unless references run in any order.
    """

    stream: Stream
    nodes: Nodes
    size: FloatArray
    room: float | None
    taken: float
    keep: IntArray
    stay: IntArray
    both: IntArray
    through: IntArray


@dataclass(frozen=True, eq=False)
class Plain:
    """The columns of a cache in the plain form.

    Attributes
    ----------
    stream
        The cache's stream.
    size
        Size of each item in units, ``(items,)``.
    room
        Units of the cache; ``None`` if the plan decides.
    there, load, drop
        Columns ``y``, ``z`` and ``d``: items that are there, loaded before and dropped before each
        time, ``(times, items)``. Times are places of references or groups.
    reference, place
        With ``serve="load"`` the pairs of a reference and a place in its group, ``(pairs,)``.
    runs
        Columns ``a``: the reference runs at this place, ``(pairs,)``.
    """

    stream: Stream
    size: FloatArray
    room: float | None
    there: IntArray
    load: IntArray
    drop: IntArray
    reference: IntArray
    place: IntArray
    runs: IntArray


@dataclass(frozen=True, eq=False)
class Frame:
    """What the rows of a model are made from; it is of one form.

    Attributes
    ----------
    builder
        Receives columns and rows.
    tight, plain
        The caches in the tight form, or in the plain form.
    capacity
        Columns ``k``: room of each cache in units, ``(caches,)``; none in the tight form if
        capacities are stated.
    budget_bytes
        Of all caches' slots together; ``None`` if capacities are stated.
    slot_bytes
        Bytes of a slot of each cache, its largest expert's, ``(caches,)``.
    """

    builder: ModelBuilder
    tight: tuple[Tight, ...]
    plain: tuple[Plain, ...]
    capacity: IntArray
    budget_bytes: float | None
    slot_bytes: FloatArray


def start_tight(problem: BufferingProblem, parts: Sequence[Stream]) -> Frame:
    """Return the tight form of some caches with its columns and none of its rows."""
    builder = ModelBuilder(problem.name or "buffering")
    tight = tuple(_tight(builder, part) for part in parts)
    decided = [part for part in tight if part.room is None]
    least = [part.taken + (part.nodes.count > 0 and not part.stay.size) for part in decided]
    most = [part.stream.num_items for part in decided]
    capacity = builder.add_columns("k", len(decided), lower=least, upper=most, integer=True)
    return Frame(builder, tight, (), capacity, problem.budget_bytes, _slot_bytes(problem))


def start_plain(problem: BufferingProblem, parts: Sequence[Stream]) -> Frame:
    """Return the plain form of some caches with its columns and none of its rows."""
    builder = ModelBuilder(problem.name or "buffering")
    plain = tuple(_plain(builder, part) for part in parts)
    most = [part.size.sum() for part in plain]
    capacity = builder.add_columns("k", len(plain), upper=most, integer=True)
    return Frame(builder, (), plain, capacity, problem.budget_bytes, _slot_bytes(problem))


def start_relaxed(stream: Stream) -> Frame:
    """Return the tight form of one cache, for a relaxation without any rows yet."""
    builder = ModelBuilder("relaxation")
    none = builder.add_columns("k", 0)
    return Frame(builder, (_tight(builder, stream),), (), none, None, np.empty(0))


def _slot_bytes(problem: BufferingProblem) -> FloatArray:
    caches = 1 if problem.pooled else problem.num_layers
    largest: FloatArray = problem.sizes_bytes().reshape(caches, -1).max(axis=1)
    return largest


def units_of(stream: Stream) -> tuple[FloatArray, float | None]:
    """Return sizes and room in the largest unit in which sizes are whole.

    Returns
    -------
    sizes
        Of each item, ``(items,)``.
    room
        Of the cache, rounded down, at most what all items take; ``None`` if the plan decides.
    """
    unit = float(np.gcd.reduce(stream.sizes.astype(np.int64)))
    sizes = stream.sizes / unit
    if stream.capacity is None:
        return sizes, None
    return sizes, min(float(stream.capacity // unit), float(sizes.sum()))


def _tight(builder: ModelBuilder, stream: Stream) -> Tight:
    nodes = nodes_of(stream)
    sizes, room = units_of(stream)
    taken = float(sizes[stream.pinned].sum())
    links, bypass, c = nodes.links(), stream.serve == "bypass", stream.cache
    saved = nodes.load_price[nodes.after[links]]
    keep, both = np.full(nodes.count, -1), np.full(nodes.count, -1)
    keep[links] = builder.add_columns(f"x{c}", links.size, upper=1, integer=True, objective=-saved)
    stay = builder.add_columns(
        f"y{c}", nodes.count if bypass else 0, upper=1, integer=True,
        objective=nodes.load_price - nodes.miss_price if bypass else 0.0,
    )  # fmt: skip
    builder.objective_offset += float((nodes.miss_price if bypass else nodes.load_price).sum())
    left = None if room is None else room - taken
    ordered = not stream.any_order
    inner = links[:0] if ordered else links[nodes.before[links] >= 0]
    both[inner] = builder.add_columns(f"b{c}", inner.size, upper=1, integer=True)
    most = stream.num_items if left is None else max(left, 0.0)
    through = builder.add_columns(f"v{c}", 0 if ordered else nodes.times, upper=most, integer=True)
    return Tight(
        stream, nodes, sizes[nodes.item], left, taken, keep, stay, both[: 0 if ordered else None],
        through,
    )  # fmt: skip


def _plain(builder: ModelBuilder, stream: Stream) -> Plain:
    sizes, room = units_of(stream)
    bypass, c = stream.serve == "bypass", stream.cache
    shape = (stream.num_groups if bypass else stream.items.size, stream.num_items)
    missed, price = np.zeros(shape), np.broadcast_to(stream.load_prices, shape)
    if bypass:
        missed[stream.group_of(), stream.items] = stream.miss_prices
        builder.objective_offset += float(stream.miss_prices.sum())
        if stream.free_fill:
            price = np.where(np.arange(shape[0])[:, None] == 0, 0.0, price)
    there = builder.add_columns(f"y{c}", shape, upper=1, integer=True, objective=-missed)
    load = builder.add_columns(f"z{c}", shape, upper=1, integer=True, objective=price)
    drop = builder.add_columns(f"d{c}", shape, upper=1, integer=True)
    reference, place = (np.empty(0, dtype=np.int64),) * 2 if bypass else _pairs(stream)
    runs = builder.add_columns(f"a{c}", reference.size, upper=1, integer=True)
    return Plain(stream, sizes, room, there, load, drop, reference, place, runs)


def _pairs(stream: Stream) -> tuple[IntArray, IntArray]:
    """Return every pair of a reference and a place of its group."""
    group = stream.group_of()
    many = np.diff(stream.starts)[group]
    reference = np.repeat(np.arange(group.size), many)
    offset = np.arange(reference.size) - np.repeat(np.cumsum(many) - many, many)
    return reference, stream.starts[group[reference]] + offset
