"""Extreme numbers: what breaks under them is reported, and what holds is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moeopt.bench.reliability import numbers, numbers_arrays
from moeopt.bench.reliability.numbers_cases import EXTREMES, WHOLE, extreme, stated
from moeopt.bench.reliability.numbers_check import solved, unscaled, wrong
from moeopt.bench.reliability.numbers_shapes import shapes
from moeopt.core.errors import InstanceError
from moeopt.core.registry import register, wing_named, wing_names
from moeopt.core.wing import Method, Outcome

ONE = numbers.Amount(problems=1, scaled=1, methods=1)


@pytest.fixture
def planted() -> Iterator[Any]:
    """Return what adds a method to the placement wing for the time of a test."""
    wing = wing_named("placement")

    def plant(run: Any) -> None:
        method = Method(name="planted", summary="", run=run)
        register(replace(wing, methods={"planted": method}))

    yield plant
    register(wing)


def lpt(problem: Any, context: Any) -> Outcome:
    """Return what the wing's own method says."""
    from moeopt.placement.methods import METHODS

    own = next(method for method in METHODS if method.name == "lpt")
    return own.run(problem, context, None)


def small(loads: list[list[float]]) -> Any:
    document = next(d for d in shapes("placement") if len(d["loads_tokens"]) == 2)
    return stated({**document, "loads_tokens": loads})


def test_arrays_of_every_type_hold_their_largest_numbers() -> None:
    trial = numbers.arrays()
    assert trial.times > 100
    assert trial.failures == ()


def test_a_sum_that_wraps_around_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrapping(matrix: Any) -> tuple[Any, Any, Any]:
        with np.errstate(over="ignore"):
            return matrix.sum(axis=0, dtype=matrix.dtype).max(keepdims=True), None, None

    monkeypatch.setattr("moeopt.transfers.decompose", wrapping)
    told = numbers_arrays.decomposed(np.full((2, 2), 127, dtype=np.int8))
    assert told == "gave -2, not 254"


def test_every_wing_states_shapes_that_its_own_checks_accept() -> None:
    for wing in wing_names():
        for document in shapes(wing):
            assert stated(document).sizes()


def test_quantities_are_replaced_by_extreme_ones_and_names_are_not() -> None:
    problem = small([[1, 2, 3, 4], [5, 6, 7, 8]])
    rng = np.random.default_rng(0)
    seen: set[float] = set()
    for _ in range(60):
        try:
            changed = extreme(problem, rng)
        except InstanceError:
            continue
        assert changed.num_experts == 4
        assert changed.version == 1
        seen |= set(changed.loads_tokens.ravel().tolist())
    assert len(seen & {*map(float, EXTREMES), *map(float, WHOLE)}) > 6


def test_a_warning_of_numpy_is_reported(planted: Any) -> None:
    def overflows(problem: Any, context: Any, warm_start: Any) -> Outcome:
        np.square(problem.loads_tokens)
        return lpt(problem, context)

    planted(overflows)
    problem = small([[1e300, 0, 0, 0], [1, 1, 1, 1]])
    found = solved(problem, ["planted"])
    assert list(wrong(problem, found)) == [
        "planted raised RuntimeWarning: overflow encountered in square"
    ]


def test_a_bound_that_is_no_number_is_reported(planted: Any) -> None:
    def boundless(problem: Any, context: Any, warm_start: Any) -> Outcome:
        return replace(lpt(problem, context), bound=float("nan"))

    planted(boundless)
    problem = small([[1, 1, 1, 1], [1, 1, 1, 1]])
    said = list(wrong(problem, solved(problem, ["planted"])))
    assert len(said) == 1
    assert "nan" in said[0]


def test_a_price_in_a_hidden_unit_is_reported(planted: Any) -> None:
    def hidden(problem: Any, context: Any, warm_start: Any) -> Outcome:
        return replace(lpt(problem, context), bound=min(1.0, problem.loads_tokens.max()))

    planted(hidden)
    problem = small([[4, 3, 2, 1], [1, 1, 1, 1]])
    said = unscaled(problem, "planted", 300)
    assert said == "planted: x 2**300 turns the bound 1.0 into 1.0"


def test_what_holds_of_a_wing_is_counted_and_not_reported() -> None:
    problems = [stated(document) for document in shapes("transfers")]
    for trial in (
        numbers.extremes("transfers", problems, ONE),
        numbers.scales("transfers", problems[:1], ONE),
    ):
        assert trial.failures == ()
    assert numbers.extremes("transfers", problems, ONE).times == 1
