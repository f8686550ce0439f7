"""Instances made by a call: the models of arXiv 2501.05313, larger ones, and small random ones.

Each function of `GENERATORS` returns a problem whose ``generator`` field is the call that made it,
so that `remake` can make it again.

The constants are those of `moeopt.serverless.calibration`, which says where they come from. How
popular experts are is not published either: here they are ``1 / rank``, in an order of each layer's
own, or another of `LOADS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.generators import known, made_again
from moeopt.serverless.calibration import (
    MEMORY_MB,
    MODELS,
    NUMBER_BYTES,
    REPLICAS,
    TOKENS,
    Calibration,
    Model,
    calibrated,
)
from moeopt.serverless.options import layer_data, layer_options
from moeopt.serverless.problem import (
    Billing,
    Design,
    ServerlessLayer,
    ServerlessProblem,
    paper_costs,
)

#: Popularity of experts is ``1 / rank**exponent``.
LOADS: Mapping[str, float] = {"zipf": 1.0, "uniform": 0.0, "steep": 2.0}

#: What is billed, by name.
BILLS: Mapping[str, Callable[[], Billing]] = {"all": Billing, "paper": paper_costs}

#: Sets of designs in `small`: all of them, or some.
_DESIGNS: tuple[tuple[Design, ...], ...] = ((1, 2, 3), (1, 2), (2, 3), (1, 3), (2,), (3,))

Call = dict[str, str | int | float]


def deployed(
    model: str = "gpt2-moe",
    load: str = "zipf",
    tokens: int = TOKENS,
    top_k: int = 1,
    tokens_per_s: float = 0.0,
    scenarios: int = 1,
    bill: str = "all",
    seed: int = 0,
    **constants: float,
) -> ServerlessProblem:
    """Return a model whose experts are to be deployed as functions.

    Parameters
    ----------
    model
        One of `moeopt.serverless.calibration.MODELS`.
    load
        ``"zipf"``, ``"uniform"`` or ``"steep"``, as for `routed`.
    tokens
        Of a batch.
    top_k
        Experts of a token.
    tokens_per_s
        The promise, as the paper states its own: a batch in ``tokens / tokens_per_s`` seconds. 0
        for none.
    scenarios
        Batches, drawn alike, all of which a plan must serve.
    bill
        ``"all"`` that a platform bills, or what the ``"paper"`` does.
    seed
        Of the draw.
    constants
        Fields of `moeopt.serverless.calibration.Calibration` that are to be others.
    """
    shape, billing = known(MODELS, model, "model"), known(BILLS, bill, "bill")()
    _within("top_k", top_k, 1, shape.experts)
    _within("scenarios", scenarios, 1, 100)
    calibration = calibrated(**constants)
    rng = np.random.default_rng([shape.layers, shape.experts, seed])
    loads = [
        routed(rng, shape.experts, load, tokens, top_k, scenarios) for _ in range(shape.layers)
    ]
    call: Call = {
        "model": model,
        "load": load,
        "tokens": tokens,
        "top_k": top_k,
        "tokens_per_s": tokens_per_s,
        "scenarios": scenarios,
        "bill": bill,
        "seed": seed,
        **constants,
    }
    start_s = calibration.start_s(shape.head_bytes + shape.attention_bytes)
    return ServerlessProblem(
        name=_name(call),
        source=f"{model} after arXiv:2501.05313, popularity {load}, constants calibrated",
        generator={"name": "deployed", **call},
        layers=_layers(shape, calibration, loads, tokens),
        expert=calibration.expert(shape.width, shape.hidden, shape.matrices),
        network=calibration.network(),
        memory_mb=MEMORY_MB,
        max_replicas=REPLICAS,
        slo_s=tokens / tokens_per_s if tokens_per_s else None,
        head_s=start_s,
        tail_s=calibration.non_moe_s(tokens * shape.head_flops),
        billing=billing,
    )


def stand(
    layers: int = 2, experts: int = 4, tokens: int = 80, slo_s: float = 0.15
) -> ServerlessProblem:
    """Return a model that a stand-in for a platform on one machine runs in a second or two.

    Its constants are those of such a stand with local storage: a few milliseconds for each access
    and each start. Even layers have experts of popularity ``1 / rank**2``, the most popular first,
    odd ones have equal experts. A call carries as many tokens as each of these has.

    Parameters
    ----------
    layers, experts, tokens
        Of the model.
    slo_s
        The promise, from end to end.
    """
    calibration = calibrated(
        storage_bytes_per_s=100e6,
        access_delay_s=0.005,
        function_bytes_per_s=30e6,
        warm_start_s=0.002,
        cold_start_s=0.2,
        runtime_bytes=64 * 2**20,
    )
    width, hidden = 256, 1024
    loads = [_dealt(tokens, experts, "uniform" if e % 2 else "steep") for e in range(layers)]
    return ServerlessProblem(
        name=f"tiny-{layers}x{experts}",
        source="made to be run on one machine: small experts, few tokens",
        generator={
            "name": "stand",
            "layers": layers,
            "experts": experts,
            "tokens": tokens,
            "slo_s": slo_s,
        },
        layers=tuple(ServerlessLayer(tokens=load) for load in loads),
        expert=calibration.expert(width, hidden),
        network=calibration.network(),
        memory_mb=(128, 256, 384, 512),
        max_replicas=2,
        slo_s=slo_s,
        payload_bytes=math.ceil(tokens / experts) * width * NUMBER_BYTES,
    )


def small(layers: int = 2, experts: int = 3, seed: int = 0) -> ServerlessProblem:
    """Return a small problem with a plan, all of it drawn: constants, loads, rules and promise.

    Parameters
    ----------
    layers, experts
        Of the model.
    seed
        Of the draw.
    """
    _within("layers", layers, 1, 100)
    _within("experts", experts, 1, 1000)
    rng = np.random.default_rng([layers, experts, seed])
    base = Calibration()
    calibration = calibrated(
        storage_bytes_per_s=base.storage_bytes_per_s * _factor(rng),
        function_bytes_per_s=base.function_bytes_per_s * _factor(rng),
        access_delay_s=base.access_delay_s * float(rng.choice([0.0, 0.1, 1.0])),
        warm_start_s=base.warm_start_s * _factor(rng),
        flops_per_s=base.flops_per_s * _factor(rng),
        most_vcpus=float(rng.choice([1.0, 6.0])),
    )
    sizes = rng.choice(MEMORY_MB[1:], size=int(rng.integers(2, 5)), replace=False)
    count, scenarios = int(rng.choice([100, 1000, 4000])), int(rng.integers(1, 3))
    stated = [
        ServerlessLayer(
            tokens=rng.integers(0, count, (scenarios, experts)).astype(np.float64),
            non_moe_s=float(rng.random()),
            next_parameter_bytes=int(rng.integers(0, 10**8)),
        )
        for _ in range(layers)
    ]
    designs = _DESIGNS[int(rng.integers(len(_DESIGNS)))] if count == 100 else (1, 2, 3)
    problem = ServerlessProblem(
        name=f"small-{layers}x{experts}-{seed}",
        source="small, all of it drawn",
        generator={"name": "small", "layers": layers, "experts": experts, "seed": seed},
        layers=tuple(stated),
        expert=calibration.expert(int(rng.choice([256, 768])), 3072),
        network=calibration.network(),
        memory_mb=tuple(sorted(int(size) for size in sizes)),
        max_replicas=int(rng.integers(1, 5)),
        designs=designs,
        pipeline_degree="layer" if rng.random() < 0.5 else "model",
        head_s=float(rng.random()),
        tail_s=float(rng.random()),
        billing=_drawn_bill(rng),
    )
    if rng.random() < 0.2:
        return problem
    # From nearly the shortest latency to that of the cheapest plan: the promise binds.
    fastest_s, cheapest_s = latency_span(problem)
    slo_s = fastest_s + rng.uniform(0.02, 1.0) * (cheapest_s - fastest_s)
    # Where the two are the same, rounding may not decide.
    return msgspec.structs.replace(problem, slo_s=slo_s * (1 + 1e-6))


#: Every generator by the name that a problem's ``generator`` field carries.
GENERATORS: Mapping[str, Callable[..., ServerlessProblem]] = {
    "deployed": deployed,
    "small": small,
    "stand": stand,
}


def remake(call: Mapping[str, str | int | float]) -> ServerlessProblem:
    """Make a problem again from its ``generator`` field.

    Raises
    ------
    InstanceError
        If the call names no generator, or parameters that it does not have.
    """
    return made_again(GENERATORS, call)


def routed(
    rng: np.random.Generator,
    experts: int,
    load: str = "zipf",
    tokens: int = TOKENS,
    top_k: int = 1,
    scenarios: int = 1,
) -> FloatArray:
    """Return the tokens of each expert of a layer in drawn batches, ``(scenarios, experts)``.

    Every token goes to `top_k` different experts, drawn by their popularity.

    Parameters
    ----------
    rng
        Draws the order of popularity, and the tokens.
    experts
        Of the layer.
    load
        ``"zipf"``: popularity is ``1 / rank``. ``"uniform"``: all are alike. ``"steep"``: it is
        ``1 / rank**2``.
    tokens, top_k, scenarios
        As for `deployed`.
    """
    popularity = rng.permutation(_popularity(experts, load))
    if top_k == 1:
        return rng.multinomial(tokens, popularity, scenarios).astype(np.float64)
    counts = np.empty((scenarios, experts))
    for counted in counts:
        # The experts whose exponential clocks ring first are a draw without replacement.
        rings = rng.standard_exponential((tokens, experts), dtype=np.float32)
        first = np.argpartition(rings / popularity.astype(np.float32), top_k - 1, axis=1)
        counted[:] = np.bincount(first[:, :top_k].ravel(), minlength=experts)
    return counts


def latency_span(problem: ServerlessProblem) -> tuple[float, float]:
    """Return latencies between which a promise binds: the shortest, and the cheapest plan's.

    Of plans without pipelining, which none of them needs.
    """
    shortest_s = cheapest_s = problem.head_s + problem.tail_s
    for e, layer in enumerate(problem.layers):
        found = [_layer_span(problem, e, design) for design in {2, 3} & set(problem.designs)]
        if 1 in problem.designs:
            # One minibatch: what design 2 is.
            found.append(_layer_span(problem, e, 2))
        shortest_s += layer.non_moe_s + min(fastest for fastest, _, _ in found)
        cheapest_s += layer.non_moe_s + min((usd, s) for _, usd, s in found)[1]
    return shortest_s, cheapest_s


def _layer_span(problem: ServerlessProblem, layer: int, design: int) -> tuple[float, float, float]:
    """Return a layer's shortest latency, its least cost and the latency with that."""
    options = layer_options(problem, layer_data(problem, layer), design)
    experts = len(options.fits)
    usd = np.where(options.fits, options.cost_usd, math.inf).reshape(experts, -1)
    late = np.where(options.fits, options.latency_s, math.inf).reshape(experts, -1)
    cheapest = usd.argmin(axis=1)
    rows = np.arange(experts)
    return (
        float(late.min(axis=1).max()),
        float(usd[rows, cheapest].sum()),
        float(late[rows, cheapest].max()),
    )


def _layers(
    shape: Model, calibration: Calibration, loads: list[FloatArray], tokens: int
) -> tuple[ServerlessLayer, ...]:
    """Return the MoE layers: after the last one comes the head, after others attention."""
    after = [shape.attention_bytes] * (shape.layers - 1) + [shape.head_bytes]
    return tuple(
        ServerlessLayer(
            tokens=load[0] if len(load) == 1 else load,
            non_moe_s=calibration.non_moe_s(tokens * shape.attention_flops),
            next_parameter_bytes=size,
        )
        for load, size in zip(loads, after, strict=True)
    )


def _name(call: Call) -> str:
    """Return the model, and what of the call is not as it usually is."""
    parts = [str(call["model"])]
    usual = {"tokens": TOKENS, "top_k": 1, "scenarios": 1, "seed": 0}
    for name, value in usual.items():
        if call[name] != value:
            parts.append(f"{name.replace('_', '-')}-{call[name]}")
    parts += [str(call[name]) for name, value in _USUAL_WORDS.items() if call[name] != value]
    return "-".join(parts)


_USUAL_WORDS = {"load": "zipf", "bill": "all"}


def _popularity(experts: int, load: str) -> FloatArray:
    weight = np.arange(1.0, experts + 1) ** -known(LOADS, load, "load")
    popularity: FloatArray = weight / weight.sum()
    return popularity


def _dealt(tokens: int, experts: int, load: str) -> FloatArray:
    """Return tokens by popularity, in whole numbers."""
    ends = np.round(tokens * np.cumsum(_popularity(experts, load)))
    return np.diff(ends, prepend=0.0)


def _drawn_bill(rng: np.random.Generator) -> Billing:
    stated: dict[str, Any] = {
        name: bool(rng.random() < 0.5)
        for name in ("requests", "storage", "cold_starts", "waiting", "rounding")
    }
    if rng.random() < 0.3:
        stated["non_moe_memory_mb"] = 3008
    return Billing(**stated, cold_share=float(rng.choice([0.0, 0.1])))


def _factor(rng: np.random.Generator) -> float:
    """Return a factor from a quarter to four."""
    return float(4.0 ** rng.uniform(-1.0, 1.0))


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InstanceError(f"$.{name}", value, f"must be {least} to {most}", "correct it")
