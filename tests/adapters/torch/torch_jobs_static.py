"""Static gating by the definition, token by token, and what its workers run."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist

from moeopt.adapters.torch.experts import Activation, Experts
from moeopt.adapters.torch.reference import random_weights
from moeopt.adapters.torch.static import StaticGating, capacity_of


class Tokens(NamedTuple):
    hidden: torch.Tensor
    expert_ids: torch.Tensor
    gate_weights: torch.Tensor

    def with_grad(self) -> Tokens:
        """Return the same tokens, whose gradients are kept."""
        hidden, gate_weights = (
            part.detach().clone().requires_grad_() for part in (self.hidden, self.gate_weights)
        )
        return Tokens(hidden, self.expert_ids, gate_weights)


class Weights(NamedTuple):
    up: torch.Tensor
    down: torch.Tensor

    def with_grad(self) -> Weights:
        """Return the same weights, whose gradients are kept."""
        return Weights(*(part.detach().clone().requires_grad_() for part in self))


class Case(NamedTuple):
    """Tokens of each rank, and what they meet."""

    tokens: tuple[int, ...]
    experts: int
    top_k: int
    capacity_factor: float
    activation: Activation = "silu"
    hidden: int = 16
    inner: int = 8
    seed: int = 0


def tokens_of(case: Case, rank: int) -> Tokens:
    """Return a rank's tokens; low experts are chosen more often."""
    generator = torch.Generator().manual_seed(100 * case.seed + rank)
    tokens = case.tokens[rank]
    hidden = torch.randn(tokens, case.hidden, generator=generator)
    score = torch.rand(tokens, case.experts, generator=generator) + 1 / (
        1 + torch.arange(case.experts)
    )
    ids = score.topk(case.top_k).indices
    weights = torch.rand(tokens, case.top_k, generator=generator).softmax(-1)
    return Tokens(hidden, ids, weights)


def weights_of(case: Case) -> Weights:
    """Return the weights of all experts."""
    return Weights(
        *random_weights(
            case.experts, case.hidden, case.inner, seed=case.seed, activation=case.activation
        )
    )


def by_the_definition(
    tokens: Tokens, weights: Weights, capacity: int, activation: Activation
) -> tuple[torch.Tensor, int]:
    """Return the outputs and the choices dropped: every choice of every token, one by one."""
    taken = [0] * len(weights.up)
    sums = [torch.zeros_like(row) for row in tokens.hidden]
    dropped = 0
    for choice in range(tokens.expert_ids.shape[1]):
        for token, row in enumerate(tokens.hidden):
            expert = int(tokens.expert_ids[token, choice])
            if taken[expert] == capacity:
                dropped += 1
                continue
            taken[expert] += 1
            inner = weights.up[expert] @ row
            if activation == "relu":
                inner = inner.relu()
            else:
                half = len(inner) // 2
                inner = torch.nn.functional.silu(inner[:half]) * inner[half:]
            answer = weights.down[expert] @ inner
            sums[token] = sums[token] + tokens.gate_weights[token, choice] * answer
    return (torch.stack(sums) if sums else tokens.hidden * 1.0), dropped


def largest_difference(ours: torch.Tensor | None, theirs: torch.Tensor | None) -> float:
    """Return the largest difference over the largest value; no gradient is a gradient of 0."""
    known = [part for part in (ours, theirs) if part is not None]
    if not known or not known[0].numel():
        return 0.0
    ours, theirs = (torch.zeros_like(known[0]) if part is None else part for part in (ours, theirs))
    return float((ours - theirs).abs().max()) / max(float(theirs.abs().max()), 1e-6)


def static_on_ranks(case: Case) -> tuple[dict[str, float], int, int]:
    """Return differences from the definition on this rank, and choices dropped, ours and its."""
    rank, world = dist.get_rank(), dist.get_world_size()
    own = case.experts // world
    mine = slice(rank * own, (rank + 1) * own)
    here = (part[mine].clone() for part in weights_of(case))
    layer = StaticGating(Experts(*here, case.activation), case.capacity_factor)
    tokens = tokens_of(case, rank)
    with torch.no_grad():
        served = layer(*tokens)
    trained = tokens.with_grad()
    out = layer(*trained)
    out.square().sum().backward()

    every = weights_of(case).with_grad()
    capacity = capacity_of(max(case.tokens), case.capacity_factor)
    total = torch.zeros(())
    for other in range(world):
        theirs = tokens_of(case, other).with_grad()
        answer, dropped = by_the_definition(theirs, every, capacity, case.activation)
        total = total + answer.square().sum()
        if other == rank:
            expected, lost, like = answer, dropped, theirs
    total.backward()
    up, down = (None if part.grad is None else part.grad[mine] for part in every)
    found = {
        "served": largest_difference(served, expected.detach()),
        "trained": largest_difference(out.detach(), expected.detach()),
        "hidden": largest_difference(trained.hidden.grad, like.hidden.grad),
        "gate_weights": largest_difference(trained.gate_weights.grad, like.gate_weights.grad),
        "up": largest_difference(layer.experts.up.grad, up),
        "down": largest_difference(layer.experts.down.grad, down),
    }
    return found, layer.dropped, lost
