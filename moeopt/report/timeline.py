"""Pictures of one layer's time: of a model by itself, and of models that take turns on devices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, largest
from moeopt.core.units import time_text, time_unit
from moeopt.report.drawing import draw
from moeopt.report.picture import Axis, Picture, Role, Spans
from moeopt.timeline import Interleaved, LayerTime, Phase, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Devices that have a lane where there are more.
MOST_DEVICES = 32

#: What tells phases apart, or models, by their place in the order.
_ROLES: tuple[Role, ...] = ("first", "second", "third", "fourth", "fifth", "sixth")

#: How bars that say nothing themselves are read.
_ORDER = "Devices' bars are gate, experts and aggregation; the network's, dispatch and combine."

_PHASES: tuple[Phase, ...] = get_args(Phase)
_ON_DEVICES: tuple[Phase, ...] = ("gate", "compute", "aggregation")
_ON_NETWORK: tuple[Phase, ...] = ("dispatch", "combine")


def layer_timeline(layer: LayerTime, *index: int, ax: Any = None) -> Axes:
    """Draw what each device does while a model has the devices to itself, and what it waits for.

    Every phase begins when the slowest device has ended the one before; its bar is outlined.

    Parameters
    ----------
    layer
        Seconds of each phase on each device.
    *index
        Which layer, one index for each leading axis.
    ax
        Axes to draw on; ``None`` makes some.

    Raises
    ------
    InstanceError
        If there is not one index for each leading axis, or one lies outside.
    """
    return draw(layer_timeline_picture(layer, *index), ax)


def interleaved_timeline(
    found: Interleaved, *index: int, models: Sequence[str] = (), ax: Any = None
) -> Axes:
    """Draw what each device computes, and when whose tokens travel, while models take turns.

    Outlined is the chain that ends with the round: it gets no shorter unless one of these does.

    Parameters
    ----------
    found
        One round, of `moeopt.timeline.interleaved`.
    *index
        Which of the rounds, one index for each leading axis.
    models
        Names of the models; left out they are numbered.
    ax
        Axes to draw on; ``None`` makes some.

    Raises
    ------
    InstanceError
        If there is not one index for each leading axis, or one lies outside.
    """
    return draw(interleaved_timeline_picture(found, *index, models=models), ax)


def layer_timeline_picture(
    layer: LayerTime,
    *index: int,
    name: str = "layer-timeline",
    title: str = "One layer, phase by phase",
) -> Picture:
    """Return the picture of `layer_timeline`, under a name and a title of its own if need be."""
    steps = layer.bottleneck(*index)
    one = layer.mapped(lambda seconds: seconds[index])
    total = float(one.total_s)
    shown = _shown(one.computing_s, steps)
    bars = []
    for step in steps:
        seconds: FloatArray = getattr(one, f"{step.phase}_s")
        for lane, g in enumerate(shown.tolist()):
            ends = step.start_s + float(seconds[g])
            phase = step.phase
            bars.append(_Bar(lane, phase, phase, step.start_s, ends, g == step.device))
    busy = f"Devices compute {100 * float(one.utilisation.mean()):.0f} % of the time."
    return Picture(
        name=name,
        title=title,
        x=Axis(label="time", unit=time_unit(total)[1], from_zero=True),
        y=Axis(label="device", names=tuple(map(str, shown.tolist()))),
        marks=_spans(bars, _PHASES, total),
        says=" ".join([_chain_text(total, steps), busy, *_left_out(shown, one.gate_s.size)]),
    )


def interleaved_timeline_picture(
    found: Interleaved,
    *index: int,
    models: Sequence[str] = (),
    name: str = "interleaved-timeline",
    title: str = "One layer of all models as they take turns",
) -> Picture:
    """Return the picture of `interleaved_timeline`, under a name and a title if need be."""
    steps = found.critical(*index)
    names = list(models) or [f"model {k}" for k in range(len(found.gate.end_s))]
    total = float(found.total_s[index])
    lanes, devices, left_out = _device_lanes(found, steps, index)
    bars = [*_device_bars(found, names, devices, steps, index)]
    for k, model in enumerate(names):
        lane = len(lanes)
        network = _network_bars(found, k, model, lane, steps, index)
        if network:
            bars += network
            lanes.append(f"network: {model}")
    return Picture(
        name=name,
        title=title,
        x=Axis(label="time", unit=time_unit(total)[1], from_zero=True),
        y=Axis(label="", names=tuple(lanes)),
        marks=_spans(bars, names, total),
        says=" ".join([_chain_text(total, steps, names), _ORDER, *left_out]),
    )


@dataclass(frozen=True)
class _Bar:
    """One lying bar, in seconds: a phase, told as one of a group."""

    lane: int
    group: str
    phase: Phase
    start_s: float
    end_s: float
    marked: bool


def _device_lanes(
    found: Interleaved, steps: Sequence[Step], index: tuple[int, ...]
) -> tuple[list[str], list[int | None], list[str]]:
    """Return the names of the devices' lanes, their devices, and what is said of those left out.

    Where only the phases' maxima are known, or each device is a round of its own, there is one
    lane, and its device is ``None``.
    """
    if found.alone:
        return [f"device {index[-1]}"], [None], []
    if not found.layers:
        return ["devices"], [None], []
    computing = np.sum([layer.computing_s[index] for layer in found.layers], axis=0)
    shown = _shown(computing, steps)
    lanes = [f"device {g}" for g in shown.tolist()]
    return lanes, list(shown.tolist()), _left_out(shown, computing.size)


def _device_bars(
    found: Interleaved,
    names: Sequence[str],
    devices: Sequence[int | None],
    steps: Sequence[Step],
    index: tuple[int, ...],
) -> Iterable[_Bar]:
    """Return when each model computes on each device: what is marked is the chain's."""
    chain = {(step.phase, step.models[-1]): step.device for step in steps}
    for k, model in enumerate(names):
        for phase in _ON_DEVICES:
            spans = getattr(found, phase)
            start, end = (float(when[(k, *index)]) for when in (spans.start_s, spans.end_s))
            for lane, g in enumerate(devices):
                own = end
                if g is not None:
                    own = start + float(getattr(found.layers[k], f"{phase}_s")[(*index, g)])
                sets = (phase, k) in chain and (g is None or chain[phase, k] == g)
                yield _Bar(lane, model, phase, start, own, sets)


def _network_bars(
    found: Interleaved,
    k: int,
    model: str,
    lane: int,
    steps: Sequence[Step],
    index: tuple[int, ...],
) -> list[_Bar]:
    """Return from when until when one model's tokens are on their way."""
    chain = {(step.phase, m) for step in steps for m in step.models}
    bars = []
    for phase in _ON_NETWORK:
        spans = getattr(found, phase)
        start, end = (float(when[(k, *index)]) for when in (spans.start_s, spans.end_s))
        if end > start:
            bars.append(_Bar(lane, model, phase, start, end, (phase, k) in chain))
    return bars


def _spans(bars: Sequence[_Bar], groups: Sequence[str], total_s: float) -> list[Spans]:
    """Return the bars that last, a mark for each group that has any, in the picture's unit."""
    size, _ = time_unit(total_s)
    found = []
    for name, role in zip(groups, cycle(_ROLES), strict=False):
        mine = [bar for bar in bars if bar.group == name and bar.end_s > bar.start_s]
        if mine:
            found.append(
                Spans(
                    name=name,
                    role=role,
                    lane=[bar.lane for bar in mine],
                    start=np.array([bar.start_s for bar in mine]) / size,
                    end=np.array([bar.end_s for bar in mine]) / size,
                    # Where groups are phases, their names are enough.
                    texts=() if groups is _PHASES else tuple(bar.phase for bar in mine),
                    marked=[bar.marked for bar in mine],
                )
            )
    return found


def _shown(computing_s: FloatArray, steps: Sequence[Step]) -> IntArray:
    """Return the devices that have a lane: those of the chain, then those that compute longest."""
    weight = np.array(computing_s, dtype=np.float64)
    weight[[step.device for step in steps if step.device is not None]] = np.inf
    return largest(weight, MOST_DEVICES)


def _left_out(shown: IntArray, devices: int) -> list[str]:
    if len(shown) == devices:
        return []
    return [f"Shown are {len(shown)} of {devices} devices: those that set the time, or work most."]


def _chain_text(total_s: float, steps: Sequence[Step], models: Sequence[str] = ()) -> str:
    """Return what makes a time as long as it is, in words."""
    if not steps:
        return "It takes no time."
    parts = [
        f"{phase_text(step, models)} {time_text(step.seconds)} ({100 * step.share:.0f} %)"
        for step in steps
    ]
    return f"It takes {time_text(total_s)}: {', '.join(parts)}."


def phase_text(step: Step, models: Sequence[str] = ()) -> str:
    """Return a step of a chain in words: the phase, whose, and the slowest device.

    Parameters
    ----------
    step
        Of `LayerTime.bottleneck` or `Interleaved.critical`.
    models
        Names of the models; without them nothing is said of whose it is.
    """
    whose = f" of {' and '.join(models[k] for k in step.models)}" if models else ""
    if step.device is None:
        return f"{step.phase}{whose}"
    does = "computes" if step.direction is None else step.direction
    return f"{step.phase}{whose} (device {step.device} {does})"
