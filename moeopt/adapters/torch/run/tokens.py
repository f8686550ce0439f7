"""Tokens for a run: routed as the loads of a problem say, or as a trace recorded them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.traces.dispatch import read_any
from moeopt.traces.trace import RoutingTrace

Weights = npt.NDArray[np.float32]

#: Experts of a token where nothing says how many.
_TOP_K = 2

#: Rounding of shares that add up to 1.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Batch:
    """What the tokens of every rank choose in one layer, in one step.

    Attributes
    ----------
    expert_ids
        Experts of each rank's tokens, ``(tokens, top_k)`` for each.
    gate_weights
        Of the same shapes, float32.
    """

    expert_ids: tuple[IntArray, ...]
    gate_weights: tuple[Weights, ...]

    def counts(self, experts: int) -> FloatArray:
        """Return the tokens that each rank sends to each expert, ``(ranks, experts)``."""
        return np.stack(
            [np.bincount(ids.ravel(), minlength=experts) for ids in self.expert_ids]
        ).astype(np.float64)


def sent_tokens(problem: PlacementProblem, plan: PlacementPlan, world: int) -> FloatArray:
    """Return what each rank sends to each expert by the problem's loads.

    Shape ``(layers, ranks, experts)``; a rank stands for several consecutive devices where there
    are fewer ranks.
    """
    if problem.expert_traffic_tokens is not None:
        copies = plan.copies(problem)
        share = copies / np.maximum(copies.sum(axis=2, keepdims=True), 1)
        by_device = share.swapaxes(1, 2) @ problem.expert_traffic_tokens
    else:
        by_device = np.moveaxis(problem.source_shares() * problem.mean_loads(), 0, 1)
    shape = (problem.num_layers, world, -1, problem.num_experts)
    return np.asarray(by_device.reshape(shape).sum(axis=2))


def chosen_top_k(sent: FloatArray, top_k: int | None) -> int:
    """Return the experts of a token: what was asked for, or what the loads allow, two at most.

    Raises
    ------
    InstanceError
        If an expert gets more than one choice of every token.
    """
    total = sent.sum(axis=-1, keepdims=True)
    share = np.divide(sent, total, out=np.zeros_like(sent), where=total > 0)
    most: int = sent.shape[-1]
    if share.any():
        most = min(most, int(1 / share.max() + _ROUNDING))
    if top_k is None:
        return min(_TOP_K, most)
    if top_k > most:
        layer, rank, expert = np.unravel_index(int(share.argmax()), share.shape)
        raise InstanceError(
            "top_k",
            top_k,
            f"must be at most {most}: of the choices on rank {rank} in layer {layer}, expert"
            f" {expert} gets {share.max():.3g}, and no token chooses an expert twice",
            "ask for fewer",
        )
    return top_k


def routed_by_loads(sent: FloatArray, tokens: int, top_k: int, seed: Sequence[int]) -> Batch:
    """Return tokens whose counts are the loads', as exactly as whole tokens can be.

    Parameters
    ----------
    sent
        What each rank sends to each expert, ``(ranks, experts)``, in any unit.
    tokens
        Of a rank, in the mean: a rank has as many as its part of `sent` says.
    top_k
        One that `chosen_top_k` allows.
    seed
        Of the gate weights and of the tokens' order.
    """
    generator = np.random.default_rng(seed)
    ranks = in_shares(sent.sum(axis=1), tokens * len(sent))
    ids, weights = [], []
    for row, own in zip(sent, ranks.tolist(), strict=True):
        ids.append(systematic(row, own, top_k, generator))
        weights.append(_random_weights((own, top_k), generator))
    return Batch(tuple(ids), tuple(weights))


def systematic(
    loads: FloatArray, tokens: int, top_k: int, generator: np.random.Generator
) -> IntArray:
    """Return experts for each token, ``(tokens, top_k)``, none twice in a row.

    An expert's choices lie side by side on a line that is wound around the tokens: no more of
    them than there are tokens, so that no token meets it twice.
    """
    count = in_shares(loads, tokens * top_k, most=tokens)
    line = np.repeat(np.arange(len(loads)), count)
    return np.ascontiguousarray(generator.permuted(line.reshape(top_k, tokens).T, axis=1))


def in_shares(parts: FloatArray, total: int, most: int | None = None) -> IntArray:
    """Return whole numbers that sum to `total` in the shares of `parts`, the largest rests up.

    Where there are no parts, all are 0.
    """
    if parts.sum() <= 0:
        return np.zeros(len(parts), dtype=np.int64)
    most = total if most is None else most
    exact = np.minimum(parts / parts.sum() * total, most)
    count: IntArray = np.floor(exact).astype(np.int64)
    rest = np.where(count < most, exact - count, -1.0)
    count[np.argsort(-rest, kind="stable")[: total - count.sum()]] += 1
    return count


def read_choices(path: str, problem: PlacementProblem) -> RoutingTrace:
    """Return the choices that a file recorded, which must be of the problem's layers and experts.

    Raises
    ------
    InstanceError
        If it has counts alone, or is of another model.
    """
    trace = read_any(path)
    if not isinstance(trace, RoutingTrace):
        rule = "must say what each token chose, not only how often each expert was chosen"
        raise InstanceError(path, "<counts>", rule, "record the choices, or leave trace out")
    if trace.num_layers != problem.num_layers:
        rule = f"must be of the problem's {problem.num_layers} layers"
        raise InstanceError(path, f"<{trace.num_layers} layers>", rule, "take its model's trace")
    known = problem.num_experts if trace.experts is None else trace.experts
    if trace.num_experts > problem.num_experts or known != problem.num_experts:
        rule = f"must be of the problem's {problem.num_experts} experts"
        raise InstanceError(path, f"<{trace.num_experts} experts>", rule, "take its model's trace")
    return trace


def tokens_of_trace(
    trace: RoutingTrace, path: str, world: int, tokens: int | None, usual: int
) -> int:
    """Return the tokens of a rank in one step: those asked for, or the usual if there are as many.

    Raises
    ------
    InstanceError
        If the trace has too few.
    """
    most = trace.num_tokens // world
    if most == 0:
        rule = f"must have a token for each of the {world} workers"
        raise InstanceError(path, f"<{trace.num_tokens} tokens>", rule, "take a longer trace")
    if tokens is None:
        return min(usual, most)
    if not 1 <= tokens <= most:
        rule = f"must be 1 to {most}: the trace has {trace.num_tokens} for {world} workers"
        raise InstanceError("tokens", tokens, rule, "ask for fewer, or take a longer trace")
    return tokens


def routed_by_trace(
    trace: RoutingTrace, layer: int, world: int, tokens: int, steps: int, seed: Sequence[int]
) -> list[Batch]:
    """Return consecutive tokens of a trace, dealt to the ranks: a batch for each step.

    Where the trace ends before the last step, there are fewer batches.
    """
    generator = np.random.default_rng(seed)
    batches = []
    for step in range(min(steps, trace.num_tokens // (world * tokens))):
        rows = slice(step * world * tokens, (step + 1) * world * tokens)
        ids = trace.expert_ids[rows, layer].astype(np.int64).reshape(world, tokens, -1)
        if trace.gate_weights is None:
            weights = _random_weights(ids.shape, generator)
        else:
            weights = trace.gate_weights[rows, layer].astype(np.float32).reshape(ids.shape)
        batches.append(Batch(tuple(ids), tuple(weights)))
    return batches


def _random_weights(shape: tuple[int, ...], generator: np.random.Generator) -> Weights:
    weights = generator.random(shape) + 0.5
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float32)
