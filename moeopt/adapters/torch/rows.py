"""Moving rows: from tokens to their slots, and back, with backward passes that only gather.

PyTorch's own backward of a gather adds rows atomically: slow in bf16, and not the same twice. Here
every move knows its inverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from moeopt.adapters.torch.kernels import gpu_kernels


@dataclass(frozen=True)
class Order:
    """Where each choice of each token goes.

    Attributes
    ----------
    token
        The token in each place; ``(tokens * top_k,)``.
    choice
        Number of the choice, ``token * top_k + j``, in each place.
    place
        Place of each choice: the inverse of `choice`.
    top_k
        Choices of a token.
    valid
        Choices before the first expert, which there should be none of, and up to the last, which
        all should be; ``(2,)``.
    """

    token: torch.Tensor
    choice: torch.Tensor
    place: torch.Tensor
    top_k: int
    valid: torch.Tensor


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, order: Order) -> torch.Tensor:
        ctx.order = order
        return tokens.index_select(0, order.token)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        order = ctx.order
        rows = grad.index_select(0, order.place)
        return rows.view(-1, order.top_k, grad.shape[1]).sum(dim=1), None


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weights: torch.Tensor, order: Order) -> torch.Tensor:
        ctx.order = order
        ctx.save_for_backward(rows, weights)
        return weighted_sum(rows, weights, order)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        order: Order = ctx.order
        rows, weights = ctx.saved_tensors
        wide = torch.promote_types(rows.dtype, torch.float32)
        by_place = weights.reshape(-1).index_select(0, order.choice).to(wide)
        spread = grad.index_select(0, order.token).to(wide)
        products = (spread * rows).sum(dim=1).index_select(0, order.place)
        to_weights = products.view(weights.shape).to(weights.dtype)
        return (spread * by_place[:, None]).to(rows.dtype), to_weights, None


class _Permuted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, index: torch.Tensor, inverse: torch.Tensor
    ) -> torch.Tensor:
        ctx.inverse = inverse
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return grad.index_select(0, ctx.inverse), None, None


def spread(tokens: torch.Tensor, order: Order, out: torch.Tensor | None = None) -> torch.Tensor:
    """Return every token once for each of its choices, in their places, ``(places, hidden)``.

    Parameters
    ----------
    tokens
        Shape ``(tokens, hidden)``.
    order
        The places.
    out
        Memory for the answer; it has no graph then.
    """
    if out is not None:
        return torch.index_select(tokens, 0, order.token, out=out)
    rows: torch.Tensor = _Spread.apply(tokens, order)  # type: ignore[no-untyped-call]
    return rows


def gathered(rows: torch.Tensor, weights: torch.Tensor, order: Order) -> torch.Tensor:
    """Return the weighted sum of each token's rows, shape ``(tokens, hidden)``.

    Parameters
    ----------
    rows
        In their places.
    weights
        Gate weights, ``(tokens, top_k)``.
    order
        The places.
    """
    tokens: torch.Tensor = _Gathered.apply(rows, weights, order)  # type: ignore[no-untyped-call]
    return tokens


def permuted(
    rows: torch.Tensor,
    index: torch.Tensor,
    inverse: torch.Tensor,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return ``rows[index]``, where `inverse` undoes it; without a graph where `out` is given."""
    if out is not None:
        return torch.index_select(rows, 0, index, out=out)
    moved: torch.Tensor = _Permuted.apply(rows, index, inverse)  # type: ignore[no-untyped-call]
    return moved


def weighted_sum(
    rows: torch.Tensor,
    weights: torch.Tensor,
    order: Order,
    memory: Callable[[Literal["by_token"], int], torch.Tensor | None] | None = None,
) -> torch.Tensor:
    """Return the weighted sum of each token's rows, without a graph, ``(tokens, hidden)``.

    Without kernels of our own, weights are rounded to the rows' type first.

    Parameters
    ----------
    rows, weights, order
        As `gathered`.
    memory
        Gives memory for as many rows, where the sum needs it.
    """
    kernels = gpu_kernels(rows)
    if kernels is not None:
        summed: torch.Tensor = kernels.weighted_sum(rows, weights, order.place)
        return summed
    tokens, top_k = weights.shape
    out = None if memory is None else memory("by_token", len(rows))
    by_token = torch.index_select(rows, 0, order.place, out=out).view(tokens, top_k, rows.shape[1])
    return torch.bmm(weights[:, None].to(rows.dtype), by_token)[:, 0].to(rows.dtype)
