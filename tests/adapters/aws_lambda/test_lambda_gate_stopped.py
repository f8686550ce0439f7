"""Calls that would never end well: no more of them are made than somebody wants, or may help."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest
from lambda_round import fleet
from lambda_scripted import Scripted, failed, refused

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.dispatch.batch import LayerError
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.gate import Gate

#: Tokens of the first expert alone, which has one replica.
BATCH = routed([8, 0], width=2)

#: Waits that no test outlasts.
ENDLESS = Patience(first_s=1e6, most_s=1e6, total_s=1e9)


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


@pytest.fixture(scope="module")
def clients(server: Scripted) -> Clients:
    return server.clients()


def test_halving_ends(server: Scripted, clients: Clients) -> None:
    server.play([failed("Sandbox.Timedout", "Task timed out after 5.00 seconds")])
    with (
        Gate(fleet(), clients, patience=Patience(halvings=2)) as gate,
        pytest.raises(LayerError, match=r"8 of 8 .* in 4 calls: timeout: .*halved 2 times") as lost,
    ):
        gate.layer(0, *BATCH)
    tokens = sorted(call.tokens for call in lost.value.record.calls)
    assert tokens == [2, 2, 2, 2, 4, 4, 8]


def test_a_run_that_is_interrupted_calls_nobody_again(server: Scripted, clients: Clients) -> None:
    server.play([refused(500, "ServiceException")])
    main = threading.get_ident()

    def interrupt() -> None:
        server.await_calls(1)
        signal.pthread_kill(main, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with Gate(fleet(), clients, patience=ENDLESS) as gate, pytest.raises(KeyboardInterrupt):
        gate.layer(0, *BATCH)
    other.join()
    assert len(server.seen) == 1


def test_a_run_that_is_cancelled_calls_nobody_again(server: Scripted, clients: Clients) -> None:
    server.play([refused(500, "ServiceException")])
    records: list[object] = []

    async def cancelled(gate: Gate) -> None:
        running = asyncio.create_task(gate.layer_async(0, *BATCH))
        await asyncio.to_thread(server.await_calls, 1)
        running.cancel()
        await running

    with (
        Gate(fleet(), clients, patience=ENDLESS, recorder=records.append) as gate,
        pytest.raises(asyncio.CancelledError),
    ):
        asyncio.run(cancelled(gate))
    assert len(server.seen) == 1
    assert len(records) == 1, "what was called is billed"


def test_a_stopped_batch_goes_on_when_run_again(server: Scripted, clients: Clients) -> None:
    server.play([refused(404, "ResourceNotFoundException")])
    with Gate(fleet(), clients) as gate:
        batch = gate.batch(0, *BATCH)
        batch.stop()
        with pytest.raises(LayerError, match=r"8 of 8 .*stopped: given up") as stopped:
            batch.run()
        assert stopped.value.record.calls == ()
        with pytest.raises(LayerError, match=r"8 of 8 .*missing"):
            batch.run()
    assert len(server.seen) == 1
