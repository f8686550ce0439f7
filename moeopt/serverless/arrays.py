"""Serverless deployment for other systems: plain arrays and numbers in, plain arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, own_array
from moeopt.core.errors import InstanceError, MoeoptError
from moeopt.core.progress import Progress
from moeopt.core.result import Result, relative_gap
from moeopt.core.sentences import require_fields
from moeopt.core.solve import solve
from moeopt.serverless.plan import ServerlessPlan, evaluate
from moeopt.serverless.problem import (
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

_EXPERT = tuple(name for name in ExpertFunction.__struct_fields__ if name != "compute")
_COMPUTE = ("seconds_per_token", "most_vcpus")
_LAYER = ("non_moe_s", "next_parameter_bytes")
_STATED = ("layers", "expert", "network", "prediction")


class NoDeploymentError(MoeoptError, ValueError):
    """No deployment keeps the promise, or none was found; the message names the rule."""


@dataclass(frozen=True)
class Deployment:
    """What to rent, as arrays.

    Attributes
    ----------
    design, pipeline_degree
        Communication design of each layer, and its largest minibatch where it is 1, ``(layers,)``.
    memory_mb, replicas
        Of each expert, ``(layers, experts)``, 0 beyond a layer's own.
    layer_usd, layer_s
        What each MoE layer costs and takes, ``(layers,)``.
    latency_s
        From end to end.
    objective, bound
        US dollars of a batch, and a proven lower bound, or ``None``.
    plan
        The whole plan.
    result
        The whole `Result`.
    """

    design: IntArray
    pipeline_degree: IntArray
    memory_mb: IntArray
    replicas: IntArray
    layer_usd: FloatArray
    layer_s: FloatArray
    latency_s: float
    objective: float
    bound: float | None
    plan: ServerlessPlan
    result: Result[ServerlessPlan]

    @property
    def gap(self) -> float | None:
        """Relative distance to the bound, ``None`` without one."""
        return relative_gap(self.objective, self.bound)


def deploy(
    tokens: Any,
    *,
    method: str = "auto",
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    warm_start: ServerlessPlan | None = None,
    progress: Progress | None = None,
    **rules: Any,
) -> Deployment:
    """Choose memory, replicas and communication of experts that run as functions.

    Parameters
    ----------
    tokens
        Tokens of each expert of each layer, ``(layers, experts)``; or a list with an array for
        each layer, ``(experts,)`` or ``(scenarios, experts)``.
    method, time_limit_s, gap, seed, workers, warm_start, progress
        As for `moeopt.solve`.
    **rules
        What the experts are, by the fields of `ExpertFunction`, with ``seconds_per_token`` (on
        one virtual CPU, or a list with one for each memory size) and ``most_vcpus``; how fast
        functions start and talk, by the fields of `Network`; ``non_moe_s`` and
        ``next_parameter_bytes``, one number or a list with one for each layer; and any further
        field of `ServerlessProblem`: ``memory_mb``, ``max_replicas``, ``slo_s``, …

    Returns
    -------
    Deployment

    Raises
    ------
    InstanceError
        If something is malformed.
    NoDeploymentError
        If there is no deployment, or none was found in time.

    Examples
    --------
    >>> from moeopt.serverless import deploy
    >>> found = deploy(
    ...     [[900, 80, 20], [300, 400, 300]],
    ...     parameter_bytes=19_000_000, input_bytes_per_token=3072, output_bytes_per_token=3072,
    ...     seconds_per_token=1e-3, storage_bytes_per_s=65e6, function_bytes_per_s=65e6,
    ...     access_delay_s=0.08, memory_mb=(512, 1024, 1792), max_replicas=4, slo_s=3.0,
    ... )
    >>> found.design.tolist(), found.memory_mb.tolist()
    ([3, 3], [[1792, 512, 512], [512, 1024, 512]])
    >>> found.result.status.value
    'optimal'
    """
    problem = _problem(tokens, rules)
    result = solve(
        problem, method, time_limit_s=time_limit_s, gap=gap, seed=seed, workers=workers,
        warm_start=warm_start, progress=progress,
    )  # fmt: skip
    plan: ServerlessPlan | None = result.plan
    if plan is None or result.objective is None:
        raise NoDeploymentError(result.why())
    value = evaluate(problem, plan)
    return Deployment(
        # Copies, because other systems may want to write to them.
        design=plan.design.copy(),
        pipeline_degree=plan.pipeline_degree.copy(),
        memory_mb=plan.memory_mb.copy(),
        replicas=plan.replicas.copy(),
        layer_usd=value.layer_usd.copy(),
        layer_s=value.layer_s.copy(),
        latency_s=value.latency_s,
        objective=result.objective,
        bound=result.bound,
        plan=plan,
        result=result,
    )


def _problem(tokens: Any, rules: dict[str, Any]) -> ServerlessProblem:
    own = [name for name in ServerlessProblem.__struct_fields__ if name not in _STATED]
    network = Network.__struct_fields__
    require_fields(rules, [*_EXPERT, *_COMPUTE, *network, *_LAYER, *own])
    return ServerlessProblem(
        layers=_layers(tokens, rules),
        expert=ExpertFunction(
            compute=_compute(rules), **{name: rules[name] for name in _EXPERT if name in rules}
        ),
        network=Network(**{name: rules[name] for name in network if name in rules}),
        **{name: rules[name] for name in own if name in rules},
    )


def _compute(rules: dict[str, Any]) -> VcpuModel | MemoryTable:
    stated = {name: rules[name] for name in _COMPUTE if name in rules}
    if _is_list(stated.get("seconds_per_token")):
        if "most_vcpus" in stated:
            raise InstanceError(
                "$.most_vcpus",
                stated["most_vcpus"],
                "must be left out: the table of seconds_per_token says all",
                "remove it, or give the seconds on one virtual CPU",
            )
        return MemoryTable(seconds_per_token=tuple(stated["seconds_per_token"]))
    return VcpuModel(**stated)


def _layers(tokens: Any, rules: dict[str, Any]) -> tuple[ServerlessLayer, ...]:
    if not _is_list(tokens):
        raise InstanceError(
            "$.tokens", tokens, "must be a list of layers", "give the tokens of each expert in each"
        )
    stated = {name: rules[name] for name in _LAYER if name in rules}
    for name, value in stated.items():
        if _is_list(value) and len(value) != len(tokens):
            raise InstanceError(
                f"$.{name}",
                f"<{len(value)} values>",
                f"must be one number, or one for each of the {len(tokens)} layers",
                "add or drop some",
            )
    layers = []
    for e, row in enumerate(tokens):
        path = f"$.layers[{e}]"
        own = {name: value[e] if _is_list(value) else value for name, value in stated.items()}
        try:
            array = own_array(row, "$.tokens", np.float64)
            layers.append(ServerlessLayer(tokens=array, **own))
        except InstanceError as error:
            raise error.under(path) from None
    return tuple(layers)


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str)
