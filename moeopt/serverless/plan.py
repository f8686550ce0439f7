"""What the serverless wing gives: the plan, its checker and its bill.

Written from ``formulations/serverless.md`` alone; no solver is imported here and none is trusted.
The times of replicas and layers are `moeopt.serverless.designs`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.wing import Plan, Violation
from moeopt.describe.pricing import BYTES_PER_GB
from moeopt.serverless.designs import Clock, blocks_of
from moeopt.serverless.problem import DESIGNS, ServerlessProblem

#: Relative slack of comparisons between sums of floating-point numbers.
TOLERANCE = 1e-9

#: Bytes of a MB of function memory.
BYTES_PER_MB = 2.0**20


class ServerlessPlan(Plan, frozen=True, kw_only=True, tag="serverless"):
    """What is rented for each expert, and how each layer's tokens travel.

    Attributes
    ----------
    version
        Version of the document's schema.
    design
        Communication design of each layer, 1, 2 or 3, shape ``(layers,)``.
    pipeline_degree
        Most tokens of a minibatch, where the design is 1, and 0 elsewhere, ``(layers,)``.
    memory_mb
        Memory of each expert's functions, ``(layers, experts)``: as many columns as the largest
        layer has experts, 0 beyond a layer's own.
    replicas
        Functions that share the tokens of each expert, ``(layers, experts)``, 0 likewise.
    """

    version: Literal[1] = 1
    design: IntArray
    pipeline_degree: IntArray
    memory_mb: IntArray
    replicas: IntArray


@dataclass(frozen=True)
class Evaluation:
    """The bill of a plan, and its times. Dollars are of a batch, the mean over scenarios.

    Attributes
    ----------
    objective
        `cost_usd`.
    cost_usd
        All that is billed: the sum of `duration_usd`, `fees_usd`, `held_usd` and `waiting_usd`.
    duration_usd, fees_usd, held_usd, waiting_usd
        Seconds of expert functions; their calls and what they ask of storage; provisioned
        concurrency; functions of non-MoE layers, of which one runs or waits at any time.
    layer_usd
        What each layer costs, with the waiting in it but not that of head and tail,
        ``(layers,)``.
    expert_usd
        What each expert's functions cost, ``(layers, experts)``; 0 beyond a layer's own.
    latency_s
        From end to end, every layer in its slowest scenario.
    layer_s
        Latency of each MoE layer without the non-MoE layer before it, ``(layers,)``.
    slack_s
        Seconds that the promise leaves; ``None`` if there is none.
    expert_s
        Latency of each layer, were it for this expert alone, ``(layers, experts)``.
    replicas_at_once
        Expert functions that run at once in each layer, in the scenario with most, ``(layers,)``.
    """

    objective: float
    cost_usd: float
    duration_usd: float
    fees_usd: float
    held_usd: float
    waiting_usd: float
    layer_usd: FloatArray
    expert_usd: FloatArray
    latency_s: float
    layer_s: FloatArray
    slack_s: float | None
    expert_s: FloatArray
    replicas_at_once: IntArray


@dataclass(frozen=True)
class LayerCalls:
    """What each replica of a layer does and costs, axes ``(scenarios, experts)``.

    Attributes
    ----------
    replicas
        Of each expert, ``(experts,)``.
    memory_bytes
        Of each replica, ``(experts,)``.
    share
        Tokens of a replica.
    needed_bytes
        Memory that it needs.
    message_bytes
        The larger of its inputs and its outputs.
    billed_s
        Billed seconds of a warm call.
    duration_usd
        Price of these seconds, the mean over warm and cold starts; 0 for an expert without tokens.
    fees_usd
        Of its call and its requests to storage; 0 likewise.
    held_usd
        Of provisioned concurrency, ``(experts,)``.
    begun_s, done_s
        Seconds from the layer's start to the end of its stages S1 and S2; 0 without tokens.
    expert_s
        Latency of the layer, were it for this expert alone.
    """

    replicas: IntArray
    memory_bytes: FloatArray
    share: FloatArray
    needed_bytes: FloatArray
    message_bytes: FloatArray
    billed_s: FloatArray
    duration_usd: FloatArray
    fees_usd: FloatArray
    held_usd: FloatArray
    begun_s: FloatArray
    done_s: FloatArray
    expert_s: FloatArray


def violations(problem: ServerlessProblem, plan: ServerlessPlan) -> list[Violation]:
    """Return every constraint of the formulation page that the plan breaks.

    What costs and seconds depend on comes first: a plan with an unknown memory size has neither.
    """
    strange = _shape_violations(problem, plan)
    if strange:
        return strange
    there = _there(problem)
    unknown = [
        *_design_violations(problem, plan),
        *_size_violations(problem, plan, there),
        *_replica_violations(problem, plan, there),
    ]
    if unknown:
        return unknown
    degrees = _degree_violations(problem, plan)
    if degrees:
        return degrees
    layers = layer_calls(problem, plan)
    return [
        *_memory_violations(layers),
        *_payload_violations(problem, plan, layers),
        *_timeout_violations(problem, layers),
        *_promise_violations(problem, latency_s(problem, layers)),
    ]


def evaluate(problem: ServerlessProblem, plan: ServerlessPlan) -> Evaluation:
    """Return the bill of a valid plan, and its times."""
    layers, weights = layer_calls(problem, plan), problem.weights()
    duration = _table([calls.replicas * (weights @ calls.duration_usd) for calls in layers])
    fees = _table([calls.replicas * (weights @ calls.fees_usd) for calls in layers])
    held = _table([calls.replicas * calls.held_usd for calls in layers])
    expert_s = _table([calls.expert_s.max(axis=0) for calls in layers])
    layer_s = expert_s.max(axis=1)
    rate = problem.waiting_usd_per_s()
    waiting = rate * (layer_s + np.array([layer.non_moe_s for layer in problem.layers]))
    expert_usd = duration + fees + held
    layer_usd = expert_usd.sum(axis=1) + waiting
    cost_usd = float(layer_usd.sum()) + rate * (problem.head_s + problem.tail_s)
    total_s = latency_s(problem, layers)
    at_once = [((calls.share > 0) * calls.replicas).sum(axis=1).max() for calls in layers]
    return Evaluation(
        objective=cost_usd,
        cost_usd=cost_usd,
        duration_usd=float(duration.sum()),
        fees_usd=float(fees.sum()),
        held_usd=float(held.sum()),
        waiting_usd=rate * (problem.head_s + problem.tail_s) + float(waiting.sum()),
        layer_usd=layer_usd,
        expert_usd=expert_usd,
        latency_s=total_s,
        layer_s=layer_s,
        slack_s=None if problem.slo_s is None else problem.slo_s - total_s,
        expert_s=expert_s,
        replicas_at_once=np.array(at_once, dtype=np.int64),
    )


def latency_s(problem: ServerlessProblem, layers: Sequence[LayerCalls]) -> float:
    """Return the seconds from end to end, every layer in its slowest scenario."""
    inside = sum(
        float(calls.expert_s.max()) + layer.non_moe_s
        for calls, layer in zip(layers, problem.layers, strict=True)
    )
    return problem.head_s + inside + problem.tail_s


def layer_calls(problem: ServerlessProblem, plan: ServerlessPlan) -> tuple[LayerCalls, ...]:
    """Return what the replicas of each layer do, for a plan whose sizes are known."""
    return tuple(calls_of(problem, plan, layer) for layer in range(problem.num_layers))


def clock_of(problem: ServerlessProblem, layer: int) -> Clock:
    """Return the times of a layer that no decision changes."""
    network, expert = problem.network, problem.expert_of(layer)
    loaded = problem.layers[layer].next_parameter_bytes / network.storage_bytes_per_s
    return Clock(
        input_storage_s=expert.input_bytes_per_token / network.storage_bytes_per_s,
        output_storage_s=expert.output_bytes_per_token / network.storage_bytes_per_s,
        input_direct_s=expert.input_bytes_per_token / network.function_bytes_per_s,
        output_direct_s=expert.output_bytes_per_token / network.function_bytes_per_s,
        delay_s=network.access_delay_s,
        load_s=network.warm_start_s + loaded + network.access_delay_s,
    )


def calls_of(problem: ServerlessProblem, plan: ServerlessPlan, layer: int) -> LayerCalls:
    """Put the replicas of one layer through the page's formulas, from share to bill."""
    tokens, expert = problem.tokens_of(layer), problem.expert_of(layer)
    own, design = slice(0, tokens.shape[1]), int(plan.design[layer])
    replicas, memory_mb = plan.replicas[layer, own], plan.memory_mb[layer, own]
    size = np.searchsorted(problem.memory_mb, memory_mb)
    share = tokens / replicas
    degree = int(plan.pipeline_degree[layer])
    blocks = blocks_of(share, degree) if design == 1 else np.ones_like(share)
    clock, compute_s = clock_of(problem, layer), problem.seconds_per_token_of(layer)[size]
    total = tokens.sum(axis=1, keepdims=True)
    network, billing = problem.network, problem.billing
    loaded_s = problem.parameter_bytes_of(layer) / network.storage_bytes_per_s
    head_s = network.warm_start_s + loaded_s + network.access_delay_s
    cold_s = head_s + network.cold_start_s

    def done_s(start_s: FloatArray) -> FloatArray:
        return clock.until_stored_s(
            design, start_s, share, blocks, compute_s, clock.upload_s(total)
        )

    def billed_s(start_s: FloatArray) -> FloatArray:
        # The inputs of design 3 come with the call: a replica waits for nothing.
        if billing.waiting and design != 3:
            seconds = done_s(start_s)
        else:
            seconds = clock.working_s(design, start_s, share, blocks, compute_s)
        return problem.book().billed_s(seconds) if billing.rounding else seconds

    used = share > 0
    warm_s = billed_s(head_s)
    cold_share = _cold_share(problem)
    mean_s = (1 - cold_share) * warm_s + cold_share * billed_s(cold_s) if cold_share else warm_s
    start_s = cold_s if problem.slo_start == "cold" else head_s
    done = np.where(used, done_s(start_s), 0.0)
    begun = clock.begun_s(design, start_s, share, blocks, clock.upload_s(total))
    both = expert.input_bytes_per_token + expert.output_bytes_per_token
    larger = max(expert.input_bytes_per_token, expert.output_bytes_per_token)
    parameters = problem.parameter_bytes_of(layer)
    return LayerCalls(
        replicas=replicas,
        memory_bytes=memory_mb.astype(np.float64) * BYTES_PER_MB,
        share=share,
        needed_bytes=parameters + expert.intermediate_bytes + share * both,
        message_bytes=share * larger,
        billed_s=warm_s,
        duration_usd=np.where(used, mean_s * problem.usd_per_s()[size], 0.0),
        fees_usd=np.where(used, _fees_usd(problem, layer, design, share, blocks), 0.0),
        held_usd=problem.held_usd()[size],
        begun_s=np.where(used, begun, 0.0),
        done_s=done,
        expert_s=clock.layer_s(design, done, total),
    )


def _cold_share(problem: ServerlessProblem) -> float:
    """Return the share of calls whose cold start is billed: none if functions are held."""
    billing = problem.billing
    if not billing.cold_starts or billing.provisioned_s is not None:
        return 0.0
    return billing.cold_share if problem.book().init_is_billed else 0.0


def _fees_usd(
    problem: ServerlessProblem, layer: int, design: int, share: FloatArray, blocks: FloatArray
) -> FloatArray:
    """Return the fees of one call of a replica: the call, and what it asks of storage."""
    billing, book = problem.billing, problem.book()
    call_usd = book.usd_per_request if billing.requests else 0.0
    if not billing.storage:
        return np.full_like(share, call_usd)
    prices, expert = book.storage_prices(problem.storage), problem.expert_of(layer)
    # Each minibatch's inputs and outputs are written once and read once; the parameters are read.
    passed = 0.0 * share
    minibatches = 0.0 * blocks
    if design != 3:
        passed = share * (expert.input_bytes_per_token + expert.output_bytes_per_token)
        minibatches = 2 * blocks
    writing_usd = prices.usd_per_put * minibatches + prices.usd_per_uploaded_gb * (
        passed / BYTES_PER_GB
    )
    read = problem.parameter_bytes_of(layer) + passed
    reading_usd = prices.usd_per_get * (1 + minibatches) + prices.usd_per_retrieved_gb * (
        read / BYTES_PER_GB
    )
    return call_usd + writing_usd + reading_usd


def _there(problem: ServerlessProblem) -> BoolArray:
    """Return which entries of the tables are experts, ``(layers, experts)``."""
    there: BoolArray = np.arange(problem.num_experts) < problem.experts()[:, None]
    return there


def _table(rows: Sequence[FloatArray]) -> FloatArray:
    """Return rows of unequal length as one table, filled up with zeros."""
    table = np.zeros((len(rows), max(map(len, rows))))
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values
    return table


def _shape_violations(problem: ServerlessProblem, plan: ServerlessPlan) -> list[Violation]:
    """Look for tables that cannot be read, the first of them only."""
    there, layers = _there(problem), (problem.num_layers,)
    everywhere = np.ones(layers, dtype=np.bool_)
    tables: list[tuple[str, npt.NDArray[Any], BoolArray, int, float, str]] = [
        ("design", plan.design, everywhere, 1, DESIGNS[-1], "layers"),
        ("pipeline_degree", plan.pipeline_degree, everywhere, 0, np.inf, "layers"),
        ("memory_mb", plan.memory_mb, there, 0, np.inf, "layers, experts"),
        ("replicas", plan.replicas, there, 0, np.inf, "layers, experts"),
    ]
    for name, table, own, least, most, meaning in tables:
        if table.shape != own.shape:
            message = f"must have shape {own.shape} = ({meaning}), has {table.shape}"
            return [_violation("shape", f"$.{name}", message, 1.0)]
        # Written so that nan is strange.
        fine = (table >= np.where(own, least, 0)) & (table <= np.where(own, most, 0))
        fine &= table == np.floor(table)
        if not fine.all():
            index = np.argwhere(~fine)[0]
            rule = f"an integer >= {least}" if most == np.inf else f"{least} to {most:.0f}"
            if not own[tuple(index)]:
                rule = f"0: layer {index[0]} has no such expert"
            message = f"must be {rule}, is {table[tuple(index)]}"
            return [_violation("shape", f"$.{name}{_at(index)}", message, float((~fine).sum()))]
    return []


def _design_violations(problem: ServerlessProblem, plan: ServerlessPlan) -> list[Violation]:
    strange = ~np.isin(plan.design, problem.designs)
    known = ", ".join(map(str, problem.designs))
    return _count("C8", "design", strange, f"the design of layer {{0}} must be one of {known}")


def _size_violations(
    problem: ServerlessProblem, plan: ServerlessPlan, there: BoolArray
) -> list[Violation]:
    strange = there & ~np.isin(plan.memory_mb, problem.memory_mb)
    what = "the memory of expert {1} of layer {0} must be one of the problem's memory_mb"
    return _count("C1", "memory_mb", strange, what)


def _replica_violations(
    problem: ServerlessProblem, plan: ServerlessPlan, there: BoolArray
) -> list[Violation]:
    beyond = np.maximum(1 - plan.replicas, plan.replicas - problem.max_replicas)
    what = f"expert {{1}} of layer {{0}} must have 1 to {problem.max_replicas} replicas"
    return _worst("C2", "replicas", np.where(there, beyond, 0), what)


def _degree_violations(problem: ServerlessProblem, plan: ServerlessPlan) -> list[Violation]:
    degree, pipelined = plan.pipeline_degree, plan.design == 1
    most = most_degree(problem, plan)
    beyond = np.where(pipelined, np.maximum(1 - degree, degree - most), degree)
    if beyond.max() > 0:
        layer = int(np.argmax(beyond))
        rule = f"1 to {most[layer]}, the most tokens of a replica" if pipelined[layer] else "0"
        message = f"the pipeline degree of layer {layer} must be {rule}, is {degree[layer]}"
        return [_violation("C7", f"$.pipeline_degree[{layer}]", message, float(beyond[layer]))]
    chosen = degree[pipelined]
    if problem.pipeline_degree == "model" and len(chosen) and chosen.min() < chosen.max():
        message = f"must be the same wherever the design is 1, is {chosen.min()} to {chosen.max()}"
        return [_violation("C7", "$.pipeline_degree", message, float(np.ptp(chosen)))]
    return []


def most_degree(problem: ServerlessProblem, plan: ServerlessPlan) -> IntArray:
    """Return the largest pipeline degree of each layer, (12e), were its design 1, ``(layers,)``.

    No more than the most tokens of a replica. With one degree for the model these are counted
    over all its layers of design 1, else in each layer.
    """
    largest = np.empty(problem.num_layers)
    for layer in range(problem.num_layers):
        tokens = problem.tokens_of(layer)
        largest[layer] = (tokens / plan.replicas[layer, : tokens.shape[1]]).max()
    if problem.pipeline_degree == "model" and (plan.design == 1).any():
        largest[:] = largest[plan.design == 1].max()
    most: IntArray = np.maximum(1, np.ceil(largest - TOLERANCE)).astype(np.int64)
    return most


def _memory_violations(layers: Sequence[LayerCalls]) -> list[Violation]:
    over = [calls.needed_bytes.max(axis=0) - calls.memory_bytes for calls in layers]
    slack = [TOLERANCE * calls.memory_bytes for calls in layers]
    what = "a replica of expert {1} of layer {0} needs {2:.6g} bytes more than its memory"
    return _worst("C3", "memory_mb", _beyond(over, slack), what)


def _payload_violations(
    problem: ServerlessProblem, plan: ServerlessPlan, layers: Sequence[LayerCalls]
) -> list[Violation]:
    # E3: (12f) as printed forbids storage where the payload fits, and nothing at design 3.
    limit = problem.tensor_payload_bytes()
    direct = plan.design == 3
    over = [
        np.where(here, calls.message_bytes.max(axis=0) - limit, 0.0)
        for here, calls in zip(direct, layers, strict=True)
    ]
    slack = [np.full(len(calls.replicas), TOLERANCE * limit) for calls in layers]
    what = "a call of expert {1} of layer {0} carries {2:.6g} bytes more than its payload takes"
    return _worst("C4", "replicas", _beyond(over, slack), what)


def _timeout_violations(
    problem: ServerlessProblem, layers: Sequence[LayerCalls]
) -> list[Violation]:
    limit = problem.limits().timeout_s
    over = [calls.billed_s.max(axis=0) - limit for calls in layers]
    slack = [np.full(len(calls.replicas), TOLERANCE * limit) for calls in layers]
    what = "a call of expert {1} of layer {0} takes {2:.6g} s longer than the platform allows"
    return _worst("C5", "memory_mb", _beyond(over, slack), what)


def _promise_violations(problem: ServerlessProblem, seconds: float) -> list[Violation]:
    if problem.slo_s is None or seconds <= problem.slo_s * (1 + TOLERANCE):
        return []
    message = f"the batch takes {seconds:.6g} s from end to end, promised are {problem.slo_s:.6g}"
    return [_violation("C6", "$", message, seconds - problem.slo_s)]


def _beyond(over: Sequence[FloatArray], slack: Sequence[FloatArray]) -> FloatArray:
    """Return a table of what is over, 0 where it is within the slack of rounding."""
    return _table([np.where(o > s, o, 0.0) for o, s in zip(over, slack, strict=True)])


def _count(constraint: str, name: str, strange: BoolArray, what: str) -> list[Violation]:
    """Return one violation that counts the strange entries of a table, if there are any."""
    if not strange.any():
        return []
    index = np.argwhere(strange)[0]
    path = f"$.{name}{_at(index)}"
    return [_violation(constraint, path, what.format(*index.tolist()), float(strange.sum()))]


def _worst(constraint: str, name: str, excess: npt.NDArray[Any], what: str) -> list[Violation]:
    """Return one violation for the largest positive entry of `excess`, if any."""
    if excess.max() <= 0:
        return []
    index = np.array(np.unravel_index(int(np.argmax(excess)), excess.shape))
    amount = float(excess[tuple(index)])
    message = what.format(*index.tolist(), amount)
    return [_violation(constraint, f"$.{name}{_at(index)}", message, amount)]


def _at(index: IntArray) -> str:
    return "".join(f"[{i}]" for i in index.tolist())


def _violation(constraint: str, path: str, message: str, amount: float) -> Violation:
    return Violation(constraint=constraint, path=path, message=message, amount=amount)
