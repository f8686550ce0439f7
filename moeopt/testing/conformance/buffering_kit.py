"""The buffering wing's share of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import numpy as np

from moeopt.buffering import generate
from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem
from moeopt.core.arrays import IntArray
from moeopt.testing.conformance.buffering_oracle import brute_force
from moeopt.testing.conformance.kit import Kit, Relabelled, register_kit

#: Rules that are drawn together more often than chance would have it: each method knows some.
_TOGETHER = (
    (),
    ("batches", "history", "pins", "sequences"),
    ("batches", "bypass", "caps", "fill", "period", "weights"),
    ("batches", "budget", "layers", "sizes"),
    ("batches", "cache_bytes", "layers"),
    ("any_order", "batches", "pool"),
)


def problems(feasible: bool) -> Any:
    """Return a strategy of problems small enough for brute force."""
    from hypothesis import strategies as st

    from moeopt.testing.strategies import buffering_problems

    every = buffering_problems(feasible=feasible)
    some = [buffering_problems(features=features, feasible=feasible) for features in _TOGETHER]
    return every | st.one_of(some)


@cache
def long_problems() -> list[BufferingProblem]:
    """Return problems that keep a good method busy beyond a fraction of a second."""
    return [
        generate.locality(4, 32, 2000, 4, rules="unequal"),
        generate.locality(4, 64, 4000, 6, batch=2, rules="slots"),
        generate.locality(4, 64, 4000, 6, batch=2, rules="caps"),
    ]


def tolerance(problem: BufferingProblem) -> float:
    """Return 1e-9: values are sums."""
    del problem
    return 1e-9


def relabelled(problem: BufferingProblem, rng: np.random.Generator) -> list[Relabelled]:
    """Return the problem with each layer's experts under other names.

    Layers and groups keep theirs: they are the order of time.
    """
    orders = np.stack([rng.permutation(problem.experts) for _ in range(problem.layers)])
    return [_renamed_experts(problem, orders)]


def scaled(problem: BufferingProblem, exponent: int) -> tuple[BufferingProblem, float]:
    """Return the problem with every byte and second times ``2**exponent``.

    Misses do not change with their prices. Bytes are whole numbers, and so never become fewer:
    they double with each positive exponent alone.
    """
    factor = 2.0**exponent
    grown = max(1, 2**exponent) if exponent > 0 else 1
    changes: dict[str, Any] = {}
    for name in ("expert_bytes", "cache_bytes"):
        value = getattr(problem, name)
        changes[name] = None if value is None else _times(value, grown)
    if problem.budget_bytes is not None:
        changes["budget_bytes"] = problem.budget_bytes * grown
    for name in ("load_s", "miss_s"):
        value = getattr(problem, name)
        changes[name] = None if value is None else _times(value, factor)
    if problem.timing is not None:
        timing = problem.timing
        changes["timing"] = msgspec.structs.replace(
            timing,
            link_bytes_per_s=timing.link_bytes_per_s * grown / factor,
            link_latency_s=timing.link_latency_s * factor,
            compute_s=_times(timing.compute_s, factor),
        )
    by_objective = {"misses": 1.0, "miss_bytes": float(grown), "seconds": factor}
    return msgspec.structs.replace(problem, **changes), by_objective[problem.objective]


def larger(
    problem: BufferingProblem, rng: np.random.Generator
) -> Iterable[tuple[str, BufferingProblem]]:
    """Return problems that allow all plans of this one at the same value or a better one."""
    del rng
    replace = msgspec.structs.replace
    for name in ("slots", "cache_bytes", "budget_bytes"):
        value = getattr(problem, name)
        if value is not None:
            yield f"more {name}", replace(problem, **{name: value + 1})
    if problem.serve == "bypass":
        yield "no cap", replace(problem, loads_per_group=None)
        yield "changes before every group", replace(problem, update_period=1)
        yield "a free fill", replace(problem, free_fill=True)
    elif (np.diff(problem.starts) > 1).any():
        yield "any order", replace(problem, any_order=True)
    if problem.slots is None or problem.pooled or problem.layers == 1:
        return
    slots = np.broadcast_to(np.asarray(problem.slots), (problem.layers,))
    if not problem.free_fill:
        # Its first group is that of one layer alone.
        yield "one pool", replace(problem, slots=int(slots.sum()), pooled=True)
    budget = int(slots @ problem.sizes_bytes().max(axis=1))
    yield "a budget", replace(problem, slots=None, budget_bytes=budget)


def _times(value: Any, factor: float) -> Any:
    return np.asarray(value) * factor


def _renamed_experts(problem: BufferingProblem, orders: IntArray) -> Relabelled:
    """Give expert ``orders[l, e]`` of layer `l` the name `e`; references keep their places."""
    names = np.argsort(orders, axis=1)
    layer = problem.group_of() % problem.layers
    changes: dict[str, Any] = {"active": names[layer, problem.active]}
    for name in ("expert_bytes", "load_s", "miss_s", "history"):
        value = getattr(problem, name)
        if value is not None and np.ndim(value) == 2:
            changes[name] = np.take_along_axis(np.asarray(value), orders, axis=1)
    if problem.pinned is not None and problem.pinned.size:
        pinned = problem.pinned.copy()
        pinned[:, 1] = names[pinned[:, 0], pinned[:, 1]]
        changes["pinned"] = pinned
    old_item = (np.arange(problem.layers)[:, None] * problem.experts + orders).ravel()

    def back(plan: BufferingPlan) -> BufferingPlan:
        return msgspec.structs.replace(
            plan, load_item=old_item[plan.load_item], drop_item=old_item[plan.drop_item]
        )

    return Relabelled("experts", msgspec.structs.replace(problem, **changes), back)


KIT = register_kit(
    Kit(
        wing="buffering",
        problems=problems,
        long_problems=long_problems,
        optimum=brute_force,
        relabelled=relabelled,
        scaled=scaled,
        larger=larger,
        tolerance=tolerance,
    )
)
