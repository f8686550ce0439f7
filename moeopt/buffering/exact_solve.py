"""One linear model of a buffering problem, solved: its start, its solver, and what comes back."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.buffering.bounds import bound as bound_of
from moeopt.buffering.bounds import bound_within
from moeopt.buffering.exact_frame import Frame
from moeopt.buffering.exact_model import compile_model, point_of, schedule_in, schedules_of
from moeopt.buffering.flow import arcs_of, flow_curve, flow_schedule, proven
from moeopt.buffering.nodes import choice_of, nodes_of
from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.planning import split_slots
from moeopt.buffering.portfolio import planned
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.sizes import clairvoyant_schedule, sized_schedule
from moeopt.buffering.stream import Schedule, Stream, with_capacity
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.mip import LinearModel, MipAnswer, solve_model

#: Entries that are built in a second, cautiously.
_ENTRIES_PER_S = 1e6

#: Seconds of a flow for each arc and slot, cautiously.
_FLOW_S = 1e-7

#: Part of the time that the relaxation may take before the search.
_START_SHARE = 0.4

#: Most rounds of rows for what a solver's tolerance let through.
_ROUNDS = 20


@dataclass(frozen=True)
class Found:
    """What is known of some caches.

    Attributes
    ----------
    schedules
        What each does, or ``None``.
    rooms
        Room of each, ``(caches,)``.
    bound
        No schedules cost less together.
    limit
        What stopped the search, or ``None``.
    backend
        Solver, if one was used.
    build_s, nodes
        Seconds spent building models, and nodes of search trees.
    """

    schedules: list[Schedule] | None
    rooms: IntArray
    bound: float
    limit: Limit | None = None
    backend: str | None = None
    build_s: float = 0.0
    nodes: int = 0


def entries_of(stream: Stream) -> int:
    """Return about how many entries the rows of a cache's model have."""
    if stream.loads_per_group is not None:
        # A node for every item and epoch; links are over nothing.
        return 8 * int(stream.opens.sum()) * np.unique(stream.items).size
    nodes = nodes_of(stream)
    links = nodes.links()
    return int((nodes.time[nodes.after[links]] - nodes.time[links]).sum()) + 4 * nodes.count


def flow_s(stream: Stream) -> float:
    """Return about how many seconds a cache's flow takes for all slots."""
    return _FLOW_S * arcs_of(stream) * stream.num_items


def solve_by_model(
    problem: BufferingProblem, group: Sequence[Stream], context: Context,
    known: BufferingPlan | None,
) -> Found:  # fmt: skip
    """Solve the linear model of some caches.

    Parameters
    ----------
    problem, group
        The problem, and the caches' streams.
    context
        Time, gap, seed and workers.
    known
        A valid plan to start from, or ``None``.
    """
    first = at_hand(problem, group, known, context)
    if sum(map(entries_of, group)) / _ENTRIES_PER_S > context.remaining_s():
        return first
    started = time.perf_counter()
    frame = compile_model(problem, group)
    model = frame.builder.build()
    start = None if first.schedules is None else point_of(frame, first.schedules, first.rooms)
    build_s = time.perf_counter() - started
    for _ in range(_ROUNDS):
        answer = _ask(model, context, start)
        if answer.x is None or not _forbid(frame, model, answer.x):
            break
        model = frame.builder.build()
    schedules, rooms = first.schedules, first.rooms
    if answer.x is not None and _holds(model, answer.x):
        schedules = schedules_of(frame, answer.x)
        if frame.capacity.size:
            rooms = answer.x[frame.capacity].astype(np.int64)
    return Found(
        schedules,
        rooms,
        first.bound if answer.bound is None else max(first.bound, answer.bound),
        None if answer.limit is Limit.NONE else answer.limit,
        answer.backend,
        build_s + answer.build_s,
        answer.nodes or 0,
    )


def _ask(model: LinearModel, context: Context, start: FloatArray | None) -> MipAnswer:
    remaining_s = context.remaining_s()
    return solve_model(
        model, time_limit_s=None if math.isinf(remaining_s) else remaining_s, gap=context.gap,
        seed=context.seed, threads=context.workers, warm_start=start,
    )  # fmt: skip


def _holds(model: LinearModel, x: FloatArray) -> bool:
    """Tell whether a point keeps all rows exactly; its entries and all coefficients are whole."""
    value = model.A @ x
    return bool(((value < model.row_upper + 0.5) & (value > model.row_lower - 0.5)).all())


def _forbid(frame: Frame, model: LinearModel, x: FloatArray) -> bool:
    """Forbid sets that do not fit by less than a solver's tolerance; tell whether there were any.

    Sizes in bytes may have no large common divisor, and tolerances are shares of a row.
    """
    over = np.flatnonzero((model.A @ x > model.row_upper + 0.5) & (model.row_group == "C2"))
    found = False
    for row in over.tolist():
        entries = slice(model.A.indptr[row], model.A.indptr[row + 1])
        column = model.A.indices[entries]
        if (model.A.data[entries] > 0).all() and (model.column_upper[column] == 1.0).all():
            chosen = column[x[column] > 0.5]
            frame.builder.add_rows(
                "V1", np.zeros(chosen.size, np.int64), chosen, 1.0, upper=[chosen.size - 1.0]
            )
            found = True
    return found


def at_hand(
    problem: BufferingProblem, group: Sequence[Stream], known: BufferingPlan | None,
    context: Context,
) -> Found:  # fmt: skip
    """Return the better of a known plan's schedules and those of heuristics, and a bound."""
    if problem.budget_bytes is not None:
        return _of_budget(problem, group, known, context)
    schedules, total = [], 0.0
    for done, stream in enumerate(group):
        limit_s = _start_s(context, len(group) - done)
        sized = sized_schedule(stream, limit_s)
        schedule, nodes = sized.schedule, nodes_of(stream)
        if known is not None:
            theirs = schedule_in(known, stream)
            if choice_of(stream, nodes, theirs).cost(nodes) < sized.cost:
                schedule = theirs
        schedules.append(schedule)
        total += bound_within([stream], limit_s) if sized.bound is None else sized.bound
    return Found(schedules, rooms_of(group), total, Limit.TIME)


def _start_s(context: Context, caches: int) -> float | None:
    """Return the seconds for the start of one of so many caches, ``None`` for no limit."""
    limit_s = _START_SHARE * context.remaining_s() / caches
    return None if math.isinf(limit_s) else limit_s


def rooms_of(group: Sequence[Stream]) -> IntArray:
    """Return the stated room of some caches, ``(caches,)``."""
    return np.array([stream.capacity for stream in group], dtype=np.int64)


def split_budget(problem: BufferingProblem, group: Sequence[Stream]) -> Found:
    """Return what the flows of all caches make of a budget; exact for the stated order."""
    assert problem.budget_bytes is not None, "there is a budget"
    curves = [flow_curve(stream) for stream in group]
    split = split_slots(curves, problem.sizes_bytes().max(axis=1), problem.budget_bytes)
    slots = split.slots.tolist()
    schedules = [flow_schedule(stream, k)[0] for stream, k in zip(group, slots, strict=True)]
    total = sum(float(curve[np.isfinite(curve)][0]) for curve in curves)
    return Found(schedules, split.slots, proven(split.cost, total))


def _of_budget(
    problem: BufferingProblem, group: Sequence[Stream], known: BufferingPlan | None,
    context: Context,
) -> Found:  # fmt: skip
    bound = bound_of(problem, _start_s(context, 1))
    if known is None and sum(map(flow_s, group)) > context.remaining_s():
        known, _ = planned(problem, "lru", context)
        if known is not None:
            return _in_rooms(group, known, bound, context)
    if known is not None:
        theirs = [schedule_in(known, stream) for stream in group]
        return Found(theirs, np.array(known.capacity), bound, Limit.TIME)
    # References run as stated, which is one of their orders.
    split = split_budget(problem, group)
    return Found(split.schedules, split.rooms, bound, Limit.TIME)


def _in_rooms(
    group: Sequence[Stream], plan: BufferingPlan, bound: float, context: Context
) -> Found:
    """Return schedules that know the future for the rooms of a plan, its own when time is up."""
    schedules = []
    for stream in group:
        if context.out_of_time():
            schedules.append(schedule_in(plan, stream))
            continue
        stated = with_capacity(stream, int(plan.capacity[stream.cache]))
        schedules.append(clairvoyant_schedule(stated, context.out_of_time)[0])
    return Found(schedules, np.array(plan.capacity), bound, Limit.TIME)
