"""Lean counts of misses: caches of equal slots, experts loaded on demand, nothing recorded.

Each loop does what `_kernels.serve_demand` does with the same policy, and is several times faster:
it finds the victim through a list that is kept in order, not by looking at every slot. Items that
are pinned are always there and have no slot. The same code runs with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any

#: Bits of a key below the count of references: positions up to 2 ** 36.
_POSITION_BITS = 36

#: Ways to choose among the items of `count_grouped`.
NEWEST_USED, NEWEST_LOADED, OLDEST_USED = 0, 1, 2


@kernel
def _front(i: int, end: int, after: Array, before: Array) -> None:
    """Put item `i` first on the list whose two ends are node `end`."""
    first = after[end]
    after[end] = i
    before[i] = end
    after[i] = first
    before[first] = i


@kernel
def _off(i: int, after: Array, before: Array) -> None:
    """Take item `i` off its list."""
    after[before[i]] = after[i]
    before[after[i]] = before[i]


@kernel
def count_listed(
    items: Array, prices: Array, pinned: Array, slots: int, refresh: bool, newest: bool
) -> tuple[int, float]:
    """Return misses, and their prices, of the policies that need one list.

    Parameters
    ----------
    items
        What each reference asks for, ``(references,)``, int32.
    prices, pinned
        Price of a load, and whether it is pinned, by item.
    slots
        For items that are not pinned.
    refresh
        Whether an item goes to the front at every reference, not at its load alone.
    newest
        Whether the item at the front leaves, not the one at the back.
    """
    end = prices.size
    after = np.full(end + 1, end, dtype=np.int32)
    before = np.full(end + 1, end, dtype=np.int32)
    there = pinned.copy()
    free = slots
    misses = 0
    cost = 0.0
    for r in range(items.size):
        i = items[r]
        if there[i]:
            if refresh and not pinned[i] and after[end] != i:
                _off(i, after, before)
                _front(i, end, after, before)
            continue
        misses += 1
        cost += prices[i]
        if free:
            free -= 1
        else:
            victim = after[end] if newest else before[end]
            _off(victim, after, before)
            there[victim] = False
        there[i] = True
        _front(i, end, after, before)
    return misses, cost


@kernel
def count_grouped(
    items: Array, starts: Array, prices: Array, pinned: Array, slots: int, choice: int
) -> tuple[int, float]:
    """Return misses, and their prices, of the policies that spare what the present group needs.

    Parameters
    ----------
    items, prices, pinned, slots
        As for `count_listed`.
    starts
        First reference of each group, and the end of the last, ``(groups + 1,)``.
    choice
        ``NEWEST_USED``: the latest loaded of the inactive, then the latest used of those that have
        run. ``NEWEST_LOADED``: the latest loaded of either. ``OLDEST_USED``: the least recently
        used of either. Those still to come last, by the same measure.
    """
    end = prices.size
    after = np.full(end + 1, end, dtype=np.int32)
    before = np.full(end + 1, end, dtype=np.int32)
    there = pinned.copy()
    due = np.full(end, -1, dtype=np.int64)
    ran = np.full(end, -1, dtype=np.int64)
    last = np.full(end, -1, dtype=np.int64)
    refresh = choice == OLDEST_USED
    way = before if refresh else after
    free = slots
    misses = 0
    cost = 0.0
    for g in range(starts.size - 1):
        for r in range(starts[g], starts[g + 1]):
            due[items[r]] = g
        for r in range(starts[g], starts[g + 1]):
            i = items[r]
            if there[i]:
                if refresh and not pinned[i]:
                    _off(i, after, before)
                    _front(i, end, after, before)
            else:
                misses += 1
                cost += prices[i]
                if free:
                    free -= 1
                else:
                    victim = way[end]
                    while victim != end and due[victim] == g:
                        victim = way[victim]
                    if victim == end:
                        victim = _active(g, end, way, ran, last, choice == NEWEST_USED)
                    _off(victim, after, before)
                    there[victim] = False
                there[i] = True
                _front(i, end, after, before)
            ran[i] = g
            last[i] = r
    return misses, cost


@kernel
def _active(g: int, end: int, way: Array, ran: Array, last: Array, newest_used: bool) -> int:
    """Return which leaves if all are active: one that has run, else one that is still to come."""
    best = end
    i = way[end]
    while i != end:
        has_run = ran[i] == g
        same = best != end and has_run == (ran[best] == g)
        later = newest_used and same and last[i] > last[best]
        if best == end or later or (has_run and not same):
            best = i
        i = way[i]
    return int(best)


@kernel
def count_frequent(items: Array, prices: Array, pinned: Array, slots: int) -> tuple[int, float]:
    """Return misses, and their prices, if the item with the fewest references so far leaves.

    Of equals the least recently used. Parameters as for `count_listed`.
    """
    count = np.zeros(prices.size, dtype=np.int64)
    where = np.full(prices.size, -1, dtype=np.int32)
    held = np.empty(slots, dtype=np.int32)
    key = np.empty(slots, dtype=np.int64)
    used = 0
    misses = 0
    cost = 0.0
    for r in range(items.size):
        i = items[r]
        if pinned[i]:
            continue
        count[i] += 1
        now = (count[i] << _POSITION_BITS) | r
        at = where[i]
        if at < 0:
            misses += 1
            cost += prices[i]
            if used < slots:
                at = used
                used += 1
            else:
                at = 0
                least = key[0]
                for s in range(1, slots):
                    if key[s] < least:
                        least = key[s]
                        at = s
                where[held[at]] = -1
            held[at] = i
            where[i] = at
        key[at] = now
    return misses, cost
