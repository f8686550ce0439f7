"""Rounds of whole messages, and rounds told to start as soon as their ports are free."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any


@kernel
def first_fit(sender: Array, receiver: Array, ports: int) -> Array:
    """Put each pair, in the order given, into the first round in which both its ports are free.

    Returns
    -------
    round
        Of each pair, ``(pairs,)``.
    """
    pairs = sender.shape[0]
    taken_by_sender = np.zeros((2 * ports, ports), np.bool_)
    taken_by_receiver = np.zeros((2 * ports, ports), np.bool_)
    found = np.empty(pairs, np.int64)
    for p in range(pairs):
        k = 0
        while taken_by_sender[k, sender[p]] or taken_by_receiver[k, receiver[p]]:
            k += 1
        found[p] = k
        taken_by_sender[k, sender[p]] = True
        taken_by_receiver[k, receiver[p]] = True
    return found


@kernel
def early_starts(
    sender: Array, receiver: Array, seconds: Array, startup_s: float, ports: int
) -> tuple[Array, Array]:
    """Start pieces in the order given, each as soon as its two ports are free.

    A piece that follows another of the same pair at both ports goes on with it, without a start-up.

    Returns
    -------
    start, duration
        Of each piece, ``(pieces,)``.
    """
    pieces = sender.shape[0]
    free_sender = np.zeros(ports)
    free_receiver = np.zeros(ports)
    last_to = np.full(ports, -1)
    last_from = np.full(ports, -1)
    start = np.empty(pieces)
    duration = np.empty(pieces)
    for p in range(pieces):
        i, j = sender[p], receiver[p]
        goes_on = last_to[i] == j and last_from[j] == i
        start[p] = max(free_sender[i], free_receiver[j])
        duration[p] = seconds[p] + (0.0 if goes_on else startup_s)
        free_sender[i] = free_receiver[j] = start[p] + duration[p]
        last_to[i] = j
        last_from[j] = i
    return start, duration
