"""``show``, ``instances``, ``export``, ``--version`` and the parser itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import INSTANCE, Ran

import moeopt

Run = Callable[..., Ran]
Write = Callable[..., Path]


def test_show_a_problem(run: Run, instance: Path) -> None:
    ran = run("show", instance)
    assert ran.code == 0
    assert "placement problem small" in ran.out
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines() if line.strip()}
    assert rows["experts"] == ["4"]
    assert rows["layers"] == ["2"]
    assert " ".join(rows["loads_tokens"]) == "array 1 x 2 x 4: 10 to 40, mean 25"
    assert "split" not in rows
    shown = run("show", instance, "--json").json()
    assert shown == {
        **INSTANCE,
        "loads_tokens": [INSTANCE["loads_tokens"]],
        "cluster": shown["cluster"],
    }


def test_show_says_that_no_plan_exists(run: Run, write: Write) -> None:
    ran = run("show", write("a.json", INSTANCE, slots_per_device=1))
    assert ran.code == 0
    assert "no plan exists" in ran.out
    assert "C2" in ran.out


def test_show_a_plan(run: Run, instance: Path) -> None:
    plan = instance.with_name("plan.json")
    assert run("solve", instance, "-o", plan).code == 0
    ran = run("show", plan)
    assert ran.code == 0
    assert "array 2 x 4: 0 to 3" in ran.out
    assert "optimal" in ran.out
    assert run("show", plan, "--json").out == plan.read_text()


def test_instances(run: Run) -> None:
    every = run("instances", "--json").json()
    assert {entry["name"].partition("/")[0] for entry in every} >= {"placement", "transfers"}
    first = every[0]["name"]
    assert f"@{first}" in run("instances", first).out
    assert run("show", f"@{first}").code == 0
    nothing = run("instances", "zzz")
    assert (nothing.code, nothing.out) == (2, "")
    assert "PATTERN: must match an instance, got 'zzz'" in nothing.err


@pytest.mark.parametrize("form", ["mps", "lp"])
def test_export_writes_a_file_for_each_model(run: Run, instance: Path, form: str) -> None:
    ran = run("export", instance, "--format", form, "-o", instance.with_name(f"model.{form}"))
    assert (ran.code, ran.err) == (0, "")
    names = [Path(line).name for line in ran.out.splitlines()]
    assert names == [f"model-layer{i}.{form}" for i in range(2)]
    assert sorted(os.listdir(instance.parent)) == sorted([*names, "small.json"])
    assert "C1" in instance.with_name(names[0]).read_text()


def test_export_of_what_cannot_be(run: Run, write: Write) -> None:
    path = write("a.json", INSTANCE, slots_per_device=1)
    ran = run("export", path, "--format", "mps", "-o", path.with_name("m.mps"))
    assert (ran.code, ran.out) == (3, "")
    assert "infeasible: C2" in ran.err
    assert (
        "-o: must be a file: there may be several"
        in run("export", path, "--format", "mps", "-o", "-").err
    )


def test_export_of_what_has_no_model(run: Run, write: Write) -> None:
    path = write("a.json", INSTANCE, split="nearest")
    ran = run("export", path, "--format", "mps", "-o", path.with_name("m.mps"))
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}: $.split" in ran.err
    assert "nearest" in ran.err
    assert not path.with_name("m.mps").exists()


def test_version(run: Run) -> None:
    lines = run("--version").out.splitlines()
    assert lines[0] == f"moeopt {moeopt.__version__}"
    assert [line.split()[0] for line in lines[1:4]] == ["python", "ortools", "pulp"]


@pytest.mark.parametrize(
    "arguments", [[], ["slove"], ["export", "x", "--format", "doc", "-o", "y"]]
)
def test_usage(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "usage: moeopt" in ran.err


@pytest.mark.parametrize(
    "command",
    ["solve", "sweep", "check", "show", "export", "import", "schema", "instances", "bench"],
)
def test_every_command_has_help(run: Run, command: str) -> None:
    assert command in run("--help").out
    ran = run(command, "--help")
    assert ran.code == 0
    assert f"usage: moeopt {command}" in ran.out


def test_nobody_reads_the_output() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "moeopt", "schema", "placement"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    # Closed before the first byte: the write fails, whatever the pipe's capacity.
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert err == b""


def test_a_pipe_in_and_a_pipe_out(instance: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "moeopt", "solve", "-", "-o", "-"],
        input=instance.read_bytes(),
        capture_output=True,
        timeout=240,  # its kernels may be compiled first
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["objective"] == 100
