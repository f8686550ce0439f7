"""Belady's rule: what is needed again last leaves. The fewest misses that are possible.

It is optimal if loads are on demand, items are of one size, loads of one price and references come
in a fixed order (Belady 1966; Mattson, Gecsei, Slutz and Traiger 1970). `flow.py` is exact for
other prices as well.
"""

from __future__ import annotations

import numpy as np

from moeopt.buffering._kernels_ahead import furthest_out, next_uses
from moeopt.buffering.policies import Replay
from moeopt.buffering.stream import Schedule, Stream
from moeopt.core.arrays import IntArray, read_only


def next_use(items: IntArray, num_items: int) -> IntArray:
    """Return the position of the next reference to the same item, ``(references,)``.

    Where there is none, it is the number of references and the item: no two are equal.

    Parameters
    ----------
    items
        What each reference asks for, ``(references,)``.
    num_items
        How many there are.
    """
    following: IntArray = next_uses(items.astype(np.int32), num_items)
    return following


def belady(
    stream: Stream, slots: int, *, following: IntArray | None = None, record: bool = False
) -> Replay:
    """Replay a cache of equal slots in which the item whose next use is furthest leaves.

    Parameters
    ----------
    stream
        References, loaded on demand; items of one size.
    slots
        For all items, pinned ones included; at least one is left if others are asked for.
    following
        `next_use` of the references, if it is at hand.
    record
        Whether to return the schedule.
    """
    if following is None:
        following = next_use(stream.items, stream.num_items)
    room = min(slots, stream.num_items) - int(stream.pinned.sum())
    misses, cost, *events = furthest_out(
        stream.items.astype(np.int32),
        following,
        read_only(stream.load_prices),
        np.array(stream.pinned),
        room,
        record,
    )
    return Replay(
        hits=stream.items.size - misses,
        misses=misses,
        loads=misses,
        miss_cost=float(cost),
        schedule=Schedule(*events) if record else None,
    )
