"""Bounds: never above the optimum, and equal to it where the page says so."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from colocation_oracle import best_pairing, brute_force, cluster_of, drawn, layer

from moeopt import solve
from moeopt.colocation.bounds import bound, floors, mean_bound
from moeopt.colocation.layout import layout_of
from moeopt.colocation.problem import ColocationProblem, Objective, Pin
from moeopt.colocation.weights import device_classes, expert_loads, least_remote
from moeopt.core.result import Status

OBJECTIVES: tuple[Objective, ...] = ("time", "bottleneck", "communication")

EQUAL = ((1.0, 1.0, 4),)
TYPES = ((2.0, 2.0, 2), (1.0, 1.0, 2))
MIXED = ((2.0, 1.0, 1), (1.0, 2.0, 1), (1.0, 1.0, 1))

SHAPES: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "equal": (EQUAL, (4, 4), {}),
    "types": (TYPES, (4, 4), {}),
    "fewer experts": (TYPES, (4, 2), {}),
    "one model": (TYPES, (4,), {}),
    "three models": (MIXED, (3, 3, 2), {}),
    "two places": (MIXED, (4, 2), {"experts_per_device": 2}),
    "memory": (TYPES, (4, 3), {"expert_memory_bytes": (6, 3, 6, 6)}),
    "pins": (TYPES, (4, 3), {"pinned": (Pin(model=0, expert=1, device=3),)}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_bound_is_above_the_optimum(shape: str, objective: Objective) -> None:
    kinds, experts, fields = SHAPES[shape]
    for seed in range(2):
        stated = drawn(seed, kinds, experts, objective=objective, **fields)
        best = brute_force(stated)
        if best is not None:
            assert bound(stated) <= best.objective * (1 + 1e-9)


@pytest.mark.parametrize("objective", ["bottleneck", "communication"])
@pytest.mark.parametrize("experts", [(4, 4), (4, 3), (3, 4), (2, 1)])
def test_two_models_on_equal_devices_meet_their_bound(
    objective: Objective, experts: tuple[int, int]
) -> None:
    for seed in range(2):
        stated = drawn(seed, EQUAL, experts, objective=objective)
        best = brute_force(stated)
        assert best is not None
        assert bound(stated) == pytest.approx(best.objective, rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_model_meets_its_bound_with_one_component(objective: Objective) -> None:
    # With tokens that only travel every objective is one matching.
    for seed in range(4):
        traffic = np.random.default_rng(seed).integers(1, 9, (4, 4))
        stated = ColocationProblem(
            models=(layer(traffic),), cluster=cluster_of(*TYPES), objective=objective
        )
        best = brute_force(stated)
        assert best is not None
        assert bound(stated) == pytest.approx(best.objective, rel=1e-12)


def test_every_pairing_of_seven_is_at_least_the_bound() -> None:
    rng = np.random.default_rng(3)
    for experts in range(2, 8):
        a, b = rng.integers(0, 20, (2, experts, experts)).astype(float)
        stated = ColocationProblem(
            models=(layer(a), layer(b)),
            cluster=cluster_of((1.0, 1.0, experts)),
            objective="communication",
        )
        lines = [np.stack([x.sum(axis=1) - x.diagonal(), x.sum(axis=0) - x.diagonal()])
                 for x in (a, b)]  # fmt: skip
        assert bound(stated) == pytest.approx(best_pairing(*lines), rel=1e-12)


def test_slow_devices_are_filled_too() -> None:
    # Light pairs for the slow port are a + b = 2 at rate 1; heavy ones 8 at rate 8.
    traffic = np.array([[0, 4.0, 0], [0, 0, 4.0], [0, 0, 0]])
    light = np.zeros((3, 3))
    light[2, 1] = light[1, 2] = light[0, 2] = 1.0
    stated = ColocationProblem(
        models=(layer(traffic), layer(light)),
        cluster=cluster_of((1.0, 8.0, 2), (1.0, 1.0, 1)),
        objective="communication",
    )
    best = brute_force(stated)
    assert best is not None
    assert bound(stated) == pytest.approx(best.objective)


def test_floors_by_hand() -> None:
    model = layer(
        [[0, 6, 0], [0, 0, 3], [0, 0, 0]], gate_s=4.0, aggregation_s=2.0, seconds_per_token=2.0
    )
    stated = ColocationProblem(models=(model,), cluster=cluster_of((4.0, 3.0, 1), (2.0, 1.0, 3)))
    layout = layout_of(stated)
    found = floors(stated, layout, device_classes(layout))
    # Three of the devices are needed, so a slow one; 6 tokens on the fast one, 3 on a slow one.
    assert (found.gate_s.tolist(), found.aggregation_s.tolist()) == ([2.0], [1.0])
    assert found.compute_s.tolist() == [3.0]
    # Expert 1 sends 3 and receives 6: on the fast port 2, but expert 0 sends 6 as well.
    assert found.dispatch_s.tolist() == [[6.0]]


def test_least_loads_leave_out_the_largest_partners() -> None:
    stated = ColocationProblem(
        models=(layer([[9, 4, 1, 2], [7, 9, 0, 0], [1, 1, 9, 5], [0, 3, 2, 9]]),),
        cluster=cluster_of((1.0, 1.0, 2)),
        experts_per_device=2,
    )
    found = expert_loads(layout_of(stated), 2, 4)
    assert found.sent.tolist() == [[3, 0, 2, 2]]
    assert found.received.tolist() == [[1, 4, 1, 2]]
    # The largest exchanges, both ways, are 11, 11, 7 and 7: half of them may stay at home.
    assert least_remote(layout_of(stated), 2).tolist() == [26 - 18]
    assert least_remote(layout_of(stated), 1).tolist() == [26]
    # What is local is computed all the same.
    assert found.tokens.tolist() == [[17, 17, 12, 16]]


def test_the_mean_counts_all_the_work() -> None:
    model = layer([[1, 3], [3, 1]], gate_s=1.0, aggregation_s=1.0, seconds_per_token=1.0)
    stated = ColocationProblem(
        models=(model, model), cluster=cluster_of((3.0, 1e9, 1), (1.0, 1e9, 1))
    )
    # 16 tokens, two gates and aggregations of each model, on devices of speeds 3 and 1.
    assert mean_bound(stated, layout_of(stated)) == pytest.approx((16 + 8) / 4)
    assert bound(stated) >= 6.0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_bounds_know_of_pins_and_memory(objective: Objective) -> None:
    heavy = layer([[0, 9], [9, 0]], seconds_per_token=1.0, expert_bytes=2)
    stated = ColocationProblem(
        models=(heavy,), cluster=cluster_of((4.0, 4.0, 2), (1.0, 1.0, 1)), objective=objective
    )
    pinned = msgspec.structs.replace(stated, pinned=(Pin(model=0, expert=1, device=2),))
    assert bound(pinned) > bound(stated)
    both = msgspec.structs.replace(
        stated, models=(heavy, layer(np.zeros((2, 2)))), expert_memory_bytes=(1, 2, 2)
    )
    best = brute_force(both)
    assert best is not None
    assert bound(both) > bound(stated)
    assert bound(both) <= best.objective * (1 + 1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("places", [1, 2])
def test_many_unlike_devices_are_merged_and_still_bounded(
    objective: Objective, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = tuple((1.0 + i, 4.0 - i, 1) for i in range(4))
    stated = drawn(5, kinds, (4, 4), objective=objective, experts_per_device=places)
    if places == 1:
        best = brute_force(stated)
        assert best is not None
        most = best.objective
    else:
        most = bound(msgspec.structs.replace(stated, experts_per_device=1))
    fine = bound(stated)
    for cells in (48, 20, 1):
        monkeypatch.setattr("moeopt.colocation.bounds.MOST_CELLS", cells)
        coarse = bound(stated)
        assert 0 < coarse <= fine * (1 + 1e-12)
        assert coarse <= most * (1 + 1e-9)
    monkeypatch.setattr("moeopt.colocation.bounds.MOST_MATCHED", 1)
    assert 0 < bound(stated) <= fine * (1 + 1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_nothing_to_do_is_bounded_by_zero(objective: Objective) -> None:
    stated = ColocationProblem(
        models=(layer(np.zeros((2, 2))),), cluster=cluster_of((1.0, 1.0, 2)), objective=objective
    )
    assert bound(stated) == 0.0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_more_experts_than_places_have_a_bound_too(objective: Objective) -> None:
    """Where no plan exists any number is a bound, but it must be one."""
    stated = drawn(0, EQUAL, (5, 2), objective=objective)
    assert solve(stated).status is Status.INFEASIBLE
    assert np.isfinite(bound(stated))
