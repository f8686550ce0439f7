"""Fleets of one layer with any numbers, and batches for them, for tests of the gate."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.worker.protocol import Tensor
from moeopt.core.arrays import IntArray
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import (
    ExpertFunction,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

#: Numbers of a token, in and out.
WIDTH, OUT = 3, 2

#: Tokens that a replica was planned for.
PLANNED = 8


def fleet(design: int, replicas: list[int], degree: int = 1, direct_tokens: int = 8) -> Fleet:
    """Return a layer of as many experts as there are entries of `replicas`."""
    counts = np.array(replicas)
    problem = ServerlessProblem(
        layers=(ServerlessLayer(tokens=PLANNED * counts.astype(np.float64)),),
        expert=ExpertFunction(
            parameter_bytes=1000,
            input_bytes_per_token=4 * WIDTH,
            output_bytes_per_token=4 * OUT,
            compute=VcpuModel(seconds_per_token=0.001),
        ),
        network=Network(storage_bytes_per_s=1e6, function_bytes_per_s=1e6),
        memory_mb=(128,),
        max_replicas=8,
        payload_bytes=4 * WIDTH * direct_tokens,
    )
    plan = ServerlessPlan(
        design=np.array([design]),
        pipeline_degree=np.array([degree if design == 1 else 0]),
        memory_mb=np.full((1, len(counts)), 128),
        replicas=counts[None, :],
    )
    return Fleet(problem, plan, Names("gate"), "bucket")


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Draw a fleet of any design."""
    replicas = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    direct = draw(st.integers(PLANNED, 20))
    return fleet(draw(st.integers(1, 3)), replicas, draw(st.integers(1, PLANNED)), direct)


@st.composite
def batches(draw: st.DrawFn, experts: int) -> tuple[Tensor, IntArray, Tensor]:
    """Draw tokens, choices and weights: few tokens or none, experts twice, weights of 0."""
    tokens, choices = draw(st.integers(0, 40)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    # Now and then all tokens go to one expert.
    some = draw(st.integers(1, experts))
    expert_ids = rng.integers(0, some, (tokens, choices))
    weights = rng.standard_normal((tokens, choices), dtype=np.float32)
    weights[rng.random((tokens, choices)) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 0.0
    return rng.standard_normal((tokens, WIDTH), dtype=np.float32), expert_ids, weights
