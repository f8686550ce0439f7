"""Batches that are too much for a call: they are halved until their pieces are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from lambda_cases import mini, plan_of
from lambda_left import everything

from moeopt.adapters.aws_lambda.batch import LayerResult
from moeopt.adapters.aws_lambda.calls import Call
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions, deploy, fleet_of
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.reference import reference
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.adapters.aws_lambda.routing import routed
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.weights import random_weights
from moeopt.describe.pricing import price_book
from moeopt.serverless.problem import ExpertFunction, VcpuModel

#: Numbers of a token, in and out.
WIDTH, OUT = 512, 1024

BOOK = price_book("aws-lambda")

#: One expert, of a platform that is said to take larger payloads than it does: what is split
#: beforehand is too large.
PROBLEM = mini(
    ((8.0,),),
    expert=ExpertFunction(
        parameter_bytes=4 * (WIDTH + OUT) * 8,
        input_bytes_per_token=4 * WIDTH,
        output_bytes_per_token=4 * OUT,
        compute=VcpuModel(seconds_per_token=1e-5),
    ),
    prices=msgspec.structs.replace(
        BOOK, limits=msgspec.structs.replace(BOOK.limits, payload_bytes=40_000_000)
    ),
)
WEIGHTS = random_weights(PROBLEM)


@pytest.fixture(scope="module")
def large(clients: Clients) -> Iterator[Clients]:
    """Clients of a stand on which nothing of this module's functions is left after its tests."""
    before = everything(clients)
    yield clients
    names = fleet_of(PROBLEM, plan_of(PROBLEM, 3), DeployOptions(name="large"), clients).names
    remove(names, clients)
    assert everything(clients) == before


def run(clients: Clients, tokens: int, design: int, memory_mb: int, timeout_s: int) -> LayerResult:
    """Return what the expert made of so many tokens, which is what it should have."""
    options = DeployOptions(name="large", timeout_s=timeout_s)
    fleet = fleet_of(PROBLEM, plan_of(PROBLEM, design, memory_mb=memory_mb), options, clients)
    deploy(fleet, WEIGHTS, clients, options)
    batch: Any = routed(np.array([tokens]), WIDTH)
    with Gate(fleet, clients, wait_s=timeout_s) as gate:
        result = gate.layer(0, *batch)
    np.testing.assert_allclose(result.outputs, reference(WEIGHTS, 0, *batch), rtol=0, atol=1e-5)
    return result


def ended(calls: tuple[Call, ...], error: str | None) -> list[int]:
    """Return the tokens of calls that ended so."""
    return sorted(call.tokens for call in calls if call.error == error)


def test_a_payload_that_is_refused_is_halved(large: Clients) -> None:
    calls = run(large, 2400, design=3, memory_mb=1769, timeout_s=30).record.calls
    # First the request is too large, then the responses.
    assert ended(calls, "payload") == [1200, 1200, 2400]
    assert ended(calls, None) == [600] * 4
    assert {call.billed_s for call in calls if call.tokens == 2400} == {0.0}
    assert all(call.billed_s > 0.0 for call in calls if call.tokens < 2400)


def test_a_call_that_times_out_is_halved(large: Clients, stand: Stand) -> None:
    stand.inject(Fault("s3-slow", function="large", key="in-", seconds=4.0))
    calls = run(large, 9, design=2, memory_mb=1769, timeout_s=2).record.calls
    assert ended(calls, "timeout") == [9]
    assert ended(calls, None) == [4, 5]


def test_a_call_without_memory_is_halved(large: Clients) -> None:
    calls = run(large, 8000, design=2, memory_mb=128, timeout_s=60).record.calls
    assert ended(calls, "memory")[-1] == 8000
    assert sum(ended(calls, None)) == 8000
