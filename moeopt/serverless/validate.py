"""Checks of a stated serverless problem: what is malformed, and what no plan can satisfy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moeopt.core.arrays import FloatArray, require_finite_nonnegative, require_shape
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Violation

if TYPE_CHECKING:
    from moeopt.serverless.problem import ServerlessLayer, ServerlessProblem

#: Most options of a layer's experts, scenarios counted: a misprinted size must not fill the memory.
MAX_CELLS = 20_000_000


#: Most tokens of an expert that are told from one more.
MOST_TOKENS = 2.0**53


def validate(problem: ServerlessProblem) -> None:
    """Raise `InstanceError` for the first thing that is malformed or contradicts another."""
    if not problem.layers:
        raise InstanceError("$.layers", [], "must name a layer", "add the MoE layers, in order")
    _check_prices(problem)
    _check_choices(problem)
    for e, layer in enumerate(problem.layers):
        _check_layer(problem, layer, f"$.layers[{e}]")
    _check_weights(problem)
    _check_sizes(problem)
    _check_finite(problem)


def impossible(problem: ServerlessProblem) -> list[Violation]:
    """Return the constraints that no plan can satisfy, as far as counting alone shows."""
    return [
        violation
        for check in (_memory_impossible, _payload_impossible, _timeout_impossible)
        for violation in check(problem)
    ]


def _check_prices(problem: ServerlessProblem) -> None:
    try:
        billing, book = problem.billing, problem.book()
    except InstanceError as error:
        raise error.under("$.prices") from None
    prices = book.function_prices(problem.architecture)
    book.storage_prices(problem.storage)
    held = (prices.provisioned_held_usd_per_gb_s, prices.provisioned_running_usd_per_gb_s)
    if billing.provisioned_s is not None:
        if None in held:
            raise InstanceError(
                "$.billing.provisioned_s",
                billing.provisioned_s,
                f"must be left out: {book.name} has no price for it",
                "leave it out, or add the prices of provisioned concurrency to the book",
            )
        if billing.cold_share or problem.slo_start == "cold":
            path = "$.billing.cold_share" if billing.cold_share else "$.slo_start"
            raise InstanceError(
                path,
                billing.cold_share or problem.slo_start,
                "must be left out with provisioned_s: functions that are held start warm",
                "leave one of the two out",
            )
    limits = problem.limits()
    most_mb = limits.most_ephemeral_mb
    if most_mb is not None and billing.ephemeral_mb > most_mb:
        raise InstanceError(
            "$.billing.ephemeral_mb",
            billing.ephemeral_mb,
            f"must be at most {most_mb}, what the platform allows",
            "lower it",
        )
    if problem.payload_bytes is not None and problem.payload_bytes > limits.payload_bytes:
        raise InstanceError(
            "$.payload_bytes",
            problem.payload_bytes,
            f"must be at most {limits.payload_bytes}, the platform's largest request",
            "lower it, or state a price book of your own with other limits",
        )
    if billing.non_moe_memory_mb is not None:
        _check_memory(problem, billing.non_moe_memory_mb, "$.billing.non_moe_memory_mb")


def _check_choices(problem: ServerlessProblem) -> None:
    sizes, designs = problem.memory_mb, problem.designs
    if not sizes or list(sizes) != sorted(set(sizes)):
        raise InstanceError(
            "$.memory_mb",
            list(sizes),
            "must be sizes in growing order, each named once",
            "order them, and remove repetitions",
        )
    for j, size in enumerate(sizes):
        _check_memory(problem, size, f"$.memory_mb[{j}]")
    if not designs or len(set(designs)) < len(designs):
        raise InstanceError(
            "$.designs", list(designs), "must name designs, each once", "name some of 1, 2 and 3"
        )


def _check_memory(problem: ServerlessProblem, size_mb: int, path: str) -> None:
    limits = problem.limits()
    least, most, step = limits.least_memory_mb, limits.most_memory_mb, limits.memory_step_mb
    if not least <= size_mb <= most or (size_mb - least) % step:
        raise InstanceError(
            path,
            size_mb,
            f"must be {least} to {most} MB in steps of {step}, what the platform allows",
            "correct it",
        )


def _check_layer(problem: ServerlessProblem, layer: ServerlessLayer, path: str) -> None:
    tokens = layer.tokens
    if tokens is None:
        raise InstanceError(
            f"{path}.tokens",
            "<missing>",
            "must be given if there is no prediction",
            "state the tokens of each expert, or add a prediction",
        )
    if tokens.ndim not in (1, 2) or 0 in tokens.shape:
        raise InstanceError(
            f"{path}.tokens",
            f"<shape {tokens.shape}>",
            "must have shape (experts,) or (scenarios, experts), not 0",
            "give one number for each expert",
        )
    require_finite_nonnegative(tokens, f"{path}.tokens")
    if tokens.max() > MOST_TOKENS:
        raise InstanceError(
            f"{path}.tokens",
            float(tokens.max()),
            f"must be at most {MOST_TOKENS:g}: tokens beyond are no whole numbers any more",
            "rescale tokens and bytes per token",
        )
    rows, first = np.atleast_2d(tokens).shape[0], problem.layers[0].tokens
    if first is not None and rows != np.atleast_2d(first).shape[0]:
        raise InstanceError(
            f"{path}.tokens",
            f"<{rows} scenarios>",
            f"must have the {np.atleast_2d(first).shape[0]} scenarios of layer 0",
            "give every layer the same scenarios",
        )
    if layer.parameter_bytes is not None:
        require_shape(
            layer.parameter_bytes, f"{path}.parameter_bytes", tokens.shape[-1:], "experts"
        )
        require_finite_nonnegative(layer.parameter_bytes, f"{path}.parameter_bytes")
    _check_expert(problem, layer, path)


def _check_expert(problem: ServerlessProblem, layer: ServerlessLayer, path: str) -> None:
    from moeopt.serverless.problem import MemoryTable

    expert = layer.expert or problem.expert
    if expert is None:
        raise InstanceError(
            f"{path}.expert",
            "<missing>",
            "must be given if the problem has no expert",
            "add expert to the problem, or to the layer",
        )
    where = "$.expert" if layer.expert is None else f"{path}.expert"
    table = expert.compute
    if isinstance(table, MemoryTable) and len(table.seconds_per_token) != len(problem.memory_mb):
        raise InstanceError(
            f"{where}.compute.seconds_per_token",
            f"<{len(table.seconds_per_token)} entries>",
            f"must have one entry for each of the {len(problem.memory_mb)} sizes in memory_mb",
            "measure the others, or take their sizes out",
        )


def _check_weights(problem: ServerlessProblem) -> None:
    weights = problem.scenario_weights
    if weights is None:
        return
    path = "$.scenario_weights"
    require_shape(weights, path, (problem.num_scenarios,), "scenarios")
    require_finite_nonnegative(weights, path)
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    if not 0 < total < np.inf:
        raise InstanceError(
            path, f"<sum {total:g}>", "must have a finite sum > 0", "weigh a scenario"
        )


def _check_sizes(problem: ServerlessProblem) -> None:
    cells = problem.num_scenarios * problem.num_experts
    cells *= len(problem.memory_mb) * problem.max_replicas
    if cells > MAX_CELLS:
        raise InstanceError(
            "$.max_replicas",
            f"<{cells} cells>",
            f"must make at most {MAX_CELLS} cells of a layer, counted as scenarios x experts x"
            " memory sizes x replicas",
            "is a count misprinted?",
        )


def _check_finite(problem: ServerlessProblem) -> None:
    """Refuse layers whose time or bill would overflow, one token to a minibatch."""
    network, book = problem.network, problem.book()
    prices = book.storage_prices(problem.storage)
    slowest = min(network.storage_bytes_per_s, network.function_bytes_per_s)
    starts = network.warm_start_s + network.cold_start_s + problem.head_s + problem.tail_s
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        rate = problem.usd_per_s().max() + problem.waiting_usd_per_s() + 1.0
        for e, layer in enumerate(problem.layers):
            expert = problem.expert_of(e)
            tokens = float(problem.tokens_of(e).sum()) + problem.tokens_of(e).size
            both = expert.input_bytes_per_token + expert.output_bytes_per_token
            carried = float(problem.parameter_bytes_of(e).sum()) + layer.next_parameter_bytes
            carried += 2 * tokens * both
            seconds = carried / slowest + tokens * float(problem.seconds_per_token_of(e).max())
            seconds += starts + layer.non_moe_s + 4 * (tokens + 1) * network.access_delay_s
            fees = book.usd_per_request + 4 * (prices.usd_per_put + prices.usd_per_get)
            usd = tokens * fees + carried * (
                prices.usd_per_uploaded_gb + prices.usd_per_retrieved_gb
            )
            held = tokens * float(problem.held_usd().max())
            total += problem.max_replicas * (rate * seconds + usd + held)
            if not np.isfinite(total):
                raise InstanceError(
                    f"$.layers[{e}]",
                    f"<above {np.finfo(float).max:.3g}>",
                    "must take a finite time, at a finite cost",
                    "rescale its tokens, bytes, seconds or prices",
                )


def _memory_impossible(problem: ServerlessProblem) -> list[Violation]:
    """Look for the expert that misses most memory, with the most replicas there may be."""
    from moeopt.serverless.plan import BYTES_PER_MB

    most = problem.memory_mb[-1] * BYTES_PER_MB
    missing = []
    for e in range(problem.num_layers):
        expert = problem.expert_of(e)
        both = expert.input_bytes_per_token + expert.output_bytes_per_token
        share = problem.tokens_of(e).max(axis=0) / problem.max_replicas
        missing.append(
            problem.parameter_bytes_of(e) + expert.intermediate_bytes + share * both - most
        )
    return _most_missing(
        missing,
        1e-9 * most,
        "C3",
        "$.memory_mb",
        f"a replica of expert {{1}} of layer {{0}} needs {{2:.6g}} bytes more than"
        f" {problem.memory_mb[-1]} MB, however many share its tokens; allow more memory or"
        " replicas",
    )


def _payload_impossible(problem: ServerlessProblem) -> list[Violation]:
    if problem.designs != (3,):
        return []
    limit, missing = problem.tensor_payload_bytes(), []
    for e in range(problem.num_layers):
        expert = problem.expert_of(e)
        larger = max(expert.input_bytes_per_token, expert.output_bytes_per_token)
        share = problem.tokens_of(e).max(axis=0) / problem.max_replicas
        missing.append(share * larger - limit)
    return _most_missing(
        missing,
        1e-9 * limit,
        "C4",
        "$.designs",
        f"a call of expert {{1}} of layer {{0}} carries {{2:.6g}} bytes more than the {limit} of a"
        " payload, however many replicas share its tokens; allow design 1 or 2, or more replicas",
    )


def _timeout_impossible(problem: ServerlessProblem) -> list[Violation]:
    """Look for calls that take too long with most replicas and the fastest memory size."""
    network, limit, missing = problem.network, problem.limits().timeout_s, []
    for e in range(problem.num_layers):
        share = problem.tokens_of(e).max(axis=0) / problem.max_replicas
        loaded_s = problem.parameter_bytes_of(e) / network.storage_bytes_per_s
        working_s = share * float(problem.seconds_per_token_of(e).min())
        head_s = network.warm_start_s + network.access_delay_s + loaded_s
        missing.append(head_s + working_s - limit)
    return _most_missing(
        missing,
        1e-9 * limit,
        "C5",
        "$.max_replicas",
        f"a call of expert {{1}} of layer {{0}} takes {{2:.6g}} s more than the platform's"
        f" {limit:g}; allow more memory or replicas",
    )


def _most_missing(
    missing: list[FloatArray], slack: float, constraint: str, path: str, what: str
) -> list[Violation]:
    """Return one violation for the layer and expert that miss most, if any miss anything."""
    layer = int(np.argmax([row.max() for row in missing]))
    expert = int(np.argmax(missing[layer]))
    amount = float(missing[layer][expert])
    if amount <= slack:
        return []
    message = what.format(layer, expert, amount)
    return [Violation(constraint=constraint, path=path, message=message, amount=amount)]
