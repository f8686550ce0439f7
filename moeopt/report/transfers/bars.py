"""A plan of transfers as bars in the lanes of its ports, from the checker's replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.units import bytes_text
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import Replay, changes, replay, uses

#: Which of a port's two directions is looked at.
Side = Literal["sends", "receives"]

#: Lanes of a port: on the network between nodes, and inside its node.
LANES = 2

#: The group of bars that stand for transmissions which overlap.
SEVERAL = "several at once"

#: Waves that are told apart.
_MOST_WAVES = 4


@dataclass(frozen=True)
class PortBars:
    """What ports do when; bars of one lane do not overlap, but for rounding.

    Attributes
    ----------
    lane
        ``LANES`` times the port, plus 1 on the network inside its node; shape ``(bars,)``.
    start_s, end_s
        Of each bar.
    group
        Index of each bar's group.
    groups
        Names of the groups; the last one is `SEVERAL`.
    texts
        With whom, how many bytes, in which round.
    """

    lane: IntArray
    start_s: FloatArray
    end_s: FloatArray
    group: IntArray
    groups: tuple[str, ...]
    texts: tuple[str, ...]


def port_bars(problem: TransferProblem, plan: TransferPlan, side: Side) -> PortBars:
    """Return a bar for each transmission of a side, and one for those of a lane that overlap.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem. Half-duplex ports send and receive in one lane.
    side
        Of each port.
    """
    seen = replay(problem, plan)
    parts = _parts(problem, plan, seen, side)
    begins = _begins(parts, seen.time_tolerance_s)
    first = np.flatnonzero(begins)
    bar = np.cumsum(begins) - 1
    end = np.zeros(len(first))
    np.maximum.at(end, bar, parts.end_s)
    groups, group = _groups(problem, plan, parts)
    several = np.bincount(bar, minlength=len(first)) > 1
    return PortBars(
        lane=parts.lane[first],
        start_s=parts.start_s[first],
        end_s=end,
        group=np.where(several, len(groups), group[first]),
        groups=(*groups, SEVERAL),
        texts=_texts(parts, first, numbered=plan.num_rounds > 1),
    )


@dataclass(frozen=True)
class _Parts:
    """Transmissions as one end sees them, by lane and start; a change of rate makes no new one."""

    lane: IntArray
    start_s: FloatArray
    end_s: FloatArray
    size_bytes: FloatArray
    peer: IntArray
    receiving: BoolArray
    round_index: IntArray
    wave: IntArray


def _parts(problem: TransferProblem, plan: TransferPlan, seen: Replay, side: Side) -> _Parts:
    used = uses(problem, seen)
    row = np.tile(seen.row[seen.first_row], 2)
    turn = plan.round_index[row]
    mine = np.full(row.shape, problem.half_duplex) | (used.receiving == (side == "receives"))
    mine = np.flatnonzero(mine)
    _, number = np.unique(turn, return_inverse=True)
    # What continues in the same round is the same bar.
    key = (np.tile(seen.chain, 2) * (plan.num_rounds + 1) + number) * 2 + used.receiving
    _, first, which = np.unique(key[mine], return_index=True, return_inverse=True)
    start, end = np.full(len(first), np.inf), np.zeros(len(first))
    np.minimum.at(start, which, used.start_s[mine])
    np.maximum.at(end, which, used.end_s[mine])
    moved = np.bincount(seen.transmission, seen.size_bytes, len(seen.source))
    size = np.bincount(which, np.tile(moved, 2)[mine], len(first))
    one = mine[first]
    lane = LANES * used.port[one] + used.inside[one]
    order = np.lexsort((start, lane))
    one = one[order]
    return _Parts(
        lane=lane[order],
        start_s=start[order],
        end_s=end[order],
        size_bytes=np.asarray(size, dtype=np.float64)[order],
        peer=np.append(seen.destination, seen.source)[one],
        receiving=used.receiving[one],
        round_index=turn[one],
        wave=np.zeros_like(one) if plan.wave is None else plan.wave[row[one]],
    )


def _begins(parts: _Parts, tolerance_s: float) -> BoolArray:
    """Tell which parts begin a bar: those that start when all before them in the lane have ended.

    Ends within the tolerance are the same time.
    """
    begins = changes(parts.lane)
    for mine in np.split(np.arange(len(begins)), np.flatnonzero(begins)[1:]):
        ended = np.maximum.accumulate(parts.end_s[mine])
        begins[mine[1:]] = parts.start_s[mine[1:]] >= ended[:-1] - tolerance_s
    return begins


def _groups(
    problem: TransferProblem, plan: TransferPlan, parts: _Parts
) -> tuple[tuple[str, ...], IntArray]:
    """Return what bars are told apart by, and the group of each part.

    By what the problem has: networks, directions, waves, else rounds, odd and even.
    """
    if problem.half_duplex:
        return ("sends", "receives"), parts.receiving.astype(np.int64)
    if problem.fabric is not None and problem.fabric.ports_per_node > 1:
        return ("between nodes", "inside a node"), parts.lane % LANES
    if 1 < problem.num_waves <= _MOST_WAVES:
        return tuple(f"wave {w}" for w in range(problem.num_waves)), parts.wave
    if plan.num_rounds > 1:
        return ("even rounds", "odd rounds"), parts.round_index % 2
    return ("one at a time",), np.zeros_like(parts.wave)


def _texts(parts: _Parts, first: IntArray, *, numbered: bool) -> tuple[str, ...]:
    """Return what each bar says: its parts stand together, from `first` on."""
    ends = np.append(first, len(parts.lane))[1:]
    words = []
    for i, j in zip(first.tolist(), ends.tolist(), strict=True):
        peers = np.unique(parts.peer[i:j]).tolist()
        whom = f"port {peers[0]}" if len(peers) == 1 else f"{len(peers)} ports"
        size = bytes_text(float(parts.size_bytes[i:j].sum()))
        both = parts.receiving[i:j].any() and not parts.receiving[i:j].all()
        way = "with" if both else "from" if parts.receiving[i] else "to"
        turn = f", round {parts.round_index[i]}" if numbered and j == i + 1 else ""
        words.append(f"{way} {whom}: {size}{turn}")
    return tuple(words)
