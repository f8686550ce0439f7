"""Models that take turns give what each gives alone, in the timeline's order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch_jobs_colocated as jobs
from torch_jobs_colocated import Case, random_layout

from moeopt.adapters.torch.colocated import Colocated
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.turn_clock import MeasuredRound, TurnClock
from moeopt.adapters.torch.workers import Workers
from moeopt.core.errors import InstanceError


def models(ranks: int) -> list[Case]:
    """Return three models that have nothing in common."""
    count = (23, 0, 7, 40)[:ranks]
    return [
        Case(random_layout(1, 8, ranks), count, top_k=2),
        Case(Layout.contiguous(5, ranks), count[::-1], 1, 32, 8, "relu", torch.bfloat16),
        Case(random_layout(2, 3, ranks), count, top_k=3, hidden=6, inner=10),
    ]


@pytest.mark.parametrize("own_groups", [False, True])
def test_outputs_are_those_of_each_model_alone(workers2: Any, own_groups: bool) -> None:
    for same, errors, rounds in workers2.run(jobs.together, models(2), 3, own_groups=own_groups):
        assert same
        assert max(errors[0], errors[2]) < 1e-5
        assert errors[1] < 0.1
        # The clock tells when each phase of each model was.
        assert len(rounds) == 3
        for found in rounds:
            assert_in_turn(found)


def test_rounds_and_all_to_alls_share_a_group(workers4: Any) -> None:
    for same, _, rounds in workers4.run(jobs.together, models(4), 2, in_rounds=True):
        assert same
        for found in rounds:
            assert_in_turn(found)


def test_ranks_and_models_without_tokens_take_part(workers2: Any) -> None:
    cases = [Case(Layout.contiguous(4, 2), (0, 0)), Case(Layout.contiguous(2, 2), (0, 5), 1)]
    assert all(same for same, _, _ in workers2.run(jobs.together, cases, 2))


def test_one_layer_takes_two_batches_in_turns(workers2: Any) -> None:
    assert all(workers2.run(jobs.one_layer_twice, models(2)[0]))


def test_one_process_needs_no_network() -> None:
    cases = [Case(Layout.contiguous(4, 1), (9,)), Case(Layout.contiguous(2, 1), (3,), 1)]
    colocated = Colocated([case.layer() for case in cases])
    tokens = [case.drawn(0) for case in cases]
    for case, own, out in zip(cases, tokens, colocated(tokens), strict=True):
        assert not out.requires_grad
        assert case.error(own, out) < 1e-5


def test_one_models_tokens_travel_while_another_computes(workers2: Any) -> None:
    for log in workers2.run(jobs.order, models(2)[:2]):
        assert log == [
            "dispatch 0 begins",
            "dispatch 1 begins",
            "dispatch 0 taken",
            "experts 0",
            "combine 0 begins",
            "dispatch 1 taken",
            "experts 1",
            "combine 1 begins",
            "combine 0 taken",
            "combine 1 taken",
        ]


def test_a_round_that_raises_is_not_timed() -> None:
    cases = [Case(Layout.contiguous(4, 1), (9,)), Case(Layout.contiguous(2, 1), (3,), 1)]
    colocated = Colocated([case.layer() for case in cases])
    colocated.clock = TurnClock(torch.device("cpu"))
    first, second = (case.drawn(0) for case in cases)
    with pytest.raises(InstanceError, match="expert_ids"):
        colocated([first, second._replace(expert_ids=second.expert_ids + 9)])
    colocated([first, second])
    (found,) = colocated.clock.rounds()
    assert_in_turn(found)


@pytest.mark.gpu
@pytest.mark.parametrize("own_groups", [False, True])
def test_gpus_take_turns_on_streams(own_groups: bool) -> None:
    world = min(2, torch.cuda.device_count())
    sizes = {"hidden": 512, "inner": 256, "dtype": torch.bfloat16, "device": "cuda"}
    cases = [
        Case(Layout.contiguous(experts, world), (3000, 1000)[:world], top_k, **sizes)
        for experts, top_k in ((16, 4), (8, 2), (5, 1))
    ]
    with Workers(world, "nccl") as workers:
        for same, errors, rounds in workers.run(jobs.together, cases, 8, own_groups=own_groups):
            assert same
            assert max(errors) < 0.1
            for found in rounds:
                assert_in_turn(found)


def assert_in_turn(found: MeasuredRound) -> None:
    """Assert what `moeopt.timeline.interleaved` says of the order."""
    assert found.gate.end_s[0] == 0
    computing = [found.gate, found.compute, found.aggregation]
    starts = np.concatenate([spans.start_s for spans in computing])
    ends = np.concatenate([spans.end_s for spans in computing])
    assert (starts <= ends).all()
    assert (ends[:-1] <= starts[1:]).all()
    for before, way, after in (
        (found.gate, found.dispatch, found.compute),
        (found.compute, found.combine, found.aggregation),
    ):
        assert (before.end_s <= way.start_s).all()
        assert (way.start_s <= way.end_s).all()
        assert (way.end_s <= after.start_s).all()
    assert found.total_s == pytest.approx(ends[-1] - starts[0])


def test_layers_must_be_on_one_device_and_have_their_tokens() -> None:
    here = Case(Layout.contiguous(2, 1), (4,))
    away = Experts(torch.empty(2, 4, 4, device="meta"), torch.empty(2, 4, 2, device="meta"))
    with pytest.raises(InstanceError, match="one device"):
        Colocated([here.layer(), ExpertParallel(here.layout, away)])
    with pytest.raises(InstanceError, match="one device"):
        Colocated([])
    with pytest.raises(InstanceError, match="of 1 models"):
        Colocated([here.layer()])([here.drawn(0)] * 2)
