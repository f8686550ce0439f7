"""The expert-parallel layer: tokens go to the slots that a plan says, and come back.

In the words of `moeopt.timeline`: gate (sort, sizes first), dispatch (tokens, variable sizes),
compute (grouped products), combine (back), aggregation (inverse order, weighted sum). The host
waits for the device once, when it must know the sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from moeopt.adapters.torch.buffers import Buffers, Role
from moeopt.adapters.torch.clock import Phase, PhaseClock
from moeopt.adapters.torch.exchange import (
    Exchange,
    Pending,
    Route,
    SingleExchange,
    Sizes,
    exchanged,
)
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.gating import SplitTable, by_slot, ordered
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.rows import Order, gathered, permuted, spread, weighted_sum
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError


@dataclass(eq=False)
class Turn:
    """One pass of tokens through the layer, phase by phase.

    Attributes
    ----------
    order, weights
        Where each choice went, and its gate weight.
    rows
        Rows as far as they have come.
    received
        Rows from each rank for each slot of this one, ``(ranks, slots)``, on the device.
    per_slot
        Rows of each of its slots, on the host.
    route
        How rows travel; ``None`` where there is one rank.
    buffers
        Memory to use; ``None`` where a graph keeps it.
    pending
        The exchange on its way.
    """

    order: Order
    weights: torch.Tensor
    rows: torch.Tensor
    received: torch.Tensor
    per_slot: list[int]
    route: Route | None
    buffers: Buffers | None
    pending: Pending | None = None

    def out(self, role: Role, count: int) -> torch.Tensor | None:
        """Return memory for rows, or ``None`` where a graph keeps what is made."""
        return None if self.buffers is None else self.buffers.rows(role, count, self.rows)


class ExpertParallel(nn.Module):
    """Experts of one layer spread over ranks as a layout says.

    Parameters
    ----------
    layout
        Slots of all ranks; the same on each.
    experts
        Those of this rank, slot by slot.
    exchange
        How rows travel; ``None`` is one all-to-all. Unused where there is one rank.
    group
        The workers, ranks as in the layout; ``None`` for all.

    Attributes
    ----------
    clock
        Where phases are timed; ``None`` if they are not.
    """

    def __init__(
        self,
        layout: Layout,
        experts: Experts,
        exchange: Exchange | None = None,
        group: Any = None,
    ) -> None:
        super().__init__()
        self.group = group
        self.rank, self.world = rank_and_world(group)
        self.exchange: Exchange = SingleExchange(group) if exchange is None else exchange
        self.clock: PhaseClock | None = None
        self._idle: list[Buffers] = []
        self.adopt(layout, experts)

    def adopt(self, layout: Layout, experts: Experts) -> None:
        """Go over to another layout, and to the experts that this rank holds in it.

        Raises
        ------
        InstanceError
            If they do not fit each other, or not the workers.
        """
        if layout.num_ranks != self.world:
            rule = f"must have as many ranks as there are workers, {self.world}"
            raise InstanceError("layout", layout.num_ranks, rule, "use Layout.folded")
        mine = int(layout.slots_per_rank[self.rank])
        if experts.num_slots != mine:
            rule = f"must fill the {mine} slots of rank {self.rank}"
            raise InstanceError("experts", experts.num_slots, rule, "use Experts.of_slots")
        self.layout, self.experts = layout, experts
        self._split = SplitTable.of(layout, self.rank, experts.up.device)
        self._slots: list[int] = layout.slots_per_rank.tolist()

    def forward(
        self, hidden: torch.Tensor, expert_ids: torch.Tensor, gate_weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum of each token's experts, ``(tokens, hidden)``.

        Parameters
        ----------
        hidden
            Shape ``(tokens, hidden)``; other ranks may have other numbers of tokens, also none.
        expert_ids
            Logical experts, ``(tokens, top_k)``.
        gate_weights
            Shape ``(tokens, top_k)``.
        """
        self._mark(None)
        turn = self.gate(hidden, expert_ids, gate_weights)
        self._mark("gate")
        self.dispatch(turn)
        self.arrive(turn)
        self._mark("dispatch")
        self.compute(turn)
        self._mark("compute")
        self.combine(turn)
        self.arrive(turn)
        self._mark("combine")
        out = self.aggregate(turn)
        self._mark("aggregation")
        return out

    def gate(
        self, hidden: torch.Tensor, expert_ids: torch.Tensor, gate_weights: torch.Tensor
    ) -> Turn:
        """Sort the tokens by slot, and learn how many rows go where."""
        order, sizes = ordered(expert_ids, self._split)
        announced = self._announce(sizes)
        buffers = None if torch.is_grad_enabled() else self._free_buffers()
        # The device copies tokens while the sizes travel.
        count = len(order.choice)
        out = None if buffers is None else buffers.rows("sent", count, hidden)
        rows = spread(hidden, order, out)
        received, host, per_slot = self._learn(sizes, announced)
        route = None
        if self.world > 1:
            route = self.exchange.route(host, rows.shape[1] * rows.element_size())
        return Turn(order, gate_weights, rows, received, per_slot, route, buffers)

    def dispatch(self, turn: Turn) -> None:
        """Begin to send the tokens."""
        self._send(turn, "arrived", back=False)

    def compute(self, turn: Turn) -> None:
        """Let the experts of this rank do their work on what has arrived."""
        count = [turn.received.sum(dim=0), turn.per_slot]
        if self.world == 1:
            turn.rows = self.experts(turn.rows, *count)
            return
        total = len(turn.rows)
        index, inverse = by_slot(turn.received, total)
        rows = permuted(turn.rows, index, inverse, turn.out("by_slot", total))
        answers = self.experts(rows, *count)
        turn.rows = permuted(answers, inverse, index, turn.out("answers", total))

    def combine(self, turn: Turn) -> None:
        """Begin to send the answers back."""
        self._send(turn, "home", back=True)

    def arrive(self, turn: Turn) -> None:
        """Take what was sent: on a GPU the stream waits for it, not the host."""
        if turn.pending is not None:
            turn.rows, turn.pending = turn.pending.wait(), None

    def aggregate(self, turn: Turn) -> torch.Tensor:
        """Return the weighted sum of each token's rows; the turn is over."""
        if turn.buffers is None:
            return gathered(turn.rows, turn.weights, turn.order)
        out = turn.out("by_token", len(turn.rows))
        self._idle.append(turn.buffers)
        return weighted_sum(turn.rows, turn.weights, turn.order, out)

    def _send(self, turn: Turn, role: Role, *, back: bool) -> None:
        if turn.route is None:
            return
        count = sum(turn.route.sizes.ends(back)[1])
        out = turn.out(role, count)
        if out is None:
            turn.rows = exchanged(turn.rows, turn.route, back=back)
        else:
            turn.pending = turn.route.start(turn.rows, out, back=back)

    def _announce(self, sizes: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Begin to tell the others how many rows they will get."""
        if self.world == 1:
            return sizes[None], None
        if self.exchange.needs_matrix:
            out = sizes.new_empty(self.world, len(sizes))
            return out, dist.all_gather_into_tensor(out, sizes, group=self.group, async_op=True)
        mine = self._slots[self.rank]
        out = sizes.new_empty(self.world, mine)
        work = dist.all_to_all_single(
            out.view(-1), sizes, [mine] * self.world, self._slots, group=self.group, async_op=True
        )
        return out, work

    def _learn(
        self, sizes: torch.Tensor, announced: tuple[torch.Tensor, Any]
    ) -> tuple[torch.Tensor, Sizes, list[int]]:
        """Return rows from each rank for each own slot, and all sizes on the host: its one wait."""
        told, work = announced
        if work is not None:
            work.wait()
        first = int(self.layout.first_slot[self.rank])
        last = first + self._slots[self.rank]
        both = torch.cat([sizes, told.reshape(-1)]).cpu().numpy()
        own, others = both[: len(sizes)], both[len(sizes) :].reshape(told.shape)
        matrix = None
        if told.shape[1] == len(sizes):
            matrix = self._by_rank(others)
            told, others = told[:, first:last], others[:, first:last]
        sent = self._by_rank(own[None])[0].tolist()
        host = Sizes(sent, others.sum(axis=1).tolist(), matrix)
        return told, host, others.sum(axis=0).tolist()

    def _by_rank(self, by_slot: IntArray) -> IntArray:
        """Return rows to each rank from rows to each slot, the last axis."""
        ends = np.cumsum(self._slots)
        upto = np.concatenate([np.zeros((len(by_slot), 1), np.int64), by_slot.cumsum(1)], axis=1)
        return np.diff(upto[:, np.append(0, ends)], axis=1)

    def _free_buffers(self) -> Buffers:
        return self._idle.pop() if self._idle else Buffers()

    def _mark(self, phase: Phase | None) -> None:
        if self.clock is not None:
            self.clock.mark(phase)


def rank_and_world(group: Any = None) -> tuple[int, int]:
    """Return this worker's rank and how many there are; 0 and 1 outside of torch.distributed."""
    if not dist.is_initialized():
        return 0, 1
    return dist.get_rank(group), dist.get_world_size(group)
