"""What the model's experts do on a text: a trace in moeopt's format, and figures of a trace."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from data import Bytes
from model import Model
from torch.nn import functional as F

from moeopt.traces import RoutingTrace

#: Gate weights are kept in steps of one in so many, which halves the file.
STEPS = 512


@torch.no_grad()
def record(model: Model, sequences: Bytes, batch: int = 16) -> tuple[RoutingTrace, list[float]]:
    """Return the trace of some sequences, and the model's loss on each in nats a byte.

    Parameters
    ----------
    model
        What routes them.
    sequences
        Bytes, ``(sequences, tokens)``; each starts with nothing before it.
    batch
        Sequences at a time.
    """
    model.eval()
    ids, gates, attended, losses = [], [], [], []
    device = model.embedding.device
    for begin in range(0, len(sequences), batch):
        tokens = torch.from_numpy(sequences[begin : begin + batch]).long().to(device)
        logits, routings, _ = model(tokens, attend=True)
        found = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
        losses += found.mean(1).tolist()
        ids.append(torch.stack([r.ids for r in routings], 2).flatten(0, 1).cpu())
        gates.append(torch.stack([r.weights for r in routings], 2).flatten(0, 1).cpu())
        places = torch.stack([r.attended for r in routings if r.attended is not None], 2)
        there = tokens[:, :, None].expand_as(places).gather(1, places)
        attended.append(there.flatten(0, 1).cpu())
    weights = (torch.cat(gates) * STEPS).round() / STEPS
    trace = RoutingTrace(
        torch.cat(ids).numpy(),
        weights.numpy().astype(np.float16),
        np.full(len(sequences), sequences.shape[1]),
        sequences.reshape(-1),
        torch.cat(attended).numpy(),
        model.config.experts,
    )
    return trace, losses


def norms(model: Model) -> dict[str, npt.NDArray[np.float32]]:
    """Return each expert's norms, ``(layers, experts)``.

    ``spectral_in`` and ``spectral_out`` are the largest singular values of its two matrices: their
    product times the length of what enters bounds the length of what leaves. ``frobenius`` is the
    root of the sum of all squares.
    """
    found: dict[str, list[torch.Tensor]] = {"spectral_in": [], "spectral_out": [], "frobenius": []}
    for block in model.layers():
        w_in, w_out = block.experts.w_in.float().cpu(), block.experts.w_out.float().cpu()
        found["spectral_in"].append(torch.linalg.matrix_norm(w_in, 2))
        found["spectral_out"].append(torch.linalg.matrix_norm(w_out, 2))
        both = w_in.square().sum((1, 2)) + w_out.square().sum((1, 2))
        found["frobenius"].append(both.sqrt())
    return {name: torch.stack(layers).numpy() for name, layers in found.items()}


def imbalance(counts: npt.NDArray[np.float64]) -> list[float]:
    """Return each layer's largest load over its mean, of ``(layers, experts)`` choices."""
    return [round(float(ratio), 3) for ratio in counts.max(1) / counts.mean(1)]


def overlap(trace: RoutingTrace) -> tuple[list[float], list[float]]:
    """Return, by layer, the share of a token's experts that the token before it had too.

    The second list has the share that tokens of other sequences have in common: what is due to
    some experts being more popular than others.
    """
    chosen = np.zeros((trace.num_tokens, trace.num_layers, trace.num_experts), bool)
    np.put_along_axis(chosen, trace.expert_ids.astype(np.int64), True, 2)
    starts = trace.sequence_starts()
    later = np.setdiff1d(np.arange(trace.num_tokens), starts)
    follow = (chosen[later] & chosen[later - 1]).sum(2).mean(0) / trace.top_k
    apart = (chosen & np.roll(chosen, trace.num_tokens // 2 + 7, 0)).sum(2).mean(0) / trace.top_k
    return follow.round(4).tolist(), apart.round(4).tolist()
