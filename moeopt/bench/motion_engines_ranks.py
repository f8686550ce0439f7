"""The ranks, the model and the weights that vLLM's EPLB is given in the bench."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.generate import Layout

#: Steps after which a rebalance in the background must have ended.
MOST_STEPS = 10_000


@contextmanager
def many_ranks(layout: Layout) -> Iterator[None]:
    """Let this process be rank 0 of as many as the layout has, in PyTorch's fake process group."""
    dist = importlib.import_module("torch.distributed")
    fake = importlib.import_module("torch.testing._internal.distributed.fake_pg")
    if dist.is_initialized():
        dist.destroy_process_group()
    dist.init_process_group("fake", rank=0, world_size=layout.devices, store=fake.FakeStore())
    every = dist.group.WORLD
    group = SimpleNamespace(device_group=every, cpu_group=every, device_communicator=None)
    _groups(SimpleNamespace(local_rank=0), group, layout.nodes)
    try:
        yield
    finally:
        dist.destroy_process_group()


def real_ranks() -> None:
    """Make vLLM's groups of the processes that there are."""
    ps = importlib.import_module("vllm.distributed.parallel_state")
    dist = importlib.import_module("torch.distributed")
    ranks, rank = list(range(dist.get_world_size())), dist.get_rank()
    made = [
        ps.init_model_parallel_group(
            [ranks], rank, "gloo", use_device_communicator=False, group_name=name
        )
        for name in ("world", "ep", "eplb")
    ]
    _groups(made[0], made[1], 1, eplb=made[2])


def _groups(world: Any, ep: Any, nodes: int, eplb: Any = None) -> None:
    ps = importlib.import_module("vllm.distributed.parallel_state")
    ps._replace_active_groups(world=world, dp=None, ep=ep, eplb=eplb or ep, node_count=nodes)


def config_of_ranks(*, in_background: bool = False) -> SimpleNamespace:
    """Return what EPLB reads of the ranks' configuration."""
    eplb = SimpleNamespace(
        use_async=in_background,
        window_size=1,
        step_interval=MOST_STEPS,
        policy="default",
        communicator="torch_gloo",
        log_balancedness_interval=1,
        migration_batching_enabled=in_background,
    )
    return SimpleNamespace(eplb_config=eplb, enable_elastic_ep=False, num_ubatches=0)


def config_of_model() -> SimpleNamespace:
    """Return what EPLB reads of the model's configuration."""
    return SimpleNamespace(model="bench", compute_hash=lambda: "bench")


def model_of(shape: tuple[int, ...], layout: Layout) -> SimpleNamespace:
    """Return what EPLB reads of a model; two weights of each expert, of one number each."""
    layers, experts = shape
    zeros = partial(importlib.import_module("torch").zeros, layout.slots_per_device, 1)
    return SimpleNamespace(
        num_moe_layers=layers,
        num_routed_experts=experts,
        num_logical_experts=experts,
        num_redundant_experts=layout.slots - experts,
        num_physical_experts=layout.slots,
        num_local_physical_experts=layout.slots_per_device,
        num_expert_groups=layout.groups,
        moe_layers=[],
        set_eplb_state=lambda *arguments: None,
        expert_weights=[[zeros(), zeros()] for _ in range(layers)],
    )


def slot_tokens(loads: FloatArray, table: IntArray) -> npt.NDArray[np.int32]:
    """Return whole tokens of each slot, ``(layers, slots)``: an expert's, split over its copies."""
    tokens = np.zeros(table.shape, dtype=np.int32)
    for layer, row in enumerate(table):
        for expert, whole in enumerate(np.rint(loads[layer]).astype(np.int64)):
            slots = np.flatnonzero(row == expert)
            share, rest = divmod(int(whole), len(slots))
            tokens[layer, slots] = share + (np.arange(len(slots)) < rest)
    return tokens


def fill(model: Any, table: IntArray, rank: int) -> None:
    """Give a rank the weights of its experts in `table`, ``(layers, slots)``."""
    for weights, values in zip(model.expert_weights, _values(table, rank, model), strict=True):
        for weight, value in zip(weights, values, strict=True):
            weight.copy_(value)


def is_filled(model: Any, table: IntArray, rank: int) -> bool:
    """Tell whether a rank's weights are those of its experts in `table`, ``(layers, slots)``."""
    torch = importlib.import_module("torch")
    pairs = zip(model.expert_weights, _values(table, rank, model), strict=True)
    return all(
        torch.equal(weight, value)
        for weights, values in pairs
        for weight, value in zip(weights, values, strict=True)
    )


def _values(table: IntArray, rank: int, model: Any) -> list[list[Any]]:
    """Return the weights of the experts on a rank: numbers that no two experts share."""
    torch = importlib.import_module("torch")
    own = table.reshape(len(table), -1, model.num_local_physical_experts)[:, rank]
    first = own + model.num_logical_experts * np.arange(len(own))[:, None]
    return [[torch.from_numpy(row[:, None]).float() for row in (one, -one)] for one in first]
