"""The bill at round prices."""

from __future__ import annotations

import pytest
from lambda_round import call, problem

from moeopt.adapters.aws_lambda.bill import bill, bill_of_call, bill_of_records
from moeopt.adapters.aws_lambda.calls import GateTraffic, LayerRecord, Seconds
from moeopt.serverless.problem import Billing

SECONDS = Seconds(
    load_s=0.1,
    load_bytes=1000,
    wait_s=0.0,
    read_s=(0.1, 0.1),
    read_bytes=(16, 16),
    compute_s=(0.1, 0.1),
    write_s=(0.1, 0.1),
    write_bytes=(20, 20),
    gets=5,
    puts=2,
)


def test_lambda_bill_of_a_call_is_seconds_request_and_one_get() -> None:
    assert bill_of_call(problem(), call()) == pytest.approx(1.0 + 0.5 + 0.001)
    twice = call(memory_mb=256, billed_s=1.5, init_s=0.5)
    assert bill_of_call(problem(), twice) == pytest.approx(3.0 + 0.5 + 0.001)


def test_lambda_bill_failed_calls_are_billed_and_told() -> None:
    calls = [call(), call(error="crash"), call(error="throttled", duration_s=0.0, billed_s=0.0)]
    total = bill(problem(), calls)
    assert (total.calls, total.gb_s) == (2, pytest.approx(0.25))
    assert (total.duration_usd, total.requests_usd) == (pytest.approx(2.0), pytest.approx(1.0))
    assert total.failed_usd == pytest.approx(1.5)
    assert total.usd == pytest.approx(3.0 + 2 * 0.001)


def test_lambda_bill_of_storage_counts_what_was_asked() -> None:
    own = problem(storage="busy")
    told = call(design=1, minibatches=(2, 2), seconds=SECONDS)
    total = bill(own, [told], [GateTraffic(read_s=(0.1,), read_bytes=(40,))])
    assert (total.gets, total.puts) == (6, 2)
    traffic = (1000 + 32 + 40) * 1e6 / 1e9 + 40 * 2e6 / 1e9
    assert total.storage_usd == pytest.approx(6 * 0.001 + 2 * 0.01 + traffic)


def test_lambda_bill_of_storage_assumes_all_of_a_call_that_did_not_say() -> None:
    lost = call(design=1, minibatches=(2, 2), error="connection", estimated=True)
    total = bill(problem(storage="busy"), [lost])
    assert (total.gets, total.puts, total.estimated) == (3, 2, 1)
    traffic = (1000 + 4 * 8) * 1e6 / 1e9 + 4 * 8 * 2e6 / 1e9
    assert total.storage_usd == pytest.approx(3 * 0.001 + 2 * 0.01 + traffic)


def test_lambda_bill_at_the_months_use_and_with_ephemeral_storage() -> None:
    used = problem(billing=Billing(used_gb_s=20.0, ephemeral_mb=1536))
    assert bill(used, [call()]).duration_usd == pytest.approx(0.5 + 1.0)


def test_lambda_bill_counted_as_the_problem_counts() -> None:
    total = bill(problem(), [call()])
    assert total.counted_usd(Billing()) == total.usd
    bare = Billing(requests=False, storage=False)
    assert total.counted_usd(bare) == total.duration_usd


def test_lambda_bill_of_records_is_that_of_their_calls_and_traffic() -> None:
    own = GateTraffic(write_s=(0.1, 0.1), write_bytes=(8, 8))
    record = LayerRecord(
        batch="b", layer=0, design=2, tokens=(4, 0), seconds=2.0, calls=(call(),), traffic=own
    )
    both = bill_of_records(problem(), [record, record])
    assert both.usd == pytest.approx(2 * (1.501 + 0.02))
    assert bill_of_records(problem(), []).usd == 0.0
