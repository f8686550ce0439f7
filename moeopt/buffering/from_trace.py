"""References from a recorded trace: which experts each step of a batch asks for."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from moeopt.buffering.problem import BufferingProblem
from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray, own_array
from moeopt.core.errors import InstanceError
from moeopt.core.sentences import require_fields
from moeopt.traces.trace import RoutingTrace

Weights = Literal["tokens", "gates"]

#: Fields of the problem that are made from the trace.
_MADE = ("layers", "experts", "active", "starts", "weights")


def buffering_problem(
    trace: RoutingTrace,
    *,
    batch_tokens: int = 1,
    concurrent: int = 1,
    layers: Sequence[int] | None = None,
    weights: Weights = "tokens",
    **fields: Any,
) -> BufferingProblem:
    """Return the problem of a trace: a reference for each expert that a step needs in a layer.

    A step takes the next `batch_tokens` tokens of each sequence under way, never of two sequences
    in a row: the last step of a sequence may have fewer. Experts of a group are in the order of
    their ids.

    Parameters
    ----------
    trace
        The recorded routing.
    batch_tokens
        Tokens of one sequence in a step: 1 as in generation, more as in a prefill in pieces.
    concurrent
        Sequences under way at once, as in continuous batching: when one has ended, the next one
        begins in the step after. With more than one, `sequence_starts` stays out, as no step is
        the begin of all.
    layers
        Layers of the trace that are kept, in this order; all if left out.
    weights
        What the weight of a reference is: the tokens that need the expert, or their gate weights.
    **fields
        Fields of `BufferingProblem`, such as ``slots=8``.

    Raises
    ------
    InstanceError
        If the trace has no tokens or no gate weights that were asked for, a number is not
        positive, or there is no such field.
    """
    if not isinstance(trace, RoutingTrace):
        raise InstanceError(
            "trace", type(trace).__name__, "must be a RoutingTrace", "read one with moeopt.traces"
        )
    require_fields(fields, [n for n in BufferingProblem.__struct_fields__ if n not in _MADE])
    experts = _kept(trace, layers)
    if trace.num_tokens == 0:
        raise InstanceError("trace", "<0 tokens>", "must have a token", "take a longer trace")
    step, starts = steps_of(trace, batch_tokens, concurrent)
    num_layers = experts.shape[1]
    group = step[:, None] * num_layers + np.arange(num_layers)
    key = group[:, :, None] * trace.num_experts + experts
    mass = _mass(trace, layers, weights)
    found, share = _united(key, mass)
    groups = (int(step.max()) + 1) * num_layers
    counts = np.bincount(found // trace.num_experts, minlength=groups)
    stated: dict[str, Any] = {"sequence_starts": starts} if concurrent == 1 else {}
    return BufferingProblem(
        layers=num_layers,
        experts=trace.num_experts,
        active=found % trace.num_experts,
        starts=np.concatenate(([0], np.cumsum(counts))),
        weights=share,
        **(stated | fields),
    )


def steps_of(
    trace: RoutingTrace, batch_tokens: int = 1, concurrent: int = 1
) -> tuple[IntArray, IntArray]:
    """Return the step of each token, ``(tokens,)``, and the first of each sequence.

    Sequences without tokens are left out.

    Parameters
    ----------
    trace
        The recorded routing.
    batch_tokens, concurrent
        As in `buffering_problem`.
    """
    for path, value in (("batch_tokens", batch_tokens), ("concurrent", concurrent)):
        if whole(path, value) < 1:
            raise InstanceError(path, value, "must be 1 or more", "give a positive number")
    lengths = np.array([trace.num_tokens])
    if trace.sequence_lengths is not None:
        lengths = trace.sequence_lengths[trace.sequence_lengths > 0].astype(np.int64)
    taken = -(-lengths // batch_tokens)
    starts = _starts(taken, concurrent)
    within = np.arange(trace.num_tokens) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    step: IntArray = np.repeat(starts, lengths) + within // batch_tokens
    return step, starts


def _starts(taken: IntArray, concurrent: int) -> IntArray:
    """Return the first step of each sequence: it begins when the first of those before has ended.

    Parameters
    ----------
    taken
        Steps of each sequence.
    concurrent
        Sequences under way at once.
    """
    if concurrent == 1:
        return np.cumsum(taken) - taken
    free = [0] * min(concurrent, taken.size)
    starts = np.zeros(taken.size, dtype=np.int64)
    for i, steps in enumerate(taken.tolist()):
        starts[i] = free[0]
        heapq.heapreplace(free, free[0] + steps)
    return starts


def _kept(trace: RoutingTrace, layers: Sequence[int] | None) -> IntArray:
    """Return the experts of the layers that are kept, ``(tokens, kept, top_k)``."""
    if layers is None:
        return trace.expert_ids.astype(np.int64)
    kept = [whole("layers", layer) for layer in own_array(layers, "layers").ravel()]
    if not kept or min(kept) < 0 or max(kept) >= trace.num_layers or len(set(kept)) < len(kept):
        raise InstanceError(
            "layers",
            kept,
            f"must name layers of the trace, 0 to {trace.num_layers - 1}, each once",
            "leave it out for all of them",
        )
    return trace.expert_ids[:, kept].astype(np.int64)


def _mass(trace: RoutingTrace, layers: Sequence[int] | None, weights: Weights) -> FloatArray | None:
    """Return the gate weights of the layers that are kept; ``None`` if tokens are counted."""
    if not isinstance(weights, str) or weights not in get_args(Weights):
        raise InstanceError("weights", weights, 'must be "tokens" or "gates"', "choose one of them")
    if weights == "tokens":
        return None
    if trace.gate_weights is None:
        raise InstanceError(
            "weights", weights, "needs a trace with gate weights", 'count with weights="tokens"'
        )
    gates = trace.gate_weights if layers is None else trace.gate_weights[:, np.ravel(layers)]
    return gates.astype(np.float64)


def _united(key: IntArray, mass: FloatArray | None) -> tuple[IntArray, FloatArray]:
    """Return each key once, rising, and how often it stood there, or its mass."""
    order = np.argsort(key, axis=None, kind="stable") if mass is not None else None
    rising = np.sort(key, axis=None) if order is None else key.ravel()[order]
    first = np.flatnonzero(np.concatenate(([True], rising[1:] != rising[:-1])))
    if mass is None or order is None:
        return rising[first], np.diff(first, append=rising.size).astype(np.float64)
    return rising[first], np.add.reduceat(mass.ravel()[order], first)
