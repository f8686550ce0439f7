"""A layer of two experts at round prices, and calls of it, for tests that need no stand."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.adapters.aws_lambda.calls import Call
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.names import Names
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
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

#: A second of 128 MB is a dollar; beyond 10 GB-seconds in a month it is half of that.
BOOK = PriceBook(
    name="round numbers",
    functions={
        "x86": FunctionPrices(
            duration=(
                DurationTier(usd_per_gb_s=8.0, up_to_gb_s=10.0),
                DurationTier(usd_per_gb_s=4.0),
            )
        )
    },
    usd_per_request=0.5,
    billing_step_s=0.001,
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
        payload_bytes=20_000,
        payload_is_json=True,
        timeout_s=900,
        most_ephemeral_mb=2048,
    ),
)


def problem(**more: Any) -> ServerlessProblem:
    """Return a problem of one layer with experts of 1,000 bytes and tokens of two numbers."""
    return ServerlessProblem(
        layers=(ServerlessLayer(tokens=np.array([8.0, 4.0])),),
        expert=ExpertFunction(
            parameter_bytes=1000,
            input_bytes_per_token=8,
            output_bytes_per_token=8,
            compute=VcpuModel(seconds_per_token=0.001),
        ),
        network=Network(storage_bytes_per_s=1e6, function_bytes_per_s=1e6),
        memory_mb=(128, 256),
        max_replicas=2,
        prices=BOOK,
        **more,
    )


def fleet(design: int = 3) -> Fleet:
    """Return the problem under a plan: the second expert's functions have 256 MB."""
    plan = ServerlessPlan(
        design=np.array([design]),
        pipeline_degree=np.array([2 if design == 1 else 0]),
        memory_mb=np.array([[128, 256]]),
        replicas=np.array([[1, 2]]),
    )
    return Fleet(problem(), plan, Names("round"), "bucket")


def call(**more: Any) -> Call:
    """Return a direct call of 4 tokens that took a second of 128 MB, but for what is given."""
    fields = {
        "function": "moeopt-round-0-0",
        "layer": 0,
        "expert": 0,
        "replica": 0,
        "design": 3,
        "memory_mb": 128,
        "piece": "p",
        "attempt": 1,
        "minibatches": (4,),
        "began_s": 0.0,
        "ended_s": 1.5,
        "duration_s": 1.0,
        "billed_s": 1.0,
        "init_s": None,
        "used_mb": 40,
        "request_bytes": 100,
        "response_bytes": 100,
    }
    return Call(**(fields | more))
