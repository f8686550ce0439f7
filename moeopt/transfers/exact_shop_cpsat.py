"""CP-SAT on the open shop's intervals, as a backend of the open shop's linear model.

It decides orders in whole steps of time and is believed in real time only: its orders are timed
again with the durations as they are, and that point is checked against the model like any other
backend's. Steps are rounded so that every plan in real time is one in steps: what is proven in
steps holds. If a plan in steps is none in real time, which takes deadlines or busy times that
rounding decides, the steps are rounded the other way, and every plan in them is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit
from moeopt.mip import Backend, BackendCapabilities, LinearModel
from moeopt.mip.answer import Claim, Verdict
from moeopt.mip.backends.cpsat import CPSAT
from moeopt.mip.backends.record import Request
from moeopt.mip.interrupts import solve_cpsat
from moeopt.transfers.exact_shop import Shop, ShopModel, resources_of

#: Steps in a unit of time where no coarser step divides all times.
_FINE_STEPS = 2.0**27

#: The finest common divisor of all times that is taken for one, in units.
_LEAST_STEP = 1e-6

#: What is left of a division is nothing up to here, in units.
_LEAST_REMAINDER = 1e-9

#: Rounding noise of a time, in units.
_NOISE = 1e-11


@dataclass(frozen=True, eq=False)
class _Steps:
    """The times of a shop in whole steps."""

    duration: IntArray
    release: IntArray
    deadline: IntArray
    due: IntArray
    spans: dict[int, IntArray]
    horizon: int


def shop_backend(frame: ShopModel) -> Backend:
    """Return the backend that solves this model, and no other."""
    return Backend(
        name="cpsat intervals",
        version=_version,
        available=CPSAT.available,
        run=partial(_run, frame),
        capabilities=BackendCapabilities(incumbents=True),
    )


def left_shifted(shop: Shop, start: FloatArray) -> FloatArray:
    """Return the earliest starts of the messages if they go in the order of `start`."""
    shifted = np.zeros(len(start))
    free = dict.fromkeys([*shop.sender.tolist(), *shop.receiver.tolist()], 0.0)
    nothing = np.zeros((0, 2))
    for m in np.argsort(start, kind="stable").tolist():
        sender, receiver = int(shop.sender[m]), int(shop.receiver[m])
        when = max(float(shop.release[m]), free[sender], free[receiver])
        ports = (int(shop.source[m]), int(shop.destination[m]))
        spans = np.concatenate([shop.spans.get(port, nothing) for port in ports])
        for busy, over in spans[np.argsort(spans[:, 0])].tolist():
            if when < over - _NOISE and when + shop.duration[m] > busy + _NOISE:
                when = over
        shifted[m] = when
        free[sender] = free[receiver] = when + float(shop.duration[m])
    return shifted


def _version() -> str:
    return CPSAT.version()


def _run(frame: ShopModel, model: LinearModel, request: Request) -> Claim:
    """Prove on steps rounded for that; find on steps rounded the other way where it is needed."""
    shop, cost = frame.shop, float(model.objective[frame.end])
    per_unit = _steps_per_unit(shop)
    proof = _solved(frame, model, request, _rounded(shop, per_unit, outwards=False), per_unit)
    if proof.x is None:
        return proof
    real, bound = model.evaluate(proof.x), proof.bound if proof.bound is not None else -math.inf
    close = real - bound <= OPTIMALITY_TOLERANCE * cost
    if not model.violations(proof.x) and (close or proof.verdict is not Verdict.OPTIMAL):
        return proof
    found = _solved(frame, model, request, _rounded(shop, per_unit, outwards=True), per_unit)
    x = proof.x if found.x is None else found.x
    limit = Limit.TIME if request.out_of_time() else Limit.GAP
    if model.violations(x):
        return Claim(verdict=Verdict.UNKNOWN, limit=limit, bound=proof.bound)
    return Claim(verdict=Verdict.FEASIBLE, limit=limit, x=x, bound=proof.bound)


def _solved(
    frame: ShopModel, model: LinearModel, request: Request, steps: _Steps, per_unit: float
) -> Claim:
    """Return what CP-SAT finds, its orders timed again, and the bound that it proves."""
    from ortools.sat.python import cp_model

    compiled, starts = _compiled(frame.shop, steps)
    if request.warm_start is not None:
        hints = np.floor(request.warm_start[frame.start] * per_unit).astype(np.int64)
        for variable, hint in zip(starts, hints.tolist(), strict=True):
            compiled.add_hint(variable, hint)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = request.threads
    solver.parameters.random_seed = request.seed
    solver.parameters.relative_gap_limit = request.gap
    remaining_s = request.remaining_s()
    if remaining_s is not None:
        solver.parameters.max_time_in_seconds = remaining_s

    def point(value: Callable[[Any], int]) -> FloatArray:
        whole = np.array([value(variable) for variable in starts], dtype=np.float64)
        return frame.point(left_shifted(frame.shop, whole))

    def bound(shown: float) -> float:
        # A hair off: the times were multiplied and rounded.
        in_units = (shown - 1e-6) / per_unit
        return float(model.objective[frame.end]) * in_units + model.objective_offset

    class Listener(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            if request.on_incumbent is not None:
                request.on_incumbent(point(self.value), bound(self.best_objective_bound))

    if request.on_incumbent is not None:
        report = request.on_incumbent
        solver.best_bound_callback = lambda shown: report(None, bound(shown))
    status = solve_cpsat(solver, compiled, Listener())
    if status == cp_model.INFEASIBLE:
        return Claim(verdict=Verdict.INFEASIBLE)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        # On UNKNOWN the bound reads 0.0 whether or not anything was proven.
        return Claim(verdict=Verdict.UNKNOWN, limit=Limit.TIME)
    proven = status == cp_model.OPTIMAL
    return Claim(
        verdict=Verdict.OPTIMAL if proven else Verdict.FEASIBLE,
        limit=Limit.NONE if proven else Limit.TIME,
        x=point(solver.value),
        bound=bound(solver.best_objective_bound),
        nodes=solver.num_branches,
    )


def _compiled(shop: Shop, steps: _Steps) -> tuple[Any, list[Any]]:
    """Return the ``CpModel`` and the variables of the starts."""
    from ortools.sat.python import cp_model

    compiled = cp_model.CpModel()
    starts, intervals = [], []
    end = compiled.new_int_var(0, steps.horizon, "T")
    for m, duration in enumerate(steps.duration.tolist()):
        low, high = int(steps.release[m]), int(steps.deadline[m]) - duration
        if low > high:
            compiled.add_bool_or([])
            high = low
        start = compiled.new_int_var(low, high, f"s{m}")
        starts.append(start)
        intervals.append(compiled.new_fixed_size_interval_var(start, duration, f"m{m}"))
        compiled.add(end >= start + duration - int(steps.due[m]))
    for messages in resources_of(shop):
        compiled.add_no_overlap([intervals[m] for m in messages.tolist()])
    for port, spans in steps.spans.items():
        for number, (busy, over) in enumerate(spans.tolist()):
            if busy < over:
                closed = compiled.new_fixed_size_interval_var(
                    busy, over - busy, f"b{port},{number}"
                )
                meets = (shop.source == port) | (shop.destination == port)
                for m in np.flatnonzero(meets).tolist():
                    compiled.add_no_overlap([intervals[m], closed])
    compiled.minimize(end)
    return compiled, starts


def _rounded(shop: Shop, per_unit: float, *, outwards: bool) -> _Steps:
    """Return the times in steps; outwards, messages and busy times grow and windows shrink."""

    def up(times: FloatArray) -> IntArray:
        whole: IntArray = np.ceil(times * per_unit - _NOISE * per_unit).astype(np.int64)
        return whole

    def down(times: FloatArray) -> IntArray:
        whole: IntArray = np.floor(times * per_unit + _NOISE * per_unit).astype(np.int64)
        return whole

    longer, shorter = (up, down) if outwards else (down, up)
    horizon = int(up(np.array([shop.horizon]))[0]) + len(shop.duration)
    deadline = np.minimum(shop.deadline, 2.0 * shop.horizon)
    return _Steps(
        duration=longer(shop.duration),
        release=longer(shop.release),
        deadline=np.minimum(shorter(deadline), horizon),
        due=shorter(shop.due),
        spans={
            port: np.stack([shorter(times[:, 0]), longer(times[:, 1])], axis=1)
            for port, times in shop.spans.items()
        },
        horizon=horizon,
    )


def _steps_per_unit(shop: Shop) -> float:
    """Return the steps of a unit: the fewest that make all times whole, if that is not too many."""
    finite = shop.deadline[np.isfinite(shop.deadline)]
    spans = [times.ravel() for times in shop.spans.values()]
    step = 0.0
    for time in np.unique(np.concatenate([shop.duration, shop.release, finite, shop.due, *spans])):
        step = _common_divisor(step, float(time))
    return 1.0 / step if step > _LEAST_STEP else _FINE_STEPS


def _common_divisor(one: float, other: float) -> float:
    """Return the greatest common divisor of two times, by Euclid, up to rounding."""
    while other > _LEAST_REMAINDER:
        one, other = other, abs(one - round(one / other) * other)
    return one
