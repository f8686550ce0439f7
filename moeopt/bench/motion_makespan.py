"""Makespans of the migrations to our plans and to a full replan, by vLLM's scheduler and by ours.

Plans and loads are those of `moeopt.bench.motion_pareto`; lengths are in experts, as in
`moeopt.bench.transfers_migration`.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from moeopt.bench.motion_cases import drifted, planning
from moeopt.bench.motion_pareto import PUBLISHED, SWAPS
from moeopt.bench.peers import Contender, migration_scheduler
from moeopt.bench.placement_balance import short_name
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.transfers_migration import (
    FULL,
    HALF,
    PEER,
    Order,
    Orders,
    length_of_all,
    orders_of,
    warm_up,
)
from moeopt.core.arrays import IntArray
from moeopt.core.table import Cell, Column, Table

#: Of the published budgets the one that a plan of ours keeps.
BUDGET = SWAPS.index(16)

#: Every so many layers are ordered in a quick run.
QUICK_EVERY = 8

EQUAL, WHOLE = "replan, equal balance", "full replan"

#: By plan, what every scheduler made of its layers.
Found = Mapping[str, Orders]


def run(setting: Setting) -> Report:
    """Order every migration with every scheduler."""
    warm_up()
    found: dict[str, Found] = {}
    every = QUICK_EVERY if setting.quick else 1
    with planning(setting) as planner, contextlib.ExitStack() as stack:
        scheduler = None
        with contextlib.suppress(ImportError):
            scheduler = stack.enter_context(migration_scheduler(setting.peers))
        for shape in PUBLISHED:
            found[shape] = _ordered(shape, every, planner, scheduler)
    data = {
        shape: {
            plan: {name: [asdict(order) for order in layers] for name, layers in orders.items()}
            for plan, orders in plans.items()
        }
        for shape, plans in found.items()
    }
    return Report([_table(found)], _figures(found), {"makespan": data})


def _ordered(
    shape: str, every: int, planner: Contender, scheduler: types.ModuleType | None
) -> dict[str, Orders]:
    change, full = drifted(shape, planner)
    front = change.front()
    moved = PUBLISHED[shape][BUDGET][0]
    plans: dict[str, IntArray] = {
        f"replan, {moved:.3f} of slots": front.table(front.within(moved * change.all_slots))
    }
    point = front.reaching(change.imbalance(full))
    if point is not None:
        plans[EQUAL] = front.table(point)
    plans[WHOLE] = full
    slots = change.layout.slots_per_device
    return {
        name: orders_of(change.previous[::every], table[::every], slots, scheduler)
        for name, table in plans.items()
    }


def _table(found: Mapping[str, Found]) -> Table:
    rows: list[list[Cell]] = []
    for shape, plans in found.items():
        for plan, orders in plans.items():
            lengths = [_mean(orders.get(name)) for name in (PEER, HALF, FULL)]
            bounds = [_bound(orders[name]) for name in (HALF, FULL)]
            rows.append([short_name(shape), plan, *lengths, *bounds])
    columns = [
        Column("shape"),
        Column("plan"),
        Column("vllm's order", ".2f"),
        Column("ours", ".2f"),
        Column("full duplex", ".2f"),
        Column("bound", ".2f"),
        Column("full duplex", ".2f"),
    ]
    note = (
        "Means over layers, in experts of the largest flows of all batches. ours: as vLLM, a rank"
        " sends or receives; full duplex: both at once. bound: of the busiest rank, each way."
    )
    return Table("Migration of a replan and of a full replan", columns, rows, note)


def _mean(layers: Sequence[Order] | None) -> float | None:
    return None if layers is None else length_of_all(layers) / len(layers)


def _bound(layers: Sequence[Order]) -> float:
    return sum(order.bound for order in layers) / len(layers)


def _figures(found: Mapping[str, Found]) -> list[Figure]:
    absent = f"no {PEER} under --peers"
    with_peer = all(PEER in orders for plans in found.values() for orders in plans.values())
    ratios = {name: _over(found, EQUAL, name) for name in (PEER, HALF, FULL)} if with_peer else {}
    mine = {plan: _least_gain(found, plan) for plan in (EQUAL, WHOLE)} if with_peer else {}
    note = "" if with_peer else absent
    replan, whole = mine.get(EQUAL), mine.get(WHOLE)
    return [
        Figure("makespan, full replan: our order over vllm's", whole, 1.0, ".3f", note),
        Figure("makespan, equal balance: our order over vllm's", replan, 1.0, ".3f", note),
        Figure("makespan, equal balance over full replan, vllm's order", ratios.get(PEER), None,
               ".3f", note),
        Figure("makespan, the same, our order", ratios.get(HALF), None, ".3f", note),
        Figure("makespan, the same, our order in full duplex", ratios.get(FULL), None, ".3f", note),
    ]  # fmt: skip


def _over(found: Mapping[str, Found], plan: str, order: str) -> float | None:
    """Return the worst makespan of a plan by an order over the full replan's by vLLM's."""
    ratios = [
        length_of_all(plans[plan][order]) / length_of_all(plans[WHOLE][PEER])
        for plans in found.values()
        if plan in plans
    ]
    return max(ratios, default=None)


def _least_gain(found: Mapping[str, Found], plan: str) -> float | None:
    """Return the worst makespan of a plan by our order over that by vLLM's."""
    ratios = [
        length_of_all(plans[plan][HALF]) / length_of_all(plans[plan][PEER])
        for plans in found.values()
        if plan in plans
    ]
    return max(ratios, default=None)
