"""The hot loops of the heuristics for items of unequal size.

Plain arrays in and out; the same code runs with the JIT off. `time`, `size`, `after`, `load_price`
and `miss_price` are those of nodes, `used` and `loads` what is taken of `room` and `cap` at every
time. Nodes come in order of time, and `first` holds the first node of each item.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel


@kernel
def farthest_first(item, size, after, load_price, room, kept):
    """Serve references in order, dropping what is farthest, largest and cheapest, into `kept`.

    An item is worth its price over its size and the distance to its next reference.
    """
    nodes = item.size
    last = np.full(item.max() + 1 if nodes else 0, -1)
    held = np.empty(last.size, dtype=np.int64)
    count = 0
    used = 0.0
    for n in range(nodes):
        i = item[n]
        if last[i] >= 0:
            kept[last[i]] = True
        else:
            while used + size[n] > room and count > 0:
                worst = 0
                worst_value = np.inf
                for h in range(count):
                    node = last[held[h]]
                    value = load_price[after[node]] / (size[node] * (after[node] - n))
                    if value < worst_value:
                        worst, worst_value = h, value
                used -= size[last[held[worst]]]
                last[held[worst]] = -1
                count -= 1
                held[worst] = held[count]
            held[count] = i
            count += 1
            used += size[n]
        last[i] = n
        if after[n] < 0:
            last[i] = -1
            used -= size[n]
            for h in range(count):
                if held[h] == i:
                    count -= 1
                    held[h] = held[count]
                    break


@kernel
def occupy(time, size, after, there, kept, sign, first, used, loads):
    """Add what one item takes (`sign` 1) or give it back (-1); `first` is its first node."""
    n = first
    stayed = False
    while n >= 0:
        m = after[n]
        if there[n]:
            used[time[n]] += sign * size[n]
            if not stayed:
                loads[time[n]] += sign
        stayed = kept[n]
        if stayed:
            for t in range(time[n] + 1, time[m]):
                used[t] += sign * size[n]
        n = m


@kernel
def _span_fits(used, low, high, limit):
    t = low
    while t < high and used[t] <= limit:
        t += 1
    return t >= high


@kernel
def accept(candidates, time, size, before, after, room, cap, there, kept, used, loads):
    """Take what fits, in order: a link as its node ``n``, an item at one node as ``~n``."""
    for c in candidates:
        n = c if c >= 0 else ~c
        limit = room - size[n]
        if not there[n] and (used[time[n]] > limit or loads[time[n]] >= cap):
            continue
        if c < 0:
            if not there[n]:
                there[n] = True
                used[time[n]] += size[n]
                loads[time[n]] += 1
            continue
        m = after[n]
        if kept[n] or (not there[m] and used[time[m]] > limit):
            continue
        if not _span_fits(used, time[n] + 1, time[m], limit):
            continue
        if not there[n]:
            there[n] = True
            used[time[n]] += size[n]
            loads[time[n]] += 1
        if there[m]:
            loads[time[m]] -= 1
        else:
            there[m] = True
            used[time[m]] += size[n]
        for t in range(time[n] + 1, time[m]):
            used[t] += size[n]
        kept[n] = True


@kernel
def improve(first, time, size, after, load_price, miss_price, room, cap, must, there, kept, used,
            loads):  # fmt: skip
    """Give each item in turn the best that the others leave room for; return what that saves.

    A dynamic programme over the item's nodes: there without a load, there by a load, or absent
    (never if `must`).
    """
    saved = 0.0
    nodes = time.size
    # Least cost up to a node where the item is there, or absent; and how it came there.
    cost = np.empty((nodes, 2))
    came = np.empty((nodes, 2), dtype=np.int8)
    for i in range(first.size):
        if first[i] < 0:
            continue
        paid = 0.0
        n = first[i]
        stayed = False
        while n >= 0:
            if not there[n]:
                paid += miss_price[n]
            elif not stayed:
                paid += load_price[n]
            stayed = kept[n]
            n = after[n]
        occupy(time, size, after, there, kept, -1, first[i], used, loads)
        n = first[i]
        p = -1
        last = -1
        while n >= 0:
            limit = room - size[n]
            so_far = 0.0
            source = 0
            if p >= 0:
                source = 0 if cost[p, 0] <= cost[p, 1] else 1
                so_far = cost[p, source]
            cost[n, 1] = np.inf if must else so_far + miss_price[n]
            came[n, 1] = source
            cost[n, 0] = np.inf
            fits = must or used[time[n]] <= limit
            if fits and loads[time[n]] < cap:
                cost[n, 0] = so_far + load_price[n]
                came[n, 0] = source
            stays = fits and p >= 0 and cost[p, 0] <= cost[n, 0]
            if stays and _span_fits(used, time[p] + 1, time[n], limit):
                cost[n, 0] = cost[p, 0]
                came[n, 0] = 2
            last = n
            p = n
            n = after[n]
        state = 0 if cost[last, 0] <= cost[last, 1] else 1
        saved += paid - cost[last, state]
        _trace_back(first[i], last, state, came, after, there, kept)
        occupy(time, size, after, there, kept, 1, first[i], used, loads)
    return saved


@kernel
def _trace_back(first, last, state, came, after, there, kept):
    """Write the states that lead to the last node's."""
    count = 0
    n = first
    while n >= 0:
        count += 1
        n = after[n]
    path = np.empty(count, dtype=np.int64)
    n = first
    for k in range(count):
        path[k] = n
        n = after[n]
    for k in range(count - 1, -1, -1):
        n = path[k]
        there[n] = state == 0
        kept[n] = False
        if k + 1 < count and there[path[k + 1]] and came[path[k + 1], 0] == 2:
            kept[n] = True
        how = came[n, state]
        state = 0 if how == 2 else how
