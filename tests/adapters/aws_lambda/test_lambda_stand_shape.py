"""Delays of the stand, and the faults that calls meet on purpose."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from lambda_small import Small, small

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.core.errors import InstanceError


@pytest.fixture(scope="module")
def function(clients: Clients) -> Iterator[Small]:
    with small(clients) as made:
        yield made


@pytest.fixture
def shaped(stand: Stand) -> Iterator[Stand]:
    """Give the stand back without delays and faults."""
    yield stand
    stand.reshape(Shape())
    stand.clear()


def test_lambda_stand_a_cold_start_takes_at_least_what_is_asked_for(
    shaped: Stand, function: Small
) -> None:
    shaped.chill()
    shaped.reshape(Shape(cold_start_s=0.2))
    called = function.call({})
    assert called.ms("Init Duration") >= 200.0
    assert called.ms("Billed Duration") >= 200.0
    assert not function.call({}).cold


def test_lambda_stand_an_answers_bytes_are_time_of_the_call(shaped: Stand, function: Small) -> None:
    shaped.reshape(Shape(function_bytes_per_s=750e3))
    # Base64 counts three quarters: a megabyte of it takes a second.
    assert function.call({"characters": 100_000}).ms("Duration") >= 100.0


def test_lambda_stand_a_requests_bytes_and_a_warm_start_are_not_time_of_the_call(
    shaped: Stand, clients: Clients
) -> None:
    shaped.reshape(Shape(function_bytes_per_s=750e3, warm_start_s=0.7))
    with small(clients, "brief", Timeout=1) as function:
        began_s = time.monotonic()
        # Longer on its way than the function may take.
        assert function.call({"fill": "x" * 400_000}).error is None
        assert time.monotonic() - began_s >= 1.1


def test_lambda_stand_a_crash_is_one_in_the_middle_of_a_call(
    shaped: Stand, function: Small
) -> None:
    shaped.inject(Fault("crash", function="small"), Fault("crash", function="of another"))
    called = function.call({"seconds": 5})
    assert called.said["errorType"] == "Runtime.ExitError"
    assert called.said["errorMessage"].endswith("signal: segmentation fault")
    assert called.report["Max Memory Used"] != called.report["Memory Size"]
    assert function.call({}).error is None


def test_lambda_stand_refusals_are_met_once(shaped: Stand, function: Small) -> None:
    shaped.inject(Fault("throttle"), Fault("service"))
    found = []
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            function.call({})
        found.append(caught.value.response["Error"]["Code"])
    assert sorted(found) == ["ServiceException", "TooManyRequestsException"]
    assert function.call({}).error is None


def test_lambda_stand_lost_connections_ran_or_did_not(shaped: Stand, function: Small) -> None:
    before = shaped.statistics().calls
    for kind, ran in (("disconnect", 0), ("lost-answer", 1)):
        shaped.inject(Fault(kind))
        with pytest.raises(ConnectionClosedError):
            function.call({})
        assert shaped.statistics().calls == before + ran
    assert function.call({}).error is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("storage_bytes_per_s", 0.0),
        ("function_bytes_per_s", math.nan),
        ("access_delay_s", -0.1),
        ("cold_start_s", math.inf),
        ("concurrency", 0),
    ],
)
def test_lambda_stand_impossible_shapes_are_refused(field: str, value: float) -> None:
    with pytest.raises(InstanceError) as refused:
        Shape(**{field: value})
    assert refused.value.path == f"$.{field}"
