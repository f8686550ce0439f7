"""Policies as methods: rooms where a budget is to be divided, the replay, and the bound."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from moeopt.buffering.bounds import bound as bound_of
from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.planning import split_slots
from moeopt.buffering.policies import POLICIES, Hints, policy_named
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, least_room, matching_of, miss_curve, policy_plan
from moeopt.buffering.stream import Stream, streams
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Method, Outcome

Run = Callable[[BufferingProblem, Context, object], Outcome]

_log = logging.getLogger(__name__)

#: Every how many slots a policy is tried to divide a budget, coarse to fine while time is left;
#: between them its costs are taken to lie on lines. One with its own replay is not tried finer than
#: `_OWN_STEP`.
_STEPS, _OWN_STEP = (16, 4, 1), 4


def by_policy(name: str) -> Run:
    """Return the policy of this name as a method's ``run``."""

    def run(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
        del warm_start
        plan, limit = planned(problem, name, context)
        return Outcome(
            plan=plan, bound=bound_in(problem, context), limit=limit, statistics={"policy": name}
        )

    return run


def bound_in(problem: BufferingProblem, context: Context) -> float:
    """Return the bound that the time left allows.

    Parameters
    ----------
    problem
        What was asked.
    context
        Of the solve.
    """
    remaining_s = context.remaining_s()
    return bound_of(problem, None if math.isinf(remaining_s) else remaining_s)


def refuses_policy(name: str) -> Callable[[BufferingProblem], str | None]:
    """Return what tells why the policy cannot take a problem."""

    def refuses(problem: BufferingProblem) -> str | None:
        if policy_named(name).needs_history and problem.history is None:
            return f"{name} needs counts of the past: state history"
        return None

    return refuses


def planned(
    problem: BufferingProblem, policy: str, context: Context
) -> tuple[BufferingPlan | None, Limit | None]:
    """Return the plan of a policy and what cut it short; no plan if caches have too little room.

    Parameters
    ----------
    problem
        References and caches. A budget is divided so that the policy itself pays least.
    policy
        Its name.
    context
        Of the solve: without time, a budget is divided by a coarse look at the policy.
    """
    parts = streams(problem)
    rooms, limit = rooms_of(problem, parts, policy, context)
    if rooms is None:
        return None, limit
    if any(room < least_room(part) for room, part in zip(rooms.tolist(), parts, strict=True)):
        return None, limit
    return policy_plan(problem, policy, rooms), limit


def rooms_of(
    problem: BufferingProblem, parts: tuple[Stream, ...], policy: str, context: Context
) -> tuple[IntArray | None, Limit | None]:
    """Return the room of each cache, ``(caches,)``, and what cut the search for it short.

    ``None`` if a budget serves no layer.

    Parameters
    ----------
    problem, parts
        What was asked, and its streams.
    policy
        For whose costs a budget is divided.
    context
        Of the solve.
    """
    if problem.budget_bytes is None:
        return np.array([part.capacity for part in parts], dtype=np.int64), None
    largest = problem.sizes_bytes().max(axis=1)
    fewest = np.array([least_room(part) for part in parts])
    if float((fewest * largest).sum()) > problem.budget_bytes:
        return None, None
    curves, limit = _curves(problem, parts, policy, context)
    return split_slots(curves, largest, problem.budget_bytes).slots, limit


def best_online(methods: Mapping[str, Method]) -> Run:
    """Return the best of all policies that do not know the future, as a method's ``run``."""

    def run(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
        del warm_start
        found: dict[str, float] = {}
        best: BufferingPlan | None = None
        limit = None
        for name, policy in POLICIES.items():
            if best is not None and context.out_of_time():
                limit = Limit.TIME
                break
            if policy.offline or methods[name].refuses(problem) is not None:
                continue
            plan, cut = planned(problem, name, context)
            limit = cut or limit
            if plan is None:
                continue
            cost = evaluate(problem, plan).objective
            if best is None or cost < min(found.values()):
                best = plan
                context.report(cost, None, name)
            found[name] = cost
        winner = min(found, key=found.__getitem__, default=None)
        return Outcome(
            plan=best,
            bound=bound_in(problem, context),
            limit=limit,
            statistics={"policy": winner, "costs": found},
        )

    return run


def auto(methods: Mapping[str, Method]) -> Run:
    """Return the optimum where it is known how to find it, else the best of what knows the future.

    Parameters
    ----------
    methods
        All others by name.
    """

    def run(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
        for name in ("exact", "clairvoyant", "best_online"):
            if methods[name].refuses(problem) is None:
                try:
                    found = methods[name].run(problem, context, warm_start)
                except BackendError as error:
                    # What follows does without a solver.
                    _log.warning("%s: %s", name, error)
                    continue
                if found.plan is not None or found.infeasible or name == "best_online":
                    return replace(found, statistics={**found.statistics, "chosen": name})
        raise AssertionError("best_online takes any problem")

    return run


def _curves(
    problem: BufferingProblem, parts: tuple[Stream, ...], policy: str, context: Context
) -> tuple[list[FloatArray], Limit | None]:
    """Return what every number of slots costs the policy in each cache, as far as time allows."""
    finest = 1 if policy_named(policy).run is None else _OWN_STEP
    steps = [step for step in _STEPS if step >= finest]
    if context.time_limit_s is None:
        steps = [finest]
    matching = matching_of(problem) if policy == "activation_matching" else None
    curves = [_guessed(part) for part in parts]
    for step in steps:
        found: list[FloatArray] = []
        for part in parts:
            if context.out_of_time():
                return curves, Limit.TIME
            found.append(_curve(part, policy, hints_of(problem, part, matching), step))
        curves = found
    return curves, None


def _curve(part: Stream, policy: str, hints: Hints, step: int) -> FloatArray:
    """Return what every number of slots costs, ``(items + 1,)``, on lines between those tried."""
    rooms, least = np.arange(part.num_items + 1), least_room(part)
    tried = np.union1d(np.arange(least, part.num_items, step), [part.num_items])
    costs = np.interp(rooms, tried, miss_curve(part, policy, tried, hints))
    return np.where(rooms < least, np.inf, costs)


def _guessed(part: Stream) -> FloatArray:
    """Return a curve for a policy that was not tried: each further slot saves less."""
    rooms = np.arange(part.num_items + 1)
    costs = part.items.size * (1 - rooms / part.num_items) ** 2
    return np.where(rooms < least_room(part), np.inf, costs)
