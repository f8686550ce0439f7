"""What comes first on the page of a placement plan: what it gained, and what is in its way."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.units import bytes_text, number_text
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem
from moeopt.report.placement.limits import CLOSE, binds
from moeopt.report.placement.numbers import Told, copies_text
from moeopt.report.wings import Fact, Summary, changed, counted, distance

_OBJECTIVES = {
    "max_load": "least load of the busiest device, summed over layers",
    "mean_max": "least load of the busiest device, expected over scenarios, summed over layers",
    "worst_max": "least load of the busiest device in the worst scenario, summed over layers",
    "cvar": "least load of the busiest device over the worst scenarios, summed over layers",
    "activated": "fewest activated experts of the busiest device, summed over layers",
    "layer_time": "least time of all layers, from gate to aggregation",
}

#: Objectives that are none of the figures told of every plan.
_OWN = {
    "worst_max": "busiest device in the worst scenario",
    "cvar": "busiest device over the worst scenarios",
    "layer_time": "time",
}

_SPLITS = {
    "even": "evenly",
    "nearest": "to the nearest copy",
    "optimal": "as is best for each scenario",
}


def summary(problem: PlacementProblem, plan: PlacementPlan, result: Any) -> Summary:
    """Return what was asked, what the plan gained, how far from the best it is, and what binds."""
    told = Told(problem, plan, result)
    return Summary(
        asked=_asked(problem),
        gained=_gained(told),
        distance=[*distance(result), _proven(told)],
        binds=binds(told),
    )


def _asked(problem: PlacementProblem) -> list[Fact]:
    live, nodes = int(problem.live().sum()), problem.cluster.num_nodes
    slots = int(problem.slots()[problem.live()].sum())
    spare = slots - problem.num_experts
    dead = "" if live == problem.num_devices else f", {problem.num_devices - live} dead"
    facts = [
        Fact(label="instance", text=problem.name or "without a name"),
        counted("layers", problem.num_layers),
        counted("experts of a layer", problem.num_experts),
        Fact(
            label="devices",
            text=f"{live:,} on {nodes:,} {'node' if nodes == 1 else 'nodes'}{dead}",
            number=live,
        ),
        Fact(
            label="slots of a layer",
            text=f"{slots:,}, {spare:,} more than experts",
            number=slots,
        ),
        Fact(label="wanted", text=_OBJECTIVES[problem.objective]),
        Fact(label="tokens split over copies", text=_SPLITS[problem.split]),
    ]
    if problem.num_scenarios > 1:
        seen = "their mean counts" if problem.objective == "max_load" else "all count"
        text = f"{problem.num_scenarios:,}: {seen}"
        facts.append(Fact(label="load scenarios", text=text, number=problem.num_scenarios))
    facts.append(Fact(label="rules", text="; ".join(_rules(problem)) or "none"))
    return facts


def _rules(problem: PlacementProblem) -> list[str]:
    """Return the rules in force, in words."""
    said = (
        (problem.max_copies_per_device, "at most {} of an expert on a device"),
        (problem.max_copies_per_expert, "at most {} of an expert"),
    )
    found = [text.format(copies_text(most)) for most, text in said if most is not None]
    if problem.min_copies_per_expert > 1:
        found.append(f"at least {copies_text(problem.min_copies_per_expert)} of an expert")
    if problem.distinct_nodes:
        found.append("copies on distinct nodes")
    if problem.group_rule == "one_node":
        found.append(f"each of {problem.groups} groups on one node")
    for pairs, what in ((problem.pinned, "pinned"), (problem.forbidden, "forbidden")):
        if pairs:
            found.append(f"{len(pairs)} {what} {'pair' if len(pairs) == 1 else 'pairs'}")
    if problem.expert_bytes is not None and np.isfinite(problem.memory_budget_bytes()).any():
        found.append("device memory")
    if problem.limits_moves():
        found.append("limits of moved bytes")
    if problem.move_price_per_byte > 0:
        found.append(f"a price of {problem.move_price_per_byte:g} for each byte moved")
    if problem.cross_node_price > 0:
        found.append(f"a price of {problem.cross_node_price:g} for each token across nodes")
    if problem.allow_empty_slots:
        found.append("slots may stay empty")
    return found


def _gained(told: Told) -> list[Fact]:
    after, before, unit = told.after, told.before, told.load_unit
    speed = " over relative speed" if told.speeds_differ else ""
    facts = [
        *_wanted(told, unit + speed),
        changed(
            "imbalance",
            None if before is None else before.imbalance,
            after.imbalance,
            "{:.4f}".format,
        ),
        changed(
            f"busiest device, summed over layers ({unit}{speed})",
            None if before is None else float(before.largest.sum()),
            float(after.largest.sum()),
            number_text,
        ),
    ]
    if told.problem.objective != "activated":
        waits = (
            f"the average device waits {100 * after.waiting:.3g} % of the time that experts take"
        )
        if before is not None:
            waits += f", {100 * before.waiting:.3g} % before"
        facts.append(Fact(label="what it means", text=waits, number=after.waiting))
    if told.before is not None:
        facts.append(Fact(label="before", text=told.before_name))
    return [*facts, *_moved(told), *_across(told)]


def _wanted(told: Told, unit: str) -> list[Fact]:
    """Return the objective, where it is told nowhere else."""
    name = _OWN.get(told.problem.objective)
    if name is None:
        return []
    timed = told.problem.objective == "layer_time"
    before, after = (
        None if loads is None else float(loads.value.layer_objective.sum())
        for loads in (told.before, told.after)
    )
    assert after is not None
    label = f"{name}, summed over layers ({'s' if timed else unit})"
    return [changed(label, before, after, "{:.4g}".format if timed else number_text)]


def _moved(told: Told) -> list[Fact]:
    if told.problem.previous is None or told.problem.expert_bytes is None:
        return []
    moved = told.after.value.moved_bytes
    text = f"{bytes_text(moved)} from the previous plan"
    return [Fact(label="bytes moved", text=text, number=moved)]


def _across(told: Told) -> list[Fact]:
    """Return the tokens that leave the node of their group, where there are groups and nodes."""
    problem = told.problem
    if problem.groups < 2 or problem.cluster.num_nodes < 2 or problem.objective == "activated":
        return []
    # At price 1, because at 0 nobody counts them.
    counted = msgspec.structs.replace(problem, group_rule="free", cross_node_price=1.0)
    plans = (told.plan_before, told.plan)
    before, after = (
        None if plan is None else evaluate(counted, plan).cross_node_tokens for plan in plans
    )
    assert after is not None
    return [changed("tokens served outside their group's node", before, after, number_text)]


def _proven(told: Told) -> Fact:
    """Return how many layers are proven to have no better plan."""
    value = told.after.value.layer_objective
    above = value - told.bound
    done = int((above <= OPTIMALITY_TOLERANCE * np.abs(value)).sum())
    text = f"{done:,} of {len(value):,}"
    near = int((above <= CLOSE * np.abs(value)).sum())
    if near > done:
        text += f"; {near:,} are within {100 * CLOSE:g} % of their bound"
    return Fact(label="layers proven optimal", text=text, number=done)
