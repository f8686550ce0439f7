"""The committee wing's share of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import numpy as np

from moeopt.committee import generate
from moeopt.committee.plan import CommitteePlan
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import IntArray
from moeopt.testing.conformance.committee_oracle import brute_force
from moeopt.testing.conformance.kit import Kit, Relabelled, register_kit

#: Rules that are drawn together more often than chance would have it: each method knows some.
_TOGETHER = (
    (),
    ("layers", "sizes", "top_k"),
    ("layers", "latency", "limits", "sizes"),
    ("periods", "price", "windows"),
    ("layers", "link", "paid_fill", "periods", "windows"),
)

_BY_LAYER = (
    "expert_bytes",
    "activation_bytes",
    "staging_slots",
    "min_slots",
    "max_slots",
    "slot_s",
    "load_price",
)


def problems(feasible: bool) -> Any:
    """Return a strategy of problems small enough for brute force."""
    from hypothesis import strategies as st

    from moeopt.testing.strategies import committee_problems

    every = committee_problems(feasible=feasible)
    some = [committee_problems(features=features, feasible=feasible) for features in _TOGETHER]
    return every | st.one_of(some)


@cache
def long_problems() -> list[CommitteeProblem]:
    """Return problems that keep a good method busy beyond a fraction of a second."""
    return [
        generate.tables(60, 384, 3, rules="link"),
        generate.routed(24, 64, 48, 64, drift=0.2, rules="link"),
        generate.routed(12, 64, 16, 96, 4, loss="masked", drift=0.2, rules="latency"),
    ]


def tolerance(problem: CommitteeProblem) -> float:
    """Return 1e-9: values are sums."""
    del problem
    return 1e-9


def relabelled(problem: CommitteeProblem, rng: np.random.Generator) -> list[Relabelled]:
    """Return the problem with layers, each layer's experts, and tokens in another order.

    Windows keep theirs: they are the order of time. Experts keep theirs under ``"skip"`` where a
    token has two of one value and goes to one of them alone, for then their order decides.
    """
    found = [_renamed_layers(problem, rng.permutation(problem.layers))]
    if problem.loss != "table" and not _order_decides(problem):
        orders = np.stack([rng.permutation(problem.experts) for _ in range(problem.layers)])
        found.append(_renamed_experts(problem, orders))
    if problem.router is not None:
        order = np.concatenate(
            [rng.permutation(np.arange(s.start, s.stop)) for s in problem.token_windows()]
        )
        mixed = msgspec.structs.replace(problem, router=problem.router[order])
        found.append(Relabelled("tokens", mixed, lambda plan: plan))
    return found


def scaled(problem: CommitteeProblem, exponent: int) -> tuple[CommitteeProblem, float]:
    """Return the problem with every loss, price and second times ``2**exponent``.

    Bytes are whole numbers, and so never become fewer: they double with each positive exponent
    alone.
    """
    factor, grown = 2.0**exponent, 2 ** max(0, exponent)
    changes: dict[str, Any] = {
        "fixed_bytes": problem.fixed_bytes * grown,
        "budget_bytes": problem.budget_bytes * grown,
        "base_s": problem.base_s * factor,
    }
    times: tuple[tuple[float, tuple[str, ...]], ...] = (
        (factor, ("importance", "router", "table", "load_price")),
        (factor, ("slot_s", "latency_s", "window_s")),
        (grown, ("expert_bytes", "activation_bytes")),
        (grown / factor, ("link_bytes_per_s",)),
    )
    for by, names in times:
        for name in names:
            value = getattr(problem, name)
            if value is not None:
                changes[name] = value * by
    return msgspec.structs.replace(problem, **changes), factor


def larger(
    problem: CommitteeProblem, rng: np.random.Generator
) -> Iterable[tuple[str, CommitteeProblem]]:
    """Return problems that allow all plans of this one at the same value or a better one."""
    del rng
    replace = msgspec.structs.replace
    yield "more memory", replace(problem, budget_bytes=problem.budget_bytes + 3)
    yield "no staging", replace(problem, staging_slots=0)
    yield "no limits of slots", replace(problem, min_slots=0, max_slots=None)
    yield "no limit of latency", replace(problem, latency_s=None)
    yield "no link", replace(problem, link_bytes_per_s=None, window_s=None)
    if problem.loss == "table":
        return
    yield "a free fill", replace(problem, free_fill=True)
    yield "free loads", replace(problem, load_price=0.0)
    if 1 not in problem.choices() and problem.link_bytes_per_s is None:
        yield "any changes", replace(problem, periods=np.append(problem.choices(), 1))


def _order_decides(problem: CommitteeProblem) -> bool:
    """Tell whether a token has equal values on both sides of its own `top_k`."""
    if problem.loss != "skip" or problem.router is None or problem.top_k >= problem.experts:
        return False
    falling = -np.sort(-problem.router, axis=2)
    edge = falling[:, :, problem.top_k - 1]
    return bool(((edge == falling[:, :, problem.top_k]) & (edge > 0)).any())


def _renamed_layers(problem: CommitteeProblem, order: IntArray) -> Relabelled:
    """Give layer ``order[l]`` the number `l`."""
    changes: dict[str, Any] = {}
    for name in _BY_LAYER:
        value = getattr(problem, name)
        if np.ndim(value) == 1:
            changes[name] = value[order]
    for name in ("importance", "router", "table", "swaps"):
        value = getattr(problem, name)
        if value is not None:
            changes[name] = np.take(value, order, axis=value.ndim - 2)

    def back(plan: CommitteePlan) -> CommitteePlan:
        slots = np.empty_like(plan.slots)
        slots[order] = plan.slots
        return _changed(plan, slots, lambda rows: (order[rows[:, 1]], rows[:, 2]))

    return Relabelled("layers", msgspec.structs.replace(problem, **changes), back)


def _renamed_experts(problem: CommitteeProblem, orders: IntArray) -> Relabelled:
    """Give expert ``orders[l, e]`` of layer `l` the name `e`."""
    changes: dict[str, Any] = {}
    for name in ("importance", "router"):
        value = getattr(problem, name)
        if value is not None:
            changes[name] = np.take_along_axis(value, orders[None], axis=2)

    def back(plan: CommitteePlan) -> CommitteePlan:
        names = orders
        return _changed(plan, plan.slots, lambda rows: (rows[:, 1], names[rows[:, 1], rows[:, 2]]))

    return Relabelled("experts", msgspec.structs.replace(problem, **changes), back)


def _changed(plan: CommitteePlan, slots: IntArray, renamed: Any) -> CommitteePlan:
    """Return the plan with other slots, and other layers and experts in its rows."""
    tables = {}
    for name in ("loads", "drops"):
        rows = getattr(plan, name)
        layer, expert = renamed(rows)
        order = np.lexsort((expert, layer, rows[:, 0]))
        tables[name] = np.column_stack((rows[:, 0], layer, expert))[order]
    return msgspec.structs.replace(plan, slots=slots, **tables)


KIT = register_kit(
    Kit(
        wing="committee",
        problems=problems,
        long_problems=long_problems,
        optimum=brute_force,
        relabelled=relabelled,
        scaled=scaled,
        larger=larger,
        tolerance=tolerance,
    )
)
