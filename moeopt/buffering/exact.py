"""Proven optima: flows where items are of one size and in order, the linear model elsewhere.

Caches of stated room are solved one by one, each by the faster way that is exact for it. A budget
is split by the flows' curves, or is part of one model of all caches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from moeopt.buffering.belady import belady
from moeopt.buffering.bounds import cache_bound, cold_bound
from moeopt.buffering.exact_model import compile_model
from moeopt.buffering.exact_solve import (
    Found,
    at_hand,
    entries_of,
    flow_s,
    rooms_of,
    solve_by_model,
    split_budget,
)
from moeopt.buffering.flow import arcs_of, flow_within
from moeopt.buffering.plan import BufferingPlan, evaluate, violations
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import replay
from moeopt.buffering.sizes import clairvoyant_schedule
from moeopt.buffering.stream import Stream, plan_of, streams
from moeopt.buffering.validate import impossible
from moeopt.core.errors import InstanceError
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.mip import LinearModel

#: Seconds to set up a flow for each of its arcs, cautiously.
_ARC_S = 1e-6

#: Most entries in the rows of all models that are solved together: 15,000 references to 64 experts,
#: which leave HiGHS a gap of some percent within a minute. Some 300 are solved in seconds.
MOST_ENTRIES = 1_000_000

__all__ = ["build", "refuses_exact", "refuses_milp", "run_exact", "run_milp"]


def refuses_exact(problem: BufferingProblem) -> str | None:
    """Say why nothing here proves this problem's optimum, or ``None`` if something does."""
    return _too_many(part for part in streams(problem) if not is_flow(part))


def refuses_milp(problem: BufferingProblem) -> str | None:
    """Say why the linear model is too large, or ``None`` if it is not."""
    return _too_many(streams(problem))


def is_flow(stream: Stream) -> bool:
    """Tell whether a cache's optimum is a flow: what is asked for is of one size, and in order."""
    asked = stream.items[~stream.pinned[stream.items]]
    return not stream.any_order and np.unique(stream.sizes[asked]).size <= 1


def build(problem: BufferingProblem, *, tighten: bool = True) -> list[LinearModel]:
    """Return the problem's models: one for each cache, or one of all under a budget.

    Parameters
    ----------
    problem
        One whose models are of a size that can be solved.
    tighten
        Whether to keep or cut links between references. Without it every rule stands in rows of
        its own label.

    Raises
    ------
    InstanceError
        If the models would be too large.
    """
    refused = refuses_milp(problem)
    if refused is not None:
        rule = f"must make models of at most {MOST_ENTRIES} entries"
        raise InstanceError("$", "<too large>", rule, "take fewer steps, or see flow")
    return [
        compile_model(problem, parts, tighten=tighten).builder.build()
        for parts in _together(problem, streams(problem))
    ]


def run_exact(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
    """Return an optimal plan, or the best plan and bound that the time allows."""
    return _run(problem, context, warm_start, flows=True)


def run_milp(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
    """Return the same by the linear model alone: a second proof."""
    return _run(problem, context, warm_start, flows=False)


def _run(
    problem: BufferingProblem, context: Context, warm_start: object, *, flows: bool
) -> Outcome:
    broken = impossible(problem)
    if broken:
        return Outcome(infeasible=tuple(broken))
    parts = streams(problem)
    known = warm_start if isinstance(warm_start, BufferingPlan) else None
    if known is not None and violations(problem, known):
        known = None
    together = _together(problem, parts)
    found = []
    for done, group in enumerate(together):
        part = _turn(context, len(together) - done)
        by_flow = flows and all(is_flow(stream) for stream in group)
        found.append((_by_flow if by_flow else solve_by_model)(problem, group, part, known))
    plan = _best(problem, parts, found, known)
    value = math.inf if plan is None else evaluate(problem, plan).objective
    bound = min(sum(part.bound for part in found), value)
    limit = next((part.limit for part in found if part.limit is not None), None)
    if limit is None and value - bound <= OPTIMALITY_TOLERANCE * value:
        # What an optimal point misses by the solver's tolerance is no gap.
        bound = value
    backends = dict.fromkeys(part.backend for part in found if part.backend)
    return Outcome(
        plan=plan,
        bound=bound,
        limit=limit,
        backend="; ".join(backends) or None,
        build_s=sum(part.build_s for part in found),
        statistics={"branches": sum(part.nodes for part in found)} if backends else {},
    )


def _by_flow(
    problem: BufferingProblem, group: Sequence[Stream], context: Context,
    known: BufferingPlan | None,
) -> Found:  # fmt: skip
    """Solve caches of items of one size; a budget is split by their curves."""
    stream = group[0]
    prices = stream.load_prices[stream.items[~stream.pinned[stream.items]]]
    alike = stream.serve == "load" and np.unique(prices).size == 1
    if problem.budget_bytes is None and alike:
        replayed = belady(stream, slots_of(stream), record=True)
        assert replayed.schedule is not None, "it was asked for"
        return Found([replayed.schedule], rooms_of(group), replayed.miss_cost)
    if problem.budget_bytes is not None:
        if sum(map(flow_s, group)) > context.remaining_s():
            return at_hand(problem, group, known, context)
        return split_budget(problem, group)
    if arcs_of(stream) * _ARC_S > context.remaining_s():
        # Not even time to set the flow up.
        quick = replay(stream, "lru", record=True).schedule
        assert quick is not None, "it was asked for"
        return Found([quick], rooms_of(group), _cheap_bound(stream, context), Limit.TIME)
    flowed = flow_within(stream, slots_of(stream), context.out_of_time)
    if flowed.ended:
        return Found([flowed.schedule], rooms_of(group), flowed.bound)
    other, cost = clairvoyant_schedule(stream, context.out_of_time)
    best = other if cost < flowed.cost else flowed.schedule
    bound = max(flowed.bound, _cheap_bound(stream, context))
    return Found([best], rooms_of(group), bound, Limit.TIME)


def _cheap_bound(stream: Stream, context: Context) -> float:
    """Return a bound without a flow; when time is up for the whole solve, what is paid anyhow."""
    return cold_bound(stream) if context.out_of_time() else cache_bound(stream, 0)


def slots_of(stream: Stream) -> int:
    """Return how many items a cache of a stated room holds, pinned ones included.

    Parameters
    ----------
    stream
        What is asked for and not pinned must be of one size.
    """
    assert stream.capacity is not None, "the room is stated"
    pins = int(stream.pinned.sum())
    asked = stream.items[~stream.pinned[stream.items]]
    if not asked.size:
        return pins
    left = stream.capacity - float(stream.sizes[stream.pinned].sum())
    return min(pins + int(left // stream.sizes[asked[0]]), stream.num_items)


def _too_many(parts: Iterable[Stream]) -> str | None:
    if sum(map(entries_of, parts)) <= MOST_ENTRIES:
        return None
    return f"its linear model has more than {MOST_ENTRIES} entries: take fewer steps"


def _together(problem: BufferingProblem, parts: tuple[Stream, ...]) -> list[tuple[Stream, ...]]:
    """Return the streams that make a model together: all under a budget, else each alone."""
    return [parts] if problem.budget_bytes is not None else [(part,) for part in parts]


def _turn(context: Context, left: int) -> Context:
    """Return the context of one of some caches that are left: its part of the time."""
    if context.time_limit_s is None:
        return context
    return replace(context, time_limit_s=context.elapsed_s() + context.remaining_s() / left)


def _best(
    problem: BufferingProblem, parts: tuple[Stream, ...], found: Sequence[Found],
    known: BufferingPlan | None,
) -> BufferingPlan | None:  # fmt: skip
    """Return the better of the caches' schedules and the known plan, ``None`` if there is none."""
    schedules = [schedule for part in found for schedule in part.schedules or []]
    if len(schedules) < len(parts):
        return known
    plan = plan_of(problem, parts, np.concatenate([part.rooms for part in found]), schedules)
    # A point may break the room by less than a solver's tolerance.
    if violations(problem, plan):
        return known
    if known is not None and evaluate(problem, known).objective < evaluate(problem, plan).objective:
        return known
    return plan
