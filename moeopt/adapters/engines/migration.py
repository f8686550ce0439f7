"""A drop-in for vLLM's migration scheduler: the same calls, the same lists, shorter schedules.

vLLM's ``distributed/eplb/migration_scheduler.py`` puts flows of experts into batches of which each
is one exchange. These functions take its arguments and return its shapes; every rank computes the
same answer from the same maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray, numbers_of
from moeopt.core.errors import InstanceError
from moeopt.transfers.migration import moves_between, order_migration


@dataclass(frozen=True, slots=True)
class MigrationFlow:
    """Experts that one rank sends to another in one batch.

    Attributes
    ----------
    src_rank, dst_rank
        Ranks.
    expert_ids
        Logical experts, ascending.
    """

    src_rank: int
    dst_rank: int
    expert_ids: tuple[int, ...]


def schedule_migration_batches(
    num_local_experts: int,
    old_indices: npt.NDArray[Any],
    new_indices: npt.NDArray[Any],
    *,
    full_duplex: bool = False,
    expert_bytes: npt.NDArray[Any] | None = None,
) -> list[list[MigrationFlow]]:
    """Schedule the transfers that turn one layer's placement into another, in batches.

    Experts that a rank holds already are not sent to it, and experts without any copy are left
    out. Which copy is sent is chosen so that the busiest rank has least to do.

    Parameters
    ----------
    num_local_experts
        Slots of each rank.
    old_indices, new_indices
        Logical expert in each slot, rank-major, -1 for an empty slot; shape ``(slots,)``.
    full_duplex
        ``False``: a rank has one flow in a batch, sent or received, as in vLLM. ``True``: at most
        one each way, about half as many batches.
    expert_bytes
        Bytes of each expert by its number, where they differ; then flows of similar size meet.

    Returns
    -------
    The flows of each batch.

    Raises
    ------
    InstanceError
        If the arguments are malformed or do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from moeopt.adapters.engines.migration import schedule_migration_batches
    >>> batches = schedule_migration_batches(1, np.array([0, 1]), np.array([1, 0]))
    >>> [[(flow.src_rank, flow.dst_rank, flow.expert_ids) for flow in batch] for batch in batches]
    [[(0, 1, (0,))], [(1, 0, (1,))]]
    """
    old, new = _checked(num_local_experts, old_indices, new_indices, axes=1)
    sizes = _sizes(expert_bytes, old, new)
    return _schedule(num_local_experts, old, new, full_duplex, sizes)


def schedule_migration_batches_for_layers(
    num_local_experts: int,
    old_indices: npt.NDArray[Any],
    new_indices: npt.NDArray[Any],
    *,
    full_duplex: bool = False,
    expert_bytes: npt.NDArray[Any] | None = None,
) -> list[list[list[MigrationFlow]]]:
    """Schedule every layer by itself: `schedule_migration_batches` for maps of several layers.

    Parameters
    ----------
    num_local_experts, full_duplex, expert_bytes
        As for one layer.
    old_indices, new_indices
        Shape ``(layers, slots)``.
    """
    old, new = _checked(num_local_experts, old_indices, new_indices, axes=2)
    sizes = _sizes(expert_bytes, old, new)
    return [
        _schedule(num_local_experts, before, after, full_duplex, sizes)
        for before, after in zip(old, new, strict=True)
    ]


def _schedule(
    slots_per_rank: int, old: IntArray, new: IntArray, full_duplex: bool, sizes: FloatArray | float
) -> list[list[MigrationFlow]]:
    expert, moves = moves_between(old, new, slots_per_rank, sizes)
    ids = expert.tolist()
    return [
        [
            MigrationFlow(flow.source, flow.destination, tuple(ids[move] for move in flow.moves))
            for flow in batch
        ]
        for batch in order_migration(moves, half_duplex=not full_duplex).batches
    ]


def _checked(
    num_local_experts: int, old: npt.NDArray[Any], new: npt.NDArray[Any], axes: int
) -> tuple[IntArray, IntArray]:
    """Return both maps as whole numbers of one shape."""
    maps = []
    for name, value in (("old_indices", old), ("new_indices", new)):
        array = numbers_of(value, name)
        if array.dtype.kind == "f" or array.min(initial=-1) < -1:
            raise InstanceError(
                name, "<experts>", "must be whole numbers >= -1", "-1 is an empty slot"
            )
        if array.ndim != axes:
            rule = f"must have {axes} axes"
            raise InstanceError(name, f"<shape {array.shape}>", rule, "reshape it")
        maps.append(array.astype(np.int64, copy=False))
    if maps[0].shape != maps[1].shape:
        rule = f"must have the shape of old_indices, {maps[0].shape}"
        raise InstanceError("new_indices", f"<shape {maps[1].shape}>", rule, "pad with -1")
    slots = maps[0].shape[-1]
    if whole("num_local_experts", num_local_experts) < 1 or slots % num_local_experts:
        rule = f"must be at least 1 and divide the {slots} slots"
        raise InstanceError("num_local_experts", num_local_experts, rule, "pad with -1")
    return maps[0], maps[1]


def _sizes(
    expert_bytes: npt.NDArray[Any] | None, old: IntArray, new: IntArray
) -> FloatArray | float:
    if expert_bytes is None:
        return 1.0
    sizes = numbers_of(expert_bytes, "expert_bytes").astype(np.float64)
    experts = 1 + int(max(old.max(initial=-1), new.max(initial=-1)))
    if sizes.ndim != 1 or len(sizes) < experts:
        rule = f"must have one entry for each of {experts} experts"
        raise InstanceError("expert_bytes", f"<shape {sizes.shape}>", rule, "add the others")
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        rule = "must be finite numbers > 0"
        raise InstanceError("expert_bytes", "<bytes>", rule, "leave it out if all are equal")
    return sizes
