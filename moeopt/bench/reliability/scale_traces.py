"""Long traces: written, read, cut into windows, and replayed."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from moeopt.bench.reliability.scale_step import Step
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import replay
from moeopt.buffering.stream import streams
from moeopt.committee.from_trace import committee_problem
from moeopt.core.solve import solve
from moeopt.describe.loads import coactivation_counts
from moeopt.popularity.table import count_table
from moeopt.traces import (
    RoutingTrace,
    counts_in_windows,
    read_csv_counts,
    read_megatron_trace,
    read_routed_experts,
    read_trace,
    with_stand_in_ids,
    write_csv_counts,
    write_trace,
)

Steps = Generator[Step, Any, None]

_LAYERS, _EXPERTS, _TOP_K = 2, 64, 8

#: Tokens of a sequence, and of a window.
_SEQUENCE, _WINDOW = 1000, 1000

#: Tokens of a step, and experts that a layer's cache holds.
_BATCH, _SLOTS = 8, 32

#: Tokens of the longest trace that `solve` takes in 20 GiB: a plan keeps what each reference does.
_SOLVED = 5_000_000

#: The learned policy takes microseconds a reference: it is given this part of the trace.
_LEARNED = 16


def made(tokens: int) -> RoutingTrace:
    """Return routing of some popular experts, no expert twice for a token."""
    rng = np.random.default_rng(0)
    first = (rng.random((tokens, _LAYERS, 1)) ** 3 * _EXPERTS).astype(np.uint8)
    step = rng.integers(0, _EXPERTS // _TOP_K, (tokens, _LAYERS, 1), dtype=np.uint8)
    places = np.arange(_TOP_K, dtype=np.uint8) * np.uint8(_EXPERTS // _TOP_K)
    ids = (first + places + step * (places % 2)) % np.uint8(_EXPERTS)
    return RoutingTrace(ids, sequence_lengths=_lengths(tokens), experts=_EXPERTS)


def files(tokens: int, folder: Path) -> Steps:
    """Write a trace, and read it in each form."""
    trace = made(tokens)
    entries = trace.expert_ids.size
    whole, requests, lines = folder / "trace.npz", folder / "requests.npy", folder / "0.jsonl"
    yield Step("check a trace", "entries", entries, lambda: RoutingTrace(trace.expert_ids))
    yield Step("write a trace", "entries", entries, lambda: write_trace(whole, trace))
    yield Step("read a trace", "entries", entries, lambda: read_trace(whole))
    np.save(requests, trace.expert_ids)
    yield Step(
        "read routed experts (.npy)", "entries", entries, lambda: read_routed_experts(requests)
    )
    _write_lines(lines, trace)
    read = trace.num_tokens * trace.top_k
    yield Step("read Megatron's .jsonl", "entries", read, lambda: read_megatron_trace(lines))


def counts(tokens: int, folder: Path) -> Steps:
    """Cut a trace into windows, count, and keep the counts."""
    trace = made(tokens)
    entries, path = trace.expert_ids.size, folder / "counts.csv"
    ids = trace.expert_ids
    found = yield Step(
        "count in windows", "entries", entries, lambda: counts_in_windows(trace, tokens // _WINDOW)
    )
    cells = found.counts.size
    yield Step("write counts (.csv)", "counts", cells, lambda: write_csv_counts(path, found))
    yield Step("read counts (.csv)", "bytes", path.stat().st_size, lambda: read_csv_counts(path))
    yield Step("count all", "entries", entries, trace.counts)
    yield Step("count pairs", "entries", entries, lambda: coactivation_counts(ids, _EXPERTS))
    yield Step("cut out a part", "entries", entries, lambda: trace.part(7, tokens - 7))
    known = with_stand_in_ids(trace)
    yield Step("count token IDs", "entries", entries // 2, lambda: count_table(known))


def replays(tokens: int, folder: Path) -> Steps:
    """Replay a trace in a cache, and plan a committee for it."""
    del folder
    trace = made(tokens)
    entries = trace.expert_ids.size
    problem = yield Step(
        "references of a trace",
        "entries",
        entries,
        lambda: buffering_problem(trace, batch_tokens=_BATCH, slots=_SLOTS),
    )
    references = len(problem.active)
    for policy in ("lru", "belady"):
        yield Step(
            f"replay {policy}",
            "references",
            references,
            partial(_replayed, problem, policy),
        )
    part = buffering_problem(trace.part(0, tokens // _LEARNED), batch_tokens=_BATCH, slots=_SLOTS)
    yield Step(
        "replay learned",
        "references",
        len(part.active),
        partial(_replayed, part, "learned"),
    )
    if tokens <= _SOLVED:
        yield Step("solve by lru", "references", references, lambda: solve(problem, "lru"))
    committee = yield Step(
        "windows of a committee",
        "entries",
        entries,
        lambda: committee_problem(trace, window_tokens=_WINDOW, budget_bytes=_LAYERS * _SLOTS),
    )
    cells = committee.importance.size
    yield Step("plan a committee", "counts", cells, lambda: solve(committee, "knapsack"))


def _replayed(problem: BufferingProblem, policy: str) -> None:
    for each in streams(problem):
        replay(each, policy)


def _lengths(tokens: int) -> Any:
    lengths = np.full(-(-tokens // _SEQUENCE), _SEQUENCE)
    lengths[-1] = tokens - lengths[:-1].sum()
    return lengths


def _write_lines(path: Path, trace: RoutingTrace) -> None:
    """Write one layer as Megatron does, a line for each sequence."""
    with path.open("wb") as file:
        for step in range(0, trace.num_tokens, _SEQUENCE):
            rows = trace.expert_ids[step : step + _SEQUENCE, 0].tolist()
            record = {"step": step, "stage": "pre_dispatch", "block": "decoder", "layer": 0}
            record |= {"rank": 0, "num_tokens": len(rows), "topk": _TOP_K, "top_indices": rows}
            file.write(msgspec.json.encode(record) + b"\n")
