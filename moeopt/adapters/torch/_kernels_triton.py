"""Two passes over rows that PyTorch would make in several: each row is read once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCK = 1024


@triton.jit
def _weighted_sum(rows, place, weights, out, hidden, TOP_K: tl.constexpr, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < hidden
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for j in tl.static_range(TOP_K):
        at = tl.load(place + token * TOP_K + j)
        weight = tl.load(weights + token * TOP_K + j).to(tl.float32)
        row = tl.load(rows + at * hidden + column, mask=inside, other=0.0)
        total += weight * row.to(tl.float32)
    tl.store(out + token * hidden + column, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _gated(inner, out, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    gate = tl.load(inner + row * 2 * width + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(inner + (row * 2 + 1) * width + column, mask=inside, other=0.0).to(tl.float32)
    product = gate * tl.sigmoid(gate) * up
    tl.store(out + row * width + column, product.to(out.dtype.element_ty), mask=inside)


def weighted_sum(rows: torch.Tensor, weights: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Return the weighted sum of each token's rows, summed in fp32, ``(tokens, hidden)``.

    Parameters
    ----------
    rows
        Contiguous, ``(places, hidden)``.
    weights
        Shape ``(tokens, top_k)``.
    place
        Row of each choice, ``(tokens * top_k,)``.
    """
    tokens, top_k = weights.shape
    out = rows.new_empty(tokens, rows.shape[1])
    if out.numel():
        grid = (tokens, triton.cdiv(rows.shape[1], _BLOCK))
        with torch.cuda.device(rows.device):
            _weighted_sum[grid](
                rows, place, weights.contiguous(), out, rows.shape[1], TOP_K=top_k, BLOCK=_BLOCK
            )
    return out


def gated(inner: torch.Tensor) -> torch.Tensor:
    """Return ``silu(gate) * up`` of rows that hold the gate first, ``(..., width)``."""
    width = inner.shape[-1] // 2
    out = inner.new_empty(*inner.shape[:-1], width)
    if out.numel():
        grid = (out.numel() // width, triton.cdiv(width, _BLOCK))
        with torch.cuda.device(inner.device):
            _gated[grid](inner.contiguous(), out, width, BLOCK=_BLOCK)
    return out
