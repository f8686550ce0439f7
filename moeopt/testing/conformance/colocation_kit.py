"""The colocation wing's share of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from moeopt.colocation import generate
from moeopt.colocation.plan import ColocationPlan
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import IntArray
from moeopt.describe.cluster import Cluster, NodeGroup
from moeopt.testing.conformance.colocation_oracle import brute_force
from moeopt.testing.conformance.kit import Kit, Relabelled, register_kit

#: Rules that methods for one kind of problem know: many problems have these alone.
_SIMPLE = (
    (),
    ("bytes", "computation", "fewer", "fixed", "local"),
    ("computation", "fixed", "rates", "speeds"),
    ("memory", "models", "rates"),
    ("packed", "computation"),
)


def problems(feasible: bool) -> Any:
    """Return a strategy of problems small enough for brute force."""
    from hypothesis import strategies as st

    from moeopt.testing.strategies import colocation_problems

    every = colocation_problems(feasible=feasible)
    simple = [colocation_problems(features=features, feasible=feasible) for features in _SIMPLE]
    return every | st.one_of(simple)


def long_problems() -> list[ColocationProblem]:
    """Return problems that keep a good method busy beyond a fraction of a second."""
    three = generate.synthetic("uniform", 32, 3, "mixed")
    packed = generate.synthetic("zipf", 24, 2)
    return [
        generate.synthetic("uniform", 64, 2, "mixed"),
        msgspec.structs.replace(three, objective="bottleneck"),
        msgspec.structs.replace(three, objective="communication"),
        msgspec.structs.replace(
            packed, cluster=generate.aurora_cluster("mixed", 12), experts_per_device=4
        ),
    ]


def tolerance(problem: ColocationProblem) -> float:
    """Return 1e-9: values are sums."""
    del problem
    return 1e-9


def relabelled(problem: ColocationProblem, rng: np.random.Generator) -> list[Relabelled]:
    """Return the problem with devices, and each model's experts, in another order.

    Models keep theirs: it is that in which they take turns.
    """
    return [
        _renamed_devices(problem, _device_order(problem.cluster, rng)),
        _renamed_experts(problem, [rng.permutation(n) for n in problem.experts().tolist()]),
    ]


def scaled(problem: ColocationProblem, exponent: int) -> tuple[ColocationProblem, float]:
    """Return the problem with tokens, gates and aggregations times ``2**exponent``."""
    factor = 2.0**exponent
    models = tuple(
        msgspec.structs.replace(
            model,
            traffic_tokens=model.traffic_tokens * factor,
            gate_s=model.gate_s * factor,
            aggregation_s=model.aggregation_s * factor,
        )
        for model in problem.models
    )
    return msgspec.structs.replace(problem, models=models), factor


def larger(
    problem: ColocationProblem, rng: np.random.Generator
) -> Iterable[tuple[str, ColocationProblem]]:
    """Return problems that allow all plans of this one at the same value or a better one."""
    del rng
    replace = msgspec.structs.replace
    yield "no pins", replace(problem, pinned=())
    yield "one more place", replace(problem, experts_per_device=problem.experts_per_device + 1)
    yield "one more device", _one_more_device(problem)
    half = tuple(
        replace(
            model,
            dispatch_bytes_per_token=model.dispatch_bytes_per_token / 2,
            combine_bytes_per_token=model.combine_bytes_per_token / 2,
        )
        for model in problem.models
    )
    yield "smaller tokens", replace(problem, models=half)
    if problem.expert_memory_bytes is not None:
        yield "more memory", replace(problem, expert_memory_bytes=10**6)


def _one_more_device(problem: ColocationProblem) -> ColocationProblem:
    """Add a device to the last node, with the most memory that any has."""
    *before, last = problem.cluster.all_nodes()
    wider = msgspec.structs.replace(last, devices=last.devices + 1)
    cluster = Cluster(nodes=tuple(NodeGroup(node=node) for node in (*before, wider)))
    memory = problem.expert_memory_bytes
    if isinstance(memory, tuple):
        memory = (*memory, max(memory))
    return msgspec.structs.replace(problem, cluster=cluster, expert_memory_bytes=memory)


def _renamed_devices(problem: ColocationProblem, order: IntArray) -> Relabelled:
    """Put device ``order[g]`` of the problem in place `g`."""
    place = np.argsort(order)
    changes: dict[str, Any] = {
        "cluster": _reordered_cluster(problem.cluster, order),
        "pinned": tuple(
            msgspec.structs.replace(pin, device=int(place[pin.device])) for pin in problem.pinned
        ),
    }
    if isinstance(problem.expert_memory_bytes, tuple):
        memory = problem.expert_memory_bytes
        changes["expert_memory_bytes"] = tuple(memory[g] for g in order)
    old_name = np.append(order, -1)  # The last entry keeps -1, no expert.

    def back(plan: ColocationPlan) -> ColocationPlan:
        return ColocationPlan(device=old_name[plan.device])

    return Relabelled("devices", msgspec.structs.replace(problem, **changes), back)


def _renamed_experts(problem: ColocationProblem, orders: list[IntArray]) -> Relabelled:
    """Give expert ``order[e]`` of each model the name `e`."""
    names = [np.argsort(order) for order in orders]
    models = tuple(
        msgspec.structs.replace(model, traffic_tokens=model.traffic_tokens[np.ix_(order, order)])
        for model, order in zip(problem.models, orders, strict=True)
    )
    pins = tuple(
        msgspec.structs.replace(pin, expert=int(names[pin.model][pin.expert]))
        for pin in problem.pinned
    )

    def back(plan: ColocationPlan) -> ColocationPlan:
        device = np.full_like(plan.device, -1)
        for row, renamed, order in zip(device, plan.device, orders, strict=True):
            row[order] = renamed[: len(order)]
        return ColocationPlan(device=device)

    return Relabelled("experts", msgspec.structs.replace(problem, models=models, pinned=pins), back)


def _device_order(cluster: Cluster, rng: np.random.Generator) -> IntArray:
    """Return devices in another order: whole nodes change places, and devices within each."""
    node = cluster.device_node()
    order = [rng.permutation(np.flatnonzero(node == n)) for n in rng.permutation(cluster.num_nodes)]
    return np.concatenate(order)


def _reordered_cluster(cluster: Cluster, order: IntArray) -> Cluster:
    """Return the cluster whose nodes follow each other as in the order of devices."""
    nodes = cluster.all_nodes()
    followed = dict.fromkeys(cluster.device_node()[order].tolist())
    return Cluster(nodes=tuple(NodeGroup(node=nodes[n]) for n in followed))


KIT = register_kit(
    Kit(
        wing="colocation",
        problems=problems,
        long_problems=long_problems,
        optimum=brute_force,
        relabelled=relabelled,
        scaled=scaled,
        larger=larger,
        tolerance=tolerance,
    )
)
