"""List scheduling of messages on ports: whenever two ports are free, the most urgent message."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any


@kernel
def _free_until(
    busy_first: Array, busy_start: Array, busy_end: Array, port: int, now: float
) -> float:
    """Return until when a port is free of busy times, `now` if it is in one."""
    for b in range(busy_first[port], busy_first[port + 1]):
        if busy_end[b] > now:
            return float(max(busy_start[b], now))
    return float(np.inf)


@kernel
def list_schedule(
    first: Array, sender: Array, receiver: Array, seconds: Array, startup_s: float,
    smallest_s: Array, release: Array, releases: Array,
    busy_first: Array, busy_start: Array, busy_end: Array,
    follower: Array, urgency: Array, length_weight: float, noise: Array, cut: bool,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Start messages as soon as their two ports are free, one at a time on each.

    Parameters
    ----------
    first, sender, receiver
        The messages of ``senders`` are ``first[i]`` to ``first[i + 1]``; the port of each message's
        two ends, ``(messages,)``. A port that sends and receives at the same time is two ports.
    seconds, startup_s, smallest_s
        Seconds of each message, of the start-up of each part, and of the smallest part.
    release, releases
        When each message may start, and the times that occur there, in order.
    busy_first, busy_start, busy_end
        Busy times of each port, in order, as `first`.
    follower
        The message that may start once this one has ended, -1 for none: its next hop.
    urgency
        Added to the priority of each message, in seconds.
    length_weight
        How much the message's own length counts beside the work that is left at its ports.
    noise
        Factor of the priority of each message.
    cut
        Whether a message may be cut where a busy time begins.

    Returns
    -------
    message, start, sent_s
        Of each part: whose it is, when its start-up begins, the seconds it lasts after that.
    """
    messages = sender.shape[0]
    ports = busy_first.shape[0] - 1
    left = seconds.copy()
    release = release.copy()
    work = np.zeros(ports)
    for m in range(messages):
        work[sender[m]] += seconds[m] + startup_s
        work[receiver[m]] += seconds[m] + startup_s
    senders = first.shape[0] - 1
    alive = np.arange(messages)
    last = first[1:].copy()
    free = np.zeros(ports)
    room = messages + 16
    piece = np.empty(room, np.int64)
    start = np.empty(room)
    sent = np.empty(room)
    count, waiting, now = 0, messages, 0.0
    while waiting > 0:
        while True:
            chosen, place, amount, highest = -1, -1, 0.0, -np.inf
            for i in range(senders):
                if last[i] == first[i]:
                    continue
                port = sender[alive[first[i]]]
                if free[port] > now:
                    continue
                until = _free_until(busy_first, busy_start, busy_end, port, now)
                if until <= now + startup_s:
                    continue
                for a in range(first[i], last[i]):
                    m = alive[a]
                    other = receiver[m]
                    if release[m] > now or free[other] > now:
                        continue
                    most = max(work[port], work[other])
                    value = most + 1e-3 * min(work[port], work[other])
                    value = (value + length_weight * left[m]) * noise[m] + urgency[m]
                    if value <= highest:
                        continue
                    gap = min(until, _free_until(busy_first, busy_start, busy_end, other, now))
                    part = gap - now - startup_s
                    if part < left[m]:
                        part = min(part, left[m] - smallest_s[m])
                        if not cut or part < smallest_s[m] or part <= 0.0:
                            continue
                    else:
                        part = left[m]
                    chosen, place, amount, highest = m, a, part, value
            if chosen < 0:
                break
            if count == room:
                room *= 2
                piece = _more(piece, room)
                start = _more(start, room)
                sent = _more(sent, room)
            piece[count] = chosen
            start[count] = now
            sent[count] = amount
            count += 1
            i, j = sender[chosen], receiver[chosen]
            free[i] = now + startup_s + amount
            free[j] = free[i]
            work[i] -= amount
            work[j] -= amount
            if amount >= left[chosen]:
                left[chosen] = 0.0
                work[i] -= startup_s
                work[j] -= startup_s
                waiting -= 1
                if follower[chosen] >= 0:
                    release[follower[chosen]] = free[i]
                row = np.searchsorted(first, place, side="right") - 1
                last[row] -= 1
                alive[place] = alive[last[row]]
                alive[last[row]] = chosen
            else:
                left[chosen] -= amount
        later = np.inf
        for p in range(ports):
            if free[p] > now:
                later = min(later, free[p])
            for b in range(busy_first[p], busy_first[p + 1]):
                if busy_end[b] > now:
                    later = min(later, busy_end[b])
        for r in range(releases.shape[0]):
            if releases[r] > now:
                later = min(later, releases[r])
                break
        if later == np.inf:
            break
        now = later
    return piece[:count].copy(), start[:count].copy(), sent[:count].copy()


@kernel
def _more(old: Array, room: int) -> Array:
    new = np.empty(room, old.dtype)
    new[: old.shape[0]] = old
    return new
