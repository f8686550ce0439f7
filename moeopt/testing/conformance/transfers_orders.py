"""Whole messages, one peer at a time: every order of their hops, each as early as it can.

Written from the formulation and from no solver of it. A plan in which no hop can start earlier
without delaying another is found by starting the hops in the order of their starts, so that the
best plan is among those of all orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from moeopt.testing.conformance.kit import Optimum
from moeopt.testing.conformance.transfers_plans import CLOSE, Message, Row, messages_of, plan_of
from moeopt.transfers.problem import TransferProblem

#: Hops of all messages together beyond which brute force declines, and ports of a node beyond
#: which it does not know all ways through it.
MOST_HOPS, MOST_PORTS_OF_NODE = 6, 2

Hop = tuple[int, int]
Route = tuple[Hop, ...]


def in_some_order(problem: TransferProblem) -> Optimum | None:
    """Return the best plan of whole messages, or ``None`` if there are too many of them."""
    messages = messages_of(problem)
    if problem.fabric is not None and problem.fabric.ports_per_node > MOST_PORTS_OF_NODE:
        return None
    if problem.peers == "many" or len(messages) > MOST_HOPS:
        return None
    best: list[Row] | None = None
    least = np.inf
    for routes in product(*(_routes(problem, m) for m in messages)):
        if sum(map(len, routes)) > MOST_HOPS:
            return None
        for order in _orders([len(route) for route in routes]):
            placed = _earliest(problem, messages, routes, order, least)
            if placed is not None:
                best, least = placed, max(row.start_s + row.duration_s for row in placed)
    return Optimum(None, None) if best is None else Optimum(least, plan_of(problem, best))


def _routes(problem: TransferProblem, message: Message) -> list[Route]:
    """Return the ways of a message: over at most one other port of each of its ends' nodes."""
    source, destination = message.source, message.destination
    node = problem.node_of_port()
    if node[source] == node[destination] or problem.fabric is None:
        return [((source, destination),)]
    there, direct = problem.present(), problem.direct()
    ports = np.arange(problem.num_ports)
    leaving = ports[there & (node == node[source])].tolist()
    entering = ports[there & (node == node[destination])].tolist()
    return [
        (
            *([(source, a)] if a != source else []),
            (a, b),
            *([(b, destination)] if b != destination else []),
        )
        for a in leaving
        for b in entering
        if direct[a, b]
    ]


def _orders(left: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield every order of messages in which each stands as often as it has hops."""
    if not any(left):
        yield ()
    for n, hops in enumerate(left):
        if hops:
            rest = [*left[:n], hops - 1, *left[n + 1 :]]
            yield from ((n, *order) for order in _orders(rest))


def _earliest(
    problem: TransferProblem,
    messages: list[Message],
    routes: Sequence[Route],
    order: tuple[int, ...],
    least: float,
) -> list[Row] | None:
    """Start each hop as early as those before it allow; ``None`` if not below `least`."""
    rate, node = problem.pair_rate(), problem.node_of_port()
    taken: dict[tuple[str, int, bool], list[tuple[float, float]]] = {}
    for busy in problem.busy:
        for direction, inside in product(("send", "receive"), (False, True)):
            key = (direction, busy.port, inside)
            taken.setdefault(key, []).append((busy.start_s, busy.end_s))
    ready = [m.release for m in messages]
    done = [0] * len(messages)
    rows: list[Row] = []
    for n in order:
        m, hop = messages[n], routes[n][done[n]]
        done[n] += 1
        inside = bool(node[hop[0]] == node[hop[1]]) and problem.fabric is not None
        ways = [("send", hop[0], inside), ("receive", hop[1], inside)]
        if problem.half_duplex:
            ways += [("receive", hop[0], inside), ("send", hop[1], inside)]
        length = problem.startup_s + m.size / float(rate[hop])
        start = _free_from(sorted({s for w in ways for s in taken.get(w, [])}), ready[n], length)
        ready[n] = end = start + length
        if end > min(m.deadline * (1 + CLOSE), least * (1 - CLOSE)):
            return None
        for way in ways:
            taken.setdefault(way, []).append((start, end))
        own = None if problem.fabric is None else hop
        rows.append(Row(m, m.size, start, length, 0, own))
    return rows


def _free_from(taken: list[tuple[float, float]], start: float, length: float) -> float:
    """Return from when on, `start` at the earliest, `length` fits between what is taken."""
    for first, last in taken:
        if first < start + length - CLOSE * length and start < last:
            start = last
    return start
