"""Pictures of models that share devices: who sits where, what it takes, and who waits for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from moeopt.colocation.plan import ColocationPlan, device_phases, evaluate
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import FloatArray, IntArray, largest
from moeopt.core.units import time_text, time_unit
from moeopt.report.drawing import draw
from moeopt.report.picture import Axis, Bars, Gallery, Heat, Level, Mark, Picture, Points, Role
from moeopt.report.timeline import interleaved_timeline_picture, layer_timeline_picture
from moeopt.timeline import LayerTime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Devices of one picture where there are more.
MOST_DEVICES = 64

#: Models whose computing, and whose traffic, are told apart; the traffic of more is one bar.
_COMPUTE: tuple[Role, ...] = ("first", "second", "third")
_TRAFFIC: tuple[Role, ...] = ("fourth", "fifth", "sixth")


def shared_devices(problem: ColocationProblem, plan: ColocationPlan, *, ax: Any = None) -> Axes:
    """Draw which experts of which model sit on each device, and how many tokens they compute.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    ax
        Axes to draw on; ``None`` makes some.
    """
    return draw(shared_devices_picture(problem, plan), ax)


def device_weights(problem: ColocationProblem, plan: ColocationPlan, *, ax: Any = None) -> Axes:
    """Draw what each device computes and moves for each model, and what it would take alone.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    ax
        Axes to draw on; ``None`` makes some.
    """
    return draw(device_weights_picture(problem, plan), ax)


def utilisation(problem: ColocationProblem, plan: ColocationPlan, *, ax: Any = None) -> Axes:
    """Draw the share of the time in which devices compute, one model after the other and in turns.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    ax
        Axes to draw on; ``None`` makes some.
    """
    return draw(utilisation_picture(problem, plan), ax)


def model_names(problem: ColocationProblem) -> list[str]:
    """Return the models' names; those without one are numbered."""
    return [model.name or f"model {m}" for m, model in enumerate(problem.models)]


def timelines(problem: ColocationProblem, plan: ColocationPlan) -> Picture | Gallery:
    """Return the timeline of models that take turns, and of each with the devices to itself."""
    names = model_names(problem)
    together = interleaved_timeline_picture(evaluate(problem, plan).interleaved, models=names)
    if problem.num_models == 1:
        return together
    alone = [
        layer_timeline_picture(
            layer, name=f"alone-{m}", title=f"One layer of {names[m]} by itself, same devices"
        )
        for m, layer in enumerate(device_phases(problem, plan))
    ]
    return Gallery(
        name="timeline",
        title="Who computes and sends when",
        choice="models",
        names=["taking turns", *(f"{name} by itself" for name in names)],
        pictures=[together, *alone],
    )


def shared_devices_picture(problem: ColocationProblem, plan: ColocationPlan) -> Picture:
    """Return the picture of `shared_devices`: a row for each device, a column for each expert.

    An expert without tokens is an empty column.
    """
    shown = _busiest_devices(problem, plan)
    names = model_names(problem)
    columns, labels = [], []
    for name, model, device in zip(names, problem.models, plan.device, strict=True):
        for expert, tokens in enumerate(model.tokens().tolist()):
            if device[expert] in shown:
                columns.append(np.where(shown == device[expert], tokens, 0.0))
                labels.append(f"{name} {expert}")
    left_out = ""
    if len(shown) < problem.num_devices:
        left_out = f" Shown are the {len(shown)} of {problem.num_devices} that take longest."
    return Picture(
        name="shared-devices",
        title="Who shares a device",
        x=Axis(label="expert", names=tuple(labels)),
        y=Axis(label="device", names=tuple(map(str, shown.tolist()))),
        marks=[Heat(name="computed", unit="tokens", values=np.stack(columns, axis=1))],
        says=_shares_text(problem, plan) + left_out,
    )


def device_weights_picture(problem: ColocationProblem, plan: ColocationPlan) -> Picture:
    """Return the picture of `device_weights`."""
    value = evaluate(problem, plan)
    layers = device_phases(problem, plan)
    names = model_names(problem)
    shown = _busiest_devices(problem, plan)
    size, unit = time_unit(max(value.time_s, value.bottleneck_s))
    computing = [layer.computing_s[shown] for layer in layers]
    moving = [seconds[shown] for seconds in _port_seconds(layers)]
    if len(names) > len(_COMPUTE):
        computing, moving, names = [np.sum(computing, axis=0)], [np.sum(moving, axis=0)], ["all"]
    marks: list[Mark] = [
        *_stacked("computes", names, computing, _COMPUTE, size),
        *_stacked("sends, receives", names, moving, _TRAFFIC, size),
        Points(
            name="alone",
            role="best",
            x=np.arange(len(shown)),
            y=value.device_time_s[shown] / size,
        ),
        Level(name="all devices together", role="plan", value=value.time_s / size),
    ]
    worst = int(value.device_time_s.argmax())
    return Picture(
        name="device-weights",
        title="What each device has to do",
        x=Axis(label="device", names=tuple(map(str, shown.tolist()))),
        y=Axis(label="time", unit=unit, from_zero=True),
        marks=marks,
        says=(
            f"Alone, without waiting for others, device {worst} would take longest,"
            f" {time_text(value.bottleneck_s)}; all together they take {time_text(value.time_s)}."
        ),
    )


def utilisation_picture(problem: ColocationProblem, plan: ColocationPlan) -> Picture:
    """Return the picture of `utilisation`: before is each model with the same devices to itself."""
    shown = _busiest_devices(problem, plan)
    before, after = utilisations(problem, plan)
    bars = (("one after the other", "before", before), ("taking turns", "plan", after))
    marks: list[Mark] = [
        Bars(name=name, role=role, x=np.arange(len(shown)), height=100 * share[shown])  # type: ignore[arg-type]
        for name, role, share in bars
    ]
    means = [f"{100 * float(share.mean()):.1f} %" for _, _, share in bars]
    return Picture(
        name="utilisation",
        title="How much of the time devices compute",
        x=Axis(label="device", names=tuple(map(str, shown.tolist()))),
        y=Axis(label="computing", unit="% of the time", from_zero=True),
        marks=marks,
        says=f"On average {means[0]} if models go one after the other, {means[1]} in turns.",
    )


def utilisations(problem: ColocationProblem, plan: ColocationPlan) -> tuple[FloatArray, FloatArray]:
    """Return each device's utilisation one model after the other, and taking turns.

    Both have shape ``(devices,)``; 0 where a round takes no time.
    """
    layers = device_phases(problem, plan)
    computing = np.sum([layer.computing_s for layer in layers], axis=0)
    total = sum(float(layer.total_s) for layer in layers)
    before = computing / total if total > 0 else np.zeros(problem.num_devices)
    return before, evaluate(problem, plan).utilisation


def _busiest_devices(problem: ColocationProblem, plan: ColocationPlan) -> IntArray:
    """Return the devices that would take longest alone, as many as are drawn, by number."""
    return largest(evaluate(problem, plan).device_time_s, MOST_DEVICES)


def _port_seconds(layers: tuple[LayerTime, ...]) -> list[FloatArray]:
    """Return what each model takes of each port's busier direction, both all-to-alls together."""
    found = [np.zeros(layers[0].gate_s.shape) for _ in layers]
    for phase in ("dispatch", "combine"):
        sends = [getattr(layer, phase).send_s for layer in layers]
        receives = [getattr(layer, phase).receive_s for layer in layers]
        busier = np.sum(sends, axis=0) >= np.sum(receives, axis=0)
        for m, seconds in enumerate(found):
            seconds += np.where(busier, sends[m], receives[m])
    return found


def _stacked(
    does: str,
    names: list[str],
    seconds: list[FloatArray],
    roles: tuple[Role, ...],
    size: float,
) -> list[Bars]:
    """Return bars of the models, each on those before."""
    base: FloatArray | None = None
    bars = []
    for name, mine, role in zip(names, seconds, roles, strict=False):
        height = mine / size
        x = np.arange(len(height))
        bars.append(Bars(name=f"{does}: {name}", role=role, x=x, height=height, base=base))
        base = height if base is None else base + height
    return bars


def _shares_text(problem: ColocationProblem, plan: ColocationPlan) -> str:
    """Return who sits with the expert that computes most."""
    tokens = [model.tokens() for model in problem.models]
    m = int(np.argmax([own.max() for own in tokens]))
    e = int(tokens[m].argmax())
    g = int(plan.device[m, e])
    names = model_names(problem)
    others = [
        f"{names[k]} {f}" for k, f in np.argwhere(plan.device == g).tolist() if (k, f) != (m, e)
    ]
    beside = f"beside {', '.join(others)}" if others else "by itself"
    return f"The busiest expert, {names[m]} {e}, sits on device {g} {beside}."
