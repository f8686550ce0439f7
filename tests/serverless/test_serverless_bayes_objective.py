"""What a deployment from an adjusted table costs, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
import serverless_cases as cases
from serverless_bayes_study import EXPERTS, LAYERS, NOTHING, predicted, space

import moeopt
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.serverless.bayes import optimise
from moeopt.serverless.bayes_objective import Deployed, with_tokens
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.realised import Met, meet

WHERE = space()
AS_PREDICTED = np.array(predicted(WHERE, NOTHING))


def deployed(batches: Any, tolerance_tokens: float = 20.0, **fields: Any) -> Deployed:
    """Return the deployment of two layers of four experts that meets these batches."""
    own = {name: fields.pop(name) for name in ("late_usd_per_s", "run", "method") if name in fields}
    problem = cases.problem(*np.ones((LAYERS, EXPERTS)), **{"max_replicas": 8, **fields})
    tables = tuple(np.array(batches, dtype=float).swapaxes(0, 1))
    token_ids = tuple(np.array([10 * batch, 1]) for batch in range(len(batches)))
    return Deployed(problem, WHERE, tables, token_ids, tolerance_tokens=tolerance_tokens, **own)


def test_as_predicted_it_is_the_plans_bill() -> None:
    objective = deployed([AS_PREDICTED])
    problem = with_tokens(objective.problem, list(AS_PREDICTED))
    result = moeopt.solve(problem, "exact")
    found = objective(NOTHING)
    assert found.cost_usd == pytest.approx(result.objective)
    assert found.layer_usd == pytest.approx(evaluate(problem, result.plan).layer_usd)
    assert [found.over_memory, found.over_payload, found.mispredicted] == [False] * 3
    assert found.token_ids.size == 0
    np.testing.assert_allclose(found.tokens, AS_PREDICTED)


def test_batches_that_were_mispredicted_are_named() -> None:
    other = AS_PREDICTED[:, ::-1]
    found = deployed([AS_PREDICTED, other, AS_PREDICTED, other])(NOTHING)
    assert found.mispredicted
    assert found.token_ids.tolist() == [1, 10, 30]
    np.testing.assert_allclose(found.tokens, (AS_PREDICTED + other) / 2)
    assert not deployed([other], tolerance_tokens=1e9)(NOTHING).mispredicted


def test_a_payload_overrun_is_told() -> None:
    """A call carries 20 outputs; inputs and outputs go directly."""
    objective = deployed([3 * AS_PREDICTED], designs=(3,), max_replicas=40)
    found = objective(NOTHING)
    assert found.over_payload
    assert found.mispredicted
    assert not found.over_memory


@pytest.mark.parametrize("method", ["exact", "ods"])
def test_a_late_batch_is_charged_where_it_was_late(method: str) -> None:
    batch = AS_PREDICTED * [[1.0], [2.0]]
    free = with_tokens(deployed([batch]).problem, list(AS_PREDICTED))
    plan = moeopt.solve(free, "exact").plan
    promise = evaluate(free, plan).latency_s
    fields = {"slo_s": promise, "method": method}
    bill = deployed([batch], **fields)(NOTHING)
    charged = deployed([batch], late_usd_per_s=2.0, **fields)(NOTHING)
    late_s = (charged.cost_usd - bill.cost_usd) / 2.0
    assert late_s > 0
    assert bill.layer_usd is not None
    assert charged.layer_usd is not None
    assert charged.layer_usd - bill.layer_usd == pytest.approx([0.0, 2.0 * late_s])
    for found in (bill, charged):
        assert found.layer_usd is not None
        assert found.layer_usd.sum() == pytest.approx(found.cost_usd)


@pytest.mark.parametrize("method", ["exact", "ods", "lambdaml"])
def test_a_promise_that_cannot_be_kept_gets_the_shortest_latency(method: str) -> None:
    objective = deployed([AS_PREDICTED], slo_s=1.0, method=method)
    problem, plan = objective.planned(list(AS_PREDICTED))
    assert not violations(problem, plan)
    shorter = msgspec.structs.replace(problem, slo_s=0.999 * evaluate(problem, plan).latency_s)
    assert moeopt.solve(shorter, "exact").plan is None


def test_what_fits_nowhere_is_an_error() -> None:
    expert = msgspec.structs.replace(cases.EXPERT, intermediate_bytes=2**40)
    with pytest.raises(InstanceError, match="must have a plan for predicted tokens"):
        deployed([AS_PREDICTED], expert=expert)(NOTHING)


def test_deployments_may_be_anybodys() -> None:
    """The user's own run is asked with the plan, and what it measured is what counts."""
    asked: list[ServerlessPlan] = []

    def run(problem: ServerlessProblem, plan: ServerlessPlan, tokens: Sequence[FloatArray]) -> Met:
        asked.append(plan)
        met = meet(problem, plan, tokens)
        return Met(**{**vars(met), "cost_usd": met.cost_usd + 7.0})

    plain, measured = deployed([AS_PREDICTED])(NOTHING), deployed([AS_PREDICTED], run=run)(NOTHING)
    assert measured.cost_usd == pytest.approx(plain.cost_usd + 7.0)
    assert measured.layer_usd is not None
    assert measured.layer_usd.sum() == pytest.approx(measured.cost_usd)
    assert len(asked) == 1


def test_it_is_an_objective() -> None:
    objective = deployed([AS_PREDICTED[:, ::-1]])
    tuned = optimise(objective, WHERE, "gp", pairs=60, evaluations=4)
    assert tuned.cost_usd <= tuned.trials[0].cost_usd
