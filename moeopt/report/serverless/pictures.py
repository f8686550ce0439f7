"""Pictures of serverless plans: bill and latency of each layer, memory and replicas of experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.units import range_text, time_text
from moeopt.report.drawing import draw
from moeopt.report.picture import Axis, Bars, Heat, Level, Line, Mark, Picture, Role
from moeopt.serverless.plan import ServerlessPlan, evaluate, layer_calls
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.stages import stages
from moeopt.serverless.summary import money_unit, simulated

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Communication designs in a word.
DESIGNS = {1: "pipelined", 2: "storage", 3: "direct"}


def bill_per_layer(problem: ServerlessProblem, plan: ServerlessPlan, *, ax: Any = None) -> Axes:
    """Draw what each layer is billed for a batch, by what is billed.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    ax
        Where to draw; left out, on new axes.
    """
    return draw(bill_picture(problem, plan), ax)


def latency_per_layer(problem: ServerlessProblem, plan: ServerlessPlan, *, ax: Any = None) -> Axes:
    """Draw where the seconds go, layer after layer, up to the promise.

    Parameters
    ----------
    problem, plan, ax
        As for `bill_per_layer`.
    """
    return draw(latency_picture(problem, plan), ax)


def function_memory(problem: ServerlessProblem, plan: ServerlessPlan, *, ax: Any = None) -> Axes:
    """Draw the memory of each expert's functions.

    Parameters
    ----------
    problem, plan, ax
        As for `bill_per_layer`.
    """
    return draw(memory_map(problem, plan), ax)


def function_replicas(problem: ServerlessProblem, plan: ServerlessPlan, *, ax: Any = None) -> Axes:
    """Draw the functions that share each expert's tokens.

    Parameters
    ----------
    problem, plan, ax
        As for `bill_per_layer`.
    """
    return draw(replica_map(problem, plan), ax)


@dataclass(frozen=True)
class Bill:
    """What is billed for a batch, in US dollars, the mean over scenarios, ``(layers + 1,)`` each.

    The last entry is of what belongs to no layer: head and tail.

    Attributes
    ----------
    seconds
        GB-seconds of expert functions.
    calls
        Calls of functions.
    storage
        Requests to storage and its traffic.
    held
        Provisioned concurrency.
    waiting
        Functions of non-MoE layers.
    """

    seconds: FloatArray
    calls: FloatArray
    storage: FloatArray
    held: FloatArray
    waiting: FloatArray


def bill_of(problem: ServerlessProblem, plan: ServerlessPlan) -> Bill:
    """Return what each layer is billed, by what is billed.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    value, layers, weights = evaluate(problem, plan), layer_calls(problem, plan), problem.weights()
    call_usd = problem.book().usd_per_request if problem.billing.requests else 0.0
    rows = []
    for calls in layers:
        made = calls.replicas * (weights @ (calls.share > 0))
        fees = float((calls.replicas * (weights @ calls.fees_usd)).sum())
        called = float(made.sum()) * call_usd
        worked = float((calls.replicas * (weights @ calls.duration_usd)).sum())
        kept = float((calls.replicas * calls.held_usd).sum())
        rows.append((worked, called, fees - called, kept))
    table = np.array([*rows, (0.0,) * 4]).T
    inside_s = value.layer_s + np.array([layer.non_moe_s for layer in problem.layers])
    waiting = problem.waiting_usd_per_s() * np.append(inside_s, problem.head_s + problem.tail_s)
    seconds, made_usd, storage, held = table
    return Bill(seconds, made_usd, storage, held, waiting)


def bill_picture(problem: ServerlessProblem, plan: ServerlessPlan) -> Picture:
    """Return the bill of each layer, bars on each other; with head and tail if they cost anything.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    bill, value = bill_of(problem, plan), evaluate(problem, plan)
    names = layer_names(problem, plan)
    if bill.waiting[-1] > 0:
        names = (*names, "head, tail")
    x = np.arange(len(names))
    size, unit = money_unit(float(value.layer_usd.max()))
    parts: tuple[tuple[str, Role, FloatArray], ...] = (
        ("seconds of functions", "plan", bill.seconds),
        ("calls", "second", bill.calls),
        ("storage", "third", bill.storage),
        ("held functions", "fourth", bill.held),
        ("non-MoE functions", "quiet", bill.waiting),
    )
    marks, base = [], np.zeros(x.size)
    for name, role, usd in parts:
        if usd.any():
            height = usd[: x.size] / size
            marks.append(Bars(name=name, role=role, x=x, height=height, base=base))
            base = base + height
    told, total_unit = money_unit(value.cost_usd)
    dearest = int(np.argmax(value.layer_usd))
    share = 100 * float(value.layer_usd[dearest]) / value.cost_usd if value.cost_usd else 0.0
    shares = ", ".join(
        f"{name} {100 * float(usd.sum()) / value.cost_usd:.1f} %"
        for name, _, usd in parts
        if usd.any() and value.cost_usd
    )
    return Picture(
        name="bill-per-layer",
        title="Bill of each layer",
        x=_layer_axis(names),
        y=Axis(label="bill of a batch", unit=unit, from_zero=True),
        marks=marks,
        says=f"A batch costs {value.cost_usd / told:.6g} {total_unit}: {shares or 'nothing'}. Layer"
        f" {names[dearest]} costs most, {share:.1f} %. {_designs(plan)}",
    )


def latency_picture(problem: ServerlessProblem, plan: ServerlessPlan) -> Picture:
    """Return the seconds of each layer by stage, each layer from where the one before ended.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    value = evaluate(problem, plan)
    found = [stages(problem, plan, layer) for layer in range(problem.num_layers)]
    columns = (
        ("non-MoE layer", [layer.non_moe_s for layer in problem.layers]),
        ("S1 begin", [stage.begun_s for stage in found]),
        ("S2 work", [stage.worked_s for stage in found]),
        ("loading", [stage.loading_s for stage in found]),
        ("S3 gather", [stage.gathered_s for stage in found]),
    )
    roles: tuple[Role, ...] = ("quiet", "second", "plan", "fourth", "third")
    x, names = np.arange(problem.num_layers), layer_names(problem, plan)
    own = value.layer_s + np.array(columns[0][1])
    ends = problem.head_s + np.cumsum(own)
    base = ends - own
    marks = _outside(problem, float(ends[-1]))
    if problem.tail_s > 0:
        names = (*names, "tail")
    for (name, seconds), role in zip(columns, roles, strict=True):
        height = np.array(seconds)
        if height.any():
            marks.append(Bars(name=name, role=role, x=x, height=height, base=base))
        base = base + height
    crowded = simulated(problem, plan)
    says = f"End to end a batch takes {value.latency_s:.6g} s"
    if crowded is not None:
        met = problem.head_s + np.cumsum(crowded.layer_s + np.array(columns[0][1]))
        marks.append(Line(name="simulated", role="rival", x=x, y=met, points=True))
        says += f", simulated with links that queue {crowded.latency_s:.6g} s"
    if problem.slo_s is not None and value.slack_s is not None:
        marks.append(Level(name="promise", role="bound", value=problem.slo_s))
        says += f"; promised are {problem.slo_s:.6g} s, {time_text(value.slack_s)} are left"
    slowest = int(np.argmax(own))
    outside = " with its non-MoE layer" if own[slowest] > value.layer_s[slowest] else ""
    told = f"{says}. Layer {names[slowest]} takes longest, {own[slowest]:.4g} s{outside}."
    return Picture(
        name="latency-per-layer",
        title="Seconds from layer to layer",
        x=_layer_axis(names),
        y=Axis(label="time since the batch came", unit="s", from_zero=True),
        marks=marks,
        says=told,
    )


def _outside(problem: ServerlessProblem, end_s: float) -> list[Mark]:
    """Return the bars of what is before the first layer and after the last."""
    parts = [(0, problem.head_s, 0.0), (problem.num_layers, problem.tail_s, end_s)]
    bars = [part for part in parts if part[1] > 0]
    if not bars:
        return []
    x, height, base = zip(*bars, strict=True)
    return [Bars(name="head, tail", role="fifth", x=x, height=height, base=base)]


def memory_map(problem: ServerlessProblem, plan: ServerlessPlan) -> Picture:
    """Return the memory of each expert's functions, experts by layers.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    sizes, counts = np.unique(plan.memory_mb[plan.memory_mb > 0], return_counts=True)
    most = int(np.argmax(counts))
    return _map(
        problem,
        plan,
        Heat(name="memory", unit="MB", values=plan.memory_mb),
        "function-memory",
        "Memory of each expert's functions",
        f"{range_text(sizes)} MB of {range_text(problem.memory_mb)}; {counts[most]:,} of"
        f" {counts.sum():,} experts have {sizes[most]} MB.",
    )


def replica_map(problem: ServerlessProblem, plan: ServerlessPlan) -> Picture:
    """Return the functions that share each expert's tokens, experts by layers.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    there = plan.replicas[plan.replicas > 0]
    several = int((there > 1).sum())
    return _map(
        problem,
        plan,
        Heat(name="functions", values=plan.replicas),
        "function-replicas",
        "Functions of each expert",
        f"{int(there.sum()):,} functions, at most {problem.max_replicas} are allowed for an expert;"
        f" {several:,} of {there.size:,} experts have more than one.",
    )


def layer_names(problem: ServerlessProblem, plan: ServerlessPlan) -> tuple[str, ...]:
    """Return what each layer is called, with its design if these differ, ``(layers,)``.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    names = [layer.name or str(number) for number, layer in enumerate(problem.layers)]
    if np.ptp(plan.design) > 0:
        pairs = zip(names, plan.design.tolist(), strict=True)
        names = [f"{name} {DESIGNS[design]}" for name, design in pairs]
    return tuple(names)


def _designs(plan: ServerlessPlan) -> str:
    designs, counts = np.unique(plan.design, return_counts=True)
    told = [f"{DESIGNS[d]} in {n}" for d, n in zip(designs.tolist(), counts.tolist(), strict=True)]
    return f"Communication: {', '.join(told)} of {plan.design.size} layers."


def _map(
    problem: ServerlessProblem, plan: ServerlessPlan, heat: Heat, name: str, title: str, says: str
) -> Picture:
    names = layer_names(problem, plan)
    return Picture(
        name=name,
        title=title,
        x=Axis(label="expert", whole=True),
        y=_layer_axis(names),
        marks=[heat],
        says=says,
    )


def _layer_axis(names: tuple[str, ...]) -> Axis:
    if _named(names):
        return Axis(label="layer", names=names)
    return Axis(label="layer", whole=True)


def _named(names: tuple[str, ...]) -> bool:
    """Tell whether the layers have names that are no numbers."""
    return names != tuple(map(str, range(len(names))))
