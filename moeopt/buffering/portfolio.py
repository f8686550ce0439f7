"""Policies as methods: rooms where a budget is to be divided, the replay, and the bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from moeopt.buffering.bounds import bound as bound_of
from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.planning import split_slots
from moeopt.buffering.policies import POLICIES, policy_named
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, least_room, miss_curve, policy_plan
from moeopt.buffering.stream import Stream, streams
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Method, Outcome

Run = Callable[[BufferingProblem, Context, object], Outcome]

#: Every how many slots a policy with its own replay is tried to divide a budget; between them its
#: costs are taken to lie on lines.
_STEP = 4


def by_policy(name: str) -> Run:
    """Return the policy of this name as a method's ``run``."""

    def run(problem: BufferingProblem, context: Context, warm_start: object) -> Outcome:
        del warm_start
        plan = planned(problem, name)
        return Outcome(plan=plan, bound=bound_in(problem, context), statistics={"policy": name})

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
    return bound_of(problem, None if context.time_limit_s is None else context.remaining_s())


def refuses_policy(name: str) -> Callable[[BufferingProblem], str | None]:
    """Return what tells why the policy cannot take a problem."""

    def refuses(problem: BufferingProblem) -> str | None:
        if policy_named(name).needs_history and problem.history is None:
            return f"{name} needs counts of the past: state history"
        return None

    return refuses


def planned(problem: BufferingProblem, policy: str) -> BufferingPlan | None:
    """Return the plan of a policy, ``None`` if the caches have too little room for any.

    Parameters
    ----------
    problem
        References and caches. A budget is divided so that the policy itself pays least.
    policy
        Its name.
    """
    parts = streams(problem)
    rooms = rooms_of(problem, parts, policy)
    if rooms is None:
        return None
    if any(room < least_room(part) for room, part in zip(rooms.tolist(), parts, strict=True)):
        return None
    return policy_plan(problem, policy, rooms)


def rooms_of(problem: BufferingProblem, parts: tuple[Stream, ...], policy: str) -> IntArray | None:
    """Return the room of each cache, ``(caches,)``; ``None`` if a budget serves no layer.

    Parameters
    ----------
    problem, parts
        What was asked, and its streams.
    policy
        For whose costs a budget is divided.
    """
    if problem.budget_bytes is None:
        return np.array([part.capacity for part in parts], dtype=np.int64)
    largest = problem.sizes_bytes().max(axis=1)
    fewest = np.array([least_room(part) for part in parts])
    if float((fewest * largest).sum()) > problem.budget_bytes:
        return None
    curves = [_curve(problem, part, policy) for part in parts]
    return split_slots(curves, largest, problem.budget_bytes).slots


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
            plan = planned(problem, name)
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
                found = methods[name].run(problem, context, warm_start)
                if found.plan is not None or found.infeasible or name == "best_online":
                    return replace(found, statistics={**found.statistics, "chosen": name})
        raise AssertionError("best_online takes any problem")

    return run


def _curve(problem: BufferingProblem, part: Stream, policy: str) -> FloatArray:
    """Return what every number of slots costs the policy, ``(items + 1,)``."""
    rooms = np.arange(part.num_items + 1)
    hints = hints_of(problem, part)
    if policy_named(policy).run is None:
        return miss_curve(part, policy, rooms, hints)
    least = least_room(part)
    tried = np.union1d(np.arange(least, part.num_items, _STEP), [part.num_items])
    costs = np.interp(rooms, tried, miss_curve(part, policy, tried, hints))
    return np.where(rooms < least, np.inf, costs)
