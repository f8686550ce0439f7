"""Every backend at hand on models whose optimum is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import mip_models
import numpy as np
import pytest

from moeopt.core.errors import BackendError
from moeopt.core.result import Limit, Status
from moeopt.mip import LinearModel, available_backends, backend_named, default_order

BACKENDS = available_backends()
every_backend = pytest.mark.parametrize("name", BACKENDS)


def takes(name: str, model: LinearModel) -> bool:
    """Tell whether the backend's capabilities cover the model."""
    can = backend_named(name).capabilities
    finite = np.isfinite([*model.column_lower, *model.column_upper]).all()
    return (can.continuous or bool(model.integrality.all())) and (can.infinite_bounds or finite)


@every_backend
@pytest.mark.parametrize(("make", "optimum"), mip_models.OPTIMA)
def test_known_optimum(name: str, make: Callable[[], LinearModel], optimum: float) -> None:
    """Each backend proves the known optimum, or refuses what its capabilities exclude."""
    model = make()
    backend = backend_named(name)
    if not takes(name, model):
        with pytest.raises(BackendError):
            backend.solve(model)
        return
    answer = backend.solve(model)
    assert answer.status is Status.OPTIMAL
    assert answer.limit is Limit.NONE
    assert answer.objective == pytest.approx(optimum, rel=1e-9, abs=1e-15)
    assert answer.bound == pytest.approx(optimum, rel=1e-6, abs=1e-15)
    assert model.violations(answer.x) == []
    assert model.evaluate(answer.x) == answer.objective


@every_backend
def test_infeasible(name: str) -> None:
    """An infeasible model is a status without objective and bound, never 0."""
    answer = backend_named(name).solve(mip_models.infeasible())
    assert answer.status is Status.INFEASIBLE
    assert (answer.x, answer.objective, answer.bound) == (None, None, None)


@every_backend
def test_unbounded(name: str) -> None:
    """An unbounded model is told from an infeasible one."""
    model = mip_models.unbounded()
    if not takes(name, model):
        with pytest.raises(BackendError, match="finite bounds"):
            backend_named(name).solve(model)
        return
    assert backend_named(name).solve(model).status is Status.UNBOUNDED


@every_backend
def test_unbounded_relaxation_without_integer_point(name: str) -> None:
    """A model whose relaxation is unbounded but which has no integer point is infeasible."""
    model = mip_models.unbounded_relaxation()
    if takes(name, model):
        assert backend_named(name).solve(model).status is Status.INFEASIBLE


@every_backend
@pytest.mark.parametrize("which", ["column", "integer", "row", "empty row"])
def test_contradicting_bounds(name: str, which: str) -> None:
    """Bounds that exclude each other are infeasible, though MathOpt raises on them."""
    model = mip_models.knapsack()
    if which == "column":
        model = replace(model, column_lower=np.array([2.0, 0.0, 0.0]))
    elif which == "integer":
        model = replace(
            model, column_lower=np.array([0.2, 0, 0]), column_upper=np.array([0.8, 1, 1])
        )
    elif which == "row":
        model = replace(model, row_lower=np.array([8.0]))
    else:
        model = replace(model, A=model.A * 0.0, row_lower=np.array([1.0]))
    assert backend_named(name).solve(model).status is Status.INFEASIBLE


@every_backend
def test_relaxation(name: str) -> None:
    """The relaxed cover needs 1.5 sets; a backend of integers refuses it."""
    model = mip_models.set_cover().relaxed()
    if not takes(name, model):
        with pytest.raises(BackendError, match="continuous"):
            backend_named(name).solve(model)
        return
    answer = backend_named(name).solve(model)
    assert answer.status is Status.OPTIMAL
    assert answer.objective == pytest.approx(1.5)
    assert answer.nodes is None


@every_backend
def test_time_out_is_honest(name: str) -> None:
    """A hard model with 0.3 s gives an incumbent that is not called optimal, and a valid bound."""
    model = mip_models.market_split()
    start = mip_models.market_split_start(model)
    answer = backend_named(name).solve(model, time_limit_s=0.3, warm_start=start)
    assert answer.status is Status.FEASIBLE
    assert answer.limit is Limit.TIME
    assert model.violations(answer.x) == []
    assert answer.objective <= model.evaluate(start)
    if backend_named(name).capabilities.bound:
        assert answer.bound is None or answer.bound <= answer.objective
    else:
        assert answer.bound is None


@every_backend
def test_time_out_without_a_point(name: str) -> None:
    """A time limit that has passed gives no plan, no objective and no bound."""
    answer = backend_named(name).solve(mip_models.market_split(), time_limit_s=0.0)
    assert answer.status is Status.NO_PLAN_FOUND
    assert answer.limit is Limit.TIME
    assert (answer.x, answer.objective, answer.bound) == (None, None, None)


@every_backend
def test_gap(name: str) -> None:
    """A plan within the gap that was asked for is not called optimal unless it is."""
    model = mip_models.market_split(rows=2, columns=12)
    model = replace(model, objective_offset=100.0)
    answer = backend_named(name).solve(model, gap=0.9, time_limit_s=20)
    assert answer.status in (Status.OPTIMAL, Status.FEASIBLE)
    if answer.status is Status.FEASIBLE:
        assert answer.limit is Limit.GAP
        assert answer.bound is None or answer.gap <= 0.9


@every_backend
def test_same_seed_same_point(name: str) -> None:
    """The same seed gives the same point."""
    model = mip_models.market_split(rows=2, columns=10)
    points = [backend_named(name).solve(model, seed=7).x for _ in range(2)]
    assert np.array_equal(*points)


def test_names() -> None:
    """The built-in names are available, and an unknown one is refused with the known ones."""
    assert {"highs", "scip", "cpsat", "scipy"} <= set(BACKENDS)
    for unknown in ("gurobi", "pulp:HiGHS", "pulp:NOTHING"):
        with pytest.raises(BackendError):
            backend_named(unknown)


def test_default_order() -> None:
    """CP-SAT comes second for whole numbers only."""
    assert default_order(mip_models.knapsack())[:2] == ("highs", "cpsat")
    assert "cpsat" not in default_order(mip_models.fractions())
    assert "cpsat" not in default_order(mip_models.free_variable())
