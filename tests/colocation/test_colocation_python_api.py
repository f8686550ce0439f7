"""Colocation from Python: bad arguments are named, arrays are owned, names load on use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import moeopt.colocation
from moeopt.colocation import (
    ColocationPlan,
    ColocationProblem,
    ModelLayer,
    NoColocationError,
    Pin,
    colocate,
    evaluate,
    violations,
)
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Device

A = np.array([[0.0, 3, 0], [3, 0, 1], [0, 1, 0]])
B = np.array([[0.0, 5, 0], [5, 0, 2], [0, 2, 0]])


def test_lists_in_and_arrays_out() -> None:
    found = colocate(A.tolist(), B.tolist(), objective="communication")
    assert (found.objective, found.bound, found.gap) == (8, 8, 0)
    assert found.device.shape == (2, 3)
    held = [found.experts_on(g) for g in range(3)]
    assert sorted(held) == [[[0], [0]], [[1], [2]], [[2], [1]]]
    before = found.plan.device.copy()
    found.device[:] = 7
    np.testing.assert_array_equal(found.plan.device, before)
    assert found.utilisation.shape == (3,)
    assert found.time_s == 16


def test_values_of_models_are_one_for_all_or_one_for_each() -> None:
    pair = [[0, 4], [4, 0]], [[0, 3], [3, 0]]
    fixed: dict[str, Any] = {"gate_s": 1, "aggregation_s": 1.0}
    found = colocate(*pair, seconds_per_token=np.array([1.5, 1.0]), **fixed)
    assert found.time_s == 19
    fixed["gate_s"] = (1, 1.0)
    assert colocate(*pair, seconds_per_token=[0.75, 1], **fixed).time_s == 16
    fixed["gate_s"] = [1]
    assert colocate(pair[0], seconds_per_token=0.75, **fixed).time_s == 13


def test_devices_by_number_by_their_rates_or_as_a_cluster() -> None:
    """Expert 0 of the only model sends most: to the fast port."""
    star = [[0, 3, 3], [0, 0, 0], [0, 0, 0]]
    found = colocate(star, bandwidth=[1, 1, 3], objective="communication")
    assert (found.objective, found.device[0, 0]) == (3, 2)
    assert colocate(star, bandwidth=2.0, objective="communication").objective == 3
    quick = colocate(np.diag([6.0, 2]), devices=2, speed=[1, 2], seconds_per_token=1.0)
    assert (quick.time_s, quick.device[0].tolist()) == (3, [1, 0])
    cluster = Cluster.uniform(3, device=Device(link_bandwidth_bytes_per_s=6.0))
    assert colocate(star, devices=cluster, objective="communication").objective == 1
    assert colocate([[5.0]], seconds_per_token=2.0).time_s == 10
    spread = colocate(A, B, devices=6, objective="communication")
    assert spread.objective == 7


def test_warm_start_is_a_plan_or_its_table() -> None:
    found = colocate(A, B)
    for start in (found.plan, found.device, found.device.tolist()):
        assert colocate(A, B, warm_start=start).objective == found.objective


@pytest.mark.parametrize(
    ("traffic", "rules", "path"),
    [
        ((3.0,), {}, "$.models[0].traffic_tokens"),
        ((A, [[0, 1]]), {}, "$.models[1].traffic_tokens"),
        ((A, -B), {}, "$.models[1].traffic_tokens[0][1]"),
        ((A, "B"), {}, "$.models[1].traffic_tokens"),
        ((), {}, "$.models"),
        ((A, B), {"gate_s": -1}, "$.models[0].gate_s"),
        ((A, B), {"gate_s": [0, "1"]}, "$.models[1].gate_s"),
        ((A, B), {"gate_s": [0, 1, 2]}, "$.gate_s"),
        ((A, B), {"gates": 1}, "$.gates"),
        ((A, B), {"models": ()}, "$.models"),
        ((A, B), {"objective": "times"}, "$.objective"),
        ((A, B), {"devices": 0}, "devices"),
        ((A, B), {"devices": "3"}, "devices"),
        ((A, B), {"bandwidth": [1, 2]}, "bandwidth"),
        ((A, B), {"bandwidth": 0}, "bandwidth"),
        ((A, B), {"speed": "fast"}, "speed"),
        ((A, B), {"devices": Cluster.uniform(3), "speed": 2}, "speed"),
        ((A, B), {"method": "pairing"}, "method"),
        ((A, B), {"gap": "0"}, "gap"),
    ],
)
def test_a_bad_argument_is_named(
    traffic: tuple[Any, ...], rules: dict[str, Any], path: str
) -> None:
    with pytest.raises(InstanceError) as caught:
        colocate(*traffic, **rules)
    assert caught.value.path == path
    assert caught.value.remedy


def test_it_says_why_there_is_no_colocation() -> None:
    with pytest.raises(NoColocationError, match="infeasible: C2 at"):
        colocate(A, B, devices=2)


def test_a_problem_owns_its_arrays_and_pins_are_checked() -> None:
    traffic = A.copy()
    model = ModelLayer(traffic_tokens=traffic)
    traffic[:] = 9
    assert model.traffic_tokens[0, 1] == 3
    with pytest.raises(InstanceError, match=r"\$.pinned\[0\].device"):
        ColocationProblem(
            models=(model,),
            cluster=Cluster.uniform(3, device=Device(link_bandwidth_bytes_per_s=1.0)),
            pinned=(Pin(model=0, expert=0, device=3),),
        )


def test_plans_compare_by_value() -> None:
    plan = ColocationPlan(device=np.array([[0, 1, 2]]))
    assert plan == ColocationPlan(device=[[0, 1, 2]])  # type: ignore[arg-type]
    assert plan != ColocationPlan(device=np.array([[0, 2, 1]]))


def test_what_comes_out_is_valid_for_the_problem_it_states() -> None:
    found = colocate(A, B, expert_bytes=[1, 2], expert_memory_bytes=3)
    problem = ColocationProblem(
        models=tuple(
            ModelLayer(traffic_tokens=tokens, expert_bytes=size)
            for tokens, size in ((A, 1), (B, 2))
        ),
        cluster=Cluster.uniform(3, device=Device(link_bandwidth_bytes_per_s=1.0)),
        expert_memory_bytes=3,
    )
    assert violations(problem, found.plan) == []
    assert evaluate(problem, found.plan).objective == found.objective


def test_public_names_load_on_use_and_are_listed() -> None:
    for name in moeopt.colocation.__all__:
        assert getattr(moeopt.colocation, name) is not None
        assert name in dir(moeopt.colocation)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = moeopt.colocation.nonsense
