"""Birkhoff rounds of an integer matrix: bottleneck matchings, mended from round to round."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any


@kernel
def _reach(
    start: int, theta: int, left: Array, own_slack: Array, far_slack: Array,
    own_mate: Array, far_mate: Array, best: Array, parent: Array, seen: Array, stack: Array,
) -> int:  # fmt: skip
    """Cover the exposed line `start` by an alternating path; return the weight of its weakest link.

    The path ends at a free line of the other side, or leaves a line of this side free that can
    afford it. Links at or above `theta` are all the same to it; it takes the widest path else.
    """
    n = left.shape[0]
    for j in range(n):
        best[j] = -1
        seen[j] = False
    line = start
    top = 0
    # The line of this side that can be left free at the least loss: `start` itself, to begin with.
    spare, spare_weight = start, own_slack[start]
    end = -1
    while end < 0:
        for j in range(n):
            amount = left[line, j]
            if amount == 0 or seen[j]:
                continue
            weight = amount + min(own_slack[line], far_slack[j])
            if weight > best[j]:
                if weight >= theta:
                    if best[j] < theta:
                        parent[j] = line
                        best[j] = weight
                        if far_mate[j] < 0:
                            end = j
                            break
                        stack[top] = j
                        top += 1
                else:
                    best[j] = weight
                    parent[j] = line
        if end >= 0:
            break
        chosen = -1
        while top > 0:
            top -= 1
            chosen = stack[top]
            break
        if chosen < 0:
            widest = -1
            for j in range(n):
                if not seen[j] and best[j] > widest:
                    widest = best[j]
                    chosen = j
            if chosen < 0 or spare_weight >= widest:
                theta = min(theta, spare_weight)
                break
            theta = min(theta, widest)
            if far_mate[chosen] < 0:
                end = chosen
                break
        seen[chosen] = True
        line = far_mate[chosen]
        if own_slack[line] > spare_weight:
            spare, spare_weight = line, own_slack[line]
            if spare_weight >= theta:
                break
    if end < 0:
        if spare == start:
            return theta
        end = own_mate[spare]
        own_mate[spare] = -1
    # Turn the path around, from its end back to `start`.
    while True:
        line = parent[end]
        before = own_mate[line]
        own_mate[line] = end
        far_mate[end] = line
        if line == start:
            return theta
        end = before


@kernel
def birkhoff(units: Array) -> tuple[Array, Array, Array]:
    """Split a matrix into rounds of one partner each way whose lengths sum to its largest line.

    Every round is as long as any can be without taking from the time that a line still needs: a
    bottleneck matching of the entries, each with the time that both of its lines can spare.

    Parameters
    ----------
    units
        Integers at least 0, shape ``(n, n)``.

    Returns
    -------
    length, peer, sent
        Units of each round, ``(rounds,)``; whom each row sends to, -1 for nobody, and how much,
        ``(rounds, n)``.
    """
    n = units.shape[0]
    rows = units.copy()
    columns = np.empty((n, n), np.int64)
    row_sum = np.zeros(n, np.int64)
    column_sum = np.zeros(n, np.int64)
    count = 0
    for i in range(n):
        for j in range(n):
            columns[j, i] = units[i, j]
            row_sum[i] += units[i, j]
            column_sum[j] += units[i, j]
            count += units[i, j] > 0
    rest = np.int64(0)
    for i in range(n):
        rest = max(rest, row_sum[i], column_sum[i])
    row_slack = rest - row_sum
    column_slack = rest - column_sum
    row_mate = np.full(n, -1, np.int64)
    column_mate = np.full(n, -1, np.int64)
    best = np.empty(n, np.int64)
    parent = np.empty(n, np.int64)
    seen = np.empty(n, np.bool_)
    stack = np.empty(n, np.int64)
    room = 4 * n + 8
    length = np.empty(room, np.int64)
    peer = np.empty((room, n), np.int64)
    sent = np.empty((room, n), np.int64)
    rounds = 0
    theta = rest
    while count > 0:
        for i in range(n):
            j = row_mate[i]
            if j >= 0:
                amount = rows[i, j]
                if amount == 0 or amount + min(row_slack[i], column_slack[j]) < theta:
                    row_mate[i] = -1
                    column_mate[j] = -1
        for i in range(n):
            if row_mate[i] < 0 and row_slack[i] < theta:
                theta = _reach(i, theta, rows, row_slack, column_slack, row_mate, column_mate,
                               best, parent, seen, stack)  # fmt: skip
        for j in range(n):
            if column_mate[j] < 0 and column_slack[j] < theta:
                theta = _reach(j, theta, columns, column_slack, row_slack, column_mate, row_mate,
                               best, parent, seen, stack)  # fmt: skip
        # Ports that could rest send too where both ends are free: less is left for later rounds.
        for i in range(n):
            if row_mate[i] < 0 and row_sum[i] > 0:
                for j in range(n):
                    if column_mate[j] >= 0 or rows[i, j] == 0:
                        continue
                    if rows[i, j] + min(row_slack[i], column_slack[j]) >= theta:
                        row_mate[i] = j
                        column_mate[j] = i
                        break
        delta = rest
        for i in range(n):
            j = row_mate[i]
            if j >= 0:
                delta = min(delta, rows[i, j] + min(row_slack[i], column_slack[j]))
            else:
                delta = min(delta, row_slack[i])
            if column_mate[i] < 0:
                delta = min(delta, column_slack[i])
        if rounds == room:
            room *= 2
            length = _longer(length, room)
            peer = _taller(peer, room)
            sent = _taller(sent, room)
        length[rounds] = delta
        for i in range(n):
            j = row_mate[i]
            peer[rounds, i] = j
            amount = np.int64(0)
            if j >= 0:
                amount = min(rows[i, j], delta)
                rows[i, j] -= amount
                columns[j, i] -= amount
                row_sum[i] -= amount
                column_sum[j] -= amount
                count -= rows[i, j] == 0
            sent[rounds, i] = amount
        rounds += 1
        rest -= delta
        for i in range(n):
            row_slack[i] = rest - row_sum[i]
            column_slack[i] = rest - column_sum[i]
    return length[:rounds].copy(), peer[:rounds].copy(), sent[:rounds].copy()


@kernel
def _longer(old: Array, room: int) -> Array:
    new = np.empty(room, old.dtype)
    new[: old.shape[0]] = old
    return new


@kernel
def _taller(old: Array, room: int) -> Array:
    new = np.empty((room, old.shape[1]), old.dtype)
    new[: old.shape[0]] = old
    return new
