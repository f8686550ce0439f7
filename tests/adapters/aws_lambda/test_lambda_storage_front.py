"""S3 as functions meet it: moto's own, counted by who asks, slow and faulty where wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import DomainDispatcherApplication, create_backend_app

from moeopt.adapters.aws_lambda.stand.callers import CALLER, Callers
from moeopt.adapters.aws_lambda.stand.faults import Fault, Faults
from moeopt.adapters.aws_lambda.stand.link import Links
from moeopt.adapters.aws_lambda.stand.listener import Listener
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.stand.storage import Shaped
from moeopt.adapters.aws_lambda.stand.traffic import Counts, Traffic

_BUCKET = "front"


@dataclass
class _Front:
    """A server of S3 in this process, and all that it is made of."""

    callers: Callers = field(default_factory=Callers)
    links: Links = field(default_factory=lambda: Links(Shape()))
    faults: Faults = field(default_factory=Faults)
    counts: Counts = field(default_factory=Counts)
    #: Set when moto has a written object; its answer waits for the other.
    written: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""

    def client(self, access_key: str = "AKIACALLER", service: str = "s3", attempts: int = 1) -> Any:
        retries = {"total_max_attempts": attempts, "mode": "standard"}
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key="any",
            config=Config(retries=retries, signature_version="v4" if service == "sts" else "s3v4"),
        )

    def slowly(self, moto: Any) -> Any:
        """Return moto's application, but its answers to some writes wait."""

        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            response = moto(environ, start_response)
            if environ["REQUEST_METHOD"] == "PUT" and "/held/" in environ["PATH_INFO"]:
                self.written.set()
                assert self.go_on.wait(60.0)
            return response

        return answer


@pytest.fixture(scope="module")
def started() -> Iterator[_Front]:
    front = _Front()
    moto = front.slowly(DomainDispatcherApplication(create_backend_app))
    app = Shaped(moto, front.callers, front.links, front.faults, front.counts)
    server = Listener(app)
    front.endpoint = server.endpoint
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    front.client().create_bucket(Bucket=_BUCKET)
    yield front
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def front(started: _Front) -> _Front:
    started.links.reshape(Shape())
    started.faults.clear()
    started.counts.clear()
    started.written.clear()
    started.go_on.clear()
    return started


def _code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return str(raised.value.response["Error"]["Code"])


def test_objects_come_back_and_are_counted_by_who_asked(front: _Front) -> None:
    """Small ones, and ones that boto3 announces; whole, in parts, and by a signed address."""
    key = front.callers.register("moeopt-a-0-1")
    worker, caller = front.client(key), front.client()
    small, large = b"abc", bytes(range(256)) * 12_345
    worker.put_object(Bucket=_BUCKET, Key="é/small 1", Body=small)
    worker.put_object(Bucket=_BUCKET, Key="large", Body=large)
    assert caller.get_object(Bucket=_BUCKET, Key="é/small 1")["Body"].read() == small
    assert caller.get_object(Bucket=_BUCKET, Key="large")["Body"].read() == large
    part = caller.get_object(Bucket=_BUCKET, Key="large", Range="bytes=10-19")["Body"].read()
    assert part == large[10:20]
    with pytest.raises(ClientError) as raised:
        worker.get_object(Bucket=_BUCKET, Key="nothing")
    assert _code(raised) == "NoSuchKey"
    named = {"Bucket": _BUCKET, "Key": "large"}
    with urlopen(worker.generate_presigned_url("get_object", Params=named)) as answer:
        assert answer.read() == large
    caller.head_object(**named)
    caller.list_objects_v2(Bucket=_BUCKET, Prefix="")
    caller.get_object_tagging(**named)
    caller.delete_object(**named)
    caller.delete_objects(Bucket=_BUCKET, Delete={"Objects": [{"Key": "é/small 1"}]})
    both = len(small) + len(large)
    front.client(service="sts").get_caller_identity()
    assert front.counts.read() == {
        "moeopt-a-0-1": Traffic(gets=2, puts=2, missing=1, get_bytes=len(large), put_bytes=both),
        CALLER: Traffic(gets=3, heads=1, lists=1, deletes=2, others=1, get_bytes=both + 10),
    }
    front.callers.forget(key)
    worker.list_buckets()
    assert front.counts.read()[CALLER].lists == 2


def test_objects_take_the_delay_and_their_bytes(front: _Front) -> None:
    """Each way, each worker on a link of its own, transfers of one worker on the same."""
    front.links.reshape(Shape(access_delay_s=0.03, storage_bytes_per_s=4e6))
    body = bytes(200_000)
    worker = front.client(front.callers.register("f"))

    def seconds(work: Any) -> float:
        began_s = time.monotonic()
        work()
        return time.monotonic() - began_s

    def write(name: str) -> None:
        worker.put_object(Bucket=_BUCKET, Key=name, Body=body)

    def read(name: str) -> bytes:
        return bytes(worker.get_object(Bucket=_BUCKET, Key=name)["Body"].read())

    def both(work: Any) -> None:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(work, "12"))

    def missed() -> None:
        with pytest.raises(ClientError):
            read("nothing")

    assert seconds(lambda: write("0")) >= 0.08
    assert seconds(lambda: read("0")) >= 0.08
    assert seconds(missed) >= 0.03
    assert seconds(lambda: both(write)) >= 0.13
    assert seconds(lambda: both(read)) >= 0.13
    assert read("2") == body


def test_an_object_is_there_when_all_of_it_has_come(front: _Front) -> None:
    worker, caller = front.client(front.callers.register("f")), front.client()
    named = {"Bucket": _BUCKET, "Key": "held/1"}
    with ThreadPoolExecutor(1) as threads:
        for again in (False, True):
            writing = threads.submit(worker.put_object, **named, Body=b"%d" % again)
            assert front.written.wait(60.0)
            if again:
                # What was there stays in sight.
                caller.head_object(**named)
            else:
                with pytest.raises(ClientError) as raised:
                    caller.get_object(**named)
                assert _code(raised) == "NoSuchKey"
                with pytest.raises(ClientError) as raised:
                    caller.head_object(**named)
                assert _code(raised) == "404"
            front.go_on.set()
            writing.result()
            assert caller.get_object(**named)["Body"].read() == b"%d" % again
            front.written.clear()
            front.go_on.clear()
        caller.delete_object(**named)
        writing = threads.submit(worker.put_object, **named, Body=b"2")
        assert front.written.wait(60.0)
        with pytest.raises(ClientError):
            caller.get_object(**named)
        front.go_on.set()
        writing.result()


def test_faults_of_storage(front: _Front) -> None:
    key = front.callers.register("moeopt-a-0-1")
    worker, caller, patient = front.client(key), front.client(), front.client(key, attempts=2)
    body = bytes(2_000_000)
    front.faults.add([Fault("s3-error", function="0-1", key="in/", times=2)])
    caller.put_object(Bucket=_BUCKET, Key="in/1", Body=body)
    with pytest.raises(ClientError) as raised:
        worker.put_object(Bucket=_BUCKET, Key="in/1", Body=body)
    assert _code(raised) == "SlowDown"
    with pytest.raises(ClientError) as raised:
        worker.get_object(Bucket=_BUCKET, Key="in/1")
    assert _code(raised) == "SlowDown"
    front.faults.add([Fault("s3-missing", key="in/")])
    with pytest.raises(ClientError) as raised:
        worker.get_object(Bucket=_BUCKET, Key="in/1")
    assert _code(raised) == "NoSuchKey"
    front.faults.add([Fault("s3-slow", seconds=0.1)])
    began_s = time.monotonic()
    assert worker.get_object(Bucket=_BUCKET, Key="in/1")["Body"].read() == body
    assert time.monotonic() - began_s >= 0.1
    front.faults.add([Fault("s3-error")])
    patient.put_object(Bucket=_BUCKET, Key="in/2", Body=b"")
    assert front.counts.read()["moeopt-a-0-1"] == Traffic(
        gets=2, puts=1, missing=1, errors=3, get_bytes=len(body)
    )
