"""``moeopt check``: every violation by name, and claims that are not trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import INSTANCE, PLAN, Ran

Run = Callable[..., Ran]
Write = Callable[..., Path]


def test_a_valid_plan(run: Run, write: Write, instance: Path) -> None:
    ran = run("check", instance, write("plan.json", PLAN))
    assert (ran.code, ran.err) == (0, "")
    assert "valid, objective 100" in ran.out
    assert "total" in ran.out
    report = run("check", instance, write("plan.json", PLAN), "--json").json()
    assert report == {"valid": True, "objective": 100, "violations": [], "notes": []}


def test_all_violations_are_listed(run: Run, write: Write) -> None:
    instance = write("a.json", INSTANCE, forbidden=[{"expert": 0, "device": 0}])
    plan = write("plan.json", PLAN, physical_to_logical=[[0, 0, 1, 2], [1, 2, 0, -1]])
    ran = run("check", instance, plan)
    assert (ran.code, ran.out) == (2, "")
    assert f"{plan}: C1 at $.physical_to_logical[0]: expert 3 must have at least 1" in ran.err
    assert "C2 at $.physical_to_logical[1]: slot 3 must hold an expert" in ran.err
    assert "C3 at $.physical_to_logical[0]: expert 0 must have at most 1 copies" in ran.err
    assert "C7 at $.physical_to_logical[0]: expert 0 is forbidden on device 0" in ran.err
    report = run("check", instance, plan, "--json").json()
    assert report["valid"] is False
    assert report["objective"] is None
    assert {v["constraint"] for v in report["violations"]} == {"C1", "C2", "C3", "C7"}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([[0, 1, 2, 3]], "shape at $.physical_to_logical: must have shape (2, 4)"),
        ([0, 1], "shape at $.physical_to_logical: must have shape (2, 4)"),
        ([[0, 1, 2, 9]] * 2, "$.physical_to_logical[0][3]: must be -1 to 3, is 9"),
        ([["a"]], "$.physical_to_logical[0][0]: must be a number, got 'a'"),
        ({"npz": "../x.npz", "key": "x"}, "$.physical_to_logical.npz: must be a relative path"),
    ],
)
def test_plans_that_cannot_be_read(
    run: Run, write: Write, instance: Path, table: Any, says: str
) -> None:
    ran = run("check", instance, write("plan.json", PLAN, physical_to_logical=table))
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_whole_numbers_written_as_floats_are_experts(
    run: Run, write: Write, instance: Path
) -> None:
    table = [[0.0, 3.0, 1.0, 2.0]] * 2
    assert run("check", instance, write("plan.json", PLAN, physical_to_logical=table)).code == 0


def test_claims_are_doubted(run: Run, write: Write, instance: Path) -> None:
    plan = instance.with_name("plan.json")
    assert run("solve", instance, "-o", plan).code == 0
    document = json.loads(plan.read_text())
    assert run("check", instance, plan).err == ""
    document["result"].update(objective=90, bound=101)
    document["result"]["statistics"]["layer_bound"] = ["x", None]
    lie = write("lie.json", document)
    ran = run("check", instance, lie)
    assert ran.code == 0
    assert f"{lie}: $.result.objective: claims 90, the plan has 100" in ran.err
    assert f"{lie}: $.result.bound: claims 101, above the plan's 100" in ran.err
    other = write("other.json", INSTANCE, loads_tokens=[[40, 30, 20, 11]] * 2)
    ran = run("check", other, plan)
    assert "$.problem_sha256: the plan was made for another problem" in ran.err
    # The old bound says nothing of the new loads.
    said = [line.split() for line in ran.out.splitlines()]
    assert not any(words[:2] == ["lower", "bound"] for words in said)
    assert ["objective", "102"] in said


def test_files_in_the_wrong_place(run: Run, write: Write, instance: Path) -> None:
    plan = write("plan.json", PLAN)
    assert f"{plan}: $.problem: must be a problem document" in run("check", plan, instance).err
    assert f"{instance}: $.plan: must be a plan document" in run("check", instance, instance).err
    assert "must be a file if INSTANCE is -" in run("check", "-", "-").err


def test_claims_about_tiny_objectives_are_checked_too(run: Run, write: Write) -> None:
    problem = write("tiny.json", INSTANCE, loads_tokens=[[4e-12, 3e-12, 2e-12, 1e-12]])
    plan = json.loads(run("solve", problem, "--json").out)
    plan["result"].update(objective=4e-12, bound=6e-12)
    claimed = problem.with_name("claimed.json")
    claimed.write_text(json.dumps(plan))
    ran = run("check", problem, claimed)
    assert ran.code == 0
    assert "$.result.objective: claims 4e-12, the plan has 5e-12" in ran.err
    assert "$.result.bound: claims 6e-12, above the plan's 5e-12" in ran.err
