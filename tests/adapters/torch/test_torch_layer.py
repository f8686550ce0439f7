"""The expert-parallel layer against its definition, on one, two and four processes."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch_jobs_layer as jobs
from hypothesis import given, settings
from torch_cases import cases
from torch_jobs_layer import Case
from torch_pools import Pool

from moeopt.adapters.torch.clock import PHASES, PhaseClock
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.core.errors import InstanceError

#: Copies on one rank and on both, an empty slot, ranks of unequal size.
LAYOUT = Layout.even([0, 1, 2, -1, 4, 5, 3, 3], [2, 6])
CASE = Case(LAYOUT, (9, 5))


@given(case=cases(1))
def test_one_process_computes_what_the_definition_says(case: Case) -> None:
    assert max(jobs.errors(case).values()) <= 1e-6


@given(case=cases(2))
def test_two_processes_give_outputs_and_gradients(workers2: Pool, case: Case) -> None:
    for errors in workers2.run(jobs.errors, case):
        assert max(errors.values()) <= 1e-6, errors


@settings(max_examples=settings().max_examples // 2)  # four processes take their time
@given(case=cases(4))
def test_four_processes_give_outputs_and_gradients(workers4: Pool, case: Case) -> None:
    for errors in workers4.run(jobs.errors, case):
        assert max(errors.values()) <= 1e-6, errors


@pytest.mark.parametrize("tokens", [(0, 0), (0, 7), (30, 0)])
@pytest.mark.parametrize("routing", ["any", "one"])
def test_ranks_without_tokens_or_without_work(
    workers2: Pool, tokens: tuple[int, int], routing: str
) -> None:
    case = Case(Layout.even([2, 0, 1, 0], [0, 4]), tokens, routing=routing)
    for errors in workers2.run(jobs.errors, case):
        assert max(errors.values()) <= 1e-6, errors


@pytest.mark.parametrize(
    "wanted",
    [
        (("hidden",), ("hidden",)),
        (("gate",), ("gate",)),
        (("experts",), ("experts",)),
        ((), ("hidden", "gate", "experts")),
        (("gate",), ("hidden",)),
    ],
)
def test_only_some_inputs_want_gradients(
    workers2: Pool, wanted: tuple[tuple[str, ...], ...]
) -> None:
    # The others wait for the backward exchange of a rank that itself wants none.
    for errors in workers2.run(jobs.some_gradients, CASE, wanted):
        assert max(errors.values()) <= 1e-6, errors


def test_two_passes_of_a_layer_are_under_way_at_once(workers2: Pool) -> None:
    for errors in workers2.run(jobs.two_turns, CASE):
        assert max(errors) <= 1e-6


def test_grad_modes_follow_each_other_and_outputs_stay(workers2: Pool) -> None:
    assert max(jobs.modes_in_turn(Case(Layout.even([1, 0, 1], [3]), (6,)))) <= 1e-6
    for errors in workers2.run(jobs.modes_in_turn, CASE):
        assert max(errors) <= 1e-6


def test_the_same_tokens_give_the_same_bits(workers2: Pool) -> None:
    assert workers2.run(jobs.twice_the_same, CASE) == [True, True]


def test_layers_of_two_groups_run_at_once(workers4: Pool) -> None:
    assert max(workers4.run(jobs.in_pairs, CASE)) <= 1e-6


def test_a_worker_outside_of_the_group_is_told(workers2: Pool) -> None:
    inside, outside = workers2.run(jobs.of_others, Case(Layout.even([0], [1]), (1,)))
    assert not inside
    assert outside.startswith("group: must contain this worker")


def test_a_second_derivative_is_refused(workers2: Pool) -> None:
    for said in workers2.run(jobs.second_derivative, CASE):
        assert "differentiate twice" in said


def test_without_an_exchange_there_is_a_second_derivative() -> None:
    case = Case(Layout.even([1, 0, 1], [3]), (3,), hidden=3, inner=2)
    layer = case.layer().double()
    hidden, ids, gate = case.inputs(0, 3)
    given = (hidden.double().requires_grad_(), gate.double().requires_grad_())
    assert torch.autograd.gradgradcheck(lambda rows, gate: layer(rows, ids, gate), given)


def test_phases_are_timed_step_by_step() -> None:
    case = Case(Layout.even([0, 1], [2]), (4,))
    layer = case.layer()
    layer.clock = PhaseClock(torch.device("cpu"))
    for _ in range(3):
        layer(*case.inputs(0, 4))
    seconds = layer.clock.seconds()
    assert tuple(seconds) == PHASES
    assert all(len(steps) == 3 and min(steps) >= 0 for steps in seconds.values())
    assert not any(layer.clock.seconds().values())


def test_a_layer_goes_over_to_another_layout() -> None:
    case = Case(Layout.even([0, 1, 2], [3]), (8,))
    other = Layout.even([2, -1, 1, 0, 2], [5])
    layer, inputs = case.layer(), case.inputs(0, 8)
    before = layer(*inputs)
    layer.adopt(other, Experts.of_slots(*case.weights(), other.experts_on(0)))
    assert jobs.error(layer(*inputs), before) <= 1e-6


def test_a_pass_under_way_ends_with_the_experts_it_began_with() -> None:
    case = Case(Layout.even([0, 1, 2, 0], [4]), (8,))
    layer, inputs = case.layer(), case.inputs(0, 8)
    with torch.no_grad():
        turn = layer.gate(*inputs)
        layer.dispatch(turn)
        other = Layout.even([2, -1, 1, 0, 2], [5])
        layer.adopt(other, Experts.of_slots(*case.weights(), other.experts_on(0)))
        for phase in (layer.arrive, layer.compute, layer.combine, layer.arrive):
            phase(turn)
        for found in (layer.aggregate(turn), layer(*inputs)):
            assert jobs.error(found, jobs.definition(case, inputs)) <= 1e-6


def test_layers_and_their_copies_share_memory() -> None:
    case = Case(Layout.even([0, 1], [2]), (6,), hidden=20)
    layer, inputs = case.layer(), case.inputs(0, 6)
    with torch.no_grad():
        first = layer(*inputs)
        others = [case.layer(), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
        held = _memory(layer)
        assert all(torch.equal(other(*inputs), first) for other in others)
    assert _memory(layer) == held != []
    assert [_memory(other) for other in others] == [held] * 3


def _memory(layer: ExpertParallel) -> list[int]:
    """Return where the rows stand that the layer may use."""
    idle = [buffers for each in layer._idle._idle.values() for buffers in each]
    return [rows.data_ptr() for buffers in idle for rows in buffers._held.values()]


def test_weights_of_other_slots_are_not_loaded() -> None:
    weights = Case(Layout.even([0, 1, 2], [3]), (1,)).weights()
    old, new = (Layout.even(table, [3]) for table in ([0, 1, 2], [2, 1, 0]))
    layers = [
        ExpertParallel(each, Experts.of_slots(*weights, each.experts_on(0))) for each in (old, new)
    ]
    state = layers[0].state_dict()
    layers[0].load_state_dict(state)
    kept = layers[1].experts.up.clone()
    with pytest.raises(
        InstanceError, match="state_dict: must be of the experts in this rank's slots"
    ):
        layers[1].load_state_dict(state)
    assert torch.equal(layers[1].experts.up, kept)


def test_training_goes_on_without_tokens() -> None:
    case = Case(Layout.even([0, 1], [2]), (0,))
    layer = case.layer()
    layer(*case.inputs(0, 0)).sum().backward()
    assert layer.experts.up.grad is not None
    assert not layer.experts.up.grad.any()


def test_a_layout_of_other_workers_is_refused() -> None:
    experts = Case(LAYOUT, (1,)).layer
    with pytest.raises(InstanceError, match="layout: must have as many ranks as there are workers"):
        experts()
    few = Layout.even([0, 1], [2])
    weights = Case(few, (1,)).weights()
    with pytest.raises(InstanceError, match="experts: must fill the 2 slots of rank 0, got 1"):
        ExpertParallel(few, Experts(weights[0][:1], weights[1][:1]))
