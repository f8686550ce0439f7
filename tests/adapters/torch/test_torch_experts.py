"""The experts of a rank: grouped products against one slot after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from moeopt.adapters.torch.experts import (
    Activation,
    Experts,
    grouped_product,
    has_grouped_kernel,
    taken,
)
from moeopt.adapters.torch.reference import random_weights, reference
from moeopt.core.errors import InstanceError


def _ends(count: list[int]) -> torch.Tensor:
    return torch.tensor(count).cumsum(0).to(torch.int32)


def _slot_by_slot(rows: torch.Tensor, weights: torch.Tensor, count: list[int]) -> torch.Tensor:
    slot = torch.from_numpy(np.repeat(np.arange(len(count)), count))
    return torch.einsum("ri,roi->ro", rows.double(), weights.double()[slot])


@given(
    count=st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any),
    widths=st.sampled_from([(8, 4), (4, 16), (5, 3), (8, 3), (1, 1)]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
)
def test_products_are_those_of_each_slot(
    count: list[int], widths: tuple[int, int], dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(sum(count))
    rows = torch.randn(sum(count), widths[0], generator=generator).to(dtype)
    weights = torch.randn(len(count), *widths[::-1], generator=generator).to(dtype)
    found = grouped_product(rows, weights, _ends(count), count)
    assert found.dtype == dtype
    wanted = _slot_by_slot(rows, weights, count)
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-6
    assert float((found.double() - wanted).abs().max()) <= tolerance * float(wanted.abs().max())


@given(
    count=st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any),
    widths=st.sampled_from([(8, 4), (5, 3)]),
)
def test_gradients_of_products_are_those_of_each_slot(
    count: list[int], widths: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(sum(count))
    found = [
        torch.randn(sum(count), widths[0], generator=generator),
        torch.randn(len(count), *widths[::-1], generator=generator),
    ]
    wanted = [tensor.double().requires_grad_() for tensor in found]
    found = [tensor.requires_grad_() for tensor in found]
    grouped_product(*found, _ends(count), count).square().sum().backward()
    _slot_by_slot(*wanted, count).square().sum().backward()
    for ours, truth in zip(found, wanted, strict=True):
        assert ours.grad is not None
        assert truth.grad is not None
        scale = max(1.0, float(truth.grad.abs().max()))
        assert float((ours.grad - truth.grad).abs().max()) <= 1e-6 * scale


def test_kernels_want_rows_at_multiples_of_sixteen_bytes() -> None:
    def fits(rows: int, out: int, dtype: torch.dtype) -> bool:
        return has_grouped_kernel(torch.empty(2, rows).to(dtype), torch.empty(1, out, rows))

    assert hasattr(functional, "grouped_mm") == fits(4, 8, torch.float32)
    assert hasattr(functional, "grouped_mm") == fits(8, 16, torch.bfloat16)
    assert not fits(4, 6, torch.float32)
    assert not fits(6, 4, torch.float32)
    assert not fits(4, 8, torch.bfloat16)
    assert not fits(4, 8, torch.float64)


@pytest.mark.parametrize("activation", ["silu", "relu"])
@pytest.mark.parametrize("inner", [12, 7])
def test_rows_go_through_the_expert_of_their_slot(activation: Activation, inner: int) -> None:
    up, down = random_weights(3, 8, inner, seed=5, activation=activation)
    expert = np.array([2, -1, 0, 2])
    count = [3, 0, 2, 1]
    experts = Experts.of_slots(up, down, expert, activation)
    rows = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    found = experts(rows, _ends(count), count)
    ids = torch.from_numpy(np.repeat(expert, count))[:, None]
    wanted = reference(rows, ids, torch.ones(6, 1), up, down, activation)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("slots", [0, 2])
def test_no_rows_are_no_work_but_keep_the_graph(slots: int) -> None:
    up, down = random_weights(2, 8, 12, seed=0)
    experts = Experts.of_slots(up, down, np.arange(slots))
    rows = torch.empty(0, 8, requires_grad=True)
    found = experts(rows, torch.zeros(slots, dtype=torch.int32), [0] * slots)
    assert found.shape == (0, 8)
    assert found.requires_grad


def test_slots_hold_copies_of_the_weights() -> None:
    up, down = random_weights(3, 4, 4, seed=2)
    experts = Experts.of_slots(up, down, np.array([1, -1, 1]))
    assert experts.num_slots == 3
    assert torch.equal(experts.up[0], up[1])
    assert torch.equal(experts.down[2], down[1])
    assert not experts.up[1].any()
    with torch.no_grad():
        experts.up[0].zero_()
    assert up[1].any()
    assert experts.up[2].any()
    assert taken(up, np.array([], dtype=np.int64)).shape == (0, 8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda up, down: (up[0], down, "silu"), r"up: must have shape \(slots, 2 inner, hidden\)"),
        (lambda up, down: (up[:, :7], down, "silu"), r"up: must have shape \(slots, 2 inner"),
        (lambda up, down: (up, down[:1], "silu"), r"down: must have shape \(3, 8, 4\)"),
        (lambda up, down: (up, down, "relu"), r"down: must have shape \(3, 8, 8\)"),
        (lambda up, down: (up, down.double(), "silu"), "down: must be torch.float32 on cpu, as up"),
        (lambda up, down: (up, down, "gelu"), "activation: must be one of silu, relu, got 'gelu'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Any, message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        Experts(*change(*random_weights(3, 8, 4, seed=0)))


def test_slots_of_experts_without_weights_are_refused() -> None:
    with pytest.raises(InstanceError, match="expert: must be one of the 3 experts"):
        Experts.of_slots(*random_weights(3, 8, 4, seed=0), np.array([0, 3]))


@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_answers_of_random_weights_are_about_as_large_as_tokens(activation: Activation) -> None:
    up, down = random_weights(2, 64, 128, seed=3, activation=activation)
    tokens = torch.randn(100, 64, generator=torch.Generator().manual_seed(0))
    out = reference(tokens, torch.zeros(100, 1).long(), torch.ones(100, 1), up, down, activation)
    assert 0.2 < float(out.std()) < 2.0
