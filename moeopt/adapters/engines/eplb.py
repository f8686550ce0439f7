"""A drop-in for DeepSeek's EPLB: the same call, the same three arrays, a better balance."""

from __future__ import annotations

import math
import sys
from typing import Any, Literal, get_args

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray, numbers_of
from moeopt.core.errors import InstanceError
from moeopt.placement import balance

Effort = Literal["auto", "fast", "eplb", "search"]

_METHODS = get_args(Effort)

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
        If an argument is out of range, or the sizes do not fit together.
    NoPlacementError
        If no valid plan was found.
    """
    load = _as_array(weight)
    num_replicas, num_groups = whole("num_replicas", num_replicas), whole("num_groups", num_groups)
    num_nodes, num_gpus = whole("num_nodes", num_nodes), whole("num_gpus", num_gpus)
    _check_choices(method, max_copies_per_gpu, seed)
    hierarchical = num_groups > 1 and num_nodes > 0 and num_groups % num_nodes == 0
    _check(load, num_replicas, num_groups, num_nodes, num_gpus, hierarchical)
    nodes = num_nodes if hierarchical else 1
    if max_copies_per_gpu is not None:
        _check_fill(load.shape[1] // nodes, num_replicas, num_gpus, max_copies_per_gpu)
    blocks = balance.uniform_blocks(
        load,
        num_replicas,
        num_gpus,
        nodes=nodes,
        groups=num_groups if hierarchical else 0,
        per_device=max_copies_per_gpu or 0,
    )
    if method == "eplb":
        found = balance.eplb(blocks)
    elif method == "fast":
        found = balance.fast(blocks)
    else:
        work = balance.AUTO_WORK if method == "auto" else SEARCH_WORK
        found = balance.search(blocks, work, seed)
    table = found.table
    # Cheap, and enough: a slot left empty, a layer given up.
    if table.min() < 0 or not math.isfinite(found.value.sum()):
        raise _no_plan()
    slots_of, count = logical_maps(table, load.shape[1])
    if count.min() < 1:
        raise _no_plan()
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
    load = numbers_of(weight, "weight").astype(np.float64)
    if load.ndim != 2 or 0 in load.shape:
        raise InstanceError(
            "weight", f"<shape {load.shape}>", "must have shape (layers, experts)", "reshape it"
        )
    if not (np.isfinite(load).all() and (load >= 0).all()):
        raise InstanceError("weight", "<loads>", "must be finite and >= 0", "correct the loads")
    return load


def _check_choices(method: str, max_copies_per_gpu: int | None, seed: int) -> None:
    if method not in _METHODS:
        known = ", ".join(_METHODS)
        raise InstanceError("method", method, f"must be one of {known}", "auto is the default")
    if not 0 <= whole("seed", seed) < 2**31:
        raise InstanceError("seed", seed, "must be 0 to 2147483647", "0 is the default")
    if max_copies_per_gpu is not None and whole("max_copies_per_gpu", max_copies_per_gpu) < 1:
        raise InstanceError(
            "max_copies_per_gpu", max_copies_per_gpu, "must be >= 1", "None is any number"
        )


def _check_fill(experts: int, replicas: int, gpus: int, most: int) -> None:
    """Raise `InstanceError` if a device has more slots than its node's experts may take."""
    if replicas // gpus > experts * most:
        raise InstanceError(
            "max_copies_per_gpu",
            most,
            f"must let {experts} experts fill the {replicas // gpus} slots of a device",
            "raise it, or use fewer slots",
        )


def _no_plan() -> Exception:
    from moeopt.placement.arrays import NoPlacementError

    return NoPlacementError("no_plan_found: the slots could not be filled; try method='search'")


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
