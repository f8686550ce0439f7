"""What workers do in the tests of transformers' models under a plan, and the models."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import transformers
from transformers.distributed import DistributedConfig

from moeopt.adapters.torch.hf import place, placed_layers
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.migrate import migrate_layers
from moeopt.adapters.torch.replicas import reduce_replica_gradients
from moeopt.adapters.torch.spot import SpotExchange
from moeopt.core.errors import MoeoptError
from moeopt.traces import record_routing

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


def made(name: str) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**SIZES, **MODELS[name]})
    return getattr(transformers, f"{name}ForCausalLM")(config).eval()


def loaded(folder: Path, batches: int = 1, **options: Any) -> Any:
    """Return the model with its experts spread by transformers, so many batches at a time."""
    world = dist.get_world_size()
    sizes = {"tp_size": world // batches, "fsdp_size": batches, "ep_size": world}
    config = DistributedConfig(**{**sizes, "ep_implementation": "moeopt", **options})
    return transformers.AutoModelForCausalLM.from_pretrained(folder, distributed_config=config)


def own_texts(batches: int) -> torch.Tensor:
    """Return the texts of this rank: those with the same tokens stand beside each other."""
    share = dist.get_world_size() // batches
    return TEXTS.chunk(batches)[dist.get_rank() // share]


def logits(
    folder: Path, layouts: list[Layout], batches: int = 1, spot: bool = False
) -> torch.Tensor:
    model = loaded(folder, batches)
    place(model, layouts, SpotExchange() if spot else None)
    with torch.no_grad():
        return model(input_ids=own_texts(batches)).logits


def logits_without_a_plan(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return loaded(folder)(input_ids=TEXTS).logits


def generated(folder: Path, layouts: list[Layout]) -> torch.Tensor:
    """Return texts that go on token by token: mostly one rank has none of them."""
    model = loaded(folder)
    place(model, layouts)
    return continued(model)


def continued(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.generate(
        input_ids=TEXTS[:1], max_new_tokens=4, do_sample=False, pad_token_id=0
    )
    return found


def recorded(folder: Path, layouts: list[Layout]) -> tuple[Any, ...]:
    """Return the trace of a model before and after it is under a plan."""
    model, found = loaded(folder), []
    for _ in range(2):
        with torch.no_grad(), record_routing(model) as recorder:
            model(input_ids=TEXTS)
        found.append((recorder.trace(), recorder.layer_names))
        if not placed_layers(model):
            place(model, layouts)
    return tuple(found)


def held_bytes(folder: Path, layouts: list[Layout], batches: int) -> tuple[int, int, int]:
    """Return bytes of three-dimensional weights before and after, and of the slots."""
    model = loaded(folder, batches)
    gc.collect()
    before = _bytes_of_matrices()
    # What is given up must go without waiting for a clean-up.
    gc.disable()
    place(model, layouts)
    after = _bytes_of_matrices()
    gc.enable()
    slots = [
        each.numel() * each.element_size()
        for layer in placed_layers(model).values()
        for each in layer.experts.parameters()
        if each.dim() == 3
    ]
    return before, after, sum(slots)


def _bytes_of_matrices() -> int:
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in gc.get_objects()
        if isinstance(tensor, torch.Tensor)
        and tensor.dim() == 3
        and not hasattr(tensor, "placements")
    }
    return sum(storages.values())


def gradients(folder: Path, layouts: list[Layout]) -> list[tuple[np.ndarray, list[torch.Tensor]]]:
    """Return what sits in this rank's slots, and the gradients of its weights."""
    model = loaded(folder)
    place(model, layouts)
    model(input_ids=TEXTS).logits.square().sum().backward()
    found = []
    for layer in placed_layers(model).values():
        reduce_replica_gradients(layer)
        grads = [each.grad for each in layer.experts.parameters()]
        found.append((layer.layout.experts_on(layer.rank), grads))
    return found


def migrated(folder: Path, first: list[Layout], then: list[Layout]) -> list[torch.Tensor]:
    """Return logits under one plan, on the way, and under the next."""
    model, found = loaded(folder), []
    place(model, first)
    with torch.no_grad():
        found.append(model(input_ids=TEXTS).logits)
        layers = list(placed_layers(model).values())
        on_the_way = (model(input_ids=TEXTS).logits for _ in migrate_layers(layers, then))
        found.extend(on_the_way)
        found.append(model(input_ids=TEXTS).logits)
    return found


def refusal(
    folder: Path, layouts: list[Layout], before: str = "", batches: int = 1, **options: Any
) -> str:
    """Return why a model cannot be placed after something was done with it."""
    model = loaded(folder, batches, **options)
    if before == "place":
        place(model, layouts)
    if before == "call":
        model(input_ids=own_texts(batches))
    if before == "quantise":
        model.model.layers[0].mlp.experts.to(torch.float8_e4m3fn)
    return said(lambda: place(model, layouts))


def refusals_of_a_placed_model(folder: Path, layouts: list[Layout]) -> list[str]:
    """Return why it cannot be saved, nor be trained where FSDP holds all else."""
    model = loaded(folder, batches=2)
    place(model, layouts)
    text = own_texts(2)
    return [said(model.state_dict), said(lambda: model(input_ids=text))]


def refused_migration(folder: Path, layouts: list[Layout]) -> str:
    model = loaded(folder)
    place(model, layouts)
    layers = list(placed_layers(model).values())
    return said(lambda: list(migrate_layers(layers, layouts[::-1])))


def said(call: Any) -> str:
    """Return what the error says that a call raises."""
    try:
        call()
    except MoeoptError as error:
        return str(error)
    return ""


def example(code: str, folder: Path) -> torch.Tensor:
    """Run a program in a folder, and return its logits."""
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        exec(code, names)
    found: torch.Tensor = names["logits"]
    return found
