"""Expert statistics of TensorRT-LLM: counts of each rank in safetensors, one for an iteration."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.core.files import plain_size
from moeopt.traces.archive import Array, require_small
from moeopt.traces.counts import ExpertCounts, require_room

#: What says how many experts there are.
META = "meta_info.json"

_MOST_META_BYTES = 2**20

_RANK = re.compile(r"rank\d+\.safetensors", re.ASCII)
_KEY = re.compile(r"(\d{1,15})_(\d{1,15})", re.ASCII)


class _Meta(msgspec.Struct):
    num_experts: int


def read_tensorrt_counts(folder: str | os.PathLike[str]) -> ExpertCounts:
    """Return the counts that TensorRT-LLM writes under ``EXPERT_STATISTIC_PATH``.

    Ranks are added up. A window is an iteration; layers keep their numbers in the model.

    Parameters
    ----------
    folder
        With ``meta_info.json`` and a ``rank0.safetensors`` for each rank, whose tensors
        ``{iteration}_{layer}`` are whole numbers of shape ``(experts,)``.

    Raises
    ------
    InstanceError
        If a file is missing or malformed, or a layer is missing in an iteration.
    AdapterError
        If safetensors is not installed.
    """
    place = Path(folder)
    experts = _experts(place / META)
    ranks = sorted(path for path in _listed(place) if _RANK.fullmatch(path.name))
    if not ranks:
        raise InstanceError(
            str(place), "<no rank0.safetensors>", "must hold a rank's counts", "name its folder"
        )
    _require_small(str(place), ranks)
    summed: dict[tuple[int, int], IntArray] = {}
    for path in ranks:
        for key, tensor in _tensors(path).items():
            counts = _count(tensor, f"{path}: {key}", experts)
            where = _iteration_and_layer(key, str(path))
            summed[where] = summed[where] + counts if where in summed else counts
    return _windows(summed, str(place), experts)


def _windows(summed: dict[tuple[int, int], IntArray], name: str, experts: int) -> ExpertCounts:
    iterations = sorted({iteration for iteration, _ in summed})
    layers = sorted({layer for _, layer in summed})
    for iteration in iterations:
        for layer in layers:
            if (iteration, layer) not in summed:
                raise InstanceError(
                    name,
                    f"<no {iteration}_{layer}>",
                    "must have every layer in every iteration",
                    "was a rank's file left out?",
                )
    if not summed:
        raise InstanceError(name, "<no tensors>", "must hold counts", "record some iterations")
    require_room(name, len(iterations), len(layers), experts, experts * len(summed))
    counts = np.stack([np.stack([summed[i, layer] for layer in layers]) for i in iterations])
    return ExpertCounts(counts.astype(np.float64), np.array(layers))


def _experts(path: Path) -> int:
    try:
        plain_size(path)
        with path.open("rb") as file:
            meta = msgspec.json.decode(file.read(_MOST_META_BYTES), type=_Meta)
    except (OSError, msgspec.DecodeError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split())[:80]
        raise InstanceError(
            str(path), f"<{said}>", "must be JSON with num_experts", "name the folder that has it"
        ) from None
    if meta.num_experts < 1:
        raise InstanceError(f"{path}: num_experts", meta.num_experts, "must be >= 1", "correct it")
    return meta.num_experts


def _listed(place: Path) -> list[Path]:
    try:
        return list(place.iterdir())
    except OSError as error:
        raise InstanceError(
            str(place), f"<{error.strerror}>", "must be a folder", "check the name"
        ) from None


def _require_small(name: str, ranks: list[Path]) -> None:
    try:
        size = sum(plain_size(path) for path in ranks)
    except OSError as error:
        raise InstanceError(
            str(error.filename), f"<{error.strerror}>", "must be a readable file", "copy it there"
        ) from None
    require_small(name, size, size)


def _tensors(path: Path) -> dict[str, Array]:
    try:
        from safetensors import SafetensorError, numpy
    except ImportError:
        raise AdapterError(
            "reading TensorRT-LLM's counts needs safetensors, not installed here;"
            " pip install 'moeopt[traces]'"
        ) from None
    try:
        read: dict[str, Any] = numpy.load_file(path)
    # TypeError and KeyError: types that NumPy does not have.
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, MemoryError) as error:
        said = " ".join(str(error).split())[:80]
        raise InstanceError(
            str(path), f"<{said}>", "must be a whole safetensors file", "write it again"
        ) from None
    return read


def _iteration_and_layer(key: str, name: str) -> tuple[int, int]:
    match = _KEY.fullmatch(key)
    if match is None:
        raise InstanceError(name, key, "must name tensors {iteration}_{layer}", "rename it: 0_3")
    return int(match[1]), int(match[2])


def _count(tensor: Array, path: str, experts: int) -> IntArray:
    if tensor.dtype.kind not in "iu" or tensor.shape != (experts,):
        raise InstanceError(
            path,
            f"<{tensor.dtype} of shape {tensor.shape}>",
            f"must be whole numbers, one for each of the {experts} experts of {META}",
            "are these files of one model?",
        )
    counts = tensor.astype(np.int64)
    if counts.min() < 0:
        raise InstanceError(path, int(counts.min()), "must be counts >= 0", "correct it")
    return counts
