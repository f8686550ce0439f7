"""The paper's models and figures: memory, slots, latency, search space (notes, section 6)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moeopt.committee.paper import (
    GIB,
    HEADLINE_GIB,
    LATENCY,
    MEMORY,
    MIB,
    NANO_GIB,
    SLOWEST_LINK_MIB_PER_S,
    SWITCH_T16,
    SWITCH_T32,
    SWITCH_T64,
    SWITCH_T64_GIB,
    TABLE_1,
    TABLE_2,
    latency_fit,
    memory_model,
    overshoots,
    switch_problem,
)
from moeopt.committee.plan import CommitteePlan, latency_s, memory_bytes, violations
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError

NONE = np.zeros((0, 3), dtype=np.int64)
BY_MEMORY = sorted(TABLE_1, key=lambda row: row.memory_gib)


def losses(experts: int) -> FloatArray:
    return np.tile(np.arange(experts, -1.0, -1.0), (12, 1))


def test_an_expert_has_18_mib() -> None:
    for model in (SWITCH_T16, SWITCH_T32, SWITCH_T64):
        assert model.expert_bytes == 18 * MIB
    assert [m.slots for m in (SWITCH_T16, SWITCH_T32, SWITCH_T64)] == [192, 384, 768]


def test_one_constant_gives_both_printed_totals() -> None:
    assert MEMORY.fixed_bytes / GIB == pytest.approx(0.705, abs=1e-9)
    totals = [MEMORY.total_gib(model.slots) for model in (SWITCH_T16, SWITCH_T32, SWITCH_T64)]
    assert [round(total, 2) for total in totals[:2]] == [4.08, 7.46]
    assert round(totals[2], 1) == SWITCH_T64_GIB
    # From the other total the constant is the same to the digits of that.
    other = memory_model(SWITCH_T64_GIB, SWITCH_T64)
    assert other.fixed_bytes / GIB == pytest.approx(0.700, abs=1e-9)
    assert round(other.total_gib(SWITCH_T16.slots), 2) == pytest.approx(4.08, abs=0.011)


def test_slots_of_the_printed_budgets() -> None:
    assert MEMORY.slots_of(HEADLINE_GIB) == 227
    assert 227 / SWITCH_T64.slots == pytest.approx(0.30, abs=0.005)
    assert 227 / SWITCH_T64.layers == pytest.approx(18.9, abs=0.05)
    assert MEMORY.slots_of(NANO_GIB) == 108
    assert 108 / SWITCH_T64.slots == pytest.approx(0.14, abs=0.005)
    assert 108 / SWITCH_T64.layers == 9
    assert 227 / SWITCH_T32.slots == pytest.approx(0.59, abs=0.005)
    assert pytest.approx(0.67, abs=0.005) == 1 - HEADLINE_GIB / SWITCH_T64_GIB


def test_a_budget_is_kept_where_the_nearest_number_of_slots_is_over_it() -> None:
    """108 slots are 2.6 GiB rounded; 2.6 GiB to the byte hold 107."""
    assert MEMORY.slots_within(int(HEADLINE_GIB * GIB)) == 227
    assert MEMORY.slots_within(int(NANO_GIB * GIB)) == 107
    assert MEMORY.total_bytes(107) <= NANO_GIB * GIB < MEMORY.total_bytes(108)
    assert MEMORY.slots_within(0) == 0


def test_slots_of_table_1() -> None:
    assert [MEMORY.slots_of(row.memory_gib) for row in BY_MEMORY] == [53, 116, 164, 187, 192]


def test_latency_of_table_1_is_a_line_over_slots() -> None:
    assert LATENCY.base_s == pytest.approx(0.325, abs=1e-3)
    assert LATENCY.slot_s * 1e3 == pytest.approx(2.60, abs=5e-3)
    wanted_ms = [-13.5, 22.6, 7.8, -12.0, -5.0]
    np.testing.assert_allclose(LATENCY.residuals_s * 1e3, wanted_ms, atol=0.06)
    assert float(LATENCY.residuals_s.sum()) == pytest.approx(0, abs=1e-12)


def test_a_line_is_fitted_as_numpy_fits_it() -> None:
    rng = np.random.default_rng(3)
    slots, seconds = rng.permutation(40)[:9], rng.random(9)
    found = latency_fit(slots.tolist(), seconds.tolist())
    slope, base = np.polyfit(slots, seconds, 1)
    assert (found.slot_s, found.base_s) == pytest.approx((slope, base), rel=1e-9)
    for slots_, seconds_ in (([3, 3], [1.0, 2.0]), ([1, 2], [1.0])):
        with pytest.raises(InstanceError, match="different numbers"):
            latency_fit(slots_, seconds_)
    with pytest.raises(InstanceError, match="latency_s"):
        latency_fit([1, 2], [1.0, np.nan])


def test_the_search_space_is_experts_to_the_power_of_layers() -> None:
    assert SWITCH_T16.configurations == 16**12 == 281_474_976_710_656
    # What the paper prints would be 657 times as many.
    assert 12**16 / SWITCH_T16.configurations == pytest.approx(656.8, abs=0.1)


def test_one_plan_of_the_paper_is_over_its_budget() -> None:
    over = {budget: share for budget, share in overshoots().items() if share > 0}
    assert list(over) == [3.5]
    assert over[3.5] == pytest.approx(0.023, abs=5e-4)


def test_swapping_uses_little_of_the_slowest_link() -> None:
    assert max(link.mean_mib_per_s for link in TABLE_2) / SLOWEST_LINK_MIB_PER_S == 0.09
    assert max(link.peak_mib_per_s for link in TABLE_2) / SLOWEST_LINK_MIB_PER_S < 0.14


@pytest.mark.parametrize("row", TABLE_1[1:], ids=lambda row: f"{row.budget_gib}")
def test_a_problem_of_table_1_has_its_memory_and_latency(row: object) -> None:
    assert row in TABLE_1
    slots = MEMORY.slots_of(row.memory_gib)  # type: ignore[attr-defined]
    budget = MEMORY.total_bytes(slots)
    problem = switch_problem(16, budget, loss="table", table=losses(16))
    even = np.array([slots // 12 + (layer < slots % 12) for layer in range(12)])
    plan = CommitteePlan(period=1, slots=even, loads=NONE, drops=NONE)
    assert violations(problem, plan) == []
    assert memory_bytes(problem, even) == budget
    assert memory_bytes(problem, even) / GIB == pytest.approx(row.memory_gib, abs=0.01)  # type: ignore[attr-defined]
    assert latency_s(problem, even) == pytest.approx(row.latency_s, abs=0.023)  # type: ignore[attr-defined]
    # A byte less, and it is a plan like the paper's: over its budget.
    less = switch_problem(16, budget - 1, loss="table", table=losses(16))
    assert [broken.constraint for broken in violations(less, plan)] == ["C1"]


def test_a_latency_limits_slots() -> None:
    limit = LATENCY.base_s + 100.5 * LATENCY.slot_s
    problem = switch_problem(
        64, 10 * GIB, latency_s=limit, loss="table", table=losses(64), min_slots=0
    )
    for slots, broken in ((100, []), (101, ["C2"])):
        even = np.array([slots // 12 + (layer < slots % 12) for layer in range(12)])
        plan = CommitteePlan(period=1, slots=even, loads=NONE, drops=NONE)
        assert [found.constraint for found in violations(problem, plan)] == broken


def test_a_switch_t_of_any_size_with_experts_of_any_importance() -> None:
    rng = np.random.default_rng(0)
    problem = switch_problem(8, 2 * GIB, importance=rng.random((3, 12, 8)), load_price=0.5)
    assert (problem.num_layers, problem.num_experts, problem.num_windows) == (12, 8, 3)
    assert problem.name == "SwitchT-8 in 2.00 GiB"
    assert problem.latency_s is None
    for experts, error in itertools.product((0, 2.5, "16"), (InstanceError,)):
        with pytest.raises(error):
            switch_problem(experts, GIB, importance=np.ones((1, 12, 1)))  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match="budget_bytes"):
        switch_problem(16, "2", importance=np.ones((1, 12, 16)))  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match="did you mean 'importance'"):
        switch_problem(16, GIB, importanc=np.ones((1, 12, 16)))
