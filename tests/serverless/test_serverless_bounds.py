"""Bounds: never above what any plan costs, and equal to it where the page says so."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from serverless_cases import drawn, drawn_plan, problem

from moeopt.core.stop import Context
from moeopt.serverless.bounds import bound, staircase
from moeopt.serverless.degrees import largest_degree
from moeopt.serverless.exact import solve_exact
from moeopt.serverless.options import layer_data, layer_options
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import Billing, ServerlessProblem, paper_costs

BILLS: dict[str, dict[str, Any]] = {
    "lambda": {},
    "paper": {"billing": paper_costs()},
    "cold": {"billing": Billing(cold_share=0.5), "slo_start": "cold"},
    "waiting": {"billing": Billing(non_moe_memory_mb=4096, rounding=False)},
    "held": {"billing": Billing(provisioned_s=60.0)},
    "model": {"pipeline_degree": "model"},
    "direct": {"designs": (3,)},
    "pipelined": {"designs": (1,)},
}


def optimum(stated: ServerlessProblem) -> tuple[float, float] | None:
    """Return the bill and the seconds of the cheapest plan, if there is one."""
    found = solve_exact(stated, Context()).plan
    if not isinstance(found, ServerlessPlan):
        return None
    value = evaluate(stated, found)
    return value.objective, value.latency_s


@pytest.mark.parametrize("name", BILLS)
def test_no_bound_is_above_the_optimum(name: str) -> None:
    # One degree for the model makes a knapsack for each.
    for seed in range(2 if name == "model" else 8):
        stated = drawn(seed, **BILLS[name])
        best = optimum(stated)
        if best is None:
            continue
        free = bound(stated)
        assert 0 < free <= best[0] * (1 + 1e-9)
        for share in (0.95, 0.8, 0.6):
            hurried = msgspec.structs.replace(stated, slo_s=best[1] * share)
            quick = optimum(hurried)
            if quick is not None:
                assert free * (1 - 1e-12) <= bound(hurried) <= quick[0] * (1 + 1e-9)


@pytest.mark.parametrize("name", BILLS)
def test_no_bound_is_above_any_plan(name: str) -> None:
    for seed in range(60):
        stated = drawn(seed % 6, slo_s=60.0, **BILLS[name])
        made = drawn_plan(seed, stated)
        if not violations(stated, made):
            assert bound(stated) <= evaluate(stated, made).objective * (1 + 1e-9)


@pytest.mark.parametrize("designs", [(2,), (3,), (2, 3)])
def test_without_a_promise_or_a_pipeline_the_bound_is_the_optimum(designs: Any) -> None:
    for seed in range(6):
        stated = drawn(seed, designs=designs)
        best = optimum(stated)
        if best is not None:
            assert bound(stated) == pytest.approx(best[0], rel=1e-12)


def test_one_layer_with_a_promise_at_a_corner_meets_its_bound() -> None:
    # Its fastest plan is a corner of the staircase's hull: no price leaves anything between.
    stated = problem([8.0, 4.0], designs=(2,))
    steps = staircase(stated, 0)
    fixed_s = stated.head_s + stated.tail_s + stated.layers[0].non_moe_s
    corner = msgspec.structs.replace(stated, slo_s=float(steps.latency_s.min()) + fixed_s)
    best = optimum(corner)
    assert best is not None
    assert bound(corner) == pytest.approx(best[0], rel=1e-6)
    assert bound(corner) > bound(stated)


def test_a_shorter_promise_never_lowers_the_bound() -> None:
    stated = drawn(3)
    best = optimum(stated)
    assert best is not None
    promises = best[1] * np.linspace(1.1, 0.4, 12)
    bounds = [bound(msgspec.structs.replace(stated, slo_s=float(s))) for s in promises]
    assert (np.diff(bounds) >= -1e-12 * bounds[-1]).all()


def test_relaxed_options_are_below_those_of_every_degree() -> None:
    for seed in range(4):
        stated = drawn(seed, designs=(1,))
        for e in range(stated.num_layers):
            steps = staircase(stated, e)
            data = layer_data(stated, e)
            for degree in (1, 7, 100, 1000, largest_degree(data.tokens)):
                options = layer_options(stated, data, 1, degree)
                late = options.latency_s[options.fits]
                for limit in np.quantile(late, [0.2, 0.5, 0.8, 1.0]) if late.size else ():
                    quick = options.fits & (options.latency_s <= limit)
                    cost = np.where(quick, options.cost_usd, np.inf).min(axis=(1, 2)).sum()
                    if np.isfinite(cost):
                        reached = steps.cost_usd[steps.latency_s <= limit * (1 + 1e-12)]
                        assert reached.min() <= cost * (1 + 1e-9)


def test_where_nothing_fits_any_bound_holds() -> None:
    from serverless_cases import EXPERT, MB

    large = msgspec.structs.replace(EXPERT, parameter_bytes=300 * MB)
    stated = problem(expert=large, slo_s=100.0)
    assert not staircase(stated, 0).latency_s.size
    assert bound(stated) == 0.0


def test_a_promise_that_nobody_keeps_has_a_finite_bound() -> None:
    assert np.isfinite(bound(problem(slo_s=0.001)))
