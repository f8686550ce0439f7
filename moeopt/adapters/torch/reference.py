"""The layer in one process, expert by expert: what every run is compared with."""

from __future__ import annotations

import torch

from moeopt.adapters.torch.experts import Activation


def reference(
    hidden: torch.Tensor,
    expert_ids: torch.Tensor,
    gate_weights: torch.Tensor,
    up: torch.Tensor,
    down: torch.Tensor,
    activation: Activation = "silu",
) -> torch.Tensor:
    """Return the weighted sum of each token's experts, ``(tokens, hidden)``, by the definition.

    Nothing is sorted, grouped or sent; gradients are PyTorch's own.

    Parameters
    ----------
    hidden, expert_ids, gate_weights
        As `ExpertParallel.forward`.
    up, down, activation
        Weights of all logical experts, as `Experts`.
    """
    out = torch.zeros_like(hidden)
    for expert in range(len(up)):
        token, choice = torch.nonzero(expert_ids == expert, as_tuple=True)
        answer = _answer(hidden[token], up[expert], down[expert], activation)
        out = out.index_add(0, token, answer * gate_weights[token, choice, None].to(out.dtype))
    return out


def _answer(
    rows: torch.Tensor, up: torch.Tensor, down: torch.Tensor, activation: Activation
) -> torch.Tensor:
    inner = rows @ up.T
    if activation == "relu":
        return torch.relu(inner) @ down.T
    gate, value = inner.chunk(2, dim=-1)
    return (torch.nn.functional.silu(gate) * value) @ down.T


def random_weights(
    experts: int,
    hidden: int,
    inner: int,
    *,
    seed: int,
    activation: Activation = "silu",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights of all experts whose answers are about as large as what comes in, fp32."""
    generator = torch.Generator().manual_seed(seed)
    rows = 2 * inner if activation == "silu" else inner
    up = torch.randn(experts, rows, hidden, generator=generator) * hidden**-0.5
    down = torch.randn(experts, hidden, inner, generator=generator) * inner**-0.5
    return up, down
