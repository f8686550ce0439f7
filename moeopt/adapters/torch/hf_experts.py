"""Experts of transformers' models in the slots of a plan: their weights, and their computation."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, Replicate, Shard

from moeopt.adapters.torch.exchange import SingleExchange, Sizes
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel, rank_and_world
from moeopt.adapters.torch.layout import Layout
from moeopt.core.errors import AdapterError, InstanceError


class PlannedExperts(nn.Module):
    """A layer's experts under a plan, called as transformers calls its own.

    The name ends as theirs do: `moeopt.traces.record_routing` knows them by it.

    Parameters
    ----------
    layer
        Runs them.
    tp_mesh
        Ranks that hold the same tokens: each sends a part of them, and gets all answers.
    wrapped
        Whether FSDP averages the gradients of all else.

    Attributes
    ----------
    num_experts
        Number of logical experts.
    """

    def __init__(self, layer: ExpertParallel, tp_mesh: Any, wrapped: bool) -> None:
        super().__init__()
        self.layer = layer
        self.num_experts = layer.layout.num_experts
        self._tp_mesh, self._wrapped = tp_mesh, wrapped
        self.register_state_dict_pre_hook(_refuse_to_save)  # type: ignore[no-untyped-call]

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum of each token's experts, ``(tokens, hidden)``.

        Parameters
        ----------
        hidden_states
            Shape ``(tokens, hidden)``.
        top_k_index
            Logical experts, ``(tokens, top_k)``.
        top_k_weights
            Shape ``(tokens, top_k)``.
        """
        hidden, index, weights = map(_local, (hidden_states, top_k_index, top_k_weights))
        if self._wrapped and torch.is_grad_enabled() and hidden.requires_grad:
            rule = "must run without gradients where FSDP averages those of all but the experts"
            remedy = "call it under torch.no_grad(), or train with tp_size instead of fsdp_size"
            raise InstanceError("model", "<a call with gradients>", rule, remedy)
        if self._tp_mesh.size() == 1:
            alone: torch.Tensor = self.layer(hidden, index, weights)
            return alone
        # As transformers does: the parts may be uneven, and gradients go back the same way.
        out = self.layer(*(self._part(each) for each in (hidden, index, weights)))
        shape, stride = hidden.shape, (hidden.shape[1], 1)
        parts = DTensor.from_local(out, self._tp_mesh, [Shard(0)], shape=shape, stride=stride)
        whole: torch.Tensor = parts.full_tensor()
        return whole

    def _part(self, tokens: torch.Tensor) -> torch.Tensor:
        same = DTensor.from_local(tokens, self._tp_mesh, [Replicate()], run_check=False)
        return same.redistribute(self._tp_mesh, [Shard(0)]).to_local()


class ModelExperts(Experts):
    """Experts that a model computes in its own way: with biases, other activations, other forms.

    Parameters
    ----------
    module
        The model's own, of which all but the weights is used.
    weights
        Of the experts in this rank's slots, by their names.
    """

    def __init__(self, module: nn.Module, weights: dict[str, torch.Tensor]) -> None:
        nn.Module.__init__(self)
        parameters = {name: nn.Parameter(each) for name, each in weights.items()}
        self.weights = nn.ParameterDict(parameters)
        # Of the form that the layer looks at: slots, width of tokens, type and device.
        down = weights["down_proj"]
        width = down.shape[-1 if module.is_transposed else -2]
        self.register_buffer("up", down.new_empty(len(down), 0, width), persistent=False)
        own = _bare(module)
        own.__dict__.update(
            _parameters={**module._parameters, **parameters},
            _buffers=module._buffers,
            _modules=module._modules,
            num_experts=self.num_slots,
            _is_expert_parallel=False,
        )
        self._forward = own.forward

    @property
    def down(self) -> nn.Parameter:  # type: ignore[override]
        """Refuse: there may be more than two matrices."""
        raise AdapterError(
            "these experts are computed in the model's own way, and cannot be migrated or have "
            "their copies' gradients summed; load the model anew"
        )

    def forward(self, rows: torch.Tensor, ends: torch.Tensor, count: list[int]) -> torch.Tensor:
        """Return what the experts make of rows that are sorted by slot, as `Experts`."""
        if len(rows) == 0:
            return rows * 1.0
        place = torch.arange(len(rows), dtype=ends.dtype, device=rows.device)
        slot = torch.searchsorted(ends, place, right=True)
        out: torch.Tensor = self._forward(rows, slot[:, None], rows.new_ones(len(rows), 1))
        return out


def experts_of_slots(module: nn.Module, layout: Layout, group: Any) -> Experts:
    """Return the experts of this rank's slots; the module gives up its own.

    Parameters
    ----------
    module
        Of a model of transformers, with an equal part of the experts on each rank, in order.
    layout
        Where they are wanted.
    group
        The workers.
    """
    plain = _is_plain(module)
    trained = any(parameter.requires_grad for parameter in module.parameters(recurse=False))
    weights: dict[str, torch.Tensor] = {}
    for name in list(module._parameters):
        if isinstance(parameter := module._parameters[name], DTensor):
            weights[name] = moved(parameter.to_local(), layout, group)
            # Given up one by one, so that no second copy of all need fit.
            del parameter
            module._parameters[name] = None
    found = (
        Experts(weights["gate_up_proj"], weights["down_proj"])
        if plain
        else ModelExperts(module, weights)
    )
    return found.requires_grad_(trained)


def _bare(module: nn.Module) -> Any:
    """Return a copy without weights, and without what transformers and FSDP put upon a module."""
    kind: Any = next(each for each in type(module).__mro__ if not issubclass(each, FSDPModule))
    own = kind.__new__(kind)
    nn.Module.__init__(own)
    theirs = {"forward", "moeopt_ep", *own.__dict__}
    for name, value in module.__dict__.items():
        # FSDP keeps its state, and so the old weights, under names with two underscores.
        if name not in theirs and not name.startswith("__"):
            own.__dict__[name] = value
    return own


def moved(part: torch.Tensor, layout: Layout, group: Any) -> torch.Tensor:
    """Return the weights of this rank's slots, ``(slots, ...)``, 0 where one is empty.

    Parameters
    ----------
    part
        Those of this rank's equal part of all experts in order, ``(experts / ranks, ...)``.
    layout
        Where they are wanted.
    group
        The workers.
    """
    rank, world = rank_and_world(group)
    each = len(part)
    held = [layout.experts_on(there) for there in range(world)]
    # In order, so that they also stand rank by rank.
    wanted = [np.unique(experts[experts >= 0]) for experts in held]
    sent = [experts[experts // each == rank] - rank * each for experts in wanted]
    received = np.bincount(wanted[rank] // each, minlength=world)
    rows = part.reshape(each, -1)[torch.from_numpy(np.concatenate(sent)).to(part.device)]
    count = len(wanted[rank])
    # The last one is for empty slots.
    out = rows.new_zeros(count + 1, rows.shape[1])
    sizes = Sizes([len(experts) for experts in sent], received.tolist())
    SingleExchange(group).route(sizes, 0).start(rows, out[:count]).wait()
    index = np.where(held[rank] < 0, count, np.searchsorted(wanted[rank], held[rank]))
    return out[torch.from_numpy(index).to(out.device)].reshape(-1, *part.shape[1:])


def is_wrapped(module: nn.Module) -> bool:
    """Tell whether FSDP holds the module's weights."""
    return isinstance(module, FSDPModule)


def _is_plain(module: Any) -> bool:
    """Tell whether `Experts` computes the same: gated by SiLU, two matrices, no bias."""
    activations: Any = importlib.import_module("transformers.activations")
    kind = type(module)
    return (
        hasattr(kind, "_apply_gate")
        and set(module._parameters) == {"gate_up_proj", "down_proj"}
        and kind._apply_gate.__module__ == "transformers.integrations.moe"
        and isinstance(module.act_fn, (nn.SiLU, activations.SiLUActivation))
        and module.has_gate
        and module.is_concatenated
        and not (module.has_bias or module.is_transposed or module.has_post_expert_norm)
    )


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _refuse_to_save(module: nn.Module, prefix: str, keep_vars: bool) -> None:
    rule = "must not be saved under a plan: each rank holds other experts, some of them twice"
    raise InstanceError("model", f"<{prefix.rstrip('.')}>", rule, "save it before place()")
