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
    slots, experts
        How many there are in all.
    """

    slot: torch.Tensor
    expert: torch.Tensor
    upto: torch.Tensor
    phase: torch.Tensor
    first: torch.Tensor
    slots: int
    experts: int

    @classmethod
    def of(cls, layout: Layout, rank: int, device: torch.device) -> SplitTable:
        """Return the table of one rank."""
        slot, upto = slots_by_expert(layout, rank)
        expert = layout.expert_of_slot[slot]
        phase = ((rank + 1) * _GOLDEN + expert * _GOLDEN**2) % 1.0
        first = np.append(True, expert[1:] != expert[:-1])

        def there(column: Any) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(column)).to(device)

        return cls(
            slot=there(slot),
            expert=there(expert),
            upto=there(upto),
            phase=there(phase),
            first=there(first),
            slots=layout.num_slots,
            experts=layout.num_experts,
        )

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
    total = len(choices)
    by_expert = choices.argsort(stable=True)
    runs = table.runs(choices.bincount(minlength=table.experts))
    sizes = runs.new_zeros(table.slots).index_copy(0, table.slot, runs)
    # Runs stand by expert; in the end they stand by slot.
    start = runs.cumsum(0) - runs
    goal = (sizes.cumsum(0) - sizes)[table.slot]
    shift = torch.repeat_interleave(goal - start, runs, output_size=total)
    position = torch.arange(total, device=choices.device) + shift
    place = torch.empty_like(by_expert).index_copy_(0, by_expert, position)
    choice = torch.empty_like(by_expert).index_copy_(0, position, by_expert)
    return Order(choice, place, expert_ids.shape[1]), sizes


def by_slot(received: torch.Tensor, total: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how received rows, rank by rank, come to stand slot by slot, and the way back.

    Parameters
    ----------
    received
        Rows from each rank for each slot of this one, ``(ranks, slots)``.
    total
        Their sum.
    """
    by_rank = received.reshape(-1)
    slotwise = received.T.reshape(-1)
    at_rank = (by_rank.cumsum(0) - by_rank).view(received.shape)
    at_slot = (slotwise.cumsum(0) - slotwise).view(received.T.shape)
    row = torch.arange(total, device=received.device)
    to_slot = (at_rank.T - at_slot).reshape(-1)
    to_rank = (at_slot.T - at_rank).reshape(-1)
    index = row + torch.repeat_interleave(to_slot, slotwise, output_size=total)
    inverse = row + torch.repeat_interleave(to_rank, by_rank, output_size=total)
    return index, inverse
