"""What a plan gives, for people: the caches, where the time goes, and how good the plan is."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.buffering.clock import stall
from moeopt.buffering.plan import BufferingPlan, Evaluation, evaluate
from moeopt.buffering.problem import BufferingProblem
from moeopt.core.arrays import IntArray, largest
from moeopt.core.table import Cell, Column, Table, by_columns, how_it_went, percent
from moeopt.core.units import memory_text, time_text, time_unit

#: Layers that are shown where there are more.
MOST_LAYERS = 32

_MIB = 2**20


def summarise(problem: BufferingProblem, plan: BufferingPlan, result: Any) -> list[Table]:
    """Return the tables of a plan: the layers, its time if rates are stated, and how it went.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    result
        The `Result` of the solve, or the record of it that a plan's file keeps.
    """
    value = evaluate(problem, plan)
    tables = [layers_table(problem, plan, value)]
    if problem.timing is not None:
        tables.append(time_table(problem, plan))
    return [*tables, _solve(problem, value, result)]


def layers_table(problem: BufferingProblem, plan: BufferingPlan, value: Evaluation) -> Table:
    """Return the room, references, misses and loads of each layer.

    Parameters
    ----------
    problem, plan, value
        A valid plan and its value.
    """
    shown = largest(value.misses_by_layer, MOST_LAYERS)
    asked = _distinct(problem)
    columns: list[tuple[Column, list[Cell], Cell]] = [
        (Column("layer"), [int(layer) for layer in shown], "all")
    ]
    if not problem.pooled:
        heading, rooms = _rooms(problem, plan.capacity)
        columns.append((heading, [rooms[layer] for layer in shown], sum(rooms)))
    hits = value.references_by_layer - value.misses_by_layer
    columns += [
        (Column("asked for"), [int(asked[e]) for e in shown], int(asked.sum())),
        (
            Column("references"),
            [int(value.references_by_layer[e]) for e in shown],
            value.references,
        ),
        (Column("misses"), [int(value.misses_by_layer[e]) for e in shown], value.misses),
        (
            Column("hits %", ".1f"),
            [percent(hits[e], value.references_by_layer[e]) for e in shown],
            percent(value.hits, value.references),
        ),
    ]
    if problem.serve == "bypass":
        # Otherwise every miss is a load, and nothing else.
        loads: list[Cell] = [int(value.loads_by_layer[e]) for e in shown]
        columns.append((Column("loads"), loads, value.loads))
    return by_columns(
        _title(problem, plan),
        columns,
        note=_note(problem, len(shown)),
    )


def time_table(problem: BufferingProblem, plan: BufferingPlan) -> Table:
    """Return where the time goes, as `moeopt.buffering.clock.stall` has it.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem, which states `timing`.
    """
    spent = stall(problem, plan)
    shares: list[tuple[str, float]] = [
        ("computation on the device", spent.compute_s),
        ("waiting for the host", spent.host_s),
        ("waiting for transfers", spent.stall_s),
    ]
    size, unit = time_unit(spent.total_s)
    wrong = f", {spent.wasted_transfers} of them for nothing" if spent.wasted_transfers else ""
    busy = percent(spent.link_busy_s, spent.total_s)
    link = "" if busy is None else f"; the link is busy for {busy:.1f} % of the time"
    return Table(
        title="where the time goes",
        columns=[Column(""), Column(unit, ".3f"), Column("%", ".1f")],
        rows=[[name, s / size, percent(s, spent.total_s)] for name, s in shares],
        footer=["all", spent.total_s / size, percent(spent.total_s, spent.total_s)],
        note=f"{spent.transfers} transfers{wrong}{link}.",
    )


def _rooms(problem: BufferingProblem, capacity: IntArray) -> tuple[Column, list[Any]]:
    if problem.cache_bytes is None:
        return Column("slots"), capacity.tolist()
    return Column("MiB", ".1f"), (capacity / _MIB).tolist()


def _distinct(problem: BufferingProblem) -> IntArray:
    """Return how many experts of each layer are asked for, ``(layers,)``."""
    cells = problem.layers * problem.experts
    asked = np.bincount(problem.item_of(), minlength=cells) > 0
    return np.asarray(asked.reshape(problem.layers, problem.experts).sum(axis=1))


def _title(problem: BufferingProblem, plan: BufferingPlan) -> str:
    where = "each layer has a cache"
    if problem.pooled:
        _, rooms = _rooms(problem, plan.capacity)
        unit = "slots" if problem.cache_bytes is None else "MiB"
        where = f"a pool of {rooms[0]:g} {unit}"
    return f"what was asked for and found: {where}"


def _note(problem: BufferingProblem, shown: int) -> str:
    parts = []
    if shown < problem.layers:
        parts.append(f"The {shown} of {problem.layers} layers that miss most.")
    if problem.pinned is not None and problem.pinned.size:
        pins = len(problem.pinned)
        parts.append(f"The room includes {pins} pinned experts, which are always found.")
    return " ".join(parts)


def _solve(problem: BufferingProblem, value: Evaluation, result: Any) -> Table:
    facts: list[tuple[str, Cell]] = [
        ("references", value.references),
        ("misses", value.misses),
        ("hit rate", None if value.hit_rate is None else f"{100 * value.hit_rate:.2f} %"),
        ("loads", value.loads),
        ("bytes of misses and loads", memory_text(value.miss_bytes)),
    ]
    if value.seconds is not None:
        facts.append(("seconds of misses and loads", time_text(value.seconds)))
    if value.stall_s is not None:
        facts.append(("waiting for transfers", time_text(value.stall_s)))
    if problem.budget_bytes is not None:
        facts.append(("budget", memory_text(problem.budget_bytes)))
    facts.append(("objective", f"{problem.objective}, {_amount(problem, value.objective)}"))
    if result is not None:
        bound = None if result.bound is None else _amount(problem, result.bound)
        facts += [
            ("lower bound", bound),
            ("gap", None if result.gap is None else f"{100 * result.gap:.3f} %"),
            *how_it_went(result),
        ]
    title = problem.name or "the plan"
    return Table(title=title, columns=[Column(""), Column("")], rows=[_texts(f) for f in facts])


def _texts(fact: tuple[str, Cell]) -> tuple[Cell, Cell]:
    """Return a row whose number is text, as its neighbours are."""
    name, cell = fact
    return name, cell if cell is None else str(cell)


def _amount(problem: BufferingProblem, value: float) -> str:
    """Return a value of the objective in its unit."""
    if problem.objective == "seconds":
        return time_text(value)
    return f"{value:.6g}" if problem.objective == "misses" else memory_text(value)
