"""The placement kit's own brute force, and what all kits share."""

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement.problem import PlacementProblem
from moeopt.testing.conformance import kit_for, problem_json
from moeopt.testing.conformance.placement_kit import long_problems
from moeopt.testing.conformance.placement_oracle import brute_force, layer_plans


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
