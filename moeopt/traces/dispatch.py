"""One function for a file of any of the formats."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from moeopt.core.errors import InstanceError
from moeopt.traces import sglang
from moeopt.traces.archive import opened_zip
from moeopt.traces.counts import ExpertCounts
from moeopt.traces.csv_counts import read_csv_counts
from moeopt.traces.megatron import read_megatron_trace
from moeopt.traces.npz import read_trace
from moeopt.traces.routed_experts import read_routed_experts
from moeopt.traces.tensorrt import read_tensorrt_counts
from moeopt.traces.torch_file import read_torch
from moeopt.traces.trace import RoutingTrace


def read_any(path: str | os.PathLike[str]) -> RoutingTrace | ExpertCounts:
    """Return what one file, or TensorRT-LLM's folder, holds: choices if it has them, else counts.

    Parameters
    ----------
    path
        ``.npz`` of a trace or of routed experts, ``.npy``, ``.pt`` of SGLang, ``.jsonl`` of
        Megatron, ``.csv``, or a folder.

    Raises
    ------
    InstanceError
        If it is none of these, or malformed.
    AdapterError
        If a package that reads it is not installed.
    """
    name = os.fspath(path)
    suffix = Path(name).suffix.lower()
    if suffix == ".npz":
        return read_trace(name) if _is_trace(name) else read_routed_experts(name)
    if suffix == ".npy":
        return read_routed_experts(name)
    if suffix == ".pt":
        file = read_torch(name)
        return sglang.trace_of([file]) if sglang.has_tokens(file) else sglang.counts_of([file])
    if suffix == ".jsonl":
        return read_megatron_trace(name)
    if suffix == ".csv":
        return read_csv_counts(name)
    if Path(name).is_dir():
        return read_tensorrt_counts(name)
    raise InstanceError(
        name,
        f"<suffix {suffix or 'none'}>",
        "must be .npz, .npy, .pt, .jsonl, .csv or a folder",
        "name it by its format, or call the reader that you want",
    )


def _is_trace(name: str) -> bool:
    """Tell whether an archive names its arrays as a trace does; a broken one is left to it."""
    try:
        with opened_zip(name) as archive:
            return "expert_ids.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError):
        return True
