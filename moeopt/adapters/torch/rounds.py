"""Exchanges in rounds: one group of sends and receives after the other, in the order of a plan.

NCCL orders what stands in one group by itself, so that an order needs a group for each round; gloo
sends at once whatever it is given, so that each round must be waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.cuts import Cuts, Parts
from moeopt.adapters.torch.exchange import Pending, Route, Sizes, Works, as_bytes
from moeopt.adapters.torch.layer import rank_and_world
from moeopt.transfers.plan import TransferPlan


class Span(NamedTuple):
    """Rows from `first` to before `last`, for a peer or from it."""

    peer: int
    first: int
    last: int


@dataclass(frozen=True)
class Round:
    """What one rank sends and receives in a round."""

    sends: list[Span]
    receives: list[Span]


@dataclass(frozen=True, eq=False)
class RoundsRoute:
    """One exchange in rounds; backwards they come in reverse, senders and receivers exchanged.

    Attributes
    ----------
    sizes
        How many rows go where.
    rounds
        Those of this rank, also empty ones, in which it does nothing.
    group
        The workers.
    barrier
        Whether everybody waits for everybody after each round.
    """

    sizes: Sizes
    rounds: list[Round]
    group: Any
    barrier: bool = False

    @classmethod
    def of(cls, parts: Parts, sizes: Sizes, group: Any, *, barrier: bool = False) -> RoundsRoute:
        """Return this rank's route, from its parts; there may be others' among them."""
        rank = dist.get_rank(group)
        return cls(sizes, _rounds_of(parts, sizes, rank), group, barrier)

    def start(self, rows: torch.Tensor, out: torch.Tensor, *, back: bool = False) -> Pending:
        """Send round by round; without a GPU it returns when the last round is on its way."""
        given, taken = as_bytes(rows), as_bytes(out)
        self._keep_own(given, taken, back)
        works: list[Any] = []
        for turn in reversed(self.rounds) if back else self.rounds:
            sends, receives = (turn.receives, turn.sends) if back else (turn.sends, turn.receives)
            # Receives come first: gloo's sends then find them ready.
            ops = [
                dist.P2POp(do, memory[span.first : span.last], None, self.group, 0, span.peer)
                for do, memory, spans in ((dist.irecv, taken, receives), (dist.isend, given, sends))
                for span in spans
            ]
            if ops:
                # On a GPU its stream keeps the order.
                if not rows.is_cuda:
                    _wait(works)
                works.extend(dist.batch_isend_irecv(ops))
            if self.barrier:
                _wait(works)
                dist.barrier(self.group)
        return Works(works, out, rows)

    def _keep_own(self, given: torch.Tensor, taken: torch.Tensor, back: bool) -> None:
        """Copy the rows that stay on this rank."""
        rank = dist.get_rank(self.group)
        sent, received = self.sizes.ends(back)
        if sent[rank]:
            source, goal = sum(sent[:rank]), sum(received[:rank])
            taken[goal : goal + sent[rank]].copy_(given[source : source + sent[rank]])


class RoundsExchange:
    """An exchange in the rounds of a transfer plan.

    The rows of a pair are cut in the shares of its bytes in the plan, whatever their number; pairs
    that the plan does not know go after it, one distance between ranks after the other.

    Parameters
    ----------
    plan
        Its ports are the ranks. Waves of a pair go as one message.
    group
        The workers; ``None`` for all. Under NCCL their first operation must be one in which all
        take part, as the sizes of `ExpertParallel` are: rounds are for those who send or receive.
    barrier
        Whether everybody waits for everybody after each round, since a socket takes bytes that
        have not yet arrived.

    Raises
    ------
    InstanceError
        If the plan passes bytes on, or has ports that are no ranks, or the group is one of others.
    """

    needs_matrix = False

    def __init__(self, plan: TransferPlan, group: Any = None, *, barrier: bool = False) -> None:
        self.group, self.barrier = group, barrier
        rank, world = rank_and_world(group)
        self._cuts = Cuts.of(plan, world).of_rank(rank)
        self._sends = self._cuts.source == rank

    def route(self, sizes: Sizes, row_bytes: int) -> Route:
        """Return the plan's rounds for these sizes; no rank need know all of them."""
        cuts = self._cuts
        sent, received = np.array(sizes.sent), np.array(sizes.received)
        rows = np.where(self._sends, sent[cuts.destination], received[cuts.source])
        return RoundsRoute.of(cuts.parts(rows), sizes, self.group, barrier=self.barrier)


def _rounds_of(parts: Parts, sizes: Sizes, rank: int) -> list[Round]:
    """Return what one rank does in each round, with the places of the rows in its memory."""
    rounds = [Round([], []) for _ in range(parts.num_rounds)]
    send_at, receive_at = _starts(sizes.sent), _starts(sizes.received)
    mine = np.flatnonzero((parts.source == rank) | (parts.destination == rank))
    columns = (parts.round_index, parts.source, parts.destination, parts.rows)
    for number, source, destination, rows in zip(*(c[mine].tolist() for c in columns), strict=True):
        if source == rank:
            peer, at, spans = destination, send_at, rounds[number].sends
        else:
            peer, at, spans = source, receive_at, rounds[number].receives
        spans.append(Span(peer, at[peer], at[peer] + rows))
        at[peer] += rows
    return rounds


def _starts(rows: Sequence[int]) -> list[int]:
    """Return where each rank's rows begin."""
    return [0, *np.cumsum(rows)[:-1].tolist()]


def _wait(works: list[Any]) -> None:
    """Wait for what is on its way, and forget it."""
    for work in works:
        work.wait()
    works.clear()
