"""Strategies of the serverless wing: problems with every rule it knows, and plans for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import msgspec
import numpy as np
from hypothesis import strategies as st

from moeopt.core.arrays import FloatArray
from moeopt.describe.pricing import PriceBook, price_book
from moeopt.popularity.prediction import CountTable, Prediction, Rule
from moeopt.serverless.plan import ServerlessPlan, evaluate, layer_calls
from moeopt.serverless.problem import (
    Billing,
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)
from moeopt.testing.strategies._broken_serverless import broken_serverless

#: Optional parts of a problem. An example has a few of them; a failing one shrinks to those it
#: needs. Without any there are layers of equal experts, Lambda's bill and no promise.
SERVERLESS_FEATURES = (
    "bill",
    "book",
    "cold",
    "degree",
    "designs",
    "experts",
    "layers",
    "memory",
    "named",
    "non_moe",
    "payload",
    "prediction",
    "promise",
    "provisioned",
    "reals",
    "scenarios",
    "table",
    "timeout",
    "unequal",
)

#: Memory sizes that Lambda sells.
_SIZES_MB = (128, 256, 512, 1024, 1769, 3008)

#: Bytes per second of the network: a token's bytes then take up to a second.
_RATE = 1e6

_SECONDS = st.sampled_from([0.0, 1.0, 0.25]) | st.floats(0.0, 2.0)
_FACTOR = st.sampled_from([1.0, 0.5, 2.0, 0.1]) | st.floats(0.1, 10.0)

Fields = dict[str, Any]


def serverless_problems(
    *,
    max_layers: int = 2,
    max_experts: int = 3,
    features: Sequence[str] = SERVERLESS_FEATURES,
    feasible: bool | None = True,
    plain: bool = False,
) -> st.SearchStrategy[ServerlessProblem]:
    """Draw serverless problems, small by default.

    Parameters
    ----------
    max_layers, max_experts
        Most layers, and most experts of each.
    features
        Optional rules to draw from, of `SERVERLESS_FEATURES`.
    feasible
        ``True``: a plan exists, because memory, payload, longest call and promise are stated
        around one. ``False``: none exists, though counting alone may not show it. ``None``:
        either.
    plain
        Whether to draw nothing but loads, experts and network: short for no `features`.

    Examples
    --------
    >>> from moeopt.testing.strategies import serverless_problems
    >>> strategy = serverless_problems(max_layers=1, features=("designs", "promise"))
    """
    chosen = () if plain else tuple(features)
    stated = _stated(max(1, max_layers), max(1, max_experts), chosen)
    kept = stated.map(_problem)
    if feasible is True:
        return kept
    contradictory = stated.flatmap(broken_serverless).map(_problem)
    return contradictory if feasible is False else kept | contradictory


@st.composite
def serverless_plans(draw: st.DrawFn, problem: ServerlessProblem) -> ServerlessPlan:
    """Draw a plan of the right shape and range; it need not keep the problem's rules.

    Parameters
    ----------
    problem
        The problem that the plan is for.
    """
    layers, shape = problem.num_layers, (problem.num_layers, problem.num_experts)
    design = np.array(
        draw(st.lists(st.sampled_from(problem.designs), min_size=layers, max_size=layers))
    )
    most = math.ceil(max(problem.tokens_of(e).max() for e in range(layers)))
    degree = np.where(design == 1, draw(st.integers(1, max(1, most))), 0)
    memory, replicas = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for e, experts in enumerate(problem.experts().tolist()):
        sizes = st.lists(st.sampled_from(problem.memory_mb), min_size=experts, max_size=experts)
        counts = st.lists(st.integers(1, problem.max_replicas), min_size=experts, max_size=experts)
        memory[e, :experts], replicas[e, :experts] = draw(sizes), draw(counts)
    return ServerlessPlan(
        design=design, pipeline_degree=degree, memory_mb=memory, replicas=replicas
    )


def _problem(fields: Fields) -> ServerlessProblem:
    return ServerlessProblem(**fields)


@st.composite
def _stated(draw: st.DrawFn, max_layers: int, max_experts: int, known: tuple[str, ...]) -> Fields:
    """Draw the fields of a problem, its limits stated around a plan that keeps them."""
    features = draw(st.sets(st.sampled_from(known), max_size=6)) if known else set()
    sizes = draw(st.lists(st.sampled_from(_SIZES_MB), min_size=1, max_size=3, unique=True))
    layers = draw(st.integers(1, max_layers)) if features & {"layers", "unequal"} else 1
    experts = draw(st.integers(1, max_experts))
    scenarios = draw(st.integers(1, 3)) if "scenarios" in features else 0
    fields: Fields = {
        "layers": tuple(
            draw(_layer(_count(draw, features, experts), scenarios, features, len(sizes)))
            for _ in range(layers)
        ),
        "expert": draw(_expert(features, len(sizes))),
        "network": draw(_network(features)),
        "memory_mb": tuple(sorted(sizes)),
        "max_replicas": draw(st.integers(1, 3)),
        "billing": draw(_billing(features)),
    }
    if "designs" in features:
        fields["designs"] = draw(
            st.sampled_from([(1, 2), (2, 3), (1, 3), (1,), (2,), (3,), (3, 1, 2)])
        )
    if "degree" in features:
        fields["pipeline_degree"] = "model"
    if "cold" in features and "provisioned" not in features:
        fields["slo_start"] = draw(st.sampled_from(["cold", "warm"]))
    if "non_moe" in features:
        fields["head_s"], fields["tail_s"] = draw(_SECONDS), draw(_SECONDS)
    if "book" in features:
        draw(_with_prices(fields))
    if scenarios and draw(st.booleans()):
        weights = draw(st.lists(st.integers(0, 3), min_size=scenarios, max_size=scenarios))
        fields["scenario_weights"] = np.array(weights, dtype=np.float64) + (sum(weights) == 0)
    if "prediction" in features and not scenarios and "unequal" not in features:
        draw(_with_prediction(fields))
    draw(_with_limits(fields, features))
    if "named" in features:
        fields["name"] = draw(st.text("abc-0", max_size=5))
        fields["source"] = draw(st.text("abc é", max_size=5))
        fields["generator"] = {"name": "drawn", "seed": draw(st.integers(0, 9)), "size": 0.5}
    return fields


def _count(draw: st.DrawFn, features: set[str], experts: int) -> int:
    return draw(st.integers(1, experts)) if "unequal" in features else experts


@st.composite
def _layer(
    draw: st.DrawFn, experts: int, scenarios: int, features: set[str], sizes: int
) -> ServerlessLayer:
    shape = (scenarios, experts) if scenarios else (experts,)
    stated: Fields = {"tokens": draw(_tokens(shape, features))}
    if "non_moe" in features:
        stated["non_moe_s"] = draw(_SECONDS)
        stated["next_parameter_bytes"] = round(_RATE * draw(_SECONDS))
    if "experts" in features:
        if draw(st.booleans()):
            stated["expert"] = draw(_expert(features, sizes))
        if draw(st.booleans()):
            size = st.integers(0, 3_000_000)
            own = draw(st.lists(size, min_size=experts, max_size=experts))
            stated["parameter_bytes"] = np.array(own, dtype=np.int64)
    if "named" in features:
        stated["name"] = draw(st.text("abc", max_size=3))
    return ServerlessLayer(**stated)


@st.composite
def _tokens(draw: st.DrawFn, shape: tuple[int, ...], features: set[str]) -> FloatArray:
    """Draw few tokens: every degree up to their number is tried by brute force."""
    size = math.prod(shape)
    most = draw(st.sampled_from([8, 1, 12]))
    cells = draw(st.lists(st.integers(0, most), min_size=size, max_size=size))
    drawn = np.array(cells, dtype=np.float64).reshape(shape)
    if "reals" in features:
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        drawn = drawn * rng.random(shape)
    return drawn


@st.composite
def _expert(draw: st.DrawFn, features: set[str], sizes: int) -> ExpertFunction:
    seconds = 0.2 * draw(_FACTOR)
    compute: VcpuModel | MemoryTable
    if "table" in features:
        faster = draw(st.lists(st.floats(0.3, 1.0), min_size=sizes, max_size=sizes))
        compute = MemoryTable(seconds_per_token=tuple(seconds * f for f in faster))
    else:
        most = draw(st.sampled_from([1.0, 6.0, 0.5]))
        compute = VcpuModel(seconds_per_token=seconds, most_vcpus=most)
    return ExpertFunction(
        parameter_bytes=draw(st.sampled_from([0, 1_000_000]) | st.integers(0, 3_000_000)),
        intermediate_bytes=draw(st.sampled_from([0, 1000])),
        input_bytes_per_token=_RATE * draw(st.sampled_from([0.0625, 0.25, 0.0])),
        output_bytes_per_token=_RATE * draw(st.sampled_from([0.0625, 0.25, 0.0])),
        compute=compute,
    )


@st.composite
def _network(draw: st.DrawFn, features: set[str]) -> Network:
    return Network(
        storage_bytes_per_s=_RATE * draw(_FACTOR),
        function_bytes_per_s=_RATE * draw(_FACTOR),
        access_delay_s=draw(_SECONDS),
        warm_start_s=draw(_SECONDS),
        cold_start_s=draw(_SECONDS) if "cold" in features else 0.0,
    )


@st.composite
def _billing(draw: st.DrawFn, features: set[str]) -> Billing:
    stated: Fields = {}
    if "bill" in features:
        for name in ("requests", "storage", "cold_starts", "waiting", "rounding"):
            stated[name] = draw(st.booleans())
        stated["used_gb_s"] = draw(st.sampled_from([0.0, 1e10, 1e11]))
        stated["ephemeral_mb"] = draw(st.sampled_from([512, 10_240]))
    if "provisioned" in features:
        stated["provisioned_s"] = draw(st.sampled_from([300.0, 0.0, 1.5]))
    elif "cold" in features:
        stated["cold_share"] = draw(st.sampled_from([0.0, 0.25, 1.0]))
    if "non_moe" in features and draw(st.booleans()):
        stated["non_moe_memory_mb"] = draw(st.sampled_from(_SIZES_MB))
    return Billing(**stated)


@st.composite
def _with_prices(draw: st.DrawFn, fields: Fields) -> None:
    """Choose other prices of Lambda's, or make storage dear and billing coarse."""
    fields["architecture"] = draw(st.sampled_from(["x86", "arm64"]))
    fields["storage"] = draw(st.sampled_from(["s3-standard", "s3-express"]))
    if draw(st.booleans()):
        book = price_book("aws-lambda")
        fields["prices"] = msgspec.structs.replace(
            book,
            name="drawn",
            usd_per_request=draw(st.sampled_from([0.0, 2e-5])),
            billing_step_s=draw(st.sampled_from([0.0, 0.1, 1.0])),
            init_is_billed=draw(st.booleans()),
        )


@st.composite
def _with_prediction(draw: st.DrawFn, fields: Fields) -> None:
    """Leave the tokens of some layers to a prediction."""
    layers = fields["layers"]
    experts = len(layers[0].tokens)
    rows = [
        (layer, token, 0, expert)
        for layer in range(len(layers))
        for token in range(2)
        for expert in range(experts)
    ]
    column = np.array(rows, dtype=np.int64).T
    counts = draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows)))
    ids = draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
    fields["prediction"] = Prediction(
        table=CountTable(
            layer=column[0],
            token=column[1],
            attention=column[2],
            expert=column[3],
            count=np.array(counts, dtype=np.float64),
            experts=(experts,) * len(layers),
        ),
        token_ids=np.array(ids, dtype=np.int64),
        rule=draw(st.sampled_from(get_args(Rule))),
    )
    fields["layers"] = tuple(
        msgspec.structs.replace(layer, tokens=None) if draw(st.booleans()) else layer
        for layer in layers
    )


@st.composite
def _with_limits(draw: st.DrawFn, fields: Fields, features: set[str]) -> None:
    """State memory, payload, longest call and promise that a drawn plan keeps."""
    problem = ServerlessProblem(**fields)
    plan = draw(serverless_plans(problem))
    layers = layer_calls(problem, plan)
    spare = draw(st.sampled_from([1.0, 1.05, 1.5]))
    # Where nothing is said, Lambda's payload holds: tokens are few.
    if "memory" in features:
        left = min(float((calls.memory_bytes - calls.needed_bytes).min()) for calls in layers)
        fields["expert"] = _fuller(fields["expert"], left / spare)
        fields["layers"] = tuple(
            layer
            if layer.expert is None
            else msgspec.structs.replace(layer, expert=_fuller(layer.expert, left / spare))
            for layer in fields["layers"]
        )
    if "payload" in features:
        direct = [
            float(calls.message_bytes.max())
            for calls, design in zip(layers, plan.design.tolist(), strict=True)
            if design == 3
        ]
        fields["payload_bytes"] = max(1, math.ceil(spare * max(direct, default=1.0)))
    if "timeout" in features:
        longest = max(float(calls.billed_s.max()) for calls in layers)
        fields["prices"] = with_timeout(problem.book(), max(longest * spare, 1e-3))
    if "promise" in features:
        fields["slo_s"] = max(evaluate(problem, plan).latency_s * spare, 1e-3)


def _fuller(expert: ExpertFunction, more_bytes: float) -> ExpertFunction:
    return msgspec.structs.replace(
        expert, intermediate_bytes=expert.intermediate_bytes + max(0, math.floor(more_bytes))
    )


def with_timeout(book: PriceBook, timeout_s: float) -> PriceBook:
    """Return a book whose platform lets calls take this long."""
    limits = msgspec.structs.replace(book.limits, timeout_s=timeout_s)
    return msgspec.structs.replace(book, limits=limits)
