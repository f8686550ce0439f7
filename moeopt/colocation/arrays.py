"""Colocation for other systems: plain arrays in, plain arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.colocation.plan import ColocationPlan, evaluate
from moeopt.colocation.problem import ColocationProblem, ModelLayer
from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray, numbers_of, own_array
from moeopt.core.errors import InstanceError, MoeoptError
from moeopt.core.progress import Progress
from moeopt.core.result import Result, relative_gap
from moeopt.core.sentences import require_fields
from moeopt.core.solve import solve
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup

#: Fields that `colocate` states by arguments of its own, or that are named by none.
_STATED = ("models", "cluster", "traffic_tokens")

#: Fields of a problem and of a model that both have; the problem's is meant.
_BOTH = ("name",)


class NoColocationError(MoeoptError, ValueError):
    """No colocation exists, or none was found; the message names the rule that cannot hold."""


@dataclass(frozen=True)
class Colocation:
    """Who shares a device, as arrays.

    Attributes
    ----------
    device
        Device of each expert, ``(models, experts)``, -1 beyond a model's own experts.
    utilisation
        Share of the round in which each device computes, ``(devices,)``.
    time_s
        One layer of all models as they take turns.
    objective, bound
        What was minimised, and a proven lower bound of it, or ``None``.
    plan
        The whole plan.
    result
        The whole `Result`.
    """

    device: IntArray
    utilisation: FloatArray
    time_s: float
    objective: float
    bound: float | None
    plan: ColocationPlan
    result: Result[ColocationPlan]

    @property
    def gap(self) -> float | None:
        """Relative distance to the bound, ``None`` without one."""
        return relative_gap(self.objective, self.bound)

    def experts_on(self, device: int) -> list[list[int]]:
        """Return the experts of each model that a device holds."""
        return [np.flatnonzero(row == device).tolist() for row in self.device]


def colocate(
    *traffic: Any,
    devices: int | Cluster | None = None,
    bandwidth: Any = None,
    speed: Any = None,
    method: str = "auto",
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    warm_start: Any = None,
    progress: Progress | None = None,
    **rules: Any,
) -> Colocation:
    """Choose which experts of several models share a device.

    Parameters
    ----------
    *traffic
        For each model the tokens from the device of each expert (rows) to each expert (columns),
        ``(experts, experts)``. What stays on the diagonal is computed, but not sent.
    devices
        How many devices, or a `Cluster`; left out, as many as the largest model has experts.
    bandwidth, speed
        Bytes per second of the ports, and relative speeds of the devices: one number, or one for
        each. 1 if left out. A `Cluster` states its own.
    method, time_limit_s, gap, seed, workers, progress
        As for `moeopt.solve`.
    warm_start
        A plan to start from: a `ColocationPlan`, or its ``device`` alone.
    **rules
        Any further field of `ModelLayer`, one value or a list with one for each model:
        ``gate_s=[1e-5, 2e-5]``, ``seconds_per_token=1e-8``; or of `ColocationProblem`:
        ``objective="bottleneck"``, ``experts_per_device=2``, …

    Returns
    -------
    Colocation

    Raises
    ------
    InstanceError
        If the arguments are malformed or do not fit together.
    NoColocationError
        If no colocation exists, or none was found in time.

    Examples
    --------
    Popular experts of one model go with unpopular ones of the other:

    >>> from moeopt.colocation import colocate
    >>> a = [[0, 3, 0], [3, 0, 1], [0, 1, 0]]
    >>> b = [[0, 5, 0], [5, 0, 2], [0, 2, 0]]
    >>> shared = colocate(a, b, objective="communication")
    >>> shared.objective, shared.bound
    (8.0, 8.0)
    >>> shared.experts_on(shared.device[1, 1])  # with expert 1 of the second model
    [[2], [1]]
    """
    layers = _models(traffic, rules)
    if devices is None:
        # What is no matrix is refused when the problem is made.
        devices = max([1, *(len(np.atleast_1d(layer.traffic_tokens)) for layer in layers)])
    problem = ColocationProblem(
        models=layers, cluster=_cluster(devices, bandwidth, speed), **_of_the_problem(rules)
    )
    if warm_start is not None and not isinstance(warm_start, ColocationPlan):
        warm_start = ColocationPlan(device=warm_start)
    result = solve(
        problem,
        method,
        time_limit_s=time_limit_s,
        gap=gap,
        seed=seed,
        workers=workers,
        warm_start=warm_start,
        progress=progress,
    )
    plan: ColocationPlan | None = result.plan
    if plan is None or result.objective is None:
        raise NoColocationError(result.why())
    value = evaluate(problem, plan)
    return Colocation(
        # Copies, because other systems may want to write to them.
        device=plan.device.copy(),
        utilisation=value.utilisation.copy(),
        time_s=value.time_s,
        objective=result.objective,
        bound=result.bound,
        plan=plan,
        result=result,
    )


def _model_fields() -> list[str]:
    return [name for name in ModelLayer.__struct_fields__ if name not in (*_STATED, *_BOTH)]


def _of_the_problem(rules: dict[str, Any]) -> dict[str, Any]:
    """Return the rules that are fields of the problem; raise for those that are nobody's."""
    own = [name for name in ColocationProblem.__struct_fields__ if name not in _STATED]
    require_fields(rules, [*_model_fields(), *own])
    return {name: value for name, value in rules.items() if name in own}


def _models(traffic: tuple[Any, ...], rules: dict[str, Any]) -> tuple[ModelLayer, ...]:
    """Return the models, each with its own of the values stated for all."""
    stated = {name: rules[name] for name in _model_fields() if name in rules}
    for name, value in stated.items():
        if _is_list(value) and len(value) != len(traffic):
            raise InstanceError(
                f"$.{name}",
                f"<{len(value)} values>",
                f"must be one number, or one for each of the {len(traffic)} models",
                "add or drop some",
            )
    layers = []
    for m, matrix in enumerate(traffic):
        path = f"$.models[{m}]"
        tokens = own_array(matrix, f"{path}.traffic_tokens", np.float64)
        mine = {name: value[m] if _is_list(value) else value for name, value in stated.items()}
        try:
            layers.append(ModelLayer(traffic_tokens=tokens, **mine))
        except InstanceError as error:
            raise error.under(path) from None
    return tuple(layers)


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str)


def _cluster(devices: int | Cluster, bandwidth: Any, speed: Any) -> Cluster:
    if isinstance(devices, Cluster):
        for name, value in (("bandwidth", bandwidth), ("speed", speed)):
            if value is not None:
                raise InstanceError(
                    name, value, "must be left out: the cluster states it", "put it there"
                )
        return devices
    count = whole("devices", devices)
    if count < 1:
        raise InstanceError("devices", devices, "must be >= 1", "name at least one device")
    rates = _for_each("bandwidth", bandwidth, count)
    speeds = _for_each("speed", speed, count)
    # On one node ports would be links: a node for each device, so that each has its own.
    nodes = (
        NodeGroup(node=Node(device=Device(relative_speed=fast), nic_bandwidth_bytes_per_s=rate))
        for rate, fast in zip(rates, speeds, strict=True)
    )
    if count == 1:
        alone = Device(relative_speed=speeds[0], link_bandwidth_bytes_per_s=rates[0])
        return Cluster.uniform(1, device=alone)
    return Cluster(nodes=tuple(nodes))


def _for_each(name: str, value: Any, count: int) -> list[float]:
    """Return a positive number for each device."""
    array = numbers_of(1.0 if value is None else value, name).astype(np.float64)
    if array.ndim and array.shape != (count,):
        raise InstanceError(
            name, f"<shape {array.shape}>", f"must be one number, or {count}", "one for each device"
        )
    if not (np.isfinite(array) & (array > 0)).all():
        raise InstanceError(name, value, "must be finite and > 0", "correct it")
    return [float(entry) for entry in np.broadcast_to(array, (count,))]
