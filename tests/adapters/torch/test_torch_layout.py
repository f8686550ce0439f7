"""Layouts: what they refuse, and that a plan's layouts send tokens as the placement wing says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from torch_cases import layouts

from moeopt.adapters.torch.layout import (
    Layout,
    layouts_of_plan,
    require_same_experts,
    slots_by_expert,
)
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement.greedy import feasible_plan
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.split import shares_of_plan, traffic_of_plan
from moeopt.testing.strategies import placement_problems


@pytest.mark.parametrize(
    ("table", "slots", "message"),
    [
        ([0, 1], [], "slots_per_rank: must be slots of at least one rank"),
        ([0, 1], [3, -1], "slots_per_rank: .* none negative"),
        ([[0, 1]], [2], "slots_per_rank: must be slots"),
        ([0, 1], [1], "slots_per_rank: must sum to the 2 slots of expert_of_slot, got 1"),
        ([0, -2], [2], "expert_of_slot: must be experts, or -1 for an empty slot"),
        ([-1, -1], [2], "expert_of_slot: .* not all empty"),
        ([0, 2], [2], "expert_of_slot: must hold every expert: 1 has no copy"),
        ([0, 10**12], [2], "expert_of_slot: must hold every expert: 1 has no copy"),
        ([0, 0.5], [2], "expert_of_slot: must be whole numbers"),
        ([0, float("nan")], [2], "expert_of_slot: must be whole numbers"),
        ([0, 1], [1.5, 0.5], "slots_per_rank: must be whole numbers"),
        (["a"], [1], "expert_of_slot.*: must be a"),
    ],
)
def test_slots_that_are_no_layout_are_refused(table: Any, slots: Any, message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        Layout.even(table, slots)


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ([[1.0, 0.5, 0.5]], r"share: must have shape \(2, 3\) = \(ranks, slots\)"),
        ([[1.0, 0.5, 0.4]] * 2, "share: .* sum to 1 over each expert's slots"),
        ([[1.0, 1.5, -0.5]] * 2, "share: must be >= 0"),
        ([[1.0, np.nan, 0.5]] * 2, "share: must be >= 0"),
        ([[1.0, np.inf, 0.5]] * 2, "share: .* sum to 1"),
    ],
)
def test_shares_that_do_not_sum_to_one_are_refused(share: Any, message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        Layout(np.array([0, 1, 1]), np.array([2, 1]), np.array(share))


def test_an_empty_slot_has_no_share_and_numbers_are_integers() -> None:
    with pytest.raises(InstanceError, match="0 for empty slots"):
        Layout(np.array([0, -1]), np.array([2]), np.array([[1.0, 0.1]]))
    with pytest.raises(InstanceError, match="expert_of_slot: must be integers"):
        Layout(np.array([0.0, 1.0]), np.array([2]), np.ones((1, 2)))


def test_slots_and_ranks_are_counted() -> None:
    layout = Layout.even([0, 1, 2, -1, 1], [3, 0, 2])
    assert (layout.num_ranks, layout.num_slots, layout.num_experts) == (3, 5, 3)
    assert layout.first_slot.tolist() == [0, 3, 3]
    assert layout.rank_of_slot.tolist() == [0, 0, 0, 2, 2]
    assert [layout.experts_on(rank).tolist() for rank in range(3)] == [[0, 1, 2], [], [-1, 1]]
    assert layout.share.tolist() == [[1.0, 0.5, 1.0, 0.0, 0.5]] * 3


def test_contiguous_ranks_are_as_equal_as_they_can_be() -> None:
    assert Layout.contiguous(7, 3).slots_per_rank.tolist() == [3, 2, 2]
    assert Layout.contiguous(2, 3).slots_per_rank.tolist() == [1, 1, 0]
    with pytest.raises(InstanceError, match="ranks: must be >= 1"):
        Layout.contiguous(4, 0)
    with pytest.raises(InstanceError, match="not all empty"):
        Layout.contiguous(0, 2)


def test_folding_keeps_slots_and_the_mean_of_shares() -> None:
    share = np.array([[1.0, 0.2, 0.8], [1.0, 0.6, 0.4], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    layout = Layout(np.array([0, 1, 1]), np.array([1, 1, 0, 1]), share)
    folded = layout.folded(2)
    assert folded.slots_per_rank.tolist() == [2, 1]
    assert folded.share == pytest.approx(np.array([[1.0, 0.4, 0.6], [1.0, 0.5, 0.5]]))
    assert layout.folded(4).share.tolist() == share.tolist()
    assert layout.folded(1).slots_per_rank.tolist() == [3]
    for ranks in (3, 0, 8):
        with pytest.raises(InstanceError, match="world: must divide the plan's 4 devices"):
            layout.folded(ranks)


@given(layout=layouts(4))
def test_folding_serves_equal_senders_as_before(layout: Layout) -> None:
    tokens = np.tile(np.arange(1.0, layout.num_experts + 1), (4, 1))
    before = layout.served(tokens).reshape(2, 2, 2, 2).sum(axis=(1, 3))
    both = tokens.reshape(2, 2, -1).sum(axis=1)
    assert layout.folded(2).served(both) == pytest.approx(before)


@given(layout=layouts(3))
def test_cuts_end_at_one_with_each_experts_last_slot(layout: Layout) -> None:
    for rank in range(layout.num_ranks):
        slot, upto = slots_by_expert(layout, rank)
        expert = layout.expert_of_slot[slot]
        assert sorted(slot) == np.flatnonzero(layout.expert_of_slot >= 0).tolist()
        assert (np.diff(expert) >= 0).all()
        for one in range(layout.num_experts):
            cuts = upto[expert == one]
            assert cuts[-1] == 1.0
            parts = np.diff(cuts, prepend=0.0)
            assert parts == pytest.approx(layout.share[rank, slot[expert == one]], abs=1e-12)


def _plan(problem: PlacementProblem) -> PlacementPlan:
    plan = feasible_plan(problem)
    assume(plan is not None)
    assert plan is not None
    return plan


_CALM = ("distinct_nodes", "duplicates", "empty", "max_copies", "min_copies", "unequal_slots")


@given(
    problem=placement_problems(
        splits=("even", "nearest"), objectives=("max_load",), features=_CALM, max_scenarios=1
    )
)
def test_layouts_send_tokens_as_the_split_says(problem: PlacementProblem) -> None:
    plan = _plan(problem)
    found = layouts_of_plan(problem, plan)
    loads = problem.mean_loads()
    by_layer = np.moveaxis(problem.source_shares(), 0, 1)
    copies = plan.copies(problem)
    for _, layers, traffic in traffic_of_plan(problem, copies, loads[None]):
        for layer, tokens in zip(range(problem.num_layers)[layers], traffic, strict=True):
            served = found[layer].served(by_layer[layer] * loads[layer])
            assert served == pytest.approx(np.broadcast_to(tokens, served.shape), rel=1e-9)


@given(
    problem=placement_problems(
        splits=("optimal",), objectives=("max_load",), features=_CALM, max_scenarios=1
    )
)
def test_the_optimal_split_serves_what_the_mean_loads_ask_for(problem: PlacementProblem) -> None:
    plan = _plan(problem)
    loads = problem.mean_loads()
    shares = shares_of_plan(problem, plan.copies(problem), loads)
    for layer, layout in enumerate(layouts_of_plan(problem, plan)):
        sent = np.repeat(loads[layer][None], problem.num_devices, axis=0)
        served = layout.served(sent)
        assert served == pytest.approx(np.broadcast_to(loads[layer] @ shares[layer], served.shape))


def test_sources_are_served_by_the_nearest_copies() -> None:
    problem = PlacementProblem(
        loads_tokens=np.array([[4.0, 4.0]]),
        cluster=Cluster.uniform(4, 2),
        slots_per_device=(1, 2, 1, 0),
        max_copies_per_device=None,
        split="nearest",
    )
    plan = PlacementPlan(physical_to_logical=np.array([[0, 1, 1, 0]]))
    (layout,) = layouts_of_plan(problem, plan)
    assert layout.share.tolist() == [
        [1.0, 0.5, 0.5, 0.0],
        [1.0, 0.5, 0.5, 0.0],
        [0.0, 0.5, 0.5, 1.0],
        [0.0, 0.5, 0.5, 1.0],
    ]


def test_a_plan_that_breaks_its_problems_rules_is_refused() -> None:
    problem = PlacementProblem(
        loads_tokens=np.array([[1.0, 2.0]]), cluster=Cluster.uniform(2), slots_per_device=1
    )
    with pytest.raises(InstanceError, match="C1"):
        layouts_of_plan(problem, PlacementPlan(physical_to_logical=np.array([[0, 0]])))
    with pytest.raises(InstanceError, match="shape"):
        layouts_of_plan(problem, PlacementPlan(physical_to_logical=np.array([[0, 1, 0]])))


def test_layouts_of_one_model_have_the_same_experts() -> None:
    require_same_experts([Layout.contiguous(4, 2), Layout.even([3, 2, 1, 0, 0], [2, 3])])
    with pytest.raises(InstanceError, match="layouts: must have the same experts and ranks"):
        require_same_experts([Layout.contiguous(4, 2), Layout.contiguous(3, 2)])
