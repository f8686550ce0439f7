"""Single changes to a choice of all layers of a knapsack: towards the limits, and towards less."""

from __future__ import annotations

import numpy as np

from moeopt.committee.knapsack_ready import Ready
from moeopt.committee.knapsack_relaxed import Relaxed
from moeopt.core.arrays import IntArray

#: What a change must take away of the excess, as a share of limits, to count.
_SOME = 1e-9


def repaired(ready: Ready, relaxed: Relaxed, slots: IntArray) -> IntArray | None:
    """Return a choice within the limits near another, ``None`` if single changes do not lead there.

    First come those changes that cost least, uses priced, for what they take away of the excess.

    Parameters
    ----------
    ready, relaxed
        What is to be decided, and its prices.
    slots
        A choice of each layer, ``(layers,)``.
    """
    slots, layers = slots.copy(), np.arange(slots.size)
    room = ready.room[:, None, None]
    while not ready.keeps(slots):
        used = ready.used_by(slots)
        excess = float((np.maximum(0.0, used - ready.room) / ready.room).sum())
        others = used[:, None] - ready.used[:, layers, slots]
        then = np.maximum(0.0, others[:, :, None] + ready.used - room) / room
        less = excess - then.sum(axis=0)
        more = np.maximum(0.0, relaxed.over - relaxed.over[layers, slots][:, None])
        ratio = np.full(more.shape, np.inf)
        np.divide(more, less, out=ratio, where=(less > _SOME) & np.isfinite(ready.cost))
        layer, choice = np.unravel_index(int(np.argmin(ratio)), ratio.shape)
        if ratio[layer, choice] == np.inf:
            return None
        slots[layer] = choice
    return slots


def improved(ready: Ready, slots: IntArray) -> IntArray:
    """Return a choice after those changes within the limits that save most, one by one.

    Parameters
    ----------
    ready
        What is to be decided.
    slots
        A choice of each layer within the limits, ``(layers,)``.
    """
    slots, layers = slots.copy(), np.arange(slots.size)
    while True:
        left = ready.room - ready.used_by(slots)
        now = ready.used[:, layers, slots]
        fits = (ready.used - now[:, :, None] <= left[:, None, None]).all(axis=0)
        saved = np.where(fits, ready.cost[layers, slots][:, None] - ready.cost, -np.inf)
        layer, choice = np.unravel_index(int(np.argmax(saved)), saved.shape)
        trial = slots.copy()
        trial[layer] = choice
        # Rounded sums may say that a change fits which does not.
        if saved[layer, choice] <= 0 or not ready.keeps(trial):
            return slots
        slots = trial
