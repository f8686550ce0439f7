"""What a page tells of an expert cache: hits, what they are worth, what binds, how to apply it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import policy_plan
from moeopt.buffering.summary import time_table
from moeopt.core.arrays import largest
from moeopt.core.table import Cell, Column, Table, by_columns, percent
from moeopt.report.buffering.numbers import Hits, hits_of
from moeopt.report.buffering.pictures import (
    MOST_STEPS,
    POLICIES,
    all_hits_picture,
    layer_hits_picture,
    misses_picture,
    over_time_picture,
    residents_picture,
    slots_picture,
)
from moeopt.report.buffering.summary import summary
from moeopt.report.picture import Gallery, Picture
from moeopt.report.wings import Names, Step, WingReport, python_loads

#: Layers that have pictures of their own, and cells of maps in all, so that a page stays small.
MOST_LAYERS, MOST_CELLS = 16, 60_000

#: Changes that are listed one by one.
MOST_CHANGES = 20_000


def pictures(
    problem: BufferingProblem, plan: BufferingPlan, result: Any
) -> list[Picture | Gallery]:
    """Return the pictures of a plan, the most telling first."""
    del result
    if not problem.num_references:
        return []
    found = hits_of(problem, plan.capacity, POLICIES)
    drawn: list[Picture | Gallery] = [_hits(problem, plan, found)]
    if problem.layers > 1 and not problem.pooled:
        drawn.append(misses_picture(problem, plan, found))
    if np.ptp(plan.capacity) > 0:
        drawn.append(slots_picture(problem, plan))
    if problem.num_steps > 1:
        drawn += [over_time_picture(problem, plan), _residents(problem, plan)]
    return drawn


def tables(problem: BufferingProblem, plan: BufferingPlan, result: Any) -> list[Table]:
    """Return the caches, where the time goes if rates are stated, and every change."""
    del result
    timed = [] if problem.timing is None else [time_table(problem, plan)]
    return [layers_table(problem, plan), *timed, changes_table(problem, plan)]


def layers_table(problem: BufferingProblem, plan: BufferingPlan) -> Table:
    """Return room, references, misses and loads of every layer.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    value = evaluate(problem, plan)
    lru = evaluate(problem, policy_plan(problem, "lru", plan.capacity))
    cells = problem.layers * problem.experts
    used = np.bincount(problem.item_of(), minlength=cells).reshape(problem.layers, -1) > 0
    in_bytes = problem.cache_bytes is not None
    columns: list[tuple[Column, list[Any], Cell]] = [
        (Column("layer"), list(range(problem.layers)), "all")
    ]
    if not problem.pooled:
        room = plan.capacity / 2**20 if in_bytes else plan.capacity
        heading = Column("MiB", ".1f") if in_bytes else Column("slots")
        columns.append((heading, room.tolist(), room.sum().item()))
    asked, missed = value.references_by_layer, value.misses_by_layer
    columns += [
        (Column("asked for"), used.sum(axis=1).tolist(), int(used.sum())),
        (Column("references"), asked.tolist(), value.references),
        (Column("hits"), (asked - missed).tolist(), value.hits),
        (Column("misses"), missed.tolist(), value.misses),
        (
            Column("hits %", ".1f"),
            [percent(asked[k] - missed[k], asked[k]) for k in range(problem.layers)],
            percent(value.hits, value.references),
        ),
        (Column("LRU misses"), lru.misses_by_layer.tolist(), lru.misses),
        (Column("loads"), value.loads_by_layer.tolist(), value.loads),
    ]
    return by_columns(
        "Layers",
        columns,
        note="Asked for: different experts. LRU has the same room.",
    )


def changes_table(problem: BufferingProblem, plan: BufferingPlan) -> Table:
    """Return what is dropped and loaded, and when, in order of time.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    at = np.concatenate((plan.drop_at, plan.load_at))
    item = np.concatenate((plan.drop_item, plan.load_item))
    loads = np.arange(at.size) >= plan.drop_at.size
    order = np.lexsort((np.arange(at.size), loads, at))[:MOST_CHANGES]
    group = at
    if problem.serve == "load":
        stated = at if plan.order is None else plan.order[at]
        group = problem.group_of()[stated]
    layer, expert = np.divmod(item, problem.experts)
    columns = (group // problem.layers, at, layer, expert)
    numbers = np.column_stack([column[order] for column in columns]).tolist()
    kinds = np.where(loads[order], "load", "drop").tolist()
    rows = [[*row, kind] for row, kind in zip(numbers, kinds, strict=True)]
    moment = "reference" if problem.serve == "load" else "pass"
    left = at.size - order.size
    rest = f" The first {order.size:,} changes; {left:,} more are left out." if left else ""
    return Table(
        title="Changes",
        columns=[
            Column(name) for name in ("step", f"before {moment}", "layer", "expert", "change")
        ],
        rows=rows,
        note=f"In order of time; what leaves before a {moment} makes room for what comes.{rest}",
    )


def steps(problem: BufferingProblem, plan: BufferingPlan, names: Names) -> list[Step]:
    """Return how to check a plan, serve by its slots, and follow it."""
    instance, file = shlex.quote(names.instance), shlex.quote(names.plan)
    read = python_loads(names)
    found = [
        Step(
            text="Check it: every constraint, and the objective, worked out afresh.",
            command=f"moeopt check {instance} {file}",
        )
    ]
    if _can_learn(problem, plan):
        found.append(
            Step(
                text="Serve by it: each layer gets the plan's slots, and a policy that does not"
                " know the future says what to load and drop whenever the layer's gate has spoken.",
                command=read + _LEARNED,
                language="python",
            )
        )
    return [
        *found,
        Step(
            text="Follow it, where what comes is known: what is dropped and loaded before each"
            f" {'reference' if problem.serve == 'load' else 'pass of a layer'}.",
            command=read + _FOLLOWED,
            language="python",
        ),
        Step(
            text="See what the best policy makes of this trace that does not know what comes.",
            command=f"moeopt solve {instance} --method best_online",
        ),
    ]


#: How plans of expert caches are told.
REPORT = WingReport(summary=summary, pictures=pictures, tables=tables, steps=steps)

_LEARNED = """\

from moeopt.buffering import LearnedCache

caches = [LearnedCache(experts=problem.experts, slots=slots) for slots in plan.capacity.tolist()]
served = caches[0].serve([0])  # the experts that layer 0 needs now, in the order in which they run
to_load, to_drop = served.missing, served.dropped
"""

_FOLLOWED = """\

changes = {}
for kind, times, items in (
    ("drop", plan.drop_at, plan.drop_item),
    ("load", plan.load_at, plan.load_item),
):
    for time, item in zip(times.tolist(), items.tolist()):
        layer, expert = divmod(item, problem.experts)
        changes.setdefault(time, []).append((kind, layer, expert))
first = changes.get(0, [])
"""


def _hits(
    problem: BufferingProblem, plan: BufferingPlan, found: Sequence[Hits]
) -> Picture | Gallery:
    """Return hits against slots, of all layers and of those that miss most."""
    whole = all_hits_picture(problem, plan, found)
    if whole is not None and (problem.pooled or problem.layers == 1):
        return whole
    missed = evaluate(problem, plan).misses_by_layer
    layers = largest(missed, MOST_LAYERS).tolist()
    each = [layer_hits_picture(problem, plan, found, layer) for layer in layers]
    names = [f"layer {layer}" for layer in layers]
    if whole is not None:
        names, each = ["all layers", *names], [whole, *each]
    return Gallery(
        name="hits-against-slots",
        title="Hits against slots",
        choice="layer",
        names=names,
        pictures=each,
    )


def _residents(problem: BufferingProblem, plan: BufferingPlan) -> Picture | Gallery:
    cells = problem.experts * min(problem.num_steps, MOST_STEPS)
    missed = evaluate(problem, plan).misses_by_layer
    layers = largest(missed, min(MOST_LAYERS, max(1, MOST_CELLS // cells))).tolist()
    each = [residents_picture(problem, plan, layer) for layer in layers]
    if problem.layers == 1:
        return each[0]
    names = [f"layer {layer}" for layer in layers]
    return Gallery(
        name="residents", title="Who is there when", choice="layer", names=names, pictures=each
    )


def _can_learn(problem: BufferingProblem, plan: BufferingPlan) -> bool:
    """Tell whether `LearnedCache` serves such a problem."""
    pins = problem.pinned is not None and problem.pinned.size
    plain = problem.serve == "load" and problem.cache_bytes is None
    return bool(plain and not problem.pooled and not pins and plan.capacity.min() > 0)
