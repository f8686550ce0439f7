"""The bench of functions, without its stand: what it makes of measured and predicted figures."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moeopt.adapters.aws_lambda.predict import LayerForecast
from moeopt.bench import aws_lambda
from moeopt.bench.aws_lambda_choice import ALIKE, HASTE, Chosen, Tried
from moeopt.bench.aws_lambda_choice import _table as choice_table
from moeopt.bench.aws_lambda_forecast import (
    RECORDED_TOKENS,
    TARGET,
    TOKENS,
    Compared,
    _crossing,
    _plan,
    crossing,
)
from moeopt.bench.aws_lambda_model import MEMORY_MB, counts, model, with_batch
from moeopt.bench.registry import Setting
from moeopt.serverless.plan import violations
from moeopt.serverless.problem import DESIGNS


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        ([-1.0, -1.0, 1.0], 25.0),
        ([-3.0, 1.0, 2.0], 17.5),
        ([0.0, 2.0, 3.0], 10.0),
        ([1.0, 2.0, 3.0], None),
        ([-3.0, -2.0, -1.0], None),
        ([-1.0, 1.0, -1.0], 15.0),
    ],
)
def test_crossings_lie_between_batches(gap: list[float], expected: float | None) -> None:
    assert crossing([10, 20, 30], gap) == expected


def tried(design: Any, usd: float, seconds: float) -> Tried:
    """Return what a design did."""
    return Tried(design=design, in_time=True, planned_usd=1.0, usd=usd, seconds=seconds)


def test_a_choice_is_confirmed_if_it_is_in_time_and_no_other_in_time_was_cheaper() -> None:
    own = tried(3, 1.0, 0.9)
    chosen = Chosen(9, 1.0, 3, (own, tried(2, 1.2, 0.5), tried(1, 0.5, 1.1)))
    assert chosen.confirmed
    alike = tried(2, 1.0 / (1.0 + ALIKE) + 1e-9, 0.5)
    assert replace(chosen, tried=(own, alike)).confirmed
    assert not replace(chosen, tried=(own, tried(2, 0.97, 0.5))).confirmed
    assert not replace(chosen, tried=(replace(own, seconds=1.1),)).confirmed
    words = [row[-1] for row in choice_table([chosen], 3).rows]
    assert words == ["late", "", "chosen"]
    words = [row[-1] for row in choice_table([replace(chosen, tried=(own,))], 3).rows]
    assert words == ["calls cannot carry it", "calls cannot carry it", "chosen"]


def compared(design: Any, tokens: int, measured: float, predicted: float) -> Compared:
    """Return a comparison of seconds."""
    forecast = LayerForecast(
        layer=0, design=design, calls=2, seconds=1.0, billed_gb_s=1.0, usd=1.0,
        simulated_s=predicted, simulated_gb_s=1.0, simulated_usd=1.0,
    )  # fmt: skip
    return Compared(design, tokens, forecast, measured, 2.0)


def test_the_crossing_is_of_storage_and_calls() -> None:
    """Storage takes 2 s; calls take 1 s with 100 tokens, and 3 or 5 s with 200."""
    found = [compared(2, tokens, 2.0, 2.0) for tokens in (100, 200)]
    found += [compared(3, 100, 1.0, 1.0), compared(3, 200, 3.0, 5.0)]
    assert found[3].seconds_ratio == 5.0 / 3.0
    assert found[3].gb_s_ratio == 0.5
    report = _crossing(found)
    assert report.data["crossing"] == {"measured": 150.0, "predicted": 125.0}
    (figure,) = report.figures
    assert figure.value == pytest.approx(1.0 / 6.0)
    assert figure.target == TARGET
    never = _crossing([*found[:3], compared(3, 200, 1.5, 5.0)])
    assert never.figures[0].value is None


def test_what_is_deployed_keeps_the_rules_in_every_design() -> None:
    problem = model(512)
    assert problem.memory_mb == MEMORY_MB
    for tokens in {*RECORDED_TOKENS, *TOKENS[True], *TOKENS[False]}:
        here = with_batch(problem, tokens)
        assert here.layers[0].tokens.tolist() == counts(tokens).tolist()
        assert counts(tokens).sum() == tokens
        for design in DESIGNS:
            assert not violations(here, _plan(design, tokens, (512, 1769)))
    # Predicted is what was not recorded.
    assert not {*RECORDED_TOKENS, *HASTE} & {*TOKENS[True], *TOKENS[False]}
    np.testing.assert_array_equal(counts(7), [5, 2])


def test_without_a_stand_it_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "moto" else find(name)
    )
    said: list[str] = []
    report = aws_lambda.run(Setting(quick=True, peers=(), say=said.append))
    assert report.data == {"left_out": "needs moto"}
    assert [figure.value for figure in report.figures] == [None]
    assert said == ["bench lambda: left out: needs moto"]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert aws_lambda.left_out() == "needs Linux"
