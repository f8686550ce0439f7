"""Static gating: the same number of places for every expert, whoever comes. The baseline.

As GShard (arXiv 2006.16668) and fairseq do it, and as Towards MoE Deployment (arXiv 2303.06182)
describes it: an expert has ``ceil(C * S)`` places for the ``S`` tokens of a rank. Places that
nobody takes are zeros, which travel and are computed as if they were tokens; tokens that find no
place are dropped. Rows move by products with a mask of ``(S, E, places)``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from moeopt.adapters.torch.checks import require_inputs
from moeopt.adapters.torch.clock import Phase, PhaseClock
from moeopt.adapters.torch.exchange import Route, SingleExchange, Sizes, exchanged
from moeopt.adapters.torch.experts import Experts, activated
from moeopt.adapters.torch.layer import rank_and_world
from moeopt.core.errors import InstanceError

#: Of a product such as 0.07 * 100, which is a little more than 7.
_ROUNDING = 1e-12

#: Farthest that two rows of a product may lie apart, for cuBLAS.
_WIDEST = 2**31 - 1


class StaticGating(nn.Module):
    """Experts of one layer spread over ranks in order, as many on each, with a capacity factor.

    Rank ``r`` holds the experts from ``r * slots`` on. A token's first choice takes its place
    before any token's second; within a choice, tokens stand in line as they come. A choice that is
    dropped adds nothing to its token's sum, and the other weights stay what they are (fairseq can
    also scale them up). Ranks with other numbers of tokens have the places of the largest: they
    agree on it first, as fairseq does, and the host waits for that.

    Parameters
    ----------
    experts
        Those of this rank.
    capacity_factor
        Places of an expert over tokens of a rank, ``C``; from 1 on nothing is dropped.
    group
        The workers; ``None`` for all.

    Attributes
    ----------
    clock
        Where phases are timed; ``None`` if they are not. The masks and the product that takes the
        tokens to their places count as ``"gate"``.
    """

    def __init__(self, experts: Experts, capacity_factor: float, group: Any = None) -> None:
        super().__init__()
        if not 0 < capacity_factor < math.inf:
            rule = "must be a finite number > 0"
            raise InstanceError("capacity_factor", capacity_factor, rule, "1 drops no token")
        self.experts, self.capacity_factor, self.group = experts, capacity_factor, group
        self.rank, self.world = rank_and_world(group)
        self.clock: PhaseClock | None = None
        self._dropped: torch.Tensor | None = None

    @property
    def num_experts(self) -> int:
        """Number of experts of all ranks."""
        return self.world * self.experts.num_slots

    @property
    def dropped(self) -> int:
        """Choices of this rank's tokens that the last call dropped; to ask waits for the device."""
        return 0 if self._dropped is None else int(self._dropped)

    def forward(
        self, hidden: torch.Tensor, expert_ids: torch.Tensor, gate_weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum of each token's experts that had a place for it.

        Parameters
        ----------
        hidden
            Shape ``(tokens, hidden)``.
        expert_ids
            Different experts, the first choice first, ``(tokens, top_k)``.
        gate_weights
            Shape ``(tokens, top_k)``.

        Raises
        ------
        InstanceError
            If the tensors do not fit each other or the experts. Experts that there are not are an
            error of PyTorch's: to look for them, the host would have to wait.
        """
        require_inputs(hidden, expert_ids, gate_weights, self.experts.up)
        self._mark(None)
        capacity = capacity_of(self._most_tokens(hidden), self.capacity_factor)
        place = places(expert_ids, self.num_experts)
        self._dropped = (place >= capacity).sum()
        combine = combine_weights(
            expert_ids, gate_weights.to(hidden.dtype), place, self.num_experts, capacity
        )
        # As in fairseq, a choice of weight 0 takes a place, but its token is not sent.
        rows = torch.einsum("sec,sm->ecm", combine.bool().to(hidden.dtype), hidden)
        self._mark("gate")
        route = self._route(rows)
        rows = self._sent(rows, route)
        self._mark("dispatch")
        rows = padded_answers(self.experts, rows)
        self._mark("compute")
        rows = self._returned(rows, route)
        self._mark("combine")
        out = torch.einsum("sec,ecm->sm", combine, rows)
        self._mark("aggregation")
        return out

    def _most_tokens(self, hidden: torch.Tensor) -> int:
        if self.world == 1:
            return len(hidden)
        most = torch.tensor([len(hidden)], device=hidden.device)
        dist.all_reduce(most, dist.ReduceOp.MAX, group=self.group)
        return int(most)

    def _route(self, rows: torch.Tensor) -> Route | None:
        """Return how rows travel: the same number from every rank to every rank."""
        if self.world == 1:
            return None
        each = [self.experts.num_slots * rows.shape[1]] * self.world
        row_bytes = rows.shape[2] * rows.element_size()
        return SingleExchange(self.group).route(Sizes(each, each), row_bytes)

    def _sent(self, rows: torch.Tensor, route: Route | None) -> torch.Tensor:
        """Return the rows of this rank's experts, ``(slots, ranks * places, hidden)``."""
        if route is None:
            return rows
        slots, (_, capacity, hidden) = self.experts.num_slots, rows.shape
        arrived = exchanged(rows.reshape(-1, hidden), route)
        by_slot = arrived.view(self.world, slots, capacity, hidden).transpose(0, 1)
        return by_slot.reshape(slots, self.world * capacity, hidden)

    def _returned(self, rows: torch.Tensor, route: Route | None) -> torch.Tensor:
        """Return the answers for this rank's tokens, ``(experts, places, hidden)``."""
        if route is None:
            return rows
        slots, every, hidden = rows.shape
        by_rank = rows.view(slots, self.world, every // self.world, hidden).transpose(0, 1)
        home = exchanged(by_rank.reshape(-1, hidden), route, back=True)
        return home.view(self.num_experts, every // self.world, hidden)

    def _mark(self, phase: Phase | None) -> None:
        if self.clock is not None:
            self.clock.mark(phase)


def capacity_of(tokens: int, capacity_factor: float) -> int:
    """Return the places of an expert for the tokens of one rank, ``ceil(C * S)``."""
    return math.ceil(capacity_factor * tokens * (1 - _ROUNDING))


def waste_factor(experts: int, capacity_factor: float, top_k: int) -> float:
    """Return places over choices, ``E * C / k``: what is computed over what there is to compute."""
    return experts * capacity_factor / top_k


def places(expert_ids: torch.Tensor, experts: int) -> torch.Tensor:
    """Return the place of each choice in its expert's line, from 0, ``(top_k, tokens)``.

    Parameters
    ----------
    expert_ids
        Shape ``(tokens, top_k)``.
    experts
        How many there are.
    """
    choices = expert_ids.T.reshape(-1, 1).long()
    here = choices == torch.arange(experts, device=expert_ids.device)
    upto = here.cumsum(0).gather(1, choices)
    return upto.view(expert_ids.T.shape) - 1


def combine_weights(
    expert_ids: torch.Tensor,
    gate_weights: torch.Tensor,
    place: torch.Tensor,
    experts: int,
    capacity: int,
) -> torch.Tensor:
    """Return each token's weight in each place of each expert, ``(tokens, experts, capacity)``.

    All but `top_k` of a token's weights are 0, and those of choices beyond the capacity too.

    Parameters
    ----------
    expert_ids, gate_weights
        Shape ``(tokens, top_k)``.
    place
        As `places` returns it.
    experts, capacity
        How many experts, and places of each.

    Raises
    ------
    torch.OutOfMemoryError
        If the mask has 2**31 places or more for a token, or for an expert.
    """
    if max(experts, len(expert_ids)) * capacity > _WIDEST:
        # Refused here, because a GPU's product would say nothing of memory.
        raise torch.OutOfMemoryError(
            f"a mask of {len(expert_ids)} tokens x {experts} experts x {capacity} places"
        )
    device, dtype = gate_weights.device, gate_weights.dtype
    chosen = expert_ids.T[:, :, None] == torch.arange(experts, device=device)
    standing = place[:, :, None] == torch.arange(capacity, device=device)
    weighted = chosen * gate_weights.T[:, :, None]
    return torch.einsum("kse,ksc->sec", weighted, standing.to(dtype))


def padded_answers(experts: Experts, rows: torch.Tensor) -> torch.Tensor:
    """Return what experts make of as many rows each, ``(slots, rows, hidden)``, zeros or not."""
    inner = torch.bmm(rows, experts.up.transpose(1, 2))
    return torch.bmm(activated(inner, experts.activation), experts.down.transpose(1, 2))
