"""Bayesian optimisation with functions that really run, and what their records say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lambda_cases import fleet_named, mini, plan_of
from lambda_deployed import QUICK, bare_packages

from moeopt.adapters.aws_lambda.calls import Call, LayerRecord
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions
from moeopt.adapters.aws_lambda.feedback import LambdaRun, measured, whole_tables
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.weights import random_weights
from moeopt.core.errors import InstanceError
from moeopt.popularity.prediction import CountTable, Prediction
from moeopt.serverless.bayes import optimise
from moeopt.serverless.bayes_objective import Deployed
from moeopt.serverless.bayes_pairs import pairs_of, table_space
from moeopt.serverless.problem import (
    ExpertFunction,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

#: Tokens of each expert that the past predicts: really it is the other way round.
PREDICTED = (2000, 100)


def swapped() -> ServerlessProblem:
    """Return a layer whose tokens fill memory, and one whose tokens are small and go directly."""
    small = ExpertFunction(
        parameter_bytes=64,
        intermediate_bytes=75_000_000,
        input_bytes_per_token=32,
        output_bytes_per_token=32,
        compute=VcpuModel(seconds_per_token=1e-6),
    )
    large = ExpertFunction(
        parameter_bytes=32768,
        intermediate_bytes=75_000_000,
        input_bytes_per_token=16384,
        output_bytes_per_token=16384,
        compute=VcpuModel(seconds_per_token=1e-6),
    )
    layers = tuple(
        ServerlessLayer(tokens=np.array(PREDICTED, dtype=float), expert=expert)
        for expert in (large, small)
    )
    # A call carries 800 small tokens, and not one large token.
    return mini(
        layers=layers, expert=None, name="swapped", memory_mb=(128, 512), designs=(2, 3),
        payload_bytes=800 * 32,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _bare() -> Iterator[None]:
    with bare_packages():
        yield


def test_a_search_is_told_of_functions_that_overran(stand: Stand, clients: Clients) -> None:
    table = CountTable(
        layer=np.array([0, 0, 1, 1]),
        token=np.array([0, 1, 0, 1]),
        attention=np.zeros(4, dtype=int),
        expert=np.array([0, 1, 0, 1]),
        count=np.full(4, 9.0),
        experts=(2, 2),
    )
    token_ids = np.repeat([0, 1], PREDICTED)
    space = table_space(Prediction(table=table, token_ids=token_ids, rule="token_map"))
    problem, records = swapped(), list[LayerRecord]()
    run = LambdaRun(
        clients=clients,
        weights=random_weights(problem),
        options=DeployOptions(name="feedback"),
        warm_up=False,
        patience=QUICK,
        recorder=records.append,
    )
    real = [np.array([PREDICTED[::-1]], dtype=float)] * 2
    objective = Deployed(problem, space, real, [token_ids], run=run)
    # Memory alone is of interest: a share of a processor would only take time.
    stand.reshape(Shape(processors=False))
    try:
        tuned = optimise(objective, space, "multi_epsilon", pairs=2, evaluations=1)
        first = tuned.trials[0].measured
        assert first.over_memory
        assert first.over_payload
        assert first.mispredicted
        assert first.token_ids.tolist() == [0, 1]
        np.testing.assert_array_equal(first.tokens, np.array(real)[:, 0])
        ran_out, split = records[0].calls, records[1].calls
        assert [call.expert for call in ran_out if call.error == "memory"] == [1]
        assert sum(call.tokens for call in ran_out if call.error is None) == sum(PREDICTED)
        assert sum(call.expert == 1 for call in split) == 3
        assert all(call.error is None for call in split)

        records.clear()
        right = pairs_of(np.array([[e, t, 0, 1 - t, 99] for e in (0, 1) for t in (0, 1)]))
        found = replace(objective, run=replace(run, warm_up=True))(right)
        assert [found.over_memory, found.over_payload, found.mispredicted] == [False] * 3
        assert [(record.batch, record.layer) for record in records] == [("0", 0), ("0", 1)] * 2
        assert all(call.error is None for record in records for call in record.calls)
        assert not any(call.cold for record in records[2:] for call in record.calls)
    finally:
        stand.reshape(Shape())
        remove(Names("feedback"), clients)


def call_of(expert: int, tokens: int, error: Any = None, seconds: float = 1.0) -> Call:
    """Return a call with 1,024 MB."""
    return Call(
        function=f"f{expert}", layer=0, expert=expert, replica=0, design=2, memory_mb=1024,
        piece=f"p{expert}", attempt=1, minibatches=(tokens,), began_s=0.0, ended_s=seconds,
        duration_s=seconds, billed_s=seconds, init_s=None, used_mb=100, request_bytes=1,
        response_bytes=1, error=error,
    )  # fmt: skip


def test_what_was_measured_is_added_up() -> None:
    """Two runs of a layer, which is 3 s; the second finishes what failed in the first."""
    problem = mini(head_s=0.25, tail_s=0.5)
    fleet = fleet_named("met", problem, plan_of(problem, 2, memory_mb=512))
    failed = [call_of(0, 6, "memory"), call_of(0, 3, "timeout"), call_of(0, 3), call_of(1, 3)]
    runs = [
        LayerRecord(batch="0", layer=0, design=2, tokens=(6, 3), seconds=s, calls=tuple(calls))
        for s, calls in ((2.0, failed), (1.0, [call_of(0, 3)]))
    ]
    met = measured(fleet, [np.array([[6, 3]])], [[runs]])
    prices = problem.book()
    storage = prices.storage_prices("s3-standard")
    per_call = prices.usd_per_request + 2 * storage.usd_per_get + storage.usd_per_put
    per_s = prices.function_prices("x86").usd_per_gb_s()
    np.testing.assert_allclose(met.cost_usd, [5 * (per_call + per_s)])
    np.testing.assert_allclose(met.layer_usd, met.cost_usd[:, None])
    assert met.layer_s.tolist() == [[3.0]]
    assert met.latency_s.tolist() == [3.75]
    assert met.over_memory.tolist() == [[[True, False]]]
    assert met.over_time.tolist() == [[[True, False]]]
    assert met.over_payload.tolist() == [[[False, False]]]
    assert met.calls.tolist() == [[[2.0, 1.0]]]


def test_parts_of_tokens_are_not_run() -> None:
    problem = mini()
    assert whole_tables(problem, [np.array([[6.0, 3.0]])])[0].tolist() == [[6, 3]]
    with pytest.raises(InstanceError, match=r"tokens\[0\]\[1\]\[0\]: must be whole tokens"):
        whole_tables(problem, [np.array([[6.0, 3.0], [0.5, 1.0]])])
