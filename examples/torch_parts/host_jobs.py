"""What the workers of ``torch_one_host.py`` run: exchanges, a migration, two models in turns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch_parts.layer_bench import (
    REPEATS,
    WARM_UP,
    Bench,
    Shape,
    here,
    largest,
    median_s,
    slowest_s,
)

from moeopt.adapters.torch.colocated import Colocated, Tokens
from moeopt.adapters.torch.exchange import SingleExchange, Sizes
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link, measure_link
from moeopt.adapters.torch.migrate import Migration
from moeopt.adapters.torch.rounds import RoundsExchange
from moeopt.transfers.plan import TransferPlan

#: Bytes of a row in exchanges.
ROW_BYTES = 1024


def link(most_bytes: int) -> Link:
    """Measure what exchanges cost between the workers."""
    return measure_link(device=here(), most_bytes=most_bytes)


def exchange_s(plans: Mapping[str, TransferPlan | None], rows: np.ndarray) -> dict[str, float]:
    """Return the seconds of each way to exchange, median of the slowest rank; bytes are checked.

    Parameters
    ----------
    plans
        Rounds, or ``None`` for one operation, by name.
    rows
        From each rank to each, ``(ranks, ranks)``.
    """
    rank, device = dist.get_rank(), here()
    sizes = Sizes(rows[rank].tolist(), rows[:, rank].tolist())
    sent, right = _marked(rows, device)
    found = {}
    for name, plan in plans.items():
        way = SingleExchange() if plan is None else RoundsExchange(plan)
        route, out = way.route(sizes, ROW_BYTES), torch.zeros_like(right)
        found[name] = slowest_s(lambda r=route, o=out: r.start(sent, o).wait(), device, apart=True)
        if not torch.equal(out, right):
            raise ArithmeticError(f"{name}: rank {rank} got other bytes than were sent")
    return found


def _marked(rows: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what this rank sends and what must arrive: each row is full of its pair's number."""
    rank, world = dist.get_rank(), len(rows)
    peers = torch.arange(world)

    def full(marks: torch.Tensor, count: np.ndarray) -> torch.Tensor:
        each = marks.repeat_interleave(torch.from_numpy(count.astype(np.int64)))
        return each.to(torch.uint8).to(device)[:, None].expand(-1, ROW_BYTES).contiguous()

    return full(rank * world + peers, rows[rank]), full(peers * world + rank, rows[:, rank])


@torch.no_grad()
def migration(shape: Shape, ids: np.ndarray, old: Layout, new: Layout) -> dict[str, Any]:
    """Serve while experts move, in the plan's order and all pairs at once.

    Parameters
    ----------
    shape
        Of the layer.
    ids
        Experts of the tokens, ``(ranks, tokens, top_k)``.
    old, new
        Layouts to leave and to reach.

    Returns
    -------
    dict
        Bytes that all ranks sent; of each order its batches, its seconds while nothing is served,
        those while every batch is followed by a pass, how many passes that were, and the seconds of
        as many without a migration. Seconds are of the slowest rank.
    """
    bench = Bench(shape)
    own = torch.from_numpy(ids[bench.rank].astype(np.int64)).to(bench.device)
    group = dist.new_group()
    bench.place(old)
    found: dict[str, Any] = {}
    for name, ordered in (("ordered", True), ("all at once", False)):
        taken: dict[bool, list[float]] = {False: [], True: []}
        for number in range(WARM_UP + 2 * REPEATS):
            bench.place(old)
            step = Migration(bench.layer, new, group, ordered=ordered)
            serving = number % 2 == 1
            seconds, passes = _gone_over(bench, step, own if serving else None)
            if number >= WARM_UP:
                taken[serving].append(seconds)
        bench.require_right(own)
        idle_s, serving_s = (
            largest(float(np.median(each)), bench.device) for each in taken.values()
        )
        found[name] = {
            "batches": step.num_batches,
            "idle_s": idle_s,
            "serving_s": serving_s,
            "passes": passes,
            "without_s": _without(bench, own, passes),
        }
    sent = torch.tensor(step.sent_bytes, device=bench.device)
    dist.all_reduce(sent)
    return {**found, "sent_bytes": int(sent)}


def _gone_over(bench: Bench, step: Migration, ids: torch.Tensor | None) -> tuple[float, int]:
    """Return the seconds from the first batch to the swap, and the passes, one to a batch."""
    begun, passes = _settled(bench), 0
    while not step.done:
        step.advance()
        passes += 1
        if ids is not None:
            bench.layer(bench.hidden, ids, bench.gates)
    step.finish()
    return _settled(bench) - begun, passes


def _without(bench: Bench, ids: torch.Tensor, passes: int) -> float:
    """Return the seconds of so many passes, taken as `_gone_over` takes them."""
    seconds = []
    for _ in range(WARM_UP + REPEATS):
        begun = _settled(bench)
        for _ in range(passes):
            bench.layer(bench.hidden, ids, bench.gates)
        seconds.append(_settled(bench) - begun)
    return largest(float(np.median(seconds[WARM_UP:])), bench.device)


def _settled(bench: Bench) -> float:
    """Return the time when every rank's device has done all that it was given."""
    if bench.device.type == "cuda":
        torch.cuda.synchronize(bench.device)
    dist.barrier()
    return time.perf_counter()


@torch.no_grad()
def colocated(shape: Shape, ids: np.ndarray, layouts: list[Layout]) -> dict[str, float]:
    """Run two models one after the other, and in turns.

    Parameters
    ----------
    shape
        Of both layers.
    ids
        Experts of the tokens, ``(models, ranks, tokens, top_k)``.
    layouts
        Of each model.

    Returns
    -------
    dict
        Seconds of both ways on the slowest rank, and the mean over ranks of the seconds in which
        experts are computed.
    """
    bench = Bench(shape)
    models = [_model(bench, layout) for layout in layouts]
    own = [torch.from_numpy(each[bench.rank].astype(np.int64)).to(bench.device) for each in ids]
    given = [Tokens(bench.hidden, each, bench.gates) for each in own]
    turns = Colocated(models)
    alone = [layer(*tokens) for layer, tokens in zip(models, given, strict=True)]
    if not all(map(torch.equal, alone, turns(given))):
        raise ArithmeticError(f"rank {bench.rank}: in turns the outputs are others")
    busy_s = 0.0
    for layer, tokens in zip(models, given, strict=True):
        bench.layer = layer
        count = bench.layer.gate(*tokens).per_slot
        busy_s += median_s(bench.computation(count), bench.device)
    return {
        "after_s": slowest_s(lambda: _one_by_one(models, given), bench.device),
        "turns_s": slowest_s(lambda: turns(given), bench.device),
        "busy_s": _mean(busy_s, bench.device),
    }


def _model(bench: Bench, layout: Layout) -> ExpertParallel:
    """Return a layer of its own, whose sizes queue behind no other model's tokens."""
    group = dist.new_group()
    return ExpertParallel(*bench.placed(layout), SingleExchange(group), group)


def _one_by_one(models: list[ExpertParallel], given: list[Tokens]) -> None:
    for layer, tokens in zip(models, given, strict=True):
        layer(*tokens)


def _mean(value: float, device: torch.device) -> float:
    found = torch.tensor(value, device=device, dtype=torch.float64)
    dist.all_reduce(found)
    return float(found) / dist.get_world_size()
