"""From rounds and pieces of pairs to plans: what all methods end with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.transfers.birkhoff import Rounds
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import Startup, TransferProblem


@dataclass(frozen=True)
class Pieces:
    """Bytes on their way from port to port, whatever wave they belong to.

    Attributes
    ----------
    source, destination, size_bytes, start_s, duration_s, round_index
        As in `TransferPlan`, shape ``(pieces,)``.
    """

    source: IntArray
    destination: IntArray
    size_bytes: FloatArray
    start_s: FloatArray
    duration_s: FloatArray
    round_index: IntArray

    @property
    def end_s(self) -> FloatArray:
        """When each piece has arrived."""
        return self.start_s + self.duration_s

    @property
    def makespan_s(self) -> float:
        """When the last piece has arrived."""
        return float(self.end_s.max(initial=0.0))

    def taken(self, chosen: IntArray) -> Pieces:
        """Return the pieces of these numbers, in this order."""
        return Pieces(*(getattr(self, field.name)[chosen] for field in fields(self)))


def joined(parts: Sequence[Pieces]) -> Pieces:
    """Return the pieces of all `parts` together."""
    return Pieces(
        *(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Pieces))
    )


def pieces_of_rounds(
    rounds: Rounds,
    bytes_per_unit: float | FloatArray,
    seconds_per_unit: float,
    startup_s: float = 0.0,
    startup_per: Startup = "message",
) -> Pieces:
    """Return what is sent when, if each round begins when the one before has ended.

    Parameters
    ----------
    rounds
        In any unit.
    bytes_per_unit
        Bytes of a unit: one number, or by pair, shape ``(ports, ports)``.
    seconds_per_unit
        Seconds that a unit takes.
    startup_s, startup_per
        Seconds of a start-up, of every piece or before every round.
    """
    number, source = np.nonzero(rounds.sent > 0)
    destination = rounds.peer[number, source]
    ends = np.cumsum(rounds.length * seconds_per_unit + startup_s)
    begins = np.concatenate([[0.0], ends[:-1]])
    sent = rounds.sent[number, source]
    by_pair = np.broadcast_to(bytes_per_unit, (rounds.peer.shape[1],) * 2)
    before = startup_s if startup_per == "round" else 0.0
    return Pieces(
        source=source,
        destination=destination,
        size_bytes=sent * by_pair[source, destination],
        start_s=begins[number] + before,
        duration_s=sent * seconds_per_unit + (startup_s - before),
        round_index=number,
    )


def plan_from_pieces(problem: TransferProblem, pieces: Pieces) -> TransferPlan:
    """Return the plan of direct `pieces`; those of a pair carry its waves one after the other.

    Parameters
    ----------
    problem
        Gives the waves' messages. Of a pair, the message that is released first goes first.
    pieces
        Of all pairs, in any order; of one pair they must not overlap in time.
    """
    wave = np.zeros(len(pieces.source), dtype=np.int64)
    if problem.num_waves > 1:
        pieces, wave = _cut_into_waves(problem, pieces)
    order = np.lexsort((pieces.source, pieces.start_s, pieces.round_index))
    columns = {field.name: getattr(pieces, field.name)[order] for field in fields(Pieces)}
    return TransferPlan(**columns, wave=wave[order] if problem.num_waves > 1 else None)


def _cut_into_waves(problem: TransferProblem, pieces: Pieces) -> tuple[Pieces, IntArray]:
    """Cut pieces where one message of their pair ends and the next begins.

    The bytes of a pair are one line, on which the messages lie in the order of release and the
    pieces in the order of time: both cut it, and every part between two cuts is a piece.
    """
    ports, waves = problem.num_ports, problem.num_waves
    turn = np.argsort(problem.release(), axis=0, kind="stable").reshape(waves, -1).T
    size = np.take_along_axis(problem.messages().reshape(waves, -1).T, turn, axis=1)
    message_end = np.cumsum(size, axis=1)
    pair = pieces.source * ports + pieces.destination
    parts: list[tuple[IntArray, FloatArray, FloatArray, IntArray]] = []
    by_pair = np.lexsort((pieces.start_s, pair))
    firsts = np.flatnonzero(np.diff(pair[by_pair], prepend=-1))
    for mine in np.split(by_pair, firsts[1:]) if by_pair.size else []:
        key = int(pair[mine[0]])
        parts.append(_cut_pair(pieces.size_bytes[mine], message_end[key], turn[key], mine))
    if not parts:
        return pieces, np.empty(0, dtype=np.int64)
    piece, begin, end, wave = (np.concatenate(column) for column in zip(*parts, strict=True))
    # Where a start-up is paid for every transmission, the waves of a piece are one: its rows.
    bulk = problem.startup_per == "message" and problem.startup_s > 0
    return _shares(pieces, piece, begin, end, bulk), wave


def _cut_pair(
    size: FloatArray, message_end: FloatArray, turn: IntArray, mine: IntArray
) -> tuple[IntArray, FloatArray, FloatArray, IntArray]:
    """Return the parts of one pair: number of the piece, share of it from and to, wave."""
    end = np.cumsum(size)
    end *= message_end[-1] / end[-1]
    begin = np.concatenate([[0.0], end[:-1]])
    inner = message_end[(message_end > 0) & (message_end < message_end[-1])]
    cuts = np.unique(np.concatenate([begin, inner, end[-1:]]))
    # A cut that is one of the others but for rounding makes no part.
    cuts = cuts[np.diff(cuts, append=np.inf) > 1e-12 * message_end[-1]]
    cuts[-1] = end[-1]
    middle = (cuts[1:] + cuts[:-1]) / 2
    which = np.minimum(np.searchsorted(end, middle), size.size - 1)
    wave = turn[np.minimum(np.searchsorted(message_end, middle), turn.size - 1)]
    width = end[which] - begin[which]
    low = np.clip((cuts[:-1] - begin[which]) / width, 0.0, 1.0)
    high = np.clip((cuts[1:] - begin[which]) / width, 0.0, 1.0)
    return mine[which], low, high, wave


def _shares(
    pieces: Pieces, piece: IntArray, begin: FloatArray, end: FloatArray, bulk: bool
) -> Pieces:
    """Return the part of each piece between two shares of it; in `bulk` all at the same time."""
    whole = pieces.taken(piece)
    if bulk:
        return replace(whole, size_bytes=whole.size_bytes * (end - begin))
    return Pieces(
        source=whole.source,
        destination=whole.destination,
        size_bytes=whole.size_bytes * (end - begin),
        start_s=whole.start_s + whole.duration_s * begin,
        duration_s=whole.duration_s * (end - begin),
        round_index=whole.round_index,
    )
