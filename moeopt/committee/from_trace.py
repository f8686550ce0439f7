"""Problems from a recorded trace: what each expert mattered in each window of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.buffering.from_trace import steps_of
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arguments import whole
from moeopt.core.arrays import (
    FloatArray,
    IntArray,
    own_array,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import InstanceError
from moeopt.core.sentences import require_fields
from moeopt.traces.trace import RoutingTrace

#: Fields of the problem that are made from the trace.
_MADE = ("layers", "experts", "importance", "router", "window_starts")


def committee_problem(
    trace: RoutingTrace,
    *,
    window_tokens: int,
    norms: Any = None,
    hidden_norms: Any = None,
    router: Any = None,
    layers: Sequence[int] | None = None,
    across_sequences: bool = False,
    **fields: Any,
) -> CommitteeProblem:
    """Return the problem of a trace: what each expert mattered in each window of its tokens.

    Importance is eq. 1 of the paper: gate weight times length of the hidden state times norm of the
    expert, summed over the window's tokens that went to it. A trace without gate weights counts
    tokens instead of them. With a router it is the losses of masked gating, or of skipping, that
    are stated: each expert's value for each token, by the same product.

    Parameters
    ----------
    trace
        The recorded routing.
    window_tokens
        Tokens of a window. The last one of a sequence may have fewer.
    norms
        Of each expert, ``(layers, experts)`` of the trace; left out, 1.
    hidden_norms
        Length of each token's hidden state, ``(tokens,)``, or before each layer,
        ``(tokens, layers)``; left out, 1.
    router
        Gate weights of all experts, chosen or not, ``(tokens, layers, experts)``. The loss is
        ``"masked"`` then, unless ``loss="skip"`` is among the fields, and ``"additive"`` without.
    layers
        Layers of the trace that are kept, in this order; all if left out.
    across_sequences
        Whether windows run on from one sequence to the next.
    **fields
        Fields of `CommitteeProblem`, such as ``budget_bytes=2**20``. Left out, `top_k` is that of
        the trace.

    Raises
    ------
    InstanceError
        If the trace has no tokens, an array has another shape than the trace, a number is
        negative or not finite, or there is no such field.

    Examples
    --------
    >>> import numpy as np
    >>> from moeopt.committee.from_trace import committee_problem
    >>> from moeopt.traces import RoutingTrace
    >>> trace = RoutingTrace(np.array([[[0, 1]], [[1, 2]], [[2, 0]]]))
    >>> committee_problem(trace, window_tokens=2, budget_bytes=2).importance.tolist()
    [[[1.0, 2.0, 1.0]], [[1.0, 0.0, 1.0]]]
    """
    if not isinstance(trace, RoutingTrace):
        raise InstanceError(
            "trace", type(trace).__name__, "must be a RoutingTrace", "read one with moeopt.traces"
        )
    require_fields(fields, [n for n in CommitteeProblem.__struct_fields__ if n not in _MADE])
    if trace.num_tokens == 0:
        raise InstanceError("trace", "<0 tokens>", "must have a token", "take a longer trace")
    window = windows_of(trace, window_tokens, across_sequences)
    kept = _kept(trace, layers)
    token = _lengths(trace, hidden_norms)[:, kept]
    expert = _norms(trace, norms)[kept]
    stated: dict[str, Any] = {"top_k": trace.top_k}
    if router is None:
        stated["importance"] = _importance(trace, window, kept, token, expert)
        stated["loss"] = "additive"
    else:
        table = own_array(router, "router", np.float64)
        shape = (trace.num_tokens, trace.num_layers, trace.num_experts)
        require_shape(table, "router", shape, "tokens, layers, experts")
        require_finite_nonnegative(table, "router")
        stated["router"] = table[:, kept] * token[:, :, None] * expert
        stated["window_starts"] = np.flatnonzero(np.diff(window, prepend=-1))
        stated["loss"] = "masked"
    return CommitteeProblem(layers=kept.size, experts=trace.num_experts, **(stated | fields))


def windows_of(trace: RoutingTrace, window_tokens: int, across_sequences: bool = False) -> IntArray:
    """Return the window of each token, ``(tokens,)``.

    Parameters
    ----------
    trace, window_tokens, across_sequences
        As in `committee_problem`.
    """
    if whole("window_tokens", window_tokens) < 1:
        raise InstanceError(
            "window_tokens", window_tokens, "must be 1 or more", "give a positive number"
        )
    # More are the same as all.
    tokens = min(window_tokens, max(1, trace.num_tokens))
    if across_sequences:
        return np.arange(trace.num_tokens) // tokens
    return steps_of(trace, tokens)[0]


def _importance(
    trace: RoutingTrace, window: IntArray, kept: IntArray, token: FloatArray, expert: FloatArray
) -> FloatArray:
    """Return eq. 1 of each expert in each window, ``(windows, layers, experts)``."""
    windows, experts = int(window[-1]) + 1, trace.num_experts
    found = np.empty((windows, kept.size, experts))
    first = (window * experts)[:, None]
    # Layer by layer: a trace keeps its experts in a byte or two, keys and masses need eight.
    for place, layer in enumerate(kept.tolist()):
        key = first + trace.expert_ids[:, layer]
        mass = np.broadcast_to(token[:, place, None], key.shape)
        if trace.gate_weights is not None:
            mass = trace.gate_weights[:, layer].astype(np.float64) * mass
        sums = np.bincount(key.ravel(), weights=mass.ravel(), minlength=windows * experts)
        found[:, place] = sums.reshape(windows, experts)
    return found * expert


def _norms(trace: RoutingTrace, norms: Any) -> FloatArray:
    """Return the norm of each expert, ``(layers, experts)``."""
    shape = (trace.num_layers, trace.num_experts)
    if norms is None:
        return np.ones(shape)
    table = own_array(norms, "norms", np.float64)
    require_shape(table, "norms", shape, "layers, experts")
    require_finite_nonnegative(table, "norms")
    return table


def _lengths(trace: RoutingTrace, hidden_norms: Any) -> FloatArray:
    """Return the length of each token's hidden state before each layer, ``(tokens, layers)``."""
    shape = (trace.num_tokens, trace.num_layers)
    if hidden_norms is None:
        return np.ones(shape)
    table = own_array(hidden_norms, "hidden_norms", np.float64)
    if table.ndim == 1:
        require_shape(table, "hidden_norms", shape[:1], "tokens")
    else:
        require_shape(table, "hidden_norms", shape, "tokens, layers")
    require_finite_nonnegative(table, "hidden_norms")
    return np.broadcast_to(table if table.ndim == 2 else table[:, None], shape)


def _kept(trace: RoutingTrace, layers: Sequence[int] | None) -> npt.NDArray[np.int64]:
    """Return the layers that are kept, ``(kept,)``."""
    if layers is None:
        return np.arange(trace.num_layers)
    kept = [whole("layers", layer) for layer in own_array(layers, "layers").ravel()]
    if not kept or min(kept) < 0 or max(kept) >= trace.num_layers or len(set(kept)) < len(kept):
        raise InstanceError(
            "layers",
            kept,
            f"must name layers of the trace, 0 to {trace.num_layers - 1}, each once",
            "leave it out for all of them",
        )
    return np.array(kept, dtype=np.int64)
