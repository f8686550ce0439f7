"""The gate on the stand: odd batches, overlapping ones, faults, and what is left to do after."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from lambda_cases import mini, plan_of
from lambda_deployed import deployed
from lambda_left import everything

from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions, fleet_of
from moeopt.adapters.aws_lambda.dispatch.batch import LayerError
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.reference import reference
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.weights import random_weights
from moeopt.core.errors import AdapterError, InstanceError

#: Two experts on whole processors, the first with two replicas.
PROBLEM = mini()
WEIGHTS = random_weights(PROBLEM)
WIDTH, OUT = 8, 4

#: Attempts enough, waits that a test has time for.
PATIENCE = Patience(first_s=0.01, most_s=0.1)


@pytest.fixture(scope="module")
def served(clients: Clients) -> Iterator[Clients]:
    """Clients of a stand that has the functions; nothing of them is left after all tests."""
    before = everything(clients)
    with deployed("gate", PROBLEM, plan_of(PROBLEM, 3, memory_mb=1769), clients):
        yield clients
    assert everything(clients) == before


def fleet_in(clients: Clients, design: int) -> Fleet:
    """Return a fleet of these functions: the first expert with two replicas."""
    plan = plan_of(PROBLEM, design, memory_mb=1769, degree=2)
    plan = msgspec.structs.replace(plan, replicas=np.array([[2, 1]]))
    return fleet_of(PROBLEM, plan, DeployOptions(name="gate"), clients)


def gate_of(clients: Clients, design: int, **more: Any) -> Gate:
    return Gate(fleet_in(clients, design), clients, **({"patience": PATIENCE} | more))


def batch_of(tokens: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return tokens with two choices each: an expert twice, and weights of 0, among them."""
    rng = np.random.default_rng(seed)
    expert_ids = rng.integers(0, 2, (tokens, 2))
    weights = rng.random((tokens, 2), dtype=np.float32)
    weights[::5, 0] = 0.0
    return rng.standard_normal((tokens, WIDTH), dtype=np.float32), expert_ids, weights


def assert_right(outputs: Any, batch: tuple[Any, Any, Any]) -> None:
    np.testing.assert_allclose(outputs, reference(WEIGHTS, 0, *batch), rtol=0, atol=1e-5)


@pytest.mark.parametrize("design", [1, 2, 3])
def test_odd_batches(served: Clients, design: int) -> None:
    records: list[LayerRecord] = []
    none, all_to_one, few = (np.array(c) for c in ([0, 0], [0, 17], [1, 0]))
    batches = [*(routed(counts, WIDTH) for counts in (none, all_to_one, few)), batch_of(11)]
    with gate_of(served, design, recorder=records.append) as gate:
        for batch in batches:
            assert_right(gate.layer(0, *batch).outputs, batch)
        strange = batch_of(6)
        strange[0][3] = np.nan
        outputs = gate.layer(0, *strange).outputs
    assert np.flatnonzero(np.isnan(outputs).any(axis=1)).tolist() == [3]
    assert [record.tokens for record in records[:3]] == [(0, 0), (0, 17), (1, 0)]
    assert [len(record.calls) for record in records[:3]] == [0, 1, 1]
    assert records[0].traffic.write_s == ()
    assert all(record.design == design for record in records)
    for record in records[1:]:
        minibatches = sum(len(call.minibatches) for call in record.calls)
        objects = 0 if design == 3 else minibatches
        assert len(record.traffic.write_s) == len(record.traffic.read_s) == objects
        assert sum(record.traffic.write_bytes) == (design != 3) * 4 * WIDTH * sum(record.tokens)
        assert sum(record.traffic.read_bytes) == (design != 3) * 4 * OUT * sum(record.tokens)
        assert 0.0 < max(call.ended_s for call in record.calls) <= record.seconds
        assert sum(call.tokens for call in record.calls) == sum(record.tokens)


def test_batches_overlap(served: Clients) -> None:
    batches = [batch_of(9, seed) for seed in range(4)]

    async def all_at_once() -> list[Any]:
        # Fewer threads than there is to do: whoever waits must not keep others from working.
        with gate_of(served, 1, threads=2) as two, gate_of(served, 3, threads=2) as three:
            gates = [two, three] * 2
            runs = (g.layer_async(0, *b) for g, b in zip(gates, batches, strict=True))
            return await asyncio.gather(*runs)

    for result, batch in zip(asyncio.run(all_at_once()), batches, strict=True):
        assert_right(result.outputs, batch)


FUNCTION = "moeopt-gate-0-0"


@pytest.mark.parametrize("design", [1, 2, 3])
def test_what_failed_for_good_is_left_and_done_later(
    served: Clients, stand: Stand, design: int
) -> None:
    records: list[LayerRecord] = []
    tokens = routed(np.array([5, 4]), WIDTH)
    patience = Patience(attempts=2, first_s=0.01)
    with gate_of(served, design, patience=patience, recorder=records.append) as gate:
        batch = gate.batch(0, *tokens, name="one")
        stand.inject(Fault("service", times=4, function=FUNCTION))
        with pytest.raises(LayerError, match="layer 0: 5 of 9 tokens at experts failed") as lost:
            batch.run()
        assert "expert 0, 5 tokens in 2 calls: service: " in str(lost.value)
        assert lost.value.batch is batch
        assert [piece.tokens for piece in batch.missing] == [3, 2]
        assert [one.failure.kind for one in lost.value.lost] == ["service"] * 2
        result = batch.run()
        assert batch.run() is result
        assert batch.missing == ()
    assert_right(result.outputs, tokens)
    assert [(record.batch, record.tokens) for record in records] == [
        ("one", (5, 4)), ("one", (5, 0)),
    ]  # fmt: skip
    assert records[0] is lost.value.record
    assert records[1] is result.record
    assert {call.expert for call in result.record.calls} == {0}
    # The same work under the same name, so that the same objects are written.
    failed = {call.piece for call in records[0].calls if call.error}
    assert failed == {call.piece for call in records[1].calls}


def test_objects_that_cannot_be_read_are_what_is_missing(served: Clients, stand: Stand) -> None:
    tokens = routed(np.array([4, 4]), WIDTH)
    with gate_of(served, 2, patience=Patience(attempts=2, first_s=0.01)) as gate:
        batch = gate.batch(0, *tokens)
        stand.inject(Fault("s3-missing", times=2, key="0-1-0/out-0"))
        with pytest.raises(LayerError, match="expert 1, 4 tokens in 1 calls: storage: s3://"):
            batch.run()
        assert [piece.expert for piece in batch.missing] == [1]
        assert_right(batch.run().outputs, tokens)


def test_inputs_that_cannot_be_written_are_why(served: Clients, stand: Stand) -> None:
    tokens = routed(np.array([4, 4]), WIDTH)
    with gate_of(served, 2, patience=Patience(attempts=1), wait_s=0.2) as gate:
        batch = gate.batch(0, *tokens)
        stand.inject(Fault("s3-error", times=100, key="0-1-0/in-0"))
        with pytest.raises(LayerError, match=r"expert 1, 4 tokens .* SlowDown") as lost:
            batch.run()
        assert [one.failure.kind for one in lost.value.lost] == ["storage"]
        stand.clear()
        assert_right(batch.run().outputs, tokens)


def test_calls_whose_inputs_never_come_are_not_made_again(served: Clients) -> None:
    fleet = dataclasses.replace(fleet_in(served, 2), bucket="nowhere")
    with (
        Gate(fleet, served, patience=PATIENCE, wait_s=0.2) as gate,
        pytest.raises(LayerError, match=r"8 of 8 .*NoSuchBucket") as lost,
    ):
        gate.layer(0, *routed(np.array([4, 4]), WIDTH))
    assert {call.attempt for call in lost.value.record.calls} <= {1}


def test_what_is_no_batch_is_refused(served: Clients) -> None:
    with gate_of(served, 3) as gate:
        for layer in (-1, 1):
            with pytest.raises(InstanceError, match="layer: must be one of the plan's, 0 to 0"):
                gate.layer(layer, *batch_of(2))
        with pytest.raises(InstanceError, match="tokens: must have shape"):
            gate.layer(0, np.zeros((2, 9), dtype=np.float32), *batch_of(2)[1:])
        late = gate.batch(0, *batch_of(2))
    with pytest.raises(AdapterError, match="the gate is closed"):
        late.run()
    with pytest.raises(AdapterError, match="the gate is closed"):
        asyncio.run(gate.layer_async(0, *batch_of(2)))
    with pytest.raises(InstanceError, match="threads: must be 1 to"):
        gate_of(served, 3, threads=0)
    with pytest.raises(InstanceError, match="wait_s: must be finite"):
        gate_of(served, 3, wait_s=float("nan"))
