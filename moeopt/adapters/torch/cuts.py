"""Rows of an exchange cut into rounds, as a transfer plan cuts its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.transfers.plan import TransferPlan, require_readable


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows of an exchange in rounds, each column of shape ``(parts,)``, ordered by round.

    A pair's rows go in the order of its parts; it has at most one part in a round.

    Attributes
    ----------
    round_index, source, destination
        When, from whom, to whom.
    rows
        How many, at least 1.
    num_rounds
        Rounds of all ranks, also those without parts.
    """

    round_index: IntArray
    source: IntArray
    destination: IntArray
    rows: IntArray
    num_rounds: int


@dataclass(frozen=True, eq=False)
class Cuts:
    """Where a plan cuts the rows of each pair; columns of shape ``(cuts,)``, by pair and round.

    Attributes
    ----------
    round_index, source, destination
        Each part's round and pair.
    upto
        Share of the pair's rows that has gone when this part has; exactly 1 in its last.
    first
        Whether it is the pair's first part.
    num_rounds
        Rounds of the plan, and after them one for each distance between ranks: there go the pairs
        that the plan does not know.
    """

    round_index: IntArray
    source: IntArray
    destination: IntArray
    upto: FloatArray
    first: BoolArray
    num_rounds: int

    @classmethod
    def of(cls, plan: TransferPlan, world: int) -> Cuts:
        """Return the cuts of a plan for all pairs of `world` ranks.

        Raises
        ------
        InstanceError
            If no problem could have the plan, it passes bytes on, or has ports that are no ranks.
        """
        require_readable(plan)
        _require_direct(plan, world)
        known = plan.size_bytes > 0
        rounds, number = np.unique(plan.round_index[known], return_inverse=True)
        pair = plan.source[known] * world + plan.destination[known]
        # A pair's rows of one round are one part.
        key, where = np.unique(pair * (len(rounds) + 1) + number, return_inverse=True)
        size = np.bincount(where, weights=plan.size_bytes[known]).astype(np.float64)
        pair, number = np.divmod(key, len(rounds) + 1)
        unknown = np.setdiff1d(_all_pairs(world), pair)
        pair = np.append(pair, unknown)
        number = np.append(number, len(rounds) + _distance(unknown, world) - 1)
        size = np.append(size, np.ones(len(unknown)))
        order = np.lexsort((number, pair))
        pair, number, size = pair[order], number[order], size[order]
        first = np.diff(pair, prepend=-1) > 0
        upto = _upto(size, first)
        return cls(number, *np.divmod(pair, world), upto, first, len(rounds) + world - 1)

    @classmethod
    def of_distances(cls, world: int) -> Cuts:
        """Return a round for each distance between ranks, ``(destination - source) mod world``."""
        none = np.zeros(0, dtype=np.int64)
        some = np.zeros(0)
        plan = TransferPlan(
            source=none,
            destination=none,
            size_bytes=some,
            start_s=some,
            duration_s=some,
            round_index=none,
        )
        return cls.of(plan, world)

    def of_rank(self, rank: int) -> Cuts:
        """Return those of what one rank sends or receives."""
        mine = (self.source == rank) | (self.destination == rank)
        return Cuts(
            round_index=self.round_index[mine],
            source=self.source[mine],
            destination=self.destination[mine],
            upto=self.upto[mine],
            first=self.first[mine],
            num_rounds=self.num_rounds,
        )

    @cached_property
    def one_peer(self) -> bool:
        """Tell whether no rank sends to two in a round, or receives from two."""
        ports = (self.source, self.destination)
        keys = [self.round_index * (port.max(initial=0) + 1) + port for port in ports]
        return all(len(np.unique(key)) == len(key) for key in keys)

    def parts(self, rows: IntArray) -> Parts:
        """Return the parts, from the rows of each cut's pair, ``(cuts,)``.

        Both ends of a pair cut alike: they multiply the same numbers. Parts that are whole rows in
        the plan are the same rows here: shares are not exact, but nearest.
        """
        ends = np.rint(self.upto * rows).astype(np.int64)
        part = ends - np.where(self.first, 0, np.roll(ends, 1))
        some = np.flatnonzero(part)
        some = some[np.argsort(self.round_index[some], kind="stable")]
        return Parts(
            round_index=self.round_index[some],
            source=self.source[some],
            destination=self.destination[some],
            rows=part[some],
            num_rounds=self.num_rounds,
        )


def _all_pairs(world: int) -> IntArray:
    """Return ``source * world + destination`` of each pair of different ranks."""
    return np.flatnonzero(~np.eye(world, dtype=np.bool_))


def _distance(pair: IntArray, world: int) -> IntArray:
    """Return how far apart the ranks of each pair are, from 1."""
    source, destination = np.divmod(pair, world)
    return np.asarray((destination - source) % world)


def _upto(size: FloatArray, first: BoolArray) -> FloatArray:
    """Return the share of a pair's bytes up to each part, 1 in the last."""
    group = np.cumsum(first) - 1
    total = np.cumsum(size / np.bincount(group, weights=size)[group])
    last = np.append(first[1:], True)[: len(first)]
    before = np.append(0.0, total[last])[group]
    return np.where(last, 1.0, np.clip(total - before, 0.0, 1.0))


def _require_direct(plan: TransferPlan, world: int) -> None:
    ports = int(max(plan.source.max(initial=-1), plan.destination.max(initial=-1))) + 1
    if ports > world:
        rule = f"must be ports below the number of workers, {world}"
        raise InstanceError("source", ports - 1, rule, "start a worker for each port")
    ends = ((plan.origin, plan.source), (plan.target, plan.destination))
    if any(end is not None and bool((end != hop).any()) for end, hop in ends):
        rule = "must send every message straight to its target"
        remedy = "solve without a fabric whose ports pass bytes on"
        raise InstanceError("origin", "<messages passed on>", rule, remedy)
