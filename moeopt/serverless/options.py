"""Every way to run an expert, with its cost and its latency: what all methods choose from.

An option of an expert is a memory size and a number of replicas, under a design and a pipeline
degree of its layer. What it costs and how late it is done depends on no other expert.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray
from moeopt.describe.pricing import BYTES_PER_GB
from moeopt.serverless.designs import Clock, blocks_of
from moeopt.serverless.plan import BYTES_PER_MB, TOLERANCE, clock_of
from moeopt.serverless.problem import ServerlessProblem


@dataclass(frozen=True)
class LayerData:
    """One layer as arrays.

    Attributes
    ----------
    layer
        Its index.
    clock
        Times that no decision changes.
    tokens
        Of each expert, ``(scenarios, experts)``.
    weights
        Of the scenarios, ``(scenarios,)``.
    parameter_bytes
        ``(experts,)``.
    head_s
        Start and parameters of a replica that starts warm, ``(experts,)``.
    compute_s
        Of a token, ``(memory sizes,)``.
    memory_bytes, usd_per_s, held_usd
        ``(memory sizes,)``.
    upload_s
        The gate's upload, ``(scenarios,)``.
    """

    layer: int
    clock: Clock
    tokens: FloatArray
    weights: FloatArray
    parameter_bytes: FloatArray
    head_s: FloatArray
    compute_s: FloatArray
    memory_bytes: FloatArray
    usd_per_s: FloatArray
    held_usd: FloatArray
    upload_s: FloatArray

    @property
    def total_tokens(self) -> FloatArray:
        """Tokens of the layer, ``(scenarios,)``."""
        total: FloatArray = self.tokens.sum(axis=1)
        return total


@dataclass(frozen=True)
class Blocks:
    """Minibatches of replicas: the fewest, those of least working time, the most.

    One and the same array for a degree; bounds for a range of degrees.
    """

    few: FloatArray
    best: FloatArray
    many: FloatArray


@dataclass(frozen=True)
class Options:
    """All options of the experts of a layer under one design, ``(experts, sizes, replicas)``.

    Attributes
    ----------
    cost_usd
        Of all replicas of the expert, mean over scenarios.
    latency_s
        Of the layer, were it for this expert alone; the slowest scenario. The layer's latency is
        the largest of its experts'.
    fits
        Whether memory, payload and the longest call allow it, in all scenarios.
    """

    cost_usd: FloatArray
    latency_s: FloatArray
    fits: BoolArray


def layer_data(problem: ServerlessProblem, layer: int) -> LayerData:
    """Return one layer of a problem as arrays."""
    network = problem.network
    parameters = problem.parameter_bytes_of(layer)
    fixed_s = network.access_delay_s + network.warm_start_s
    clock = clock_of(problem, layer)
    tokens = problem.tokens_of(layer)
    return LayerData(
        layer=layer,
        clock=clock,
        tokens=tokens,
        weights=problem.weights(),
        parameter_bytes=parameters,
        head_s=parameters / network.storage_bytes_per_s + fixed_s,
        compute_s=problem.seconds_per_token_of(layer),
        memory_bytes=np.array(problem.memory_mb) * BYTES_PER_MB,
        usd_per_s=problem.usd_per_s(),
        held_usd=problem.held_usd(),
        upload_s=clock.upload_s(tokens.sum(axis=1)),
    )


def layer_options(
    problem: ServerlessProblem, data: LayerData, design: int, degree: int = 0
) -> Options:
    """Return all options of a layer's experts.

    Parameters
    ----------
    problem, data
        The layer, by `layer_data`.
    design
        1, 2 or 3.
    degree
        Tokens of the largest minibatch of design 1; the others have none.
    """
    share = _shares(problem, data)
    blocks = blocks_of(share, degree) if design == 1 else np.ones_like(share)
    return _options(problem, data, design, share, Blocks(few=blocks, best=blocks, many=blocks))


def options_within(problem: ServerlessProblem, data: LayerData, low: int, high: int) -> Options:
    """Return options that no degree from `low` to `high` of design 1 can better.

    Each replica has the number of minibatches that it likes best, for each part of its time and
    its bill apart, among those that some of these degrees give it. With one degree alone these
    are the options of that degree.
    """
    share, clock = _shares(problem, data), data.clock
    few, many = blocks_of(share, high), blocks_of(share, low)
    best = many
    if clock.delay_s:
        # Working time is convex in the number of minibatches: a neighbour of the real optimum.
        # Beside next to no delay it may be beyond all floats, and is cut to what there is.
        with np.errstate(over="ignore"):
            ideal = np.sqrt(share * clock.output_storage_s / clock.delay_s)
        below, above = (np.clip(f(ideal), few, many) for f in (np.floor, np.ceil))
        compute_s = np.zeros(1)
        slower = clock.pipelined_s(share, below, compute_s) > clock.pipelined_s(
            share, above, compute_s
        )
        best = np.where(slower, above, below)
    return _options(problem, data, 1, share, Blocks(few=few, best=best, many=many))


def _shares(problem: ServerlessProblem, data: LayerData) -> FloatArray:
    """Return a replica's tokens; axes: scenarios, experts, memory sizes (one), replicas."""
    replicas = np.arange(1, problem.max_replicas + 1)
    share: FloatArray = (data.tokens[:, :, None] / replicas)[:, :, None, :]
    return share


def _options(
    problem: ServerlessProblem, data: LayerData, design: int, share: FloatArray, blocks: Blocks
) -> Options:
    cold_s = problem.network.cold_start_s
    replicas = np.arange(1, problem.max_replicas + 1)
    total = data.total_tokens[:, None, None, None]
    used = share > 0

    done_s = _done_s(data, design, share, blocks, cold_s if problem.slo_start == "cold" else 0.0)
    latency_s = data.clock.layer_s(design, np.where(used, done_s, 0.0), total).max(axis=0)

    warm_s = _billed_s(problem, data, design, share, blocks, 0.0)
    mean_s, cold_share = warm_s, cold_share_billed(problem)
    if cold_share:
        cold_billed_s = _billed_s(problem, data, design, share, blocks, cold_s)
        mean_s = (1.0 - cold_share) * warm_s + cold_share * cold_billed_s
    each_usd = mean_s * data.usd_per_s[:, None]
    each_usd = each_usd + call_usd(problem, data, design, share, blocks.few)
    weights = data.weights[:, None, None, None]
    mean_usd = (weights * np.where(used, each_usd, 0.0)).sum(axis=0)
    cost_usd = replicas * (mean_usd + data.held_usd[:, None])

    shape = (data.tokens.shape[1], len(problem.memory_mb), len(replicas))
    return Options(
        cost_usd=np.broadcast_to(cost_usd, shape),
        latency_s=np.broadcast_to(latency_s, shape),
        fits=np.broadcast_to(_fits(problem, data, design, share, warm_s), shape),
    )


def _done_s(
    data: LayerData, design: int, share: FloatArray, blocks: Blocks, start_s: float
) -> FloatArray:
    """Return when a replica is done that needs `start_s` beyond a warm start."""
    head_s = data.head_s[:, None, None] + start_s
    compute_s, upload_s = data.compute_s[:, None], data.upload_s[:, None, None, None]
    if design != 1 or blocks.few is blocks.many:
        return data.clock.until_stored_s(design, head_s, share, blocks.few, compute_s, upload_s)
    # The same with the best for each term: the first input and the last minibatch come sooner
    # with many, the work between takes least with the best.
    size, one = share / blocks.many, np.ones_like(share)
    first_s = np.maximum(head_s, data.clock.delay_s + size * data.clock.input_storage_s)
    last_s = upload_s + data.clock.pipelined_s(size, one, compute_s)
    return np.maximum(first_s + data.clock.pipelined_s(share, blocks.best, compute_s), last_s)


def _billed_s(
    problem: ServerlessProblem, data: LayerData, design: int, share: FloatArray, blocks: Blocks,
    start_s: float,
) -> FloatArray:  # fmt: skip
    """Return the billed seconds of a replica that needs `start_s` beyond a warm start."""
    if problem.billing.waiting and design != 3:
        seconds = _done_s(data, design, share, blocks, start_s)
    else:
        head_s = data.head_s[:, None, None] + start_s
        compute_s = data.compute_s[:, None]
        seconds = data.clock.working_s(design, head_s, share, blocks.best, compute_s)
    return problem.book().billed_s(seconds) if problem.billing.rounding else seconds


def cold_share_billed(problem: ServerlessProblem) -> float:
    """Return the share of calls whose cold start is billed."""
    billing = problem.billing
    billed = billing.cold_starts and problem.book().init_is_billed
    return billing.cold_share if billed and billing.provisioned_s is None else 0.0


def call_usd(
    problem: ServerlessProblem, data: LayerData, design: int, share: FloatArray, blocks: FloatArray
) -> FloatArray:
    """Return the fees of one call of a replica: the call, and what it asks of storage.

    Parameters are read once. Through storage, inputs and outputs are each written and read once
    for every minibatch.
    """
    billing, book = problem.billing, problem.book()
    fees = np.full(np.broadcast_shapes(share.shape, blocks.shape), 0.0)
    if billing.requests:
        fees = fees + book.usd_per_request
    if not billing.storage:
        return fees
    prices = book.storage_prices(problem.storage)
    expert = problem.expert_of(data.layer)
    read = data.parameter_bytes[:, None, None]
    fees = fees + prices.usd_per_get
    written: FloatArray = np.zeros_like(share)
    if design != 3:
        written = share * (expert.input_bytes_per_token + expert.output_bytes_per_token)
        read = read + written
        fees = fees + 2 * blocks * (prices.usd_per_put + prices.usd_per_get)
    traffic = written * prices.usd_per_uploaded_gb + read * prices.usd_per_retrieved_gb
    return fees + traffic / BYTES_PER_GB


def _fits(
    problem: ServerlessProblem, data: LayerData, design: int, share: FloatArray,
    warm_s: FloatArray,
) -> BoolArray:  # fmt: skip
    """Return which options C3, C4 and C5 allow, over axes as in `layer_options`."""
    expert = problem.expert_of(data.layer)
    both = expert.input_bytes_per_token + expert.output_bytes_per_token
    most = share.max(axis=0)
    needed = data.parameter_bytes[:, None, None] + expert.intermediate_bytes + most * both
    allowed = needed <= data.memory_bytes[:, None] * (1 + TOLERANCE)
    if design == 3:
        larger = max(expert.input_bytes_per_token, expert.output_bytes_per_token)
        allowed = allowed & (most * larger <= problem.tensor_payload_bytes() * (1 + TOLERANCE))
    timeout_s = problem.limits().timeout_s * (1 + TOLERANCE)
    fitting: BoolArray = allowed & (warm_s.max(axis=0) <= timeout_s)
    return fitting
