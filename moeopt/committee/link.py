"""What a link carries of the changes that one would like: the best loads of each update."""

from __future__ import annotations

import numpy as np

from moeopt.committee.plan import CommitteePlan
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray

#: Slack when bytes are compared with what a link carries.
_ROUNDING = 1e-12


def carried(
    problem: CommitteeProblem,
    slots: IntArray,
    period: int,
    wanted: BoolArray,
    importance: FloatArray,
) -> CommitteePlan:
    """Return a plan that comes as close to the wanted committees as the link allows.

    Before each update the loads that are worth most for their bytes come first, each in place of
    who is wanted least; a load that is not worth its price is left out, and one for which the link
    had no room waits for the next update.

    Parameters
    ----------
    problem
        What was asked.
    slots
        Of each layer, ``(layers,)``.
    period
        Windows from one update to the next.
    wanted
        Who should be there in each window, ``(windows, layers, experts)``, no more than `slots`,
        changing at updates alone.
    importance
        What each expert is worth in each window, in the same shape.
    """
    updates = np.arange(0, problem.num_windows, period)
    worth = _worth(importance, wanted, updates)
    sizes, prices = problem.sizes_bytes(), problem.by_layer(problem.load_price)
    there = np.zeros(wanted.shape[1:], dtype=np.bool_)
    changes: tuple[list[IntArray], list[IntArray]] = ([], [])
    for row, window in enumerate(updates.tolist()):
        free = problem.free_fill and window == 0
        left = np.inf if free else problem.load_bytes(period)
        new = np.argwhere(wanted[window] & ~there)
        gain = worth[row, new[:, 0], new[:, 1]] - (0.0 if free else prices[new[:, 0]])
        order = np.argsort(-gain / sizes[new[:, 0]], kind="stable")
        loads, drops = [], []
        for layer, expert in new[order[gain[order] > 0]].tolist():
            if sizes[layer] * (1 - _ROUNDING) > left:
                continue
            if there[layer].sum() >= slots[layer]:
                # Those not wanted go first, the least useful to come among them.
                rank = np.where(wanted[window, layer], np.inf, worth[row, layer])
                victim = int(np.argmin(np.where(there[layer], rank, np.inf)))
                there[layer, victim] = False
                drops.append((window, layer, victim))
            there[layer, expert] = True
            loads.append((window, layer, expert))
            left -= sizes[layer]
        for rows, found in zip(changes, (loads, drops), strict=True):
            rows.append(np.array(sorted(found), dtype=np.int64).reshape(-1, 3))
    return CommitteePlan(
        period=period,
        slots=slots,
        loads=np.concatenate(changes[0]),
        drops=np.concatenate(changes[1]),
    )


def _worth(importance: FloatArray, wanted: BoolArray, updates: IntArray) -> FloatArray:
    """Return what each expert is worth from an update on, ``(updates, layers, experts)``.

    Of one that is wanted: until it no longer is. Of one that is not: until the next update.
    """
    worth: FloatArray = np.add.reduceat(importance, updates, axis=0)
    for row in range(updates.size - 2, -1, -1):
        stays = wanted[updates[row]] & wanted[updates[row + 1]]
        worth[row] += np.where(stays, worth[row + 1], 0.0)
    return worth
