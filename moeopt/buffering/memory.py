"""One memory for the sequences' keys and values and for experts: how much for which.

More sequences at once share the transfers of a step, but each takes memory for its context, so that
fewer experts stay, and more sequences need more of them. How these add up depends on the routing:
the trace is replayed with each number of sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moeopt.buffering.clock import Stall, stall
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.frontier import equal_slots, undominated, with_slots
from moeopt.buffering.plan import evaluate
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.buffering.replays import least_room, policy_plan
from moeopt.buffering.stream import streams
from moeopt.core.arguments import number, whole
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.traces.trace import RoutingTrace


@dataclass(frozen=True)
class Shared:
    """Some sequences at once, and the experts for which they leave room.

    Attributes
    ----------
    sequences
        At once.
    kv_bytes
        Of their keys and values.
    slots
        Of each layer, ``(layers,)``, or of the pool, ``(1,)``.
    hit_rate
        Of the policy.
    clock
        Where the time goes.
    tokens_per_step
        On average: fewer than `sequences` once the trace runs out of them.
    seconds_per_step
        What a sequence waits for its next token.
    seconds_per_token
        What a token costs all together; its inverse is the throughput.
    on_frontier
        Whether no other point is faster in one of these and no slower in the other.
    """

    sequences: int
    kv_bytes: float
    slots: IntArray
    hit_rate: float
    clock: Stall
    tokens_per_step: float
    seconds_per_step: float
    seconds_per_token: float
    on_frontier: bool


def share_memory(
    trace: RoutingTrace,
    policy: str,
    *,
    memory_bytes: float,
    kv_bytes_per_token: float,
    context_tokens: int,
    sequences: Sequence[int],
    timing: Timing | Callable[[int], Timing],
    **fields: Any,
) -> tuple[Shared, ...]:
    """Return what each number of sequences comes to, those left out that leave no room for experts.

    Every sequence is given its whole context at once, as a server must that promises it.

    Parameters
    ----------
    trace
        Recorded routing with the lengths of sequences.
    policy
        As for `moeopt.buffering.replays.replay`.
    memory_bytes
        For keys, values and experts' slots.
    kv_bytes_per_token
        Keys and values of a token in all layers.
    context_tokens
        Tokens of a sequence for which memory is set aside.
    sequences
        Numbers to look at.
    timing
        Of a step, or what gives it for a number of sequences: they share its computation.
    **fields
        Of `moeopt.buffering.from_trace.buffering_problem`, such as `expert_bytes`, `pooled`.

    Raises
    ------
    InstanceError
        If none leaves room for the experts of a step, or a number is negative.
    """
    if "concurrent" in fields:
        raise InstanceError("concurrent", fields["concurrent"], "must be left out", "see sequences")
    memory = _some("memory_bytes", number("memory_bytes", memory_bytes))
    context = _some("kv_bytes_per_token", number("kv_bytes_per_token", kv_bytes_per_token))
    context *= _some("context_tokens", whole("context_tokens", context_tokens))
    points = []
    for at_once in np.atleast_1d(sequences).tolist():
        if whole("sequences", at_once) < 1:
            raise InstanceError("sequences", at_once, "must be 1 or more", "correct the entry")
        left = memory - at_once * context
        clocked = timing(at_once) if callable(timing) else timing
        given: dict[str, Any] = {"slots": trace.num_experts, "timing": clocked} | fields
        if given.get("pooled"):
            given["slots"] = trace.num_experts * trace.num_layers
        problem = buffering_problem(trace, concurrent=at_once, **given)
        slots = equal_slots(problem, max(0.0, left))
        least = [least_room(part) for part in streams(problem)]
        if (slots >= least).all():
            points.append(_point(problem, policy, slots, at_once, at_once * context, trace))
    if not points:
        raise InstanceError(
            "memory_bytes",
            memory_bytes,
            "must hold one sequence and an expert for each layer",
            "give more bytes, or a shorter context",
        )
    first = undominated(
        np.array([point.seconds_per_step for point in points]),
        np.array([point.seconds_per_token for point in points]),
    )
    return tuple(
        replace(point, on_frontier=bool(on)) for point, on in zip(points, first, strict=True)
    )


def _some(path: str, value: float) -> float:
    if not 0 <= value < np.inf:
        raise InstanceError(path, value, "must be finite and 0 or more", "correct it")
    return value


def _point(
    problem: BufferingProblem,
    policy: str,
    slots: IntArray,
    sequences: int,
    kv_bytes: float,
    trace: RoutingTrace,
) -> Shared:
    stated = with_slots(problem, slots)
    plan = policy_plan(stated, policy)
    clock = stall(stated, plan)
    return Shared(
        sequences=sequences,
        kv_bytes=kv_bytes,
        slots=slots,
        hit_rate=evaluate(stated, plan).hit_rate or 0.0,
        clock=clock,
        tokens_per_step=trace.num_tokens / problem.num_steps,
        seconds_per_step=clock.total_s / problem.num_steps,
        seconds_per_token=clock.total_s / trace.num_tokens,
        on_frontier=False,
    )
