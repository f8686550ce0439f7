"""The prediction part of ``moeopt bench serverless`` on small cases, with and without traces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moeopt.bench import command, serverless_prediction
from moeopt.bench.registry import Report
from moeopt.core.table import print_tables
from moeopt.popularity import token_routing
from moeopt.traces import RoutingTrace, write_trace


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless_prediction, "BATCH", 200)
    monkeypatch.delenv(serverless_prediction.TRACES, raising=False)


def drawn_width(report: Report, capsys: pytest.CaptureFixture[str]) -> int:
    print_tables([*report.tables, command.figures_table(report.figures)])
    lines = capsys.readouterr().out.splitlines()
    # Notes run on; tables do not.
    return max(len(line) for line in lines if set(line) <= {"─"})


def test_without_traces_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    report = serverless_prediction.prediction_tables(quick=True)
    assert len(report.tables) == 3
    assert report.figures[-1].value is None
    assert "MOEOPT_TRACES" in report.figures[-1].note
    assert len(report.data["prediction"]["difference"]) == 24
    assert drawn_width(report, capsys) <= 100
    json.dumps(report.data)


def test_traces_are_scored_with_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(serverless_prediction.TRACES, str(tmp_path))
    monkeypatch.setattr(serverless_prediction, "WINDOW", 50)
    routing = token_routing(8, layers=3, top_k=2, vocabulary=50)
    for seed, name in enumerate(("one", "other")):
        drawn = routing.draw(400, seed)
        lengths = np.full(10, 40)
        trace = RoutingTrace(drawn.expert_ids, sequence_lengths=lengths, experts=8)
        write_trace(tmp_path / f"{name}.npz", trace)
    report = serverless_prediction._recorded()
    assert report.figures[0].value == 2
    differences, losses = report.tables
    assert len(differences.rows) == len(losses.rows) == 2 * 2 * 2
    assert "stand" in differences.title
    assert "no token IDs" in differences.note
    assert drawn_width(report, capsys) <= 100
    json.dumps(report.data)
