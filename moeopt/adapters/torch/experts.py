"""The experts that a rank holds, and their computation on rows sorted by slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from moeopt.adapters.torch.checks import require_weights
from moeopt.adapters.torch.kernels import gpu_kernels
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError

#: ``"silu"``: gated, three matrices (DeepSeek, Qwen, Mixtral). ``"relu"``: two (the LM and the MT
#: model of arXiv 2303.06182).
Activation = Literal["silu", "relu"]

#: Kernels of grouped products want rows that start at multiples of this.
_ALIGNED_BYTES = 16


class Experts(nn.Module):
    """Feed-forward experts of one layer on one rank, one to each slot.

    Parameters
    ----------
    up
        Into the experts, ``(slots, inner, hidden)``; ``(slots, 2 inner, hidden)`` for ``"silu"``,
        the gate's rows first (`gate_up_proj` of transformers).
    down
        Out of them, ``(slots, hidden, inner)``.
    activation
        What stands between.

    Raises
    ------
    InstanceError
        If the weights do not fit each other.
    """

    def __init__(
        self, up: torch.Tensor, down: torch.Tensor, activation: Activation = "silu"
    ) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            rule = f"must be one of {', '.join(get_args(Activation))}"
            raise InstanceError("activation", activation, rule, "see Experts")
        require_weights(up, down, gated=activation == "silu")
        self.up = nn.Parameter(up)
        self.down = nn.Parameter(down)
        self.activation = activation

    @classmethod
    def of_slots(
        cls, up: torch.Tensor, down: torch.Tensor, expert: IntArray, activation: Activation = "silu"
    ) -> Experts:
        """Return copies of the experts in some slots, from the weights of all logical experts.

        Parameters
        ----------
        up, down
            As above, with ``experts`` in place of ``slots``.
        expert
            Expert in each slot, -1 for an empty one, whose weights are 0.
        activation
            As above.
        """
        if len(expert) and expert.max() >= len(up):
            rule = f"must be one of the {len(up)} experts whose weights these are, or -1"
            raise InstanceError("expert", int(expert.max()), rule, "see Layout.experts_on")
        return cls(taken(up.detach(), expert), taken(down.detach(), expert), activation)

    @property
    def num_slots(self) -> int:
        """Number of slots."""
        return len(self.up)

    def forward(self, rows: torch.Tensor, ends: torch.Tensor, count: list[int]) -> torch.Tensor:
        """Return what the experts make of rows that are sorted by slot, shape and type as `rows`.

        The type is that of `rows` under autocast too: the answers for ranks that send nothing are
        of the type that all send.

        Parameters
        ----------
        rows
            Shape ``(rows, hidden)``.
        ends
            Where each slot's rows end, int32, on the device, ``(slots,)``.
        count
            Rows of each slot, on the host.
        """
        if len(rows) == 0:
            # Nothing to do, but the graph must go on: others wait for our backward exchange, and
            # experts without rows have a gradient of 0, here as elsewhere.
            return rows * 1.0 + self.up[:0].sum()
        given, up, down = _by_autocast(rows, self.up, self.down)
        inner = activated(grouped_product(given, up, ends, count), self.activation)
        return grouped_product(inner, down, ends, count).to(rows.dtype)


def _by_autocast(*tensors: torch.Tensor) -> Sequence[torch.Tensor]:
    """Return tensors in the type that autocast asks for: it does not know grouped products."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    return [tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors]


def activated(inner: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Return what stands between the two products, ``(..., inner)``."""
    if activation == "relu":
        return functional.relu(inner)
    kernels = None if torch.is_grad_enabled() else gpu_kernels(inner)
    if kernels is not None:
        product: torch.Tensor = kernels.gated(inner)
        return product
    gate, up = inner.chunk(2, dim=-1)
    return functional.silu(gate) * up


def taken(weights: torch.Tensor, expert: IntArray) -> torch.Tensor:
    """Return a copy of the weights of some experts, 0 for -1."""
    index = torch.from_numpy(np.maximum(expert, 0)).to(weights.device)
    found = weights.index_select(0, index)
    found[torch.from_numpy(expert < 0).to(weights.device)] = 0
    return found


def grouped_product(
    rows: torch.Tensor, weights: torch.Tensor, ends: torch.Tensor, count: list[int]
) -> torch.Tensor:
    """Return each row times the matrix of its slot, ``(rows, out)``.

    Parameters
    ----------
    rows
        Sorted by slot, ``(rows, in)``.
    weights
        Shape ``(slots, out, in)``.
    ends
        Where each slot's rows end, int32, on the device.
    count
        Rows of each slot, on the host.
    """
    if has_grouped_kernel(rows, weights):
        product: torch.Tensor = functional.grouped_mm(rows, weights.transpose(-2, -1), offs=ends)
        return product
    parts = rows.split(count)
    return torch.cat(
        [part @ weight.T for part, weight in zip(parts, weights, strict=True) if len(part)]
    )


def has_grouped_kernel(rows: torch.Tensor, weights: torch.Tensor) -> bool:
    """Tell whether PyTorch's grouped product takes these: types and strides."""
    if not hasattr(functional, "grouped_mm"):
        return False
    widths = (weights.shape[-1], weights.shape[-2])
    if any(width * rows.element_size() % _ALIGNED_BYTES for width in widths):
        return False
    if rows.is_cuda:
        capable = torch.cuda.get_device_capability(rows.device) >= (8, 0)
        return rows.dtype == torch.bfloat16 and capable
    return rows.dtype in (torch.float32, torch.bfloat16)
