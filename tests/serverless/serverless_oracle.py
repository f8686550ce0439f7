"""Brute force over every deployment of a tiny problem: the oracle.

It knows the wing only through `violations` and `evaluate`, and tries every pipeline degree.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from moeopt.describe.pricing import (
    DurationTier,
    FunctionPrices,
    PlatformLimits,
    PriceBook,
    StoragePrices,
)
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import (
    DESIGNS,
    Billing,
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    paper_costs,
)

#: Most deployments that are looked at.
MOST_PLANS = 20_000

MB = 2**20

#: A second of computation for each token, whatever the one memory size.
ONE_SIZE = MemoryTable(seconds_per_token=(1.0,))


@dataclass(frozen=True)
class Best:
    """The least bill over all deployments, and one that has it."""

    objective: float
    plan: ServerlessPlan


def whole_prices(**limits: Any) -> PriceBook:
    """Return prices in whole dollars for a second, a call and a request to storage.

    A GB-second is a dollar, and a call takes at most as long as `limits` say.
    """
    most: dict[str, Any] = {"mb_per_vcpu": 1024.0, "payload_bytes": 2**30, "timeout_s": 1e6}
    return PriceBook(
        name="whole prices",
        functions={
            "x86": FunctionPrices(
                duration=(DurationTier(usd_per_gb_s=1.0),),
                provisioned_held_usd_per_gb_s=0.25,
                provisioned_running_usd_per_gb_s=0.5,
            )
        },
        usd_per_request=0.125,
        billing_step_s=0.25,
        storage={"s3-standard": StoragePrices(usd_per_put=0.0625, usd_per_get=0.03125)},
        limits=PlatformLimits(**{**most, **limits}),
    )


def layer(tokens: Any, *, next_mb: int = 0, **fields: Any) -> ServerlessLayer:
    """Return a layer of tokens, ``(experts,)`` or ``(scenarios, experts)``."""
    return ServerlessLayer(
        tokens=np.array(tokens, dtype=float), next_parameter_bytes=next_mb * MB, **fields
    )


def simple(
    *,
    parameter_mb: int = 8,
    intermediate_mb: int = 0,
    input_mb: float = 1.0,
    output_mb: float = 1.0,
    compute: MemoryTable = ONE_SIZE,
    **fields: Any,
) -> ServerlessProblem:
    """Return a problem in round figures, billed as in the paper unless `fields` say otherwise.

    One memory size of a GB, which computes a token in a second, and a dollar for it each second.
    """
    stated: dict[str, Any] = {
        "expert": ExpertFunction(
            parameter_bytes=parameter_mb * MB,
            intermediate_bytes=intermediate_mb * MB,
            input_bytes_per_token=input_mb * MB,
            output_bytes_per_token=output_mb * MB,
            compute=compute,
        ),
        "network": Network(storage_bytes_per_s=8.0 * MB, function_bytes_per_s=8.0 * MB),
        "memory_mb": (1024,),
        "prices": whole_prices(),
        "billing": paper_costs(),
    }
    weights = fields.pop("scenario_weights", None)
    if weights is not None:
        fields["scenario_weights"] = np.array(weights)
    return ServerlessProblem(**{**stated, **fields})


def drawn(seed: int, experts: Any, *, scenarios: int = 1, **fields: Any) -> ServerlessProblem:
    """Return a problem with small whole numbers drawn from a seed.

    Parameters
    ----------
    seed
        Of the draw.
    experts
        Of each layer.
    scenarios
        Of the tokens.
    fields
        Of the problem, in place of what is drawn.
    """
    rng = np.random.default_rng(seed)
    layers = tuple(
        layer(
            rng.integers(0, 7, (scenarios, count)),
            parameter_bytes=rng.integers(20, 90, count) * MB,
            non_moe_s=float(rng.integers(0, 3)),
            next_mb=int(rng.integers(0, 100)),
        )
        for count in experts
    )
    slower, faster = sorted(rng.uniform(0.2, 3.0, 2), reverse=True)
    stated: dict[str, Any] = {
        "layers": layers,
        "expert": ExpertFunction(
            parameter_bytes=MB,
            intermediate_bytes=int(rng.integers(0, 20)) * MB,
            input_bytes_per_token=float(rng.integers(1, 20)) * MB,
            output_bytes_per_token=float(rng.integers(1, 20)) * MB,
            compute=MemoryTable(seconds_per_token=(slower, faster)),
        ),
        "network": Network(
            storage_bytes_per_s=float(rng.choice([8, 16, 64])) * MB,
            function_bytes_per_s=float(rng.choice([8, 16, 64])) * MB,
            access_delay_s=float(rng.choice([0.0, 0.125, 1.0])),
            warm_start_s=float(rng.choice([0.0, 0.5])),
            cold_start_s=float(rng.choice([1.0, 2.0])),
        ),
        "memory_mb": (160, 320),
        "max_replicas": 2,
        "payload_bytes": int(rng.integers(20, 90)) * MB,
        "prices": whole_prices(),
        "billing": paper_costs() if seed % 3 == 0 else Billing(cold_share=0.25 * (seed % 2)),
    }
    return ServerlessProblem(**{**stated, **fields})


def brute_force(problem: ServerlessProblem, ignore: tuple[str, ...] = ()) -> Best | None:
    """Return the cheapest deployment, or ``None`` if there is none.

    Parameters
    ----------
    problem
        Two layers of two experts with two memory sizes and few tokens, for example.
    ignore
        Labels out of C3 to C8 that need not hold.

    Raises
    ------
    ValueError
        If there are more than `MOST_PLANS` deployments to look at.
    """
    # Of a plan that breaks these two nothing else is checked: state a problem without them.
    if "C8" in ignore:
        problem = msgspec.structs.replace(problem, designs=DESIGNS)
    if "C7" in ignore:
        problem = msgspec.structs.replace(problem, pipeline_degree="layer")
    ignore = tuple(label for label in ignore if label not in ("C7", "C8"))
    choices = [list(_choices(problem, layer)) for layer in range(problem.num_layers)]
    if math.prod(map(len, choices)) > MOST_PLANS:
        raise ValueError("too large for brute force")
    best: Best | None = None
    for rows in itertools.product(*choices):
        plan = ServerlessPlan(
            design=np.array([row[0] for row in rows]),
            pipeline_degree=np.array([row[1] for row in rows]),
            memory_mb=np.array([row[2] for row in rows]),
            replicas=np.array([row[3] for row in rows]),
        )
        if any(found.constraint not in ignore for found in violations(problem, plan)):
            continue
        objective = evaluate(problem, plan).objective
        if best is None or objective < best.objective:
            best = Best(objective, plan)
    return best


def _choices(
    problem: ServerlessProblem, layer: int
) -> Iterator[tuple[int, int, tuple[int, ...], tuple[int, ...]]]:
    """Yield every design, degree, memory and replicas of a layer."""
    experts = int(problem.experts()[layer])
    none = (0,) * (problem.num_experts - experts)
    model = problem.pipeline_degree == "model"
    layers = range(problem.num_layers) if model else [layer]
    most = max(1, math.ceil(max(problem.tokens_of(e).max() for e in layers)))
    modes = [(design, 0) for design in problem.designs if design != 1]
    if 1 in problem.designs:
        modes += [(1, degree) for degree in range(1, most + 1)]
    sizes = list(itertools.product(problem.memory_mb, repeat=experts))
    counts = list(itertools.product(range(1, problem.max_replicas + 1), repeat=experts))
    for (design, degree), size, count in itertools.product(modes, sizes, counts):
        yield design, degree, (*size, *none), (*count, *none)
