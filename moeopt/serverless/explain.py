"""Why there is no deployment: the promise that cannot be kept, or the expert that fits nowhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from moeopt.core.wing import Violation
from moeopt.serverless.chosen import Designs, fixed_s, fixed_usd, shortest_s
from moeopt.serverless.degrees import largest_degree
from moeopt.serverless.fronts import LayerFront
from moeopt.serverless.options import BYTES_PER_MB, layer_data, layer_options
from moeopt.serverless.problem import ServerlessProblem


def too_slow(problem: ServerlessProblem, fronts: list[LayerFront]) -> Violation:
    """Return by how much the promise cannot be kept, and what coming closest would cost."""
    assert problem.slo_s is not None
    shortest = shortest_s(fronts) + fixed_s(problem)
    cost = math.fsum(float(front.front.cost_usd[0]) for front in fronts) + fixed_usd(problem)
    return Violation(
        constraint="C6",
        path="$.slo_s",
        message=(
            f"the promise is {problem.slo_s:.6g} s, the shortest latency there is {shortest:.6g} s,"
            f" for {cost:.6g} USD; raise slo_s to that, or allow more memory or replicas"
        ),
        amount=shortest - problem.slo_s,
    )


def nothing_fits(
    problem: ServerlessProblem, fronts: list[LayerFront], designs: Designs
) -> tuple[Violation, ...]:
    """Return the layers whose front is empty, because some expert fits no option."""
    return tuple(
        _unfit(problem, layer, designs[layer])
        for layer, front in enumerate(fronts)
        if front.is_empty
    )


def _unfit(problem: ServerlessProblem, layer: int, designs: Sequence[int]) -> Violation:
    data = layer_data(problem, layer)
    largest = largest_degree(data.tokens)
    stuck = [~layer_options(problem, data, d, largest).fits.any(axis=(1, 2)) for d in designs]
    expert = int(np.argmax(np.sum(stuck, axis=0)))
    constraint, what = _excluding(problem, layer, expert, designs)
    return Violation(
        constraint=constraint,
        path=f"$.layers[{layer}]",
        message=(
            f"expert {expert} fits no memory size with any number of replicas under design"
            f" {' or '.join(map(str, designs))}: {what}"
        ),
        amount=float(np.any(stuck, axis=0).sum()),
    )


def _excluding(
    problem: ServerlessProblem, layer: int, expert: int, designs: Sequence[int]
) -> tuple[str, str]:
    """Return the rule that leaves an expert without options, and what to do about it."""
    function = problem.expert_of(layer)
    passed = (function.input_bytes_per_token, function.output_bytes_per_token)
    share = float(problem.tokens_of(layer)[:, expert].max()) / problem.max_replicas
    kept = float(problem.parameter_bytes_of(layer)[expert]) + function.intermediate_bytes
    if kept + share * sum(passed) > max(problem.memory_mb) * BYTES_PER_MB:
        return "C3", "it needs more memory; raise memory_mb or max_replicas"
    if share * max(passed) > problem.tensor_payload_bytes() and set(designs) == {3}:
        return "C4", "its payload is too large; raise max_replicas, or allow another design"
    return "C5", "its calls take longer than the platform allows; raise memory_mb or max_replicas"
