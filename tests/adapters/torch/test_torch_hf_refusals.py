"""What does not fit a model of transformers is refused, and the page's example runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_forked import Forked
from torch_hf_cases import EXPERTS, LAYERS

from moeopt import Cluster, PlacementProblem, save_plan, save_problem, solve
from moeopt.adapters.torch.layout import Layout

PAGE = Path(__file__).parents[3] / "docs" / "adapters" / "transformers.md"

FITTING = [Layout.contiguous(EXPERTS, 2)] * LAYERS


@pytest.fixture(scope="module")
def folder(forked2: Forked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("Qwen3Moe")
    forked2.run("save", "Qwen3Moe", found)
    return found


@pytest.mark.parametrize(
    ("plan", "options", "said"),
    [
        (
            FITTING[:1],
            {},
            "layouts: must be one for each of the model's 2 layers with experts, got <1 layouts>; "
            "plan these layers",
        ),
        (
            [Layout.contiguous(6, 2)] * 2,
            {},
            "layouts: must be of the model's 8 experts, got <of 6>; plan these experts",
        ),
        (
            [Layout.contiguous(EXPERTS, 4)] * 2,
            {},
            "layouts: must be for the 2 workers, got <for 4>; plan for these, or use Layout.folded",
        ),
        (
            [FITTING[0], Layout.contiguous(6, 2)],
            {},
            "layouts: must have the same experts and ranks",
        ),
        (
            FITTING,
            {"before": "disagree"},
            "layouts: must be the same on all workers, got <others on rank ",
        ),
        (
            FITTING,
            {"before": "place"},
            "model: must not be under a plan yet, got <Qwen3MoeForCausalLM>; migrate its layers: "
            "placed_layers(model)",
        ),
        (
            FITTING[0],
            {},
            "layouts: must be a list, with one layout for each layer that has experts, got "
            "<a Layout>; write [layout, ...]",
        ),
        (
            FITTING,
            {"ep_implementation": "all_to_all"},
            'model: must be loaded with ep_size > 1 and ep_implementation="moeopt", got '
            "<Qwen3MoeForCausalLM>; hand from_pretrained such a DistributedConfig",
        ),
        (
            FITTING,
            {"before": "quantise"},
            "model.layers.0.mlp.experts: must hold weights of 16 bits or more by transformers' "
            "usual names, got <torch.float8_e4m3fn, torch.float8_e4m3fn>; load the model without "
            "quantisation",
        ),
        (
            FITTING,
            {"batches": 2, "before": "call"},
            "model: must not have been called where FSDP holds its weights, got <a called one>; "
            "place it right after from_pretrained",
        ),
        (
            FITTING,
            {"batches": 2, "fsdp_mixed_precision": True},
            "fsdp_mixed_precision: must not be set for a model under a plan, got True; load the "
            "model in the type, and where, it is to run",
        ),
    ],
)
def test_what_does_not_fit(
    forked2: Forked, folder: Path, plan: list[Layout], options: dict[str, Any], said: str
) -> None:
    for found in forked2.run("refusal", folder, plan, **options):
        assert found.startswith(said)


def test_what_a_placed_model_refuses(forked2: Forked, folder: Path) -> None:
    for saving, training in forked2.run("refusals_of_a_placed_model", folder, FITTING):
        assert saving.startswith(
            "model: must not be saved under a plan: each rank holds other experts, some of them "
            "twice, got <model.layers.0.mlp.experts>; save it before place()"
        )
        assert training.startswith(
            "model: must run without gradients where FSDP averages those of all but the experts"
        )


def test_experts_of_another_form_do_not_migrate(forked2: Forked, tmp_path: Path) -> None:
    forked2.run("save", "GptOss", tmp_path)
    for said in forked2.run("refused_migration", tmp_path, FITTING):
        assert said.startswith("these experts are computed in the model's own way, and cannot be")


def test_the_pages_example_runs(forked2: Forked, folder: Path) -> None:
    (code,) = re.findall(r"```py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    problem = PlacementProblem(
        loads_tokens=np.arange(1.0, 1 + LAYERS * EXPERTS).reshape(LAYERS, EXPERTS),
        cluster=Cluster.uniform(2),
        slots_per_device=6,
        max_copies_per_device=None,
    )
    save_problem(folder / "problem.json", problem)
    save_plan(folder / "plan.json", problem, solve(problem, method="eplb"))
    for found, expected in forked2.run("example", code, folder):
        assert float((found - expected).abs().max() / expected.abs().max()) <= 1e-6
