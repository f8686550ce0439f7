"""Dumps of SGLang's expert distribution recorder, in each of its modes.

``stat`` and ``stat_approx`` write ``logical_count`` for each forward pass; ``per_pass`` and
``per_token`` write a file for each rank with a list of records, one for each forward pass, and
the map from physical to logical experts that was in force at the end.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.traces.counts import ExpertCounts, require_room
from moeopt.traces.joining import Paths, lengths_of, names_of, routed
from moeopt.traces.sglang_records import RECORDS, TOPK, forward_passes
from moeopt.traces.torch_file import TorchFile, read_torch
from moeopt.traces.trace import RoutingTrace

_COUNT = "logical_count"


def read_sglang_trace(paths: Paths) -> RoutingTrace:
    """Return the trace of dumps in the mode ``per_token``.

    Tokens come by forward pass, then by rank. Physical experts become the logical ones of the
    dump's map. Layers without routing, padded tokens and unused places of the eight that the
    recorder has are left out. ``token_ids`` are the dump's. A sequence is what one request had in
    one pass: the dump does not say which passes were of one request.

    Parameters
    ----------
    paths
        The file of one rank, or the files of several. Where each rank records all tokens (tensor
        parallel attention), give one.

    Raises
    ------
    InstanceError
        If a file is no such dump, or files contradict each other.
    AdapterError
        If torch is not installed.
    """
    return trace_of([read_torch(name) for name in names_of(paths)])


def read_sglang_counts(paths: Paths) -> ExpertCounts:
    """Return the counts of dumps in any mode, a window for each forward pass.

    Every layer of the model has a row, dense ones without tokens: `ExpertCounts.active` leaves
    them out. Windows without tokens are left out: a buffer that was not full has such.

    Parameters
    ----------
    paths
        One file; or, of ``per_pass`` and ``per_token``, those of several ranks, which are added up.

    Raises
    ------
    InstanceError
        If a file is no such dump, or files contradict each other.
    AdapterError
        If torch is not installed.
    """
    return counts_of([read_torch(name) for name in names_of(paths)])


def has_tokens(file: TorchFile) -> bool:
    """Tell whether a dump has the experts of each token."""
    records = file.content.get(RECORDS)
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and TOPK in first


def trace_of(files: list[TorchFile]) -> RoutingTrace:
    """Return the trace of dumps, as `read_sglang_trace` does."""
    name, passes = files[0].name, forward_passes(files)
    parts = [one.expert_ids() for one in passes]
    if len({part.shape[2] for part in parts}) > 1:
        raise InstanceError(
            f"{name}: {TOPK}",
            f"<{sorted({part.shape[2] for part in parts})} places>",
            "must have as many places in every pass",
            "give the files of one run",
        )
    tokens = [one.token_ids(len(part)) for one, part in zip(passes, parts, strict=True)]
    begins = np.cumsum([0, *map(len, parts)])
    sequence = [
        begin + one.sequences(len(part))
        for begin, one, part in zip(begins[:-1], passes, parts, strict=True)
    ]
    expert_ids, kept = routed(np.concatenate(parts), f"{name}: {TOPK}")
    try:
        return RoutingTrace(
            expert_ids,
            sequence_lengths=lengths_of(np.concatenate(sequence)[kept]),
            token_ids=np.concatenate(tokens)[kept],
            experts=max(int(one.logical.max()) + 1 for one in passes),
        )
    except InstanceError as error:
        raise error.under(f"{name}: ") from None


def counts_of(files: list[TorchFile]) -> ExpertCounts:
    """Return the counts of dumps, as `read_sglang_counts` does."""
    name = files[0].name
    if any(_COUNT in file.content for file in files):
        if len(files) > 1:
            raise InstanceError(
                name, f"<{len(files)} files>", "must stand alone: it has all ranks", "give one file"
            )
        windows = files[0].integers(files[0].content[_COUNT], _COUNT, 3).astype(np.float64)
    else:
        windows = _windows(files)
    windows = windows[windows.any(axis=(1, 2))]
    if not len(windows):
        raise InstanceError(name, "<0 tokens>", "must hold tokens", "record while serving")
    try:
        return ExpertCounts(windows, np.arange(windows.shape[1]))
    except InstanceError as error:
        raise error.under(f"{name}: ") from None


def _windows(files: list[TorchFile]) -> FloatArray:
    """Return the counts of each forward pass, ranks added up."""
    passes = forward_passes(files)
    experts = max(int(one.logical.max()) + 1 for one in passes)
    numbers, window = np.unique([one.key[0] for one in passes], return_inverse=True)
    layers = len(passes[0].logical)
    stated = sum(one.logical.size for one in passes)
    require_room(files[0].name, len(numbers), layers, experts, stated)
    summed = np.zeros((len(numbers), layers, experts))
    for row, one in zip(window, passes, strict=True):
        one.add_counts(summed[row])
    return summed
