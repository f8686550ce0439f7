"""Models of transformers under a plan say what they say in one process."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_forked import Forked
from torch_hf_cases import COPIES, MODELS, PERMUTED, layouts

#: Of the largest number, in fp32.
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def folder_of(forked2: Forked, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that saves a model, once, and returns where."""

    @functools.cache
    def folder_of(name: str) -> Path:
        folder: Path = tmp_path_factory.mktemp(name)
        forked2.run("save", name, folder)
        return folder

    return folder_of


@pytest.fixture(scope="module")
def logits_of(forked2: Forked) -> Any:
    """Return a function that returns what a model says in one process."""

    @functools.cache
    def logits_of(name: str) -> torch.Tensor:
        found: torch.Tensor = forked2.run("logits_alone", name)[0]
        return found

    return logits_of


def assert_equal(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max() / expected.abs().max()) <= TOLERANCE


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("plan", [PERMUTED, COPIES], ids=["permuted", "copies"])
def test_all_ranks_say_it_of_the_same_texts(
    forked2: Forked, folder_of: Any, logits_of: Any, name: str, plan: Any
) -> None:
    for found in forked2.run("logits", folder_of(name), plan):
        assert_equal(found, logits_of(name))


@pytest.mark.parametrize("name", MODELS)
def test_each_rank_says_it_of_its_own_texts(
    forked2: Forked, folder_of: Any, logits_of: Any, name: str
) -> None:
    plan = layouts(3, (9, 2), "optimal")
    found = forked2.run("logits", folder_of(name), plan, batches=2)
    assert_equal(torch.cat(found), logits_of(name))


def test_tokens_travel_as_they_are_told_to(forked2: Forked, folder_of: Any, logits_of: Any) -> None:
    found = forked2.run("logits", folder_of("Mixtral"), COPIES, batches=2, spot=True)
    assert_equal(torch.cat(found), logits_of("Mixtral"))


def test_pairs_of_ranks_say_it_of_their_texts(
    forked4: Forked, folder_of: Any, logits_of: Any
) -> None:
    folder, plan = folder_of("Qwen3Moe"), layouts(4, (3, 0, 9, 1), "nearest")
    found = forked4.run("logits", folder, plan, batches=2)
    for each in (found[::2], found[1::2]):
        assert_equal(torch.cat(each), logits_of("Qwen3Moe"))
    # Two groups of experts are one too many.
    options = {"batches": 2, "ep_size": 2}
    (said, *_) = forked4.run("refusal", folder, PERMUTED, **options)
    assert said == "ep_size: must be all 4 workers, got 2; load the model with ep_size=4"


def test_without_a_plan_it_runs_as_ever(forked2: Forked, folder_of: Any, logits_of: Any) -> None:
    for found in forked2.run("logits_without_a_plan", folder_of("Qwen3Moe")):
        assert_equal(found, logits_of("Qwen3Moe"))


def test_texts_are_continued_token_by_token(forked2: Forked, folder_of: Any) -> None:
    name = "DeepseekV3"
    for expected, found in forked2.run("generated", name, folder_of(name), COPIES):
        assert found.shape == (1, 11)
        assert found.tolist() == expected.tolist()


def test_ranks_that_are_done_wait_for_those_that_are_not(forked2: Forked, folder_of: Any) -> None:
    found = forked2.run("texts_of_many_lengths", folder_of("Qwen3Moe"), COPIES)
    assert found == [[2, 9], [2, 12]]


def test_the_recorded_experts_are_logical(forked2: Forked, folder_of: Any) -> None:
    name = "DeepseekV3"
    for (expected, names), *both in forked2.run("recorded", name, folder_of(name), COPIES):
        for trace, found in both:
            np.testing.assert_array_equal(trace.expert_ids, expected.expert_ids)
            np.testing.assert_allclose(trace.gate_weights, expected.gate_weights, rtol=1e-5)
            assert trace.num_experts == expected.num_experts
            assert found == names


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("name", ["Qwen3Moe", "GptOss"])
def test_a_rank_holds_its_slots_and_no_more(
    forked2: Forked, folder_of: Any, name: str, batches: int
) -> None:
    found = forked2.run("held_bytes", name, folder_of(name), COPIES, batches)
    for shard, before, after, slots in found:
        assert before >= shard
        assert after == slots
    assert found[1][3] == found[0][3] * 9 // 4


def test_gradients_are_those_of_one_process(forked2: Forked, folder_of: Any) -> None:
    for differences in forked2.run("gradients", "Qwen3Moe", folder_of("Qwen3Moe"), COPIES):
        assert len(differences) > 20
        assert max(differences.values()) <= TOLERANCE


@pytest.mark.parametrize("name", ["Qwen3Moe", "GptOss"])
def test_what_is_frozen_stays_so(forked2: Forked, folder_of: Any, name: str) -> None:
    for found in forked2.run("trained", folder_of(name), COPIES):
        assert found
        assert all(key.startswith("model.layers.1.mlp.experts.") for key in found)


def test_it_goes_over_to_another_plan(forked2: Forked, folder_of: Any, logits_of: Any) -> None:
    for found in forked2.run("migrated", folder_of("Mixtral"), COPIES, PERMUTED):
        for each in found:
            assert_equal(each, logits_of("Mixtral"))
