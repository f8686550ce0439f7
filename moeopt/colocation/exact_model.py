"""A colocation problem as a linear model, and the way between its points and plans.

Its columns, rows and their labels are those of ``formulations/colocation.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from moeopt.colocation.bounds import bound
from moeopt.colocation.layout import Layout, layout_of
from moeopt.colocation.plan import ColocationPlan, device_phases, held_by
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.weights import device_classes
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.mip import ModelBuilder
from moeopt.timeline import busiest_port, interleaved_phases, line_seconds


@dataclass(frozen=True, eq=False)
class Clocks:
    """Columns of the time: one clock for all devices, or one for each.

    Attributes
    ----------
    clock, device
        The devices that each clock heeds, as pairs, shape ``(pairs,)`` each.
    first, last
        The models j to k of each aggregated all-to-all, shape ``(spans,)`` each.
    gate, compute, aggregation
        Columns ``G``, ``F`` and ``A``: each component's seconds, shape ``(clocks, models)``.
    dispatch, combine
        Columns ``N`` and ``C``: the aggregated all-to-alls' seconds, ``(clocks, spans)``.
    sent, done, ready, back, end
        Columns ``EN``, ``EF``, ``S``, ``EC`` and ``EA``: ends of dispatch and experts, release of
        the combine, ends of combine and aggregation, ``(clocks, models)``.
    """

    clock: IntArray
    device: IntArray
    first: IntArray
    last: IntArray
    gate: IntArray
    compute: IntArray
    aggregation: IntArray
    dispatch: IntArray
    combine: IntArray
    sent: IntArray
    done: IntArray
    ready: IntArray
    back: IntArray
    end: IntArray


@dataclass(frozen=True, eq=False)
class Frame:
    """What the rows of a model are made from.

    Attributes
    ----------
    problem, layout
        The problem, and the same as plain arrays.
    builder
        Receives columns and rows.
    tighten
        Whether rules on single columns become bounds, and the families V and S are added.
    bound_s
        No plan's objective is below this.
    unit_s
        The unit of time of the rows: solvers' tolerances are absolute.
    place
        Columns ``x`` of each model, shape ``(experts, devices)``.
    pairs, together
        Pairs of a model's experts that exchange tokens, ``(pairs, 2)``, and columns ``z`` of each
        model, ``(pairs, devices)``: 1 if both are there. None with one expert on a device.
    holds
        Columns ``u``: 1 if a device has experts of a model, ``(models, devices)``; none under
        ``"communication"``.
    clocks
        Columns of the time.
    total
        Column ``T``: the objective in units.
    """

    problem: ColocationProblem
    layout: Layout
    builder: ModelBuilder
    tighten: bool
    bound_s: float
    unit_s: float
    place: tuple[IntArray, ...]
    pairs: tuple[IntArray, ...]
    together: tuple[IntArray, ...]
    holds: IntArray
    clocks: Clocks
    total: int

    def point(self, plan: ColocationPlan) -> FloatArray:
        """Return the point of the model for a plan, its interchangeable devices put in order."""
        device = in_order(self.problem, self.layout, plan.device)
        x = np.zeros(self.builder.num_columns)
        for m, columns in enumerate(self.place):
            here = device[m, : len(columns)]
            x[columns[np.arange(len(columns)), here]] = 1.0
            one, other = here[self.pairs[m].T]
            both = np.flatnonzero(one == other)
            x[self.together[m][both, one[both]]] = 1.0
        if self.holds.size:
            x[self.holds] = held_by(self.problem, device) > 0
        self._set_clocks(x, ColocationPlan(device=device))
        return x

    def plan(self, x: FloatArray) -> ColocationPlan:
        """Return the plan of a point."""
        device = np.full((self.problem.num_models, self.problem.num_experts), -1, dtype=np.int64)
        for m, columns in enumerate(self.place):
            device[m, : len(columns)] = x[columns].argmax(axis=1)
        return ColocationPlan(device=device)

    def _set_clocks(self, x: FloatArray, plan: ColocationPlan) -> None:
        """Write the time of a plan: each component's largest at a clock's devices, and Table 2."""
        layers = device_phases(self.problem, plan)
        clocks, unit = self.clocks, self.unit_s

        def largest(seconds: FloatArray) -> FloatArray:
            """Return the largest at each clock's devices, shape ``(..., clocks)``."""
            most = np.zeros((*seconds.shape[:-1], len(clocks.dispatch)))
            for i in range(len(clocks.dispatch)):
                most[..., i] = seconds[..., clocks.device[clocks.clock == i]].max(axis=-1)
            return most

        dispatch = largest(line_seconds([layer.dispatch for layer in layers]))
        x[clocks.dispatch] = dispatch[clocks.first, clocks.last].T / unit
        if self.problem.objective == "communication":
            x[self.total] = dispatch[0, -1].max() / unit
            return
        combine = largest(line_seconds([layer.combine for layer in layers]))
        gate = largest(np.stack([layer.gate_s for layer in layers]))
        compute = largest(np.stack([layer.compute_s for layer in layers]))
        aggregation = largest(np.stack([layer.aggregation_s for layer in layers]))
        table = interleaved_phases(
            gate, compute, aggregation,
            dispatch=busiest_port(dispatch), combine=busiest_port(combine),
        )  # fmt: skip
        for columns, seconds in (
            (clocks.gate, gate),
            (clocks.compute, compute),
            (clocks.aggregation, aggregation),
            (clocks.combine, combine[clocks.first, clocks.last]),
            (clocks.sent, table.dispatch.end_s),
            (clocks.done, table.compute.end_s),
            (clocks.ready, table.combine.start_s),
            (clocks.back, table.combine.end_s),
            (clocks.end, table.aggregation.end_s),
        ):
            x[columns] = seconds.T / unit
        x[self.total] = table.total_s.max() / unit


def start_model(problem: ColocationProblem, *, tighten: bool) -> Frame:
    """Return a model with its columns and none of its rows."""
    layout = layout_of(problem)
    builder = ModelBuilder(problem.name or "colocation")
    devices = problem.num_devices
    place, pairs, together = [], [], []
    for m, experts in enumerate(layout.count.tolist()):
        pinned = layout.allowed[m, :experts].sum(axis=1, keepdims=True) == 1
        lower = (layout.allowed[m, :experts] & pinned) if tighten and devices > 1 else 0.0
        upper = layout.allowed[m, :experts] if tighten else 1.0
        place.append(
            builder.add_columns(f"x{m}", (experts, devices), lower=lower, upper=upper, integer=True)
        )
        pairs.append(_exchanging(layout, m, problem.experts_per_device))
        together.append(builder.add_columns(f"z{m}", (len(pairs[m]), devices), upper=1))
    bound_s = bound(problem)
    unit_s = _unit_s(problem, layout, bound_s)
    holding = 0 if problem.objective == "communication" else devices
    holds = builder.add_columns("u", (problem.num_models, holding), upper=1)
    clocks = _add_clocks(builder, problem)
    total = int(builder.add_columns("T", objective=unit_s))
    return Frame(
        problem, layout, builder, tighten, bound_s, unit_s, tuple(place), tuple(pairs),
        tuple(together), holds, clocks, total,
    )  # fmt: skip


def _unit_s(problem: ColocationProblem, layout: Layout, bound_s: float) -> float:
    """Return a power of two near what plans take, so that dividing by it rounds nothing.

    Where the bound says nothing, the busiest expert's bytes through the fastest port do.
    """
    dispatched = problem.objective == "communication"
    carried = layout.there if dispatched else np.maximum(layout.there, layout.back)
    line_bytes = np.maximum(layout.sent, layout.received) * carried[:, None]
    port = max(kind.port for kind in device_classes(layout))
    about_s = bound_s if bound_s > 0 else float(line_bytes.max()) / port
    return 2.0 ** round(math.log2(about_s)) if about_s > 0 else 1.0


def in_order(problem: ColocationProblem, layout: Layout, device: IntArray) -> IntArray:
    """Return the same plan with each class's devices in the order that S1 asks for."""
    value = order_value(layout, device[0], problem.num_devices)
    renamed = np.arange(problem.num_devices)
    for kind in device_classes(layout):
        ranked = kind.devices[np.argsort(-value[kind.devices], kind="stable")]
        renamed[ranked] = kind.devices
    return np.where(device >= 0, renamed[np.maximum(device, 0)], -1)


def order_value(layout: Layout, device: IntArray, devices: int) -> FloatArray:
    """Return what S1 orders interchangeable devices by, of the first model's experts on them."""
    experts = int(layout.count[0])
    return np.bincount(device[:experts], weights=order_weights(experts), minlength=devices).astype(
        np.float64
    )


def order_weights(experts: int) -> FloatArray:
    """Return each expert's weight in S1: the first has most."""
    return np.arange(experts, 0, -1, dtype=np.float64)


def _exchanging(layout: Layout, m: int, places: int) -> IntArray:
    if places == 1:
        return np.empty((0, 2), dtype=np.int64)
    both = layout.traffic[m] + layout.traffic[m].T
    return np.argwhere(np.triu(both, 1) > 0)


def _add_clocks(builder: ModelBuilder, problem: ColocationProblem) -> Clocks:
    models, devices = problem.num_models, problem.num_devices
    every = np.arange(devices)
    clock = every if problem.objective == "bottleneck" else np.zeros_like(every)
    clocks = int(clock.max()) + 1
    first, last = np.triu_indices(models)
    if problem.objective == "communication":
        first, last = np.array([0]), np.array([models - 1])
    timed = 0 if problem.objective == "communication" else models
    spans = {"N": len(first), "C": len(first) if timed else 0}
    columns = {
        name: builder.add_columns(name, (clocks, spans.get(name, timed)))
        for name in ("G", "F", "A", "N", "C", "EN", "EF", "S", "EC", "EA")
    }
    return Clocks(clock, every, first, last, *columns.values())
