"""The clock of a plan: one device that computes pass after pass, one link that brings experts."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any

#: What becomes of a load: nothing moves; its gate asks for it; a right or a wrong prediction does.
FREE, ASKED, FORESEEN, MISSED = 0, 1, 2, 3


@kernel
def served(
    until: float, most: int, now: Array, count: Array, ready: Array, work: Array,
    due: Array, under_way: Array, begun: Array, ended: Array,
) -> bool:  # fmt: skip
    """Let the link work to its next event, or to a time if that is earlier; tell which.

    Transfers share the rate equally, so all that are under way have had the same work since the
    link was last idle: one ends when this reaches what it was due at.

    Parameters
    ----------
    until
        The time.
    most
        Transfers at once.
    now
        The link's time, work done for each transfer, and seconds that it was busy.
    count
        Next request to begin, requests so far, transfers under way.
    ready, work
        When each request may begin, rising, and seconds it takes alone, ``(requests,)``.
    due, under_way, begun, ended
        Room for the work at which each ends, the transfers under way, and times.
    """
    head, asked, active = count[0], count[1], count[2]
    while active < most and head < asked and ready[head] <= now[0]:
        if active == 0:
            now[1] = 0.0
        due[head] = now[1] + work[head]
        begun[head] = now[0]
        under_way[active] = head
        head += 1
        active += 1
    count[0], count[2] = head, active
    waits = active < most and head < asked
    if active == 0:
        if waits and ready[head] <= until:
            now[0] = ready[head]
            return True
        now[0] = max(now[0], until)
        return False
    least = np.inf
    for i in range(active):
        least = min(least, due[under_way[i]])
    end = now[0] + (least - now[1]) * active
    stop = min(end, until)
    if waits:
        stop = min(stop, ready[head])
    now[2] += stop - now[0]
    if stop < end:
        now[1] += (stop - now[0]) / active
        now[0] = stop
        return bool(stop < until)
    now[0], now[1] = end, least
    left = 0
    for i in range(active):
        k = under_way[i]
        if due[k] <= least:
            ended[k] = end
        else:
            under_way[left] = k
            left += 1
    count[2] = left
    return True


@kernel
def run_clock(
    layers: int, starts: Array, items: Array, loads: Array, load_item: Array, fate: Array,
    wrong: Array, drops: Array, drop_item: Array, resident: Array, bypass: bool, seconds: Array,
    compute: Array, host: Array, ahead: int, latency: float, most: int, stall: Array, busy: Array,
    begun: Array, ended: Array, release: Array,
) -> tuple[int, int]:  # fmt: skip
    """Run all groups and return the requests and how many were for nothing.

    Parameters
    ----------
    layers
        Number of layers.
    starts
        First place of each group, ``(groups + 1,)``.
    items
        The item at each place, ``(references,)``.
    loads
        First load of each group, ``(groups + 1,)``.
    load_item, fate, wrong
        What each load brings, what becomes of it, and which item a wrong prediction asks for.
    drops
        First drop of each place, or of each group if `bypass`; and the end of the last.
    drop_item
        What is dropped.
    resident
        Items that are there, ``(items,)``; overwritten.
    bypass
        Whether items that are not there are served by the host.
    seconds
        Of each item's transfer alone on the link, ``(items,)``.
    compute
        Seconds of a pass, ``(layers,)``.
    host
        Seconds of each reference on the host, ``(references,)``.
    ahead
        Passes by which predictions come early.
    latency, most
        Seconds before a transfer begins, and transfers at once.
    stall
        Room for the seconds of each layer that are spent waiting for transfers.
    busy
        Room for the seconds of everything, of the link's work, and of waiting for the host.
    begun, ended, release
        Room for each request: when it began, when it ended, and when its slot was free.
    """
    groups = starts.size - 1
    room = begun.size
    ready, work, due = np.empty(room), np.empty(room), np.empty(room)
    meant = np.full(room, -1)
    under_way = np.empty(min(most, room) + 1, dtype=np.int64)
    begun[:], ended[:], release[:] = np.inf, np.inf, 0.0
    request = np.full(load_item.size, -1)
    newest = np.full(resident.size, -1)
    used = np.zeros(resident.size)
    now, count = np.zeros(3), np.zeros(3, dtype=np.int64)
    begin, wasted = 0.0, 0
    begins = np.empty(groups)
    for g in range(groups):
        begins[g] = begin
        if bypass:
            for d in range(drops[g], drops[g + 1]):
                resident[drop_item[d]] = False
        for k in range(loads[g], loads[g + 1]):
            resident[load_item[k]] = True
            if fate[k] == ASKED or fate[k] == MISSED:
                request[k] = count[1]
                ready[count[1]] = begin + latency
                work[count[1]] = seconds[load_item[k]]
                count[1] += 1
            newest[load_item[k]] = request[k]
            if request[k] >= 0:
                release[request[k]] = begin
        if ahead > 0 and g + ahead < groups:
            for k in range(loads[g + ahead], loads[g + ahead + 1]):
                if fate[k] == FORESEEN or (fate[k] == MISSED and wrong[k] >= 0):
                    asked = load_item[k]
                    if fate[k] == FORESEEN:
                        request[k] = count[1]
                    else:
                        asked = wrong[k]
                        meant[count[1]] = g + ahead
                        wasted += 1
                    ready[count[1]] = begin + latency
                    work[count[1]] = seconds[asked]
                    count[1] += 1
        here, outside = 0, 0.0
        for p in range(starts[g], starts[g + 1]):
            if not bypass or resident[items[p]]:
                here += 1
            else:
                outside += host[p]
        pace = compute[g % layers]
        ran, waited = 0, 0.0
        for p in range(starts[g], starts[g + 1]):
            item = items[p]
            if bypass and not resident[item]:
                continue
            time = begin + waited + pace * ran / here
            k = newest[item]
            newest[item] = -1
            if k >= 0:
                if not bypass:
                    for d in range(drops[p], drops[p + 1]):
                        release[k] = max(release[k], used[drop_item[d]])
                while ended[k] == np.inf:
                    served(np.inf, most, now, count, ready, work, due, under_way, begun, ended)
                waited += max(0.0, ended[k] - time)
            ran += 1
            used[item] = begin + waited + pace * ran / here
        took, ideal = max(pace + waited, outside), max(pace, outside)
        stall[g % layers] += took - ideal
        busy[2] += ideal - pace
        begin += took
    while served(begin, most, now, count, ready, work, due, under_way, begun, ended):
        pass
    busy[0], busy[1] = begin, now[2]
    for k in range(count[1]):
        if meant[k] >= 0:
            release[k] = max(begins[meant[k]], min(ended[k], begin))
    return count[1], wasted
