"""Pictures of committees: slots, members and loss of each layer, limits and what memory buys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from moeopt.committee.loss import total_loss, weights
from moeopt.committee.plan import CommitteePlan, evaluate, resident_at
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.units import memory_text, memory_unit, number_text
from moeopt.report.committee.numbers import (
    Costs,
    bought,
    costs_of,
    layer_costs,
    parts_of,
)
from moeopt.report.drawing import draw
from moeopt.report.picture import Axis, Bars, Heat, Level, Line, Mark, Picture, Points, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Windows of a map.
MOST_WINDOWS = 96

#: What a resident has in a map, of however little importance it is: 0 is nobody.
_LEAST_SEEN = 0.001


def committee_sizes(problem: CommitteeProblem, plan: CommitteePlan, *, ax: Any = None) -> Axes:
    """Draw the slots of each layer, beside those that its share of the loss would get.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    ax
        Where to draw; left out, on new axes.
    """
    return draw(sizes_picture(problem, plan), ax)


def resident_map(
    problem: CommitteeProblem, plan: CommitteePlan, layer: int | None = None, *, ax: Any = None
) -> Axes:
    """Draw which experts are there, and what each weighs.

    Parameters
    ----------
    problem, plan, ax
        As for `committee_sizes`; with a table no plan names experts.
    layer
        Whose windows are drawn; left out, all layers are, over all windows.

    Raises
    ------
    InstanceError
        If the problem has a table, or no such layer.
    """
    if problem.loss == "table":
        rule = "must name experts: a table names none"
        raise InstanceError("$.loss", "table", rule, "draw committee_sizes")
    if layer is None:
        return draw(members_picture(problem, plan), ax)
    number = whole("layer", layer)
    if not 0 <= number < problem.layers:
        rule = f"must be 0 to {problem.layers - 1}"
        raise InstanceError("layer", layer, rule, "name one that the problem has")
    return draw(windows_picture(problem, plan, number), ax)


def loss_per_layer(problem: CommitteeProblem, plan: CommitteePlan, *, ax: Any = None) -> Axes:
    """Draw what each layer loses and pays for loads, and what it must at least.

    Parameters
    ----------
    problem, plan, ax
        As for `committee_sizes`.
    """
    return draw(loss_picture(problem, plan, costs_of(problem, plan.period)), ax)


def limits_used(problem: CommitteeProblem, plan: CommitteePlan, *, ax: Any = None) -> Axes:
    """Draw how much of memory, latency and link the plan uses, and for what.

    Parameters
    ----------
    problem, plan, ax
        As for `committee_sizes`.
    """
    return draw(limits_picture(problem, plan), ax)


def loss_against_memory(problem: CommitteeProblem, plan: CommitteePlan, *, ax: Any = None) -> Axes:
    """Draw what memory buys, all other limits as they are, and where the plan stands.

    Parameters
    ----------
    problem, plan, ax
        As for `committee_sizes`.
    """
    return draw(memory_picture(problem, plan, costs_of(problem, plan.period)), ax)


def sizes_picture(problem: CommitteeProblem, plan: CommitteePlan) -> Picture:
    """Return the slots of each layer, its limits, and slots in proportion to what is at stake.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    x = np.arange(problem.layers)
    at_stake = total_loss(problem, plan.period)
    all_slots, all_loss = int(plan.slots.sum()), float(at_stake.sum())
    marks: list[Mark] = [Bars(name="slots", role="plan", x=x, height=plan.slots)]
    if all_loss > 0:
        share = all_slots * at_stake / all_loss
        marks.append(Points(name="by its share of the loss", role="rival", x=x, y=share))
    marks.append(Level(name="alike", role="quiet", value=all_slots / problem.layers))
    fewest, most = problem.fewest(), problem.most()
    if (most < problem.experts).any():
        marks.append(Line(name="most allowed", role="bound", x=x, y=most))
    if (plan.slots == fewest).any():
        marks.append(Line(name="fewest allowed", role="before", x=x, y=fewest))
    low, high = int(plan.slots.argmin()), int(plan.slots.argmax())
    return Picture(
        name="committee-sizes",
        title="Slots of each layer",
        x=Axis(label="layer", whole=True),
        y=Axis(label="slots", unit="experts", from_zero=True),
        marks=marks,
        says=f"{all_slots:,} of {problem.layers * problem.experts:,} experts have room, from"
        f" {plan.slots[low]} in layer {low} to {plan.slots[high]} in layer {high};"
        f" alike would be {all_slots / problem.layers:.4g}.",
    )


def members_picture(problem: CommitteeProblem, plan: CommitteePlan) -> Picture:
    """Return what the members of each layer weigh, experts in the order of what they weigh.

    Where there are several windows, an expert counts in those in which it is there.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem, which must not have a table.
    """
    table, there = weights(problem), resident_at(problem, plan)
    order = np.argsort(-table.sum(axis=0), axis=1, kind="stable")
    kept = np.take_along_axis((table * there).sum(axis=0), order, axis=1)
    total = table.sum(axis=(0, 2))[:, None]
    share = 100 * kept / np.where(total > 0, total, 1.0)
    ever = np.take_along_axis(there.any(axis=0), order, axis=1)
    seen = np.where(ever, np.maximum(np.round(share, 3), _LEAST_SEEN), 0.0)
    retained = 100 * float(kept.sum()) / float(total.sum()) if total.any() else 100.0
    return Picture(
        name="members",
        title="Who is there, and what it weighs",
        x=Axis(label="expert, weightiest first", whole=True),
        y=Axis(label="layer", whole=True),
        marks=[Heat(name="of the layer's importance", values=seen, unit="%")],
        says=f"Residents have {retained:.1f} % of all importance; an empty field is an expert that"
        " is never there.",
    )


def windows_picture(problem: CommitteeProblem, plan: CommitteePlan, layer: int) -> Picture:
    """Return what each expert of a layer weighs in each window in which it is there.

    Parameters
    ----------
    problem, plan
        As for `members_picture`.
    layer
        Which layer.
    """
    worth = weights(problem)[:MOST_WINDOWS, layer].T
    there = resident_at(problem, plan)[:MOST_WINDOWS, layer].T
    seen = np.where(there, np.maximum(worth, _LEAST_SEEN * max(1.0, float(worth.max()))), 0.0)
    loads = plan.loads[(plan.loads[:, 1] == layer) & (plan.loads[:, 0] > 0)]
    rest = problem.num_windows - worth.shape[1]
    left = f" {rest:,} more windows are left out." if rest > 0 else ""
    return Picture(
        name=f"windows-{layer}",
        title=f"Who is there when, layer {layer}",
        x=Axis(label="window", whole=True),
        y=Axis(label="expert", whole=True),
        marks=[Heat(name="importance of who is there", values=np.round(seen, 6))],
        says=f"The layer has {plan.slots[layer]} slots, and {len(loads)} experts come after the"
        f" first window; an empty field is an expert that is not there.{left}",
    )


def loss_picture(problem: CommitteeProblem, plan: CommitteePlan, costs: Costs) -> Picture:
    """Return what each layer loses and pays, without any resident, and at least.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    costs
        Of `costs_of`, of the plan's period.
    """
    value = evaluate(problem, plan)
    x = np.arange(problem.layers)
    nobody = total_loss(problem, plan.period)
    paid = layer_costs(problem, value) - value.loss_by_layer
    marks: list[Mark] = [
        Bars(name="nobody there", role="quiet", x=x, height=nobody),
        Bars(name="loss", role="plan", x=x, height=value.loss_by_layer),
    ]
    if paid.any():
        marks.append(
            Bars(name="price of loads", role="second", x=x, height=paid, base=value.loss_by_layer)
        )
    marks.append(Points(name="least with these slots", role="bound", x=x, y=_at(costs.least, plan)))
    most = int(np.argmax(value.loss_by_layer))
    share = 100 * value.loss / float(nobody.sum()) if nobody.any() else 0.0
    return Picture(
        name="loss-per-layer",
        title="Loss of each layer",
        x=Axis(label="layer", whole=True),
        y=Axis(label="loss", from_zero=True),
        marks=marks,
        says=f"The plan loses {number_text(value.loss)}, {share:.1f} % of what is lost with nobody"
        f" there; layer {most} loses most, {number_text(float(value.loss_by_layer[most]))}.",
    )


def limits_picture(problem: CommitteeProblem, plan: CommitteePlan) -> Picture:
    """Return how much of each limit is used, by what.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    parts = parts_of(problem, plan)
    roles: dict[str, Role] = {
        "fixed": "quiet",
        "experts on their way": "fourth",
        "slots": "plan",
        "activations": "second",
        "largest update": "fifth",
    }
    base = dict.fromkeys(parts, 0.0)
    marks: list[Mark] = []
    for part, role in roles.items():
        where = [k for k, limit in enumerate(parts) if parts[limit].get(part)]
        names = [list(parts)[k] for k in where]
        if not names:
            continue
        height = [100 * parts[name][part] for name in names]
        below = [base[name] for name in names]
        marks.append(Bars(name=part, role=role, x=where, height=height, base=below))
        for name, used in zip(names, height, strict=True):
            base[name] += used
    marks.append(Level(name="limit", role="bound", value=100.0))
    told = ", ".join(f"{used:.4g} % of the {name}" for name, used in base.items())
    return Picture(
        name="limits-used",
        title="What is used of each limit",
        x=Axis(label="limit", names=tuple(parts)),
        y=Axis(label="used", unit="%", from_zero=True),
        marks=marks,
        says=f"The plan uses {told}.",
    )


def memory_picture(problem: CommitteeProblem, plan: CommitteePlan, costs: Costs) -> Picture:
    """Return what memory buys: the bound, committees that stay, and the plan.

    Parameters
    ----------
    problem, plan, costs
        As for `loss_picture`.
    """
    found = bought(problem, costs, plan.period)
    value = evaluate(problem, plan)
    size, unit = memory_unit(float(found.budget_bytes.max(initial=problem.budget_bytes)))
    x = found.budget_bytes / size
    stays = Line(name="best that stays as it is", role="rival", x=x, y=found.stays, step=True)
    at = problem.budget_bytes / size
    return Picture(
        name="loss-against-memory",
        title="What memory buys",
        x=Axis(label="memory of the device", unit=unit),
        y=Axis(label="loss and price of loads", from_zero=True),
        marks=[
            *([stays] if np.isfinite(found.stays).any() else []),
            Line(name="bound", role="bound", x=x, y=found.least, step=True),
            Points(name="plan", role="plan", x=[at], y=[value.objective]),
        ],
        says=f"With {memory_text(problem.budget_bytes)} the plan costs"
        f" {number_text(value.objective)}; without memory for more than the fewest slots it would"
        f" be at least {number_text(float(found.least[0]))}, with all that may be had"
        f" {number_text(float(found.least[-1]))}.",
    )


def _at(curves: FloatArray, plan: CommitteePlan) -> FloatArray:
    at: FloatArray = curves[np.arange(plan.slots.size), plan.slots]
    return at
