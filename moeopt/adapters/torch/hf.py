"""Models of Hugging Face transformers under a plan, without a change to either.

Importing this module registers the expert-parallel implementation ``"moeopt"`` with transformers.
A model that is loaded with it runs as transformers' own ``"auto"`` does, until `place` moves its
experts to where a plan wants them.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from moeopt.adapters.torch.exchange import Exchange
from moeopt.adapters.torch.hf_experts import PlannedExperts, experts_of_slots, is_wrapped
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout, require_same_experts
from moeopt.core.errors import AdapterError, InstanceError

try:
    _theirs: Any = importlib.import_module("transformers.distributed.expert_parallel")
    _AutoEP: Any = _theirs.AutoEP
except (ImportError, AttributeError) as error:
    raise AdapterError(
        f"transformers 5.23 or later is needed ({error}); pip install -U 'moeopt[transformers]'"
    ) from error

#: For ``DistributedConfig(ep_implementation=...)``.
IMPLEMENTATION = "moeopt"


class PlannedEP(_AutoEP):  # type: ignore[misc]  # transformers is not read for its types
    """What transformers makes for each layer's experts; `place` finds them by it.

    Parameters
    ----------
    experts
        The module of one layer's experts, of which each rank will hold an equal part.
    ep_mesh
        Ranks that hold them together.
    tp_mesh
        Those of them that hold the same tokens.

    Attributes
    ----------
    called
        Whether tokens have come.
    """

    def __init__(self, experts: nn.Module, ep_mesh: Any, tp_mesh: Any) -> None:
        super().__init__(experts, ep_mesh, tp_mesh)
        self.called = False
        # Not a module, so not a part of the model.
        experts.moeopt_ep = self

    def __call__(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum of each token's experts, as ``"auto"`` does."""
        self.called = True
        out: torch.Tensor = super().__call__(hidden_states, top_k_index, top_k_weights)
        return out

    @property
    def num_experts(self) -> int:
        """Number of logical experts."""
        return int(self.num_local_experts * self.ep_mesh.size())


_theirs.EPImplementationInterface.register(IMPLEMENTATION, PlannedEP)


@torch.no_grad()
def place(model: nn.Module, layouts: Sequence[Layout], exchange: Exchange | None = None) -> None:
    """Move the experts of a model to the slots of a plan, and send tokens there from now on.

    Every worker calls it, with the same layouts. Layer by layer the weights travel in one
    all-to-all, and those that transformers had put on this rank are given up.

    Parameters
    ----------
    model
        Of `transformers`, loaded on every worker by ``from_pretrained`` with
        ``distributed_config=DistributedConfig(..., ep_size=world, ep_implementation="moeopt")``.
    layouts
        One for each layer that has experts, in their order: `layouts_of_plan`.
    exchange
        How tokens travel; ``None`` is one all-to-all.

    Raises
    ------
    InstanceError
        If the model was loaded in another way, or the layouts do not fit it or the workers, or
        are not the same on all of them.
    """
    if isinstance(layouts, Layout):
        rule = "must be a list, with one layout for each layer that has experts"
        raise InstanceError("layouts", "<a Layout>", rule, "write [layout, ...]")
    found = _dispatched(model)
    _check_loading(model, found)
    # First of all, so that what else is wrong with them is wrong on every worker.
    _check_agreement(layouts)
    _check_weights(model, found)
    _check_layouts(found, layouts)
    for name, layout in zip(list(found), layouts, strict=True):
        _place_layer(model, name, found.pop(name), layout, exchange)


def placed_layers(model: nn.Module) -> dict[str, ExpertParallel]:
    """Return the layers of a model that are under a plan, by the names of their experts.

    Each can be timed (`ExpertParallel.clock`), and go over to another layout by `Migration`.
    """
    return {
        name: module.layer
        for name, module in model.named_modules()
        if isinstance(module, PlannedExperts)
    }


def _dispatched(model: nn.Module) -> dict[str, PlannedEP]:
    """Return what transformers made by our name, by the names of the experts."""
    modules = {name: getattr(module, "moeopt_ep", None) for name, module in model.named_modules()}
    found = {name: ep for name, ep in modules.items() if ep is not None}
    if found:
        return found
    if placed_layers(model):
        rule, remedy = "must not be under a plan yet", "migrate its layers: placed_layers(model)"
    else:
        rule = f'must be loaded with ep_size > 1 and ep_implementation="{IMPLEMENTATION}"'
        remedy = "hand from_pretrained such a DistributedConfig"
    raise InstanceError("model", f"<{type(model).__name__}>", rule, remedy)


def _place_layer(
    model: nn.Module, name: str, ep: PlannedEP, layout: Layout, exchange: Exchange | None
) -> None:
    """Put a layer's experts under a plan."""
    old, group = model.get_submodule(name), ep.ep_mesh.get_group()
    layer = ExpertParallel(layout, experts_of_slots(old, layout, group), exchange, group)
    parent, _, child = name.rpartition(".")
    planned = PlannedExperts(layer, ep.tp_mesh, is_wrapped(old))
    setattr(model.get_submodule(parent), child, planned)
    # FSDP and the old module know each other: emptied, it holds no weights for lack of a clean-up.
    old.__dict__.clear()


def _check_loading(model: nn.Module, found: dict[str, PlannedEP]) -> None:
    config: Any = getattr(model, "config", None)
    distributed = getattr(config, "distributed_config", None)
    size, world = next(iter(found.values())).ep_mesh.size(), dist.get_world_size()
    if size != world:
        rule = f"must be all {world} workers"
        raise InstanceError("ep_size", size, rule, f"load the model with ep_size={world}")
    for option in ("fsdp_mixed_precision", "fsdp_cpu_offload"):
        if getattr(distributed, option, False):
            remedy = "load the model in the type, and where, it is to run"
            raise InstanceError(option, True, "must not be set for a model under a plan", remedy)
    late = [
        name for name, ep in found.items() if ep.called and is_wrapped(model.get_submodule(name))
    ]
    if late:
        rule = "must not have been called where FSDP holds its weights"
        raise InstanceError("model", "<a called one>", rule, "place it right after from_pretrained")


def _check_weights(model: nn.Module, found: dict[str, PlannedEP]) -> None:
    for name in found:
        types = {key: each.dtype for key, each in model.get_submodule(name).named_parameters()}
        strange = [str(each) for each in types.values() if each.itemsize < 2]
        if "down_proj" not in types or strange:
            rule = "must hold weights of 16 bits or more by transformers' usual names"
            remedy = "load the model without quantisation"
            raise InstanceError(name, f"<{', '.join(strange or types)}>", rule, remedy)


def _check_agreement(layouts: Sequence[Layout]) -> None:
    told = hashlib.sha256()
    for layout in layouts:
        told.update(repr((layout.expert_of_slot.tolist(), layout.slots_per_rank.tolist())).encode())
    everywhere = [b""] * dist.get_world_size()
    dist.all_gather_object(everywhere, told.digest())
    others = [rank for rank, each in enumerate(everywhere) if each != told.digest()]
    if others:
        said = f"<others on rank {', '.join(map(str, others))}>"
        raise InstanceError("layouts", said, "must be the same on all workers", "share one plan")


def _check_layouts(found: dict[str, PlannedEP], layouts: Sequence[Layout]) -> None:
    if len(layouts) != len(found):
        rule = f"must be one for each of the model's {len(found)} layers with experts"
        raise InstanceError("layouts", f"<{len(layouts)} layouts>", rule, "plan these layers")
    require_same_experts(layouts)
    ep = next(iter(found.values()))
    experts, ranks = ep.num_experts, ep.ep_mesh.size()
    if layouts[0].num_experts != experts:
        rule = f"must be of the model's {experts} experts"
        raise InstanceError("layouts", f"<of {layouts[0].num_experts}>", rule, "plan these experts")
    if layouts[0].num_ranks != ranks:
        rule, remedy = f"must be for the {ranks} workers", "plan for these, or use Layout.folded"
        raise InstanceError("layouts", f"<for {layouts[0].num_ranks}>", rule, remedy)
