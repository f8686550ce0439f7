"""What the colocation wing gives: the plan, its checker and its value.

Written from ``formulations/colocation.md`` alone; no solver is imported here and none is trusted.
Times are `moeopt.timeline`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.wing import Plan, Violation
from moeopt.describe.topology import port_bytes_per_s
from moeopt.timeline import (
    Interleaved,
    LayerTime,
    interleaved,
    interleaved_alone,
    layer_time,
    line_seconds,
)

#: Relative slack of comparisons between sums of floating-point numbers.
TOLERANCE = 1e-9


class ColocationPlan(Plan, frozen=True, kw_only=True, tag="colocation"):
    """On which device every expert sits.

    Attributes
    ----------
    version
        Version of the document's schema.
    device
        Device of each expert, shape ``(models, experts)``: as many columns as the largest model
        has experts, -1 beyond a model's own.
    """

    version: Literal[1] = 1
    device: IntArray


@dataclass(frozen=True)
class Evaluation:
    """The value of a plan.

    Attributes
    ----------
    objective
        The one of the following three that the problem names.
    time_s
        One layer of all models as they take turns, each phase as slow as its slowest device.
    bottleneck_s
        The largest of `device_time_s`.
    communication_s
        The aggregated dispatch of all models: the busiest port's seconds.
    device_time_s
        What each device would take alone, shape ``(devices,)``.
    utilisation
        Share of `time_s` in which each device computes, shape ``(devices,)``.
    interleaved
        When each phase starts and ends, and what makes `time_s` as long as it is.
    """

    objective: float
    time_s: float
    bottleneck_s: float
    communication_s: float
    device_time_s: FloatArray
    utilisation: FloatArray
    interleaved: Interleaved


def violations(problem: ColocationProblem, plan: ColocationPlan) -> list[Violation]:
    """Return every constraint of the formulation page that the plan breaks."""
    strange = _shape_violations(problem, plan.device)
    if strange:
        return strange
    held = held_by(problem, plan.device)
    return [
        *_placed_violations(problem, plan.device),
        *_place_violations(problem, held),
        *_byte_violations(problem, held),
        *_pin_violations(problem, plan.device),
    ]


def evaluate(problem: ColocationProblem, plan: ColocationPlan) -> Evaluation:
    """Return the objective of a valid plan and the figures behind it."""
    layers = device_phases(problem, plan)
    together = interleaved(layers)
    alone = interleaved_alone(layers).total_s
    # All models together are entry [0, -1] of their lines.
    lines = line_seconds([layer.dispatch for layer in layers])[0, -1]
    values = {
        "time": float(together.total_s),
        "bottleneck": float(alone.max()),
        "communication": float(lines.max()),
    }
    return Evaluation(
        objective=values[problem.objective],
        time_s=values["time"],
        bottleneck_s=values["bottleneck"],
        communication_s=values["communication"],
        device_time_s=alone,
        utilisation=together.utilisation,
        interleaved=together,
    )


def device_phases(problem: ColocationProblem, plan: ColocationPlan) -> tuple[LayerTime, ...]:
    """Return what each model takes on each device, arrays of shape ``(devices,)``.

    Experts on one device exchange their tokens without the network. A device without experts of a
    model has no part in its gate and aggregation.
    """
    speed, port = problem.cluster.relative_speed(), port_bytes_per_s(problem.cluster)
    layers = []
    for model, device in zip(problem.models, plan.device, strict=True):
        on = _one_hot(device[: model.num_experts], problem.num_devices)
        here = on.any(axis=0)
        layers.append(
            layer_time(
                on.T.astype(np.float64) @ model.traffic_tokens @ on,
                relative_speed=speed,
                port_bytes_per_s=port,
                seconds_per_token=model.seconds_per_token,
                dispatch_bytes_per_token=model.dispatch_bytes_per_token,
                combine_bytes_per_token=model.combine_bytes_per_token,
                gate_s=np.where(here, model.gate_s, 0.0),
                aggregation_s=np.where(here, model.aggregation_s, 0.0),
            )
        )
    return tuple(layers)


def held_by(problem: ColocationProblem, device: IntArray) -> IntArray:
    """Return how many experts of each model each device holds, ``(models, devices)``."""
    held = np.zeros((problem.num_models, problem.num_devices), dtype=np.int64)
    model, expert = np.nonzero(device >= 0)
    np.add.at(held, (model, device[model, expert]), 1)
    return held


def _one_hot(device: IntArray, devices: int) -> BoolArray:
    on: BoolArray = device[:, None] == np.arange(devices)
    return on


def _shape_violations(problem: ColocationProblem, device: npt.NDArray[Any]) -> list[Violation]:
    shape = (problem.num_models, problem.num_experts)
    if device.shape != shape:
        message = f"must have shape {shape} = (models, experts), has {device.shape}"
        return [_violation("shape", "", message, 1.0)]
    there = np.arange(shape[1]) < problem.experts()[:, None]
    most = problem.num_devices - 1
    # Written so that nan is strange.
    fine = (device >= -1) & (device <= np.where(there, most, -1)) & (device == np.floor(device))
    if fine.all():
        return []
    model, expert = np.argwhere(~fine)[0].tolist()
    rule = f"0 to {most}" if there[model, expert] else f"-1: model {model} has no such expert"
    message = f"must be {rule}, is {device[model, expert]}"
    return [_violation("shape", f"[{model}][{expert}]", message, float((~fine).sum()))]


def _placed_violations(problem: ColocationProblem, device: IntArray) -> list[Violation]:
    missing = (np.arange(problem.num_experts) < problem.experts()[:, None]) & (device < 0)
    return _worst("C1", missing, "expert {1} of model {0} must be on a device", "[{0}][{1}]")


def _place_violations(problem: ColocationProblem, held: IntArray) -> list[Violation]:
    most = problem.experts_per_device
    what = f"device {{1}} must hold at most {most} experts of model {{0}}"
    return _worst("C2", held - most, what, "[{0}]")


def _byte_violations(problem: ColocationProblem, held: IntArray) -> list[Violation]:
    used = problem.expert_sizes() @ held
    budget = problem.memory_budget_bytes()
    over = used - budget
    device = int(np.argmax(over))
    if over[device] <= TOLERANCE * budget[device]:
        return []
    message = (
        f"device {device} holds {used[device]:.6g} bytes of experts,"
        f" at most {budget[device]:.6g} fit"
    )
    return [_violation("C3", "", message, float(over[device]))]


def _pin_violations(problem: ColocationProblem, device: IntArray) -> list[Violation]:
    astray = [pin for pin in problem.pinned if device[pin.model, pin.expert] != pin.device]
    if not astray:
        return []
    pin = astray[0]
    message = f"expert {pin.expert} of model {pin.model} is pinned to device {pin.device}"
    where = f"[{pin.model}][{pin.expert}]"
    return [_violation("C4", where, message, float(len(astray)))]


def _violation(constraint: str, where: str, message: str, amount: float) -> Violation:
    path = f"$.device{where}"
    return Violation(constraint=constraint, path=path, message=message, amount=amount)


def _worst(constraint: str, excess: npt.NDArray[Any], what: str, where: str) -> list[Violation]:
    """Return one violation for the largest positive entry of `excess`, if any."""
    if excess.max() <= 0:
        return []
    index = np.unravel_index(int(np.argmax(excess)), excess.shape)
    first = [int(i) for i in index]
    message = what.format(*first)
    return [_violation(constraint, where.format(*first), message, float(excess[index]))]
