"""Dynamic gating: tokens sorted by slot, as many as there are, none padded and none dropped.

Towards MoE Deployment (arXiv 2303.06182), section "dynamic gating": argsort, bincount, sizes first,
then tokens. Replicas are new here: the sorted tokens of an expert are cut into one run for each
copy, in the shares of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from moeopt.adapters.torch.layout import Layout, slots_by_expert
from moeopt.adapters.torch.rows import Order

#: Fractional parts of their multiples fill the unit square evenly: powers of 1 over the plastic
#: number. (Those of the golden ratio would not: its square is 1 less itself.)
_EVENLY = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True, eq=False)
class SplitTable:
    """How one rank cuts the tokens of each expert between its copies; on one device.

    The filled slots stand expert by expert: with ``n`` tokens of an expert, a slot's run ends at
    ``floor(upto * n + phase)``. The phase differs between ranks, so that few tokens from many
    ranks do not all go to the same copy.

    Attributes
    ----------
    columns
        All that is below, in one tensor, float64, ``(5, filled)``.
    experts, slots
        How many there are in all; some of the slots may be empty.
    """

    columns: torch.Tensor
    experts: int
    slots: int

    @classmethod
    def of(cls, layout: Layout, rank: int, device: torch.device) -> SplitTable:
        """Return the table of one rank."""
        slot, upto = slots_by_expert(layout, rank)
        expert = layout.expert_of_slot[slot]
        phase = ((rank + 1) * _EVENLY[0] + expert * _EVENLY[1]) % 1.0
        first = np.append(True, expert[1:] != expert[:-1])
        columns = np.stack([slot, expert, upto, phase, first]).astype(np.float64)
        return cls(torch.from_numpy(columns).to(device), layout.num_experts, layout.num_slots)

    @property
    def slot(self) -> torch.Tensor:
        """Each filled slot, ``(filled,)``."""
        return self.columns[0].long()

    @property
    def expert(self) -> torch.Tensor:
        """Its expert."""
        return self.columns[1].long()

    @property
    def upto(self) -> torch.Tensor:
        """Sum of shares of the expert's slots up to this one."""
        return self.columns[2]

    @property
    def phase(self) -> torch.Tensor:
        """In [0, 1)."""
        return self.columns[3]

    @property
    def first(self) -> torch.Tensor:
        """Whether it is its expert's first slot."""
        return self.columns[4].bool()

    @property
    def key_type(self) -> torch.dtype:
        """Type in which experts are sorted: few bits take few passes."""
        return torch.int16 if self.experts <= torch.iinfo(torch.int16).max else torch.int32

    def runs(self, count: torch.Tensor) -> torch.Tensor:
        """Return the tokens of each filled slot, from those of each expert, ``(filled,)``."""
        tokens = count[self.expert].to(torch.float64)
        ends = (self.upto * tokens + self.phase).floor().minimum(tokens).to(torch.int64)
        before = ends.roll(1).masked_fill(self.first, 0)
        return ends - before


def ordered(expert_ids: torch.Tensor, table: SplitTable) -> tuple[Order, torch.Tensor]:
    """Return the place of each choice, sorted by slot, and the tokens of each slot.

    Nothing is copied to the host.

    Parameters
    ----------
    expert_ids
        Experts of each token, ``(tokens, top_k)``.
    table
        This rank's cuts.
    """
    choices = expert_ids.reshape(-1)
    if choices.element_size() > table.key_type.itemsize:
        # What fewer bits cannot hold stays strange.
        choices = choices.clamp(-1, table.experts)
    choices = choices.to(table.key_type)
    total, device = len(choices), choices.device
    in_order, by_expert = choices.sort(stable=True)
    # Counted where the sorted experts change: `bincount` waits for the device. Experts that there
    # are not go with the first and the last, so that all this stays within its memory.
    bounds = torch.arange(-1, table.experts, dtype=table.key_type, device=device)
    ends = torch.searchsorted(in_order, bounds, right=True)
    valid, upto = ends[:: table.experts], ends[1:].clone()
    upto[-1:] = total
    runs = table.runs(upto.diff(prepend=ends.new_zeros(1)))
    slot = table.slot
    sizes = runs.new_zeros(table.slots).index_copy(0, slot, runs)
    # Runs stand by expert; in the end they stand by slot.
    start = runs.cumsum(0) - runs
    goal = (sizes.cumsum(0) - sizes)[slot]
    shift = torch.repeat_interleave(goal - start, runs, output_size=total)
    position = torch.arange(total, device=device) + shift
    place = torch.empty_like(by_expert).index_copy_(0, by_expert, position)
    choice = torch.empty_like(by_expert).index_copy_(0, position, by_expert)
    top_k = expert_ids.shape[1]
    return Order(choice // top_k, choice, place, top_k, valid), sizes


@dataclass(frozen=True, eq=False)
class Arrivals:
    """How the rows that a rank gets, rank by rank, come to stand slot by slot.

    Attributes
    ----------
    index
        Where each row stands that comes to stand slot by slot, ``(capacity,)``; beyond the rows
        that arrive, itself.
    inverse
        The way back.
    ends
        Where each slot's rows end, int32, ``(slots,)``.
    """

    index: torch.Tensor
    inverse: torch.Tensor
    ends: torch.Tensor


def arrivals(received: torch.Tensor, capacity: int) -> Arrivals:
    """Return how arriving rows come to stand slot by slot; nothing is copied to the host.

    Parameters
    ----------
    received
        Rows from each rank for each slot of this one, ``(ranks, slots)``.
    capacity
        At least their sum.
    """
    row = torch.arange(capacity, device=received.device)
    ends = received.sum(dim=0).cumsum(0).to(torch.int32)
    if received.numel() == 0:
        return Arrivals(row, row, ends)
    by_rank = received.reshape(-1)
    at_rank = (by_rank.cumsum(0) - by_rank).view(received.shape)
    run = received.T.reshape(-1)
    upto = run.cumsum(0)
    shift = at_rank.T.reshape(-1) - (upto - run)
    at = torch.searchsorted(upto, row, right=True).clamp_(max=len(run) - 1)
    index = torch.where(row < upto[-1], row + shift[at], row)
    inverse = torch.empty_like(index).scatter_(0, index, row)
    return Arrivals(index, inverse, ends)
