"""What a plan gives, for people: what is rented for each layer, what it costs, how good it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, largest
from moeopt.core.table import Cell, Column, Table, by_columns, how_it_went
from moeopt.serverless.binding import RULES, binding
from moeopt.serverless.plan import Evaluation, ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.simple import lambdaml
from moeopt.serverless.simulate import Simulation, World, simulate
from moeopt.serverless.stages import stages_table

#: Layers that are shown where there are more, and functions beyond which none is simulated.
MOST_LAYERS, MOST_FUNCTIONS = 32, 5_000

#: What the formulas leave out and the simulator does not.
CROWDED = World(objects=True, queueing=True, whole_tokens=True)

_DESIGNS = {1: "1 pipelined", 2: "2 storage", 3: "3 direct"}


def summarise(problem: ServerlessProblem, plan: ServerlessPlan, result: Any) -> list[Table]:
    """Return the tables of a plan: the layers, their stages, the bill, and how it went.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    result
        The `Result` of the solve, or the record of it that a plan's file keeps.
    """
    value = evaluate(problem, plan)
    simulation = simulated(problem, plan)
    return [
        layers_table(problem, plan, value, simulation),
        stages_table(problem, plan, largest(value.layer_usd, MOST_LAYERS).tolist()),
        _solve(problem, plan, value, simulation, result),
    ]


def simulated(problem: ServerlessProblem, plan: ServerlessPlan) -> Simulation | None:
    """Return a run of the plan with links that queue and whole tokens; ``None`` if it is large."""
    functions = int(plan.replicas.sum()) * problem.num_scenarios
    return simulate(problem, plan, CROWDED) if functions <= MOST_FUNCTIONS else None


def layers_table(
    problem: ServerlessProblem,
    plan: ServerlessPlan,
    value: Evaluation,
    simulation: Simulation | None = None,
) -> Table:
    """Return what is rented for each layer, what it costs and takes, and what binds.

    Parameters
    ----------
    problem, plan, value
        A valid plan and its value.
    simulation
        A run of the plan, for a column of its own.
    """
    shown = largest(value.layer_usd, MOST_LAYERS).tolist()
    size, unit = money_unit(float(value.layer_usd.max()))
    left, binds = _left(problem, value), binding(problem, plan, value, shown)
    # Columns with their cells, and what stands below them.
    columns: list[tuple[Column, list[Cell], Cell]] = [
        (Column("layer"), [problem.layers[e].name or e for e in shown], "all"),
        (Column("design"), [_DESIGNS[int(plan.design[e])] for e in shown], ""),
    ]
    if (plan.design == 1).any():
        degrees: list[Cell] = [int(plan.pipeline_degree[e]) or None for e in shown]
        columns.append((Column("minibatch"), degrees, ""))
    shares = [100 * _share(value.layer_usd[e], value.cost_usd) for e in shown]
    columns += [
        (Column("MB"), [_range(_own(problem, plan.memory_mb, e)) for e in shown], ""),
        (Column("replicas"), [_range(_own(problem, plan.replicas, e)) for e in shown], ""),
        (
            Column(unit, ".1f"),
            [float(value.layer_usd[e]) / size for e in shown],
            value.cost_usd / size,
        ),
        (Column("bill %", ".1f"), [*shares], 100.0),
        (Column("s", ".3f"), [float(value.layer_s[e]) for e in shown], value.latency_s),
    ]
    if simulation is not None:
        seconds: list[Cell] = [float(simulation.layer_s[e]) for e in shown]
        columns.append((Column("simulated", ".3f"), seconds, simulation.latency_s))
    if left is not None:
        columns.append((Column("s left", ".3f"), [float(left[e]) for e in shown], value.slack_s))
    columns += [
        (Column("waits for"), [_slowest(problem, value, e) for e in shown], ""),
        (Column("binds"), [", ".join(RULES[label] for label in each) for each in binds], ""),
    ]
    return by_columns(
        "what is rented for each layer, what it costs and how long it takes",
        columns,
        note=_note(problem, len(shown), simulation),
    )


def savings(problem: ServerlessProblem, plan: ServerlessPlan) -> dict[str, float]:
    """Return which part of a baseline's bill a plan saves, by the baseline's method.

    LambdaML's deployment has the largest memory and no replicas; it counts whether it keeps the
    promise or not, but not if its functions break another rule.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    other = lambdaml(problem)
    if any(broken.constraint != "C6" for broken in violations(problem, other)):
        return {}
    theirs = evaluate(problem, other).cost_usd
    return {"lambdaml": 1 - evaluate(problem, plan).cost_usd / theirs} if theirs else {}


def money_unit(largest: float) -> tuple[float, str]:
    """Return the unit that shows an amount of US dollars in a few digits."""
    for size, unit in ((1.0, "USD"), (1e-3, "mUSD")):
        if largest >= size:
            return size, unit
    return (1e-6, "uUSD") if largest > 0 else (1.0, "USD")


def _left(problem: ServerlessProblem, value: Evaluation) -> FloatArray | None:
    """Return the seconds of the promise that are left when each layer is done."""
    if problem.slo_s is None:
        return None
    own = value.layer_s + np.array([layer.non_moe_s for layer in problem.layers])
    left: FloatArray = problem.slo_s - problem.head_s - np.cumsum(own)
    return left


def _own(problem: ServerlessProblem, table: IntArray, layer: int) -> IntArray:
    return table[layer, : len(problem.tokens_of(layer)[0])]


def _range(numbers: IntArray) -> str:
    least, most = int(numbers.min()), int(numbers.max())
    return str(least) if least == most else f"{least}-{most}"


def _share(part: float, whole: float) -> float:
    return float(part) / whole if whole else 0.0


def _slowest(problem: ServerlessProblem, value: Evaluation, layer: int) -> str:
    """Return what the layer's latency is made by: its slowest expert, or the next function."""
    own = value.expert_s[layer, : len(problem.tokens_of(layer)[0])]
    slowest = int(np.argmax(own))
    # Experts wait for none of each other: if all take the same, it is something else's time.
    return f"expert {slowest}" if len(own) == 1 or own.min() < own.max() else "all alike"


def _note(problem: ServerlessProblem, shown: int, simulation: Simulation | None) -> str:
    notes = []
    if shown < problem.num_layers:
        notes.append(f"The {shown} of {problem.num_layers} layers that cost most.")
    if simulation is not None:
        notes.append(
            "Simulated: links that queue, an access for every object, whole tokens; the plan is"
            " made by the formulas' seconds."
        )
    return " ".join(notes)


def _solve(
    problem: ServerlessProblem,
    plan: ServerlessPlan,
    value: Evaluation,
    simulation: Simulation | None,
    result: Any,
) -> Table:
    facts: list[tuple[str, Cell]] = [
        ("bill of a batch", _money(value.cost_usd)),
        ("of it durations", _money(value.duration_usd)),
        ("fees", _money(value.fees_usd)),
    ]
    parts = (("held functions", value.held_usd), ("non-MoE functions", value.waiting_usd))
    facts += [(name, _money(usd)) for name, usd in parts if usd]
    facts.append(("end to end", f"{value.latency_s:.6g} s"))
    if simulation is not None:
        facts.append(("simulated", f"{simulation.latency_s:.6g} s"))
    if problem.slo_s is not None:
        facts += [
            ("promise", f"{problem.slo_s:.6g} s"),
            ("slack", f"{value.slack_s:.4g} s"),
        ]
        if simulation is not None:
            facts.append(("slack, simulated", f"{problem.slo_s - simulation.latency_s:.4g} s"))
    facts.append(("functions", f"{int(plan.replicas.sum())}, {_at_once(value)} at once"))
    allowed = problem.limits().concurrency
    if allowed is not None and _at_once(value) > allowed:
        facts.append(("warning", f"an account may run {allowed} calls at once: ask for more"))
    if result is not None:
        facts += [
            ("lower bound", None if result.bound is None else _money(result.bound)),
            ("gap", None if result.gap is None else f"{100 * result.gap:.3f} %"),
        ]
    facts += [
        (f"cheaper than {name}", f"{100 * share:.1f} %")
        for name, share in savings(problem, plan).items()
    ]
    book = problem.book()
    dated = f", {book.date}" if book.date else ""
    facts.append(("prices", f"{book.name}{dated}, {problem.architecture}"))
    if result is not None:
        facts += how_it_went(result)
    title = problem.name or "the plan"
    return Table(title=title, columns=[Column(""), Column("")], rows=facts)


def _at_once(value: Evaluation) -> int:
    return int(value.replicas_at_once.max())


def _money(usd: float) -> str:
    size, unit = money_unit(usd)
    return f"{usd / size:.6g} {unit}"
