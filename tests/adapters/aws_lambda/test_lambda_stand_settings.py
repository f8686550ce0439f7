"""Settings of functions on the stand: limits, updates, concurrency; checked as Lambda does.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
"""

from __future__ import annotations

import io
import resource
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lambda_small import Small, make, runs, small, soon, zipped

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.stand.shape import Shape


@pytest.fixture(scope="module")
def function(clients: Clients) -> Iterator[Small]:
    """Make one for all tests that leave it as it is."""
    with small(clients) as made:
        yield made


@pytest.fixture
def own(clients: Clients) -> Iterator[Small]:
    with small(clients, "own") as made:
        yield made


def heavy() -> bytes:
    """Return a small package that says it is too large unpacked."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("zeros", bytes(1))
        # Its table of contents is written at the end.
        archive.infolist()[0].file_size = 250 * 2**20
    return data.getvalue()


def damaged() -> bytes:
    """Return a package that shows its damage only when it is unpacked."""
    data = bytearray(zipped({"small.py": "x = 'x'"}))
    data[data.index(b"x = ")] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"MemorySize": 10_241}, "ValidationException", "'memorySize'"),
        ({"Timeout": 901}, "ValidationException", "'timeout'"),
        (
            {"Environment": {"Variables": {"A": "x" * 4090}}},
            "InvalidParameterValueException",
            "exceeded the 4KB limit",
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x"}}},
            "InvalidParameterValueException",
            "reserved keys",
        ),
    ],
)
def test_lambda_stand_settings_outside_of_the_limits_are_refused(
    clients: Clients, function: Small, settings: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(ClientError, match=said) as caught, small(clients, "other", **settings):
        pass
    assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match=said):
        function.update(**settings)
    made = clients.functions.get_function_configuration(FunctionName="small")
    assert (made["MemorySize"], made["Timeout"]) == (1769, 30)


def test_lambda_stand_code_that_cannot_be_is_refused(clients: Clients, function: Small) -> None:
    clients.storage.create_bucket(Bucket="code")
    cases = [
        ({"ZipFile": b"no package"}, "Could not unzip uploaded file"),
        ({"ZipFile": damaged()}, "Could not unzip uploaded file"),
        ({"ZipFile": heavy()}, "Unzipped size must be smaller than 262144000 bytes"),
        ({"S3Bucket": "code", "S3Key": "nothing"}, "NoSuchKey"),
        ({"S3Bucket": "nowhere-at-all", "S3Key": "nothing"}, "NoSuchBucket"),
        ({"ImageUri": "registry/image:1"}, "Source image registry/image:1 does not exist"),
    ]
    for code, said in cases:
        with pytest.raises(ClientError, match=said), small(clients, "other", Code=code):
            pass
        with pytest.raises(ClientError, match=said):
            clients.functions.update_function_code(FunctionName="small", **code)
    clients.storage.delete_bucket(Bucket="code")


def test_lambda_stand_without_room_for_code_makes_no_function(
    stand: Stand, clients: Clients
) -> None:
    before = set((stand.folder / "code").iterdir())
    limit = resource.RLIMIT_FSIZE
    old = resource.prlimit(stand.pid, limit, (100_000, resource.getrlimit(limit)[1]))
    try:
        with pytest.raises(ClientError, match=r"the stand failed: .*File too large") as caught:
            make(replace(clients, functions=clients.calls), "other", Code={
                "ZipFile": zipped({"small.py": "x" * 200_000})
            })  # fmt: skip
    finally:
        resource.prlimit(stand.pid, limit, old)
    assert caught.value.response["Error"]["Code"] == "ServiceException"
    with pytest.raises(clients.functions.exceptions.ResourceNotFoundException):
        Small(clients, "other").call({})
    assert set((stand.folder / "code").iterdir()) == before


def test_lambda_stand_calls_find_a_function_whole_while_it_is_updated(
    clients: Clients, own: Small
) -> None:
    over = threading.Event()

    def ask() -> int:
        asked = 0
        while not over.is_set():
            own.call({}, InvocationType="DryRun")
            asked += 1
        return asked

    with ThreadPoolExecutor() as threads:
        asking = [threads.submit(ask) for _ in range(8)]
        try:
            for k in range(10):
                code = zipped({"small.py": f"def handle(event, context):\n    return {k}\n"})
                clients.functions.update_function_code(FunctionName="own", ZipFile=code)
        finally:
            over.set()
        assert sum(one.result() for one in asking) > 0
    assert own.call({}).said == 9


def test_lambda_stand_a_name_has_sixty_four_characters_at_most(clients: Clients) -> None:
    with small(clients, "x" * 64) as function:
        assert function.call({}).said["name"] == "x" * 64
    with (
        pytest.raises(ClientError, match="less than or equal to 64"),
        small(clients, "arn:aws:lambda:us-east-1:123456789012:function:" + "x" * 65),
    ):
        pass


def test_lambda_stand_a_role_must_be_there(clients: Clients) -> None:
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        clients.functions.create_function(
            FunctionName="other", Role="arn:aws:iam::123456789012:role/nobody", Handler="a.b",
            Runtime="python3.11", Code={"ZipFile": zipped({"a.py": ""})},
        )  # fmt: skip


def test_lambda_stand_an_update_makes_the_next_call_cold(clients: Clients, own: Small) -> None:
    before = own.call({})
    own.update(MemorySize=3000, Environment={"Variables": {"COLOUR": "blue"}})
    assert soon(lambda: not runs(before.said["pid"]))
    after = own.call({})
    assert after.cold
    assert after.report["Memory Size"] == "3000 MB"
    assert after.said["memory"] == "3000"
    assert after.said["environment"]["COLOUR"] == "blue"
    assert after.said["environment"]["OMP_NUM_THREADS"] == "2"
    with pytest.raises(ClientError):
        own.update(Timeout=901)
    assert not own.call({}).cold
    code = zipped({"small.py": "import os\ndef handle(event, context):\n    return os.getpid()\n"})
    clients.functions.update_function_code(FunctionName="own", ZipFile=code)
    assert soon(lambda: not runs(after.said["pid"]))
    changed = own.call({})
    assert changed.cold
    clients.functions.delete_function(FunctionName="own")
    assert soon(lambda: not runs(changed.said))
    with pytest.raises(clients.functions.exceptions.ResourceNotFoundException):
        own.call({})


def test_lambda_stand_a_call_ends_as_the_function_was_when_it_began(
    own: Small, tmp_path: Path
) -> None:
    began, until = tmp_path / "began", tmp_path / "until"
    with ThreadPoolExecutor() as threads:
        running = threads.submit(own.call, {"began": str(began), "until": str(until)})
        assert soon(began.exists)
        own.update(MemorySize=2000)
        assert own.call({}).said["memory"] == "2000"
        until.touch()
        assert running.result().said["memory"] == "1769"
    assert soon(lambda: not runs(running.result().said["pid"]))
    assert not own.call({}).cold


def test_lambda_stand_chilled_functions_are_cold(stand: Stand, function: Small) -> None:
    before = function.call({})
    stand.chill()
    assert not runs(before.said["pid"])
    assert function.call({}).cold


def test_lambda_stand_calls_at_the_same_time_have_a_worker_each(
    stand: Stand, function: Small, tmp_path: Path
) -> None:
    until = tmp_path / "until"
    stand.chill()
    with ThreadPoolExecutor() as threads:
        marks = [tmp_path / f"began-{k}" for k in range(3)]
        events = [{"began": str(mark), "until": str(until)} for mark in marks]
        running = [threads.submit(function.call, event) for event in events]
        assert soon(lambda: all(mark.exists() for mark in marks))
        until.touch()
        called = [one.result() for one in running]
    assert all(one.cold for one in called)
    pids = {one.said["pid"] for one in called}
    assert len(pids) == 3
    again = function.call({})
    assert not again.cold
    assert again.said["pid"] in pids


@pytest.mark.parametrize("whose", ["function", "account"])
def test_lambda_stand_one_call_too_many_is_throttled(
    stand: Stand, clients: Clients, function: Small, tmp_path: Path, whose: str
) -> None:
    began, until = tmp_path / "began", tmp_path / "until"
    if whose == "function":
        clients.functions.put_function_concurrency(
            FunctionName="small", ReservedConcurrentExecutions=1
        )
    else:
        stand.reshape(Shape(concurrency=1))
    before = stand.statistics().throttled
    try:
        with ThreadPoolExecutor() as threads:
            running = threads.submit(function.call, {"began": str(began), "until": str(until)})
            assert soon(began.exists)
            with pytest.raises(clients.calls.exceptions.TooManyRequestsException) as caught:
                function.call({})
            until.touch()
            assert running.result().error is None
        assert not function.call({}).cold
    finally:
        stand.reshape(Shape())
        clients.functions.delete_function_concurrency(FunctionName="small")
    response = caught.value.response
    limit = "ConcurrentInvocationLimitExceeded"
    assert response["Reason"] == (f"ReservedFunction{limit}" if whose == "function" else limit)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert stand.statistics().throttled == before + 1


def test_lambda_stand_reserved_calls_are_nobody_elses(
    stand: Stand, clients: Clients, function: Small, tmp_path: Path
) -> None:
    put = clients.functions.put_function_concurrency
    put(FunctionName="small", ReservedConcurrentExecutions=0)
    with pytest.raises(clients.calls.exceptions.TooManyRequestsException):
        function.call({})
    with pytest.raises(ClientError, match=r"below its minimum value of \[100\]"):
        put(FunctionName="small", ReservedConcurrentExecutions=901)
    put(FunctionName="small", ReservedConcurrentExecutions=900)
    with small(clients, "other") as other:
        with pytest.raises(ClientError, match="UnreservedConcurrentExecution"):
            put(FunctionName="other", ReservedConcurrentExecutions=1)
        stand.reshape(Shape(concurrency=900))
        try:
            with pytest.raises(clients.calls.exceptions.TooManyRequestsException) as caught:
                other.call({})
            assert caught.value.response["Reason"] == "ConcurrentInvocationLimitExceeded"
            assert function.call({}).error is None
        finally:
            stand.reshape(Shape())
        limits = clients.functions.get_account_settings()["AccountLimit"]
        assert limits["ConcurrentExecutions"] == 1000
        assert limits["UnreservedConcurrentExecutions"] == 100
        clients.functions.delete_function_concurrency(FunctionName="small")
        assert other.call({}).error is None


def test_lambda_stand_modules_of_layers_are_found(clients: Clients) -> None:
    package = zipped({"python/coloured.py": "COLOUR = 'green'\n"})
    layer = clients.functions.publish_layer_version(LayerName="one", Content={"ZipFile": package})
    code = "import coloured\ndef handle(event, context):\n    return coloured.COLOUR\n"
    arn = layer["LayerVersionArn"]
    with small(clients, "own", Code={"ZipFile": zipped({"small.py": code})}, Layers=[arn]) as own:
        assert own.call({}).said == "green"
    clients.functions.delete_layer_version(LayerName="one", VersionNumber=layer["Version"])
