"""Start-ups: rounds are traded against padding.

Birkhoff's rounds are as short as the bytes allow and many. Two things make them fewer: messages are
padded to a coarse grid, whose Birkhoff rounds are few because many messages end together; and what
is left after some rounds is sent in whole messages, the largest first, so that those of one round
are of one size. Both are tried at many settings. Where a start-up holds two ports only, the pieces
need not wait for the round, and list schedules of whole messages compete too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.transfers._kernels_rounds import early_starts, first_fit
from moeopt.transfers.birkhoff import Rounds, rounds_of
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.greedy import refuses_greedy, run_greedy
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import Pieces, pieces_of_rounds, plan_from_pieces

#: Grids tried: the largest line is this many steps long, 0 for no grid.
_GRIDS = (0, 4, 8, 12, 16, 24, 32, 48, 64, 128, 256, 512, 1024)

#: Shares of the rounds after which the rest is sent whole.
_KEPT = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def refuses_few_rounds(problem: TransferProblem) -> str | None:
    """Say why the problem is not for rounds that are traded against padding, if it is not."""
    if problem.is_timed or problem.half_duplex or problem.fabric is not None:
        return "it takes no windows, busy ports, half-duplex ports or fabric"
    if problem.objective == "rounds":
        return "it pads, and the objective is rounds without padding"
    return None


def run_few_rounds(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Return the best of all settings of grid and rest, and of list schedules."""
    bound = bound_of(problem)
    best: Pieces | None = None
    tried, limit = 0, None
    for rounds in _candidates(problem):
        pieces = _timed(problem, rounds)
        tried += 1
        if best is None or pieces.makespan_s < best.makespan_s:
            best = pieces
            context.report(best.makespan_s, bound, "padded rounds")
        if context.close_enough(best.makespan_s, bound):
            break
        if context.out_of_time():
            limit = Limit.TIME
            break
    assert best is not None
    outcome = Outcome(
        plan=plan_from_pieces(problem, best),
        bound=bound,
        limit=limit,
        statistics={"paddings": tried},
    )
    if limit is not None or refuses_greedy(problem) or context.close_enough(best.makespan_s, bound):
        return outcome
    listed = run_greedy(problem, context, warm_start)
    if isinstance(listed.plan, TransferPlan) and listed.plan.makespan_s < best.makespan_s:
        return listed
    return outcome


def _candidates(problem: TransferProblem) -> Iterator[Rounds]:
    """Return rounds in seconds: whole messages, then grids with the rest sent whole."""
    bytes_ = problem.pair_bytes()
    seconds = bytes_ / problem.pair_rate()
    yield _whole(seconds)
    if not problem.preemptive or problem.chunk_bytes > 0:
        return
    line = max(seconds.sum(axis=0).max(initial=0.0), seconds.sum(axis=1).max(initial=0.0))
    for steps in _GRIDS:
        rounds = rounds_of(seconds) if not steps else _padded(seconds, line / steps)
        for kept in sorted({int(share * len(rounds.length)) for share in _KEPT}):
            if kept:
                yield _whole_after(seconds, rounds, kept)


def _whole(seconds: FloatArray) -> Rounds:
    """Return rounds of whole messages, the largest first."""
    ports = len(seconds)
    sender, receiver = np.nonzero(seconds > 0)
    size = seconds[sender, receiver]
    order = np.argsort(-size, kind="stable")
    sender, receiver, size = sender[order], receiver[order], size[order]
    number = first_fit(sender, receiver, ports)
    count = int(number.max(initial=-1)) + 1
    peer = np.full((count, ports), -1, dtype=np.int64)
    sent = np.zeros((count, ports))
    peer[number, sender] = receiver
    sent[number, sender] = size
    return Rounds(sent.max(axis=1, initial=0.0), peer, sent)


def _padded(seconds: FloatArray, step: float) -> Rounds:
    """Return the Birkhoff rounds of the messages rounded up to a grid, without the padding."""
    rounds = rounds_of(np.ceil(seconds / step))
    left = seconds.copy()
    sent = np.zeros_like(rounds.sent)
    ports = np.arange(len(seconds))
    for k, peer in enumerate(rounds.peer):
        part = np.where(peer >= 0, np.minimum(rounds.sent[k] * step, left[ports, peer]), 0.0)
        left[ports, np.maximum(peer, 0)] -= part
        sent[k] = part
    return Rounds(sent.max(axis=1, initial=0.0), rounds.peer, sent)


def _whole_after(seconds: FloatArray, rounds: Rounds, kept: int) -> Rounds:
    """Return the first rounds, and the rest of every message in rounds of its own."""
    left = seconds.copy()
    ports = np.arange(len(seconds))
    for peer, sent in zip(rounds.peer[:kept], rounds.sent[:kept], strict=True):
        left[ports, np.maximum(peer, 0)] -= sent
    # Sums of parts may miss their whole by rounding: nothing is left of those.
    left[left < 1e-12 * seconds] = 0.0
    rest = _whole(left)
    return Rounds(
        np.concatenate([rounds.length[:kept], rest.length]),
        np.concatenate([rounds.peer[:kept], rest.peer]),
        np.concatenate([rounds.sent[:kept], rest.sent]),
    )


def _timed(problem: TransferProblem, rounds: Rounds) -> Pieces:
    """Return the pieces with their times: rounds as barriers, or each as soon as it can."""
    rate = problem.pair_rate()
    if problem.startup_per == "round":
        return pieces_of_rounds(rounds, rate, 1.0, problem.startup_s, "round")
    pieces = pieces_of_rounds(rounds, rate, 1.0)
    start, duration = early_starts(
        pieces.source, pieces.destination, pieces.duration_s, problem.startup_s, problem.num_ports
    )
    return _in_one(replace(pieces, start_s=start, duration_s=duration))


def _in_one(pieces: Pieces) -> Pieces:
    """Return the pieces, those of a pair that go on from one another without a pause as one."""
    if pieces.source.size == 0:
        return pieces
    order = np.lexsort((pieces.start_s, pieces.destination, pieces.source))
    pieces = pieces.taken(order)
    same = (np.diff(pieces.source) == 0) & (np.diff(pieces.destination) == 0)
    goes_on = np.append(False, same & (pieces.start_s[1:] == pieces.end_s[:-1]))
    chain = np.cumsum(~goes_on) - 1
    joined = pieces.taken(np.flatnonzero(~goes_on))
    return replace(
        joined,
        size_bytes=np.bincount(chain, weights=pieces.size_bytes).astype(np.float64),
        duration_s=np.bincount(chain, weights=pieces.duration_s).astype(np.float64),
    )
