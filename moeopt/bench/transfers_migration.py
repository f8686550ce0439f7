"""Order of a full replan's transfers: moeopt's batches against vLLM's, and against the bounds.

Plans are EPLB's on lognormal loads, replans EPLB's after 20 % drift: vLLM's own policy if it is
there. Lengths are in experts: the sum over the batches of the experts of the largest flow.
"""

from __future__ import annotations

import contextlib
import statistics
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moeopt.adapters.engines.migration import MigrationFlow, schedule_migration_batches
from moeopt.bench.contenders import ours
from moeopt.bench.peers import Contender, find, migration_scheduler, table_of
from moeopt.bench.placement_balance import short_name
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import IntArray
from moeopt.core.table import Cell, Column, Table
from moeopt.placement.generate import SHAPES, drift, loads
from moeopt.transfers.migration import Moves, choose_sources, moves_between, order_migration

#: Shapes whose replans are ordered.
REPLANNED = ("deepseek-v3-288-32", "deepseek-v3-320-64", "qwen3-144-16", "kimi-448-32")

#: Every so many layers of a replan are ordered, in a full and in a quick run.
EVERY, QUICK_EVERY = 4, 12

#: The system that plans, and whose scheduler is compared with.
PEER = "vllm"

#: Our schedulers: under vLLM's rule with the sources that vLLM chose or with our own, and with one
#: flow each way.
KEPT, HALF, FULL = "ours, vllm's sources", "ours", "ours, full duplex"

#: The most that a schedule may be longer than its bound.
MOST = 1.02

Batches = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Order:
    """What one scheduler made of one layer.

    Attributes
    ----------
    batches
        Number of batches.
    length
        Sum over the batches of the experts of the largest flow.
    bound
        Experts of the busiest rank: with vLLM's sources where those are used, else with the
        sources for which it is least.
    seconds
        Of the call.
    """

    batches: int
    length: int
    bound: float
    seconds: float


Orders = Mapping[str, Sequence[Order]]


def run(setting: Setting) -> Report:
    """Order the replans of every shape with every scheduler."""
    found: dict[str, Orders] = {}
    every = QUICK_EVERY if setting.quick else EVERY
    warm_up()
    with contextlib.ExitStack() as stack:
        contenders = stack.enter_context(find(setting.peers)).contenders
        planner = next((one for one in contenders if one.name == PEER), ours("eplb"))
        scheduler = None
        with contextlib.suppress(ImportError):
            scheduler = stack.enter_context(migration_scheduler(setting.peers))
        for shape in REPLANNED:
            found[shape] = _orders(shape, every, planner, scheduler)
    data = {
        shape: {name: [asdict(order) for order in layers] for name, layers in orders.items()}
        for shape, orders in found.items()
    }
    table = _table(found, planner.name)
    return Report([table], _figures(found), {"migration": {"planner": planner.name, **data}})


def length_of(batches: Batches) -> int:
    """Return the sum over the batches of the experts of the largest flow."""
    return sum(max(len(flow.expert_ids) for flow in batch) for batch in batches)


def sources_of(batches: Batches, expert: IntArray, moves: Moves) -> IntArray:
    """Return from which rank a schedule takes each move, shape ``(moves,)``."""
    source = {
        (one, flow.dst_rank): flow.src_rank
        for batch in batches
        for flow in batch
        for one in flow.expert_ids
    }
    wanted = zip(expert.tolist(), moves.destination.tolist(), strict=True)
    return np.array([source[pair] for pair in wanted], dtype=np.int64)


def orders_of(
    plan: IntArray, replan: IntArray, slots: int, scheduler: types.ModuleType | None
) -> dict[str, list[Order]]:
    """Return what every scheduler makes of each layer.

    Parameters
    ----------
    plan, replan
        Expert in each slot, before and after, ``(layers, slots)``.
    slots
        Of each rank.
    scheduler
        vLLM's, if it is there.
    """
    found: dict[str, list[Order]] = {}
    for old, new in zip(plan, replan, strict=True):
        expert, moves = moves_between(old, new, slots)
        if scheduler is not None:
            call = scheduler.schedule_migration_batches
            theirs, seconds = _timed(call, slots, old, new)
            source = sources_of(theirs, expert, moves)
            kept, kept_s = _timed(_with_sources, expert, moves, source)
            busiest = order_migration(moves, source, half_duplex=True).busiest_bytes
            found.setdefault(PEER, []).append(_order(theirs, busiest, seconds))
            found.setdefault(KEPT, []).append(_order(kept, busiest, kept_s))
        for name, full in ((HALF, False), (FULL, True)):
            batches, seconds = _timed(schedule_migration_batches, slots, old, new, full_duplex=full)
            least = choose_sources(moves, half_duplex=not full).bound_bytes
            found.setdefault(name, []).append(_order(batches, least, seconds))
    return found


def _orders(
    shape: str, every: int, planner: Contender, scheduler: types.ModuleType | None
) -> dict[str, list[Order]]:
    row = SHAPES[shape]
    tokens = loads("logn1", row.layers, row.experts)
    plan, replan = (table_of(planner.bind(now, row)()) for now in (tokens, drift(tokens)))
    return orders_of(plan[::every], replan[::every], row.slots_per_device, scheduler)


def _with_sources(expert: IntArray, moves: Moves, source: IntArray) -> list[list[MigrationFlow]]:
    ids = expert.tolist()
    order = order_migration(moves, source, half_duplex=True)
    return [
        [MigrationFlow(f.source, f.destination, tuple(ids[m] for m in f.moves)) for f in batch]
        for batch in order.batches
    ]


def _order(batches: Batches, bound: float, seconds: float) -> Order:
    return Order(len(batches), length_of(batches), bound, seconds)


def _timed(call: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, float]:
    begun = time.perf_counter()
    answer = call(*arguments, **options)
    return answer, time.perf_counter() - begun


def warm_up() -> None:
    """Compile the kernels."""
    for full in (False, True):
        schedule_migration_batches(
            1, np.array([0, 1, 2, 0]), np.array([2, 0, 1, 1]), full_duplex=full
        )


def _table(found: Mapping[str, Orders], planner: str) -> Table:
    rows: list[list[Cell]] = []
    for shape, orders in found.items():
        for name, layers in orders.items():
            means = (
                statistics.fmean(getattr(order, field) for order in layers)
                for field in ("batches", "length", "bound")
            )
            milliseconds = 1e3 * statistics.median(order.seconds for order in layers)
            rows.append([short_name(shape), name, *means, _ratio(layers), milliseconds])
    columns = [
        Column("shape"),
        Column("scheduler"),
        Column("batches", ".1f"),
        Column("length", ".1f"),
        Column("bound", ".1f"),
        Column("over it", ".3f"),
        Column("ms", ".2f"),
    ]
    title = "Migration: a full replan, length in experts of the largest flows of all batches"
    note = f"Means over layers of {planner}'s plans. bound: the busiest rank, for ours its least."
    return Table(title, columns, rows, note)


def _figures(found: Mapping[str, Orders]) -> list[Figure]:
    absent = f"no {PEER} under --peers"
    worst = {
        name: max(
            (_ratio(orders[name]) for orders in found.values() if name in orders), default=None
        )
        for name in (PEER, KEPT, HALF)
    }
    duplex = max(
        length_of_all(orders[FULL]) / length_of_all(orders[HALF]) for orders in found.values()
    )
    note = "" if worst[PEER] is not None else absent
    return [
        Figure("migration, vllm: length over busiest rank", worst[PEER], None, ".3f", note),
        Figure(f"migration, {KEPT}: the same", worst[KEPT], MOST, ".3f", note),
        Figure("migration, ours: over least busiest rank", worst[HALF], MOST, ".3f"),
        Figure("migration, full duplex: over ours by vllm's rule", duplex, 0.999, ".3f"),
    ]


def _ratio(layers: Sequence[Order]) -> float:
    """Return the length of all layers over their bounds."""
    return length_of_all(layers) / sum(order.bound for order in layers)


def length_of_all(layers: Sequence[Order]) -> int:
    """Return the sum of the layers' lengths."""
    return sum(order.length for order in layers)
