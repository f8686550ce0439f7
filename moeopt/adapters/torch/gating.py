"""Dynamic gating: tokens sorted by slot, as many as there are, none padded and none dropped.

Towards MoE Deployment (arXiv 2303.06182), section "dynamic gating": argsort, bincount, sizes first,
then tokens. Replicas are new here: the sorted tokens of an expert are cut into one run for each
copy, in the shares of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from moeopt.adapters.torch.layout import Layout, slots_by_expert
from moeopt.adapters.torch.rows import Order

#: Fractional parts of its multiples fill [0, 1) evenly.
_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class SplitTable:
    """How one rank cuts the tokens of each expert between its copies; all on one device.

    The filled slots stand expert by expert: with ``n`` tokens of an expert, a slot's run ends at
    ``floor(upto * n + phase)``. The phase differs between ranks, so that few tokens from many
    ranks do not all go to the same copy.

    Attributes
    ----------
    slot, expert
        Of each filled slot, shape ``(filled,)``.
    upto
        Sum of shares of the expert's slots up to this one, float64.
    phase
        In [0, 1), float64.
    first
        Whether it is its expert's first slot.
    bounds
        Before the first expert, the logical experts, and beyond the last: ``-1, 0, 1, ...``.
    slots
        How many there are in all.
    """

    slot: torch.Tensor
    expert: torch.Tensor
    upto: torch.Tensor
    phase: torch.Tensor
    first: torch.Tensor
    bounds: torch.Tensor
    slots: int

    @classmethod
    def of(cls, layout: Layout, rank: int, device: torch.device) -> SplitTable:
        """Return the table of one rank."""
        slot, upto = slots_by_expert(layout, rank)
        expert = layout.expert_of_slot[slot]
        phase = ((rank + 1) * _GOLDEN + expert * _GOLDEN**2) % 1.0
        first = np.append(True, expert[1:] != expert[:-1])
        keys = _key_type(layout)
        bounds = np.append(np.arange(-1, layout.num_experts), np.iinfo(keys).max).astype(keys)

        def there(column: Any) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(column)).to(device)

        return cls(
            slot=there(slot),
            expert=there(expert),
            upto=there(upto),
            phase=there(phase),
            first=there(first),
            bounds=there(bounds),
            slots=layout.num_slots,
        )

    def runs(self, count: torch.Tensor) -> torch.Tensor:
        """Return the tokens of each filled slot, from those of each expert, ``(filled,)``."""
        tokens = count[self.expert].to(torch.float64)
        ends = (self.upto * tokens + self.phase).floor().minimum(tokens).to(torch.int64)
        before = ends.roll(1).masked_fill(self.first, 0)
        return ends - before


def _key_type(layout: Layout) -> type[np.int16] | type[np.int32]:
    return np.int16 if layout.num_experts <= np.iinfo(np.int16).max else np.int32


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
    if choices.element_size() > table.bounds.element_size():
        # Few bits take few passes of a sort; what they cannot hold stays strange.
        choices = choices.clamp(-1, len(table.bounds) - 2)
    choices = choices.to(table.bounds.dtype)
    total = len(choices)
    in_order, by_expert = choices.sort(stable=True)
    # Counted where the sorted experts change: `bincount` waits for the device. Experts that there
    # are not go with the first and the last, so that all this stays within its memory.
    ends = torch.searchsorted(in_order, table.bounds, right=True)
    valid, upto = ends[: -1 : len(ends) - 2], torch.cat([ends[1:-2], ends[-1:]])
    runs = table.runs(upto.diff(prepend=ends.new_zeros(1)))
    sizes = runs.new_zeros(table.slots).index_copy(0, table.slot, runs)
    # Runs stand by expert; in the end they stand by slot.
    start = runs.cumsum(0) - runs
    goal = (sizes.cumsum(0) - sizes)[table.slot]
    shift = torch.repeat_interleave(goal - start, runs, output_size=total)
    position = torch.arange(total, device=choices.device) + shift
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
