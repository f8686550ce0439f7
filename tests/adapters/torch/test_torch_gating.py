"""Sorting tokens by slot: where they go, how experts are cut, and that no host copy is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_cases import cases, layouts
from torch_jobs_layer import Case

from moeopt.adapters.torch.gating import SplitTable, arrivals, ordered
from moeopt.adapters.torch.layout import Layout

CPU = torch.device("cpu")


@given(case=cases(1))
def test_every_choice_has_a_place_in_a_slot_of_its_expert(case: Case) -> None:
    _, ids, _ = case.inputs(0, case.tokens[0])
    order, sizes = ordered(ids, SplitTable.of(case.layout, 0, CPU))
    total = ids.numel()
    assert int(sizes.sum()) == total
    assert order.choice[order.place].tolist() == list(range(total))
    assert order.place[order.choice].tolist() == list(range(total))
    assert torch.equal(order.token, order.choice // case.top_k)
    there = np.repeat(case.layout.expert_of_slot, sizes.numpy())
    assert ids.reshape(-1)[order.choice].tolist() == there.tolist()


@given(layout=layouts(3), count=st.integers(0, 50), rank=st.integers(0, 2))
def test_cuts_follow_the_shares_to_within_one_token(layout: Layout, count: int, rank: int) -> None:
    table = SplitTable.of(layout, rank, CPU)
    runs = table.runs(torch.full((layout.num_experts,), count)).numpy()
    wanted = layout.share[rank, table.slot.numpy()] * count
    assert (np.abs(runs - wanted) < 1 + 1e-9).all()
    assert not runs[wanted == 0].any()
    served = np.bincount(table.expert.numpy(), weights=runs)
    assert (served == count).all()


@pytest.mark.parametrize("copies", [4, 7, 8])
def test_a_copy_without_a_share_gets_no_token(copies: int) -> None:
    # Thirds and the like do not quite sum to 1, and what is missing may not fall to the last.
    for experts in range(8):
        table = np.append(np.arange(experts), [experts] * copies)
        share = np.ones((8, len(table)))
        share[:, experts:] = 1 / (copies - 1)
        share[:, -1] = 0
        layout = Layout(table, np.array([len(table), 0, 0, 0, 0, 0, 0, 0]), share)
        for rank in range(8):
            split = SplitTable.of(layout, rank, CPU)
            for count in (1, 10, 1000):
                assert split.runs(torch.full((experts + 1,), count))[-1] == 0


def test_single_tokens_of_many_ranks_spread_over_the_copies() -> None:
    layout = Layout.even([0, 0, 0, 0], [1] * 4 + [0] * 60)
    one = torch.ones(1, dtype=torch.int64)
    tables = [SplitTable.of(layout, rank, CPU) for rank in range(64)]
    served = sum(table.runs(one) for table in tables)
    assert served.tolist() == pytest.approx([16] * 4, abs=2)


def test_tokens_of_an_expert_keep_their_order() -> None:
    ids = torch.tensor([[1], [0], [1], [0], [1]])
    order, sizes = ordered(ids, SplitTable.of(Layout.even([1, 0], [2]), 0, CPU))
    assert order.token.tolist() == [0, 2, 4, 1, 3]
    assert sizes.tolist() == [3, 2]


@given(
    received=st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1),
    spare=st.integers(0, 5),
)
def test_arrivals_come_to_stand_slot_by_slot(received: list[list[int]], spare: int) -> None:
    table = np.array(received)
    total = int(table.sum())
    found = arrivals(torch.from_numpy(table), total + spare)
    # Rows stand rank by rank, and within a rank slot by slot.
    slot = np.repeat(np.tile(np.arange(3), len(table)), table.ravel())
    rank = np.repeat(np.repeat(np.arange(len(table)), 3), table.ravel())
    beyond = list(range(total, total + spare))
    assert found.index.tolist() == [*np.lexsort((rank, slot)).tolist(), *beyond]
    assert found.inverse[found.index].tolist() == list(range(total + spare))
    assert found.ends.tolist() == table.sum(axis=0).cumsum().tolist()


def test_a_rank_without_slots_gets_nothing() -> None:
    found = arrivals(torch.zeros(2, 0, dtype=torch.int64), 0)
    assert len(found.index) == len(found.inverse) == len(found.ends) == 0


@pytest.mark.parametrize("strange", [-1, -40000, 3, 40000, 65536, -65536, 2**40])
def test_experts_that_there_are_not_stay_within_memory(strange: int) -> None:
    layout = Layout.even([0, 1, 2, 1], [4])
    ids = torch.tensor([[1, strange], [0, 2], [strange, 1]])
    order, sizes = ordered(ids, SplitTable.of(layout, 0, CPU))
    assert sorted(order.place.tolist()) == list(range(6))
    assert int(sizes.sum()) == 6
    before, upto = order.valid.tolist()
    assert before + 6 - upto == 2


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_nothing_is_copied_to_the_host(dtype: torch.dtype) -> None:
    table = SplitTable.of(Layout.even([0, 1, 2, 0, -1, 2], [3, 3]), 0, CPU)
    # Tensors without contents: to look at one, or to make a shape of one, is an error.
    hollow = replace(table, columns=table.columns.to("meta"))
    order, sizes = ordered(torch.zeros(7, 2, dtype=dtype, device="meta"), hollow)
    assert order.place.shape == (14,)
    assert sizes.shape == (6,)
