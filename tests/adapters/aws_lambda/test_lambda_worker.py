"""The function, called here, with a stand's storage behind it."""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from awslambdaric.lambda_context import LambdaContext
from lambda_cases import direct_event, expert_of, some_tokens, stored_event

from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.worker import handler as handler_module
from moeopt.adapters.aws_lambda.worker import protocol
from moeopt.adapters.aws_lambda.worker import storage as storage_module
from moeopt.adapters.aws_lambda.worker.storage import Storage, StorageError, connect, wait_for

BUCKET = "worker-tests"


@pytest.fixture(scope="module")
def s3(stand: Stand) -> Iterator[Any]:
    """Yield a client of S3, to which the environment leads, with a bucket."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stand.environment().items():
            patch.setenv(name, value)
        client = connect()
        client.create_bucket(Bucket=BUCKET)
        yield client
    for found in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def setting(s3: Any, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set the environment of a function whose expert is in the bucket."""
    s3.put_object(Bucket=BUCKET, Key="w/0.npz", Body=expert_of(0).to_npz())
    monkeypatch.setenv(protocol.BUCKET, BUCKET)
    monkeypatch.setenv(protocol.WEIGHTS, "w/0.npz")
    monkeypatch.delenv(protocol.KEEP, raising=False)
    monkeypatch.delenv(protocol.ENGINE, raising=False)
    return monkeypatch


@pytest.fixture
def handler(setting: pytest.MonkeyPatch) -> ModuleType:
    """Return the handler after a cold start."""
    return importlib.reload(handler_module)


def context(seconds: float = 30.0) -> LambdaContext:
    return LambdaContext("request", None, None, int((time.time() + seconds) * 1000))


def put_inputs(s3: Any, event: protocol.Event, tokens: np.ndarray) -> None:
    for key, some in zip(event["inputs"], parts(event, tokens), strict=True):
        s3.put_object(Bucket=BUCKET, Key=key, Body=protocol.to_bytes(some))


def parts(event: protocol.Event, tokens: np.ndarray) -> list[np.ndarray]:
    return np.split(tokens, np.cumsum(event["minibatches"])[:-1])


def outputs_of(s3: Any, event: protocol.Event, width: int = 4) -> np.ndarray:
    found = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in event["outputs"]]
    return protocol.from_bytes(b"".join(found), width)


def test_a_direct_call_answers_with_the_expert_s_outputs(handler: ModuleType) -> None:
    tokens = some_tokens(5)
    answer = handler.handle(direct_event(tokens), context())
    outputs = protocol.from_text(answer["payload"], answer["width"])
    np.testing.assert_allclose(outputs, expert_of(0).compute(tokens), rtol=1e-5)
    assert {name: answer[name] for name in ("version", "piece", "tokens", "width")} == {
        "version": 1,
        "piece": "piece",
        "tokens": 5,
        "width": 4,
    }
    stages = answer["stages"]
    assert stages["load_bytes"] == len(expert_of(0).to_npz())
    assert stages["load_s"] > 0
    assert stages["wait_s"] == 0
    assert (stages["gets"], stages["puts"]) == (1, 0)
    assert len(stages["compute_s"]) == 1
    assert stages["read_s"] == stages["read_bytes"] == stages["write_s"] == []
    assert set(answer) == set(protocol.Answer.__annotations__)
    assert set(stages) == set(protocol.Stages.__annotations__)


@pytest.mark.parametrize("minibatches", [[7], [3, 3, 1]])
def test_a_call_through_storage_writes_the_outputs_of_each_minibatch(
    handler: ModuleType, s3: Any, minibatches: list[int]
) -> None:
    tokens = some_tokens(7)
    event = stored_event(minibatches, f"{len(minibatches)}/")
    put_inputs(s3, event, tokens)
    answer = handler.handle(event, context())
    wanted = expert_of(0).compute(tokens)
    np.testing.assert_allclose(outputs_of(s3, event), wanted, rtol=1e-5)
    stages = answer["stages"]
    assert answer["payload"] == ""
    assert answer["tokens"] == 7
    assert stages["read_bytes"] == [32 * n for n in minibatches]
    assert stages["write_bytes"] == [16 * n for n in minibatches]
    assert {len(stages[name]) for name in ("read_s", "compute_s", "write_s")} == {len(minibatches)}
    assert (stages["gets"], stages["puts"]) == (1 + len(minibatches), len(minibatches))
    # The same piece again writes the same objects.
    assert handler.handle(event, context())["tokens"] == 7
    np.testing.assert_allclose(outputs_of(s3, event), wanted, rtol=1e-5)


def test_outputs_are_written_while_the_next_inputs_are_read(handler: ModuleType, s3: Any) -> None:
    event = stored_event([1, 1, 1], "beside/")
    put_inputs(s3, event, some_tokens(3))
    asked: list[str] = []
    second = threading.Event()

    def before(request: Any, **_: Any) -> None:
        name = request.url.rpartition("/")[2]
        if name == "in1":
            second.set()
        if name == "out0":
            # Held until the next minibatch is asked for: were nothing beside, it never would be.
            second.wait(10)
        asked.append(name)

    handler._client().meta.events.register("before-send.s3", before)
    handler.handle(event, context())
    assert second.is_set()
    # No more than one minibatch's outputs wait: the third comes when the first's are written.
    assert asked.index("out0") < asked.index("in2")
    assert sorted(asked) == ["0.npz", "in0", "in1", "in2", "out0", "out1", "out2"]


def test_parameters_are_kept_only_where_they_shall_be(
    handler: ModuleType, s3: Any, setting: pytest.MonkeyPatch
) -> None:
    def loads() -> list[int]:
        answers = [handler.handle(direct_event(some_tokens(2)), context()) for _ in range(2)]
        return [answer["stages"]["load_bytes"] for answer in answers]

    size = len(expert_of(0).to_npz())
    assert loads() == [size, size]
    setting.setenv(protocol.KEEP, "1")
    assert loads() == [size, 0]
    # Under another key is another expert.
    s3.put_object(Bucket=BUCKET, Key="w/1.npz", Body=expert_of(1).to_npz())
    setting.setenv(protocol.WEIGHTS, "w/1.npz")
    answer = handler.handle(direct_event(some_tokens(2)), context())
    outputs = protocol.from_text(answer["payload"], 4)
    np.testing.assert_allclose(outputs, expert_of(1).compute(some_tokens(2)), rtol=1e-5)


def test_torch_computes_the_same(handler: ModuleType, setting: pytest.MonkeyPatch) -> None:
    setting.setenv(protocol.ENGINE, "torch")
    answer = handler.handle(direct_event(some_tokens(5)), context())
    outputs = protocol.from_text(answer["payload"], 4)
    wanted = expert_of(0).compute(some_tokens(5))
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-6)


def test_inputs_may_come_after_the_call(handler: ModuleType, s3: Any) -> None:
    event, tokens = stored_event([2, 2], "late/"), some_tokens(4)
    later = threading.Timer(0.2, put_inputs, (s3, event, tokens))
    later.start()
    handler.handle(event, context())
    later.join()
    np.testing.assert_allclose(outputs_of(s3, event), expert_of(0).compute(tokens), rtol=1e-5)


def test_each_request_in_vain_is_counted(s3: Any) -> None:
    storage = Storage(s3, BUCKET)
    found: list[tuple[bytes, float]] = []

    def wait() -> None:
        found.append(wait_for(storage, "counted", time.monotonic() + 30, ""))

    waiting = threading.Thread(target=wait)
    waiting.start()
    while storage.gets < 3:
        time.sleep(0.001)
    s3.put_object(Bucket=BUCKET, Key="counted", Body=b"there")
    waiting.join()
    assert [data for data, _ in found] == [b"there"]
    assert storage.gets >= 4
    assert storage.puts == 0


@pytest.mark.parametrize(
    ("wait_s", "left_s", "why"),
    [
        (0.05, 30.0, r"after 0\.\d+ s and \d+ requests: the call waits for 0.05 s"),
        (60.0, 0.6, "the function's time-out is near"),
        (60.0, 0.1, "and 1 requests: the function's time-out is near"),
    ],
)
def test_an_input_that_never_comes_ends_the_call_before_the_time_out(
    handler: ModuleType, wait_s: float, left_s: float, why: str
) -> None:
    event = stored_event([2], "never/", wait_s=wait_s)
    with pytest.raises(StorageError, match=f"input never/in0 is not there .*{why}"):
        handler.handle(event, context(left_s))


def test_an_error_of_the_uploader_ends_the_call(handler: ModuleType, s3: Any) -> None:
    event = stored_event([1, 1, 1], "upload/")
    put_inputs(s3, event, some_tokens(3))
    denied = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/upload/out1",
    }
    policy = {"Version": "2012-10-17", "Statement": [denied]}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    try:
        with pytest.raises(StorageError, match=r"PUT upload/out1: 403"):
            handler.handle(event, context())
    finally:
        s3.delete_bucket_policy(Bucket=BUCKET)
    assert not [thread for thread in threading.enumerate() if "uploader" in thread.name]


def test_what_storage_refuses_is_a_storage_error(
    handler: ModuleType, setting: pytest.MonkeyPatch
) -> None:
    setting.setenv(protocol.WEIGHTS, "w/none.npz")
    with pytest.raises(StorageError, match=r"GET w/none.npz: there is no such object"):
        handler.handle(direct_event(some_tokens(1)), context())
    setting.setenv(protocol.BUCKET, "no-such-bucket")
    with pytest.raises(StorageError, match=r"GET w/none.npz: NoSuchBucket"):
        handler.handle(direct_event(some_tokens(1)), context())


def test_busy_storage_is_asked_again_a_few_times(
    handler: ModuleType, s3: Any, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = stored_event([2], "busy/")
    put_inputs(s3, event, some_tokens(2))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    stand.inject(Fault("s3-error", times=1, key="busy/out0"))
    stages = handler.handle(event, context())["stages"]
    assert (stages["gets"], stages["puts"]) == (2, 2)
    stand.inject(Fault("s3-error", times=storage_module.ATTEMPTS, key="busy/in0"))
    with pytest.raises(StorageError, match=r"^GET busy/in0: SlowDown"):
        handler.handle(event, context())


def test_storage_out_of_reach_is_a_storage_error(setting: pytest.MonkeyPatch) -> None:
    # A port that nothing listens on.
    setting.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    storage = Storage(connect(), BUCKET)
    with pytest.raises(StorageError, match="GET k: Could not connect"):
        storage.get("k")
    with pytest.raises(StorageError, match="PUT k: Could not connect"):
        storage.put("k", b"")
    assert (storage.gets, storage.puts) == (storage_module.ATTEMPTS, storage_module.ATTEMPTS)


def test_wrong_set_ups_and_wrong_inputs_are_said(
    handler: ModuleType, s3: Any, setting: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"\$.width: must be the expert's 8, is 6"):
        handler.handle(direct_event(some_tokens(2, width=6)), context())
    event = stored_event([2], "short/")
    put_inputs(s3, event, some_tokens(2))
    event["minibatches"] = [3]
    with pytest.raises(ValueError, match="input short/in0: must hold 3 tokens, holds 2"):
        handler.handle(event, context())
    s3.put_object(Bucket=BUCKET, Key="short/in0", Body=b"123")
    with pytest.raises(ValueError, match="3 bytes are no whole tokens"):
        handler.handle(event, context())
    s3.put_object(Bucket=BUCKET, Key="w/none", Body=b"no archive")
    setting.setenv(protocol.WEIGHTS, "w/none")
    with pytest.raises(ValueError, match="parameters: no array up among none"):
        handler.handle(direct_event(some_tokens(2)), context())
    setting.setenv(protocol.WEIGHTS, "w/0.npz")
    setting.setenv(protocol.ENGINE, "abacus")
    with pytest.raises(ValueError, match="MOEOPT_ENGINE must be one of numpy, torch, is 'abacus'"):
        handler.handle(direct_event(some_tokens(2)), context())
    setting.delenv(protocol.BUCKET)
    with pytest.raises(ValueError, match="the environment has no MOEOPT_BUCKET"):
        handler.handle(direct_event(some_tokens(2)), context())
