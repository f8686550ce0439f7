"""Fewest rounds, or rounds that each cost a start-up, as a linear model over sets of pairs.

What a round sends is a set of pairs of which no two share a port: a matching. Two facts make the
model small. A round whose matching could take another pair loses nothing by taking it, since a
pair need not send all the while: only maximal matchings count. Two rounds of one matching are as
good as one of both lengths: every matching is used once or not. So a plan is the length of each
maximal matching, and it sends everything if the matchings with a pair last as long as its bytes
take. Written with numbered rounds instead, the same plans stand in every order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.mip import ModelBuilder
from moeopt.transfers.birkhoff import Rounds
from moeopt.transfers.problem import TransferProblem

#: More maximal matchings than this, or more pairs, are too many for a model: 7 dense ports have
#: 3,709 matchings of 42 pairs, 8 have 29,665.
MOST_MATCHINGS = 4000
MOST_PAIRS = 200

#: A share of the longest line that is rounding.
_ROUNDING = 1e-12

#: A share of a pair's time that no round is counted for: less than what solvers take for nothing.
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class RoundsModel:
    """The model, and the way between its points and rounds.

    Attributes
    ----------
    problem
        What the model is of.
    builder
        Receives columns and rows.
    unit_s
        Seconds that a length of 1 stands for: the longest line.
    source, destination
        The pairs, shape ``(pairs,)``.
    need
        How long each pair sends in all, in units, shape ``(pairs,)``.
    member
        Which pairs each matching holds, shape ``(matchings, pairs)``.
    longest
        A length that no matching needs to exceed, in units, shape ``(matchings,)``.
    length
        Columns ``l``, shape ``(matchings,)``.
    used
        Columns ``z``, 1 where a matching is used; ``None`` if rounds cost nothing.
    """

    problem: TransferProblem
    builder: ModelBuilder
    unit_s: float
    source: IntArray
    destination: IntArray
    need: FloatArray
    member: BoolArray
    longest: FloatArray
    length: IntArray
    used: IntArray | None

    def rounds(self, chosen: IntArray, length: FloatArray) -> Rounds:
        """Return the rounds, in seconds, of some matchings with their lengths in units.

        A pair sends in the first of its rounds for as long as they last, until all is sent.
        """
        ports = self.problem.num_ports
        peer = np.full((len(chosen), ports), -1, dtype=np.int64)
        sent = np.zeros((len(chosen), ports))
        left = self.need.copy()
        for k, matching in enumerate(chosen.tolist()):
            pairs = np.flatnonzero(self.member[matching])
            part = np.minimum(left[pairs], length[k])
            left[pairs] -= part
            sending = pairs[part > 0.0]
            peer[k, self.source[sending]] = self.destination[sending]
            sent[k, self.source[sending]] = part[part > 0.0] * self.unit_s
        return Rounds(length * self.unit_s, peer, sent)

    def point(self, rounds: Rounds) -> FloatArray | None:
        """Return the point of the model with these rounds, or ``None`` if it has none."""
        x = np.zeros(self.builder.num_columns)
        for length, peer in zip(rounds.length, rounds.peer, strict=True):
            sends = peer[self.source] == self.destination
            holding = np.flatnonzero((self.member | ~sends).all(axis=1))
            if not holding.size:
                return None
            x[self.length[holding[0]]] += length / self.unit_s
        if self.used is not None:
            x[self.used] = x[self.length] > 0.0
        return x


def has_matchings(problem: TransferProblem) -> bool:
    """Tell whether the maximal matchings are few enough for a model."""
    return _matchings(problem) is not None


def compile_rounds(
    problem: TransferProblem, *, tighten: bool = True, at_most_s: float | None = None
) -> RoundsModel:
    """Return the rows of the model; its builder makes the `LinearModel`.

    With `tighten`, lengths are bounded by what the other pairs of each port leave, and the family
    V1 is added. With `at_most_s`, the makespan of a known plan, longer ones may be cut off.
    """
    frame = start_rounds(problem, tighten=tighten, at_most_s=at_most_s)
    pairs_sent(frame)
    rounds_used(frame)
    least_makespan(frame)
    if tighten:
        rounds_of_pair(frame)
    return frame


def start_rounds(
    problem: TransferProblem, *, tighten: bool, at_most_s: float | None = None
) -> RoundsModel:
    """Return a model with its columns and none of its rows."""
    found = _matchings(problem)
    if found is None:
        raise ValueError("there are too many matchings: ask has_matchings first")
    source, destination, seconds, member = found
    unit = least_rounds_s(problem) or 1.0
    need = seconds / unit
    fixed = problem.objective == "rounds"
    longest = np.where(member, need, 0.0).max(axis=1, initial=0.0)
    if tighten:
        total = 1.0 if fixed else _most_in_all(problem, at_most_s, unit)
        longest = np.minimum(longest, _spare(problem, source, destination, need, member, total))
        member, longest = member[longest > _ROUNDING], longest[longest > _ROUNDING]
    builder = ModelBuilder(problem.name or "transfers")
    cost = 0.0 if fixed else unit
    length = builder.add_columns("l", len(member), upper=longest, objective=cost)
    price = 1.0 if fixed else _round_price_s(problem)
    used = None
    if price > 0.0:
        used = builder.add_columns("z", len(member), upper=1, integer=True, objective=price)
    return RoundsModel(
        problem, builder, unit, source, destination, need, member, longest, length, used
    )


def pairs_sent(frame: RoundsModel) -> None:
    """C1: the rounds with a pair last at least as long as its bytes take."""
    pair, matching = np.nonzero(frame.member.T)
    frame.builder.add_rows(
        "C1", pair, frame.length[matching], 1.0, lower=frame.need, count=len(frame.need)
    )


def rounds_used(frame: RoundsModel) -> None:
    """C10: only rounds that are counted have a length, ``l <= longest z``."""
    if frame.used is None:
        return
    row = np.arange(len(frame.length))[:, None]
    columns = np.stack([frame.length, frame.used], axis=1)
    weights = np.stack([np.ones(len(row)), -frame.longest], axis=1)
    frame.builder.add_rows("C10", row, columns, weights, upper=0.0, count=len(row))


def least_makespan(frame: RoundsModel) -> None:
    """C12: with the objective ``rounds`` all of them together last as long as the longest line."""
    if frame.problem.objective == "rounds":
        row = np.zeros(len(frame.length), dtype=np.int64)
        total = 1.0 if len(frame.need) else 0.0
        frame.builder.add_rows("C12", row, frame.length, 1.0, upper=total, count=1)


def rounds_of_pair(frame: RoundsModel) -> None:
    """V1: a pair needs at least as many rounds as the longest ones that can hold it."""
    if frame.used is None:
        return
    least = np.array(
        [_fewest(frame.longest[frame.member[:, p]], need) for p, need in enumerate(frame.need)]
    )
    pair, matching = np.nonzero(frame.member.T)
    frame.builder.add_rows("V1", pair, frame.used[matching], 1.0, lower=least, count=len(least))


def least_rounds_s(problem: TransferProblem) -> float:
    """Return the seconds of the port that needs most for what it sends, receives or both."""
    seconds = problem.pair_bytes() / problem.pair_rate()
    lines = [seconds.sum(axis=1), seconds.sum(axis=0)]
    lines = [lines[0] + lines[1]] if problem.half_duplex else lines
    return float(max(line.max(initial=0.0) for line in lines))


def _round_price_s(problem: TransferProblem) -> float:
    return problem.startup_s if problem.startup_per == "round" else 0.0


def _most_in_all(problem: TransferProblem, at_most_s: float | None, unit_s: float) -> float:
    """Return a sum of lengths, in units, that the rounds of a plan no worse need not exceed."""
    if at_most_s is None:
        return np.inf
    # A port sends to one peer in a round.
    partners = int((problem.pair_bytes() > 0).sum(axis=1).max(initial=0))
    return (at_most_s - partners * _round_price_s(problem)) / unit_s * (1.0 + _ROUNDING)


def _spare(
    problem: TransferProblem,
    source: IntArray,
    destination: IntArray,
    need: FloatArray,
    member: BoolArray,
    total: float,
) -> FloatArray:
    """Return how long each matching can last if all rounds together last `total`.

    While it lasts, each port is kept from all its other pairs.
    """
    one, other = _resources(problem, source, destination)
    holds = np.zeros((len(need), 2 * problem.num_ports))
    holds[np.arange(len(need)), one] = holds[np.arange(len(need)), other] = 1.0
    kept_out = need @ holds - (member * need) @ holds
    longest: FloatArray = total - kept_out.max(axis=1, initial=0.0)
    return longest


def _fewest(longest: FloatArray, need: float) -> int:
    """Return how many of the longest rounds it takes to last `need`."""
    together = np.cumsum(np.sort(longest)[::-1])
    return int(np.searchsorted(together, need * (1.0 - _SLACK))) + 1


def _resources(
    problem: TransferProblem, source: IntArray, destination: IntArray
) -> tuple[IntArray, IntArray]:
    """Return what each pair holds: a sender and a receiver, or two ports if half-duplex."""
    return source, destination + (0 if problem.half_duplex else problem.num_ports)


def _matchings(
    problem: TransferProblem,
) -> tuple[IntArray, IntArray, FloatArray, BoolArray] | None:
    """Return the pairs, their seconds, and the maximal matchings; ``None`` if they are too many."""
    seconds = problem.pair_bytes() / problem.pair_rate()
    source, destination = np.nonzero(seconds > 0.0)
    if len(source) > MOST_PAIRS:
        return None
    one, other = _resources(problem, source, destination)
    masks = tuple((1 << int(a)) | (1 << int(b)) for a, b in zip(one, other, strict=True))
    found = _maximal_sets(masks, MOST_MATCHINGS)
    if found is None:
        return None
    member = np.zeros((len(found), len(source)), dtype=np.bool_)
    for k, pairs in enumerate(found):
        member[k, list(pairs)] = True
    return source, destination, seconds[source, destination], member


@lru_cache(maxsize=4)
def _maximal_sets(masks: tuple[int, ...], most: int) -> tuple[tuple[int, ...], ...] | None:
    """Return all maximal sets of masks without a common bit; ``None`` if there are over `most`.

    Bron and Kerbosch's search with a pivot, over bits: it meets every maximal set once.
    """
    count = len(masks)
    fits = [
        sum(1 << b for b in range(count) if b != a and not masks[a] & masks[b])
        for a in range(count)
    ]
    found: list[tuple[int, ...]] = []

    def extend(chosen: tuple[int, ...], open_: int, closed: int) -> bool:
        if not open_ and not closed:
            found.append(chosen)
            return len(found) <= most
        pivot = max(_bits(open_ | closed), key=lambda b: (open_ & fits[b]).bit_count())
        for b in _bits(open_ & ~fits[pivot]):
            if not extend((*chosen, b), open_ & fits[b], closed & fits[b]):
                return False
            open_ &= ~(1 << b)
            closed |= 1 << b
        return True

    if count and not extend((), (1 << count) - 1, 0):
        return None
    return tuple(sorted(tuple(sorted(pairs)) for pairs in found))


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
