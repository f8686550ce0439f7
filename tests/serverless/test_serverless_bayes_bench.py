"""The part of ``moeopt bench serverless`` on Bayesian optimisation, on small batches."""

from __future__ import annotations

import json

import numpy as np
import pytest

from moeopt.bench import command, serverless_bayes
from moeopt.core.table import print_tables


def test_every_search_is_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serverless_bayes, "TOKENS", 300)
    monkeypatch.setattr(serverless_bayes, "BATCHES", 2)
    report = serverless_bayes.bayes_tables(quick=True)
    (table,) = report.tables
    assert [row[0] for row in table.rows] == list(serverless_bayes.CONTENDERS)
    curves = report.data["bayes"]["bill and lateness, 200 pairs"]
    for curve in curves.values():
        assert np.shape(curve) == (3, 8)
        assert (np.diff(curve, axis=1) <= 0).all()
    starts = np.array(curves["no search"])[:, 0]
    for name, contender in serverless_bayes.CONTENDERS.items():
        if contender.rule is None:
            np.testing.assert_allclose(np.array(curves[name])[:, 0], starts)
        else:
            # Another rule, once: nothing is found later.
            assert np.ptp(curves[name], axis=1).tolist() == [0.0] * 3
            assert not np.allclose(np.array(curves[name])[:, 0], starts)
    asked, never = np.array(curves["GP"]), np.array(curves["shares, process never asked"])
    np.testing.assert_array_equal(asked[:, :4], never[:, :4])
    assert [figure.target for figure in report.figures] == [1.0, 1.0]
    print_tables([*report.tables, command.figures_table(report.figures)])
    lines = capsys.readouterr().out.splitlines()
    # Notes run on; tables do not.
    assert max(len(line) for line in lines if set(line) <= {"─"}) <= 100
    json.dumps(report.data)


def test_without_the_packages_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless_bayes, "_installed", lambda package: package != "sklearn")
    report = serverless_bayes.bayes_tables(quick=True)
    assert report.figures[0].value is None
    assert "moeopt[bayes]" in report.figures[0].note
