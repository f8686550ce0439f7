"""Migration: the layer's outputs never change, and no byte travels that the plan does not name."""

from __future__ import annotations

import numpy as np
import pytest
import torch_jobs_migration as jobs
from hypothesis import given
from hypothesis import strategies as st

from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.migrate import MOST_AT_ONCE, planned

EXPERT_BYTES = 4 * 3 * jobs.HIDDEN * jobs.INNER
TOLERANCE = 1e-6


@st.composite
def layouts(draw, experts, ranks):
    """Draw a layout: replicas, ranks with more slots than others or none, empty slots, shares."""
    slots = np.array(draw(st.lists(st.integers(0, 4), min_size=ranks, max_size=ranks)))
    slots[draw(st.integers(0, ranks - 1))] += max(0, experts - slots.sum())
    more = int(slots.sum()) - experts
    filling = draw(st.lists(st.integers(-1, experts - 1), min_size=more, max_size=more))
    table = np.array(draw(st.permutations([*range(experts), *filling])))
    if draw(st.booleans()):
        return Layout.even(table, slots)
    size = ranks * len(table)
    drawn = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    weight = np.array(drawn, dtype=float).reshape(ranks, -1) + 0.01
    weight[:, table < 0] = 0.0
    total = np.stack([(weight * (table == expert)).sum(axis=1) for expert in range(experts)])
    return Layout(table, slots, np.where(table >= 0, weight / total[table].T, 0.0))


@st.composite
def cases(draw, ranks):
    """Draw two layouts of the same experts, and the tokens of each rank."""
    experts = draw(st.integers(1, 7))
    tokens = draw(st.lists(st.sampled_from([0, 1, 9, 24]), min_size=ranks, max_size=ranks))
    return draw(layouts(experts, ranks)), draw(layouts(experts, ranks)), tokens


def lacking(old, new):
    """Return the experts that each rank must get: those of its slots that it has not."""
    return [
        set(new.experts_on(rank).tolist()) - set(old.experts_on(rank).tolist()) - {-1}
        for rank in range(old.num_ranks)
    ]


def check(found, old, new):
    """Check what all ranks report against the layouts alone."""
    assert max(each["error"] for each in found) <= TOLERANCE
    assert all(each["exact"] for each in found)
    wanted = [len(experts) * EXPERT_BYTES for experts in lacking(old, new)]
    assert [each["received"] for each in found] == wanted
    sent = np.bincount(found[0]["source"], minlength=old.num_ranks) * EXPERT_BYTES
    assert [each["sent"] for each in found] == sent.tolist()
    batches = {each["batches"] for each in found}
    assert len(batches) == 1
    assert {each["steps"] for each in found} == {n + 1 if n else 0 for n in batches}
    for rank, each in enumerate(found):
        stays = np.array_equal(old.experts_on(rank), new.experts_on(rank))
        slots = int(new.slots_per_rank[rank])
        assert each["staged"] == (0 if stays else slots * EXPERT_BYTES)
        assert each["staged_after"] == 0
        assert each["released"] == (not stays)


@given(case=cases(2), group=st.booleans())
def test_outputs_stay_between_any_two_layouts_of_two_ranks(workers2, case, group):
    found = workers2.run(jobs.migrated, *case, group=group)
    check(found, *case[:2])


@given(case=cases(4), ordered=st.booleans())
def test_outputs_stay_between_any_two_layouts_of_four_ranks(workers4, case, ordered):
    found = workers4.run(jobs.migrated, *case, ordered=ordered)
    check(found, *case[:2])


def test_all_pairs_may_send_at_once(workers4):
    old = Layout.contiguous(8, 4)
    new = Layout.even(np.arange(8).reshape(4, 2).T.ravel(), old.slots_per_rank)
    for ordered, batches in ((True, {2, 3}), (False, {1})):
        found = workers4.run(jobs.migrated, old, new, [5] * 4, ordered=ordered)
        check(found, old, new)
        assert {each["batches"] for each in found} <= batches


def test_the_same_layout_sends_nothing(workers2):
    layout = Layout.even([0, 1, 2, 2, -1, 0], [4, 2])
    found = workers2.run(jobs.migrated, layout, Layout.even([0, 1, 2, 2, -1, 0], [4, 2]), [5, 5])
    check(found, layout, layout)
    for each in found:
        assert (each["sent"], each["received"], each["batches"], each["staged"]) == (0, 0, 0, 0)


def test_other_slots_of_the_same_ranks_are_copied_and_not_sent(workers2):
    old, new = Layout.even([0, 1, 2, 3], [2, 2]), Layout.even([1, 0, 0, 3, 2], [3, 2])
    found = workers2.run(jobs.migrated, old, new, [7, 3])
    check(found, old, new)
    assert [each["sent"] for each in found] == [0, 0]


def test_two_copies_on_one_rank_come_once(workers2):
    old, new = Layout.even([0, 1], [1, 1]), Layout.even([0, 1, 0, 0, 1], [1, 4])
    found = workers2.run(jobs.migrated, old, new, [6, 6])
    check(found, old, new)
    assert [each["received"] for each in found] == [0, EXPERT_BYTES]


def test_a_rank_may_lose_all_its_slots_and_get_them_back(workers2):
    old, new = Layout.even([0, 1, 2, 3], [2, 2]), Layout.even([3, 2, 1, 0], [0, 4])
    for pair in ((old, new), (new, old)):
        check(workers2.run(jobs.migrated, *pair, [6, 9]), *pair)


def test_both_directions_of_a_port_are_used_at_once(workers2):
    old, new = Layout.even([0, 1, 2, 3], [2, 2]), Layout.even([2, 3, 0, 1], [2, 2])
    found = workers2.run(jobs.migrated, old, new, [4, 4])
    check(found, old, new)
    assert found[0]["batches"] == 1


def test_many_experts_of_one_pair_travel_in_parts(workers2):
    half = MOST_AT_ONCE + 4
    old = Layout.contiguous(2 * half, 2)
    new = Layout.even(np.roll(old.expert_of_slot, half), old.slots_per_rank)
    found = workers2.run(jobs.migrated, old, new, [16, 16])
    check(found, old, new)
    assert found[0]["batches"] == 2


@given(case=cases(4))
def test_every_batch_has_one_flow_each_way_and_sources_that_hold_the_expert(case):
    old, new, _ = case
    expert, plan = planned(old, new, EXPERT_BYTES)
    coming = [set() for _ in range(4)]
    for flows in plan.batches:
        for side in ("source", "destination"):
            ranks = [getattr(flow, side) for flow in flows]
            assert len(ranks) == len(set(ranks))
        for flow in flows:
            moved = {int(expert[move]) for move in flow.moves}
            assert moved <= set(old.experts_on(flow.source).tolist())
            coming[flow.destination] |= moved
    assert coming == lacking(old, new)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_weights_of_other_types_keep_their_bits(workers2, dtype):
    import torch

    old, new = Layout.even([0, 1, 2], [2, 1]), Layout.even([2, 1, 0, 1], [1, 3])
    assert workers2.run(jobs.moved_exactly, old, new, getattr(torch, dtype)) == [True, True]


def test_weights_that_came_in_inference_mode_can_be_trained(workers2):
    old, new = Layout.even([0, 1, 2, 3], [2, 2]), Layout.even([2, 1, 3, 0], [2, 2])
    assert workers2.run(jobs.in_inference_mode, old, new) == [(True, False)] * 2


def test_layers_go_over_one_after_the_other(workers2):
    first, second = Layout.even([0, 1, 2, 3], [2, 2]), Layout.even([3, 2, 1, 0, 1], [2, 3])
    pairs = [(first, second), (first, Layout.even([0, 1, 2, 3], [2, 2])), (second, first)]
    for found in workers2.run(jobs.one_after_another, pairs, [5, 8]):
        assert found["error"] <= TOLERANCE
        assert found["exact"]
        reached = [step[0] for step in found["steps"]]
        assert reached[0] == [False] * 3
        assert reached == sorted(reached)
        for done, held, staged in found["steps"]:
            # What served before is given back at once; a layer that stays as it is keeps it.
            assert held == [not done[0], True, not done[2]]
            assert 0 < staged <= 3 * EXPERT_BYTES


def test_what_is_wrong_is_said(workers2):
    old, new = Layout.even([0, 1, 2, 3], [2, 2]), Layout.even([1, 2, 3, 0], [2, 2])
    found = workers2.run(jobs.refusals, old, new)
    assert sorted(said.pop("without") for said, _ in found) == [False, True]
    for said, reached in found:
        assert reached
        assert said.pop("experts").startswith("InstanceError: layouts: must have the same experts")
        assert said.pop("ranks").startswith("InstanceError: layouts: must have the same experts")
        rule = "InstanceError: layout: must be the same on every rank"
        assert said.pop("disagreement").startswith(rule)
        assert said.pop("order").startswith(rule)
        assert said.pop("group").startswith("InstanceError: group: must have the layer's workers")
        for when, left in (("at once", 1), ("under way", 0)):
            assert f"on their way, {left} of 1 batches" in said.pop(when)
        assert "the migration is over" in said.pop("twice")
        # On one rank only: all are told.
        assert "other experts than at the start" in said.pop("replaced")
        assert "must be as many as there are layers, 1, got 2" in said.pop("lengths")
        assert "hold gradients" in said.pop("gradients")
        assert "weights have changed" in said.pop("changed")
        assert not said


def test_a_group_of_other_workers_is_refused_on_all(workers4):
    old, new = Layout.even([0, 1], [1, 1]), Layout.even([1, 0], [1, 1])
    first, second, *_ = workers4.run(jobs.with_a_group_of_others, old, new)
    assert first.startswith("group: must have the layer's workers, [0, 1], got <[0, 2]>")
    assert second.startswith("group: must contain this worker")
