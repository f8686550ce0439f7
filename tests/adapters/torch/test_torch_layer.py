"""The expert-parallel layer against its definition, on one, two and four processes."""

from __future__ import annotations

import pytest
import torch
import torch_jobs_layer as jobs
from conftest import Pool
from hypothesis import given
from torch_cases import cases
from torch_jobs_layer import Case

from moeopt.adapters.torch.clock import PHASES, PhaseClock
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.core.errors import AdapterError, InstanceError

#: Copies on one rank and on both, an empty slot, ranks of unequal size.
LAYOUT = Layout.even([0, 1, 2, -1, 4, 5, 3, 3], [2, 6])
CASE = Case(LAYOUT, (9, 5))


@given(case=cases(1))
def test_one_process_computes_what_the_definition_says(case: Case) -> None:
    assert jobs.forward_error(case) <= 1e-6
    assert max(jobs.gradient_errors(case).values()) <= 1e-6


@given(case=cases(2))
def test_two_processes_compute_what_the_definition_says(workers2: Pool, case: Case) -> None:
    assert max(workers2.run(jobs.forward_error, case)) <= 1e-6


@given(case=cases(2))
def test_two_processes_give_the_gradients(workers2: Pool, case: Case) -> None:
    for errors in workers2.run(jobs.gradient_errors, case):
        assert max(errors.values()) <= 1e-6, errors


@given(case=cases(4))
def test_four_processes_give_outputs_and_gradients(workers4: Pool, case: Case) -> None:
    assert max(workers4.run(jobs.forward_error, case)) <= 1e-6
    for errors in workers4.run(jobs.gradient_errors, case):
        assert max(errors.values()) <= 1e-6, errors


@pytest.mark.parametrize("tokens", [(0, 0), (0, 7), (30, 0)])
@pytest.mark.parametrize("routing", ["any", "one"])
def test_ranks_without_tokens_or_without_work(
    workers2: Pool, tokens: tuple[int, int], routing: str
) -> None:
    case = Case(Layout.even([2, 0, 1, 0], [0, 4]), tokens, routing=routing)
    assert max(workers2.run(jobs.forward_error, case)) <= 1e-6
    for errors in workers2.run(jobs.gradient_errors, case):
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
    with pytest.raises(InstanceError, match="group: must contain this worker"):
        workers2.run(jobs.of_others, Case(Layout.even([0], [1]), (1,)))


def test_a_second_derivative_is_refused(workers2: Pool) -> None:
    with pytest.raises(AdapterError, match="differentiate twice"):
        workers2.run(jobs.second_derivative, CASE)


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


def test_a_layout_of_other_workers_is_refused() -> None:
    experts = Case(LAYOUT, (1,)).layer
    with pytest.raises(InstanceError, match="layout: must have as many ranks as there are workers"):
        experts()
    few = Layout.even([0, 1], [2])
    weights = Case(few, (1,)).weights()
    with pytest.raises(InstanceError, match="experts: must fill the 2 slots of rank 0, got 1"):
        ExpertParallel(few, Experts(weights[0][:1], weights[1][:1]))
