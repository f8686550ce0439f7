"""Hot loop of Aurora's Algorithm 1: messages put, one by one, into the earliest common free times.

Plain arrays only; the same code runs with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel


@kernel
def earliest_fit(duration, sender, receiver, num_ports, tiny):
    """Place messages in the order given; return the message, start and duration of each part.

    A message takes every time in which its sender sends to nobody and its receiver receives from
    nobody, from 0 on, until it is through. Gaps shorter than `tiny` are taken for rounding.

    Parameters
    ----------
    duration
        ``(messages,)`` seconds that each needs.
    sender, receiver
        ``(messages,)`` ports, 0 to `num_ports` - 1.
    """
    # Rows of senders, then of receivers: their busy times, sorted and apart from each other.
    busy_start = np.empty((2 * num_ports, 8))
    busy_end = np.empty((2 * num_ports, 8))
    used = np.zeros(2 * num_ports, dtype=np.int64)
    message = np.empty(2 * len(duration) + 1, dtype=np.int64)
    start = np.empty(2 * len(duration) + 1)
    length = np.empty(2 * len(duration) + 1)
    parts = 0
    for k in range(len(duration)):
        a = sender[k]
        b = num_ports + receiver[k]
        need = duration[k]
        now = 0.0
        i = 0
        j = 0
        first = parts
        while need > 0.0:
            if i < used[a] and busy_start[a, i] <= now + tiny:
                now = max(now, busy_end[a, i])
                i += 1
                continue
            if j < used[b] and busy_start[b, j] <= now + tiny:
                now = max(now, busy_end[b, j])
                j += 1
                continue
            gap = np.inf
            if i < used[a]:
                gap = busy_start[a, i] - now
            if j < used[b]:
                gap = min(gap, busy_start[b, j] - now)
            taken = need if need <= gap + tiny else gap
            if parts == len(message):
                message = np.append(message, np.empty_like(message))
                start = np.append(start, np.empty_like(start))
                length = np.append(length, np.empty_like(length))
            message[parts] = k
            start[parts] = now
            length[parts] = taken
            parts += 1
            need -= taken
            now += taken
        most = max(used[a], used[b]) + parts - first
        if most > busy_start.shape[1]:
            busy_start = wider(busy_start, 2 * most)
            busy_end = wider(busy_end, 2 * most)
        for part in range(first, parts):
            for row in (a, b):
                occupy(busy_start[row], busy_end[row], used, row, start[part], length[part], tiny)
    return message[:parts].copy(), start[:parts].copy(), length[:parts].copy()


@kernel
def wider(table, columns):
    """Return `table` with more columns."""
    new = np.empty((table.shape[0], columns))
    new[:, : table.shape[1]] = table
    return new


@kernel
def occupy(busy_start, busy_end, used, row, start, length, tiny):
    """Enter a time into a port's busy times and join it with those that it touches."""
    count = used[row]
    end = start + length
    at = np.searchsorted(busy_start[:count], start)
    if at > 0 and start - busy_end[at - 1] <= tiny:
        at -= 1
        busy_end[at] = max(busy_end[at], end)
    else:
        for k in range(count, at, -1):
            busy_start[k] = busy_start[k - 1]
            busy_end[k] = busy_end[k - 1]
        busy_start[at] = start
        busy_end[at] = end
        count += 1
    if at + 1 < count and busy_start[at + 1] - busy_end[at] <= tiny:
        busy_end[at] = max(busy_end[at], busy_end[at + 1])
        for k in range(at + 1, count - 1):
            busy_start[k] = busy_start[k + 1]
            busy_end[k] = busy_end[k + 1]
        count -= 1
    used[row] = count
