"""Every exchange against the single one: rows, outputs, gradients, and what ranks decide."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import torch_jobs_exchange as jobs
from torch_exchange_cases import NVLINK, SLOW, matrices, odd_plan, plan_of
from torch_jobs_exchange import Way
from torch_pools import Pool

from moeopt.adapters.torch.exchange import Sizes
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import measure_link
from moeopt.adapters.torch.spot import SpotExchange
from moeopt.adapters.torch.workers import Workers
from moeopt.core.errors import InstanceError
from moeopt.transfers import schedule
from moeopt.transfers.plan import TransferPlan

WAYS = (
    "single", "solved", "odd", "many peers", "barrier", "spot", "spot with start-ups", "chosen",
    "chosen single",
)  # fmt: skip


@cache
def _solved(world: int) -> TransferPlan:
    """Return a solver's plan for the first of the matrices."""
    return schedule(matrices(world)[0].astype(float), 1e6, alpha=1e-6).plan


def _way(name: str, world: int) -> Way:
    many = plan_of((0, 0, 1, 1.0), (0, 1, 0, 1.0), (0, 0, world - 1, 2.0))
    return {
        "single": Way("single"),
        "solved": Way("rounds", _solved(world)),
        "odd": Way("rounds", odd_plan(world)),
        "many peers": Way("rounds", many),
        "barrier": Way("rounds", odd_plan(world), barrier=True),
        "spot": Way("spot"),
        "spot with start-ups": Way("spot", link=SLOW),
        "chosen": Way("chosen", _solved(world), SLOW),
        "chosen single": Way("chosen", _solved(world), NVLINK),
    }[name]


@pytest.mark.parametrize("name", WAYS)
def test_four_ranks_get_every_row_and_get_it_back(workers4: Pool, name: str) -> None:
    assert workers4.run(jobs.rows_arrive, _way(name, 4), matrices(4)) == [[]] * 4


@pytest.mark.parametrize("name", WAYS)
def test_a_group_of_some_workers_counts_its_own_ranks(workers4: Pool, name: str) -> None:
    found = workers4.run(jobs.rows_arrive, _way(name, 2), matrices(2), [3, 1])
    assert found == [[]] * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_the_same_bit_for_bit(workers4: Pool, dtype: torch.dtype) -> None:
    layout = Layout.even([0, 1, 2, 3, 4, 5, 0, 3, -1], [3, 2, 4, 0])
    tokens = [(9, 5, 0, 17), (0, 0, 0, 0), (0, 30, 1, 2)]
    expected = workers4.run(jobs.layer_steps, Way("single"), layout, tokens, dtype)
    for name in WAYS[1:]:
        found = workers4.run(jobs.layer_steps, _way(name, 4), layout, tokens, dtype)
        assert all(map(torch.equal, _flat(found), _flat(expected))), name


def _flat(found: list[list[list[torch.Tensor]]]) -> list[torch.Tensor]:
    return [tensor for steps in found for tensors in steps for tensor in tensors]


@pytest.mark.parametrize("name", ["solved", "odd", "many peers", "spot", "chosen"])
def test_what_one_rank_sends_in_a_round_its_peer_receives(workers4: Pool, name: str) -> None:
    found = workers4.run(jobs.decisions, _way(name, 4), matrices(4), 4096)
    for by_rank in zip(*found, strict=True):
        assert len({None if rounds is None else len(rounds) for rounds in by_rank}) == 1
        for turn in zip(*(rounds or [] for rounds in by_rank), strict=True):
            sends, receives = (_transmissions(turn, side) for side in (0, 1))
            assert sends == {(there, here): rows for (here, there), rows in receives.items()}


def _transmissions(turn: tuple, side: int) -> dict[tuple[int, int], int]:
    return {
        (rank, span.peer): span.last - span.first
        for rank, ends in enumerate(turn)
        for span in ends[side]
    }


def test_rounds_without_bytes_cost_nothing(workers4: Pool) -> None:
    quiet = matrices(4)[5]  # rank 0 sends to rank 3, and nothing else happens
    for name in ("odd", "spot"):
        found = workers4.run(jobs.groups_made, _way(name, 4), quiet)
        assert found == [(1, 1), (0, 0), (0, 0), (1, 1)], name


def test_every_rank_chooses_alike_and_the_choices_are_counted(workers4: Pool) -> None:
    plan = _solved(4)
    draws = [*matrices(4), *matrices(4, seed=1)]
    slow = workers4.run(jobs.taken, Way("chosen", plan, SLOW), draws, 65536)
    fast = workers4.run(jobs.taken, Way("chosen", plan, NVLINK), draws[:3], 65536)
    assert all(counts == slow[0] for counts in slow)
    assert {"plan", "spot"} <= set(slow[0])
    assert sum(slow[0].values()) == len(draws)
    assert fast == [{"single": 3}] * 4


def test_the_link_is_the_same_on_all_ranks(workers4: Pool) -> None:
    found = workers4.run(jobs.measured)
    link, alone = found[0]
    assert all(other == found[0] for other in found)
    assert min(vars(link).values()) >= 0
    assert 0 < link.incast_bytes_per_s <= max(link.bytes_per_s, link.round_bytes_per_s)
    assert link.round_bytes_per_s > 0
    assert alone.single_s(matrices(1)[0]) == 0.0


@pytest.mark.gpu
def test_gpus_get_every_row_and_the_same_layer() -> None:
    world = torch.cuda.device_count()
    layout = Layout.even(np.arange(9 * world) % (3 * world), [9] * world)
    steps = (layout, [[64] * world, [0] * (world - 1) + [200]], torch.bfloat16)
    with Workers(world, "nccl") as workers:
        expected = workers.run(jobs.layer_steps, Way("single"), *steps)
        for name in WAYS:
            way = _way(name, world)
            assert workers.run(jobs.rows_arrive, way, matrices(world)) == [[]] * world, name
            found = workers.run(jobs.layer_steps, way, *steps)
            assert all(map(torch.equal, _flat(found), _flat(expected))), name
        links = workers.run(measure_link)
    assert all(link == links[0] for link in links)


def test_a_plan_with_ports_that_are_no_workers_is_refused(workers4: Pool) -> None:
    for said in workers4.run(jobs.refusals, [Way("rounds", odd_plan(5))], range(4)):
        assert "below the number of workers, 4, got 4" in said[0]


def test_a_worker_outside_the_group_is_told_so(workers4: Pool) -> None:
    inside, *outside = workers4.run(jobs.refusals, [_way("odd", 2), _way("chosen", 2)], [0])
    assert all("below the number of workers, 1, got 1" in said for said in inside)
    for said in outside:
        assert len(said) == 2
        assert all("must contain this worker" in each for each in said)


def test_one_worker_needs_no_process_group() -> None:
    assert measure_link().single_s(matrices(1)[0]) == 0.0
    nothing = schedule(np.zeros((1, 1)), 1.0).plan
    for name in ("rounds", "spot", "chosen"):
        Way(name, nothing, SLOW).exchange()


def test_an_exchange_computed_on_the_spot_asks_for_the_matrix() -> None:
    with pytest.raises(InstanceError, match="gather them"):
        SpotExchange().route(Sizes([1], [1]), 4)
