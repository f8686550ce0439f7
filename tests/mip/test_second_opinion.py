"""A proof cannot be checked, so a second solver is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mip_models
import pytest

from moeopt.core.result import Status
from moeopt.mip import read_mps, solve_model
from moeopt.mip.guard import SMALL
from moeopt.mip.solve import confirmed
from moeopt.testing import broken_backends

WRONG = Path(__file__).parent / "models" / "highs-wrong-optimum.mps"


def test_a_wrong_optimum_of_highs_is_not_passed_on() -> None:
    """HiGHS proves 2457.6 on this model; the optimum is 2048."""
    answer = solve_model(read_mps(WRONG))
    assert answer.objective == pytest.approx(2048.0)
    assert answer.status is Status.OPTIMAL


def test_a_lie_is_found_out_whoever_tells_it() -> None:
    """A claim of optimality at a worse point gives way to the better point."""
    model = read_mps(WRONG)
    honest = solve_model(model, "scip")
    lie = replace(honest, objective=2457.6, bound=2457.6, x=None)
    assert confirmed(model, lie, "highs", None).objective == pytest.approx(2048.0)


@pytest.mark.parametrize("left_s", [None, 50.0])
def test_a_lie_about_a_small_linear_program_is_found_out(left_s: float | None) -> None:
    model = mip_models.knapsack().relaxed()
    honest = solve_model(model, "scip")
    assert honest.objective is not None
    lie = replace(honest, objective=honest.objective + 2, bound=honest.objective + 2)
    assert confirmed(model, lie, "highs", left_s).objective == pytest.approx(honest.objective)
    assert confirmed(model, honest, "highs", left_s) is honest


def test_a_second_opinion_on_a_linear_program_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a time limit too: one that hangs must not hold what another has solved."""
    model = mip_models.market_split(rows=20, columns=40).relaxed()
    assert model.A.nnz > SMALL
    answer = solve_model(model, "highs")
    monkeypatch.setattr("moeopt.mip.solve.backend_named", lambda name: broken_backends.SLEEPER)
    monkeypatch.setattr("moeopt.mip.solve._CONFIRM_LEAST_S", 0.2)
    assert confirmed(model, answer, "highs", None) is answer


def test_a_false_infeasible_is_found_out() -> None:
    """A claim that no point exists gives way to a point."""
    model = read_mps(WRONG)
    honest = solve_model(model, "scip")
    lie = replace(honest, status=Status.INFEASIBLE, objective=None, bound=None, x=None)
    assert confirmed(model, lie, "highs", None).objective == pytest.approx(2048.0)


def test_agreement_is_told() -> None:
    """A confirmed answer names both solvers."""
    model = read_mps(WRONG)
    answer = confirmed(model, solve_model(model, "scip"), "scip", None)
    assert "scip" in answer.backend


def test_without_time_the_claim_is_passed_on() -> None:
    """A second opinion never overruns the deadline."""
    model = read_mps(WRONG)
    honest = solve_model(model, "scip")
    assert confirmed(model, honest, "highs", 0.0) is honest
