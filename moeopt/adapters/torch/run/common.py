"""What workers do in every run: make layers and tokens, know the truth, time work together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from moeopt.adapters.torch.colocated import Tokens
from moeopt.adapters.torch.exchange import Exchange
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link, measure_link
from moeopt.adapters.torch.reference import random_weights, reference
from moeopt.adapters.torch.run.options import Dtype
from moeopt.core.arrays import IntArray

_T = TypeVar("_T")

_DTYPES: dict[Dtype, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The layer that all workers build: its weights are random.

    Attributes
    ----------
    experts, hidden, inner
        How many experts, and the widths.
    dtype
        Of tokens and weights.
    seed
        Of both.
    """

    experts: int
    hidden: int
    inner: int
    dtype: Dtype
    seed: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a token."""
        return self.hidden * _DTYPES[self.dtype].itemsize


def measured_link() -> Link:
    """Return what exchanges cost, the same on every worker."""
    return measure_link()


def device_here() -> torch.device:
    """Return where this worker computes."""
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def built(
    layout: Layout,
    shape: Shape,
    layer: int,
    exchange: Exchange,
    group: Any = None,
) -> tuple[ExpertParallel, tuple[torch.Tensor, torch.Tensor]]:
    """Return the layer of some number, and the weights of all its experts."""
    dtype = _DTYPES[shape.dtype]
    up, down = (
        weights.to(device_here(), dtype)
        for weights in random_weights(
            shape.experts, shape.hidden, shape.inner, seed=mixed(shape.seed, layer)
        )
    )
    experts = Experts.of_slots(up, down, layout.experts_on(dist.get_rank()))
    return ExpertParallel(layout, experts, exchange, group), (up, down)


def tokens_here(
    shape: Shape, expert_ids: IntArray, gate_weights: npt.NDArray[np.float32], seed: int
) -> Tokens:
    """Return random tokens, their experts and their gate weights, where this worker computes."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(len(expert_ids), shape.hidden, generator=generator)
    device = device_here()
    ids, weights = torch.from_numpy(expert_ids), torch.from_numpy(gate_weights)
    return Tokens(hidden.to(device, _DTYPES[shape.dtype]), ids.to(device), weights.to(device))


def truth(tokens: Tokens, weights: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return what one process makes of the tokens, in fp32."""
    hidden, expert_ids, gate_weights = tokens
    up, down = weights
    return reference(hidden.float(), expert_ids, gate_weights, up.float(), down.float())


def timed(work: Callable[[], _T]) -> tuple[_T, float]:
    """Return what some work gives and its seconds, begun by all ranks together."""
    settle()
    dist.barrier()
    settle()
    begun = time.perf_counter()
    made = work()
    settle()
    return made, time.perf_counter() - begun


def settle() -> None:
    """Wait for the GPU, if there is one."""
    if device_here().type == "cuda":
        torch.cuda.synchronize()


def largest(values: torch.Tensor) -> float:
    """Return the largest absolute value, infinite if one is no number."""
    if values.numel() == 0:
        return 0.0
    return float(values.abs().nan_to_num(nan=torch.inf, posinf=torch.inf).max())


def mixed(*parts: int) -> int:
    """Return one seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
