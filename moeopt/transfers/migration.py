"""Migration: whole experts that must reach ranks, from which copy each comes, and in what order.

An expert is never cut, so the order is one of batches with a barrier after each: in a batch a rank
sends to at most one other and receives from at most one (full duplex), or does one of both (half
duplex: the rule of vLLM's scheduler). All experts of a pair in a batch are one flow, and a batch
lasts as long as its largest flow. The makespan is the sum of these, in bytes of one port.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.transfers.batches import Edges, batches_of
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.sources import Moves, Sources, choose_sources, moves_between

__all__ = [
    "Flow",
    "Migration",
    "Moves",
    "Sources",
    "choose_sources",
    "migration_problem",
    "moves_between",
    "order_migration",
]


@dataclass(frozen=True)
class Flow:
    """Whole experts that one rank sends to another in one batch.

    Attributes
    ----------
    source, destination
        Ranks.
    moves
        Numbers of the moves, ascending.
    """

    source: int
    destination: int
    moves: tuple[int, ...]


@dataclass(frozen=True)
class Migration:
    """The order of a migration.

    Attributes
    ----------
    moves
        What is moved.
    source, batch
        Of each move: the rank that it comes from, and the batch that it is in; ``(moves,)``.
    makespan_bytes
        Sum over the batches of the largest flow; over a port's rate these are seconds.
    busiest_bytes
        Bytes of the busiest port with these sources.
    bound_bytes
        No order has a smaller makespan: with any sources if they were chosen here, else with those
        that were given.
    """

    moves: Moves
    source: IntArray
    batch: IntArray
    makespan_bytes: float
    busiest_bytes: float
    bound_bytes: float

    @property
    def num_batches(self) -> int:
        """Number of batches."""
        return int(self.batch.max(initial=-1)) + 1

    @cached_property
    def batches(self) -> list[list[Flow]]:
        """The flows of each batch, by source and destination."""
        order = np.lexsort((self.moves.destination, self.source, self.batch))
        columns = np.stack([self.batch, self.source, self.moves.destination], axis=1)[order]
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (columns[1:] != columns[:-1]).any(axis=1)
        first = np.flatnonzero(new)
        ends = np.append(first, len(order))[1:].tolist()
        move = order.tolist()
        found: list[list[Flow]] = [[] for _ in range(self.num_batches)]
        for (batch, source, to), i, j in zip(
            columns[first].tolist(), first.tolist(), ends, strict=True
        ):
            found[batch].append(Flow(source, to, tuple(move[i:j])))
        return found


def order_migration(
    moves: Moves, source: IntArray | None = None, *, half_duplex: bool = False, seed: int = 0
) -> Migration:
    """Order moves in batches.

    Experts of equal size: an edge colouring, whose makespan is the busiest port's bytes (with
    half-duplex ports nearly always); batches that no port forbids are then joined. Unequal ones:
    batches in which flows of similar size meet, improved by exchanges between two batches.

    Parameters
    ----------
    moves
        What must be moved.
    source
        Where each comes from, shape ``(moves,)``; ``None`` chooses (`choose_sources`).
    half_duplex
        Whether a rank has at most one flow in a batch, sent or received; otherwise one each way.
    seed
        Of the random steps that half-duplex ports may need.

    Raises
    ------
    InstanceError
        If a given source does not hold its expert.
    """
    bound = None
    if source is None:
        chosen = choose_sources(moves, half_duplex=half_duplex)
        source, bound = chosen.source, chosen.bound_bytes
    _check_sources(moves, source)
    if moves.num_moves == 0:
        return Migration(moves, source, np.empty(0, dtype=np.int64), 0.0, 0.0, 0.0)
    edges = Edges.between(source, moves.destination, moves.size_bytes, moves.num_ranks, half_duplex)
    batch = batches_of(edges, seed)
    makespan = _makespan(moves, source, batch)
    bound = edges.bound() if bound is None else bound
    return Migration(moves, source, batch, makespan, edges.busiest(), min(bound, makespan))


def migration_problem(
    moves: Moves,
    source: IntArray,
    bandwidth_bytes_per_s: float,
    *,
    half_duplex: bool = False,
    **rules: Any,
) -> TransferProblem:
    """Return a migration as a problem of this wing: one peer at a time, parts of whole experts.

    Parts are no smaller than the smallest expert. Of experts of unequal size the larger ones may
    still be cut, so that bounds of the problem hold for `order_migration`, but not all its plans.

    Parameters
    ----------
    moves, source
        What is moved, and from where.
    bandwidth_bytes_per_s
        Rate of each rank's port.
    half_duplex
        As `order_migration`.
    **rules
        Any further field of `TransferProblem`: ``startup_s=1e-5``, ``windows=...``, …
    """
    _check_sources(moves, source)
    traffic = np.zeros((moves.num_ranks, moves.num_ranks))
    np.add.at(traffic, (source, moves.destination), moves.size_bytes)
    smallest = float(moves.size_bytes.min()) if moves.num_moves else 0.0
    return TransferProblem(
        traffic_bytes=traffic,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        half_duplex=half_duplex,
        peers="one",
        chunk_bytes=smallest,
        **rules,
    )


def _check_sources(moves: Moves, source: IntArray) -> None:
    holds = moves.sources[np.arange(moves.num_moves), source]
    if not holds.all():
        at = int(np.argmin(holds))
        rule = "must be a rank that holds the move's expert"
        raise InstanceError(f"source[{at}]", int(source[at]), rule, "choose another, or none")


def _makespan(moves: Moves, source: IntArray, batch: IntArray) -> float:
    """Return the sum over the batches of the largest flow."""
    ranks = moves.num_ranks
    flow = (batch * ranks + source) * ranks + moves.destination
    flows, which = np.unique(flow, return_inverse=True)
    largest = np.zeros(int(batch.max()) + 1)
    np.maximum.at(largest, flows // ranks**2, np.bincount(which, moves.size_bytes))
    return float(largest.sum())
