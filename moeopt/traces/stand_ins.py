"""Stand-ins for token IDs, for traces that were published without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.errors import InstanceError
from moeopt.traces.trace import RoutingTrace

#: IDs of tables of counts are below this; `moeopt.popularity.checks.MOST_IDS` is the same.
_MOST_IDS = 2**21


def with_stand_in_ids(trace: RoutingTrace, experts: int = 1) -> RoutingTrace:
    """Return a trace whose tokens are told apart by their experts in the first MoE layer.

    These are not token IDs: a class of tokens that the first gate treats alike takes the place of
    a token, and the class of the token before, in the same sequence, the place of the attention
    ID (a sequence's first token has its own). The first layer is left out, as it would be
    predicted from itself. The same experts have the same ID in every trace of the same model.

    Parameters
    ----------
    trace
        At least two layers.
    experts
        How many of the token's first experts, in any order, make its ID.

    Raises
    ------
    InstanceError
        If there is only one layer, tokens do not have so many experts, or the IDs would be too
        large for a table of counts.
    """
    if trace.num_layers < 2:
        raise InstanceError(
            "trace", "<1 layer>", "must have two layers", "take a trace of the whole model"
        )
    if not 1 <= whole("experts", experts) <= trace.top_k:
        raise InstanceError(
            "experts", experts, f"must be 1 to {trace.top_k}", "a token has no more experts"
        )
    if trace.num_experts**experts > _MOST_IDS:
        raise InstanceError(
            "experts",
            experts,
            f"must give IDs below {_MOST_IDS}, not {trace.num_experts} ** {experts}",
            "take fewer of a token's experts",
        )
    first = np.sort(trace.expert_ids[:, 0, :experts].astype(np.int64), axis=1)
    token_ids = first @ trace.num_experts ** np.arange(experts)
    before = np.roll(token_ids, 1)
    starts = trace.sequence_starts()
    before[starts[starts < trace.num_tokens]] = token_ids[starts[starts < trace.num_tokens]]
    weights = trace.gate_weights
    return replace(
        trace,
        expert_ids=trace.expert_ids[:, 1:],
        gate_weights=None if weights is None else weights[:, 1:],
        token_ids=token_ids,
        attention_ids=before,
        experts=trace.num_experts,
    )
