"""Rounds in which a fast port serves several slow ones: flows between ports with capacities."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any


@kernel
def _raise(line: int, lack: int, flow: Array, left: Array, sums: Array, least: Array,
           far_sums: Array, far_most: Array, from_line: Array, from_far: Array,
           queue: Array) -> int:  # fmt: skip
    """Send more on one line by an alternating path, at most `lack`, and return how much.

    The path ends at a line of the other side that has capacity left, or takes from a line of this
    side what that does not need. Sums of the other side never fall.
    """
    n = flow.shape[0]
    from_line[:] = -1
    from_far[:] = -1
    from_far[line] = -2
    queue[0] = line
    head, tail = 0, 1
    end_far, end_line = -1, -1
    while head < tail and end_far < 0 and end_line < 0:
        i = queue[head]
        head += 1
        for j in range(n):
            if from_line[j] >= 0 or flow[i, j] >= left[i, j]:
                continue
            from_line[j] = i
            if far_sums[j] < far_most[j]:
                end_far = j
                break
            for k in range(n):
                if from_far[k] == -1 and flow[k, j] > 0:
                    from_far[k] = j
                    if sums[k] > least[k]:
                        end_line = k
                        break
                    queue[tail] = k
                    tail += 1
            if end_line >= 0:
                break
    if end_far < 0 and end_line < 0:
        return 0
    amount = lack
    j = end_far
    if end_far >= 0:
        amount = min(amount, far_most[j] - far_sums[j])
    else:
        amount = min(amount, sums[end_line] - least[end_line])
        j = from_far[end_line]
        amount = min(amount, flow[end_line, j])
    last = j
    while True:
        i = from_line[j]
        amount = min(amount, left[i, j] - flow[i, j])
        if i == line:
            break
        j = from_far[i]
        amount = min(amount, flow[i, j])
    if end_far >= 0:
        far_sums[end_far] += amount
    else:
        flow[end_line, last] -= amount
        sums[end_line] -= amount
    j = last
    while True:
        i = from_line[j]
        flow[i, j] += amount
        if i == line:
            break
        j = from_far[i]
        flow[i, j] -= amount
    sums[line] += amount
    return int(amount)


@kernel
def _meet(flow: Array, left: Array, sums: Array, least: Array, far_sums: Array,
          far_most: Array) -> None:  # fmt: skip
    """Raise every line to what it needs at least, as far as that can be done."""
    n = flow.shape[0]
    from_line = np.empty(n, np.int64)
    from_far = np.empty(n, np.int64)
    queue = np.empty(n, np.int64)
    for i in range(n):
        while sums[i] < least[i]:
            lack = least[i] - sums[i]
            if _raise(i, lack, flow, left, sums, least, far_sums, far_most,
                      from_line, from_far, queue) == 0:  # fmt: skip
                break


@kernel
def flow_rounds(units: Array, send_most: Array, receive_most: Array, rounds: int) -> Array:
    """Split a matrix over rounds of equal length in which no port exceeds its capacity.

    Parameters
    ----------
    units
        Integers at least 0, shape ``(n, n)``.
    send_most, receive_most
        What each port can send and receive over all rounds, at least its line sum, ``(n,)``.
    rounds
        How many.

    Returns
    -------
    sent
        Of each pair in each round, ``(rounds, n, n)``.
    """
    n = units.shape[0]
    left = units.copy()
    sent = np.zeros((rounds, n, n), np.int64)
    for k in range(rounds - 1):
        row_left = left.sum(axis=1)
        column_left = left.sum(axis=0)
        row_cap = np.empty(n, np.int64)
        column_cap = np.empty(n, np.int64)
        row_least = np.empty(n, np.int64)
        column_least = np.empty(n, np.int64)
        for i in range(n):
            row_cap[i] = _share(send_most[i], k + 1, rounds) - _share(send_most[i], k, rounds)
            after = send_most[i] - _share(send_most[i], k + 1, rounds)
            row_least[i] = min(max(row_left[i] - after, 0), row_cap[i])
            column_cap[i] = _share(receive_most[i], k + 1, rounds) - _share(
                receive_most[i], k, rounds
            )
            after = receive_most[i] - _share(receive_most[i], k + 1, rounds)
            column_least[i] = min(max(column_left[i] - after, 0), column_cap[i])
        flow = np.zeros((n, n), np.int64)
        row_sum = np.zeros(n, np.int64)
        column_sum = np.zeros(n, np.int64)
        # The largest first, as fast as its ports can: few peers share a port.
        for place in np.argsort(-left.ravel(), kind="mergesort"):
            i, j = place // n, place % n
            amount = min(left[i, j], row_cap[i] - row_sum[i], column_cap[j] - column_sum[j])
            flow[i, j] = amount
            row_sum[i] += amount
            column_sum[j] += amount
        _meet(flow, left, row_sum, row_least, column_sum, column_cap)
        turned = flow.T.copy()
        _meet(turned, left.T.copy(), column_sum, column_least, row_sum, row_cap)
        flow = turned.T.copy()
        sent[k] = flow
        left -= flow
    sent[rounds - 1] = left
    return sent


@kernel
def _share(total: int, part: int, of: int) -> int:
    """Return ``total * part / of`` without overflow, rounded down."""
    return total // of * part + total % of * part // of
