"""Why there is no deployment: which rule bars which expert under which design."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.wing import Violation
from moeopt.serverless.chosen import Designs
from moeopt.serverless.degrees import largest_degree
from moeopt.serverless.fronts import LayerFront
from moeopt.serverless.options import layer_data, layer_options
from moeopt.serverless.plan import BYTES_PER_MB
from moeopt.serverless.problem import ServerlessProblem

_BARS = {
    "C3": "needs more memory",
    "C4": "has more bytes than a call carries",
    "C5": "takes longer than the platform lets a call take",
}


def nothing_fits(
    problem: ServerlessProblem, fronts: list[LayerFront], designs: Designs
) -> tuple[Violation, ...]:
    """Return the layers whose front is empty: under each design some expert fits no option.

    Parameters
    ----------
    problem, fronts
        The layers' fronts, all degrees looked at.
    designs
        Designs to choose from in each layer.
    """
    return tuple(
        _unfit(problem, layer, designs[layer])
        for layer, front in enumerate(fronts)
        if front.is_empty
    )


def no_common_degree() -> Violation:
    """Return that each layer fits some pipeline degree, but no degree fits all of them."""
    return Violation(
        constraint="C7",
        path="$.pipeline_degree",
        message="no pipeline degree of the model suits all layers; allow one for each layer",
        amount=1.0,
    )


def _unfit(problem: ServerlessProblem, layer: int, designs: Sequence[int]) -> Violation:
    """Return for each design the first expert that it has no option for, and the rule."""
    data = layer_data(problem, layer)
    largest, rules, parts, stuck_experts = largest_degree(data.tokens), [], [], 0
    for design in designs:
        stuck = ~layer_options(problem, data, design, largest).fits.any(axis=(1, 2))
        expert = int(np.argmax(stuck))
        rule = _barring(problem, layer, expert, design)
        rules.append(rule)
        stuck_experts = max(stuck_experts, int(stuck.sum()))
        parts.append(f"under design {design} expert {expert} {_BARS[rule]}")
    return Violation(
        constraint=rules[0] if len(set(rules)) == 1 else "C3",
        path=f"$.layers[{layer}]",
        message=(
            f"no design takes all experts: {', '.join(parts)}, with any memory and number of"
            " replicas; raise memory_mb or max_replicas, or allow another design"
        ),
        amount=float(stuck_experts),
    )


def _barring(problem: ServerlessProblem, layer: int, expert: int, design: int) -> str:
    """Return the rule that leaves an expert without options under a design."""
    function = problem.expert_of(layer)
    passed = (function.input_bytes_per_token, function.output_bytes_per_token)
    share = float(problem.tokens_of(layer)[:, expert].max()) / problem.max_replicas
    kept = float(problem.parameter_bytes_of(layer)[expert]) + function.intermediate_bytes
    if kept + share * sum(passed) > max(problem.memory_mb) * BYTES_PER_MB:
        return "C3"
    if design == 3 and share * max(passed) > problem.tensor_payload_bytes():
        return "C4"
    return "C5"
