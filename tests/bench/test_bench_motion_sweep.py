"""The sweep part of the motion workload on few instances, without the clusters."""

from __future__ import annotations

import json
import sys

import pytest

from moeopt.bench import command, motion_sweep
from moeopt.bench.registry import Setting
from moeopt.core.table import print_tables


def test_what_is_not_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(motion_sweep, "QUICK_INSTANCES", 6)
    monkeypatch.setattr(motion_sweep, "SHAPE", (6, 2, 7, 1.5, 1, 2))
    for package in ("ray", "dask"):
        monkeypatch.setitem(sys.modules, package, None)
    report = motion_sweep.run(Setting(quick=True, peers=(), say=print))
    found = {figure.name: figure for figure in report.figures}
    differ = found["sweep, loky: plans that differ"]
    assert (differ.value, differ.met) == (0, True)
    assert found["sweep, ray: plans that differ"].note == "no ray installed"
    assert found["sweep, dask: plans that differ"].value is None
    data = report.data["sweep"]
    assert (data["instances"], data["ray"]) == (6, None)
    assert data["loky"]["start_s"] < data["loky"]["seconds"]
    json.dumps(report.data)
    capsys.readouterr()
    print_tables([*report.tables, command.figures_table(report.figures)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("not installed" in line for line in lines) == 2
