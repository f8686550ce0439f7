"""The serverless wing's share of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.describe.pricing import PriceBook, StoragePrices
from moeopt.serverless import generate
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import (
    DESIGNS,
    ExpertFunction,
    MemoryTable,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)
from moeopt.testing.conformance.kit import Kit, Relabelled, register_kit
from moeopt.testing.conformance.serverless_oracle import brute_force

#: Rules that are drawn together more often than chance would have it.
_TOGETHER = (
    (),
    ("designs", "layers", "payload", "promise"),
    ("degree", "layers", "promise", "reals"),
    ("bill", "book", "layers", "non_moe", "promise"),
    ("cold", "layers", "memory", "scenarios", "timeout"),
)


def problems(feasible: bool) -> Any:
    """Return a strategy of problems small enough for brute force."""
    from hypothesis import strategies as st

    from moeopt.testing.strategies import serverless_problems

    every = serverless_problems(feasible=feasible)
    some = [serverless_problems(features=features, feasible=feasible) for features in _TOGETHER]
    return every | st.one_of(some)


def long_problems() -> list[ServerlessProblem]:
    """Return problems that keep a good method busy beyond a fraction of a second."""
    large = generate.deployed("bert-moe-16", tokens=163_840, tokens_per_s=24.0)
    return [large, msgspec.structs.replace(large, pipeline_degree="model")]


def tolerance(problem: ServerlessProblem) -> float:
    """Return 1e-9: values are sums."""
    del problem
    return 1e-9


def relabelled(problem: ServerlessProblem, rng: np.random.Generator) -> list[Relabelled]:
    """Return the problem with layers, each layer's experts, and scenarios in another order."""
    return [
        _reordered_layers(problem, rng.permutation(problem.num_layers)),
        _renamed_experts(problem, [rng.permutation(n) for n in problem.experts().tolist()]),
        _reordered_scenarios(problem, rng.permutation(problem.num_scenarios)),
    ]


def scaled(problem: ServerlessProblem, exponent: int) -> tuple[ServerlessProblem, float]:
    """Return the problem with every second times ``2**exponent``, and so its bill.

    Loads that double do not double a bill, which has starts in it. Seconds that double do, if fees
    double with them.
    """
    factor = 2.0**exponent
    network, billing = problem.network, problem.billing
    held_s = billing.provisioned_s
    changes: dict[str, Any] = {
        "layers": tuple(_slower_layer(layer, factor) for layer in problem.layers),
        "expert": None if problem.expert is None else _slower(problem.expert, factor),
        "network": msgspec.structs.replace(
            network,
            storage_bytes_per_s=network.storage_bytes_per_s / factor,
            function_bytes_per_s=network.function_bytes_per_s / factor,
            access_delay_s=network.access_delay_s * factor,
            warm_start_s=network.warm_start_s * factor,
            cold_start_s=network.cold_start_s * factor,
        ),
        "head_s": problem.head_s * factor,
        "tail_s": problem.tail_s * factor,
        "slo_s": None if problem.slo_s is None else problem.slo_s * factor,
        "prices": _slower_book(problem.book(), factor),
        "billing": msgspec.structs.replace(
            billing, provisioned_s=None if held_s is None else held_s * factor
        ),
    }
    return msgspec.structs.replace(problem, **changes), factor


def larger(
    problem: ServerlessProblem, rng: np.random.Generator
) -> Iterable[tuple[str, ServerlessProblem]]:
    """Return problems that allow all plans of this one at the same value, and more."""
    del rng
    replace = msgspec.structs.replace
    yield "one more replica", replace(problem, max_replicas=problem.max_replicas + 1)
    yield "all designs", replace(problem, designs=DESIGNS)
    yield "a degree for each layer", replace(problem, pipeline_degree="layer")
    yield "no promise", replace(problem, slo_s=None)
    yield "more memory", _one_more_size(problem)
    smaller = {"intermediate_bytes": 0, "parameter_bytes": 0}
    layers = tuple(
        replace(layer, parameter_bytes=None, expert=_changed(layer.expert, smaller))
        for layer in problem.layers
    )
    expert = _changed(problem.expert, smaller)
    yield "lighter experts", replace(problem, layers=layers, expert=expert)


def _slower_layer(layer: ServerlessLayer, factor: float) -> ServerlessLayer:
    return msgspec.structs.replace(
        layer,
        non_moe_s=layer.non_moe_s * factor,
        expert=None if layer.expert is None else _slower(layer.expert, factor),
    )


def _slower(expert: ExpertFunction, factor: float) -> ExpertFunction:
    compute = expert.compute
    slower: MemoryTable | VcpuModel
    if isinstance(compute, MemoryTable):
        slower = MemoryTable(seconds_per_token=tuple(s * factor for s in compute.seconds_per_token))
    else:
        seconds = compute.seconds_per_token * factor
        slower = msgspec.structs.replace(compute, seconds_per_token=seconds)
    return msgspec.structs.replace(expert, compute=slower)


def _slower_book(book: PriceBook, factor: float) -> PriceBook:
    """Return a platform whose calls may be longer, and whose fees are higher."""
    storage = {
        name: StoragePrices(
            **{field: getattr(prices, field) * factor for field in prices.__struct_fields__}
        )
        for name, prices in book.storage.items()
    }
    limits = msgspec.structs.replace(book.limits, timeout_s=book.limits.timeout_s * factor)
    return msgspec.structs.replace(
        book,
        usd_per_request=book.usd_per_request * factor,
        billing_step_s=book.billing_step_s * factor,
        storage=storage,
        limits=limits,
    )


def _one_more_size(problem: ServerlessProblem) -> ServerlessProblem:
    """Add the largest size that the platform has, as fast as the largest one so far."""
    most = problem.limits().most_memory_mb

    def with_entry(expert: ExpertFunction | None) -> ExpertFunction | None:
        if expert is None or not isinstance(expert.compute, MemoryTable):
            return expert
        seconds = expert.compute.seconds_per_token
        table = MemoryTable(seconds_per_token=(*seconds, seconds[-1]))
        return msgspec.structs.replace(expert, compute=table)

    layers = tuple(
        msgspec.structs.replace(layer, expert=with_entry(layer.expert)) for layer in problem.layers
    )
    return msgspec.structs.replace(
        problem,
        memory_mb=(*problem.memory_mb, most),
        layers=layers,
        expert=with_entry(problem.expert),
    )


def _changed(expert: ExpertFunction | None, changes: dict[str, Any]) -> ExpertFunction | None:
    return None if expert is None else msgspec.structs.replace(expert, **changes)


def _reordered_layers(problem: ServerlessProblem, order: IntArray) -> Relabelled:
    """Put layer ``order[e]`` of the problem in place `e`."""
    place = np.argsort(order)

    def back(plan: ServerlessPlan) -> ServerlessPlan:
        return msgspec.structs.replace(
            plan,
            design=plan.design[place],
            pipeline_degree=plan.pipeline_degree[place],
            memory_mb=plan.memory_mb[place],
            replicas=plan.replicas[place],
        )

    layers = tuple(problem.layers[e] for e in order)
    return Relabelled("layers", msgspec.structs.replace(problem, layers=layers), back)


def _renamed_experts(problem: ServerlessProblem, orders: list[IntArray]) -> Relabelled:
    """Give expert ``order[i]`` of each layer the name `i`."""
    layers = []
    for layer, order in zip(problem.layers, orders, strict=True):
        assert layer.tokens is not None, "validated"
        own = layer.parameter_bytes
        layers.append(
            msgspec.structs.replace(
                layer,
                tokens=layer.tokens[..., order],
                parameter_bytes=None if own is None else own[order],
            )
        )

    def back(plan: ServerlessPlan) -> ServerlessPlan:
        memory, replicas = np.zeros_like(plan.memory_mb), np.zeros_like(plan.replicas)
        for e, order in enumerate(orders):
            memory[e, order] = plan.memory_mb[e, : len(order)]
            replicas[e, order] = plan.replicas[e, : len(order)]
        return msgspec.structs.replace(plan, memory_mb=memory, replicas=replicas)

    renamed = msgspec.structs.replace(problem, layers=tuple(layers))
    return Relabelled("experts", renamed, back)


def _reordered_scenarios(problem: ServerlessProblem, order: IntArray) -> Relabelled:
    layers = tuple(
        msgspec.structs.replace(layer, tokens=layer.tokens[order])
        if layer.tokens is not None and layer.tokens.ndim == 2
        else layer
        for layer in problem.layers
    )
    weights = problem.scenario_weights
    reordered = msgspec.structs.replace(
        problem, layers=layers, scenario_weights=None if weights is None else weights[order]
    )

    def back(plan: ServerlessPlan) -> ServerlessPlan:
        return plan

    return Relabelled("scenarios", reordered, back)


KIT = register_kit(
    Kit(
        wing="serverless",
        problems=problems,
        long_problems=long_problems,
        optimum=brute_force,
        relabelled=relabelled,
        scaled=scaled,
        larger=larger,
        tolerance=tolerance,
    )
)
