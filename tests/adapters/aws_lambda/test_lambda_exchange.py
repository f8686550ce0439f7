"""Objects written and read by the caller: what is tried again, what is refused, what is left."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator

import boto3
import numpy as np
import pytest
from botocore.config import Config

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.dispatch.exchange import Exchange, packed
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.core.errors import AdapterError

BUCKET = "exchange"
TOKENS = np.arange(12, dtype=np.float32).reshape(4, 3)
QUICK = Patience(attempts=3, first_s=0.001)


@pytest.fixture
def exchange(clients: Clients) -> Iterator[Exchange]:
    clients.storage.create_bucket(Bucket=BUCKET)
    exchange = Exchange(clients, BUCKET, patience=QUICK)
    yield exchange
    exchange.forget(keys_in(clients))
    clients.storage.delete_bucket(Bucket=BUCKET)


def keys_in(clients: Clients) -> list[str]:
    found = clients.storage.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [one["Key"] for one in found]


def test_what_is_written_is_read(exchange: Exchange, stand: Stand) -> None:
    stand.inject(Fault("s3-missing", times=2, key="rows"))
    written = exchange.write("rows", packed(TOKENS, np.array([2, 0])))
    into = np.empty((2, 3), dtype=np.float32)
    read = exchange.read("rows", into)
    assert np.array_equal(into, TOKENS[[2, 0]])
    assert written.bytes == read.bytes == 24
    assert min(written.seconds, read.seconds) > 0.0


def test_what_does_not_pass_is_told(exchange: Exchange, clients: Clients, stand: Stand) -> None:
    exchange.write("rows", packed(TOKENS, np.array([0])))
    with pytest.raises(AdapterError, match="s3://exchange/rows has 12 bytes, not 24"):
        exchange.read("rows", np.empty((2, 3), dtype=np.float32))
    with pytest.raises(AdapterError, match="s3://exchange/none: NoSuchKey"):
        exchange.read("none", np.empty((2, 3), dtype=np.float32))
    # Waits that no test would outlast: it is not tried again.
    elsewhere = Exchange(clients, "nowhere", patience=Patience(first_s=1e9, most_s=1e9))
    with pytest.raises(AdapterError, match="s3://nowhere/rows: NoSuchBucket"):
        elsewhere.write("rows", packed(TOKENS, np.array([0])))
    stand.inject(Fault("s3-missing", times=1, key="rows"))
    impatient = Exchange(clients, BUCKET, patience=Patience(first_s=1e9, most_s=1e9))
    with pytest.raises(AdapterError, match="NoSuchKey"):
        impatient.read("rows", np.empty((1, 3), dtype=np.float32))


def test_who_cannot_be_reached_is_asked_again_until_told_to_stop() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = Config(retries={"total_max_attempts": 1})
    storage = boto3.Session("id", "secret", region_name="us-east-1").client(
        "s3", endpoint_url=address, config=config
    )
    asked: list[str] = []
    storage.meta.events.register("before-send.s3", lambda **_: asked.append("asked"))
    nowhere = Exchange(Clients(None, None, storage, None, "0", "here"), BUCKET, patience=QUICK)
    with pytest.raises(AdapterError, match="connect"):
        nowhere.write("rows", bytearray(4))
    assert len(asked) == QUICK.attempts
    stop = threading.Event()
    stop.set()
    with pytest.raises(AdapterError, match="given up"):
        nowhere.write("rows", bytearray(4), stop)
    assert len(asked) == QUICK.attempts


def test_all_objects_are_forgotten(exchange: Exchange, clients: Clients) -> None:
    keys = [f"key-{k:04}" for k in range(1002)]
    for key in (keys[0], keys[-1], "other"):
        exchange.write(key, packed(TOKENS, np.array([1])))
    exchange.forget(keys)
    assert keys_in(clients) == ["other"]


def test_what_cannot_be_forgotten_is_logged(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "moeopt"):
        Exchange(clients, "nowhere", patience=QUICK).forget(["a", "b"])
    (record,) = caplog.records
    assert record.getMessage().startswith("2 objects of a batch are left in storage: S3: NoSuch")
