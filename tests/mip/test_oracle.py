"""Random small integer models: all backends agree with enumeration."""

from __future__ import annotations

import mip_models
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeopt.core.errors import BackendError
from moeopt.core.result import Status
from moeopt.mip import (
    LinearModel,
    ModelBuilder,
    available_backends,
    backend_named,
    solve_model,
)

FAST = [name for name in available_backends() if ":" not in name and name != "cbc"]


@st.composite
def small_models(draw: st.DrawFn) -> LinearModel:
    """Draw a bounded integer model of at most 4 columns, with fractional coefficients too."""
    columns, rows = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    unit = draw(st.sampled_from([1.0, 0.5, 0.1, 0.3, 1e-3]))
    numbers = st.integers(-6, 6)

    def some(count: int) -> np.ndarray:
        return np.array(draw(st.lists(numbers, min_size=count, max_size=count)), float)

    low = some(columns) % 3 - 1
    builder = ModelBuilder("random")
    x = builder.add_columns(
        "x", columns, lower=low, upper=low + some(columns) % 3, integer=True,
        objective=some(columns) * draw(st.sampled_from([1.0, 0.25, 0.7])),
    )  # fmt: skip
    for i in range(rows):
        side = draw(numbers) * unit
        kind = draw(st.sampled_from("LGER"))
        lower = -np.inf if kind == "L" else side
        upper = {"L": side, "G": np.inf, "E": side, "R": side + 2 * unit}[kind]
        builder.add_rows(f"C{i}", 0, x, some(columns) * unit, lower, upper)
    builder.objective_offset = float(draw(numbers))
    return builder.build()


@settings(max_examples=40, deadline=None)
@given(small_models())
def test_backends_agree_with_enumeration(model: LinearModel) -> None:
    """Status and optimum of each backend are those of enumeration.

    A backend may fail, and HiGHS does on some (``kError``), but then it must say so; with
    ``"auto"`` the next one answers.
    """
    best = mip_models.brute_force(model)
    for name in (*FAST, "auto"):
        try:
            answer = solve_model(model, name)
        except BackendError:
            assert name == "highs"
            continue
        if best is None:
            assert answer.status is Status.INFEASIBLE, name
        else:
            assert answer.status is Status.OPTIMAL, name
            assert answer.objective == pytest.approx(best, abs=1e-9), name


@settings(max_examples=8, deadline=None)
@given(small_models())
def test_cbc_agrees_with_enumeration(model: LinearModel) -> None:
    """The same for CBC, in fewer examples because each starts a program."""
    best = mip_models.brute_force(model)
    answer = backend_named("cbc").solve(model)
    assert (answer.status is Status.INFEASIBLE) == (best is None)
    assert best is None or answer.objective == pytest.approx(best, abs=1e-9)
