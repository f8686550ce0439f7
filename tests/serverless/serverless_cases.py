"""Problems in round numbers, and their bill and seconds a second time, in loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from moeopt.describe.pricing import (
    DurationTier,
    FunctionPrices,
    PlatformLimits,
    PriceBook,
    StoragePrices,
)
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import (
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

MB = 2**20

#: A second of 128 MB is a dollar, of 256 MB two.
BOOK = PriceBook(
    name="round numbers",
    functions={
        "x86": FunctionPrices(
            duration=(DurationTier(usd_per_gb_s=8.0),),
            provisioned_held_usd_per_gb_s=0.8,
            provisioned_running_usd_per_gb_s=4.0,
        ),
        "bare": FunctionPrices(duration=(DurationTier(usd_per_gb_s=8.0),)),
    },
    usd_per_request=0.5,
    billing_step_s=1.0,
    ephemeral_usd_per_gb_s=1.0,
    ephemeral_free_mb=512,
    storage={
        "s3-standard": StoragePrices(usd_per_put=0.01, usd_per_get=0.001),
        "busy": StoragePrices(
            usd_per_put=0.01, usd_per_get=0.001, usd_per_uploaded_gb=2e6, usd_per_retrieved_gb=1e6
        ),
    },
    limits=PlatformLimits(
        least_memory_mb=128,
        most_memory_mb=1024,
        memory_step_mb=64,
        mb_per_vcpu=256,
        payload_bytes=400,
        timeout_s=1000,
        most_ephemeral_mb=2048,
    ),
)

#: 0.1 s in and 0.2 s out through storage, 0.2 and 0.4 s direct; parameters take 1 s.
EXPERT = ExpertFunction(
    parameter_bytes=100,
    input_bytes_per_token=10,
    output_bytes_per_token=20,
    compute=MemoryTable(seconds_per_token=(0.5, 0.25)),
)

#: With parameters, an expert's head takes 2 + 1 + 1 s.
NETWORK = Network(
    storage_bytes_per_s=100,
    function_bytes_per_s=50,
    access_delay_s=1.0,
    warm_start_s=2.0,
    cold_start_s=5.0,
)


def layer(tokens: Any, **fields: Any) -> ServerlessLayer:
    """Return a layer before one of 300 bytes, which takes 6 s to be there."""
    stated = {"next_parameter_bytes": 300, "non_moe_s": 1.0, **fields}
    return ServerlessLayer(tokens=np.array(tokens, dtype=float), **stated)


def problem(*tokens: Any, **fields: Any) -> ServerlessProblem:
    """Return a problem of layers with these tokens, or with the `layers` among the fields."""
    stated = {
        "layers": tuple(layer(row) for row in tokens or ([8, 4, 0],)),
        "expert": EXPERT,
        "network": NETWORK,
        "memory_mb": (128, 256),
        "max_replicas": 4,
        "head_s": 3.0,
        "tail_s": 2.0,
        "prices": BOOK,
    }
    return ServerlessProblem(**{**stated, **fields})


def plan(design: Any, memory_mb: Any, replicas: Any, degree: Any = None) -> ServerlessPlan:
    """Return a plan; a number stands for a layer of that number."""
    return ServerlessPlan(
        design=np.atleast_1d(design),
        pipeline_degree=np.atleast_1d(np.zeros_like(design) if degree is None else degree),
        memory_mb=np.atleast_2d(memory_mb),
        replicas=np.atleast_2d(replicas),
    )


def drawn(seed: int, **fields: Any) -> ServerlessProblem:
    """Return a problem of one to three layers with numbers drawn from a seed, on Lambda."""
    rng = np.random.default_rng(seed)
    scenarios = int(rng.integers(1, 3))
    layers = tuple(
        ServerlessLayer(
            tokens=rng.integers(0, 3000, (scenarios, int(rng.integers(1, 4)))).astype(float),
            non_moe_s=float(rng.uniform(0, 0.5)),
            next_parameter_bytes=int(rng.integers(0, 60_000_000)),
        )
        for _ in range(int(rng.integers(1, 4)))
    )
    stated = {
        "layers": layers,
        "expert": ExpertFunction(
            parameter_bytes=18_874_368,
            intermediate_bytes=10_000_000,
            input_bytes_per_token=3072,
            output_bytes_per_token=3072,
            compute=VcpuModel(seconds_per_token=float(rng.uniform(0.0003, 0.003))),
        ),
        "network": Network(
            storage_bytes_per_s=65e6,
            function_bytes_per_s=40e6,
            access_delay_s=0.08,
            warm_start_s=0.1,
            cold_start_s=2.0,
        ),
        "memory_mb": (128, 768, 3008),
        "max_replicas": 3,
        "head_s": 0.5,
        "tail_s": 0.25,
    }
    return ServerlessProblem(**{**stated, **fields})


def drawn_plan(seed: int, stated: ServerlessProblem) -> ServerlessPlan:
    """Return any plan that can be read, whatever rules it breaks."""
    rng = np.random.default_rng(seed)
    shape = (stated.num_layers, stated.num_experts)
    there = np.arange(shape[1]) < stated.experts()[:, None]
    design = rng.integers(1, 4, shape[0])
    return ServerlessPlan(
        design=design,
        pipeline_degree=np.where(design == 1, rng.integers(1, 1500, shape[0]), 0),
        memory_mb=rng.choice(stated.memory_mb, shape) * there,
        replicas=rng.integers(1, stated.max_replicas + 1, shape) * there,
    )


def naive_value(stated: ServerlessProblem, made: ServerlessPlan) -> tuple[float, float]:
    """Return the bill and the seconds of a plan: the page in loops, one call after the other."""
    network, billing, book = stated.network, stated.billing, stated.book()
    usd = 0.0
    seconds = stated.head_s + stated.tail_s
    for e, own in enumerate(stated.layers):
        layer_s = []
        for s, weight in enumerate(stated.weights().tolist()):
            tokens = stated.tokens_of(e)[s].tolist()
            done = [_call(stated, made, e, tokens, i)[1] for i in range(len(tokens))]
            for i in range(len(tokens)):
                usd += weight * made.replicas[e, i] * _call(stated, made, e, tokens, i)[0]
            delay_s, rate = network.access_delay_s, network.storage_bytes_per_s
            load_s = network.warm_start_s + own.next_parameter_bytes / rate + delay_s
            gather_s = sum(tokens) * stated.expert_of(e).output_bytes_per_token / rate
            stored_s = max(load_s, *done) + delay_s + gather_s
            layer_s.append(max(done) + load_s if made.design[e] == 3 else stored_s)
        seconds += max(layer_s) + own.non_moe_s
        for i in range(len(tokens)):
            held = (billing.provisioned_s or 0.0) * made.memory_mb[e, i] / 1024
            held *= book.function_prices(stated.architecture).provisioned_held_usd_per_gb_s or 0.0
            usd += made.replicas[e, i] * held
    return usd + seconds * stated.waiting_usd_per_s(), seconds


def _call(
    stated: ServerlessProblem, made: ServerlessPlan, e: int, tokens: list[float], i: int
) -> tuple[float, float]:
    """Return what one replica costs in a scenario, and when it is done."""
    network, billing, book = stated.network, stated.billing, stated.book()
    expert, design = stated.expert_of(e), int(made.design[e])
    share = tokens[i] / int(made.replicas[e, i])
    if share == 0:
        return 0.0, 0.0
    size = stated.memory_mb.index(int(made.memory_mb[e, i]))
    compute = float(stated.seconds_per_token_of(e)[size])
    parameters = float(stated.parameter_bytes_of(e)[i])
    head = network.warm_start_s + network.access_delay_s + parameters / network.storage_bytes_per_s
    blocks = math.ceil(share / int(made.pipeline_degree[e]) - 1e-9) if design == 1 else 1

    def times(start: float) -> tuple[float, float]:
        """Return when a replica is done, and its seconds of work."""
        delay = network.access_delay_s
        to, back = expert.input_bytes_per_token, expert.output_bytes_per_token
        if design == 3:
            work = start + share * (back / network.function_bytes_per_s + compute)
            return work + share * to / network.function_bytes_per_s, work
        to, back = to / network.storage_bytes_per_s, back / network.storage_bytes_per_s
        upload = delay + sum(tokens) * to
        if design == 2:
            work = 2 * delay + share * (to + back + compute)
            return max(start, upload) + work, start + work
        block = delay + share / blocks * max(to + compute, back)
        work = delay + share / blocks * back + blocks * block
        first = max(start, delay + share / blocks * to)
        last = upload + delay + share / blocks * back + block
        return max(first + work, last), start + work

    def billed(start: float) -> float:
        done, work = times(start)
        counted = done if billing.waiting and design != 3 else work
        if not billing.rounding:
            return counted
        return math.ceil(counted / book.billing_step_s - 1e-6) * book.billing_step_s

    cold = head + network.cold_start_s
    chance = billing.cold_share if billing.cold_starts and book.init_is_billed else 0.0
    usd = ((1 - chance) * billed(head) + chance * billed(cold)) * float(stated.usd_per_s()[size])
    if billing.requests:
        usd += book.usd_per_request
    if billing.storage:
        prices = book.storage_prices(stated.storage)
        moved = share * (expert.input_bytes_per_token + expert.output_bytes_per_token)
        usd += prices.usd_per_get + parameters / 1e9 * prices.usd_per_retrieved_gb
        if design != 3:
            usd += 2 * blocks * (prices.usd_per_put + prices.usd_per_get)
            usd += moved / 1e9 * (prices.usd_per_uploaded_gb + prices.usd_per_retrieved_gb)
    return usd, times(cold if stated.slo_start == "cold" else head)[0]
