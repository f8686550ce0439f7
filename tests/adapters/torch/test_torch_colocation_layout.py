"""Layouts of colocation plans, and tokens that are the problem's traffic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch_jobs_colocated as jobs

from moeopt.adapters.torch.colocation_layout import layouts_of_colocation, tokens_of_colocation
from moeopt.adapters.torch.layout import Layout
from moeopt.colocation.plan import ColocationPlan
from moeopt.colocation.problem import ColocationProblem, ModelLayer
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup

DEVICES = 4


def problem(*traffic: FloatArray) -> ColocationProblem:
    node = Node(device=Device(link_bandwidth_bytes_per_s=1), devices=DEVICES)
    return ColocationProblem(
        models=tuple(ModelLayer(traffic_tokens=tokens) for tokens in traffic),
        cluster=Cluster(nodes=(NodeGroup(node=node),)),
        experts_per_device=3,
    )


def drawn(seed: int, fraction: float = 0.0) -> tuple[ColocationProblem, ColocationPlan]:
    """Return three models, the last device without experts of the second, and a plan."""
    rng = np.random.default_rng(seed)
    tables = [rng.integers(9, size=(n, n)) + fraction * rng.random((n, n)) for n in (7, 4, 1)]
    device = np.full((3, 7), -1)
    device[0] = rng.permutation(np.repeat(np.arange(DEVICES), 3))[:7]
    device[1, :4] = rng.permutation(np.repeat(np.arange(DEVICES - 1), 2))[:4]
    device[2, 0] = rng.integers(DEVICES)
    return problem(*tables), ColocationPlan(device=device)


def between_ranks(stated: ColocationProblem, plan: ColocationPlan, world: int) -> list[FloatArray]:
    """Return the tokens from each rank to each, as a double loop has them."""
    found = []
    for model, device in zip(stated.models, plan.device, strict=True):
        tokens = np.zeros((world, world))
        for (a, b), count in np.ndenumerate(model.traffic_tokens):
            tokens[device[a] * world // DEVICES, device[b] * world // DEVICES] += count
        found.append(tokens)
    return found


def realised(layout: Layout, ids: list[IntArray]) -> FloatArray:
    rank_of = np.empty(layout.num_experts, dtype=np.int64)
    rank_of[layout.expert_of_slot] = layout.rank_of_slot
    counts = [np.bincount(rank_of[own[:, 0]], minlength=layout.num_ranks) for own in ids]
    return np.array(counts, dtype=np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_every_expert_has_a_slot_on_its_device(seed: int) -> None:
    stated, plan = drawn(seed)
    layouts = layouts_of_colocation(stated, plan)
    for model, device, layout in zip(stated.models, plan.device, layouts, strict=True):
        assert layout.num_ranks == DEVICES
        assert sorted(layout.expert_of_slot) == list(range(model.num_experts))
        for rank in range(DEVICES):
            assert list(layout.experts_on(rank)) == list(np.flatnonzero(device == rank))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("world", [1, 2, 4])
def test_tokens_are_the_problems_traffic(seed: int, world: int) -> None:
    stated, plan = drawn(seed)
    tokens = tokens_of_colocation(stated, plan, world, scale=3)
    wanted = between_ranks(stated, plan, world)
    layouts = layouts_of_colocation(stated, plan)
    for layout, ids, matrix in zip(layouts, tokens, wanted, strict=True):
        np.testing.assert_array_equal(realised(layout.folded(world), ids), 3 * matrix)


@pytest.mark.parametrize("scale", [0.1, 1.0, 2.5])
def test_parts_of_tokens_are_kept_in_sums(scale: float) -> None:
    stated, plan = drawn(1, fraction=1.0)
    for model, ids in zip(
        stated.models, tokens_of_colocation(stated, plan, scale=scale), strict=True
    ):
        total = sum(len(own) for own in ids)
        assert abs(total - scale * model.traffic_tokens.sum()) <= 0.5 + 1e-9


@pytest.mark.parametrize("seed", range(2))
def test_workers_send_the_problems_traffic(workers2: Any, seed: int) -> None:
    stated, plan = drawn(seed)
    layouts = [layout.folded(2) for layout in layouts_of_colocation(stated, plan)]
    tokens = tokens_of_colocation(stated, plan, 2)
    found = np.array(workers2.run(jobs.sent, layouts, tokens))
    np.testing.assert_array_equal(found.transpose(1, 0, 2), between_ranks(stated, plan, 2))
    assert all(workers2.run(jobs.gone_round, layouts, tokens))


def test_what_does_not_fit_is_refused() -> None:
    stated, plan = drawn(0)
    with pytest.raises(InstanceError, match="must divide the plan's 4 devices"):
        tokens_of_colocation(stated, plan, 3)
    lost = ColocationPlan(device=np.where(plan.device == 0, -1, plan.device))
    with pytest.raises(InstanceError, match="must be on a device"):
        layouts_of_colocation(stated, lost)
