"""One function for the files of any of the formats."""

from __future__ import annotations

import zipfile
from pathlib import Path

from moeopt.core.errors import InstanceError
from moeopt.traces import sglang
from moeopt.traces.archive import opened_zip
from moeopt.traces.counts import ExpertCounts
from moeopt.traces.csv_counts import read_csv_counts
from moeopt.traces.joining import Paths, names_of
from moeopt.traces.megatron import read_megatron_trace
from moeopt.traces.npz import read_trace
from moeopt.traces.routed_experts import read_routed_experts
from moeopt.traces.tensorrt import read_tensorrt_counts
from moeopt.traces.torch_file import read_torch
from moeopt.traces.trace import RoutingTrace

#: Formats of which several files may be one recording.
_SEVERAL = (".npy", ".npz", ".pt", ".jsonl")


def read_any(paths: Paths) -> RoutingTrace | ExpertCounts:
    """Return what a file, or TensorRT-LLM's folder, holds: choices if it has them, else counts.

    Parameters
    ----------
    paths
        ``.npz`` of a trace or of routed experts, ``.npy``, ``.pt`` of SGLang, ``.jsonl`` of
        Megatron, ``.csv``, or a folder; or several files of one recording, those of all ranks or
        requests.

    Raises
    ------
    InstanceError
        If it is none of these, or malformed.
    AdapterError
        If a package that reads it is not installed.
    """
    names = names_of(paths)
    name = names[0]
    suffix = Path(name).suffix.lower()
    for other in names[1:]:
        if suffix not in _SEVERAL or Path(other).suffix.lower() != suffix:
            raise InstanceError(
                other,
                f"<suffix {Path(other).suffix or 'none'}>",
                f"must be {suffix} too: one recording has several {', '.join(_SEVERAL)}",
                "read the others by themselves",
            )
    if suffix == ".npz" and len(names) == 1 and _is_trace(name):
        return read_trace(name)
    if suffix in (".npy", ".npz"):
        return read_routed_experts(names)
    if suffix == ".pt":
        files = [read_torch(each) for each in names]
        return sglang.trace_of(files) if sglang.has_tokens(files[0]) else sglang.counts_of(files)
    if suffix == ".jsonl":
        return read_megatron_trace(names)
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
