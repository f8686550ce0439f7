"""Heuristics and the bound for items of unequal size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from buffering_oracle import brute_force, drawn, problem_of

from moeopt.buffering import sizes_bound
from moeopt.buffering.exact_model import compile_model
from moeopt.buffering.flow import flow_schedule
from moeopt.buffering.nodes import choice_of, nodes_of
from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.sizes import clairvoyant_schedule, rounded_schedule, sized_schedule
from moeopt.buffering.sizes_bound import relaxation, relaxed, rounded_up
from moeopt.buffering.stream import Schedule, plan_of, streams
from moeopt.mip import solve_model

KINDS: dict[str, dict[str, Any]] = {
    "load": {"cache_bytes": 4, "sizes": True, "seconds": True},
    "bytes": {"cache_bytes": 5, "sizes": True, "objective": "miss_bytes", "experts": 5},
    "pin": {"cache_bytes": 6, "sizes": True, "seconds": True, "pinned": np.array([[0, 1]])},
    "any order": {"cache_bytes": 5, "sizes": True, "seconds": True, "any_order": True, "most": 3},
    "any order and a pin": {"slots": 3, "any_order": True, "most": 3,
                            "pinned": np.array([[0, 1]])},
    "pool": {"cache_bytes": 6, "sizes": True, "layers": 2, "experts": 2, "pooled": True},
    "bypass": {"serve": "bypass", "cache_bytes": 4, "sizes": True, "seconds": True},
    "cap": {"serve": "bypass", "cache_bytes": 4, "sizes": True, "loads_per_group": 1},
    "fill": {"serve": "bypass", "cache_bytes": 4, "sizes": True, "free_fill": True,
             "seconds": True},
    "periods": {"serve": "bypass", "cache_bytes": 4, "sizes": True, "update_period": 2,
                "objective": "miss_bytes"},
}  # fmt: skip


def _value(problem: BufferingProblem, schedules: list[Schedule]) -> float:
    parts = streams(problem)
    plan = plan_of(problem, parts, np.array([part.capacity for part in parts]), schedules)
    assert not violations(problem, plan)
    return evaluate(problem, plan).objective


@pytest.mark.parametrize("name", KINDS)
def test_schedules_keep_the_rules_and_bounds_hold(name: str) -> None:
    for seed in range(8):
        problem = drawn(seed, **KINDS[name])
        best = brute_force(problem)
        if best is None:
            continue
        parts = streams(problem)
        answers = [relaxed(part) for part in parts]
        bound = 0.0
        first, second, both = [], [], []
        for part, answer in zip(parts, answers, strict=True):
            assert answer is not None
            bound += answer.bound
            first.append(clairvoyant_schedule(part))
            second.append(rounded_schedule(part, answer))
            both.append(sized_schedule(part))
        assert bound <= best.objective + 1e-6, seed
        for found in (first, second):
            value = _value(problem, [schedule for schedule, _ in found])
            assert value == pytest.approx(sum(cost for _, cost in found)), seed
            assert value >= best.objective - 1e-9, seed
        least = sum(min(a[1], b[1]) for a, b in zip(first, second, strict=True))
        assert _value(problem, [sized.schedule for sized in both]) == pytest.approx(least), seed


@pytest.mark.parametrize("name", KINDS)
def test_the_relaxation_is_that_of_the_linear_model(name: str) -> None:
    for seed in range(4):
        problem = drawn(seed, **KINDS[name])
        for part in streams(problem):
            model = compile_model(problem, [part]).builder.build()
            if "V1" in model.groups():
                model = model.without("V1")
            one = solve_model(model.relaxed(), "highs").objective
            other = solve_model(relaxation(part), "highs").objective
            assert one == pytest.approx(other), seed


@pytest.mark.parametrize("fields", [{}, {"serve": "bypass", "seconds": True}])
def test_one_size_is_rounded_to_the_optimum(fields: dict[str, Any]) -> None:
    for seed in range(6):
        problem = drawn(seed, slots=2, **fields)
        for part in streams(problem):
            answer = relaxed(part)
            assert answer is not None
            optimum = flow_schedule(part, 2)[1]
            assert answer.bound == pytest.approx(optimum), seed
            assert rounded_schedule(part, answer)[1] == pytest.approx(optimum), seed
            if part.serve == "load":
                # Belady's rule, as prices are equal.
                assert clairvoyant_schedule(part)[1] == pytest.approx(optimum), seed


def test_what_is_large_and_cheap_leaves_first() -> None:
    # Expert 0 takes as much as 1 and 2 together, is needed later and costs no more.
    problem = problem_of(
        [[0], [1], [2], [1], [0], [2]],
        experts=3,
        expert_bytes=np.array([[2, 1, 1]]),
        cache_bytes=3,
        load_s=np.array([[1.0, 1.0, 1.0]]),
        objective="seconds",
    )
    (part,) = streams(problem)
    schedule, cost = clairvoyant_schedule(part)
    assert cost == 4
    assert schedule.load_item.tolist() == [0, 1, 2, 0]


def test_references_in_any_order_find_more() -> None:
    problem = problem_of([[0, 1], [0, 1], [0, 1]], slots=1, any_order=True)
    (part,) = streams(problem)
    assert clairvoyant_schedule(replace(part, any_order=False))[1] == 6
    sized = sized_schedule(part)
    assert sized.cost == sized.bound == 4
    assert _value(problem, [sized.schedule]) == 4


def test_a_choice_comes_back_from_its_schedule() -> None:
    for name in KINDS:
        problem = drawn(5, **KINDS[name])
        for part in streams(problem):
            nodes = nodes_of(part)
            schedule, cost = clairvoyant_schedule(part)
            assert choice_of(part, nodes, schedule).cost(nodes) == pytest.approx(cost), name


def test_too_large_or_too_slow_a_relaxation_gives_no_bound(monkeypatch: Any) -> None:
    (part,) = streams(drawn(0, **KINDS["load"]))
    assert relaxed(part, 0.0) is None
    monkeypatch.setattr(sizes_bound, "MOST_NODES", 2)
    assert relaxed(part) is None
    sized = sized_schedule(part)
    assert sized.bound is None
    assert sized.cost == clairvoyant_schedule(part)[1]


def test_bounds_of_whole_prices_are_rounded_up() -> None:
    (whole,) = streams(problem_of([[0], [1]]))
    (seconds,) = streams(
        problem_of([[0], [1]], load_s=np.array([[0.5, 0.25]]), objective="seconds")
    )
    assert rounded_up(2.25, whole) == 3
    assert rounded_up(3 + 1e-9, whole) == 3
    assert rounded_up(2.25, seconds) == 2.25
