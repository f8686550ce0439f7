"""Unequal ports: one peer at a time, or fast ports that serve several slow ones at once.

Aurora's Theorem 5.2 states one optimum and proves another. Printed is the fluid one, the largest of
bytes over the port's own bandwidth; the order of the proof has one peer at a time, where a pair
takes its bytes over the slower end's bandwidth, and is up to twice as long. `run_single_peer` is
the best of the order's kind, `run_multi_peer` reaches what is printed.
"""

from __future__ import annotations

import math

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.transfers._kernels_peers import flow_rounds
from moeopt.transfers.birkhoff import Rounds, rounds_of
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import Pieces, pieces_of_rounds, plan_from_pieces

#: Rounds of `multi_peer` for each port: with more, fewer peers share a port and rates change more.
_ROUNDS_PER_PORT = 2

_BITS = 52

#: Ports further apart in rate than this cannot be counted in one unit.
_MOST_RATIO = 1e5


def refuses_birkhoff(problem: TransferProblem) -> str | None:
    """Say why Birkhoff's rounds do not fit the problem, if they do not."""
    if not problem.has_equal_ports:
        return "its ports must have one bandwidth: see single_peer and multi_peer"
    if problem.chunk_bytes > 0 and not in_chunks(problem):
        return "every message must be a multiple of chunk_bytes, or its parts could be smaller"
    if not problem.preemptive:
        return "it cuts messages"
    return _refuses_flat(problem)


def refuses_single_peer(problem: TransferProblem) -> str | None:
    """Say why rounds of one peer do not fit the problem, if they do not."""
    if why := _refuses_flat(problem):
        return why
    if not problem.preemptive:
        return "it cuts messages"
    return "it cuts messages as it needs" if problem.chunk_bytes > 0 else None


def refuses_multi_peer(problem: TransferProblem) -> str | None:
    """Say why rates shared by several peers do not fit the problem, if they do not."""
    if problem.peers != "many" or problem.objective == "rounds":
        return "its ports serve several peers at once"
    if problem.startup_s > 0:
        return "it knows no start-ups: see few_rounds"
    if not problem.preemptive or problem.chunk_bytes > 0:
        return "it cuts messages as it needs"
    rates = np.concatenate([problem.send_rate(), problem.receive_rate()])
    if rates.max() > _MOST_RATIO * rates.min():
        return f"its fastest port may be at most {_MOST_RATIO:.0e} times as fast as the slowest"
    return _refuses_flat(problem)


def run_birkhoff(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Return rounds of one peer whose lengths sum to the largest line."""
    del context, warm_start
    unit = problem.chunk_bytes or 1.0
    # Counted in chunks, integers stay integers and parts are whole chunks.
    rounds = rounds_of(problem.pair_bytes() / unit)
    seconds = unit / float(problem.send_rate()[0])
    return _in_rounds(problem, rounds, unit, seconds)


def run_single_peer(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Return rounds of one peer whose lengths sum to the largest line of bytes over pair rates."""
    del context, warm_start
    rate = problem.pair_rate()
    rounds = rounds_of(problem.pair_bytes() / rate)
    return _in_rounds(problem, rounds, rate, 1.0)


def run_multi_peer(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Return rounds in which fast ports share their rate among several peers."""
    del context, warm_start
    bound = bound_of(problem)
    traffic = problem.pair_bytes()
    count = max(1, _ROUNDS_PER_PORT * problem.num_ports)
    sent = _flows(problem, traffic, bound, count)
    k, source, destination = np.nonzero(sent > 0)
    seconds = bound / count
    pieces = Pieces(
        source=source,
        destination=destination,
        size_bytes=sent[k, source, destination],
        start_s=np.asarray(k * seconds),
        duration_s=np.full(k.size, seconds),
        round_index=k,
    )
    peers = max((sent > 0).sum(axis=axis).max(initial=0) for axis in (1, 2))
    return Outcome(
        plan=plan_from_pieces(problem, pieces),
        bound=bound,
        statistics={"rounds": count, "most_peers_at_once": int(peers)},
    )


def in_chunks(problem: TransferProblem) -> bool:
    """Tell whether all messages are multiples of the smallest chunk."""
    chunks = problem.messages() / problem.chunk_bytes
    return bool((chunks == np.floor(chunks)).all())


def _flows(
    problem: TransferProblem, traffic: FloatArray, seconds: float, rounds: int
) -> FloatArray:
    """Return the bytes of each pair in each of `rounds` equal parts of `seconds`."""
    most = float(max(problem.send_rate().max(), problem.receive_rate().max()) * seconds)
    quantum = 1.0 if most == 0.0 else math.ldexp(1.0, math.frexp(most)[1] - _BITS)
    units = np.ceil(traffic / quantum).astype(np.int64)
    send = np.maximum((problem.send_rate() * seconds / quantum).astype(np.int64), units.sum(axis=1))
    receive = (problem.receive_rate() * seconds / quantum).astype(np.int64)
    receive = np.maximum(receive, units.sum(axis=0))
    sent = flow_rounds(units, send, receive, rounds)
    exact = np.divide(traffic, units, out=np.zeros_like(traffic), where=units > 0)
    return np.asarray(sent * exact)


def _in_rounds(
    problem: TransferProblem, rounds: Rounds, unit: float | FloatArray, seconds: float
) -> Outcome:
    pieces = pieces_of_rounds(rounds, unit, seconds, problem.startup_s, problem.startup_per)
    return Outcome(
        plan=plan_from_pieces(problem, pieces),
        bound=bound_of(problem),
        statistics={"rounds": len(rounds.length)},
    )


def _refuses_flat(problem: TransferProblem) -> str | None:
    if problem.is_timed:
        return "it takes no windows and busy ports: see timed"
    if problem.fabric is not None:
        return "it takes one network: see two_tier"
    if problem.half_duplex:
        return "its ports send and receive at the same time"
    return None
