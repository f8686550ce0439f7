"""The placement kit itself: what it says changes nothing does not change the optimum."""

import numpy as np
import pytest
from hypothesis import given, settings

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement.plan import evaluate, violations
from moeopt.placement.problem import PlacementProblem
from moeopt.testing.conformance import kit_for, problem_json
from moeopt.testing.conformance.placement_kit import larger, long_problems, relabelled, scaled
from moeopt.testing.conformance.placement_oracle import brute_force, layer_plans
from moeopt.testing.strategies import placement_problems

PROBLEMS = placement_problems(max_experts=4, max_devices=3)


@given(PROBLEMS)
@settings(max_examples=25)
def test_names_do_not_change_the_optimum(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    for other in relabelled(problem, np.random.default_rng(3)):
        renamed = brute_force(other.problem)
        assert renamed.objective == pytest.approx(optimum.objective, rel=1e-9, abs=1e-14)
        back = other.back(renamed.plan)
        assert violations(problem, back) == []
        value = evaluate(problem, back).objective
        assert value == pytest.approx(optimum.objective, rel=1e-6, abs=1e-14)


@given(PROBLEMS)
@settings(max_examples=25)
def test_scaling_scales_the_optimum(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    other, factor = scaled(problem, 5)
    value = brute_force(other).objective
    assert value == pytest.approx(optimum.objective * factor, rel=1e-12, abs=1e-14)


@given(PROBLEMS)
@settings(max_examples=25)
def test_more_freedom_never_hurts(problem):
    optimum = brute_force(problem)
    if optimum is None:
        return
    for _, other in larger(problem, np.random.default_rng(3)):
        freed = brute_force(other)
        if freed is not None:
            assert freed.objective <= optimum.objective * (1 + 1e-9) + 1e-14


def test_brute_force_counts_plans():
    problem = PlacementProblem(
        loads_tokens=np.ones((1, 3)), cluster=Cluster.uniform(2), slots_per_device=2
    )
    # Two pairs out of three experts, together covering all three: 3 x 3 less the equal pairs.
    assert len(layer_plans(problem, 0, 100)) == 6
    assert layer_plans(problem, 0, 8) is None


def test_the_optimum_of_a_known_instance():
    # One hot expert on two devices, its copy on both: 4 + 1 on each, as good as it gets.
    problem = PlacementProblem(
        loads_tokens=np.array([[8.0, 1.0, 1.0]]), cluster=Cluster.uniform(2), slots_per_device=2
    )
    assert brute_force(problem).objective == 5.0


def test_a_long_problem_for_every_kind_of_method():
    assert {p.objective for p in long_problems()} == {"mean_max", "max_load"}


def test_unknown_wings_have_no_kit():
    with pytest.raises(LookupError, match="register_kit"):
        kit_for("nothing")


def test_problems_print_as_json():
    problem = PlacementProblem(
        loads_tokens=np.ones((1, 2)), cluster=Cluster.uniform(1), slots_per_device=2
    )
    assert problem_json(problem).startswith('{"problem":"placement"')
    with pytest.raises(InstanceError):
        PlacementProblem(
            loads_tokens=np.ones((1, 2)), cluster=Cluster.uniform(1), slots_per_device=(2, 2)
        )
