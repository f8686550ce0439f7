"""``moeopt report``: where the page goes, and plans that get none."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from command_line import INSTANCE, PLAN, Ran

from moeopt.report import page as pages

Run = Callable[..., Ran]
Write = Callable[..., Path]


@pytest.fixture
def solved(run: Run, instance: Path) -> Path:
    """Return the file of a plan of the small instance."""
    plan = instance.with_name("plan.json")
    assert run("solve", instance, "-o", plan, "--quiet").code == 0
    return plan


def test_the_page_lies_beside_the_plan(run: Run, instance: Path, solved: Path) -> None:
    ran = run("report", solved, "--instance", instance)
    page = solved.with_suffix(".html")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == (f"moeopt: {page}: {page.stat().st_size:,} bytes, open it in a browser\n")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    # Steps name the files as they were named here.
    assert f"moeopt check {instance} {solved}" in text
    assert "seed 0" in text


def test_a_place_of_its_own(run: Run, instance: Path, solved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    ran = run("report", solved, "--instance", instance, "-o", other, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    printed = run("report", solved, "--instance", instance, "-o", "-", "--quiet")
    assert printed.code == 0
    assert printed.out.encode() == other.read_bytes()
    assert not solved.with_suffix(".html").exists()


def test_an_instance_of_the_library_is_found(run: Run, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert run("solve", "@placement/tiny-replicas", "-o", plan, "--quiet").code == 0
    assert run("report", plan).code == 0
    assert "@placement/tiny-replicas" in plan.with_suffix(".html").read_text(encoding="utf-8")


def test_a_plan_that_breaks_a_constraint(run: Run, write: Write, instance: Path) -> None:
    plan = write("plan.json", PLAN, physical_to_logical=[[0, 0, 1, 2], [0, 3, 1, 2]])
    ran = run("report", plan, "--instance", instance)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        f"moeopt: {plan}: $.physical_to_logical[0]: must keep every constraint of its problem,"
    )
    assert "C1: expert 3" in ran.err
    assert not plan.with_suffix(".html").exists()


def test_a_result_that_the_plan_has_not(run: Run, instance: Path, solved: Path) -> None:
    document = json.loads(solved.read_text())
    document["result"]["bound"] = 1e9
    solved.write_text(json.dumps(document))
    ran = run("report", solved, "--instance", instance)
    assert ran.code == 2
    assert f"moeopt: {solved}: $.result.bound: must be at most the plan's objective" in ran.err


def test_the_result_of_another_problem_is_left_out(run: Run, write: Write, solved: Path) -> None:
    other = write("other.json", INSTANCE, loads_tokens=[[40, 30, 20, 11], [10, 20, 30, 41]])
    ran = run("report", solved, "--instance", other)
    assert ran.code == 0
    assert "the plan was made for another problem" in ran.err
    page = unescape(solved.with_suffix(".html").read_text(encoding="utf-8"))
    assert "not known: the plan's file keeps no result" in page
    assert "seed 0" not in page


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.json"], "missing.json: must be a readable file"),
        (["-"], "-o: must be given if the plan is read from standard input"),
        (["-", "-o", "a.html", "--instance", "-"], "PLAN: must be a file if --instance is -"),
    ],
)
def test_usage(run: Run, arguments: list[str], says: str) -> None:
    ran = run("report", *arguments)
    assert ran.code == 2
    assert says in ran.err


def test_the_output_is_looked_at_first(
    run: Run, solved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "report_html", lambda *_, **__: pytest.fail("worked in vain"))
    ran = run("report", solved, "-o", solved.parent / "nowhere" / "page.html")
    assert ran.code == 2
    assert "-o: must be a file that can be written" in ran.err


def test_a_plan_with_no_problem_to_be_found(run: Run, solved: Path) -> None:
    ran = run("report", solved)
    assert ran.code == 2
    assert "name the plan's problem with --instance" in ran.err
