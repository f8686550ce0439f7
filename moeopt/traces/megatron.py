"""Routing traces of Megatron-Core: JSON lines, one for each step and layer, a file a rank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.files import plain_size
from moeopt.traces.archive import require_small, smallest
from moeopt.traces.joining import Paths, names_of
from moeopt.traces.trace import MOST_EXPERTS, Integers, RoutingTrace

#: Longest line: some 3 million experts.
MAX_LINE_BYTES = 16 * 2**20

#: The only stage that Megatron writes: what the router chose, before anything is dropped.
_STAGE = "pre_dispatch"

Block = Literal["decoder", "mtp"]


class _Record(msgspec.Struct):
    """One line; fields of sidecar files are left unread."""

    step: int
    stage: str
    block: str
    layer: int
    rank: int
    num_tokens: int
    topk: int
    top_indices: list[list[int]]
    mtp_idx: int = 0


#: Number of a layer: that of its multi-token prediction head, then its own.
_Layer = tuple[int, int]

#: Experts of each layer, in order, batch by batch.
_Step = dict[_Layer, list[Integers]]


def read_megatron_trace(
    paths: Paths,
    *,
    pipeline_stages: int = 1,
    block: Block = "decoder",
    experts: int | None = None,
) -> RoutingTrace:
    """Return the trace that ``--moe-routing-trace-path`` wrote.

    Tokens come by step, then by rank, then by batch. Each rank's batch is one sequence: the
    tokens that were together on one rank, in the order in which Megatron had them, which for
    batches of several texts is a token of each text in turn. A step that has a layer several times
    has as many batches.

    Parameters
    ----------
    paths
        ``router_trace_rank{rank}.jsonl`` of each rank, in any order.
    pipeline_stages
        Parts of the model that are on different ranks. Megatron numbers the layers of each from 0,
        so the file does not say: ranks are cut into as many runs, each the next stage.
    block
        ``"decoder"``, or ``"mtp"`` for the heads that predict further tokens.
    experts
        Experts of each layer; left out, one more than the largest.

    Raises
    ------
    InstanceError
        If a file is no such trace, or ranks, steps or layers contradict each other.
    """
    names = names_of(paths)
    steps: dict[int, dict[int, _Step]] = defaultdict(dict)
    for name in names:
        for (rank, step), layers in _read(name, block).items():
            if rank in steps[step]:
                raise InstanceError(
                    name, f"<step {step} of rank {rank}>", "must stand in one file", "give it once"
                )
            steps[step][rank] = layers
    ranks = sorted({rank for found in steps.values() for rank in found})
    stages = whole("pipeline_stages", pipeline_stages)
    if not ranks or stages < 1 or len(ranks) % stages:
        raise InstanceError(
            "pipeline_stages" if ranks else names[0],
            stages if ranks else f"<no record of {block}>",
            f"must divide the {len(ranks)} ranks" if ranks else f"must have some of stage {_STAGE}",
            "give the files of all ranks",
        )
    groups = np.array(ranks).reshape(stages, -1).T.tolist()
    parts = [
        part for step in sorted(steps) for group in groups for part in _joined(steps[step], group)
    ]
    return _trace(parts, names[0], experts)


def _trace(parts: list[IntArray], name: str, experts: int | None) -> RoutingTrace:
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise InstanceError(
            name,
            f"<(layers, topk) {sorted(shapes)}>",
            "must have the same layers and topk on all ranks, in all steps",
            "give pipeline_stages if ranks hold different layers",
        )
    try:
        return RoutingTrace(
            np.concatenate(parts),
            sequence_lengths=np.array([len(part) for part in parts]),
            experts=experts,
        )
    except InstanceError as error:
        raise error.under(f"{name}: ") from None


def _joined(found: dict[int, _Step], group: list[int]) -> Iterator[IntArray]:
    """Yield the batches of the ranks that together hold the model, ``(tokens, layers, topk)``."""
    layers: list[list[Integers]] = []
    for rank in group:
        layers += [batches for _, batches in sorted(found.get(rank, {}).items())]
    named = f"ranks {group}" if len(group) > 1 else f"rank {group[0]}"
    if len({len(batches) for batches in layers}) > 1:
        raise InstanceError(
            named,
            f"<{sorted({len(batches) for batches in layers})} batches>",
            "must have every layer equally often in a step",
            "was the trace cut off? leave the last step out",
        )
    for batch in zip(*layers, strict=True):
        if len({experts.shape for experts in batch}) > 1:
            raise InstanceError(
                named,
                f"<(tokens, topk) {sorted({experts.shape for experts in batch})}>",
                "must have the same tokens and topk in every layer",
                "layers of unequal topk make no trace",
            )
        yield np.stack(batch, axis=1)


def _read(name: str, block: Block) -> dict[tuple[int, int], _Step]:
    """Return the experts of a file by rank and step."""
    found: dict[tuple[int, int], _Step] = defaultdict(lambda: defaultdict(list))
    for where, record in _records(name):
        if record.stage == _STAGE and record.block == block:
            layer = (record.mtp_idx, record.layer)
            found[record.rank, record.step][layer].append(_experts(record, where))
    return found


def _records(name: str) -> Iterator[tuple[str, _Record]]:
    decoder = msgspec.json.Decoder(_Record)
    try:
        size = plain_size(name)
        require_small(name, size, size)
        with open(name, "rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                where = f"{name}, line {number}"
                if len(line) > MAX_LINE_BYTES:
                    rule = f"must have at most {MAX_LINE_BYTES} bytes"
                    raise InstanceError(where, "<longer>", rule, "take fewer tokens")
                if line.strip():
                    yield where, _decoded(decoder, line, where)
    except OSError as error:
        raise InstanceError(
            name, f"<{error.strerror}>", "must be a readable file", "check the name"
        ) from None


def _decoded(decoder: msgspec.json.Decoder[_Record], line: bytes, where: str) -> _Record:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())[:80]
        raise InstanceError(
            where, f"<{said}>", "must be one record of Megatron's routing trace", "correct it"
        ) from None


def _experts(record: _Record, where: str) -> Integers:
    """Return a record's experts in a small type, ``(tokens, topk)``."""
    rows = record.top_indices
    if not 1 <= record.topk <= MOST_EXPERTS:
        raise InstanceError(
            f"{where}: topk", record.topk, f"must be 1 to {MOST_EXPERTS}", "correct the record"
        )
    if len(rows) != record.num_tokens or any(len(row) != record.topk for row in rows):
        raise InstanceError(
            f"{where}: top_indices",
            f"<{len(rows)} rows>",
            f"must be num_tokens = {record.num_tokens} rows of topk = {record.topk}",
            "was the line cut off?",
        )
    low = min((min(row, default=0) for row in rows), default=0)
    high = max((max(row, default=0) for row in rows), default=0)
    if low < 0 or high >= 2**31 or min(record.step, record.rank, record.layer) < 0:
        raise InstanceError(
            where,
            low if low < 0 else high,
            "must have step, rank, layer and experts >= 0",
            "correct the record",
        )
    array = np.array(rows, dtype=np.int64).reshape(record.num_tokens, record.topk)
    return smallest(array)
