"""Bounds: never above the optimum, and equal to it where the page says so."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from buffering_oracle import brute_force, drawn, problem_of, room_curve

from moeopt.buffering.bounds import bound, cache_bound, cold_bound, layered_bound
from moeopt.buffering.exact import run_exact
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import streams
from moeopt.core.stop import Context

#: Fields of drawn problems whose bound is their optimum: one size and the stated order.
EXACT: dict[str, dict[str, Any]] = {
    "misses": {"most": 3},
    "seconds": {"most": 3, "seconds": True},
    "layers": {"layers": 2, "experts": 3, "steps": 5, "slots": [1, 2], "seconds": True},
    "pool": {"layers": 2, "experts": 3, "steps": 4, "pooled": True, "slots": 3, "seconds": True},
    "pins": {"pinned": [[0, 1]], "seconds": True},
    "bytes": {"cache_bytes": 7, "expert_bytes": 3, "seconds": True},
    "no room": {"serve": "bypass", "slots": 0, "seconds": True},
    "soft": {"serve": "bypass", "seconds": True, "most": 3},
    "soft cap": {"serve": "bypass", "seconds": True, "loads_per_group": 1, "free_fill": True},
    "soft period": {"serve": "bypass", "seconds": True, "update_period": 2, "pinned": [[0, 2]]},
    "budget": {"layers": 2, "experts": 3, "steps": 4, "budget_bytes": 5, "seconds": True},
    "budget, sizes": {
        "layers": 2, "experts": 3, "steps": 4, "budget_bytes": 9, "sizes": True, "seconds": True,
    },
    "soft budget": {
        "layers": 2, "experts": 3, "steps": 4, "budget_bytes": 7, "expert_bytes": 2,
        "serve": "bypass", "seconds": True,
    },
}  # fmt: skip

#: Fields of drawn problems whose bound is a relaxation, and the share of the optimum it keeps.
LOOSE: dict[str, tuple[dict[str, Any], float]] = {
    "any order": ({"any_order": True, "most": 3, "experts": 5, "slots": 3, "seconds": True}, 0.9),
    "any order, pins": (
        {"any_order": True, "most": 3, "experts": 5, "seconds": True, "pinned": [[0, 1]]}, 0.8,
    ),
    "sizes": ({"cache_bytes": 5, "sizes": True, "seconds": True, "experts": 5}, 0.8),
    "sizes, pins": (
        {"cache_bytes": 6, "sizes": True, "seconds": True, "pinned": [[0, 1]]}, 0.8,
    ),
    "sizes, any order": (
        {"cache_bytes": 5, "sizes": True, "any_order": True, "most": 3, "experts": 5}, 0.8,
    ),
    "soft sizes": ({"cache_bytes": 4, "sizes": True, "serve": "bypass", "seconds": True}, 0.8),
    "soft sizes, cap": (
        {
            "cache_bytes": 4, "sizes": True, "serve": "bypass", "seconds": True,
            "loads_per_group": 1, "free_fill": True, "pinned": [[0, 0]],
        }, 0.5,
    ),
    "budget, any order": (
        {"layers": 2, "experts": 3, "steps": 4, "budget_bytes": 6, "any_order": True, "most": 3},
        0.8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXACT)
def test_items_of_one_size_in_order_meet_their_bound(kind: str) -> None:
    solved = 0
    for seed in range(8):
        stated = drawn(seed, **EXACT[kind])
        best = brute_force(stated)
        if best is not None:
            assert bound(stated) == pytest.approx(best.objective, rel=1e-9, abs=1e-12)
            solved += 1
    assert solved


@pytest.mark.parametrize("kind", LOOSE)
def test_no_bound_is_above_the_optimum_and_few_are_far_below(kind: str) -> None:
    fields, share = LOOSE[kind]
    found = optimum = 0.0
    for seed in range(12):
        stated = drawn(seed, **fields)
        best = brute_force(stated)
        if best is not None:
            value = bound(stated)
            assert value <= best.objective * (1 + 1e-9)
            found, optimum = found + value, optimum + best.objective
    assert found >= share * optimum > 0


@pytest.mark.parametrize("kind", [*EXACT, *LOOSE])
def test_cheap_bounds_of_long_traces_hold_too(kind: str) -> None:
    fields = EXACT[kind] if kind in EXACT else LOOSE[kind][0]
    fields = {**fields, "slots": 2} if "budget_bytes" in fields else fields
    fields = {name: value for name, value in fields.items() if name != "budget_bytes"}
    for seed in range(6):
        stated = drawn(seed, **fields)
        best = brute_force(stated)
        if best is not None:
            cheap = sum(cache_bound(part, units=0) for part in streams(stated))
            assert cheap <= best.objective * (1 + 1e-9)


def test_curves_of_every_room_are_bounded() -> None:
    for seed in range(6):
        stated = drawn(seed, experts=5, most=3, any_order=True, seconds=True)
        for slots, cost in enumerate(room_curve(stated, 0)):
            there = msgspec.structs.replace(stated, slots=slots)
            assert bound(there) <= cost * (1 + 1e-9)


def test_a_bound_of_a_problem_without_a_plan_is_a_number() -> None:
    assert bound(problem_of([[0], [1]], slots=0)) == 2
    assert bound(problem_of([[], []], experts=2)) == 0
    assert bound(problem_of([[0], [1]], slots=1, pinned=[[0, 0]])) >= 0


def test_any_order_counts_what_is_kept_across_a_group_beside_what_runs() -> None:
    # Expert 0 may be kept across the group of 1 and 2 beside one of them; both are loaded anew.
    groups = [[0], [1, 2], [0], [1, 2]]
    stated = problem_of(groups, slots=2, any_order=True)
    best = brute_force(stated)
    assert best is not None
    assert bound(stated) == best.objective == 4
    # One slot: nothing is kept across anything, but a group may begin with what the last left.
    assert bound(problem_of([[0, 1], [1, 0]], slots=1, any_order=True)) == 3


def test_levels_of_price_by_hand() -> None:
    # One slot: 0 and 1 miss twice each. At the level of 5 only expert 1 is there, and misses once.
    stated = problem_of([[0], [1], [0], [1]], slots=1, load_s=[[2.0, 5.0]], objective="seconds")
    (part,) = streams(stated)
    assert layered_bound(part, 1) == 2 * 4 + 3 * 1
    assert cold_bound(part) == 7
    assert bound(stated) == 14


def test_what_is_bypassed_is_loaded_once_or_missed() -> None:
    stated = problem_of(
        [[0], [1], [0], [1]], serve="bypass", slots=2, load_s=5.0, miss_s=[[1.0, 4.0]],
        objective="seconds",
    )  # fmt: skip
    (part,) = streams(stated)
    assert cold_bound(part) == 1 * 2 + 5
    assert bound(stated) == 7
    assert bound(msgspec.structs.replace(stated, free_fill=True)) == 0


def test_a_budget_is_split_by_what_slots_save() -> None:
    # The first layer's second slot saves 2 loads for 3 bytes, the second layer's 2 for 2.
    groups = [[0], [0], [1], [1]] * 2
    for budget, misses in ((4, 0), (5, 8), (6, 8), (7, 6), (9, 6), (10, 4)):
        stated = problem_of(groups, layers=2, budget_bytes=budget, expert_bytes=[3, 2])
        best = brute_force(stated)
        # No plan below one slot each; the bound is what is loaded once, at least.
        assert (best is None) == (misses == 0)
        assert bound(stated) == (4 if best is None else misses)
        assert best is None or best.objective == misses


def test_large_sizes_are_rounded_down_to_a_unit() -> None:
    rng = np.random.default_rng(0)
    active = rng.integers(0, 12, 300)
    stated = BufferingProblem(
        experts=12, active=active, starts=np.arange(301), objective="miss_bytes",
        expert_bytes=rng.integers(10**8, 2 * 10**8, (1, 12)), cache_bytes=10**9,
    )  # fmt: skip
    (part,) = streams(stated)
    coarse, fine = cache_bound(part, units=8), cache_bound(part)
    assert cold_bound(part) <= coarse <= fine
    assert fine > cold_bound(part) * 1.5


def test_prices_far_apart_lift_no_bound_above_the_optimum() -> None:
    # A load of 2e-8 s saves a million: what is left of their difference is mostly rounding.
    stated = problem_of(
        [[1, 2], [0, 1], []], serve="bypass", slots=2, free_fill=True, objective="seconds",
        load_s=[[2e-8, 4e-8, 0.0]], miss_s=1e6, weights=np.array([3.0, 1.0, 3.0, 0.0]),
    )  # fmt: skip
    best = brute_force(stated)
    assert best is not None
    assert 0 <= bound(stated) <= best.objective == 2e-8
    # The second slot saves 4e-7 s, less than a flow can tell beside the first one's millions.
    stated = problem_of(
        [[0], [1], [0]], serve="bypass", slots=2, free_fill=True, objective="seconds",
        load_s=4e-7, miss_s=[[4e6, 4e-7]],
    )  # fmt: skip
    best = brute_force(stated)
    assert best is not None
    assert bound(stated) == best.objective == 0
    assert run_exact(stated, Context(), None).bound == 0


def test_whole_prices_far_apart_lose_nothing_to_rounding() -> None:
    # Ten million references' worth of savings, and one load.
    stated = problem_of(
        [[0]] * 10, serve="bypass", slots=1, objective="seconds", load_s=1.0, miss_s=1e7
    )
    assert bound(stated) == 1


def test_fewer_units_than_slots_bound_by_what_the_last_one_saved() -> None:
    rng = np.random.default_rng(1)
    groups = [rng.permutation(12)[:3].tolist() for _ in range(60)]
    for fields in ({"any_order": True}, {"load_s": rng.random((1, 12)), "objective": "seconds"}):
        (part,) = streams(problem_of(groups, slots=6, **fields))
        found = [cache_bound(part, units) for units in range(1, 8)]
        assert found == sorted(found)
        assert cache_bound(part, 0) < found[3] < found[5] == found[6]
        stopped = cache_bound(part, 6, lambda: True)
        assert cold_bound(part) <= stopped <= found[5]
