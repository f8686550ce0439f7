"""Static gating in one process: who has a place, what it costs, and what is computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from torch_jobs_static import (
    Case,
    Tokens,
    Weights,
    by_the_definition,
    largest_difference,
    tokens_of,
    weights_of,
)

from moeopt.adapters.torch.clock import PHASES, PhaseClock
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.reference import reference
from moeopt.adapters.torch.static import (
    StaticGating,
    capacity_of,
    combine_weights,
    places,
    waste_factor,
)
from moeopt.core.errors import InstanceError


@st.composite
def cases(draw: st.DrawFn) -> Case:
    experts = draw(st.integers(1, 6))
    return Case(
        tokens=(draw(st.integers(0, 12)),),
        experts=experts,
        top_k=draw(st.integers(1, min(3, experts))),
        capacity_factor=draw(st.sampled_from([0.05, 0.2, 0.5, 1.0, 1.5])),
        activation=draw(st.sampled_from(["silu", "relu"])),
        hidden=draw(st.sampled_from([1, 4, 7])),
        inner=draw(st.sampled_from([1, 6])),
        seed=draw(st.integers(0, 99)),
    )


def _layer(case: Case) -> StaticGating:
    return StaticGating(Experts(*weights_of(case), case.activation), case.capacity_factor)


def _capacity(case: Case) -> int:
    return capacity_of(case.tokens[0], case.capacity_factor)


@settings(deadline=None)
@given(case=cases())
def test_outputs_and_drops_are_those_of_the_definition(case: Case) -> None:
    tokens, layer = tokens_of(case, 0), _layer(case)
    with torch.no_grad():
        out = layer(*tokens)
        expected, dropped = by_the_definition(
            tokens, weights_of(case), _capacity(case), case.activation
        )
    assert out.shape == tokens.hidden.shape
    assert largest_difference(out, expected) < 1e-6
    assert layer.dropped == dropped


@settings(deadline=None, max_examples=25)
@given(case=cases())
def test_gradients_are_those_of_the_definition(case: Case) -> None:
    ours, theirs = tokens_of(case, 0).with_grad(), tokens_of(case, 0).with_grad()
    layer, weights = _layer(case), weights_of(case).with_grad()
    layer(*ours).square().sum().backward()
    expected, dropped = by_the_definition(theirs, weights, _capacity(case), case.activation)
    expected.square().sum().backward()
    assert layer.dropped == dropped
    for found, wanted in (
        (ours.hidden, theirs.hidden),
        (ours.gate_weights, theirs.gate_weights),
        (layer.experts.up, weights.up),
        (layer.experts.down, weights.down),
    ):
        assert largest_difference(found.grad, wanted.grad) < 2e-6


@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_with_places_for_all_it_is_the_layer(activation: Any) -> None:
    case = Case((33,), 5, 2, 1.0, activation)
    ours, theirs = tokens_of(case, 0).with_grad(), tokens_of(case, 0).with_grad()
    layer, weights = _layer(case), weights_of(case).with_grad()
    out = layer(*ours)
    expected = reference(*theirs, *weights, activation)
    assert layer.dropped == 0
    assert largest_difference(out.detach(), expected.detach()) < 1e-6
    out.sum().backward()
    expected.sum().backward()
    for found, wanted in zip(
        (*ours, *layer.experts.parameters()), (*theirs, *weights), strict=True
    ):
        assert largest_difference(found.grad, wanted.grad) < 2e-6


def test_all_tokens_to_one_expert() -> None:
    case = Case((20,), 4, 1, 0.25)
    tokens = tokens_of(case, 0)._replace(expert_ids=torch.full((20, 1), 2))
    layer = _layer(case)
    with torch.no_grad():
        out = layer(*tokens)
        whole = reference(*tokens, *weights_of(case))
    assert layer.dropped == 15
    assert largest_difference(out[:5], whole[:5]) < 1e-6
    assert not out[5:].any()


def test_first_choices_have_their_places_before_second_ones() -> None:
    ids = torch.tensor([[1, 0], [0, 1], [0, 1], [1, 2]])
    assert places(ids, 3).tolist() == [[0, 0, 1, 1], [2, 2, 3, 0]]
    weights = torch.arange(1.0, 9.0).view(4, 2)
    combine = combine_weights(ids, weights, places(ids, 3), 3, 2)
    assert combine.shape == (4, 3, 2)
    assert combine[0].tolist() == [[0, 0], [1, 0], [0, 0]]
    assert combine[1].tolist() == [[3, 0], [0, 0], [0, 0]]
    assert combine[2].tolist() == [[0, 5], [0, 0], [0, 0]]
    assert combine[3].tolist() == [[0, 0], [0, 7], [8, 0]]


def test_capacity_and_waste_of_the_papers_models() -> None:
    assert waste_factor(512, 0.05, 2) == pytest.approx(12.8)
    assert waste_factor(128, 1.0, 2) == 64
    for experts, factor in ((512, 0.05), (128, 1.0)):
        tokens = 2000
        rows = experts * capacity_of(tokens, factor)
        assert rows / (2 * tokens) == pytest.approx(waste_factor(experts, factor, 2))
    assert capacity_of(100, 0.07) == 7  # 0.07 * 100 is a little more than 7
    assert capacity_of(101, 0.07) == 8
    assert capacity_of(1, 0.05) == 1
    assert capacity_of(0, 0.05) == 0


def test_what_is_computed_is_as_much_as_the_paper_says() -> None:
    case = Case((40,), 8, 2, 0.25, "relu", hidden=16, inner=32)
    count, capacity = 40, _capacity(case)
    row = 2 * 2 * 16 * 32
    # There and back again; and the mask that says so.
    moved = 2 * (2 * count * case.experts * capacity * 16)
    mask = 2 * count * case.top_k * case.experts * capacity
    rows = case.experts * capacity
    assert rows == waste_factor(8, 0.25, 2) * case.top_k * count
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _layer(case)(*tokens_of(case, 0))
    assert counter.get_total_flops() == rows * row + moved + mask


def test_bf16() -> None:
    case = Case((48,), 8, 2, 0.2, "relu", hidden=32, inner=64)
    tokens = tokens_of(case, 0)
    half = Tokens(tokens.hidden.bfloat16(), tokens.expert_ids, tokens.gate_weights)
    weights = Weights(*(part.bfloat16() for part in weights_of(case)))
    layer = StaticGating(Experts(*weights, "relu"), case.capacity_factor)
    out = layer(*half)
    assert out.dtype == torch.bfloat16
    expected, dropped = by_the_definition(tokens, weights_of(case), _capacity(case), "relu")
    assert layer.dropped == dropped > 0
    assert largest_difference(out.detach().float(), expected) < 2e-2
    out.sum().backward()
    assert layer.experts.up.grad is not None
    assert layer.experts.up.grad.dtype == torch.bfloat16


class _NothingToTheHost(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_a_step_does_not_wait_to_count_what_it_dropped() -> None:
    case = Case((30,), 4, 2, 0.1)
    layer, tokens = _layer(case), tokens_of(case, 0)
    assert layer.dropped == 0
    with torch.no_grad(), _NothingToTheHost():
        layer(*tokens)
    first = layer.dropped
    assert first > 0
    layer(*(part[:1] for part in tokens))
    assert layer.dropped == 0


def test_its_phases_are_timed() -> None:
    case = Case((30,), 4, 2, 0.1)
    layer = _layer(case)
    layer.clock = PhaseClock(torch.device("cpu"))
    for _ in range(2):
        layer(*tokens_of(case, 0))
    seconds = layer.clock.seconds()
    assert all(len(seconds[phase]) == 2 for phase in PHASES)
    assert all(value >= 0 for phase in PHASES for value in seconds[phase])


def test_inputs_that_do_not_fit_are_refused() -> None:
    case = Case((4,), 3, 2, 1.0)
    hidden, ids, gate = tokens_of(case, 0)
    layer = _layer(case)
    assert torch.equal(layer(hidden, ids.to(torch.uint8), gate), layer(hidden, ids, gate))
    for wrong, name in (
        ((hidden, ids[:3], gate[:3]), "expert_ids"),
        ((hidden, ids, gate[:, :1]), "gate_weights"),
        ((hidden.double(), ids, gate), "hidden"),
    ):
        with pytest.raises(InstanceError, match=name):
            layer(*wrong)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_capacity_factors_that_are_none(factor: float) -> None:
    with pytest.raises(InstanceError, match="capacity_factor"):
        _layer(Case((4,), 2, 1, factor))


@pytest.mark.parametrize(("experts", "capacity"), [(2**15, 2**16), (4, 2**30)])
def test_a_mask_beyond_all_memory_is_refused(experts: int, capacity: int) -> None:
    ids = torch.zeros(3, 2, dtype=torch.int64)
    with pytest.raises(torch.OutOfMemoryError, match=f"a mask of 3 tokens x {experts} experts"):
        combine_weights(ids, torch.ones(3, 2), torch.zeros(2, 3), experts, capacity)
