"""What a plan gives, for people: the layers' slots, the facts, and how good the plan is."""

from __future__ import annotations

from typing import Any

from moeopt.committee.loss import total_loss
from moeopt.committee.plan import CommitteePlan, Evaluation, evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray, largest
from moeopt.core.table import Cell, Column, Table, by_columns, how_it_went
from moeopt.core.units import memory_text, time_text

#: Layers that are shown where there are more.
MOST_LAYERS = 32

_MIB = 2**20


def summarise(problem: CommitteeProblem, plan: CommitteePlan, result: Any) -> list[Table]:
    """Return the tables of a plan: the layers, and the facts with how it went.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    result
        The `Result` of the solve, or the record of it that a plan's file keeps.
    """
    value = evaluate(problem, plan)
    return [layers_table(problem, plan, value), _solve(problem, plan, value, result)]


def layers_table(problem: CommitteeProblem, plan: CommitteePlan, value: Evaluation) -> Table:
    """Return the slots, their memory, the loss and the loads of each layer.

    Parameters
    ----------
    problem, plan, value
        A valid plan and its value.
    """
    shown = largest(value.loss_by_layer, MOST_LAYERS)
    size = plan.slots * problem.slot_bytes() / _MIB
    total = total_loss(problem, plan.period)
    columns: list[tuple[Column, list[Cell], Cell]] = [
        (Column("layer"), [int(e) for e in shown], "all"),
        (Column("slots"), [int(plan.slots[e]) for e in shown], value.slots),
        (Column("MiB", ".1f"), [float(size[e]) for e in shown], float(size.sum())),
        (Column("loss", ".6g"), [float(value.loss_by_layer[e]) for e in shown], value.loss),
        (Column("loss %", ".1f"), _shares(value.loss_by_layer, total, shown), _percent(value)),
    ]
    if problem.loss != "table":
        loads: list[Cell] = [int(value.loads_by_layer[e]) for e in shown]
        columns.append((Column("loads"), loads, value.loads))
    return by_columns(
        "slots of each layer, and what its absent experts cost",
        columns,
        note=_note(problem, len(shown)),
    )


def _shares(losses: FloatArray, total: FloatArray, shown: IntArray) -> list[Cell]:
    """Return the loss of each layer in percent of that without any resident."""
    return [100.0 * float(losses[e] / total[e]) if total[e] else None for e in shown]


def _percent(value: Evaluation) -> float | None:
    return None if value.loss_share is None else 100.0 * value.loss_share


def _note(problem: CommitteeProblem, shown: int) -> str:
    parts = []
    if shown < problem.layers:
        parts.append(f"The {shown} of {problem.layers} layers that lose most.")
    if problem.loss != "table" and problem.free_fill:
        parts.append("Loads without the first fill, which is free.")
    return " ".join(parts)


def _solve(problem: CommitteeProblem, plan: CommitteePlan, value: Evaluation, result: Any) -> Table:
    facts: list[tuple[str, Cell]] = [
        ("slots", f"{value.slots} of {problem.layers * problem.experts}"),
        ("memory", f"{memory_text(value.memory_bytes)} of {memory_text(problem.budget_bytes)}"),
    ]
    if value.latency_s or problem.latency_s is not None:
        limit = "" if problem.latency_s is None else f" of {time_text(problem.latency_s)}"
        facts.append(("latency", time_text(value.latency_s) + limit))
    if problem.loss != "table":
        facts += [("windows", problem.num_windows), ("loads", value.loads)]
    facts += [("windows from update to update", plan.period), *_traffic(problem, value)]
    facts.append(("loss", f"{value.loss:.6g}"))
    if value.load_cost:
        facts.append(("price of loads", f"{value.load_cost:.6g}"))
    facts.append(("objective", f"{problem.loss}, {value.objective:.6g}"))
    if result is not None:
        facts += [
            ("lower bound", None if result.bound is None else f"{result.bound:.6g}"),
            ("gap", None if result.gap is None else f"{100 * result.gap:.3f} %"),
            *how_it_went(result),
        ]
    title = problem.name or "the plan"
    return Table(title=title, columns=[Column(""), Column("")], rows=[_texts(f) for f in facts])


def _traffic(problem: CommitteeProblem, value: Evaluation) -> list[tuple[str, Cell]]:
    """Return what passes the link: bytes, and bytes a second beside the link's own rate."""
    facts: list[tuple[str, Cell]] = []
    if value.swap_bytes is not None:
        what = "bytes of an update" if problem.loss == "table" else "bytes of loads"
        facts.append((what, memory_text(value.swap_bytes)))
    mean, peak = value.mean_swap_bytes_per_s, value.peak_swap_bytes_per_s
    if mean is None or peak is None or problem.link_bytes_per_s is None:
        return facts
    rates = f"{memory_text(mean)}/s on average, {memory_text(peak)}/s at most"
    return [*facts, ("link", f"{rates}, of {memory_text(problem.link_bytes_per_s)}/s")]


def _texts(fact: tuple[str, Cell]) -> tuple[Cell, Cell]:
    """Return a row whose number is text, as its neighbours are."""
    name, cell = fact
    return name, cell if cell is None else str(cell)
