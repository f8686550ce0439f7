"""The papers' methods, what they are compared with, and how close each comes to the optimum."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import numpy as np
import pytest
from colocation_oracle import cluster_of, drawn, layer
from hypothesis import given, settings
from hypothesis import strategies as st

import moeopt
from moeopt.colocation import generate
from moeopt.colocation.bounds import bound
from moeopt.colocation.plan import ColocationPlan, evaluate, violations
from moeopt.colocation.problem import ColocationProblem, Pin
from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit, Status
from moeopt.testing.conformance.colocation_oracle import brute_force

#: Speed, port and number of the devices of a small mixed cluster.
MIXED = ((1.0, 4.0, 2), (0.5, 2.0, 1), (0.25, 1.0, 1))

RANDOM = ("rec", "rga", "rga_rec")


def value_of(problem: ColocationProblem, method: str, seed: int = 0) -> float:
    result = moeopt.solve(problem, method, seed=seed)
    assert result.objective is not None
    return result.objective


def pairs(seed: int, experts: int, **fields: Any) -> ColocationProblem:
    """Return two models of as many experts as there are equal devices, whole tokens."""
    rng = np.random.default_rng(seed)
    models = tuple(layer(rng.integers(0, 20, (experts, experts))) for _ in range(2))
    cluster = cluster_of((1.0, 1.0, experts))
    return ColocationProblem(models=models, cluster=cluster, **fields)


@given(st.integers(0, 2**20), st.integers(1, 7))
@settings(max_examples=40)
def test_the_matching_is_the_best_pairing(seed: int, experts: int) -> None:
    """Against every pairing: Case II of section 6.2."""
    problem = pairs(seed, experts, objective="communication")
    first, second = (
        np.stack([model.remote().sum(axis=1), model.remote().sum(axis=0)])
        for model in problem.models
    )
    every = np.array(list(permutations(range(experts))))
    # Both directions of every pair, for every pairing at once.
    best = (first[:, None, :] + second[:, every]).max(axis=(0, 2)).min()
    result = moeopt.solve(problem, "bottleneck_matching")
    assert result.objective == best
    assert result.status is Status.OPTIMAL


@given(st.integers(0, 2**20), st.integers(1, 7))
@settings(max_examples=25)
def test_sorting_is_as_good_where_experts_send_what_they_receive(seed: int, experts: int) -> None:
    """Theorem 6.2, Case I."""
    drawn_pair = pairs(seed, experts, objective="communication")
    problem = msgspec.structs.replace(
        drawn_pair,
        models=tuple(layer(m.traffic_tokens + m.traffic_tokens.T) for m in drawn_pair.models),
    )
    assert value_of(problem, "sorted_pairing") == value_of(problem, "bottleneck_matching")


def test_sorting_alone_loses_something_else() -> None:
    lost = [
        value_of(problem, "sorted_pairing") / value_of(problem, "bottleneck_matching")
        for problem in (pairs(seed, 8, objective="communication") for seed in range(20))
    ]
    assert min(lost) >= 1
    assert 1.01 < np.mean(lost) < 1.1


def test_the_matching_of_256_pairs_meets_its_bound() -> None:
    problem = generate.synthetic("zipf", 256)
    result = moeopt.solve(
        msgspec.structs.replace(problem, objective="communication"), "bottleneck_matching"
    )
    assert result.status is Status.OPTIMAL


@pytest.mark.parametrize("objective", ["time", "bottleneck", "communication"])
def test_the_decoupled_steps_are_near_the_optimum_and_never_below(objective: str) -> None:
    ratios, better = [], []
    for seed in range(12):
        problem = drawn(seed, MIXED, (4, 4), objective=objective)
        best = brute_force(problem)
        assert best is not None
        assert best.objective is not None
        ratios.append(value_of(problem, "two_step") / best.objective)
        better.append(value_of(problem, "search") / best.objective)
    assert min(ratios) >= 1 - 1e-12
    assert np.mean(ratios) < 1.3
    assert min(better) >= 1 - 1e-12
    assert np.mean(better) <= 1.01


@pytest.mark.parametrize("cluster", generate.KINDS)
def test_search_is_never_worse_than_where_it_begins(cluster: generate.Kind) -> None:
    problem = generate.synthetic("uniform", 12, 3, cluster)
    assert value_of(problem, "search") <= value_of(problem, "two_step")
    start = moeopt.solve(problem, "rga_rec").plan
    result = moeopt.solve(problem, "search", warm_start=start)
    assert result.objective < evaluate(problem, start).objective


def test_random_baselines_are_random_by_seed() -> None:
    problem = generate.limoe(cluster="mixed")
    for name in RANDOM:
        plans = [moeopt.solve(problem, name, seed=seed).plan for seed in (0, 1, 0)]
        assert plans[0] == plans[2]
        assert plans[0] != plans[1]


def test_random_pairs_and_random_devices_cost_something_each() -> None:
    mean = {
        name: np.mean([value_of(generate.limoe(cluster="mixed"), name, seed) for seed in range(10)])
        for name in RANDOM
    }
    assert mean["rga_rec"] > mean["rec"] > value_of(generate.limoe(cluster="mixed"), "search")


def test_rec_keeps_the_groups_and_rga_the_pairs() -> None:
    """Only the pairing is random in the one, only the devices in the other."""
    problem = generate.limoe(cluster="mixed")
    best = moeopt.solve(problem, "two_step").plan
    anywhere = moeopt.solve(problem, "rga").plan
    assert _partners(best) == _partners(anywhere)
    assert _partners(best) != _partners(moeopt.solve(problem, "rec").plan)


def _partners(plan: ColocationPlan) -> set[tuple[int, ...]]:
    return {
        tuple(int(np.flatnonzero(row == g)[0]) for row in plan.device)
        for g in range(plan.device.shape[1])
    }


def test_lina_packs_popular_with_unpopular_experts_of_one_model() -> None:
    """Tokens 9, 7, 3, 1 on two of four devices: 9 with 1, 7 with 3, in the model's own order."""
    popular = [np.diag([1.0, 9, 3, 7]), np.diag([7.0, 1, 9, 3])]
    problem = ColocationProblem(
        models=tuple(layer(tokens, seconds_per_token=1.0) for tokens in popular),
        cluster=cluster_of((1.0, 1.0, 2), (0.5, 1.0, 2)),
        experts_per_device=2,
    )
    plan = moeopt.solve(problem, "lina").plan
    packs = [
        {frozenset(np.flatnonzero(row == g).tolist()) for g in set(row.tolist())}
        for row in plan.device
    ]
    assert packs[0] == {frozenset({1, 0}), frozenset({3, 2})}
    assert packs[1] == {frozenset({2, 1}), frozenset({0, 3})}
    # Each model on devices of its own.
    assert not set(plan.device[0].tolist()) & set(plan.device[1].tolist())


@pytest.mark.parametrize(
    ("method", "changes", "why"),
    [
        ("sorted_pairing", {"cluster": cluster_of(*MIXED)}, "its devices must be equal"),
        ("bottleneck_matching", {"cluster": cluster_of(*MIXED)}, "see two_step"),
        ("bottleneck_matching", {"pinned": (Pin(model=0, expert=0, device=0),)}, "no pins"),
        ("sorted_pairing", {"models": (layer(np.ones((4, 4))),)}, "two models"),
        ("two_step", {"cluster": cluster_of((1.0, 1.0, 3)), "experts_per_device": 2}, "more expe"),
        ("rec", {"cluster": cluster_of((1.0, 1.0, 3)), "experts_per_device": 2}, "more experts"),
        ("lina", {}, "raise experts_per_device"),
    ],
)
def test_a_method_says_what_it_does_not_take(
    method: str, changes: dict[str, Any], why: str
) -> None:
    problem = msgspec.structs.replace(pairs(0, 4), **changes)
    with pytest.raises(InstanceError, match=why):
        moeopt.solve(problem, method)


def test_a_pairing_that_memory_forbids_is_no_plan() -> None:
    """Each model's one expert needs a device of its own, but pairing puts both together."""
    models = tuple(layer(np.ones((1, 1)), expert_bytes=3) for _ in range(2))
    problem = ColocationProblem(
        models=models, cluster=cluster_of((1.0, 1.0, 2)), expert_memory_bytes=4
    )
    result = moeopt.solve(problem, "sorted_pairing")
    assert result.status in (Status.NO_PLAN_FOUND, Status.OPTIMAL)
    assert moeopt.solve(problem).status is Status.OPTIMAL


@pytest.mark.parametrize("seed", range(4))
def test_pins_and_memory_are_kept_by_the_second_step(seed: int) -> None:
    problem = drawn(seed, MIXED, (4, 4), expert_memory_bytes=(6, 6, 6, 6))
    pins = (Pin(model=0, expert=2, device=3), Pin(model=1, expert=1, device=0))
    pinned = msgspec.structs.replace(problem, pinned=pins)
    for method in ("two_step", "search", "auto", "exact"):
        result = moeopt.solve(pinned, method)
        if result.plan is not None:
            assert violations(pinned, result.plan) == []
            assert result.objective >= value_of(problem, "exact") * (1 - 1e-9)


def test_models_of_different_size_and_number() -> None:
    problem = drawn(3, MIXED, (4, 2, 3))
    for method in ("two_step", "search", "auto", "exact", *RANDOM):
        result = moeopt.solve(problem, method)
        assert violations(problem, result.plan) == []
        assert (result.plan.device[1, 2:] == -1).all()
        assert result.bound <= result.objective
    best = brute_force(problem)
    assert best is not None
    assert moeopt.solve(problem, "exact").objective == pytest.approx(best.objective)


def test_auto_proves_what_is_small_and_stops_in_time_otherwise() -> None:
    assert moeopt.solve(drawn(1, MIXED, (4, 4))).status is Status.OPTIMAL
    problem = generate.synthetic("uniform", 32, 3, "mixed")
    result = moeopt.solve(problem, time_limit_s=0.5)
    assert result.plan is not None
    assert result.limit is Limit.TIME or result.status is Status.OPTIMAL
    assert bound(problem) <= result.bound * (1 + 1e-9)
