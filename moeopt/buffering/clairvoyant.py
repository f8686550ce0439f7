"""The best that hindsight finds where no proof is in reach: unequal sizes, and any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from moeopt.buffering.exact import is_flow, slots_of
from moeopt.buffering.exact_solve import flow_s
from moeopt.buffering.flow import flow_curve, flow_within
from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.planning import split_slots
from moeopt.buffering.portfolio import bound_in, rooms_of
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import least_room, replay
from moeopt.buffering.sizes import Sized, clairvoyant_schedule, sized_schedule
from moeopt.buffering.stream import Stream, plan_of, streams, with_capacity
from moeopt.core.arrays import IntArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome

#: Seconds below which no linear relaxation is tried.
_LEAST_S = 2.0

#: Part of the time that the bound may take.
_BOUND_SHARE = 0.3


def run_clairvoyant(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
    """Return Belady's rule by price and size, or a rounded relaxation, whichever costs less."""
    del warm_start
    parts = streams(problem)
    rooms = _rooms(problem, parts, context)
    bound = bound_in(problem, replace(context, time_limit_s=_bound_s(context)))
    if rooms is None:
        return Outcome(bound=bound)
    parts = tuple(with_capacity(part, room) for part, room in zip(parts, rooms, strict=True))
    if any(room < least_room(part) for room, part in zip(rooms.tolist(), parts, strict=True)):
        return Outcome(bound=bound)
    found = [_schedule(part, context, len(parts) - done) for done, part in enumerate(parts)]
    plan = plan_of(problem, parts, rooms, [part.schedule for part in found])
    bounds = [part.bound for part in found if part.bound is not None]
    known = sum(bounds) if len(bounds) == len(found) and problem.budget_bytes is None else 0.0
    # What took all the time, or had too little of it, was cut short.
    cut = any(part.bound is None for part in found) and context.time_limit_s is not None
    return Outcome(
        plan=plan,
        bound=_below(problem, plan, max(known, bound)),
        limit=Limit.TIME if cut or context.out_of_time() else None,
    )


def _schedule(part: Stream, context: Context, caches_left: int) -> Sized:
    """Return a cache's schedule; the relaxation, in a process of its own, needs some seconds."""
    if context.out_of_time():
        quick = replay(part, "lru", record=True)
        assert quick.schedule is not None, "it was asked for"
        return Sized(quick.schedule, quick.miss_cost, None)
    if is_flow(part):
        flowed = flow_within(part, slots_of(part), context.out_of_time)
        if flowed.ended:
            return Sized(flowed.schedule, flowed.cost, flowed.bound)
        other, cost = clairvoyant_schedule(part, context.out_of_time)
        best = flowed.schedule if flowed.cost <= cost else other
        return Sized(best, min(cost, flowed.cost), flowed.bound)
    if context.time_limit_s is None:
        return sized_schedule(part)
    share = context.remaining_s() / caches_left
    if share < _LEAST_S:
        schedule, cost = clairvoyant_schedule(part, context.out_of_time)
        return Sized(schedule, cost, None)
    return sized_schedule(part, share)


def _bound_s(context: Context) -> float | None:
    """Return the moment, in seconds from the start, until which the bound may take."""
    if context.time_limit_s is None:
        return None
    return context.elapsed_s() + _BOUND_SHARE * context.remaining_s()


def _rooms(
    problem: BufferingProblem, parts: tuple[Stream, ...], context: Context
) -> IntArray | None:
    """Return the room of each cache; a budget is divided by the flows' curves, in stated order.

    If these take too long, it is divided so that LRU pays least.
    """
    slow = sum(map(flow_s, parts)) > context.remaining_s()
    if problem.budget_bytes is None or slow:
        return rooms_of(problem, parts, "lru", context)[0]
    largest = problem.sizes_bytes().max(axis=1)
    fewest = np.array([least_room(part) for part in parts])
    if float((fewest * largest).sum()) > problem.budget_bytes:
        return None
    return split_slots([flow_curve(part) for part in parts], largest, problem.budget_bytes).slots


def _below(problem: BufferingProblem, plan: BufferingPlan, bound: float) -> float:
    """Return the bound, without what rounding has put above the plan's cost."""
    return min(bound, evaluate(problem, plan).objective)
