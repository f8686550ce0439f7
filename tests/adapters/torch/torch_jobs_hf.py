"""What workers do in the tests of transformers' models under a plan, and the models."""

from __future__ import annotations

import contextlib
import gc
import re
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers
from torch_hf_cases import MODELS, SIZES, TEXTS
from transformers.distributed import DistributedConfig

from moeopt.adapters.torch.hf import place, placed_layers
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.migrate import migrate_layers
from moeopt.adapters.torch.replicas import reduce_replica_gradients
from moeopt.adapters.torch.spot import SpotExchange
from moeopt.core.errors import MoeoptError
from moeopt.traces import record_routing

#: Looked up, and so imported, before any rank is forked.
KINDS: dict[str, Any] = {
    name: (getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}ForCausalLM"))
    for name in MODELS
}
AUTO = transformers.AutoModelForCausalLM


def join(store: str, rank: int, world: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(store, world), rank=rank, world_size=world)


def made(name: str) -> Any:
    torch.manual_seed(0)
    config, model = KINDS[name]
    return model(config(**{**SIZES, **MODELS[name]})).eval()


def save(name: str, folder: Path) -> None:
    if dist.get_rank() == 0:
        made(name).save_pretrained(folder)
    dist.barrier()


@torch.no_grad()
def logits_alone(name: str) -> torch.Tensor:
    """Return what the model says in one process."""
    found: torch.Tensor = made(name)(input_ids=TEXTS).logits
    return found


def loaded(folder: Path, batches: int = 1, **options: Any) -> Any:
    """Return the model with its experts spread by transformers, so many batches at a time."""
    world = dist.get_world_size()
    sizes = {"tp_size": world // batches, "fsdp_size": batches, "ep_size": world}
    config = DistributedConfig(**{**sizes, "ep_implementation": "moeopt", **options})
    return AUTO.from_pretrained(folder, distributed_config=config)


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


def generated(name: str, folder: Path, layouts: list[Layout]) -> list[torch.Tensor]:
    """Return texts that go on token by token, of one process and under a plan.

    Mostly one rank has none of the tokens.
    """
    model = loaded(folder)
    place(model, layouts)
    return [continued(made(name)), continued(model)]


def continued(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.generate(
        input_ids=TEXTS[:1], max_new_tokens=4, do_sample=False, pad_token_id=0
    )
    return found


def recorded(name: str, folder: Path, layouts: list[Layout]) -> list[tuple[Any, ...]]:
    """Return the traces of one process, and of a model before and after it is under a plan."""
    model = loaded(folder)
    found = [traced(made(name)), traced(model)]
    place(model, layouts)
    return [*found, traced(model)]


@torch.no_grad()
def traced(model: Any) -> tuple[Any, ...]:
    with record_routing(model) as recorder:
        model(input_ids=TEXTS)
    return recorder.trace(), recorder.layer_names


def held_bytes(
    name: str, folder: Path, layouts: list[Layout], batches: int
) -> tuple[int, int, int, int]:
    """Return bytes of three-dimensional weights: of a shard, before, after, and of the slots."""
    shard = sum(
        each.numel() * each.element_size() // dist.get_world_size()
        for module, each in made(name).named_parameters()
        if "experts" in module and each.dim() == 3
    )
    model = loaded(folder, batches)
    gc.collect()
    before = _bytes_of_matrices()
    # What is given up must go without waiting for a clean-up.
    gc.disable()
    place(model, layouts)
    slots = sum(
        each.numel() * each.element_size()
        for layer in placed_layers(model).values()
        for each in layer.experts.parameters()
        if each.dim() == 3
    )
    deadline = time.monotonic() + 5.0
    while (after := _bytes_of_matrices()) > slots and time.monotonic() < deadline:
        time.sleep(0.02)  # gloo's own threads let go of what they sent a moment later
    gc.enable()
    return shard, before, after, slots


def _bytes_of_matrices() -> int:
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in gc.get_objects()
        if isinstance(tensor, torch.Tensor)
        and tensor.dim() == 3
        and not hasattr(tensor, "placements")
    }
    return sum(storages.values())


def gradients(name: str, folder: Path, layouts: list[Layout]) -> dict[str, float]:
    """Return how far gradients are from those of one process, as parts of the largest."""
    model, alone = loaded(folder), made(name)
    place(model, layouts)
    for each in (model, alone):
        each(input_ids=TEXTS).logits.square().sum().backward()
    expected = {key: each.grad for key, each in alone.named_parameters()}
    pairs = {
        key: (whole(each.grad), expected[key])
        for key, each in model.named_parameters()
        if key in expected
    }
    for key, layer in placed_layers(model).items():
        reduce_replica_gradients(layer)
        held = layer.layout.experts_on(layer.rank)
        own = {"gate_up_proj": layer.experts.up, "down_proj": layer.experts.down}
        for part, weights in own.items():
            of_all = expected.pop(f"{key}.{part}")
            pairs[f"{key}.{part}"] = weights.grad[held >= 0], of_all[held[held >= 0]]
    assert expected.keys() <= pairs.keys()
    return {
        key: float((found - wanted).abs().max() / wanted.abs().max())
        for key, (found, wanted) in pairs.items()
    }


def whole(tensor: Any) -> torch.Tensor:
    found: torch.Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return found


def trained(folder: Path, layouts: list[Layout]) -> list[str]:
    """Return what has gradients in a model that was frozen, but for a layer's experts."""
    model = loaded(folder)
    model.requires_grad_(False)
    model.model.layers[1].mlp.experts.requires_grad_(True)
    place(model, layouts)
    return [key for key, each in model.named_parameters() if each.requires_grad]


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
    if before == "disagree":
        layouts = layouts[dist.get_rank() :]
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


def example(code: str, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a page's program on a tiny model in a folder; return its logits, and the expected."""
    (parts,) = map(int, re.findall(r"tp_size=(\d+)", code))
    # Of Qwen3-30B-A3B, too.
    assert KINDS["Qwen3Moe"][0]().num_key_value_heads % parts == 0
    code = code.replace("Qwen/Qwen3-30B-A3B", ".").replace(f"_size={parts}", "_size=2")
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        exec(code, names)
    return names["logits"], logits_alone("Qwen3Moe")


def texts_of_many_lengths(folder: Path, layouts: list[Layout]) -> list[int]:
    """Return the length of a text of this rank, which ends sooner than that of another."""
    model = loaded(folder, batches=2)
    place(model, layouts)
    found = model.generate(
        input_ids=own_texts(2),
        max_new_tokens=2 + 3 * dist.get_rank(),
        do_sample=False,
        pad_token_id=0,
        synced_gpus=True,
    )
    return list(found.shape)
