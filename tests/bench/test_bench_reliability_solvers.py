"""The part on failing solvers: its rows, and that it finds what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

import moeopt
from moeopt.bench.reliability import solvers, solvers_wings
from moeopt.core.errors import BackendError
from moeopt.mip import Backend, backend_named, guard, solve_model
from moeopt.mip.answer import MipAnswer
from moeopt.mip.model import LinearModel
from moeopt.testing import broken_backends as broken


def test_who_lies_is_followed_by_the_next() -> None:
    trial = solvers._taken_over("lies", (broken.WORSE, broken.SAYS_UNBOUNDED), None)
    assert (trial.times, trial.failures) == (2, ())


def test_a_lie_that_is_passed_on_is_reported() -> None:
    """Without a second opinion any point is called the optimum."""
    with patch("moeopt.mip.solve.confirmed", lambda model, answer, name, left_s: answer):
        trial = solvers._taken_over("lies", (broken.WORSE,), None)
    assert len(trial.failures) == 1
    assert trial.failures[0].startswith("calls any point optimal: optimal 0.0 bound 0.0")


def test_a_deadline_that_is_missed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_GRACE", 3.0)
    trial = solvers._hanging((broken.SLEEPER,), (0.1,))
    assert len(trial.failures) == 1
    assert "sleeper kept 0.1 s by" in trial.failures[0]


def test_a_death_that_goes_unnoticed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(model: LinearModel, backend: Backend, **options: Any) -> MipAnswer:
        return solve_model(model, "scip")

    monkeypatch.setattr(solvers, "solve_guarded", answered)
    trial = solvers._dying((broken.KILLED,))
    assert trial.failures[0].startswith("killed gave optimal")


def test_what_is_left_behind_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "_GONE_S", 0.1)
    monkeypatch.setattr("moeopt.mip.children.shutil.rmtree", lambda *args, **more: None)
    trial = solvers._left_behind(1)
    assert trial.failures[0].startswith("temporary folders left: moeopt-")


@pytest.mark.parametrize(
    ("name", "method"), [("committee/tiny-link", "exact"), ("transfers/tiny-release", "exact")]
)
def test_a_wing_whose_first_solver_fails_has_the_same_result(name: str, method: str) -> None:
    problem = moeopt.load_problem(f"@{name}")
    healthy = moeopt.solve(problem, method)
    with broken.asked_first(broken.CRASHING, backend_named("scip")):
        assert solvers_wings._differs(problem, method, None, broken.CRASHING, healthy) == []
    lie = replace(healthy, objective=healthy.objective + 1.0, bound=healthy.objective + 1.0)
    said = solvers_wings._differs(problem, method, None, broken.CRASHING, lie)
    assert len(said) == 1


@pytest.mark.parametrize("name", [name for name, _ in solvers_wings._PROBLEMS])
def test_auto_has_a_plan_where_every_solver_fails(name: str) -> None:
    problem = moeopt.load_problem(f"@{name}")
    best = moeopt.solve(problem, "auto").objective
    with solvers_wings._every(broken.NAN_POINT):
        assert solvers_wings._alone(name, problem, best) == []


def test_colocation_has_a_plan_where_cpsat_dies() -> None:
    name, maker = solvers_wings._OWN_TERMS[0]
    problem = moeopt.load_problem(f"@{name}")
    best = moeopt.solve(problem, "auto").objective
    with patch(maker, lambda frame: broken.CRASHING):
        assert solvers_wings._alone(name, problem, best) == []
        with pytest.raises(BackendError, match="crashing failed"):
            moeopt.solve(problem, "exact")


def test_a_wing_that_dies_with_its_solver_is_reported() -> None:
    problem = moeopt.load_problem("@transfers/tiny-release")
    with patch.object(moeopt, "solve", side_effect=BackendError("highs", "died", "")):
        said = solvers_wings._alone("transfers/tiny-release", problem, 5.0)
    assert said == ["@transfers/tiny-release auto: BackendError: backend highs failed: died; "]
