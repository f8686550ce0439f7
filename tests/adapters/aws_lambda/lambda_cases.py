"""Small problems, plans, parameters and events for the tests of the Lambda adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from moeopt import library
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.weights import Expert
from moeopt.adapters.aws_lambda.worker.protocol import VERSION, Event, Tensor, to_text
from moeopt.io import load_problem
from moeopt.serverless.plan import ServerlessPlan, most_degree, violations
from moeopt.serverless.problem import (
    ExpertFunction,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

#: Seconds that a test's call waits for inputs.
WAIT_S = 20.0


def tiny(**changes: Any) -> ServerlessProblem:
    """Return ``tiny-2x4`` with some fields changed.

    As it stands, layer 0 cannot be direct: two calls do not carry its first expert's tokens.
    """
    problem: ServerlessProblem = load_problem(library.find("serverless/tiny-2x4"))
    return msgspec.structs.replace(problem, **changes)


def roomy() -> ServerlessProblem:
    """Return ``tiny-2x4`` without a promise, and with the platform's payload: all designs fit."""
    return tiny(slo_s=None, payload_bytes=None)


def mini(tokens: Sequence[Sequence[float]] = ((6, 3),), **changes: Any) -> ServerlessProblem:
    """Return a problem as small as can be, so that few workers start.

    Parameters
    ----------
    tokens
        Of each expert, by layer.
    changes
        Of other fields.
    """
    fields: dict[str, Any] = {
        "name": "mini",
        "layers": tuple(ServerlessLayer(tokens=np.array(t, dtype=float)) for t in tokens),
        "expert": ExpertFunction(
            parameter_bytes=4096,
            intermediate_bytes=100 << 20,
            input_bytes_per_token=32,
            output_bytes_per_token=16,
            compute=VcpuModel(seconds_per_token=1e-5),
        ),
        "network": Network(
            storage_bytes_per_s=1e8,
            function_bytes_per_s=3e7,
            access_delay_s=0.005,
            warm_start_s=0.002,
            cold_start_s=0.2,
        ),
        "memory_mb": (128, 256, 512, 1769),
        "max_replicas": 4,
    }
    return ServerlessProblem(**(fields | changes))


def plan_of(
    problem: ServerlessProblem,
    design: int | Sequence[int] = 3,
    *,
    replicas: int = 1,
    memory_mb: int = 512,
    degree: int = 2,
) -> ServerlessPlan:
    """Return a plan with the same choice everywhere that keeps the problem's rules.

    Parameters
    ----------
    problem
        Of which.
    design
        Of all layers, or of each.
    replicas, memory_mb
        Of each expert.
    degree
        Most tokens of a minibatch, where the design is 1; no more than a replica has.
    """
    designs = np.broadcast_to(design, (problem.num_layers,))
    there = np.arange(problem.num_experts) < problem.experts()[:, None]
    plan = ServerlessPlan(
        design=designs,
        pipeline_degree=np.where(designs == 1, degree, 0),
        memory_mb=np.where(there, memory_mb, 0),
        replicas=np.where(there, replicas, 0),
    )
    degrees = np.minimum(plan.pipeline_degree, most_degree(problem, plan))
    plan = msgspec.structs.replace(plan, pipeline_degree=degrees)
    broken = violations(problem, plan)
    assert not broken, broken
    return plan


def fleet_named(
    name: str, problem: ServerlessProblem, plan: ServerlessPlan, bucket: str | None = None
) -> Fleet:
    """Return a fleet; its bucket is named after it if none is given."""
    return Fleet(problem, plan, Names(name), bucket or f"moeopt-{name}-bucket")


def expert_of(
    seed: int = 0, *, inner: int = 8, hidden: int = 16, outer: int = 4, gated: bool = False
) -> Expert:
    """Return a small expert."""
    random = np.random.default_rng(seed)
    up, gate = (random.standard_normal((inner, hidden), dtype=np.float32) for _ in range(2))
    down = random.standard_normal((hidden, outer), dtype=np.float32)
    return Expert(up, down, gate if gated else None)


def some_tokens(number: int, width: int = 8, seed: int = 0) -> Tensor:
    """Return random tokens, ``(number, width)``."""
    return np.random.default_rng(seed).standard_normal((number, width), dtype=np.float32)


def direct_event(tokens: Tensor, **changes: Any) -> Event:
    """Return a call that carries its tokens."""
    event: dict[str, Any] = {
        "version": VERSION,
        "piece": "piece",
        "design": 3,
        "width": tokens.shape[1],
        "minibatches": [len(tokens)],
        "inputs": [],
        "payload": to_text(tokens),
        "outputs": [],
        "wait_s": WAIT_S,
    }
    return Event(**(event | changes))


def stored_event(
    minibatches: Sequence[int], prefix: str, *, width: int = 8, **changes: Any
) -> Event:
    """Return a call through storage: pipelined if there are several minibatches.

    Parameters
    ----------
    minibatches
        Tokens of each.
    prefix
        Keys are this with ``in0``, ``in1`` ... and ``out0``, ``out1`` ... after it.
    width
        Numbers of a token.
    changes
        Of other fields.
    """
    event: dict[str, Any] = {
        "version": VERSION,
        "piece": prefix,
        "design": 1 if len(minibatches) > 1 else 2,
        "width": width,
        "minibatches": list(minibatches),
        "inputs": [f"{prefix}in{k}" for k in range(len(minibatches))],
        "payload": "",
        "outputs": [f"{prefix}out{k}" for k in range(len(minibatches))],
        "wait_s": WAIT_S,
    }
    return Event(**(event | changes))
