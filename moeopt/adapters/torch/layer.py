"""The expert-parallel layer: tokens go to the slots that a plan says, and come back.

In the words of `moeopt.timeline`: gate (sort, sizes first), dispatch (tokens, variable sizes),
compute (grouped products), combine (back), aggregation (inverse order, weighted sum). The host
waits for the device once, when it must know the sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from moeopt.adapters.torch.buffers import Buffers, Role, idle_buffers
from moeopt.adapters.torch.checks import require_experts, require_inputs
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
from moeopt.adapters.torch.gating import Arrivals, SplitTable, arrivals, ordered
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.rows import Order, gathered, permuted, spread, weighted_sum
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError

#: Orders of arriving rows are made for multiples of as many, so that few of them are captured.
_ROOM = 4096

_Table = TypeVar("_Table", torch.Tensor, IntArray)


@dataclass(eq=False)
class Turn:
    """One pass of tokens through the layer, phase by phase.

    Attributes
    ----------
    experts
        Those that serve it, also where the layer has meanwhile gone over to others.
    order, weights
        Where each choice went, and its gate weight.
    rows
        Rows as far as they have come.
    received
        Rows from each rank for each slot of this one, ``(ranks, slots)``, on the device.
    here
        The same on the host.
    route
        How rows travel; ``None`` where there is one rank.
    buffers
        Memory to use; ``None`` where a graph keeps it.
    pending
        The exchange on its way.
    arrivals
        How what arrives comes to stand slot by slot.
    """

    experts: Experts
    order: Order
    weights: torch.Tensor
    rows: torch.Tensor
    received: torch.Tensor
    here: IntArray
    route: Route | None
    buffers: Buffers | None
    pending: Pending | None = None
    arrivals: Arrivals | None = None

    @property
    def per_slot(self) -> list[int]:
        """Rows that arrive for each slot of this rank, ``(slots,)``."""
        found: list[int] = self.here.sum(axis=0).tolist()
        return found

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
        self._idle = idle_buffers()
        self.adopt(layout, experts)

    def adopt(self, layout: Layout, experts: Experts) -> None:
        """Go over to another layout, and to the experts that this rank holds in it.

        Passes under way end with the experts that they began with. An optimizer must be given the
        new parameters.

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
        first = layout.first_slot
        self._bounds = list(zip(first.tolist(), (first + self._slots).tolist(), strict=True))
        on_rank = layout.rank_of_slot[:, None] == np.arange(self.world)
        self._on_rank: IntArray = on_rank.astype(np.int64)

    def get_extra_state(self) -> torch.Tensor:
        """Return the expert in each slot of this rank, which its weights mean nothing without."""
        return torch.from_numpy(self.layout.experts_on(self.rank).copy())

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Raise `InstanceError` if a state to load is of experts in other slots."""
        if state.tolist() != self.layout.experts_on(self.rank).tolist():
            rule = "must be of the experts in this rank's slots"
            remedy = "load it under the layout that it was saved under, then migrate"
            raise InstanceError("state_dict", f"<experts {state.tolist()}>", rule, remedy)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move the tables along where ``to`` moves the experts."""
        moved = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._split = SplitTable.of(self.layout, self.rank, self.experts.up.device)
        return moved

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
        """Sort the tokens by slot, and learn how many rows go where.

        Raises
        ------
        InstanceError
            If the tensors do not fit each other or the experts.
        """
        require_inputs(hidden, expert_ids, gate_weights, self.experts.up)
        buffers = None if torch.is_grad_enabled() else self._idle.take(hidden)
        order, table = self._ordered(expert_ids, buffers)
        sizes, told = table[2 : 2 + self.layout.num_slots], table[2 + self.layout.num_slots :]
        work = self._announce(sizes, told)
        # The device copies tokens while the sizes travel.
        out = None if buffers is None else buffers.rows("sent", len(order.choice), hidden)
        rows = spread(hidden, order, out)
        if work is not None:
            work.wait()
        # From here on the device waits for the host: what can be done later is.
        host = table.cpu().numpy()
        travels = self._travels(host, len(order.choice))
        route = None
        if self.world > 1:
            route = self.exchange.route(travels, rows.shape[1] * rows.element_size())
        here = self._own_slots(host[2 + len(sizes) :])
        there = self._own_slots(told)
        return Turn(self.experts, order, gate_weights, rows, there, here, route, buffers)

    def dispatch(self, turn: Turn) -> None:
        """Begin to send the tokens."""
        self._send(turn, "arrived", back=False)
        # Made ready while they travel.
        total = int(turn.here.sum())
        if turn.buffers is None or not turn.received.is_cuda:
            turn.arrivals = arrivals(turn.received, total)
            return
        capacity = _ROOM * -(-total // _ROOM)
        turn.arrivals = turn.buffers.arrivals.call(
            lambda received: arrivals(received, capacity), (turn.received,), capacity
        )

    def compute(self, turn: Turn) -> None:
        """Let the experts of this rank do their work on what has arrived."""
        there, count = turn.arrivals, turn.per_slot
        assert there is not None
        if turn.route is None:
            turn.rows = turn.experts(turn.rows, there.ends, count)
            return
        total = len(turn.rows)
        index, inverse = there.index[:total], there.inverse[:total]
        rows = permuted(turn.rows, index, inverse, turn.out("by_slot", total))
        turn.rows = turn.experts(rows, there.ends, count)
        turn.rows = permuted(turn.rows, inverse, index, turn.out("answers", total))

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
        out = weighted_sum(turn.rows, turn.weights, turn.order, turn.out)
        self._idle.give(turn.buffers, out)
        return out

    def _send(self, turn: Turn, role: Role, *, back: bool) -> None:
        if turn.route is None:
            return
        count = sum(turn.route.sizes.ends(back)[1])
        out = turn.out(role, count)
        if out is None:
            turn.rows = exchanged(turn.rows, turn.route, back=back)
        else:
            turn.pending = turn.route.start(turn.rows, out, back=back)

    def _announce(self, sizes: torch.Tensor, told: torch.Tensor) -> Any:
        """Begin to tell the others how many rows they will get, and to learn it from them."""
        if self.world == 1:
            told.copy_(sizes)
            return None
        if self._gathers:
            return dist.all_gather_into_tensor(told, sizes, group=self.group, async_op=True)
        mine = [self._slots[self.rank]] * self.world
        return dist.all_to_all_single(
            told, sizes, mine, self._slots, group=self.group, async_op=True
        )

    def _ordered(
        self, expert_ids: torch.Tensor, buffers: Buffers | None
    ) -> tuple[Order, torch.Tensor]:
        """Return the order, and a table: its checks, its sizes, and room for those of others."""
        split, room = self._split, self.world * self._columns
        experts, slots = split.experts, split.slots

        def both(ids: torch.Tensor, columns: torch.Tensor) -> tuple[Order, torch.Tensor]:
            order, sizes = ordered(ids, SplitTable(columns, experts, slots))
            # Sizes below 0 tell the others of choices that they must not wait for.
            strange = order.valid[0] - order.valid[1] + ids.numel()
            sizes = sizes.sub(strange, alpha=ids.numel() + 1)
            return order, torch.cat([order.valid, sizes, sizes.new_zeros(room)])

        if buffers is None:
            return both(expert_ids, split.columns)
        found: tuple[Order, torch.Tensor] = buffers.orders.call(
            both, (expert_ids, split.columns), (experts, slots, room)
        )
        return found

    def _travels(self, table: IntArray, choices: int) -> Sizes:
        """Return how many rows travel, from the table on the host.

        Plain integers: for tables this small NumPy's calls take longer.
        """
        number: list[int] = table.tolist()
        require_experts(number, choices, self.layout.num_experts)
        first = 2 + self.layout.num_slots
        sent = [sum(number[2 + begin : 2 + end]) for begin, end in self._bounds]
        mine = self._bounds[self.rank] if self._gathers else (0, self._columns)
        begins = range(first, len(number), self._columns) if self._columns else [first] * self.world
        received = [sum(number[at + mine[0] : at + mine[1]]) for at in begins]
        matrix = None
        if self._gathers:
            matrix = table[first:].reshape(self.world, -1) @ self._on_rank
        return Sizes(sent, received, matrix)

    def _own_slots(self, told: _Table) -> _Table:
        """Return rows from each rank for each slot of this one, of those that it was told."""
        by_rank = told.reshape(self.world, self._columns)
        if not self._gathers:
            return by_rank
        begin, end = self._bounds[self.rank]
        return by_rank[:, begin:end]

    @property
    def _columns(self) -> int:
        """Slots that every rank tells the rows of: those of this rank, or all."""
        return self.layout.num_slots if self._gathers else self._slots[self.rank]

    @property
    def _gathers(self) -> bool:
        """Whether every rank learns all sizes."""
        return self.world > 1 and self.exchange.needs_matrix

    def _mark(self, phase: Phase | None) -> None:
        if self.clock is not None:
            self.clock.mark(phase)


def rank_and_world(group: Any = None) -> tuple[int, int]:
    """Return this worker's rank and how many there are; 0 and 1 outside of torch.distributed."""
    if not dist.is_initialized():
        return 0, 1
    rank = dist.get_rank(group)
    if rank < 0:
        rule = "must contain this worker"
        raise InstanceError("group", "<another group>", rule, "make the layer on its workers only")
    return rank, dist.get_world_size(group)
