"""A drop-in for DeepSeek's EPLB: the same call, the same three arrays, a better balance."""

from __future__ import annotations

import sys
from typing import Any, Literal

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.placement import balance

Effort = Literal["auto", "fast", "eplb", "search"]

#: Work per slot of ``method="search"``.
SEARCH_WORK = 40_000


def rebalance_experts(
    weight: Any,
    num_replicas: int,
    num_groups: int,
    num_nodes: int,
    num_gpus: int,
    *,
    method: Effort = "auto",
    max_copies_per_gpu: int | None = None,
    seed: int = 0,
) -> tuple[Any, Any, Any]:
    """Place experts and their replicas on devices, as ``eplb.rebalance_experts`` does.

    Hierarchical (every group on one node) if the nodes divide the groups, else global, as there.

    Parameters
    ----------
    weight
        Load of each expert, shape ``(layers, experts)``; NumPy array, torch tensor or lists.
    num_replicas
        Physical slots of each layer; a multiple of `num_gpus`.
    num_groups
        Groups of consecutive experts.
    num_nodes
        Nodes; they divide the devices.
    num_gpus
        Devices.
    method
        ``"auto"`` (default), ``"fast"`` (a swap descent from EPLB's plan), ``"eplb"`` (DeepSeek's
        algorithm itself) or ``"search"`` (slow and best).
    max_copies_per_gpu
        Most copies of an expert on one device; ``None`` for any number, as EPLB.
    seed
        The same seed gives the same plan, on every rank.

    Returns
    -------
    physical_to_logical_map
        Expert in each slot, shape ``(layers, num_replicas)``.
    logical_to_physical_map
        Slots of each expert, shape ``(layers, experts, X)`` with ``X`` the largest number of
        copies, padded with -1.
    expert_count
        Copies of each expert, shape ``(layers, experts)``.

        Each is an int64 NumPy array, or a torch tensor on the CPU if `weight` was a tensor.

    Raises
    ------
    InstanceError
        If the sizes do not fit together.
    """
    load = _as_array(weight)
    hierarchical = num_groups > 1 and num_nodes > 0 and num_groups % num_nodes == 0
    _check(load, num_replicas, num_groups, num_nodes, num_gpus, hierarchical)
    blocks = balance.uniform_blocks(
        load,
        num_replicas,
        num_gpus,
        nodes=num_nodes if hierarchical else 1,
        groups=num_groups if hierarchical else 0,
        per_device=max_copies_per_gpu or 0,
    )
    if method == "eplb":
        table = balance.eplb(blocks).table
    elif method == "fast":
        table = balance.fast(blocks).table
    else:
        work = balance.AUTO_WORK if method == "auto" else SEARCH_WORK
        table = balance.search(blocks, work, seed).table
    slots_of, count = logical_maps(table, load.shape[1])
    return _like(weight, table), _like(weight, slots_of), _like(weight, count)


def logical_maps(table: IntArray, experts: int) -> tuple[IntArray, IntArray]:
    """Return the slots of each expert, padded with -1, and the number of its copies.

    Parameters
    ----------
    table
        Expert in each slot, shape ``(layers, slots)``, none empty.
    experts
        Number of logical experts.
    """
    layers, slots = table.shape
    flat = (np.arange(layers)[:, None] * experts + table).ravel()
    count = np.bincount(flat, minlength=layers * experts)
    order = np.argsort(flat, kind="stable")
    first = np.cumsum(count) - count
    rank = np.arange(layers * slots) - first[flat[order]]
    slots_of = np.full((layers * experts, int(count.max())), -1, dtype=np.int64)
    slots_of[flat[order], rank] = order % slots
    return slots_of.reshape(layers, experts, -1), count.reshape(layers, experts)


def _as_array(weight: Any) -> FloatArray:
    if "torch" in sys.modules and isinstance(weight, sys.modules["torch"].Tensor):
        weight = weight.detach().cpu().float().numpy()
    load = np.asarray(weight, dtype=np.float64)
    if load.ndim != 2 or 0 in load.shape:
        raise InstanceError(
            "weight", f"<shape {load.shape}>", "must have shape (layers, experts)", "reshape it"
        )
    if not (np.isfinite(load).all() and (load >= 0).all()):
        raise InstanceError("weight", "<loads>", "must be finite and >= 0", "correct the loads")
    return load


def _check(
    load: FloatArray, replicas: int, groups: int, nodes: int, gpus: int, hierarchical: bool
) -> None:
    experts = load.shape[1]
    if gpus < 1 or replicas % gpus:
        raise InstanceError(
            "num_replicas", replicas, f"must be a multiple of num_gpus = {gpus}", "pad the slots"
        )
    if replicas < experts:
        raise InstanceError(
            "num_replicas", replicas, f"must be at least the {experts} experts", "add replicas"
        )
    if groups < 1 or experts % groups:
        raise InstanceError(
            "num_groups", groups, f"must divide the {experts} experts", "use 1 for no groups"
        )
    if nodes < 1 or gpus % nodes:
        raise InstanceError(
            "num_nodes", nodes, f"must divide num_gpus = {gpus}", "use 1 to ignore nodes"
        )
    if hierarchical and experts // nodes > replicas // nodes:
        raise InstanceError("num_replicas", replicas, "must hold every node's groups", "add some")


def _like(weight: Any, array: IntArray) -> Any:
    if "torch" in sys.modules and isinstance(weight, sys.modules["torch"].Tensor):
        return sys.modules["torch"].from_numpy(array)
    return array
