"""OmniInfer: the ``.npy`` of its ``pattern_path``, who holds what as 0 and 1.

Shape ``(world_size, moe_layers, num_experts)``, int32. A rank holds its experts in ascending order
and each once.
"""

from __future__ import annotations

import io
import json
import os

import numpy as np

from moeopt.adapters.engines.files import Known, placed
from moeopt.adapters.engines.placements import (
    MAX_CELLS,
    EnginePlacement,
    require_apart,
    require_full,
)
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.traces.archive import read_array

ENGINE = "OmniInfer"
SUFFIXES = (".npy",)


def refuse(placement: EnginePlacement) -> None:
    """Raise `InstanceError` for what a matrix of who holds what cannot say."""
    require_full(placement, ENGINE)
    require_apart(placement, ENGINE)


def encode(placement: EnginePlacement) -> bytes:
    """Return the file."""
    shape = (placement.devices, placement.num_layers, placement.experts)
    pattern = np.zeros(shape, dtype=np.int32)
    held = placement.by_device().transpose(1, 0, 2)
    np.put_along_axis(pattern, held, 1, axis=2)
    out = io.BytesIO()
    np.save(out, pattern)
    return out.getvalue()


def read(path: str | os.PathLike[str], known: Known) -> EnginePlacement:
    """Return the placement of a file: experts ascend on each rank, -1 where a rank has fewer."""
    name = os.fspath(path)
    pattern = read_array(name)
    whole = pattern.dtype.kind in "iu"
    if pattern.ndim != 3 or 0 in pattern.shape or pattern.size > MAX_CELLS or not whole:
        raise InstanceError(
            name,
            f"<{pattern.dtype} of shape {pattern.shape}>",
            "must be whole numbers of shape (devices, MoE layers, experts), at most"
            f" {MAX_CELLS} in all",
            "is it a placement pattern?",
        )
    devices, _, experts = pattern.shape
    if known.experts not in (None, experts):
        raise InstanceError(
            name, f"<{experts} experts>", f"must have {known.experts}", "is it the right model?"
        )
    table = _slots(pattern != 0)
    if table.shape[2] == 0:
        raise InstanceError(name, "<nothing but 0>", "must place experts", "is it the right file?")
    flat = table.reshape(len(table), -1)
    return placed(path, flat, Known(known.devices, experts, known.layers), devices)


def usage(placement: EnginePlacement, path: str) -> list[str]:
    """Return the configuration that serves the placement."""
    return [
        "# in the configuration of the model",
        '"use_omni_placement": true, "omni_placement_config_path": "omni.yaml"',
        "# omni.yaml",
        f"pattern_path: {json.dumps(path)}",
        f"max_moe_layer_num: {placement.num_layers}",
        "enable_dynamic: False",
        "enable_rank_round_robin: False",
        "enable_dump: False",
        f"# for {placement.devices} ranks; newer versions take these keys as omni_placement_config"
        " of --additional-config, beside enable_omni_placement",
    ]


def _slots(held: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> IntArray:
    """Return the experts of each rank, ``(layers, devices, most of a rank)``."""
    count = held.sum(axis=2)
    # A stable sort puts what is held first, in order.
    first = np.argsort(~held, axis=2, kind="stable")[:, :, : int(count.max(initial=0))]
    there = np.arange(first.shape[2]) < count[:, :, None]
    return np.where(there, first, -1).transpose(1, 0, 2)
