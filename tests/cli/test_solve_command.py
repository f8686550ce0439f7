"""``moeopt solve``: tables for people, JSON only when asked, files only where asked."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import INSTANCE, Ran

import moeopt
from moeopt.cli import files
from moeopt.core.result import Limit, Result, Status

Run = Callable[..., Ran]


def test_tables_for_people(run: Run, instance: Path) -> None:
    ran = run("solve", instance)
    assert ran.code == 0
    assert ran.err == ""
    lines = [line.split() for line in ran.out.splitlines() if line.strip()]
    rows = {line[0]: line[1:] for line in lines}
    # Layer, contiguous, plan, lower bound, gap: the total is the ratio of the sums.
    assert rows["0"] == ["1.4000", "1.0000", "1.0000", "0.000"]
    assert rows["1"] == ["1.4000", "1.0000", "1.0000", "0.000"]
    assert rows["total"] == ["1.4000", "1.0000", "1.0000", "0.000"]
    assert rows["objective"] == ["100"]
    assert rows["status"][0].rstrip(",") == "optimal"
    assert "method" in rows
    assert "time" in rows
    assert max(map(len, ran.out.splitlines())) <= 80
    assert os.listdir(instance.parent) == [instance.name]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tiny-cvar", "for the library's write @placement/tiny-cvar"),
        ("committee/tiny-table", "for the library's write @committee/tiny-table"),
        ("nowhere", "check the name and the folder"),
        ("tiny-*", "check the name and the folder"),
    ],
)
def test_a_name_of_the_library_is_told_from_a_file(run: Run, name: str, said: str) -> None:
    ran = run("solve", name)
    assert ran.code == 2
    assert f"{name}: must be a readable file" in ran.err
    assert said in ran.err


def test_json_is_all_that_is_printed(run: Run, instance: Path) -> None:
    ran = run("solve", instance, "--json")
    document = ran.json()
    assert (ran.code, ran.err) == (0, "")
    assert list(document)[:4] == ["plan", "version", "problem_sha256", "result"]
    assert document["result"]["objective"] == 100
    assert sorted(document["physical_to_logical"][0]) == [0, 1, 2, 3]


def test_dash_o_writes_there_and_nowhere_else(run: Run, instance: Path) -> None:
    plan = instance.with_name("plan.json")
    ran = run("solve", instance, "-o", plan, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert sorted(os.listdir(instance.parent)) == ["plan.json", "small.json"]
    assert run("solve", instance, "-o", "-").json()["plan"] == "placement"
    assert run("check", instance, plan).code == 0


def test_json_and_a_file(run: Run, instance: Path) -> None:
    plan = instance.with_name("plan.json")
    ran = run("solve", instance, "--json", "-o", plan)
    assert ran.json() == json.loads(plan.read_text())


def test_a_warm_start(run: Run, instance: Path) -> None:
    plan = instance.with_name("plan.json")
    assert run("solve", instance, "-o", plan).code == 0
    assert (
        run("solve", instance, "--warm-start", plan, "--json").json()["result"]["objective"] == 100
    )


def test_infeasible_says_what_cannot_hold_and_writes_nothing(
    run: Run, write: Callable[..., Path]
) -> None:
    path = write("a.json", INSTANCE, slots_per_device=1)
    plan = path.with_name("plan.json")
    ran = run("solve", path, "-o", plan)
    assert (ran.code, ran.out) == (3, "")
    assert "infeasible: C2 at $.slots_per_device: 2 live slots must hold 4 experts" in ran.err
    assert not plan.exists()
    record = run("solve", path, "--json", "-o", plan).json()["result"]
    assert record["status"] == "infeasible"
    assert record["objective"] is None
    assert record["violations"][0]["amount"] == 2
    assert not plan.exists()


def test_no_plan_within_the_limits(
    run: Run, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Result[Any] = Result(status=Status.NO_PLAN_FOUND, limit=Limit.TIME, method="exact")
    monkeypatch.setattr("moeopt.core.solve.solve", lambda *args, **named: nothing)
    ran = run("solve", instance)
    assert (ran.code, ran.out) == (3, "")
    assert "method exact found no plan within its time limit; allow more time" in ran.err


def test_methods_are_listed(run: Run, instance: Path) -> None:
    assert "auto" in run("solve", "--list-methods").out
    listed = run("solve", instance, "--list-methods", "--json").json()
    assert "auto" in [method["method"] for method in listed["placement"]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "atuo"], "method: must be one of"),
        (["--time-limit", "0"], "time_limit_s: must be > 0, got 0.0; leave it out for none"),
        (["--time-limit", "nan"], "time_limit_s: must be > 0, got nan"),
        (["--time-limit", "soon"], "argument --time-limit: invalid float value: 'soon'"),
        (["--gap", "-1"], "gap: must be >= 0, got -1.0"),
        (["--seed", "-1"], "seed: must be 0 to 2147483647, got -1"),
        (["--workers", "0"], "workers: must be >= 1, got 0"),
        (["--warm-start", "no.json"], "no.json: must be a readable file"),
        (["-o", "."], "-o: must be a file that can be written, got '.'; it is a folder"),
        (["-o", "no/plan.json"], "make the folder no first"),
        (["--jason"], "unrecognized arguments: --jason"),
    ],
)
def test_bad_options(run: Run, instance: Path, arguments: list[str], says: str) -> None:
    ran = run("solve", instance, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_an_instance_is_required(run: Run) -> None:
    ran = run("solve")
    assert ran.code == 2
    assert "INSTANCE: must be given" in ran.err


def test_a_full_disk_is_said_so(run: Run, instance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = run("solve", instance, "-o", instance.with_name("plan.json"))
    assert ran.code == 2
    assert "must be writable (no space left on device)" in ran.err
    assert os.listdir(instance.parent) == [instance.name]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "moeopt: interrupted"),
        (moeopt.BackendError("scip", "segfault", "try highs"), 1, "backend scip failed: segfault"),
        (moeopt.AdapterError("no such engine"), 1, "moeopt: no such engine"),
        (RuntimeError("odd"), 1, "internal error: RuntimeError: odd; please report it"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_every_failure_is_a_line_and_a_code(
    run: Run,
    instance: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    says: str,
) -> None:
    def fails(*args: object, **named: object) -> None:
        raise error

    # The real standard output must survive the broken pipe's clean-up.
    monkeypatch.setattr(os, "dup2", lambda *descriptors: None)
    monkeypatch.setattr("moeopt.core.solve.solve", fails)
    ran = run("solve", instance)
    assert ran.code == code
    assert ran.out == ""
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_warnings_of_the_library_are_shown_once(
    run: Run, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moeopt.core import solve

    real = solve.solve

    def warns(*args: Any, **named: Any) -> Any:
        logging.getLogger("moeopt").warning("compiling moeopt's kernels")
        return real(*args, **named)

    monkeypatch.setattr(solve, "solve", warns)
    for _ in range(2):
        assert run("solve", instance, "--json").err == "moeopt: compiling moeopt's kernels\n"


def test_an_infinite_time_limit_is_none(run: Run, instance: Path) -> None:
    assert run("solve", instance, "--time-limit", "inf").code == 0
    ran = run("solve", instance, "--time-limit", "nan")
    assert (ran.code, ran.out) == (2, "")
    assert "time_limit_s: must be > 0" in ran.err


def test_what_solvers_print_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with files.nothing_on_stdout():
        os.write(1, b"a solver's own words")
    os.write(1, b"answer")
    assert capfd.readouterr() == ("answer", "a solver's own words")
