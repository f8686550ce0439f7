"""ODS: Algorithm 1 with its erratum mended, on the worked examples of the formulation page."""

import math

import msgspec
import numpy as np
import pytest
from serverless_cases import drawn, layer, problem

import moeopt
from moeopt.core.result import Status
from moeopt.core.stop import Context
from moeopt.serverless.generate import small
from moeopt.serverless.ods import fixed_design, ods_select
from moeopt.serverless.plan import ServerlessPlan, evaluate

# (cost, latency) of each layer under designs 1, 2 and 3: items 7 and 8 of the page.
_SEVEN = np.array([[(1, 4), (4, 2), (2, 2)], [(4, 2), (1, 5), (3, 1)]], dtype=np.float64)
_EIGHT = np.array([[(9, 2), (4, 1), (1, 2)], [(2, 3), (1, 4), (8, 3)]], dtype=np.float64)


def _value(table: np.ndarray, design: list[int]) -> tuple[float, float]:
    cost, latency = table[np.arange(len(table)), design].sum(axis=0)
    return float(cost), float(latency)


def _optimum(table: np.ndarray, limit_s: float) -> float:
    choices = np.ndindex(*[table.shape[1]] * len(table))
    values = [_value(table, list(choice)) for choice in choices]
    return min((cost for cost, latency in values if latency <= limit_s), default=math.inf)


def test_the_slowest_layer_loses_its_design() -> None:
    found = ods_select(_SEVEN[..., 0], _SEVEN[..., 1], 8.0)
    assert found.case == "mixed"
    assert found.design is not None
    assert found.design.tolist() == [0, 2]
    assert _value(_SEVEN, found.design.tolist()) == (4.0, 5.0)
    assert _optimum(_SEVEN, 8.0) == 3.0


def test_nothing_is_found_where_a_mixture_exists() -> None:
    found = ods_select(_EIGHT[..., 0], _EIGHT[..., 1], 4.0)
    assert found.case == "none"
    assert found.design is None
    assert _optimum(_EIGHT, 4.0) == 6.0


def test_a_single_design_where_the_loop_runs_out() -> None:
    # The slowest layer loses its fast design first: then no mixture is left that is fast enough.
    cost = np.array([[1.0, 5.0], [1.0, 5.0]])
    latency = np.array([[3.0, 4.0], [2.0, 2.5]])
    found = ods_select(cost, latency, 5.0)
    assert found.case == "mixed"
    cost, latency = np.array([[5.0, 1.0], [5.0, 1.0]]), np.array([[4.0, 3.0], [1.0, 3.0]])
    found = ods_select(cost, latency, 5.0)
    assert found.case == "single"
    assert found.design is not None
    assert found.design.tolist() == [0, 0]


def test_no_more_rounds_than_the_paper_allows() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        cost, latency = random.random((6, 3)), random.random((6, 3))
        assert ods_select(cost, latency, 2.0).rounds <= 2 * 6 + 1


@pytest.mark.parametrize("seed", range(8))
def test_between_the_optimum_and_single_designs(seed: int) -> None:
    free = drawn(seed)
    cheap = moeopt.solve(free, "exact")
    assert cheap.plan is not None
    slo_s = 0.9 * evaluate(free, cheap.plan).latency_s
    stated = msgspec.structs.replace(free, slo_s=slo_s)
    best, ods = moeopt.solve(stated, "exact"), moeopt.solve(stated, "ods")
    single = moeopt.solve(stated, "fixed_method")
    if ods.objective is None:
        assert ods.statistics["case"] == "none"
        assert single.objective is None
        return
    assert best.objective is not None
    assert ods.objective >= best.objective * (1 - 1e-12)
    assert ods.bound is not None
    assert ods.bound <= best.objective * (1 + 1e-9)


def test_a_fixed_design_is_the_best_of_that_design() -> None:
    stated = problem(layers=(layer([4, 6]), layer([1, 2])), payload_bytes=400)
    for design in (1, 2, 3):
        found = fixed_design(stated, Context(), design)
        assert isinstance(found.plan, ServerlessPlan)
        assert (found.plan.design == design).all()
        alone = moeopt.solve(msgspec.structs.replace(stated, designs=(design,)), "exact")
        assert evaluate(stated, found.plan).objective == alone.objective


@pytest.mark.parametrize("seed", [104, 175, 181])
def test_one_degree_fits_the_layers_that_keep_design_1(seed: int) -> None:
    result = moeopt.solve(small(2, 3, seed), "ods")
    assert result.status in (Status.FEASIBLE, Status.OPTIMAL, Status.NO_PLAN_FOUND)
