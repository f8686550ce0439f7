"""A small decoder with a mixture of experts in every layer, byte by byte.

What others need of a model is in plain sight: `Gate` gives its weights, an expert is a slice of
two tensors, `Model.set_resident` says which experts may be chosen, and `Experts.fetch` is where
an expert's weights come from: put a cache there. No norm has a gain, so every token enters a gate
and its experts with the same length, the square root of the width; no expert has a bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Tokens are bytes.
VOCABULARY = 256

#: Keys and values of the tokens before, of one layer.
Past = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Config:
    """The sizes of a model; one expert makes it a dense one."""

    layers: int = 8
    width: int = 160
    heads: int = 5
    experts: int = 64
    top_k: int = 4
    hidden: int = 40
    context: int = 512
    dropout: float = 0.0

    @property
    def active(self) -> int:
        """Return the parameters of a layer's experts and gate that a token meets."""
        gate = self.experts if self.experts > 1 else 0
        return self.width * (2 * self.top_k * self.hidden + gate)


class Routing(NamedTuple):
    """What one layer's gate decided for each token, ``(sequences, tokens, ...)``."""

    #: The experts, best first, ``(..., top_k)``.
    ids: Tensor
    #: Their gate weights, which add up to one unless `Gating` says otherwise, ``(..., top_k)``.
    weights: Tensor
    #: What the gate says of every expert, also of those that may not be chosen, ``(..., experts)``.
    logits: Tensor
    #: Place of the token that got most attention, summed over the heads, ``(...)``.
    attended: Tensor | None = None

    @property
    def scores(self) -> Tensor:
        """Return the gate's softmax over all experts, ``(..., experts)``."""
        return self.logits.softmax(-1)


class Attention(nn.Module):
    """Causal attention with rotary positions and normed queries and keys."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.size = config.heads, config.width // config.heads
        self.mix = nn.Parameter(torch.randn(config.width, 3 * config.width) / config.width**0.5)
        self.out = nn.Parameter(_small(config.layers, config.width, config.width))
        turns = 10_000.0 ** (-torch.arange(0, self.size, 2) / self.size)
        angles = torch.outer(torch.arange(config.context).float(), turns)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(
        self, x: Tensor, past: Past | None, attend: bool
    ) -> tuple[Tensor, Past, Tensor | None]:
        """Return what is added to the tokens, the keys and values, and the places attended to."""
        batch, tokens, width = x.shape
        mixed = (x @ self.mix).view(batch, tokens, 3, self.heads, self.size)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        before = 0 if past is None else past[0].shape[2]
        query, key = self._turned(query, before), self._turned(key, before)
        if past is not None:
            key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        if before:
            seen = torch.ones(tokens, before + tokens, dtype=torch.bool, device=x.device)
            y = F.scaled_dot_product_attention(query, key, value, seen.tril(before))
        else:
            y = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        y = y.transpose(1, 2).reshape(batch, tokens, width) @ self.out
        return y, (key, value), self._attended(query, key, before) if attend else None

    def _turned(self, x: Tensor, before: int) -> Tensor:
        """Return normed queries or keys, turned by their positions."""
        end = before + x.shape[2]
        cosines, sines = self.cosines[before:end], self.sines[before:end]
        one, other = F.rms_norm(x, (self.size,)).chunk(2, -1)
        turned = torch.cat((one * cosines - other * sines, one * sines + other * cosines), -1)
        return turned.to(x.dtype)

    def _attended(self, query: Tensor, key: Tensor, before: int) -> Tensor:
        logits = (query @ key.transpose(-1, -2)).float() / math.sqrt(self.size)
        hidden = torch.ones_like(logits[0, 0], dtype=torch.bool).triu(before + 1)
        return logits.masked_fill(hidden, -math.inf).softmax(-1).sum(1).argmax(-1)


class Gating(NamedTuple):
    """What a gate does where experts are absent.

    With neither, absent experts are left out before the softmax: masked gating.
    """

    #: Power of what residents would weigh if all were there, in their weights: with 0 these add up
    #: to one, with 1 every resident weighs what it would weigh, and absent ones leave a gap.
    damping: float = 0.0
    #: By how much a substitute's logit may be below that of the last that the token would choose
    #: of all; with 0 there are no substitutes, and what is absent is skipped.
    margin: float = math.inf


#: Absent experts are left out before the softmax, and nothing else.
MASKED = Gating()


class Gate(nn.Module):
    """Scores every expert for every token and takes the best."""

    resident: Tensor | None

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.top_k = config.top_k
        self.gating = MASKED
        self.weight = nn.Parameter(torch.randn(config.width, config.experts) / config.width**0.5)
        #: Which experts may be chosen, ``(experts,)`` of bool, or ``(sequences, experts)``, each
        #: sequence among its own; ``None`` for all.
        self.register_buffer("resident", None, persistent=False)
        #: How many of them a token may choose.
        self.most = config.top_k

    def forward(self, x: Tensor) -> Routing:
        """Return the routing of normed tokens, ``(sequences, tokens, width)``."""
        with torch.autocast(x.device.type, enabled=False):
            logits = x.float() @ self.weight.float()
            if self.resident is not None:
                return self._among(self.resident, logits)
            best = logits.topk(self.top_k)
            return Routing(best.indices, best.values.softmax(-1), logits)

    def _among(self, resident: Tensor, logits: Tensor) -> Routing:
        """Return the routing among residents."""
        if resident.dim() == 2:
            resident = resident[:, None]
        there = logits.masked_fill(~resident, -math.inf)
        best = there.topk(self.most)
        if self.gating == MASKED:
            weights = best.values.softmax(-1)
        else:
            weights = self._weights(best.values, logits.topk(self.top_k).values)
        return Routing(best.indices, weights, logits)

    def _weights(self, chosen: Tensor, wanted: Tensor) -> Tensor:
        """Return the weights of chosen residents, beside what the token would choose of all."""
        damping, margin = self.gating
        if margin < math.inf:
            chosen = chosen.masked_fill(chosen < wanted[..., -1:] - margin, -math.inf)
        # Few operations: for one token, starting them is what takes time.
        mass = (torch.cat((chosen, wanted), -1) - wanted[..., :1]).exp()
        own, whole = mass.split((self.most, self.top_k), -1)
        # Where all is skipped, there is nothing to share.
        total = own.sum(-1, True).clamp_min(torch.finfo(mass.dtype).tiny)
        return own / total * (total / whole.sum(-1, True)) ** damping


class Experts(nn.Module):
    """Two matrices and a ReLU for each expert, an expert a slice of both tensors.

    The tensors are ``(experts, width, hidden)`` and ``(experts, hidden, width)``. If `together`,
    all experts are computed for all tokens and the unchosen weighed with zero: the same result,
    faster where arithmetic is cheap (training on a GPU), and never fetching.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        shape = (config.experts, config.width, config.hidden)
        self.w_in = nn.Parameter(torch.randn(shape) / config.width**0.5)
        self.w_out = nn.Parameter(_small(config.layers, *shape[:1], shape[2], shape[1]))
        self.num_experts = config.experts
        self.together = False

    def fetch(self, expert: int) -> tuple[Tensor, Tensor]:
        """Return an expert's two matrices; assign another function to serve from a cache."""
        return self.w_in[expert], self.w_out[expert]

    def forward(self, x: Tensor, routing: Routing) -> Tensor:
        """Return the weighted sum of the chosen experts for each token."""
        flat = x.reshape(-1, x.shape[-1])
        ids, weights = routing.ids.flatten(0, -2), routing.weights.flatten(0, -2).to(x.dtype)
        y = (self._all if self.together else self._chosen)(flat, ids, weights)
        return y.view(x.shape)

    def _chosen(self, x: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        counts = ids.flatten().bincount().tolist()
        order = ids.flatten().argsort(stable=True)
        tokens = order // ids.shape[1]
        parts = []
        for expert, part in enumerate(torch.split(x[tokens], counts)):
            if len(part):
                w_in, w_out = self.fetch(expert)
                parts.append((part @ w_in).relu() @ w_out)
        y = torch.cat(parts) * weights.flatten()[order, None]
        return torch.zeros_like(x, dtype=y.dtype).index_add(0, tokens, y)

    def _all(self, x: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        experts, width, hidden = self.w_in.shape
        shares = weights.new_zeros(len(x), experts).scatter(1, ids, weights)
        y = (x @ self.w_in.transpose(0, 1).reshape(width, -1)).relu()
        y = y.view(-1, experts, hidden) * shares[:, :, None]
        return y.view(-1, experts * hidden) @ self.w_out.reshape(-1, width)


class Block(nn.Module):
    """Attention, then experts, each added to what comes in."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention, self.gate, self.experts = Attention(config), Gate(config), Experts(config)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, past: Past | None, attend: bool) -> tuple[Tensor, Past, Routing]:
        """Return the tokens, the keys and values, and the routing."""
        y, past, attended = self.attention(_normed(x), past, attend)
        x = x + self.drop(y)
        normed = _normed(x)
        routing = self.gate(normed)
        x = x + self.drop(self.experts(normed, routing))
        return x, past, routing._replace(attended=attended)


class Model(nn.Module):
    """The whole decoder."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.randn(VOCABULARY, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = nn.Parameter(torch.randn(config.width, VOCABULARY) / config.width)

    def forward(
        self, tokens: Tensor, past: list[Past] | None = None, attend: bool = False
    ) -> tuple[Tensor, list[Routing], list[Past]]:
        """Return the next bytes' logits, the routing and the keys and values, by layer.

        Parameters
        ----------
        tokens
            Bytes, ``(sequences, tokens)``; with those of `past` at most the context.
        past
            What an earlier call returned, to go on from there.
        attend
            Whether the routing says which token got most attention.
        """
        x, routings, pasts = _normed(self.embedding[tokens]), [], []
        for layer, block in enumerate(self.layers()):
            x, kept, routing = block(x, None if past is None else past[layer], attend)
            routings.append(routing)
            pasts.append(kept)
        return _normed(x) @ self.head, routings, pasts

    def layers(self) -> list[Block]:
        """Return the blocks, first to last."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def set_resident(self, resident: Tensor | None, gating: Gating | None = None) -> None:
        """Let the gates choose among these experts alone.

        Parameters
        ----------
        resident
            ``(layers, experts)`` of bool, or ``(layers, sequences, experts)``; ``None`` for all.
            Entries may be changed later as long as their sums stay.
        gating
            What the gates do about the absent; left out, it stays as it is.
        """
        for layer, block in enumerate(self.layers()):
            block.gate.resident = None if resident is None else resident[layer]
            if resident is not None:
                there = int(resident[layer].sum(-1).max())
                block.gate.most = min(self.config.top_k, there)
            if gating is not None:
                block.gate.gating = gating

    def compute_together(self, together: bool) -> None:
        """Set `Experts.together` in every layer."""
        for block in self.layers():
            block.experts.together = together


def _normed(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],))


def _small(layers: int, *shape: int) -> Tensor:
    """Return the start of a matrix whose product is added to the tokens."""
    return torch.randn(shape) / math.sqrt(2 * layers * shape[-2])
