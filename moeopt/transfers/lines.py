"""Work that must pass through one place: what most lower bounds of transfers count.

A line is a resource that works for at most one second in a second: a port in one direction, a
half-duplex port, all network ports of a node. A family states, for messages, the least seconds
that each takes of a line, whatever the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.transfers.problem import TransferProblem


@dataclass(frozen=True)
class Lines:
    """Lines of one kind, and the messages that must pass them.

    Attributes
    ----------
    name
        What a line is, with a place for its number.
    line, message
        Of each entry the line, and the message as its index in the flattened
        ``(waves, ports, ports)``; shape ``(entries,)``.
    work_s
        Least seconds that the message takes of the line.
    of_ports
        Whether line i is of port i alone, so that its busy times count.
    slack_s
        Start-up seconds in the work of a line that may fall before its first release.
    """

    name: str
    line: IntArray
    message: IntArray
    work_s: FloatArray
    of_ports: bool = True
    slack_s: float = 0.0


def is_flat(problem: TransferProblem) -> bool:
    """Tell whether no byte can be relayed: no fast network, or nodes of one port."""
    return problem.fabric is None or problem.fabric.ports_per_node == 1


def families(problem: TransferProblem, startups: bool = True) -> list[Lines]:
    """Return every family of lines that the problem's rules give.

    Parameters
    ----------
    problem
        Any problem.
    startups
        Whether the work contains start-ups.
    """
    if not is_flat(problem):
        return [*_port_lines(problem), *_inside_lines(problem), *_node_lines(problem, startups)]
    if problem.peers == "one":
        return single_peer_lines(problem, startups)
    return fluid_lines(problem, startups)


def fluid_lines(problem: TransferProblem, startups: bool = True) -> list[Lines]:
    """Return the lines of ports that serve several peers at once.

    A port's rate times the makespan is at least its bytes: theorem 5.2 as printed, its column term
    read with the receiver's own rate. Each pair with bytes has a transmission that begins, which
    takes start-up times pair rate more of both ports. With half duplex both directions share the
    port's time, so the seconds of sending and receiving add.
    """
    message, source, destination, size = _messages(problem)
    if startups and problem.startup_per == "message":
        begins = problem.startup_s * problem.pair_rate()[source, destination]
        size = size + begins * _is_last(problem, message, source, destination)
    send = size / problem.send_rate()[source]
    receive = size / problem.receive_rate()[destination]
    return _both_ways(problem, message, (source, send), (destination, receive))


def single_peer_lines(problem: TransferProblem, startups: bool = True) -> list[Lines]:
    """Return the lines of ports that serve one peer at a time.

    While a message's bytes pass, at most at the slower end's rate, both ends are taken whole: open
    shop on bytes / min(rates), plus a start-up for each pair with bytes. Where rounds begin with
    the start-ups, a port meets its k peers in k rounds, between which there are k - 1 start-ups:
    one less than in the work if the first round may have begun before.
    """
    message, source, destination, size = _messages(problem)
    work = size / problem.pair_rate()[source, destination]
    if startups:
        work = work + problem.startup_s * _is_last(problem, message, source, destination)
    by_round = startups and problem.startup_per == "round"
    slack = problem.startup_s if by_round else 0.0
    return _both_ways(problem, message, (source, work), (destination, work), slack)


def _port_lines(problem: TransferProblem) -> list[Lines]:
    """Return what passes a port on its two networks together.

    Relays or not, all bytes of a message leave its origin and reach its target, by the network
    between nodes or by the fast one inside: at most at the sum of both rates.
    """
    assert problem.fabric is not None
    fast = problem.fabric.bandwidth_bytes_per_s
    message, source, destination, size = _messages(problem)
    send, receive = problem.send_rate() + fast, problem.receive_rate() + fast
    if problem.half_duplex:
        send = receive = np.maximum(send, receive)
    return _both_ways(
        problem, message, (source, size / send[source]), (destination, size / receive[destination])
    )


def _inside_lines(problem: TransferProblem) -> list[Lines]:
    """Return what passes the fast networks.

    A message within a node travels on its fast network alone: out of its origin, into its target.
    With rails, a message between nodes whose ports have different places takes a fast hop in one
    of its nodes: not known in which, so all fast networks together are one line.
    """
    assert problem.fabric is not None
    fast = problem.fabric.bandwidth_bytes_per_s
    message, source, destination, size = _messages(problem)
    within = problem.inside()[source, destination]
    fields = (message[within], (source[within], size[within] / fast))
    found = _both_ways(problem, *fields, (destination[within], size[within] / fast))
    hop = within | ~problem.direct()[source, destination]
    # A hop takes its sender's time and its receiver's: with half duplex of the same budget.
    rate = fast * int(problem.present().sum()) / (2 if problem.half_duplex else 1)
    together = Lines(
        name="all fast networks together are used",
        line=np.zeros(int(hop.sum()), dtype=np.int64),
        message=message[hop],
        work_s=size[hop] / rate,
        of_ports=False,
    )
    return [*found, together]


def _node_lines(problem: TransferProblem, startups: bool) -> list[Lines]:
    """Return what passes between nodes.

    Whatever is relayed inside, a byte between nodes leaves its node through the ports that are
    there, at most at the sum of their rates, and enters the other likewise. Each pair of nodes
    with bytes has a transmission that begins, which takes start-up times pair rate more.
    """
    node, present = problem.node_of_port(), problem.present()
    message, source, destination, size = _messages(problem)
    across = node[source] != node[destination]
    message, size = message[across], size[across]
    start, end = node[source[across]], node[destination[across]]
    nodes = int(node[-1]) + 1
    if startups and problem.startup_per == "message" and problem.startup_s > 0:
        least = np.full((nodes, nodes), np.inf)
        usable = problem.direct() & np.outer(present, present)
        np.minimum.at(
            least, (node[:, None], node[None, :]), np.where(usable, problem.pair_rate(), np.inf)
        )
        begins = np.where(np.isfinite(least), least, 0.0)[start, end] * problem.startup_s
        size = size + begins * _is_last(problem, message, start, end)
    send, receive = problem.send_rate() * present, problem.receive_rate() * present
    if problem.half_duplex:
        send = receive = np.maximum(send, receive)
    leave, enter = (np.bincount(node, weights=rate, minlength=nodes) for rate in (send, receive))
    # A node all of whose ports are absent passes nothing: its bytes are impossible anyway.
    leave, enter = (np.where(rate > 0, rate, np.inf) for rate in (leave, enter))
    sends, receives = (start, size / leave[start]), (end, size / enter[end])
    return _both_ways(problem, message, sends, receives, what="node", of_ports=False)


def _messages(problem: TransferProblem) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Return of each message its index, source, destination and bytes."""
    flat = problem.messages().ravel()
    message = np.flatnonzero(flat)
    ports = problem.num_ports
    return message, message // ports % ports, message % ports, flat[message]


def _is_last(
    problem: TransferProblem, message: IntArray, source: IntArray, destination: IntArray
) -> IntArray | FloatArray:
    """Mark of each pair the message that is released last, with 1.

    One transmission may carry messages of several waves, so a pair has one start-up for certain;
    it is not before the last of them has been released.
    """
    if problem.num_waves == 1 and is_flat(problem):
        return np.ones(message.size)
    release = problem.release().ravel()[message]
    order = np.lexsort((release, destination, source))
    here = np.stack([source[order], destination[order]])
    last = np.zeros(message.size)
    if message.size:
        last[order] = np.append((here[:, 1:] != here[:, :-1]).any(axis=0), True)
    return last


def _both_ways(
    problem: TransferProblem,
    message: IntArray,
    send: tuple[IntArray, FloatArray],
    receive: tuple[IntArray, FloatArray],
    slack: float = 0.0,
    what: str = "port",
    of_ports: bool = True,
) -> list[Lines]:
    """Return the lines of sending and of receiving, or with half duplex of both together."""
    if problem.half_duplex:
        line, work = (np.concatenate(pair) for pair in zip(send, receive, strict=True))
        both = np.tile(message, 2)
        return [Lines(f"{what} {{}} sends and receives", line, both, work, of_ports, slack)]
    return [
        Lines(f"{what} {{}} sends", send[0], message, send[1], of_ports, slack),
        Lines(f"{what} {{}} receives", receive[0], message, receive[1], of_ports, slack),
    ]
