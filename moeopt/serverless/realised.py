"""A plan met by real tokens: calls that overrun and run again, the bill, the seconds.

A plan is made for predicted tokens. What a batch really sends to an expert may be more than its
functions have memory for, or than a call carries. Algorithm 2 of arXiv 2501.05313 learns from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    numbers_of,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.serverless.designs import blocks_of
from moeopt.serverless.options import (
    LayerData,
    call_usd,
    cold_share_billed,
    layer_data,
)
from moeopt.serverless.plan import TOLERANCE, ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem

#: A limit is broken by what is this much larger, as in the checker.
_SLACK = 1.0 + TOLERANCE


@dataclass(frozen=True)
class Met:
    """What happened when a plan met real batches. Dollars and seconds are of one batch.

    Attributes
    ----------
    cost_usd
        The bill of each batch, failed calls and second ones in it, ``(batches,)``.
    latency_s
        From end to end, ``(batches,)``.
    layer_usd
        The bill by layer, ``(batches, layers)``; head and tail are in none of them.
    layer_s
        Latency of each MoE layer, ``(batches, layers)``.
    over_memory
        Where a call ran out of memory, ``(batches, layers, experts)``.
    over_payload
        Where inputs or outputs did not fit into the planned calls, ``(batches, layers, experts)``.
    over_time
        Where a call reached the platform's time-out, ``(batches, layers, experts)``.
    calls
        Calls that ended well, ``(batches, layers, experts)``; 0 for an expert without tokens.
    """

    cost_usd: FloatArray
    latency_s: FloatArray
    layer_usd: FloatArray
    layer_s: FloatArray
    over_memory: BoolArray
    over_payload: BoolArray
    over_time: BoolArray
    calls: FloatArray


def meet(problem: ServerlessProblem, plan: ServerlessPlan, tokens: Sequence[FloatArray]) -> Met:
    """Return what a plan costs, and how long it takes, with the tokens that really came.

    A message beyond the payload is split before it is called: nothing is billed in vain. A call
    that runs out of memory is billed for the tokens that it had room for, one that times out for
    the whole time-out; its tokens then go to as many new calls as they need. The paper's
    ``ceil(M^real / configured)`` counts the parameters once, though every replica holds them:
    here it is what the tokens need over what the parameters leave.

    Parameters
    ----------
    problem
        What the plan was made for; its tokens do not count here.
    plan
        A valid plan.
    tokens
        Real tokens of each expert, for each layer ``(batches, experts)``.

    Raises
    ------
    InstanceError
        If there is not one table for each layer, or it has another shape.
    """
    tables = checked_tables(problem, tokens)
    layers = [_met_layer(problem, plan, e, table) for e, table in enumerate(tables)]
    rate = problem.waiting_usd_per_s()
    layer_s = np.stack([layer.seconds for layer in layers], axis=1)
    non_moe_s = np.array([layer.non_moe_s for layer in problem.layers])
    layer_usd = np.stack([layer.usd for layer in layers], axis=1) + rate * (layer_s + non_moe_s)
    ends_s = problem.head_s + problem.tail_s
    return Met(
        cost_usd=layer_usd.sum(axis=1) + rate * ends_s,
        latency_s=ends_s + (layer_s + non_moe_s).sum(axis=1),
        layer_usd=layer_usd,
        layer_s=layer_s,
        over_memory=_table([layer.over_memory for layer in layers]) > 0,
        over_payload=_table([layer.over_payload for layer in layers]) > 0,
        over_time=_table([layer.over_time for layer in layers]) > 0,
        calls=_table([layer.calls for layer in layers]),
    )


def checked_tables(problem: ServerlessProblem, tokens: Sequence[FloatArray]) -> list[FloatArray]:
    """Return real tokens as tables, for each layer ``(batches, experts)``.

    Raises
    ------
    InstanceError
        If there is not one table for each layer, it has another shape, or a number is none.
    """
    experts = problem.experts()
    require_shape(np.empty(len(tokens)), "tokens", (len(experts),), "layers")
    tables = [
        np.atleast_2d(numbers_of(table, f"tokens[{e}]").astype(np.float64))
        for e, table in enumerate(tokens)
    ]
    for e, table in enumerate(tables):
        shape = (len(tables[0]), int(experts[e]))
        require_shape(table, f"tokens[{e}]", shape, "batches, experts")
        require_finite_nonnegative(table, f"tokens[{e}]")
    return tables


@dataclass(frozen=True)
class _MetLayer:
    """One layer of `Met`, ``(batches,)`` or ``(batches, experts)``."""

    usd: FloatArray
    seconds: FloatArray
    over_memory: BoolArray
    over_payload: BoolArray
    over_time: BoolArray
    calls: FloatArray


@dataclass(frozen=True)
class _Layer:
    """A layer under a plan, put before real tokens: what its calls take and cost.

    Tables of calls are ``(batches, experts)``.

    Attributes
    ----------
    problem, data
        The layer.
    design, degree
        The plan's.
    size
        Index of each expert's memory size, ``(experts,)``.
    upload_s
        The gate's upload, ``(batches, 1)``.
    """

    problem: ServerlessProblem
    data: LayerData
    design: int
    degree: int
    size: IntArray
    upload_s: FloatArray

    def blocks(self, share: FloatArray) -> FloatArray:
        """Return the minibatches of calls with `share` tokens."""
        return blocks_of(share, self.degree) if self.design == 1 else np.ones_like(share)

    def billed_s(self, share: FloatArray, upload_s: FloatArray, start_s: float = 0.0) -> FloatArray:
        """Return the billed seconds of calls that need `start_s` beyond a warm start."""
        if self.problem.billing.waiting and self.design != 3:
            seconds = self.done_s(share, upload_s, start_s)
        else:
            seconds = self.data.clock.working_s(
                self.design, self.data.head_s + start_s, share, self.blocks(share), self.compute_s
            )
        return self.problem.book().billed_s(seconds) if self.problem.billing.rounding else seconds

    def usd(self, share: FloatArray, upload_s: FloatArray) -> FloatArray:
        """Return what one call with `share` tokens costs, with its fees."""
        seconds, cold_share = self.billed_s(share, upload_s), cold_share_billed(self.problem)
        if cold_share:
            cold_s = self.billed_s(share, upload_s, self.problem.network.cold_start_s)
            seconds = (1.0 - cold_share) * seconds + cold_share * cold_s
        return seconds * self.usd_per_s + self.fees_usd(share)

    def fees_usd(self, share: FloatArray) -> FloatArray:
        """Return the fees of one call."""
        wide, blocks = share[:, :, None, None], self.blocks(share)[:, :, None, None]
        return call_usd(self.problem, self.data, self.design, wide, blocks).reshape(share.shape)

    def done_s(self, share: FloatArray, upload_s: FloatArray, start_s: float) -> FloatArray:
        """Return when calls are done, counted from when they begin."""
        head_s = self.data.head_s + start_s
        return self.data.clock.until_stored_s(
            self.design, head_s, share, self.blocks(share), self.compute_s, upload_s
        )

    @property
    def usd_per_s(self) -> FloatArray:
        """Price of a second of each expert's functions, ``(experts,)``."""
        return self.data.usd_per_s[self.size]

    @property
    def compute_s(self) -> FloatArray:
        """Seconds of a token of each expert, ``(experts,)``."""
        return self.data.compute_s[self.size]

    @property
    def capacity(self) -> FloatArray:
        """Tokens that each expert's functions have memory for, ``(experts,)``; at least one."""
        expert = self.problem.expert_of(self.data.layer)
        both = expert.input_bytes_per_token + expert.output_bytes_per_token
        free = self.data.memory_bytes[self.size] - self.data.parameter_bytes
        if not both:
            return np.full(len(free), np.inf)
        return np.maximum((free - expert.intermediate_bytes) / both, 1.0)

    @property
    def message(self) -> float:
        """Tokens that fit into one call of design 3."""
        expert = self.problem.expert_of(self.data.layer)
        larger = max(expert.input_bytes_per_token, expert.output_bytes_per_token)
        if self.design != 3 or not larger:
            return np.inf
        return max(1.0, self.problem.tensor_payload_bytes() / larger)


def _met_layer(
    problem: ServerlessProblem, plan: ServerlessPlan, layer: int, tokens: FloatArray
) -> _MetLayer:
    own = slice(0, tokens.shape[1])
    replicas = plan.replicas[layer, own]
    data = layer_data(problem, layer)
    here = _Layer(
        problem=problem,
        data=data,
        design=int(plan.design[layer]),
        degree=int(plan.pipeline_degree[layer]),
        size=np.searchsorted(problem.memory_mb, plan.memory_mb[layer, own]).astype(np.int64),
        upload_s=data.clock.upload_s(tokens.sum(axis=1, keepdims=True)),
    )
    used, limit_s = tokens > 0, problem.limits().timeout_s
    split = np.maximum(1.0, np.ceil(tokens / replicas / here.message / _SLACK))
    calls = replicas * split
    share = tokens / calls
    over_memory, room = share > here.capacity * _SLACK, np.minimum(share, here.capacity)
    over_time = here.billed_s(room, here.upload_s) > limit_s * _SLACK
    failed = over_memory | over_time

    # What runs again finds its inputs uploaded. A time-out comes before the memory is full.
    pieces, uploaded_s = _pieces(here, share, failed), np.zeros_like(share)
    again_usd = pieces * here.usd(share / pieces, uploaded_s)
    lost_usd = np.where(
        over_time, limit_s * here.usd_per_s + here.fees_usd(room), here.usd(room, here.upload_s)
    )
    usd = calls * np.where(failed, lost_usd + again_usd, here.usd(share, here.upload_s))
    held = replicas * data.held_usd[here.size]

    start_s = problem.network.cold_start_s if problem.slo_start == "cold" else 0.0
    lost_s = np.where(over_time, limit_s, here.done_s(room, here.upload_s, start_s))
    again_s = lost_s + here.done_s(share / pieces, uploaded_s, start_s)
    done_s = np.where(failed, again_s, here.done_s(share, here.upload_s, start_s))
    last_s = np.where(used, done_s, 0.0).max(axis=1)
    return _MetLayer(
        usd=np.where(used, usd, 0.0).sum(axis=1) + held.sum(),
        seconds=data.clock.layer_s(here.design, last_s, tokens.sum(axis=1)),
        over_memory=used & over_memory,
        over_payload=used & (split > 1),
        over_time=used & over_time,
        calls=np.where(used, calls * pieces, 0.0),
    )


def _pieces(here: _Layer, share: FloatArray, failed: BoolArray) -> FloatArray:
    """Return into how many calls the tokens of each failed call go, 1 for the others."""
    pieces = np.where(failed, np.ceil(share / here.capacity / _SLACK), 1.0)
    limit_s = here.problem.limits().timeout_s * _SLACK
    # Time-outs are met by halving, down to a token.
    while True:
        seconds = here.billed_s(share / pieces, np.zeros_like(share))
        slow = failed & (seconds > limit_s) & (share > pieces)
        if not slow.any():
            return pieces
        pieces = np.where(slow, 2 * pieces, pieces)


def _table(layers: Sequence[npt.NDArray[Any]]) -> FloatArray:
    """Return layers of unequal width as one table, filled up with zeros."""
    table = np.zeros((len(layers[0]), len(layers), max(layer.shape[1] for layer in layers)))
    for e, layer in enumerate(layers):
        table[:, e, : layer.shape[1]] = layer
    return table
