"""A plan that surely works: one message after the other, each as early as it can."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.transfers.problem import TransferProblem


@dataclass(frozen=True)
class Arrival:
    """When a message has arrived whole.

    Attributes
    ----------
    wave, source, destination
        The message.
    time_s
        Its arrival.
    """

    wave: int
    source: int
    destination: int
    time_s: float


def serial_arrivals(problem: TransferProblem, seed: int) -> list[Arrival]:
    """Return when messages arrive if each begins when the one before it has ended.

    Every message goes whole and at its pair's full rate, in a round of its own, while neither of
    its ports is busy: no rule but a deadline can forbid that. On rails a message that needs to be
    passed on goes inside its source's node first, in a round of its own.

    Parameters
    ----------
    problem
        Without deadlines.
    seed
        Of the order of the messages.
    """
    size, release = problem.messages(), problem.release()
    now, arrivals = 0.0, []
    for wave, source, destination in np.random.default_rng(seed).permutation(np.argwhere(size > 0)):
        now = max(now, float(release[wave, source, destination]))
        for hop in _hops(problem, int(source), int(destination)):
            now = _end(problem, hop, float(size[wave, source, destination]), now)
        arrivals.append(Arrival(int(wave), int(source), int(destination), now))
    return arrivals


def _hops(problem: TransferProblem, source: int, destination: int) -> list[tuple[int, int]]:
    """Return the ports that a message goes over, two by two."""
    if problem.direct()[source, destination] or problem.fabric is None:
        return [(source, destination)]
    size = problem.fabric.ports_per_node
    relay = source - source % size + destination % size
    return [(source, relay), (relay, destination)]


def _end(problem: TransferProblem, hop: tuple[int, int], size: float, now: float) -> float:
    """Return when a hop that may start at `now` has ended, busy times of its ports passed over."""
    length = problem.startup_s + size / float(problem.pair_rate()[hop])
    if problem.startup_per == "round":
        now += problem.startup_s
        length -= problem.startup_s
    for busy in sorted(problem.busy, key=lambda busy: busy.start_s):
        if busy.port in hop and busy.start_s < now + length and now < busy.end_s:
            now = busy.end_s
    return now + length
