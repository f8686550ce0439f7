"""`using_backend` decides what ``"auto"`` asks, for a block of code and no longer."""

from __future__ import annotations

from dataclasses import replace

import mip_models
import numpy as np
import pytest

from moeopt import load_problem, solve
from moeopt.core.errors import BackendError
from moeopt.library import find
from moeopt.mip import solve_model, using_backend


@pytest.mark.parametrize("name", ["highs", "cpsat", "scip", "scipy", "cbc"])
def test_it_alone_is_asked(name: str) -> None:
    with using_backend(name):
        answer = solve_model(mip_models.knapsack())
    assert answer.backend.startswith(name)
    assert "confirmed" not in answer.backend


def test_it_ends_with_the_block_however_that_ends() -> None:
    with pytest.raises(KeyError), using_backend("scip"):
        raise KeyError
    assert solve_model(mip_models.knapsack()).backend.startswith("highs")


def test_blocks_within_blocks() -> None:
    with using_backend("scip"):
        with using_backend("scipy"):
            assert solve_model(mip_models.knapsack()).backend.startswith("scipy")
        assert solve_model(mip_models.knapsack()).backend.startswith("scip 1")


def test_a_backend_that_a_caller_names_is_asked_all_the_same() -> None:
    with using_backend("scip"):
        assert solve_model(mip_models.knapsack(), "scipy").backend.startswith("scipy")


def test_no_other_takes_over() -> None:
    """CP-SAT takes no continuous columns, and says so."""
    model = mip_models.knapsack()
    continuous = replace(model, integrality=np.zeros(model.num_columns, dtype=np.bool_))
    with using_backend("cpsat"), pytest.raises(BackendError, match="is continuous"):
        solve_model(continuous)


def test_an_unknown_backend_is_an_error_at_once() -> None:
    with pytest.raises(BackendError, match="no such backend"), using_backend("hihgs"):
        raise AssertionError("the block must not run")


def test_methods_ask_it() -> None:
    problem = load_problem(find("placement/tiny-speeds"))
    with using_backend("scipy"):
        result = solve(problem, "exact")
    assert result.backend is not None
    assert result.backend.startswith("scipy")
    assert result.objective == pytest.approx(7.0)
