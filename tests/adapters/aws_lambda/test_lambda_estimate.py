"""What a deployment is said to cost, against the price book by hand."""

from __future__ import annotations

import pytest
from lambda_cases import fleet_named, mini, plan_of

from moeopt.adapters.aws_lambda.deployer.estimate import estimate
from moeopt.serverless.plan import evaluate
from moeopt.serverless.problem import Billing


def test_a_batch_and_a_month() -> None:
    problem = mini(billing=Billing(non_moe_memory_mb=1024))
    plan = plan_of(problem)
    found = estimate(fleet_named("one", problem, plan), 10**9, 4)
    batch = evaluate(problem, plan)
    # The caller does the work of non-MoE layers itself.
    assert batch.waiting_usd > 0
    assert found.batch_usd == pytest.approx(batch.cost_usd - batch.waiting_usd)
    # Two experts of 512 MB, one GET of parameters each.
    assert found.fees_usd == pytest.approx(2 * (2e-7 + 4e-7))
    assert found.month_usd == pytest.approx(0.023)
    assert found.upload_usd == pytest.approx(4 * 5e-6)
    assert found.prices == "AWS Lambda and S3, us-east-1, 2026-09-20"
    table = found.table()
    assert [row[1] for row in table.rows][2:4] == [found.batch_usd, 1e6 * found.batch_usd]
    assert found.to_dict()["batch_usd"] == found.batch_usd
