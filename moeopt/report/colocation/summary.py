"""Models that share devices in a few facts: what was asked, what it gains, how far, what binds."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.colocation.bounds import bound
from moeopt.colocation.plan import (
    ColocationPlan,
    Evaluation,
    device_phases,
    evaluate,
    held_by,
)
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.summary import speedups
from moeopt.core.units import bytes_text, time_text
from moeopt.report.colocation.pictures import model_names, utilisations
from moeopt.report.timeline import phase_text
from moeopt.report.wings import Fact, Summary, distance, values
from moeopt.timeline import line_seconds

#: What is minimised, in words.
_OBJECTIVES = {
    "time": "one layer of all models as they take turns",
    "bottleneck": "the largest time that a device would take alone",
    "communication": "the busiest port's dispatches of all models",
}

#: What a plan is compared with, by method; without turns each model has the same devices.
_BASELINES = {
    "one after the other": "one after the other",
    "lina": "devices of its own for each model (lina)",
    "rec": "random pairs (rec)",
    "rga": "the best pairs on random devices (rga)",
    "rga_rec": "random pairs on random devices (rga_rec)",
}

#: A device is full if less than this share of its budget is free.
_FULL = 1e-9


def summary(problem: ColocationProblem, plan: ColocationPlan, result: Any) -> Summary:
    """Return what was asked, what the plan gains, how far it is from the best, and what binds."""
    value = evaluate(problem, plan)
    return Summary(
        asked=_asked(problem),
        gained=_gained(problem, plan, value, result),
        distance=_distance(problem, value, result),
        binds=[*_longest(problem, plan, value), *_rules(problem, plan)],
    )


def _asked(problem: ColocationProblem) -> list[Fact]:
    models = ", ".join(
        f"{name} ({model.num_experts} experts)"
        for name, model in zip(model_names(problem), problem.models, strict=True)
    )
    places = problem.experts_per_device
    facts = [
        Fact(label="models", text=f"{problem.num_models}: {models}", number=problem.num_models),
        Fact(label="devices", text=str(problem.num_devices), number=problem.num_devices),
        Fact(label="experts of a model on a device", text=f"at most {places}", number=places),
    ]
    budget = problem.memory_budget_bytes()
    if np.isfinite(budget).any() and problem.expert_sizes().any():
        least = float(budget.min())
        text = f"{bytes_text(least)} or more on each device"
        facts.append(Fact(label="memory for experts", text=text, number=least))
    if problem.pinned:
        count = len(problem.pinned)
        facts.append(Fact(label="pinned experts", text=str(count), number=count))
    return [*facts, Fact(label="minimised", text=_OBJECTIVES[problem.objective])]


def _gained(
    problem: ColocationProblem, plan: ColocationPlan, value: Evaluation, result: Any
) -> list[Fact]:
    """Return the objective, that of baselines, the other times, and how busy devices are."""
    times = {
        "time": ("one layer of all", value.time_s),
        "bottleneck": ("slowest device alone", value.bottleneck_s),
        "communication": ("aggregated dispatch", value.communication_s),
    }
    first, *others = sorted(times, key=lambda name: name != problem.objective)
    ratios = speedups(problem, plan, 0 if result is None else result.seed)
    facts = [_seconds(*times[first])]
    # What the turns themselves gain comes first.
    for name in sorted(ratios, key=list(_BASELINES).index):
        longer = ratios[name] * value.objective
        text = f"{time_text(longer)}: {ratios[name]:.3f} times as long"
        facts.append(Fact(label=_BASELINES[name], text=text, number=longer))
    before, after = (float(share.mean()) for share in utilisations(problem, plan))
    if after > 0:
        text = f"{100 * after:.1f} %: {100 * before:.1f} % one after the other"
        facts.append(Fact(label="devices compute", text=text, number=after))
    return facts + [_seconds(*times[name]) for name in others]


def _seconds(label: str, value: float) -> Fact:
    return Fact(label=label, text=time_text(value), number=value)


def _distance(problem: ColocationProblem, value: Evaluation, result: Any) -> list[Fact]:
    """Return how far from the best, in seconds; by a cheap bound if the file keeps none."""
    if result is None:
        return values(value.objective, bound(problem), time_text)
    return distance(result, time_text)


def _longest(problem: ColocationProblem, plan: ColocationPlan, value: Evaluation) -> list[Fact]:
    """Return the places that set the objective."""
    if problem.objective == "bottleneck":
        worst = int(value.device_time_s.argmax())
        text = f"device {worst}, {time_text(value.bottleneck_s)}"
        return [Fact(label="slowest device alone", text=text, number=value.bottleneck_s)]
    if problem.objective == "communication":
        layers = device_phases(problem, plan)
        lines = line_seconds([layer.dispatch for layer in layers])[0, -1]
        text = f"device {int(lines.argmax())}, {time_text(float(lines.max()))}"
        return [Fact(label="busiest port", text=text, number=float(lines.max()))]
    names = model_names(problem)
    return [
        Fact(
            label=f"step {number}",
            text=f"{phase_text(step, names)}: {time_text(step.seconds)},"
            f" {100 * step.share:.1f} % of the time",
            number=step.seconds,
        )
        for number, step in enumerate(value.interleaved.critical(), 1)
    ]


def _rules(problem: ColocationProblem, plan: ColocationPlan) -> list[Fact]:
    """Return the rules that leave no room: places, memory, pins."""
    held = held_by(problem, plan.device)
    facts = []
    full = int((held == problem.experts_per_device).all(axis=0).sum())
    if full:
        text = f"{full} of {problem.num_devices} devices have no place left for any model"
        facts.append(Fact(label="places (C2)", text=text, number=full))
    sizes, budget = problem.expert_sizes(), problem.memory_budget_bytes()
    if sizes.any() and np.isfinite(budget).any():
        free = budget - sizes @ held
        tight = int((free < sizes[sizes > 0].min() * (1 - _FULL)).sum())
        text = f"{tight} of {problem.num_devices} devices have no room for another expert"
        facts.append(Fact(label="memory (C3)", text=text, number=tight))
    if problem.pinned:
        count = len(problem.pinned)
        text = f"experts that sit where they are pinned: {count}"
        facts.append(Fact(label="pins (C4)", text=text, number=count))
    return facts
