"""Tiny models of transformers, and plans for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from moeopt import Cluster, PlacementProblem
from moeopt.adapters.torch.layout import Layout, layouts_of_plan
from moeopt.placement.plan import PlacementPlan

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "num_experts_per_tok": 2,
}

#: What a model's configuration has beside the sizes. All have 8 experts in 2 layers, but for the
#: first layer of DeepSeek's, which has none.
MODELS: dict[str, dict[str, Any]] = {
    "Qwen3Moe": {"num_experts": 8, "moe_intermediate_size": 16, "head_dim": 8},
    "Mixtral": {"num_local_experts": 8},
    "DeepseekV3": {
        "num_hidden_layers": 3,
        "first_k_dense_replace": 1,
        "n_routed_experts": 8,
        "n_group": 2,
        "topk_group": 1,
        "moe_intermediate_size": 16,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 8,
    },
    # Its experts have biases, another activation, and matrices that lie the other way.
    "GptOss": {"num_local_experts": 8, "head_dim": 8, "sliding_window": 16},
}

EXPERTS, LAYERS = 8, 2

TEXTS = torch.arange(1, 29).reshape(4, 7)


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
