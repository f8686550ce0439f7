"""What a deployment from an adjusted table costs, and what it tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
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


def test_overruns_of_experts_as_predicted_are_not_fed_back() -> None:
    """The paper asks after memory and payload only where tokens are alpha apart."""
    fields = {"designs": (3,), "max_replicas": 40}
    near = deployed([3 * AS_PREDICTED], 1e9, **fields)
    _, plan = near.planned(list(AS_PREDICTED))
    assert meet(near.problem, plan, near.tokens).over_payload.any()
    found = near(NOTHING)
    assert [found.over_memory, found.over_payload, found.mispredicted] == [False] * 3
    assert found.token_ids.size == 0
    # One expert is far from predicted and carries little; another overran, and is not far.
    layer = AS_PREDICTED[0]
    far = AS_PREDICTED.copy()
    far[0, layer.argmax()] = 0.0
    mixed = deployed([far], 1.0, run=overrun_at(int(layer.argmin())), **fields)(NOTHING)
    assert mixed.mispredicted
    assert not mixed.over_payload
    assert deployed([far], 1.0, run=overrun_at(int(layer.argmax())), **fields)(NOTHING).over_payload


def overrun_at(expert: int) -> Any:
    """Return a run in which one expert of the first layer overruns, and no other."""

    def run(problem: ServerlessProblem, plan: ServerlessPlan, tokens: Sequence[FloatArray]) -> Met:
        met = meet(problem, plan, tokens)
        over = np.zeros_like(met.over_payload)
        over[:, 0, expert] = True
        return Met(**{**vars(met), "over_payload": over})

    return run


def test_another_objective_has_another_fingerprint() -> None:
    first = deployed([AS_PREDICTED])
    assert first.fingerprint() == deployed([AS_PREDICTED]).fingerprint()
    others = [
        deployed([2 * AS_PREDICTED]),
        deployed([AS_PREDICTED], 21.0),
        deployed([AS_PREDICTED], method="ods"),
        deployed([AS_PREDICTED], late_usd_per_s=1.0),
        deployed([AS_PREDICTED], max_replicas=7),
        deployed([AS_PREDICTED], run=overrun_at(0)),
        dataclasses.replace(first, token_ids=[np.array([3])]),
        dataclasses.replace(first, space=space(tokens=300)),
    ]
    assert len({first.fingerprint(), *(other.fingerprint() for other in others)}) == 9


def test_a_log_of_another_deployment_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    optimise(deployed([AS_PREDICTED]), WHERE, "random", pairs=5, evaluations=1, log=log)
    dearer = deployed([AS_PREDICTED], late_usd_per_s=1.0)
    with pytest.raises(InstanceError, match=r"\$\.objective: .* the log is of another objective"):
        optimise(dearer, WHERE, "random", pairs=5, evaluations=1, log=log)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tolerance_tokens": np.nan}, "tolerance_tokens: must be a finite number >= 0"),
        ({"tolerance_tokens": "few"}, "tolerance_tokens: must be a number"),
        ({"late_usd_per_s": -1.0}, "late_usd_per_s: must be a finite number >= 0"),
        ({"token_ids": []}, r"token_ids: must have shape \(1,\)"),
        ({"token_ids": [np.array([-1])]}, r"token_ids\[0\]\[0\]: must be 0 to"),
        ({"tokens": np.zeros((LAYERS, 0, EXPERTS))}, "tokens: must hold one batch"),
        ({"tokens": np.zeros((1, 1, EXPERTS))}, "tokens: must have shape"),
        ({"tokens": ["some"] * LAYERS}, r"tokens\[0\]: must be a rectangular array"),
        ({"problem": cases.problem(np.ones(EXPERTS))}, "must have the experts of the space's"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        dataclasses.replace(deployed([AS_PREDICTED]), **fields)


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
