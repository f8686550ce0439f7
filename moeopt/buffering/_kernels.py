"""A cache under any policy: what it loads and drops, reference by reference or group by group.

Every policy is a number for each item, its worth; the resident with the least leaves. Of equals it
is the least recently used, and of those never used the one with the larger index. `policies.py`
states the rules in words. The same code runs with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from moeopt.core.jit import kernel

Array = Any

#: Compiles a small function into each kernel that uses it: a call with many arrays costs more than
#: what these do.
part = numba.njit(inline="always")

#: Policies by which an item's worth changes with its own references alone, and the others.
LRU, MRU, FIFO, LIFO, LFU, LEC, GDSF, STATIC, FURTHEST = range(9)
VARYING = 9
LFRU, INACTIVE_LIFO, INACTIVE_LIFO_INSERTED, LEAST_STALE, QUOTA_LRU = range(9, 14)
MATCHING, GROUP_LFU = range(14, 16)

#: Rows of `when`: position of an item's last reference and of its load, the latest group that asks
#: for it, the step of that group, and the latest group in which it has run; -1 for none.
LAST, LOADED, DUE, STEP, RAN = range(5)

#: Distance between classes of items: more than any position, and small enough for exact floats.
_CLASS = 2.0**50

#: What MoE-Infinity adds to a ratio before its decay.
_SOME = 1e-8


@kernel
def appraise(
    policy: int, who: Array, number: int, t: int, g: int, layers: int, layer: Array, when: Array,
    score: Array, used: Array, share: Array, value: Array,
) -> None:  # fmt: skip
    """Write into `value` what the first `number` items of `who` are worth, seen from group `g`.

    Parameters
    ----------
    t
        The present position.
    layers, layer
        Layers that share the cache, and that of each item, ``(items,)``.
    when, score
        Times of each item, ``(5, items)``, and its worth where it changes with its own references
        alone, ``(items,)``.
    used
        Room that each layer's items take, what is to come in included, ``(layers,)``.
    share
        Shares of the experts in the sequence that the present one is like, ``(items,)``.
    """
    here, step = g % layers, g // layers
    if policy < VARYING:
        for s in range(number):
            value[s] = score[who[s]]
    elif policy == LFRU:
        for s in range(number):
            value[s] = score[who[s]] / (t - when[LAST, who[s]])
    elif policy in (INACTIVE_LIFO, INACTIVE_LIFO_INSERTED):
        since = when[LAST if policy == INACTIVE_LIFO else LOADED]
        for s in range(number):
            i = who[s]
            if when[DUE, i] != g:
                value[s] = -when[LOADED, i]
            else:
                value[s] = (_CLASS if when[RAN, i] == g else 2.0 * _CLASS) - since[i]
    elif policy == GROUP_LFU:
        for s in range(number):
            i = who[s]
            due = when[DUE, i] == g and when[RAN, i] != g
            value[s] = score[i] + (_CLASS if due else 0.0)
    elif policy == QUOTA_LRU:
        for s in range(number):
            value[s] = -used[layer[who[s]]]
    elif policy == MATCHING:
        for s in range(number):
            ahead = layer[who[s]] - here
            if ahead < 0:
                ahead += layers
            value[s] = (share[who[s]] + _SOME) * (1.0 - ahead / (layers + 1))
    else:
        for s in range(number):
            i = who[s]
            stale = when[STEP, i] != step
            if layer[i] < here:
                value[s] = layer[i] + (0.0 if stale else 2.0 * _CLASS)
            elif stale:
                value[s] = _CLASS + layers - layer[i]
            else:
                value[s] = 3.0 * _CLASS if when[RAN, i] == g else 4.0 * _CLASS


@part
def note(
    policy: int, i: int, t: int, g: int, price: float, following: Array, clock: Array,
    when: Array, total: Array, score: Array, sizes: Array, r: int,
) -> None:  # fmt: skip
    """Write down that reference `r`, to item `i`, runs at position `t` of group `g`.

    Parameters
    ----------
    price
        What the reference costs if the item is absent.
    following
        Position of the next reference to the same item, ``(references,)``; for ``FURTHEST``.
    clock
        Worth of the latest item that left, ``(1,)``; for ``GDSF``.
    total
        What the policy adds up for each item, ``(items,)``.
    when, score, sizes
        As for `worth`.
    """
    when[LAST, i] = t
    when[RAN, i] = g
    if policy == LRU:
        score[i] = t
    elif policy == MRU:
        score[i] = -t
    elif policy in (LFU, LFRU, GROUP_LFU):
        total[i] += 1.0
        score[i] = total[i]
    elif policy == LEC:
        total[i] += price
        score[i] = total[i]
    elif policy == GDSF:
        total[i] += price
        score[i] = clock[0] + total[i] / sizes[i]
    elif policy == FURTHEST:
        score[i] = -following[r]


@part
def forget(policy: int, i: int, clock: Array, total: Array, score: Array) -> None:
    """Write down that item `i` leaves."""
    if policy == GDSF:
        clock[0] = score[i]
    if policy in (GDSF, LFRU):
        total[i] = 0.0


@part
def enter(policy: int, i: int, t: int, when: Array, score: Array) -> None:
    """Write down that item `i` is loaded at position `t`, or would be."""
    when[LOADED, i] = t
    if policy == FIFO:
        score[i] = t
    elif policy == LIFO:
        score[i] = -t


@kernel
def weakest(
    policy: int, t: int, g: int, held: Array, number: int, layers: int, layer: Array, when: Array,
    score: Array, used: Array, share: Array, kept: Array, value: Array,
) -> tuple[int, float]:  # fmt: skip
    """Return the resident that is worth least and its worth, -1 if none may leave.

    Parameters
    ----------
    held, number
        Residents that are not pinned, and how many of these places are taken.
    kept
        Items that may not leave now, ``(items,)``.
    """
    best = -1
    least = np.inf
    appraise(policy, held, number, t, g, layers, layer, when, score, used, share, value)
    for s in range(number):
        if value[s] <= least and not kept[held[s]]:
            if best >= 0 and value[s] == least and not below(held[s], best, when):
                continue
            best = held[s]
            least = value[s]
    return best, least


@part
def below(i: int, j: int, when: Array) -> bool:
    """Tell whether of two items of equal worth the first leaves before the second."""
    if when[LAST, i] != when[LAST, j]:
        return bool(when[LAST, i] < when[LAST, j])
    return i > j


@kernel
def serve_demand(
    items: Array, starts: Array, prices: Array, sizes: Array, pinned: Array, capacity: float,
    policy: int, layers: int, total: Array, score: Array, following: Array, matched: Array,
    ratio: Array, residents_first: bool, record: bool,
) -> tuple[int, float, Array, Array, Array, Array, Array]:  # fmt: skip
    """Replay a cache that loads what is missing before it runs.

    Parameters
    ----------
    items, starts
        What each reference asks for, ``(references,)``, int32, and the first of each group.
    prices, sizes, pinned
        Price of a load, room that it takes and whether it is pinned, by item.
    capacity
        Room of the cache; whatever is asked for fits beside what is pinned.
    policy, layers
        Rule, and layers that share the cache.
    total, score
        What the policy knows of each item at the start; changed.
    following
        As for `note`; empty where the policy does not look at it.
    matched, ratio
        Row of `ratio` that each group is like, -1 for the last, ``(groups,)``, and the shares of
        the experts in it, ``(rows, items)``; of zeros in the last.
    residents_first
        Whether each group first runs what is resident, then what is not.
    record
        Whether events and order are told.

    Returns
    -------
    misses, cost, load_at, load_item, drop_at, drop_item, order
        Positions and items of events, and the references in the order in which they run.
    """
    n = prices.size
    when = np.full((5, n), -1, dtype=np.int64)
    value = np.empty(n)
    layer = np.arange(n) * layers // n
    used = np.zeros(layers)
    held = np.empty(n, dtype=np.int32)
    where = np.full(n, -1, dtype=np.int32)
    clock = np.zeros(1)
    kept = np.zeros(n, dtype=np.bool_)
    number, misses, loads, drops = 0, 0, 0, 0
    cost = 0.0
    room = capacity
    for i in range(n):
        if pinned[i]:
            room -= sizes[i]
            used[layer[i]] += sizes[i]
    told = items.size if record else 0
    load_at, load_item = np.empty(told, dtype=np.int64), np.empty(told, dtype=np.int64)
    drop_at, drop_item = np.empty(told, dtype=np.int64), np.empty(told, dtype=np.int64)
    order = np.empty(told, dtype=np.int64)
    run = np.empty(n, dtype=np.int64)
    t = 0
    for g in range(starts.size - 1):
        size = starts[g + 1] - starts[g]
        share = ratio[matched[g] if policy == MATCHING else 0]
        for q in range(size):
            run[q] = starts[g] + q
            when[DUE, items[starts[g] + q]] = g
            when[STEP, items[starts[g] + q]] = g // layers
        if residents_first:
            p = 0
            for there in (True, False):
                for r in range(starts[g], starts[g + 1]):
                    if (pinned[items[r]] or where[items[r]] >= 0) == there:
                        run[p] = r
                        p += 1
        for q in range(size):
            r = run[q]
            i = items[r]
            if not pinned[i] and where[i] < 0:
                misses += 1
                cost += prices[i]
                used[layer[i]] += sizes[i]
                while room < sizes[i]:
                    v, _ = weakest(policy, t, g, held, number, layers, layer, when, score, used,
                                   share, kept, value)  # fmt: skip
                    forget(policy, v, clock, total, score)
                    number -= 1
                    held[where[v]] = held[number]
                    where[held[number]] = where[v]
                    where[v] = -1
                    room += sizes[v]
                    used[layer[v]] -= sizes[v]
                    if record:
                        drop_at[drops] = t
                        drop_item[drops] = v
                        drops += 1
                held[number] = i
                where[i] = number
                number += 1
                room -= sizes[i]
                enter(policy, i, t, when, score)
                if record:
                    load_at[loads] = t
                    load_item[loads] = i
                    loads += 1
            note(policy, i, t, g, prices[i], following, clock, when, total, score, sizes, r)
            if record:
                order[t] = r
            t += 1
    return (misses, cost, load_at[:loads].copy(), load_item[:loads].copy(), drop_at[:drops].copy(),
            drop_item[:drops].copy(), order)  # fmt: skip


@kernel
def serve_bypass(
    items: Array, starts: Array, opens: Array, load_prices: Array, miss_prices: Array,
    sizes: Array, pinned: Array, capacity: float, most_loads: int, free_fill: bool, policy: int,
    layers: int, total: Array, score: Array, wanted: Array, following: Array, matched: Array,
    ratio: Array, record: bool,
) -> tuple[int, int, float, Array, Array, Array, Array]:  # fmt: skip
    """Replay a cache whose residents change between groups only; what is missing is bypassed.

    What was missing since the last open group asks to come in before the next one, the most
    worthy first, each in place of residents that are worth less.

    Parameters
    ----------
    items, starts, sizes, pinned, capacity, policy, layers, total, score, following, matched, ratio
        As for `serve_demand`.
    opens
        Whether residents may change before each group, ``(groups,)``.
    load_prices, miss_prices
        Price of a load by item, and of bypassing by reference.
    most_loads
        Before one group.
    free_fill
        Whether loads before the first group cost nothing.
    wanted
        Items that ask to come in before the first group, ``(items,)``; changed.
    record
        Whether events are told.

    Returns
    -------
    misses, loads, cost, load_at, load_item, drop_at, drop_item
        Groups and items of events.
    """
    n = load_prices.size
    when = np.full((5, n), -1, dtype=np.int64)
    value = np.empty(n)
    layer = np.arange(n) * layers // n
    used = np.zeros(layers)
    held = np.empty(n, dtype=np.int32)
    where = np.full(n, -1, dtype=np.int32)
    clock = np.zeros(1)
    fresh = np.zeros(n, dtype=np.bool_)
    leaving = np.empty(n, dtype=np.int64)
    asking = np.empty(n, dtype=np.int32)
    number, asked, misses, loads, drops = 0, 0, 0, 0, 0
    cost = 0.0
    room = capacity
    for i in range(n):
        if pinned[i]:
            room -= sizes[i]
            used[layer[i]] += sizes[i]
        elif wanted[i]:
            asking[asked] = i
            asked += 1
    told = items.size + n if record else 0
    load_at, load_item = np.empty(told, dtype=np.int64), np.empty(told, dtype=np.int64)
    drop_at, drop_item = np.empty(told, dtype=np.int64), np.empty(told, dtype=np.int64)
    for g in range(starts.size - 1):
        t = starts[g]
        entered = 0
        share = ratio[matched[g - 1] if policy == MATCHING else 0]
        while opens[g] and entered < most_loads:
            best, most = -1, 0.0
            for q in range(asked):
                enter(policy, asking[q], t, when, score)
            appraise(policy, asking, asked, t, g - 1, layers, layer, when, score, used, share,
                     value)  # fmt: skip
            for q in range(asked):
                i = asking[q]
                found = value[q] - (sizes[i] if policy == QUOTA_LRU else 0.0)
                if wanted[i] and (best < 0 or found > most or
                                  (found == most and below(best, i, when))):  # fmt: skip
                    best, most = i, found
            if best < 0 or most == -np.inf:
                break
            wanted[best] = False
            used[layer[best]] += sizes[best]
            going = 0
            space = room
            while space < sizes[best]:
                v, least = weakest(policy, t, g - 1, held, number, layers, layer, when, score,
                                   used, share, fresh, value)  # fmt: skip
                if v < 0 or least > most or (least == most and below(best, v, when)):
                    break
                fresh[v] = True
                leaving[going] = v
                going += 1
                space += sizes[v]
                used[layer[v]] -= sizes[v]
            for q in range(going):
                v = leaving[q]
                fresh[v] = False
                if space < sizes[best]:
                    used[layer[v]] += sizes[v]
                    continue
                forget(policy, v, clock, total, score)
                number -= 1
                held[where[v]] = held[number]
                where[held[number]] = where[v]
                where[v] = -1
                if record:
                    drop_at[drops] = g
                    drop_item[drops] = v
                    drops += 1
            if space < sizes[best]:
                used[layer[best]] -= sizes[best]
                continue
            room = space - sizes[best]
            held[number] = best
            where[best] = number
            number += 1
            fresh[best] = True
            entered += 1
            if not (free_fill and g == 0):
                cost += load_prices[best]
            if record:
                load_at[loads] = g
                load_item[loads] = best
            loads += 1
        if opens[g]:
            for q in range(asked):
                wanted[asking[q]] = False
                fresh[asking[q]] = False
            asked = 0
        for r in range(starts[g], starts[g + 1]):
            i = items[r]
            when[DUE, i] = g
            when[STEP, i] = g // layers
            if not pinned[i] and where[i] < 0:
                misses += 1
                cost += miss_prices[r]
                if not wanted[i]:
                    wanted[i] = True
                    asking[asked] = i
                    asked += 1
            note(policy, i, r, g, miss_prices[r], following, clock, when, total, score, sizes, r)
    return (misses, loads, cost, load_at[:loads].copy(), load_item[:loads].copy(),
            drop_at[:drops].copy(), drop_item[:drops].copy())  # fmt: skip
