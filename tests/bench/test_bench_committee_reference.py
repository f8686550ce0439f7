"""The part of the committee workload that runs the reference model."""

from __future__ import annotations

from pathlib import Path

import pytest

from moeopt.bench import committee_reference
from moeopt.bench.command import encode
from moeopt.bench.registry import Setting

QUICK = Setting(quick=True, peers=(), say=lambda _: None)

LOSS = {
    "shares": [0.3, 0.7],
    "memory_mb": [11.8, 22.3],
    "original": [0.7, 0.9],
    "error": 0.01,
    "rows": [
        {
            "table": "main",
            "name": name,
            "excess": [[low, 0.2], [low, 0.1]],
            "loads": [[loads, loads], [loads, 0.0]],
        }
        for name, low, loads in (
            ("pruned, norm", 0.9, 0.0),
            ("paper", 0.5, 4.0),
            ("ours", 0.4, 2.0),
        )
    ],
}

TIME = {
    "expert_bytes": 819_200,
    "tokens": 16,
    "rows": [
        {
            "share": 1.0,
            "name": "original",
            "slots": 512,
            "ms": [5.0, 4.0, 9.0],
            "loss": 0.7,
            "loads": 0.0,
        }
    ],
}


def test_seeds_and_budgets_are_counted_and_means_told() -> None:
    report = committee_reference.told(LOSS, TIME)
    (loss, time), (figure,) = report.tables, report.figures
    assert (figure.value, figure.met) == (0, True)
    assert figure.note == "of 4; most +0.000 nats a byte, least -0.100"
    rows = {row[0]: row[1:] for row in loss.rows}
    assert rows["ours"] == pytest.approx([0.4, 0.15])
    assert rows["loads a window, ours"] == [2.0, 1.0]
    assert "loads a window, pruned, norm" not in rows
    assert loss.note == "2 seeds; original: 0.8000 nats a byte"
    assert time.rows == [[1.0, "original", 512, 5.0, 4.0, 0.7, 0.0]]
    assert encode("committee", True, report)


def test_where_ours_loses_more_the_target_is_missed() -> None:
    worse = {row["name"]: row | {} for row in LOSS["rows"]}
    worse["ours"] |= {"excess": [[0.6, 0.2], [0.4, 0.0]]}
    report = committee_reference.told(LOSS | {"rows": list(worse.values())}, TIME)
    assert (report.figures[0].value, report.figures[0].met) == (1, False)


def test_without_torch_there_is_a_line_with_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committee_reference, "missing_here", lambda: "needs torch")
    (figure,) = committee_reference.run(QUICK).figures
    assert figure.value is None
    assert "needs torch; run python examples/reference_moe/committee_quality.py" in figure.note


def test_a_script_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committee_reference, "missing_here", lambda: "")
    monkeypatch.setattr(committee_reference, "LOSS", Path("none.py"))
    (figure,) = committee_reference.run(QUICK).figures
    assert figure.value is None
    assert figure.note.startswith("failed: ")
    assert "none.py" in figure.note
