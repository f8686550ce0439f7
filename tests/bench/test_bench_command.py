"""One run: tables, the figures last, JSON whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from moeopt.bench import command, registry
from moeopt.bench.environment import describe
from moeopt.bench.registry import Figure, Report, Setting, Workload
from moeopt.cli.main import main
from moeopt.core.errors import InstanceError
from moeopt.core.table import Column, Table


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> list[Setting]:
    seen: list[Setting] = []

    def run(setting: Setting) -> Report:
        seen.append(setting)
        setting.say("working")
        table = Table("Numbers", [Column("name"), Column("value", ".1f")], [["one", 1.0]])
        figures = [Figure("low", 0.5, 1.0), Figure("high", 2.0, 1.0), Figure("none", None, 1.0)]
        return Report([table], figures, {"raw": [1, 2]})

    monkeypatch.setitem(registry._WORKLOADS, "toy", Workload(name="toy", summary="a toy", run=run))
    return seen


def test_the_figures_come_last_with_their_verdicts(
    toy: list[Setting], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command.run("toy", quick=True, peers=[tmp_path]) == 0
    out, err = capsys.readouterr()
    assert out.index("Numbers") < out.index("Figures")
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert [line[-1] for line in lines[-3:]] == ["pass", "miss", "-"]
    assert max(map(len, out.splitlines())) <= 100
    assert "working" in err
    assert toy[0].quick
    assert toy[0].peers == [tmp_path]


def test_everything_is_written_as_json(toy: list[Setting], tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    command.run("toy", quick=False, peers=(), json_path=path)
    document = json.loads(path.read_text())
    assert document["bench"] == "toy"
    assert document["quick"] is False
    assert [figure["met"] for figure in document["figures"]] == [True, False, None]
    assert document["data"] == {"raw": [1, 2]}
    assert set(document["environment"]) >= {"packages", "processor", "date", "commit"}
    assert list(tmp_path.iterdir()) == [path]


def test_json_on_standard_output_is_alone_there(
    toy: list[Setting], capfd: pytest.CaptureFixture[str]
) -> None:
    command.run("toy", quick=True, json_path="-")
    out, err = capfd.readouterr()
    assert json.loads(out)["bench"] == "toy"
    assert "Figures" in err


def test_unknown_workloads_and_paths_are_bad_input(toy: list[Setting]) -> None:
    names = (
        "aurora, buffering, committee, lambda, motion, placement, reliability, serverless, torch"
    )
    with pytest.raises(InstanceError, match=f"must be one of {names}, toy, transfers"):
        command.run("nonsense", quick=True)
    with pytest.raises(InstanceError, match="--peers"):
        command.run("toy", quick=True, peers=["no/such/folder"])
    assert toy == []


def test_a_workload_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_WORKLOADS", {})
    mine = registry.register(Workload(name="mine", summary="", run=lambda setting: Report()))
    assert registry.workload_named("mine") is mine
    names = ["aurora", "buffering", "committee", "lambda", "mine", "motion", "placement"]
    names += ["reliability", "serverless", "torch"]
    assert registry.workload_names() == [*names, "transfers"]


@pytest.mark.parametrize(
    ("value", "target", "verdict"),
    [(1.03228, 1.0323, "pass"), (1.03236, 1.0323, "miss"), (0.1, None, "-"), (None, 1.0, "-")],
)
def test_a_target_is_met_as_printed(
    value: float | None, target: float | None, verdict: str
) -> None:
    assert Figure("f", value, target).verdict() == verdict


def test_the_environment_names_what_figures_depend_on() -> None:
    found = describe()
    assert found["packages"]["numpy"]
    assert found["python"].startswith("3.")


def test_parts_are_asked_for_by_name(
    toy: list[Setting], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InstanceError, match=r"--only: must not be given: toy runs as a whole"):
        command.run("toy", quick=True, only=["one"])
    parted = replace(registry.workload_named("toy"), parts=("one", "two"))
    monkeypatch.setitem(registry._WORKLOADS, "toy", parted)
    with pytest.raises(InstanceError, match=r"--only: must be one of one, two, got 'three'"):
        command.run("toy", quick=True, only=["one", "three"])
    assert toy == []
    assert main(["bench", "toy", "--only", "two", "--quiet"]) == 0
    assert toy[0].only == ["two"]
    assert capsys.readouterr().out == ""
