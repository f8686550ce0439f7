"""What looks at more than a cache: the next use of each reference, and sequences that are alike.

The same code runs with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any


@kernel
def next_uses(items: Array, num_items: int) -> Array:
    """Return the position of the next reference to the same item, ``(references,)``.

    Where there is none, it is the number of references and the item: no two are equal.
    """
    count = items.size
    upcoming = np.arange(count, count + num_items)
    following = np.empty(count, dtype=np.int64)
    for r in range(count - 1, -1, -1):
        following[r] = upcoming[items[r]]
        upcoming[items[r]] = r
    return following


@kernel
def _sink(heap: Array, size: int, at: int) -> None:
    """Move an entry of a heap, the largest first, down to where it belongs."""
    moved = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= moved:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moved


@kernel
def furthest_out(
    items: Array, following: Array, prices: Array, pinned: Array, slots: int, record: bool
) -> tuple[int, float, Array, Array, Array, Array]:
    """Replay a cache of equal slots in which the item whose next use is furthest leaves.

    A heap holds the next use of every resident. What lies in the past has been used and sinks to
    the bottom by itself; when it fills half of the heap, the heap is made anew.

    Parameters
    ----------
    items, following
        What each reference asks for, int32, and `next_uses` of it, ``(references,)``.
    prices, pinned
        Price of a load, and whether it is pinned, by item.
    slots
        For items that are not pinned; at least one if such are asked for.
    record
        Whether events are told.

    Returns
    -------
    misses, cost, load_at, load_item, drop_at, drop_item
        Positions and items of events.
    """
    count = items.size
    there = pinned.copy()
    upcoming = np.full(prices.size, -1, dtype=np.int64)
    heap = np.empty(2 * slots + 64, dtype=np.int64)
    told = count if record else 0
    load_at, load_item = np.empty(told, dtype=np.int64), np.empty(told, dtype=np.int64)
    drop_at, drop_item = np.empty(told, dtype=np.int64), np.empty(told, dtype=np.int64)
    size, number, misses, drops = 0, 0, 0, 0
    cost = 0.0
    for r in range(count):
        i = items[r]
        if pinned[i]:
            continue
        if not there[i]:
            if number == slots:
                far = heap[0]
                size -= 1
                heap[0] = heap[size]
                _sink(heap, size, 0)
                victim = items[far] if far < count else far - count
                there[victim] = False
                if record:
                    drop_at[drops] = r
                    drop_item[drops] = victim
                drops += 1
                number -= 1
            if record:
                load_at[misses] = r
                load_item[misses] = i
            there[i] = True
            number += 1
            misses += 1
            cost += prices[i]
        upcoming[i] = following[r]
        if size == heap.size:
            size = 0
            for j in range(prices.size):
                if there[j] and not pinned[j] and j != i:
                    heap[size] = upcoming[j]
                    size += 1
            for at in range(size // 2 - 1, -1, -1):
                _sink(heap, size, at)
        at = size
        size += 1
        while at > 0 and heap[(at - 1) // 2] < following[r]:
            heap[at] = heap[(at - 1) // 2]
            at = (at - 1) // 2
        heap[at] = following[r]
    told = misses if record else 0
    gone = drops if record else 0
    return (misses, cost, load_at[:told].copy(), load_item[:told].copy(), drop_at[:gone].copy(),
            drop_item[:gone].copy())  # fmt: skip


@kernel
def match_sequences(
    items: Array, starts: Array, sequence_starts: Array, layers: int, num_items: int, limit: int
) -> tuple[Array, Array]:
    """Return which finished sequence each group's own sequence is most like so far.

    MoE-Infinity's rule as `policies.py` states it.

    Parameters
    ----------
    items, starts
        Item of each reference, ``layer * experts + expert``, and the first of each group.
    sequence_starts
        First step of each sequence, ``(sequences,)``, from 0.
    layers, num_items
        Groups of a step, and items of all layers.
    limit
        Most sequences that are kept.

    Returns
    -------
    matched, counts
        Sequence that each group's is like, -1 for none, ``(groups,)``; references to each item in
        each sequence, ``(sequences, items)``.
    """
    groups, sequences = starts.size - 1, sequence_starts.size
    matched = np.full(groups, -1, dtype=np.int64)
    counts = np.zeros((sequences, num_items))
    kept = np.empty(limit, dtype=np.int64)
    uses = np.zeros(limit, dtype=np.int64)
    norm, own = np.zeros((limit, layers)), np.zeros(layers)
    inner, alike = np.zeros((limit, layers)), np.zeros((limit, layers))
    number, s = 0, 0
    for g in range(groups):
        step, layer = g // layers, g % layers
        if layer == 0 and s + 1 < sequences and sequence_starts[s + 1] == step:
            at = number
            if number == limit:
                at = int(np.argmin(uses))
            else:
                number += 1
            kept[at] = s
            uses[at] = 1
            norm[at] = own
            own[:] = 0.0
            inner[:] = 0.0
            alike[:] = 0.0
            s += 1
        for r in range(starts[g], starts[g + 1]):
            i = items[r]
            own[layer] += 2.0 * counts[s, i] + 1.0
            counts[s, i] += 1.0
            for c in range(number):
                inner[c, layer] += counts[kept[c], i]
        best, most = -1, 0.0
        for c in range(number):
            both = norm[c, layer] * own[layer]
            alike[c, layer] = inner[c, layer] / np.sqrt(both) if both > 0.0 else 0.0
            total = 0.0
            for j in range(layers):
                total += alike[c, j]
            if best < 0 or total > most:
                best, most = c, total
        if best >= 0:
            uses[best] += 1
            matched[g] = kept[best]
    return matched, counts
