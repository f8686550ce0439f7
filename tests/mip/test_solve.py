"""`solve_model` goes on when a backend fails, and nobody's word is passed on unchecked."""

from __future__ import annotations

import mip_models
import numpy as np
import pytest

from moeopt.core.errors import BackendError
from moeopt.core.result import Limit, Status
from moeopt.mip import Backend, backend_named, solve_model
from moeopt.mip import solve as solve_module
from moeopt.testing import broken_backends as broken


def _serve(monkeypatch: pytest.MonkeyPatch, *backends: Backend) -> None:
    by_name = {backend.name: backend for backend in backends}
    monkeypatch.setattr(solve_module, "default_order", lambda model: tuple(by_name))
    monkeypatch.setattr(solve_module, "backend_named", by_name.__getitem__)


def test_auto_proves_the_optimum() -> None:
    """By default the first backend that works answers."""
    answer = solve_model(mip_models.assignment())
    assert answer.objective == 5.0
    assert answer.backend.startswith("highs")


def test_auto_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing backend is followed by the next one."""
    _serve(monkeypatch, broken.WRONG, backend_named("scipy"))
    answer = solve_model(mip_models.knapsack())
    assert answer.backend.startswith("scipy")


@pytest.mark.parametrize("backend", broken.LYING, ids=lambda b: b.name)
def test_auto_finds_out_who_lies(backend: Backend) -> None:
    """Whatever the first says wrongly or not at all, the answer is the optimum and proven."""
    with broken.asked_first(backend, backend_named("scip")):
        answer = solve_model(mip_models.knapsack())
    assert (answer.status, answer.objective, answer.bound) == (Status.OPTIMAL, -9.0, -9.0)


def test_auto_goes_on_after_whatever_is_raised() -> None:
    """What a solver should not raise is its failure, in this process too."""
    with broken.asked_first(broken.CRASHING, backend_named("scip")):
        assert solve_model(mip_models.knapsack()).objective == -9.0
    with pytest.raises(BackendError, match="ZeroDivisionError: inside the solver"):
        broken.CRASHING.solve(mip_models.knapsack())


def test_who_gives_up_early_is_not_the_last_word() -> None:
    """Nothing found, and 'time' as the reason, when there is time: the next one is asked."""
    with broken.asked_first(broken.WRONG_IN_TIME, broken.WRONG_IN_TIME, backend_named("scip")):
        assert solve_model(mip_models.knapsack(), time_limit_s=50).objective == -9.0
    with broken.asked_first(broken.WRONG_IN_TIME):
        answer = solve_model(mip_models.knapsack())
    assert (answer.status, answer.limit) == (Status.NO_PLAN_FOUND, Limit.TIME)


def test_auto_tells_every_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """If every backend fails, the error says what each said."""
    _serve(monkeypatch, broken.WRONG, broken.SAYS_INFEASIBLE)
    with pytest.raises(BackendError, match=r"wrong: .*; says infeasible: "):
        solve_model(mip_models.knapsack(), warm_start=np.zeros(3))


def test_named_backend_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend asked for by name fails by its name."""
    _serve(monkeypatch, broken.WRONG, backend_named("scipy"))
    with pytest.raises(BackendError, match="backend wrong failed"):
        solve_model(mip_models.knapsack(), "wrong")


def test_point_that_breaks_the_model_is_an_error() -> None:
    """A claimed optimum that breaks the model says where."""
    with pytest.raises(BackendError, match=r"must lie in \[0, 1\]"):
        broken.WRONG.solve(mip_models.knapsack())


def test_point_that_breaks_the_model_at_the_deadline_is_no_plan() -> None:
    """The same from a solver that was stopped: nothing was found."""
    answer = broken.WRONG_IN_TIME.solve(mip_models.knapsack())
    assert answer.status is Status.NO_PLAN_FOUND
    assert answer.limit is Limit.TIME
    assert answer.x is None


def test_claims_against_the_warm_start_are_errors() -> None:
    """'Infeasible' and a bound above a point that was checked are the solver's mistakes."""
    model, start = mip_models.knapsack(), np.array([1.0, 1.0, 0.0])
    with pytest.raises(BackendError, match="warm start is feasible"):
        broken.SAYS_INFEASIBLE.solve(model, warm_start=start)
    with pytest.raises(BackendError, match="above the objective -9 of its warm start"):
        broken.BOUND_TOO_HIGH.solve(model, warm_start=start)


def test_bound_above_the_own_point_is_an_error() -> None:
    """A bound that the solver's own point disproves does not become a proof of optimality."""
    with pytest.raises(BackendError, match="of its own point"):
        broken.OVERPROUD.solve(mip_models.knapsack())


@pytest.mark.parametrize("start", [np.zeros(2), np.full(3, np.nan), np.full(3, 9.0)])
def test_useless_warm_start_is_ignored(start: np.ndarray) -> None:
    """A warm start of the wrong size, without numbers or infeasible changes nothing."""
    assert solve_model(mip_models.knapsack(), warm_start=start).objective == -9.0
