"""Layers on emulated nodes: experts where their tokens are, against experts in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import Timing
from moeopt.bench.torch_exchange import slowest
from moeopt.bench.torch_orders import RATE_BYTES_PER_S
from moeopt.bench.torch_routing import (
    NODES,
    RANKS,
    RANKS_PER_NODE,
    Routing,
    between_nodes,
    drawn,
    problem_of,
)
from moeopt.core.arrays import FloatArray
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table

if TYPE_CHECKING:
    from moeopt.adapters.torch.layout import Layout
    from moeopt.adapters.torch.workers import Workers

Way = Literal["contiguous", "layer_time"]

#: Tokens of each rank, and widths of the model and of an expert, in fp32.
TOKENS, HIDDEN, INNER = 1024, 256, 64
ROW_BYTES = 4 * HIDDEN

#: Timed layers of each placement.
REPEATS = {True: 9, False: 25}

#: How close to its bound a plan must be: it is found at once.
GAP = 0.05

#: Most of the contiguous placement's time that ours may take.
TARGET = 0.5


def run(setting: Setting) -> Report:
    """Measure the layer of both placements on two nodes of two workers."""
    from moeopt.adapters.torch.emulate import EmulatedNodes
    from moeopt.adapters.torch.workers import Workers

    with (
        EmulatedNodes(NODES, RATE_BYTES_PER_S, ranks_per_node=RANKS_PER_NODE) as nodes,
        Workers(RANKS, prefixes=nodes.prefixes, environment=nodes.environment) as workers,
    ):
        return measured(workers, TOKENS, REPEATS[setting.quick])


def measured(workers: Workers, tokens: int, repeats: int) -> Report:
    """Measure the layer of both placements between as many workers as there are ranks.

    Parameters
    ----------
    workers
        On emulated nodes, or anywhere.
    tokens
        Of each rank.
    repeats
        Timed layers of each placement.
    """
    from moeopt.bench.torch_jobs import layer_seconds

    routing = drawn(tokens)
    layouts = layouts_of(routing)
    seconds = workers.run(layer_seconds, layouts, routing, HIDDEN, INNER, repeats)
    return told(routing, layouts, slowest(seconds, list(layouts)))


def layouts_of(routing: Routing) -> dict[Way, Layout]:
    """Return the usual layout, and the one of the placement wing's plan."""
    from moeopt.adapters.torch.layout import Layout, layouts_of_plan

    problem = problem_of(routing, RATE_BYTES_PER_S, ROW_BYTES)
    plan = solve(problem, gap=GAP).plan
    assert plan is not None
    return {
        "contiguous": Layout.contiguous(routing.experts, RANKS),
        "layer_time": layouts_of_plan(problem, plan)[0],
    }


def floor_s(node_tokens: FloatArray) -> float:
    """Return the seconds of both exchanges on the busiest node's port, there and back.

    Parameters
    ----------
    node_tokens
        From each node to each, ``(nodes, nodes)``.
    """
    away = node_tokens * ~np.eye(len(node_tokens), dtype=np.bool_)
    busiest = max(away.sum(axis=0).max(), away.sum(axis=1).max())
    return float(2 * busiest * ROW_BYTES / RATE_BYTES_PER_S)


def told(routing: Routing, layouts: dict[Way, Layout], times: dict[Way, Timing]) -> Report:
    """Return the report of what was measured.

    Parameters
    ----------
    routing
        Whose tokens were sent.
    layouts, times
        By placement.
    """
    sent = routing.source_tokens()
    rows: list[list[Cell]] = []
    data = {}
    for way, layout in layouts.items():
        tokens = between_nodes(layout.served(sent))
        away = 1.0 - float(np.trace(tokens) / tokens.sum())
        floor, time = floor_s(tokens), times[way]
        rows.append([way, away, 1e3 * floor, 1e3 * time.median_s, len(time.seconds), time.spread])
        data[way] = {"away": away, "floor_s": floor, **time.to_dict()}
    columns = [
        Column("placement"),
        Column("tokens to the other node", ".1%"),
        Column("bound ms", ".0f"),
        Column("median", ".0f"),
        Column("runs"),
        Column("spread", ".0%"),
    ]
    note = (
        f"{NODES} nodes of {RANKS_PER_NODE} workers, one port of {RATE_BYTES_PER_S / 1e6:g} MB/s"
        f" each; {routing.experts} experts {HIDDEN} x {INNER}, top-{routing.ids.shape[2]},"
        f" {routing.ids.shape[1]} tokens a worker, fp32. ms of a layer on the slowest worker, gate"
        " to aggregation, placements in turn. bound: bytes of the busiest node's port over its"
        " rate, there and back. Every output was checked once."
    )
    ratio = times["layer_time"].median_s / times["contiguous"].median_s
    name = "emulated nodes: a layer with experts near their tokens, over contiguous"
    return Report(
        [Table("Layers between emulated nodes", columns, rows, note)],
        [Figure(name, ratio, TARGET, ".2f")],
        {"placement": data},
    )
