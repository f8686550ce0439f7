"""What a page tells of transfers: summary, tables, and steps that work as they are written."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from transfers_samples import PLAN, PROBLEM, changed, solved
from written_steps import require_command, run_python

import moeopt
from moeopt.cli.main import main
from moeopt.report.transfers import REPORT
from moeopt.report.transfers.pictures import gantt_picture
from moeopt.report.transfers.tables import MOST_ROWS
from moeopt.report.wings import Names
from moeopt.transfers import Busy, TransferPlan, TransferProblem, Window, evaluate, speedups
from moeopt.transfers.bounds import makespan_bound


def test_the_summary_is_the_checker_s() -> None:
    problem, result = solved("zipf-8", "birkhoff")
    value = evaluate(problem, result.plan)
    summary = REPORT.summary(problem, result.plan, result)
    gained = {fact.label: fact.number for fact in summary.gained}
    assert gained["makespan"] == value.makespan_s == 160
    assert gained["rounds"] == value.num_rounds
    for name, ratio in speedups(problem, value.makespan_s).items():
        assert gained[f"unordered, {name.replace('_', ' ')}"] == pytest.approx(
            ratio * value.makespan_s
        )
    asked = {fact.label: fact.number for fact in summary.asked}
    assert (asked["ports"], asked["messages"], asked["bytes"]) == (8, 56, 450)
    distance = {fact.label: fact for fact in summary.distance}
    assert distance["lower bound"].text == "160 s"
    binds = {fact.label: fact for fact in summary.binds}
    assert binds["busiest port"].text == "port 5, receiving: 160 s, 100.0 % of the time (C2)"
    assert binds["longest line"].number == pytest.approx(160)


def test_a_file_without_a_result_has_the_cheap_bound() -> None:
    distance = REPORT.summary(PROBLEM, PLAN, None).distance
    assert [(fact.label, fact.text) for fact in distance] == [
        ("objective", "4 s"),
        ("lower bound", "4 s"),
    ]
    counted = changed(PROBLEM, objective="rounds")
    plan = moeopt.solve(counted, "birkhoff").plan
    assert REPORT.summary(counted, plan, None).distance[0].text == "2 rounds"


def test_what_differs_by_rounding_is_no_difference() -> None:
    problem, result = solved("aurora-cluster-zipf-8", "auto")
    least = makespan_bound(problem) * (1 - 1e-7)
    assert gantt_picture(problem, result.plan, bound_s=least).says.endswith("no order is faster.")
    ports = REPORT.tables(problem, result.plan, result)[1]
    idle = [row[-1] for row in ports.rows]
    assert idle[0] == 0.0
    assert min(idle[1:]) > 1.0


def test_rules_that_bind_are_named() -> None:
    problem = changed(
        PROBLEM,
        startup_s=0.25,
        windows=(Window(source=0, destination=1, deadline_s=4.0), Window(source=1, release_s=0.5)),
        busy=(Busy(port=2, start_s=6.0, end_s=7.0),),
    )
    plan = TransferPlan(
        source=np.array([0, 1, 0]),
        destination=np.array([1, 2, 2]),
        size_bytes=np.array([3.0, 2.0, 1.0]),
        start_s=np.array([0.0, 0.5, 3.25]),
        duration_s=np.array([3.25, 2.25, 1.25]),
        round_index=np.array([0, 0, 1]),
    )
    summary = REPORT.summary(problem, plan, None)
    binds = {fact.label: fact.number for fact in summary.binds}
    assert binds["start-ups"] == 0.5  # two of port 0
    assert binds["releases (C5)"] == 0.5
    assert binds["deadlines (C6)"] == 0.75
    assert binds["busy ports (C9)"] == 1
    assert "not compared: it heeds neither" in summary.gained[1].text
    problem, result = solved("two-tier-2x4", "two_tier")
    binds = {f.label: f.number for f in REPORT.summary(problem, result.plan, result).binds}
    passed = result.plan.size_bytes.sum() - problem.messages().sum()
    assert binds["passed on inside nodes (C11)"] == pytest.approx(passed)
    problem, result = solved("startup-zipf-8-rounds", "few_rounds")
    binds = {f.label: f.number for f in REPORT.summary(problem, result.plan, result).binds}
    assert binds["start-ups"] == result.plan.num_rounds * problem.startup_s


def test_the_tables_have_the_whole_plan() -> None:
    rounds, ports, rows = REPORT.tables(PROBLEM, PLAN, None)
    assert rounds.rows == [(0, 0.0, 3.0, 2, 5.0), (1, 3.0, 4.0, 1, 1.0)]
    assert ports.rows == [
        [0, 4, 4, 0, 0, 0, 4],
        [1, 2, 2, 2, 3, 3, 1],
        [2, 0, 0, 4, 3, 3, 1],
    ]
    assert ports.footer == ["total", 6, None, None, 6, None, None]
    assert rows.rows == [(0, 0, 1, 3, 0, 3), (0, 1, 2, 2, 0, 2), (1, 0, 2, 1, 3, 4)]
    problem, result = solved("two-tier-2x4", "two_tier")
    relayed = REPORT.tables(problem, result.plan, result)[-1]
    assert [column.name for column in relayed.columns][-2:] == ["message from", "message to"]
    assert [row[-2] for row in relayed.rows] == result.plan.origin.tolist()
    problem, result = solved("uniform-64", "birkhoff")
    long = REPORT.tables(problem, result.plan, result)[-1]
    assert len(long.rows) == MOST_ROWS
    assert f"of {len(result.plan.source):,}" in long.note


def test_the_steps_work_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    named = Names(plan="my plan.json", instance="@transfers/aurora-padding")
    problem = moeopt.load_problem(named.instance)
    result = moeopt.solve(problem, "birkhoff")
    moeopt.save_plan(named.plan, problem, result)
    check, port, back, run, exchange = REPORT.steps(problem, result.plan, named)
    assert main(shlex.split(check.command)[1:]) == 0
    assert "4" in capsys.readouterr().out
    assert len(run_python(port.command)) == len(result.plan.rounds_for(0))
    assert run_python(back.command) == [f"8.0 {result.plan.num_rounds}"]
    assert shlex.split(run.command) == [
        "moeopt", "run", named.plan, "--instance", named.instance
    ]  # fmt: skip
    assert exchange.language == "python"


def test_steps_that_cannot_be_are_left_out() -> None:
    names = Names(plan="p.json", instance="i.json")

    def commands(problem: TransferProblem, plan: TransferPlan) -> str:
        return "\n".join(step.command for step in REPORT.steps(problem, plan, names))

    problem, result = solved("two-tier-2x4", "two_tier")
    assert "moeopt run" not in commands(problem, result.plan)  # its ports pass bytes on
    straight = msgspec.structs.replace(PLAN, origin=PLAN.source, target=PLAN.destination)
    assert "moeopt run" in commands(PROBLEM, straight)
    timed = changed(PROBLEM, windows=(Window(deadline_s=9.0),))
    assert ".reversed(" in commands(PROBLEM, PLAN)
    assert ".reversed(" not in commands(timed, PLAN)
    assert "migration" not in commands(PROBLEM, PLAN)


def test_the_steps_of_pytorch_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist = pytest.importorskip("torch.distributed")
    fake = pytest.importorskip("torch.testing._internal.distributed.fake_pg")
    monkeypatch.chdir(tmp_path)
    named = Names(plan="a 'plän' \N{GRINNING FACE}.json", instance="problem.json")
    traffic = np.array([[0.0, 3.0], [2.0, 0.0]])
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=1.0)
    result = moeopt.solve(problem, "birkhoff")
    moeopt.save_plan(named.plan, problem, result)
    moeopt.save_problem(named.instance, problem)
    *_, run, exchange = (step.command for step in REPORT.steps(problem, result.plan, named))
    require_command(run)
    dist.init_process_group("fake", store=fake.FakeStore(), rank=0, world_size=2)
    try:
        space: dict[str, Any] = {}
        exec(compile(exchange, "<step>", "exec"), space)
        assert type(space["exchange"]).__name__ == "RoundsExchange"
    finally:
        dist.destroy_process_group()


def test_the_step_of_a_migration_is_vllm_s() -> None:
    problem, result = solved("expert-moves-16", "edge_coloring")
    problem = changed(problem, preemptive=False)
    names = Names(plan="plan.json", instance="instance.json")
    step = REPORT.steps(problem, result.plan, names)[-1]
    # Half-duplex ports do one of both in a batch.
    assert run_python(step.command) == ["[(0, 1, (0,))]", "[(1, 0, (2,))]"]
    both = changed(problem, half_duplex=False)
    step = REPORT.steps(both, result.plan, names)[-1]
    assert run_python(step.command) == ["[(0, 1, (0,)), (1, 0, (2,))]"]
