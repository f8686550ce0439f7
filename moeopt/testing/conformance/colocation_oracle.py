"""Brute force for tiny colocation problems, written from the formulation and from no solver.

It shares no arithmetic with ``moeopt.colocation`` and ``moeopt.timeline``: every direction of every
port is a queue that takes the models' tokens in turn, and all plans are valued at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from moeopt.colocation.plan import ColocationPlan
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.testing.conformance.kit import Optimum

#: Plans of a model, and of all models together, beyond which brute force declines.
MOST_PLACEMENTS, MOST_PLANS = 4_000, 50_000


def brute_force(problem: ColocationProblem) -> Optimum | None:
    """Return the optimum over every plan, or ``None`` if there are too many of them."""
    models = range(problem.num_models)
    if any(problem.num_devices ** int(n) > MOST_PLACEMENTS for n in problem.experts()):
        return None
    placements = [_placements(problem, m) for m in models]
    if prod(map(len, placements)) > MOST_PLANS:
        return None
    loads = [_loads(problem, m, placements[m]) for m in models]
    # Every combination of the models' placements: a row of `chosen`.
    chosen = np.array(list(product(*(range(len(rows)) for rows in placements))), dtype=np.int64)
    chosen = chosen.reshape(-1, problem.num_models)
    picked = [load.taken(chosen[:, m]) for m, load in enumerate(loads)]
    fits = _fits(problem, picked)
    if not fits.any():
        return Optimum(None, None)
    chosen = chosen[fits]
    value = _values(problem, [load.taken(fits) for load in picked])
    best = int(np.argmin(value))
    device = np.full((problem.num_models, problem.num_experts), -1, dtype=np.int64)
    for m in models:
        row = placements[m][chosen[best, m]]
        device[m, : len(row)] = row
    return Optimum(float(value[best]), ColocationPlan(device=device))


@dataclass(frozen=True)
class _Loads:
    """What one model has on each device, arrays of shape ``(plans, devices)``."""

    sent: FloatArray
    received: FloatArray
    served: FloatArray
    held: FloatArray

    def taken(self, rows: IntArray | BoolArray) -> _Loads:
        return _Loads(self.sent[rows], self.received[rows], self.served[rows], self.held[rows])


def _placements(problem: ColocationProblem, model: int) -> IntArray:
    """Return every way to place a model's experts that keeps C1, C2 and C4."""
    experts = problem.models[model].num_experts
    pins = [(pin.expert, pin.device) for pin in problem.pinned if pin.model == model]
    found = [
        row
        for row in product(range(problem.num_devices), repeat=experts)
        if all(row.count(g) <= problem.experts_per_device for g in set(row))
        and all(row[expert] == device for expert, device in pins)
    ]
    return np.array(found, dtype=np.int64).reshape(-1, experts)


def _loads(problem: ColocationProblem, model: int, placements: IntArray) -> _Loads:
    """Return what the placements put on each device, expert by expert."""
    tokens = problem.models[model].traffic_tokens
    shape = (len(placements), problem.num_devices)
    sent, received, served, held = (np.zeros(shape) for _ in range(4))
    plans = np.arange(len(placements))
    for e in range(tokens.shape[0]):
        held[plans, placements[:, e]] += 1.0
        for f in range(tokens.shape[1]):
            away = placements[:, e] != placements[:, f]
            served[plans, placements[:, f]] += tokens[e, f]
            sent[plans, placements[:, e]] += tokens[e, f] * away
            received[plans, placements[:, f]] += tokens[e, f] * away
    return _Loads(sent, received, served, held)


def _fits(problem: ColocationProblem, loads: list[_Loads]) -> BoolArray:
    """Tell which plans keep C3."""
    used = sum(
        load.held * float(model.expert_bytes or 0)
        for load, model in zip(loads, problem.models, strict=True)
    )
    budget = problem.expert_memory_bytes
    devices = problem.cluster.all_devices()
    own = [np.inf if d.memory_bytes is None else d.memory_bytes for d in devices]
    limit = np.broadcast_to(np.array(own if budget is None else budget, float), len(devices))
    return np.asarray((used <= limit).all(axis=1))


def _values(problem: ColocationProblem, loads: list[_Loads]) -> FloatArray:
    """Return the objective of every plan."""
    dispatches = _ports(problem, loads, back=False)
    if problem.objective == "communication":
        return np.asarray(sum(dispatches).max(axis=(1, 2)))  # type: ignore[union-attr]
    combines = _ports(problem, loads, back=True)
    speed = np.array([device.relative_speed for device in problem.cluster.all_devices()])
    layers = list(zip(problem.models, loads, strict=True))
    gates = [model.gate_s * (load.held > 0) / speed for model, load in layers]
    experts = [model.seconds_per_token * load.served / speed for model, load in layers]
    aggregations = [model.aggregation_s * (load.held > 0) / speed for model, load in layers]
    if problem.objective != "bottleneck":
        return _round(gates, experts, aggregations, dispatches, combines)
    # A device by itself: plans and devices are one axis, and each has one port.
    alone = _round(
        *([one.reshape(-1, 1) for one in part] for part in (gates, experts, aggregations)),
        *([one.reshape(-1, 1, 2) for one in part] for part in (dispatches, combines)),
    )
    return np.asarray(alone.reshape(-1, problem.num_devices).max(axis=1))


def _ports(problem: ColocationProblem, loads: list[_Loads], *, back: bool) -> list[FloatArray]:
    """Return the seconds of each direction of each port, ``(plans, devices, 2)`` for each model."""
    nodes = problem.cluster.all_nodes()
    rates = [
        node.resolved_device().link_bandwidth_bytes_per_s
        if len(nodes) == 1
        else node.nic_bandwidth_bytes_per_s
        for node in nodes
        for _ in range(node.devices)
    ]
    rate = np.array([np.inf if r is None else r for r in rates])
    found = []
    for model, load in zip(problem.models, loads, strict=True):
        size = model.combine_bytes_per_token if back else model.dispatch_bytes_per_token
        ways = (load.received, load.sent) if back else (load.sent, load.received)
        found.append(np.stack([way * size / rate for way in ways], axis=-1))
    return found


def _round(
    gates: list[FloatArray],
    experts: list[FloatArray],
    aggregations: list[FloatArray],
    dispatches: list[FloatArray],
    combines: list[FloatArray],
) -> FloatArray:
    """Play one round: what computes is one at a time, the ports take the models in turn."""
    models = range(len(gates))
    gate, compute, aggregate = (
        [one.max(axis=1) for one in part] for part in (gates, experts, aggregations)
    )
    clock = np.zeros(len(gate[0]))
    released = [clock]
    for k in models[1:]:
        clock = clock + gate[k]
        released.append(clock)
    arrived = _served(released, dispatches)
    done = []
    for k in models:
        clock = np.maximum(clock, arrived[k]) + compute[k]
        done.append(clock)
    returned = _served([np.maximum(one, arrived[-1]) for one in done], combines)
    for k in models:
        clock = np.maximum(clock, returned[k]) + aggregate[k]
    return np.asarray(clock + gate[0])


def _served(released: list[FloatArray], work: list[FloatArray]) -> list[FloatArray]:
    """Return when the last port has done each model's work, all directions being queues."""
    queue = np.zeros(work[0].shape)
    ends = []
    for start, seconds in zip(released, work, strict=True):
        queue = np.maximum(queue, start[:, None, None]) + seconds
        ends.append(queue.max(axis=(1, 2)))
    return ends
