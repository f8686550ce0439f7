"""What comes first on the page of an expert cache: what was asked and gained, and what binds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from moeopt.buffering.bounds import bound
from moeopt.buffering.plan import BufferingPlan, Evaluation, evaluate
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import policy_plan
from moeopt.core.arrays import IntArray
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.units import memory_text, number_text, time_text
from moeopt.report.wings import Fact, Summary, changed, counted, distance

#: Seconds that the bound without one of the rules may take, about.
_BOUND_S = 1.0

_WANTED = {
    "misses": "fewest misses",
    "miss_bytes": "fewest bytes of misses and loads",
    "seconds": "least time of misses and loads, one after the other",
}

#: How values of the objective are told; misses may be weighted.
_AMOUNTS: dict[str, Callable[[float], str]] = {
    "misses": number_text,
    "miss_bytes": memory_text,
    "seconds": time_text,
}


def summary(problem: BufferingProblem, plan: BufferingPlan, result: Any) -> Summary:
    """Return what was asked, what the plan gained, how far from the best it is, and what binds."""
    value = evaluate(problem, plan)
    return Summary(
        asked=_asked(problem, plan),
        gained=_gained(problem, plan, value),
        distance=distance(result, _AMOUNTS[problem.objective]),
        binds=_binds(problem, plan, value),
    )


def _asked(problem: BufferingProblem, plan: BufferingPlan) -> list[Fact]:
    missing = "is loaded, while all wait" if problem.serve == "load" else "is computed elsewhere"
    rules = _rules(problem)
    return [
        counted("layers", problem.layers),
        counted("experts of a layer", problem.experts),
        Fact(
            label="references",
            text=f"{problem.num_references:,} in {problem.num_steps:,} steps",
            number=problem.num_references,
        ),
        Fact(label="room", text=_room(problem, plan)),
        Fact(label="an expert that is missing", text=missing),
        Fact(label="wanted", text=_WANTED[problem.objective]),
        Fact(label="rules", text="; ".join(rules) or "none"),
    ]


def _room(problem: BufferingProblem, plan: BufferingPlan) -> str:
    low, high = int(plan.capacity.min()), int(plan.capacity.max())
    if problem.cache_bytes is not None:
        told = memory_text(low) if low == high else f"{memory_text(low)} to {memory_text(high)}"
    else:
        told = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        told += " slot" if high == 1 else " slots"
    where = "in a pool" if problem.pooled else "in each layer"
    if problem.budget_bytes is None:
        return f"{told} {where}"
    return f"{memory_text(problem.budget_bytes)}, which the plan divides: {told} {where}"


def _rules(problem: BufferingProblem) -> list[str]:
    """Return the rules in force, in words."""
    found = []
    if problem.loads_per_group is not None:
        loads = "1 load" if problem.loads_per_group == 1 else f"{problem.loads_per_group} loads"
        found.append(f"at most {loads} before a pass")
    if problem.update_period > 1:
        found.append(f"changes every {problem.update_period} steps")
    if problem.free_fill:
        found.append("the first fill is free")
    if problem.any_order:
        found.append("a pass may run its experts in any order")
    if problem.pinned is not None and problem.pinned.size:
        found.append(f"{len(problem.pinned)} pinned experts")
    return found


def _gained(problem: BufferingProblem, plan: BufferingPlan, value: Evaluation) -> list[Fact]:
    lru = evaluate(problem, policy_plan(problem, "lru", plan.capacity))
    facts = []
    if value.hit_rate is not None and lru.hit_rate is not None:
        text = f"{100 * lru.hit_rate:.1f} % → {100 * value.hit_rate:.1f} %"
        facts.append(Fact(label="hit rate", text=text, number=value.hit_rate))
    facts += [
        Fact(label="misses", text=f"{lru.misses:,} → {value.misses:,}", number=value.misses),
        changed("bytes of misses and loads", lru.miss_bytes, value.miss_bytes, memory_text),
    ]
    if value.seconds is not None and lru.seconds is not None:
        facts.append(changed("time of misses and loads", lru.seconds, value.seconds, time_text))
    if value.stall_s is not None and lru.stall_s is not None:
        facts.append(changed("waiting for transfers", lru.stall_s, value.stall_s, time_text))
    return [*facts, Fact(label="before", text="LRU with the same room, as most systems have")]


def _binds(problem: BufferingProblem, plan: BufferingPlan, value: Evaluation) -> list[Fact]:
    """Return how much less could be paid without each rule, by the bound without it."""
    facts = []
    for label, without, freed in _freed(problem, plan):
        saved = value.objective - bound(freed, _BOUND_S)
        if saved > OPTIMALITY_TOLERANCE * value.objective:
            text = f"{without} at most {100 * saved / value.objective:.3g} % less"
        else:
            saved, text = 0.0, f"does not bind: {without} no plan is better"
        facts.append(Fact(label=label, text=text, number=saved))
    if problem.budget_bytes is not None:
        slot = problem.sizes_bytes().max(axis=1)
        left = problem.budget_bytes - float((plan.capacity * slot).sum())
        text = f"{memory_text(left)} left, a slot takes {memory_text(slot.min())}"
        facts.append(Fact(label="budget", text=text, number=left))
    return facts


def _freed(
    problem: BufferingProblem, plan: BufferingPlan
) -> Iterator[tuple[str, str, BufferingProblem]]:
    """Yield what may bind, in which case it would not, and the problem of that case."""

    def changed(**fields: Any) -> BufferingProblem:
        return msgspec.structs.replace(problem, generator=None, **fields)

    if problem.cache_bytes is not None:
        more = _stated(problem, plan.capacity + int(problem.sizes_bytes().max()))
        yield "room", "with that of one more expert", changed(cache_bytes=more)
    else:
        more = _stated(problem, plan.capacity + 1)
        yield "slots", "with one more in each cache", changed(slots=more, budget_bytes=None)
    if problem.loads_per_group is not None:
        yield "loads before a pass", "without it", changed(loads_per_group=None)
    if problem.update_period > 1:
        yield "steps between changes", "without it", changed(update_period=1)
    if problem.pinned is not None and problem.pinned.size:
        yield "pinned experts", "without them", changed(pinned=None)


def _stated(problem: BufferingProblem, rooms: IntArray) -> int | IntArray:
    """Return the rooms of the caches as a problem states them."""
    return int(rooms[0]) if problem.pooled else rooms
