"""Models of transformers under a plan say what they say in one process."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_jobs_hf as jobs
from torch_jobs_hf import EXPERTS, LAYERS, MODELS, TEXTS, made

from moeopt import Cluster, PlacementProblem
from moeopt.adapters.torch.layout import Layout, layouts_of_plan
from moeopt.placement.plan import PlacementPlan
from moeopt.traces import record_routing

#: Of the largest number, in fp32.
TOLERANCE = 1e-6


def layouts(seed: int, slots: tuple[int, ...], split: str = "even") -> list[Layout]:
    """Return layers whose experts stand anyhow; 0 and 1 fill what is left, but for one slot."""
    problem, plan = planned(seed, slots, split)
    return layouts_of_plan(problem, plan)


def planned(
    seed: int, slots: tuple[int, ...], split: Any
) -> tuple[PlacementProblem, PlacementPlan]:
    random = np.random.default_rng(seed)
    spare = sum(slots) - EXPERTS
    more = np.append(np.arange(spare - 1) % 3 // 2, -1) if spare else np.arange(0)
    experts = np.append(np.arange(EXPERTS), more)
    problem = PlacementProblem(
        loads_tokens=random.integers(1, 9, (LAYERS, EXPERTS)).astype(np.float64),
        cluster=Cluster.uniform(len(slots)),
        slots_per_device=slots,
        max_copies_per_device=None,
        allow_empty_slots=True,
        split=split,
    )
    table = np.stack([random.permutation(experts) for _ in range(LAYERS)])
    return problem, PlacementPlan(physical_to_logical=table)


PERMUTED = layouts(1, (4, 4))
COPIES = layouts(2, (4, 9))


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that saves a model, once, and returns where."""

    @functools.cache
    def folder_of(name: str) -> Path:
        folder: Path = tmp_path_factory.mktemp(name)
        made(name).save_pretrained(folder)
        return folder

    return folder_of


@functools.cache
def logits_of(name: str) -> torch.Tensor:
    """Return what the model says in one process."""
    with torch.no_grad():
        found: torch.Tensor = made(name)(input_ids=TEXTS).logits
    return found


def assert_equal(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max() / expected.abs().max()) <= TOLERANCE


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("plan", [PERMUTED, COPIES], ids=["permuted", "copies"])
def test_all_ranks_say_it_of_the_same_texts(
    workers2: Any, folder_of: Any, name: str, plan: list[Layout]
) -> None:
    for found in workers2.run(jobs.logits, folder_of(name), plan):
        assert_equal(found, logits_of(name))


@pytest.mark.parametrize("name", MODELS)
def test_each_rank_says_it_of_its_own_texts(workers2: Any, folder_of: Any, name: str) -> None:
    plan = layouts(3, (9, 2), "optimal")
    found = workers2.run(jobs.logits, folder_of(name), plan, batches=2)
    assert_equal(torch.cat(found), logits_of(name))


def test_tokens_travel_as_they_are_told_to(workers2: Any, folder_of: Any) -> None:
    found = workers2.run(jobs.logits, folder_of("Mixtral"), COPIES, batches=2, spot=True)
    assert_equal(torch.cat(found), logits_of("Mixtral"))


def test_pairs_of_ranks_say_it_of_their_texts(workers4: Any, folder_of: Any) -> None:
    folder, plan = folder_of("Qwen3Moe"), layouts(4, (3, 0, 9, 1), "nearest")
    found = workers4.run(jobs.logits, folder, plan, batches=2)
    for each in (found[::2], found[1::2]):
        assert_equal(torch.cat(each), logits_of("Qwen3Moe"))
    # Two groups of experts are one too many.
    options = {"batches": 2, "ep_size": 2}
    (said, *_) = workers4.run(jobs.refusal, folder, PERMUTED, **options)
    assert said == "ep_size: must be all 4 workers, got 2; load the model with ep_size=4"


def test_without_a_plan_it_runs_as_ever(workers2: Any, folder_of: Any) -> None:
    for found in workers2.run(jobs.logits_without_a_plan, folder_of("Qwen3Moe")):
        assert_equal(found, logits_of("Qwen3Moe"))


def test_texts_are_continued_token_by_token(workers2: Any, folder_of: Any) -> None:
    expected = jobs.continued(made("DeepseekV3")).tolist()
    for found in workers2.run(jobs.generated, folder_of("DeepseekV3"), COPIES):
        assert found.tolist() == expected


def test_the_recorded_experts_are_logical(workers2: Any, folder_of: Any) -> None:
    model = made("DeepseekV3")
    with torch.no_grad(), record_routing(model) as recorder:
        model(input_ids=TEXTS)
    expected = recorder.trace()
    for before, (after, names) in workers2.run(jobs.recorded, folder_of("DeepseekV3"), COPIES):
        for trace in (before[0], after):
            np.testing.assert_array_equal(trace.expert_ids, expected.expert_ids)
            np.testing.assert_allclose(trace.gate_weights, expected.gate_weights, rtol=1e-5)
        assert after.num_experts == expected.num_experts
        assert names == before[1] == recorder.layer_names


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("name", ["Qwen3Moe", "GptOss"])
def test_a_rank_holds_its_slots_and_no_more(
    workers2: Any, folder_of: Any, name: str, batches: int
) -> None:
    shards = sum(
        each.numel() * each.element_size() // 2
        for module, each in made(name).named_parameters()
        if "experts" in module and each.dim() == 3
    )
    found = workers2.run(jobs.held_bytes, folder_of(name), COPIES, batches)
    for before, after, slots in found:
        assert before >= shards
        assert after == slots
    assert found[1][2] == found[0][2] * 9 // 4


def test_gradients_are_those_of_one_process(workers2: Any, folder_of: Any) -> None:
    model = made("Qwen3Moe")
    model(input_ids=TEXTS).logits.square().sum().backward()
    whole = [
        (layer.mlp.experts.gate_up_proj.grad, layer.mlp.experts.down_proj.grad)
        for layer in model.model.layers
    ]
    for layers in workers2.run(jobs.gradients, folder_of("Qwen3Moe"), COPIES):
        for (experts, grads), expected in zip(layers, whole, strict=True):
            for grad, of_all in zip(grads, expected, strict=True):
                assert_equal(grad[experts >= 0], of_all[experts[experts >= 0]])


def test_it_goes_over_to_another_plan(workers2: Any, folder_of: Any) -> None:
    for found in workers2.run(jobs.migrated, folder_of("Mixtral"), COPIES, PERMUTED):
        for each in found:
            assert_equal(each, logits_of("Mixtral"))
