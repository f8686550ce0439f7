"""Memory against time: what more slots buy (Fig. 13 of arXiv:2303.06182).

For every budget the layers get slots, the policy replays the trace, and the clock tells the
seconds. The paper draws the same from measured runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from moeopt.buffering.clock import Stall, stall
from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.planning import split_slots, uniform_slots
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import policy_plan
from moeopt.core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class MemoryPoint:
    """A cache of some size.

    Attributes
    ----------
    budget_bytes
        What might be spent.
    slots
        Of each layer, ``(layers,)``, or of the pool, ``(1,)``.
    used_bytes
        Of all slots.
    misses, hit_rate
        Of the policy.
    clock
        Where the time goes.
    seconds_per_step
        Its seconds over the steps.
    on_frontier
        Whether no other point takes less of one and no more of the other, bytes and seconds.
    """

    budget_bytes: float
    slots: IntArray
    used_bytes: float
    misses: int
    hit_rate: float
    clock: Stall
    seconds_per_step: float
    on_frontier: bool


def pareto(
    problem: BufferingProblem,
    policy: str,
    budgets_bytes: Sequence[float],
    curves: Sequence[FloatArray] | None = None,
) -> tuple[MemoryPoint, ...]:
    """Return what each budget comes to, in the order in which they were given.

    Parameters
    ----------
    problem
        With `timing`; how many slots it states does not matter.
    policy
        As for `moeopt.buffering.replays.replay`.
    budgets_bytes
        Bytes of all slots together.
    curves
        What 0, 1, ... slots cost each layer, as `split_slots` takes them, from an earlier part of
        the trace, say. Left out, layers get equally many.
    """
    points = [_point(problem, policy, budget, curves) for budget in budgets_bytes]
    first = undominated(
        np.array([point.used_bytes for point in points]),
        np.array([point.seconds_per_step for point in points]),
    )
    return tuple(
        replace(point, on_frontier=bool(on)) for point, on in zip(points, first, strict=True)
    )


def with_slots(problem: BufferingProblem, slots: IntArray) -> BufferingProblem:
    """Return the problem with these slots, ``(layers,)`` or ``(1,)`` for a pool.

    Parameters
    ----------
    problem
        What is asked.
    slots
        Instead of the slots or bytes that it states.
    """
    stated = int(slots[0]) if problem.pooled else slots
    return msgspec.structs.replace(
        problem, slots=stated, cache_bytes=None, budget_bytes=None, generator=None
    )


def slot_bytes(problem: BufferingProblem) -> FloatArray:
    """Return the bytes of a slot of each cache, ``(caches,)``: of its largest expert."""
    sizes = problem.sizes_bytes()
    return np.array([sizes.max()]) if problem.pooled else np.array(sizes.max(axis=1))


def equal_slots(problem: BufferingProblem, budget_bytes: float) -> IntArray:
    """Return equally many slots for each cache, ``(caches,)``.

    Parameters
    ----------
    problem
        What is asked.
    budget_bytes
        Bytes of all slots together.
    """
    caches = 1 if problem.pooled else problem.num_layers
    items = problem.num_layers * problem.num_experts
    return uniform_slots(np.full(caches, items // caches), slot_bytes(problem), budget_bytes)


def undominated(one: FloatArray, other: FloatArray) -> BoolArray:
    """Tell which points no other beats in one number without losing in the other, ``(points,)``."""
    no_more = np.less_equal.outer(one, one) & np.less_equal.outer(other, other)
    less = np.less.outer(one, one) | np.less.outer(other, other)
    found: BoolArray = ~np.any(no_more & less, axis=0)
    return found


def _point(
    problem: BufferingProblem, policy: str, budget: float, curves: Sequence[FloatArray] | None
) -> MemoryPoint:
    sizes = slot_bytes(problem)
    if curves is None:
        slots = equal_slots(problem, budget)
    else:
        slots = split_slots(curves, sizes, budget).slots
    stated = with_slots(problem, slots)
    plan: BufferingPlan = policy_plan(stated, policy)
    clock = stall(stated, plan)
    value = evaluate(stated, plan)
    return MemoryPoint(
        budget_bytes=float(budget),
        slots=slots,
        used_bytes=float((slots * sizes).sum()),
        misses=value.misses,
        hit_rate=value.hit_rate or 0.0,
        clock=clock,
        seconds_per_step=clock.total_s / max(1, problem.num_steps),
        on_frontier=False,
    )
