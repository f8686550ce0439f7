"""Aurora's Algorithm 1 as printed (arXiv 2410.17043, section 4.2): a greedy order of tokens.

The paper takes it for optimal. It is not: its step "arrange tokens to avoid conflicts with existing
order" keeps every earlier choice, and may then need more than the busiest port's time, up to twice
as much. The statistics of a plan say whether it reached its bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.transfers.bounds import bound
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import Pieces, plan_from_pieces

#: Relative distance to the bound up to which it counts as reached; gaps that are shorter than a
#: thousandth of it are rounding.
REACHED = 1e-9


def run_aurora(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Order the messages by Algorithm 1; the statistics tell whether the bound was reached."""
    del warm_start
    plan = plan_from_pieces(problem, earliest_fit(problem, printed_order(problem, context.seed)))
    least = bound(problem)
    over = plan.makespan_s / least if least > 0 else 1.0
    return Outcome(
        plan=plan,
        bound=least,
        statistics={"reaches_bound": over <= 1.0 + REACHED, "over_bound": over},
    )


def refuses_aurora(problem: TransferProblem) -> str | None:
    """Return why Algorithm 1 cannot take this problem, or ``None``."""
    if problem.fabric is not None or problem.half_duplex:
        return "the paper knows one big switch with full-duplex ports"
    if problem.is_timed:
        return "the paper knows neither windows nor busy times"
    if problem.startup_s > 0 or problem.chunk_bytes > 0 or not problem.preemptive:
        return "it cuts messages anywhere at no cost: no start-ups, chunks or whole messages"
    if problem.objective == "rounds" or problem.startup_per == "round":
        return 'it makes no rounds: set objective to "makespan" and startup_per to "message"'
    return None


def printed_order(problem: TransferProblem, seed: int) -> IntArray:
    """Return the pairs in the order in which Algorithm 1 takes them, shape ``(pairs, 2)``.

    The messages of the port with most traffic come first, its busier side before the other, each
    in random order; then those of the port with most traffic left, the largest first, and so on.
    Traffic is time: bytes over the slower end's rate (Theorem 5.2), the larger of what a port
    sends and receives; ties go to the port with the lower number.
    """
    left = pair_seconds(problem)
    rng = np.random.default_rng(seed)
    busiest = _busiest(left)
    sides = [_sent_by(busiest, left), _received_by(busiest, left)]
    if left[:, busiest].sum() > left[busiest].sum():
        sides.reverse()
    taken = [rng.permutation(side) for side in sides]
    while True:
        for pairs in taken[-2:]:
            left[pairs[:, 0], pairs[:, 1]] = 0.0
        if not left.any():
            return np.concatenate(taken)
        port = _busiest(left)
        pairs = np.concatenate([_sent_by(port, left), _received_by(port, left)])
        largest_first = np.argsort(-left[pairs[:, 0], pairs[:, 1]], kind="stable")
        taken.append(pairs[largest_first])


def given_order(ports: Sequence[int], destinations: Sequence[Sequence[int]]) -> IntArray:
    """Return the pairs of an order that somebody else chose, shape ``(pairs, 2)``.

    Parameters
    ----------
    ports
        Whose messages are placed first, second, and so on.
    destinations
        Of each port by number, in the order in which its messages are placed.
    """
    pairs = [(port, destination) for port in ports for destination in destinations[port]]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def earliest_fit(problem: TransferProblem, pairs: npt.ArrayLike) -> Pieces:
    """Place the messages of `pairs` in that order, each as early as possible, in one round.

    A message is sent whenever its sender and its receiver are both free, and cut where one of
    them is not. With whole slots as sizes and one pair rate this is the algorithm for tokens.

    Parameters
    ----------
    problem
        One that `refuses_aurora` does not refuse.
    pairs
        Source and destination, shape ``(pairs, 2)``, such as from `printed_order`.
    """
    from moeopt.transfers import _kernels_aurora

    seconds = pair_seconds(problem)
    order = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    source, destination = np.ascontiguousarray(order.T)
    longest = max(seconds.sum(axis=0).max(), seconds.sum(axis=1).max())
    message, start_s, duration_s = _kernels_aurora.earliest_fit(
        seconds[source, destination],
        source,
        destination,
        problem.num_ports,
        1e-3 * REACHED * longest,
    )
    source, destination = source[message], destination[message]
    return Pieces(
        source=source,
        destination=destination,
        size_bytes=duration_s * problem.pair_rate()[source, destination],
        start_s=start_s,
        duration_s=duration_s,
        round_index=np.zeros(len(message), dtype=np.int64),
    )


def pair_seconds(problem: TransferProblem) -> FloatArray:
    """Return how long each pair's bytes take at its slower end's rate, ``(ports, ports)``."""
    seconds: FloatArray = problem.pair_bytes() / problem.pair_rate()
    return seconds


def _busiest(seconds: FloatArray) -> int:
    return int(np.argmax(np.maximum(seconds.sum(axis=0), seconds.sum(axis=1))))


def _sent_by(port: int, seconds: FloatArray) -> IntArray:
    others = np.flatnonzero(seconds[port])
    return np.stack([np.full_like(others, port), others], axis=1)


def _received_by(port: int, seconds: FloatArray) -> IntArray:
    others = np.flatnonzero(seconds[:, port])
    return np.stack([others, np.full_like(others, port)], axis=1)
