"""What the pictures of a placement plan show, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from moeopt.core.units import number_text
from moeopt.placement import replan
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.report.picture import Axis, Bars, Gallery, Heat, Level, Line, Mark, Picture, Role
from moeopt.report.placement.fronts import moves_picture
from moeopt.report.placement.numbers import Loads, Told, by_scenario, copies_text

#: Experts that `replicas_picture` shows: below are those of one copy and few tokens.
MOST_EXPERTS = 40


def device_loads_picture(
    problem: PlacementProblem,
    plan: PlacementPlan,
    layer: int | None = None,
    result: Any = None,
) -> Picture:
    """Return each device's load before and after, the mean, and what nothing can beat.

    All devices wait for the busiest one of each layer: with all layers together, or several
    scenarios, that is more than any bar, and has a line of its own.
    """
    return _device_loads(Told(problem, plan, result), layer)


def layer_imbalance_picture(
    problem: PlacementProblem, plan: PlacementPlan, result: Any = None
) -> Picture:
    """Return the objective of each layer over what it would be if all devices had the same."""
    return _layer_imbalance(Told(problem, plan, result))


def expert_device_map_picture(
    problem: PlacementProblem, plan: PlacementPlan, layer: int = 0
) -> Picture:
    """Return what each device serves of each expert, in hundredths of a device's mean load.

    Experts stand in order of their load; one with copies has as many dark fields in its column.
    Numbers are rounded up, so that every copy is seen: there, 0 means no copy.
    """
    return _expert_device_map(Told(problem, plan), layer)


def replicas_picture(problem: PlacementProblem, plan: PlacementPlan, layer: int = 0) -> Picture:
    """Return the hottest experts' load, and the most of it that one device has to serve."""
    return _replicas(Told(problem, plan), layer)


def scenario_imbalance_picture(problem: PlacementProblem, plan: PlacementPlan) -> Picture:
    """Return the imbalance in each scenario, before and after, all layers together."""
    return _scenario_imbalance(Told(problem, plan))


def pictures(
    problem: PlacementProblem, plan: PlacementPlan, result: Any
) -> Sequence[Picture | Gallery]:
    """Return the pictures of a plan, the most telling first."""
    told = Told(problem, plan, result)
    found: list[Picture | Gallery] = []
    if problem.num_layers > 1:
        found.append(_layer_imbalance(told))
    found.append(_loads_gallery(told))
    if problem.num_scenarios > 1:
        found.append(_scenario_imbalance(told))
    found.append(_by_layer(told, _expert_device_map))
    if (told.copies.sum(axis=2) > 1).any():
        found.append(_by_layer(told, _replicas))
    if problem.previous is not None and replan.refuses(problem) is None:
        found.append(moves_picture(problem, plan=plan))
    return found


def _device_loads(told: Told, layer: int | None) -> Picture:
    layers = slice(None) if layer is None else slice(told.layer(layer), told.layer(layer) + 1)
    after, before = told.after, told.before
    device = np.arange(told.problem.num_devices)
    marks: list[Mark] = []
    if before is not None:
        marks.append(
            Bars(
                name=told.before_name,
                role="before",
                x=device,
                height=before.devices[layers].sum(axis=0),
            )
        )
    marks.append(
        Bars(name="this plan", role="plan", x=device, height=after.devices[layers].sum(axis=0))
    )
    if _waits_beyond_bars(told, layer):
        for when, loads, role in _WHEN:
            found: Loads | None = getattr(told, loads)
            if found is not None:
                value = float(found.largest[layers].sum())
                marks.append(Level(name=f"waited for {when}", role=role, value=value))
    mean = float(after.mean[layers].sum())
    bound = float(told.largest_bound[layers].sum())
    # One line where there would be two on each other.
    alike = bool(np.isclose(mean, bound, rtol=1e-9))
    if not alike:
        marks.append(Level(name="mean", role="quiet", value=mean))
    name = "bound, the mean" if alike else "bound"
    marks.append(Level(name=name, role="bound", value=bound))
    which = "all layers together" if layer is None else f"layer {layer}"
    return Picture(
        name="device-loads" if layer is None else f"device-loads-{layer}",
        title=f"Load of each device, {which}",
        x=Axis(label="device", whole=True),
        y=Axis(label=_load_label(told), unit=told.load_unit, from_zero=True),
        marks=marks,
        says=_loads_say(told, layers, which),
    )


#: What all wait for is told of these.
_WHEN: tuple[tuple[str, str, Role], ...] = (
    ("before", "before", "before"),
    ("now", "after", "plan"),
)


def _waits_beyond_bars(told: Told, layer: int | None) -> bool:
    """Tell whether the largest load is of several layers or scenarios: more than any bar."""
    several = layer is None and told.problem.num_layers > 1
    return several or len(told.after.value.device_loads) > 1


def _load_label(told: Told) -> str:
    what = "activated experts" if told.problem.objective == "activated" else "load"
    over = " over relative speed" if told.speeds_differ else ""
    return what + over


def _loads_say(told: Told, layers: slice, which: str) -> str:
    largest, mean = (float(v[layers].sum()) for v in (told.after.largest, told.after.mean))
    bound = float(told.largest_bound[layers].sum())
    unit = told.load_unit
    parts = [
        f"{which.capitalize()}: devices wait for {number_text(largest)} {unit},"
        f" {_over(largest, mean)} the mean; no plan is below {number_text(bound)}."
    ]
    if told.before is not None:
        before = float(told.before.largest[layers].sum())
        parts.append(
            f"Before ({told.before_name}): {number_text(before)}, {_over(before, mean)} the mean."
        )
    if told.problem.num_scenarios > 1:
        parts.append(f"Bars are the weighted mean of {told.problem.num_scenarios} scenarios.")
    if told.problem.dead_devices:
        dead = ", ".join(map(str, told.problem.dead_devices))
        parts.append(f"Dead: {dead}.")
    return " ".join(parts)


def _over(value: float, mean: float) -> str:
    return f"{value / mean if mean > 0 else 1.0:.4f} times"


def _loads_gallery(told: Told) -> Picture | Gallery:
    layers = told.problem.num_layers
    if layers == 1:
        return _device_loads(told, 0)
    return Gallery(
        name="device-loads",
        title="Load of each device",
        choice="layer",
        names=["all layers", *(f"layer {layer}" for layer in range(layers))],
        pictures=[_device_loads(told, None), *(_device_loads(told, k) for k in range(layers))],
    )


def _layer_imbalance(told: Told) -> Picture:
    unit, layer = told.unit, np.arange(told.problem.num_layers)
    seconds = told.problem.objective == "layer_time"
    marks: list[Mark] = []
    if not seconds:
        marks.append(Level(name="all devices alike", role="quiet", value=1.0))
    if told.before is not None:
        height = told.before.value.layer_objective / unit
        marks.append(Line(name=told.before_name, role="before", x=layer, y=height, points=True))
    height = told.after.value.layer_objective / unit
    marks.append(Line(name="this plan", role="plan", x=layer, y=height, points=True))
    marks.append(Line(name="bound", role="bound", x=layer, y=told.bound / unit))
    worst = int(np.argmax(height))
    form = "{:.4g} ms" if seconds else "{:.4f} times the mean"
    axis = Axis(label="time of a layer", unit="ms", from_zero=True) if seconds else _IMBALANCE
    bound = told.bound[worst] / unit[worst]
    says = f"The worst layer is {worst}: {form.format(height[worst])}, its bound"
    says += f" {form.format(bound)}."
    if told.before is not None:
        before = float((told.before.value.layer_objective / unit).max())
        says += f" Before ({told.before_name}) the worst was {form.format(before)}."
    return Picture(
        name="layer-imbalance",
        title="Time of each layer" if seconds else "Imbalance of each layer",
        x=Axis(label="layer", whole=True),
        y=axis,
        marks=marks,
        says=says,
    )


_IMBALANCE = Axis(label="largest device load over the mean")


def _expert_device_map(told: Told, layer: int) -> Picture:
    layer = told.layer(layer)
    order = np.argsort(-told.expert_tokens[layer], kind="stable")
    speed = told.problem.cluster.relative_speed()
    mean = float(told.after.mean[layer])
    part = 100.0 * told.served[layer] / speed / mean if mean > 0 else told.served[layer]
    # Rounded up, a copy is never nothing; whole numbers keep a page of many layers small.
    percent = np.maximum(np.ceil(part - 1e-9), told.copies[layer] > 0)[order].T
    copies = told.copies[layer].sum(axis=1)
    says = (
        f"{int((copies > 1).sum())} of {len(order)} experts have several copies,"
        f" most expert {int(copies.argmax())} with {int(copies.max())}."
        f" The hottest, expert {int(order[0])}, has {int(copies[order[0]])}."
    )
    return Picture(
        name=f"expert-device-map-{layer}",
        title=f"Where each expert is served, layer {layer}",
        x=Axis(label="expert, hottest first", names=tuple(map(str, order.tolist()))),
        y=Axis(label="device", whole=True),
        marks=[Heat(name="of a device's mean load", unit="%", values=percent)],
        says=says,
    )


def _replicas(told: Told, layer: int) -> Picture:
    layer = told.layer(layer)
    tokens = told.expert_tokens[layer]
    order = np.argsort(-tokens, kind="stable")[:MOST_EXPERTS]
    most = told.served[layer, order].max(axis=1)
    copies = told.copies[layer].sum(axis=1)
    rank = np.arange(len(order))
    marks: list[Mark] = [
        Bars(name="whole expert", role="before", x=rank, height=tokens[order]),
        Bars(name="most of it on one device", role="plan", x=rank, height=most),
    ]
    mean = float(told.after.mean[layer])
    # Far above all bars it would leave them no room.
    if mean <= 2 * tokens.max():
        marks.append(Level(name="mean of a device", role="quiet", value=mean))
    hottest = int(order[0])
    says = (
        f"The hottest expert, {hottest}, has {number_text(tokens[hottest])} {told.load_unit} and"
        f" {copies_text(int(copies[hottest]))}; a device serves {number_text(most[0])} at most."
    )
    if len(order) < len(tokens):
        says += f" The {len(order)} hottest of {len(tokens)} experts are shown."
    return Picture(
        name=f"replicas-{layer}",
        title=f"What copies take off the hottest experts, layer {layer}",
        x=Axis(label="expert, hottest first", names=tuple(map(str, order.tolist()))),
        y=Axis(label="load", unit=told.load_unit, from_zero=True),
        marks=marks,
        says=says,
    )


def _scenario_imbalance(told: Told) -> Picture:
    after = by_scenario(told.problem, told.plan)
    scenario = np.arange(len(after))
    marks: list[Mark] = [Level(name="all devices alike", role="quiet", value=1.0)]
    says = f"This plan is between {after.min():.4f} and {after.max():.4f}."
    if told.plan_before is not None:
        before = by_scenario(told.problem, told.plan_before)
        marks.append(Line(name=told.before_name, role="before", x=scenario, y=before, points=True))
        says += f" Before ({told.before_name}): {before.min():.4f} to {before.max():.4f}."
    marks.append(Line(name="this plan", role="plan", x=scenario, y=after, points=True))
    return Picture(
        name="scenario-imbalance",
        title="Imbalance in each scenario, all layers together",
        x=Axis(label="scenario", whole=True),
        y=_IMBALANCE,
        marks=marks,
        says=says,
    )


def _by_layer(told: Told, picture: Callable[[Told, int], Picture]) -> Picture | Gallery:
    """Return the picture of each layer; of one layer the picture itself."""
    each = [picture(told, layer) for layer in range(told.problem.num_layers)]
    if len(each) == 1:
        return each[0]
    name = each[0].name.removesuffix("-0")
    return Gallery(
        name=name,
        title=each[0].title.removesuffix(", layer 0"),
        choice="layer",
        names=[f"layer {layer}" for layer in range(len(each))],
        pictures=each,
    )
