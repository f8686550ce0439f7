"""The models of arXiv 2303.06182: what their gates do, and the layers beside the MoE ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_parts.place import Place

TOP_K = 2
HEADS = 16


@dataclass(frozen=True)
class Published:
    """What the paper measured on eight V100s, static gating over dynamic.

    `total_gb` and `static_gb` are the peak memory of a GPU with static gating and its part that is
    activations, `dynamic_gb` that part with dynamic gating; `memory` is the best ratio in all.
    """

    total_gb: float
    static_gb: float
    dynamic_gb: float
    memory: float
    largest_batch: float


@dataclass(frozen=True)
class Model:
    """A model with an MoE layer in every `period` ones."""

    name: str
    experts: int
    capacity_factor: float
    hidden: int
    inner: int
    period: int
    published: Published

    @property
    def weights_gb(self) -> float:
        """What a GPU of the paper holds beside activations."""
        return self.published.total_gb - self.published.static_gb

    def share(self, ranks: int) -> Model:
        """Return the layer of one of some ranks: it gets from all of them, for its experts.

        The experts' rows, the masks and the products with them are as large as on such a rank.
        """
        factor = self.capacity_factor * ranks
        return replace(self, experts=self.experts // ranks, capacity_factor=factor)

    def small(self) -> Model:
        """Return a tiny one."""
        factor = min(1.0, 8 * self.capacity_factor)
        experts = self.experts // 8
        return replace(self, experts=experts, capacity_factor=factor, hidden=64, inner=128)


@dataclass(frozen=True)
class Case:
    """A part of a model, with what its gate does.

    Tokens attend to their own sequence, of `sequence` tokens; or, if `kept` is not 0, each to so
    many tokens of its own sentence before it, and to as many of the one that it translates.
    """

    name: str
    popularity: Callable[[Tensor], Tensor]
    tokens: Sequence[int]
    sequence: int
    causal: bool
    kept: int
    published: float

    def small(self) -> Case:
        """Return a tiny one."""
        return replace(self, tokens=(32, 64), sequence=min(32, self.sequence))


def uniform(expert: Tensor) -> Tensor:
    """Return the same popularity for all."""
    return torch.ones_like(expert)


def skewed(expert: Tensor) -> Tensor:
    """Return popularities as Zipf has them."""
    return 1 / (1 + expert)


def quarter(expert: Tensor) -> Tensor:
    """Return popularities where 75 % of the experts are inactive, as the paper found."""
    return (expert < max(TOP_K, len(expert) // 4)).to(expert.dtype)


_BATCHES = (256, 512, 1024, 2048, 4096, 8192, 16384)
_STEPS = (64, 128, 256, 512, 1024, 2048)

CASES = {
    Model("LM", 512, 0.05, 1024, 4096, 2, Published(18.88, 6.29, 1.28, 1.36, 8)): [
        Case("LM, uniform", uniform, _BATCHES, 1024, True, 0, 6.21),
        Case("LM, skewed", skewed, _BATCHES, 1024, True, 0, 6.21),
    ],
    Model("MT", 128, 1.0, 2048, 8192, 4, Published(21.16, 1.89, 1.05, 1.1, 2)): [
        Case("MT encoder, uniform", uniform, _BATCHES, 32, False, 0, 5.75),
        Case("MT encoder, skewed", skewed, _BATCHES, 32, False, 0, 5.75),
        Case("MT decoder, a quarter active", quarter, _STEPS, 1, False, 32, 2.58),
    ],
}


class Inputs(NamedTuple):
    """Tokens as a gate has routed them."""

    hidden: Tensor
    expert_ids: Tensor
    gate_weights: Tensor


def inputs(place: Place, model: Model, case: Case, tokens: int) -> Inputs:
    """Return random tokens; the experts of each are drawn by popularity, without repetition."""
    torch.manual_seed(tokens)
    popularity = case.popularity(torch.arange(model.experts, device=place.device).float())
    # Some at a time: drawing takes a matrix of tokens and experts.
    some = 1 << 14
    parts = [min(some, tokens - first) for first in range(0, tokens, some)]
    ids = [torch.multinomial(popularity.expand(part, -1), TOP_K) for part in parts]
    weights = torch.rand(tokens, TOP_K, device=place.device).softmax(-1)
    return Inputs(place.random(tokens, model.hidden), torch.cat(ids), weights.to(place.dtype))


class Attention:
    """What tokens add to themselves from their sequence, or from keys and values that are kept."""

    def __init__(self, place: Place, model: Model, case: Case, *, cross: bool) -> None:
        self.sequence, self.causal = case.sequence, case.causal
        self.parts = 1 if cross else 3
        scale = model.hidden**-0.5
        self.into = place.random(self.parts * model.hidden, model.hidden, scale=scale)
        self.out = place.random(model.hidden, model.hidden, scale=scale)

    def __call__(self, hidden: Tensor, kept: Tensor | None) -> Tensor:
        """Return it; own keys and values take the last places of those kept."""
        long = min(self.sequence, len(hidden))
        into = functional.linear(hidden, self.into)
        parts = into.view(-1, long, self.parts, HEADS, hidden.shape[1] // HEADS)
        parts = parts.permute(2, 0, 3, 1, 4)
        if kept is not None and self.parts == 3:
            kept[:, :, :, -1:] = parts[1:]
        key, value = parts[1:] if kept is None else kept
        seen = functional.scaled_dot_product_attention(
            parts[0], key, value, is_causal=self.causal and kept is None
        )
        return functional.linear(seen.transpose(1, 2).reshape(hidden.shape), self.out)


class Period:
    """Dense layers and one with experts, each with its attention: the stack is many of these."""

    def __init__(self, place: Place, model: Model, case: Case) -> None:
        self.place, self.case = place, case
        crosses = [False, True] if case.kept else [False]
        self.attentions = [
            [Attention(place, model, case, cross=cross) for cross in crosses]
            for _ in range(model.period)
        ]
        self.dense = [
            (
                place.random(model.inner, model.hidden, scale=model.hidden**-0.5),
                place.random(model.hidden, model.inner, scale=model.inner**-0.5),
            )
            for _ in range(model.period - 1)
        ]

    def kept(self, tokens: int, hidden: int) -> list[Tensor | None]:
        """Return keys and values for each attention of a layer; all layers share them."""
        if not self.case.kept:
            return [None]
        shape = (2, tokens, HEADS, self.case.kept, hidden // HEADS)
        return [self.place.random(*shape) for _ in range(2)]

    def __call__(self, given: Inputs, kept: Sequence[Tensor | None], layer: nn.Module) -> Tensor:
        """Return the tokens after all its layers."""
        hidden, ids, weights = given
        width = hidden.shape[1:]
        for i, attentions in enumerate(self.attentions):
            for attention, own in zip(attentions, kept, strict=True):
                hidden = hidden + attention(functional.layer_norm(hidden, width), own)
            normal = functional.layer_norm(hidden, width)
            if i < len(self.dense):
                up, down = self.dense[i]
                inner = functional.relu(functional.linear(normal, up))
                hidden = hidden + functional.linear(inner, down)
            else:
                hidden = hidden + layer(normal, ids, weights)
        return hidden
