"""What `moeopt bench lambda` deploys: a layer of two experts, and a platform like Lambda."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import (
    Design,
    ExpertFunction,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

#: Numbers of a token and of an expert's hidden layer, in float32.
WIDTH, HIDDEN = 512, 1024
TOKEN_BYTES = 4 * WIDTH

#: Memory sizes; the largest has a whole processor.
MEMORY_MB = (512, 1024, 1769)

#: Three of four tokens go to the first expert.
SHARES = (0.75, 0.25)

#: What the stand is told to be: S3's delays are some four times as long, which would only take
#: longer to measure; a call's bytes are slow, so that designs cross within what a call carries.
PLATFORM = Network(
    storage_bytes_per_s=40e6,
    function_bytes_per_s=15e6,
    access_delay_s=0.025,
    warm_start_s=0.02,
    cold_start_s=0.2,
)

#: What the problem says before anything was measured: guesses, each off by a good part.
GUESS = Network(
    storage_bytes_per_s=200e6,
    function_bytes_per_s=100e6,
    access_delay_s=0.01,
    warm_start_s=0.001,
    cold_start_s=1.0,
)


def model(tokens: int, network: Network = GUESS) -> ServerlessProblem:
    """Return the layer with so many tokens.

    Parameters
    ----------
    tokens
        Of a batch.
    network
        What is believed of the platform.
    """
    return ServerlessProblem(
        name="lambda-bench",
        layers=(ServerlessLayer(tokens=counts(tokens).astype(np.float64)),),
        expert=ExpertFunction(
            parameter_bytes=2 * TOKEN_BYTES * HIDDEN,
            intermediate_bytes=96 * 2**20,
            input_bytes_per_token=TOKEN_BYTES,
            output_bytes_per_token=TOKEN_BYTES,
            compute=VcpuModel(seconds_per_token=1e-3),
        ),
        network=network,
        memory_mb=MEMORY_MB,
    )


def counts(tokens: int) -> IntArray:
    """Return the tokens of each expert, ``(experts,)``."""
    first = round(SHARES[0] * tokens)
    return np.array([first, tokens - first], dtype=np.int64)


def with_batch(problem: ServerlessProblem, tokens: int) -> ServerlessProblem:
    """Return the problem with another number of tokens."""
    layer = msgspec.structs.replace(problem.layers[0], tokens=counts(tokens).astype(np.float64))
    return msgspec.structs.replace(problem, layers=(layer,))


def plan_of(
    design: Design, memory_mb: Sequence[int], replicas: Sequence[int] = (1, 1), degree: int = 0
) -> ServerlessPlan:
    """Return a plan of the layer.

    Parameters
    ----------
    design
        Of the layer.
    memory_mb, replicas
        Of each expert.
    degree
        Most tokens of a minibatch of design 1.
    """
    return ServerlessPlan(
        design=np.array([design]),
        pipeline_degree=np.array([degree if design == 1 else 0]),
        memory_mb=np.array([memory_mb]),
        replicas=np.array([replicas]),
    )
