"""Serverless plans on a page: the bill, the seconds, what is rented, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from three_wings_samples import apply, flat, saved, solved

import moeopt
from moeopt.core.errors import InstanceError
from moeopt.report.picture import Bars, Picture
from moeopt.report.serverless.page import REPORT, experts_table
from moeopt.report.serverless.pictures import (
    bill_of,
    bill_picture,
    latency_picture,
    memory_map,
    replica_map,
)
from moeopt.serverless import ServerlessPlan, ServerlessProblem, evaluate
from moeopt.serverless.summary import money_unit

#: Every design, every part of a bill, several batches, cold starts, one real size.
NAMES = (
    "tiny-2x4",
    "tiny-non-moe",
    "tiny-provisioned",
    "tiny-requests",
    "tiny-storage-fees",
    "tiny-batches",
    "tiny-weights",
    "tiny-idle-expert",
    "tiny-cold-promise",
    "tiny-pipelining",
    "tiny-mixed-designs",
    "small-3x3-0",
    "gpt2-moe",
    "gpt2-moe-scenarios-4",
)


def case(name: str) -> tuple[ServerlessProblem, ServerlessPlan]:
    problem, plan, _ = solved(f"serverless/{name}")
    return problem, plan


def bars(picture: Picture) -> list[Bars]:
    return [one for one in picture.marks if isinstance(one, Bars)]


@pytest.mark.parametrize("name", NAMES)
def test_stacked_bars_are_the_bill(name: str) -> None:
    problem, plan = case(name)
    value, picture = evaluate(problem, plan), bill_picture(problem, plan)
    size, unit = money_unit(float(value.layer_usd.max()))
    assert picture.y.unit == unit
    stacked = np.zeros(bars(picture)[0].x.size)
    for one in bars(picture):
        assert one.base == pytest.approx(stacked)
        stacked += one.height
    layers = problem.num_layers
    assert size * stacked[:layers] == pytest.approx(value.layer_usd)
    assert size * stacked.sum() == pytest.approx(value.cost_usd)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_billed_is_told_apart_as_the_plan_is_charged(name: str) -> None:
    problem, plan = case(name)
    value, bill = evaluate(problem, plan), bill_of(problem, plan)
    assert bill.seconds.sum() == pytest.approx(value.duration_usd)
    assert bill.calls.sum() + bill.storage.sum() == pytest.approx(value.fees_usd)
    assert bill.held.sum() == pytest.approx(value.held_usd)
    assert bill.waiting.sum() == pytest.approx(value.waiting_usd)
    free = msgspec.structs.replace(problem.billing, requests=False)
    silent = evaluate(msgspec.structs.replace(problem, billing=free, generator=None), plan)
    assert bill.calls.sum() == pytest.approx(value.fees_usd - silent.fees_usd, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_seconds_of_stages_lead_from_the_batch_to_its_end(name: str) -> None:
    problem, plan = case(name)
    value, picture = evaluate(problem, plan), latency_picture(problem, plan)
    own = np.zeros(problem.num_layers)
    top = 0.0
    for one in bars(picture):
        top = max(top, float((one.base + one.height).max()))
        if one.name != "head, tail":
            own[one.x.astype(int)] += one.height
    alone = value.layer_s + np.array([layer.non_moe_s for layer in problem.layers])
    assert own == pytest.approx(alone)
    assert top == pytest.approx(value.latency_s)
    levels = [one.value for one in picture.marks if getattr(one, "name", "") == "promise"]
    assert levels == ([] if problem.slo_s is None else [problem.slo_s])


def test_one_call_paid_by_hand() -> None:
    problem, plan = case("tiny-requests")
    bill = bill_of(problem, plan)
    calls = int(plan.replicas.sum())
    assert bill.calls.tolist() == [calls * problem.book().usd_per_request, 0.0]


@pytest.mark.parametrize("name", NAMES)
def test_maps_and_rows_are_the_plan(name: str) -> None:
    problem, plan = case(name)
    value = evaluate(problem, plan)
    memory, replicas = memory_map(problem, plan), replica_map(problem, plan)
    assert memory.marks[0].values.tolist() == plan.memory_mb.tolist()  # type: ignore[union-attr]
    assert replicas.marks[0].values.tolist() == plan.replicas.tolist()  # type: ignore[union-attr]
    table = experts_table(problem, plan, value)
    there = plan.memory_mb > 0
    assert [row[2] for row in table.rows] == plan.memory_mb[there].tolist()
    assert [row[3] for row in table.rows] == plan.replicas[there].tolist()
    size, unit = money_unit(float(value.expert_usd.max()))
    at = [column.name for column in table.columns].index(unit)
    assert [row[at] for row in table.rows] == pytest.approx(value.expert_usd[there] / size)


def test_designs_are_named() -> None:
    problem, plan = case("tiny-2x4")
    picture = bill_picture(problem, plan)
    assert picture.x.names == ("0 storage", "1 direct")
    problem, plan = case("gpt2-moe")
    picture = bill_picture(problem, plan)
    assert "direct in 12 of 12 layers" in picture.says
    assert picture.x.names == ()


def test_what_binds_would_pay_without_it() -> None:
    problem, plan, result = solved("serverless/tiny-promise")
    facts = {fact.label: fact for fact in REPORT.summary(problem, plan, result).binds}
    free = msgspec.structs.replace(problem, slo_s=None, generator=None)
    assert moeopt.solve(free).objective < result.objective
    assert facts["promise"].number == 1
    assert facts["left of the promise"].number == evaluate(problem, plan).slack_s


@pytest.mark.parametrize("name", NAMES)
def test_the_summary_s_numbers_are_the_plan_s(name: str) -> None:
    problem, plan, result = solved(f"serverless/{name}")
    value, summary = evaluate(problem, plan), REPORT.summary(problem, plan, result)
    gained = {fact.label: fact.number for fact in summary.gained}
    assert gained["bill of a batch"] == value.cost_usd
    assert gained["end to end"] == value.latency_s
    assert gained["functions"] == plan.replicas.sum()
    size, unit = money_unit(value.cost_usd)
    assert summary.distance[0].text == f"{value.cost_usd / size:.6g} {unit}"
    drawn = flat(REPORT.pictures(problem, plan, result))
    assert len({picture.name for picture in drawn}) == len(drawn)
    assert all(picture.says for picture in drawn)
    assert len(REPORT.tables(problem, plan, result)) == 3


def test_steps_can_be_carried_out(tmp_path: Path) -> None:
    apply(saved("serverless/tiny-2x4", tmp_path))


def test_a_deployment_s_name_is_one_that_the_adapter_takes() -> None:
    from moeopt.adapters.aws_lambda.names import Names as Deployment
    from moeopt.report.serverless.page import _deployment

    problem, _ = case("tiny-2x4")
    for name in ("Größe/42 --", "", "x" * 80, "gpt2-moe"):
        told = _deployment(msgspec.structs.replace(problem, name=name, generator=None))
        Deployment(told)
    with pytest.raises(InstanceError):
        Deployment("Größe/42 --")
