"""Training with replicas: the gradient of an expert is the sum over its copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from moeopt.adapters.torch.exchange import SingleExchange, Sizes
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.core.arrays import IntArray


@dataclass(frozen=True, eq=False)
class _Meeting:
    """Where copies of experts meet, as one rank sees it; experts by their place on this rank.

    Attributes
    ----------
    slot, place
        Each slot of this rank that holds an expert with several copies, and which of them.
    count
        How many such experts this rank holds.
    sent
        Experts that meet elsewhere, by the rank where they do.
    received
        Experts that others send here, by the rank that sends them.
    sizes
        How many of them go where.
    travels
        Whether any rank sends anything.
    """

    slot: IntArray
    place: IntArray
    count: int
    sent: IntArray
    received: list[IntArray]
    sizes: Sizes
    travels: bool

    @classmethod
    def of(cls, layout: Layout, rank: int) -> _Meeting:
        """Return that of one rank."""
        held = np.zeros((layout.num_experts, layout.num_ranks), dtype=np.int64)
        filled = layout.expert_of_slot >= 0
        np.add.at(held, (layout.expert_of_slot[filled], layout.rank_of_slot[filled]), 1)
        shared = held.sum(axis=1) > 1
        held, number = held[shared] > 0, np.cumsum(shared) - 1
        # Each expert meets at one of its ranks, in turns, so that none has them all.
        turn = np.arange(len(held)) % np.maximum(held.sum(axis=1), 1)
        home = np.argmax(held.cumsum(axis=1) > turn[:, None], axis=1)
        away = held & (home[:, None] != np.arange(layout.num_ranks))
        place = np.cumsum(held[:, rank]) - 1
        leaving = np.flatnonzero(away[:, rank])
        leaving = leaving[np.argsort(home[leaving], kind="stable")]
        coming = [np.flatnonzero(column & (home == rank)) for column in away.T]
        sizes = Sizes(
            np.bincount(home[leaving], minlength=layout.num_ranks).tolist(),
            [len(experts) for experts in coming],
        )
        mine = layout.experts_on(rank)
        slot = np.flatnonzero((mine >= 0) & shared[mine])
        return cls(
            slot=slot,
            place=place[number[mine[slot]]],
            count=int(held[:, rank].sum()),
            sent=place[leaving],
            received=[place[experts] for experts in coming],
            sizes=sizes,
            travels=bool(away.any()),
        )


def reduce_replica_gradients(layer: ExpertParallel) -> None:
    """Sum the gradients of each expert's copies, on all ranks; each copy gets the sum.

    Call it on every rank after the backward pass, before the optimizer's step. All copies get the
    same bits, so that an optimizer that treats every number by itself (SGD, Adam) keeps copies
    equal. Experts that had no tokens get zeros, as in one process. Each expert's gradients meet at
    one of the ranks that hold it: every copy elsewhere is sent once, and comes back once.

    Parameters
    ----------
    layer
        The gradients of its experts are changed in place.

    Notes
    -----
    A norm over the gradients of all ranks counts an expert once for each copy.
    """
    meeting = _Meeting.of(layer.layout, layer.rank)
    for weights in (layer.experts.up, layer.experts.down):
        if not weights.requires_grad:
            continue
        if weights.grad is None:
            weights.grad = torch.zeros_like(weights)
        _reduce(weights.grad, meeting, SingleExchange(layer.group))


def _reduce(grad: torch.Tensor, meeting: _Meeting, exchange: SingleExchange) -> None:
    """Sum in fp32 at least; what travels has the gradients' own type."""
    slot, place, sent = (
        torch.from_numpy(index).to(grad.device)
        for index in (meeting.slot, meeting.place, meeting.sent)
    )
    wide = torch.promote_types(grad.dtype, torch.float32)
    own = grad.index_select(0, slot).flatten(1).to(wide)
    total = own.new_zeros(meeting.count, own.shape[1])
    for one, at in zip(own, meeting.place.tolist(), strict=True):
        total[at] += one
    if meeting.travels:
        _meet(total, sent, meeting, exchange, grad.dtype)
    rows = total.to(grad.dtype).index_select(0, place)
    grad.index_copy_(0, slot, rows.view(-1, *grad.shape[1:]))


def _meet(
    total: torch.Tensor,
    sent: torch.Tensor,
    meeting: _Meeting,
    exchange: SingleExchange,
    dtype: torch.dtype,
) -> None:
    """Add what other ranks have to `total`, ``(experts, numbers)``, and take the sums of others."""
    route = exchange.route(meeting.sizes, total.shape[1] * dtype.itemsize)
    parts = total.index_select(0, sent).to(dtype)
    arrived = parts.new_empty(sum(meeting.sizes.received), total.shape[1])
    route.start(parts, arrived).wait()
    # Rank by rank: within one no expert comes twice, so that the order of additions is fixed.
    for rows, places in zip(arrived.split(meeting.sizes.received), meeting.received, strict=True):
        index = torch.from_numpy(places).to(total.device)
        total.index_copy_(0, index, total.index_select(0, index) + rows)
    coming = np.concatenate(meeting.received)
    arrived.copy_(total.index_select(0, torch.from_numpy(coming).to(total.device)))
    route.start(arrived, parts, back=True).wait()
    total.index_copy_(0, sent, parts.to(total.dtype))
