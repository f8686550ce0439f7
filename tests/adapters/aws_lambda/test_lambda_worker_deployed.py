"""The function as it is deployed: called through the stand, under AWS's runtime client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from lambda_cases import direct_event, expert_of, some_tokens, stored_event

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deployer.package import HANDLER, code_package
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.worker.protocol import (
    BUCKET,
    KEEP,
    WEIGHTS,
    Event,
    from_bytes,
    from_text,
    to_bytes,
)

HERE = "worker-deployed"
ROLE = "arn:aws:iam::123456789012:role/worker-deployed"

#: A function's settings beside its code.
SETTINGS: dict[str, Any] = {
    "FunctionName": HERE,
    "Role": ROLE,
    "Timeout": 30,
    "MemorySize": 1769,
}


@pytest.fixture(scope="module")
def function(clients: Clients) -> Iterator[Clients]:
    """Deploy the worker, without its NumPy: the stand's Python has one."""
    clients.storage.create_bucket(Bucket=HERE)
    clients.storage.put_object(Bucket=HERE, Key="w.npz", Body=expert_of().to_npz())
    clients.roles.create_role(RoleName=HERE, AssumeRolePolicyDocument="{}")
    clients.functions.create_function(
        Runtime="python3.12",
        Handler=HANDLER,
        Code={"ZipFile": code_package("x86", bare=True).data},
        Environment={"Variables": {BUCKET: HERE, WEIGHTS: "w.npz", KEEP: "1"}},
        **SETTINGS,
    )
    yield clients
    clients.functions.delete_function(FunctionName=HERE)
    clients.roles.delete_role(RoleName=HERE)
    objects = clients.storage.list_objects_v2(Bucket=HERE).get("Contents", [])
    for found in objects:
        clients.storage.delete_object(Bucket=HERE, Key=found["Key"])
    clients.storage.delete_bucket(Bucket=HERE)


def called(clients: Clients, event: Event) -> dict[str, Any]:
    """Return what a call gives: the answer, or what the runtime says of an error."""
    answer = clients.calls.invoke(FunctionName=HERE, Payload=json.dumps(event).encode())
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    assert ("FunctionError" in answer) == ("errorType" in found), found
    return found


def put_inputs(clients: Clients, event: Event, tokens: np.ndarray) -> None:
    parts = np.split(tokens, np.cumsum(event["minibatches"])[:-1])
    for key, part in zip(event["inputs"], parts, strict=True):
        clients.storage.put_object(Bucket=HERE, Key=key, Body=to_bytes(part))


def outputs_of(clients: Clients, event: Event) -> np.ndarray:
    found = [clients.storage.get_object(Bucket=HERE, Key=key) for key in event["outputs"]]
    return from_bytes(b"".join(one["Body"].read() for one in found), 4)


def test_all_designs_answer_with_the_expert_s_outputs(function: Clients) -> None:
    tokens = some_tokens(7)
    wanted = expert_of().compute(tokens)
    direct = called(function, direct_event(tokens))
    np.testing.assert_allclose(from_text(direct["payload"], 4), wanted, rtol=1e-5)
    for minibatches in ([7], [3, 3, 1]):
        event = stored_event(minibatches, f"all/{len(minibatches)}/")
        put_inputs(function, event, tokens)
        stages = called(function, event)["stages"]
        np.testing.assert_allclose(outputs_of(function, event), wanted, rtol=1e-5)
        # The expert was kept from the direct call, in the one worker that answers them all.
        assert (stages["load_bytes"], stages["gets"]) == (0, len(minibatches))


def test_errors_are_told_by_their_classes(function: Clients) -> None:
    wrong = called(function, direct_event(some_tokens(2), version=7))
    assert wrong["errorType"] == "ValueError"
    assert wrong["errorMessage"] == "$.version: must be 1, is 7"
    late = called(function, stored_event([2], "late/", wait_s=0.05))
    assert late["errorType"] == "StorageError"
    assert "input late/in0 is not there after" in late["errorMessage"]


def test_an_input_that_seems_missing_is_asked_for_again(stand: Stand, function: Clients) -> None:
    event = stored_event([2, 2], "missing/")
    put_inputs(function, event, some_tokens(4))
    stand.inject(Fault("s3-missing", times=3, key="missing/in1"))
    stages = called(function, event)["stages"]
    assert stages["gets"] == 5
    assert stages["wait_s"] > 0
    wanted = expert_of().compute(some_tokens(4))
    np.testing.assert_allclose(outputs_of(function, event), wanted, rtol=1e-5)
