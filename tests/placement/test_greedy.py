"""Constructions against worked examples."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement import (
    PlacementProblem,
    anticorrelation,
    contiguous,
    evaluate,
    lpt,
    round_robin,
    violations,
)
from moeopt.testing.strategies import placement_problems


def problem_of(loads, devices, slots, **rules):
    """Return a plain problem on equal devices."""
    return PlacementProblem(
        loads_tokens=np.asarray(loads, dtype=float),
        cluster=Cluster.uniform(devices),
        slots_per_device=slots,
        **rules,
    )


def test_lpt_balances_the_papers_four_experts():
    """Loads .4 .3 .2 .1 on two devices: {0, 3} and {1, 2}, both 0.5."""
    problem = problem_of([[0.4, 0.3, 0.2, 0.1]], 2, 2)
    plan = lpt(problem)
    assert plan.physical_to_logical.tolist() == [[0, 3, 1, 2]]
    assert evaluate(problem, plan).objective == pytest.approx(0.5)


def test_lpt_is_not_exact():
    """Loads 1 4 1 2 2 2, two devices of three slots: greedy 7, optimum 6."""
    problem = problem_of([[1, 4, 1, 2, 2, 2]], 2, 3)
    assert evaluate(problem, lpt(problem)).objective == pytest.approx(7)


def test_contiguous_and_round_robin_layouts():
    """Six experts on three devices of two slots, in blocks and in turn."""
    problem = problem_of(np.ones((1, 6)), 3, 2)
    assert contiguous(problem).physical_to_logical.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert round_robin(problem).physical_to_logical.tolist() == [[0, 3, 1, 4, 2, 5]]


def test_contiguous_fills_further_slots_from_the_first_expert():
    """Slots beyond the experts start again at expert 0, as vLLM's initial layout."""
    problem = problem_of(np.ones((1, 4)), 3, 2)
    assert contiguous(problem).physical_to_logical.tolist() == [[0, 1, 2, 3, 0, 1]]


def test_anticorrelation_with_weight_zero_is_lpt():
    """Without its correlation term the rule is the greedy."""
    loads = np.random.default_rng(0).lognormal(0, 1, (9, 2, 8))
    problem = problem_of(loads, 4, 2)
    np.testing.assert_array_equal(
        anticorrelation(problem, 0.0).physical_to_logical, lpt(problem).physical_to_logical
    )


def test_anticorrelation_parts_experts_that_are_busy_together():
    """Experts 0 and 1 are busy in the same windows, 2 and 3 in the others: they are parted."""
    loads = np.array([[[9.0, 9.1, 1.0, 1.1]], [[1.0, 1.1, 9.0, 9.1]]])
    plan = anticorrelation(problem_of(loads, 2, 2, objective="mean_max"))
    pairs = {frozenset(plan.physical_to_logical[0, s : s + 2].tolist()) for s in (0, 2)}
    assert frozenset({0, 1}) not in pairs


def test_the_printed_weight_swamps_the_load():
    """With 0.5 beside shares the device that is least correlated wins, however loaded it is."""
    rng = np.random.default_rng(1)
    problem = problem_of(rng.lognormal(0, 1, (20, 1, 64)), 8, 8)
    mean = msgspec.structs.replace(problem, objective="max_load")
    printed = evaluate(mean, anticorrelation(problem, 0.5, as_printed=True)).objective
    scaled = evaluate(mean, anticorrelation(problem)).objective
    assert printed > scaled


@settings(max_examples=80, deadline=None)
@given(placement_problems(max_experts=6, max_devices=4, max_layers=2, feasible=True))
def test_constructions_keep_every_rule_or_give_no_plan(problem):
    """A construction returns a valid plan or none at all."""
    for build in (lpt, anticorrelation, contiguous, round_robin):
        plan = build(problem)
        if plan is not None:
            assert violations(problem, plan) == []


@pytest.mark.parametrize("exponent", [-1000, -600, 600, 990])
def test_correlation_knows_no_unit(exponent):
    """Squares of loads beyond 1e154 overflow, and those below 1e-154 vanish."""
    loads = np.array([[[4, 1, 2, 2]], [[1, 4, 1, 3]], [[3, 2, 2, 1]]], dtype=float)
    plain = anticorrelation(problem_of(loads, 2, 2, objective="mean_max"))
    scaled = problem_of(np.ldexp(loads, exponent), 2, 2, objective="mean_max")
    assert anticorrelation(scaled) == plain


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"loads_tokens": np.array([[1e305, 1e304]])}, "loads_tokens"),
        ({"cross_node_price": 1e300, "loads_tokens": np.array([[1e10, 1.0]])}, "cross_node_price"),
        (
            {
                "move_price_per_byte": 1e300,
                "expert_bytes": 1e15,
                "previous": np.array([[0, 1]]),
            },
            "move_price_per_byte",
        ),
    ],
)
def test_objectives_that_would_overflow_are_refused(fields, named):
    stated = {"loads_tokens": np.ones((1, 2)), "slots_per_device": 1}
    with pytest.raises(InstanceError, match=rf"\$\.{named}: must sum up"):
        PlacementProblem(**{**stated, "cluster": Cluster.uniform(2, 2), **fields})
