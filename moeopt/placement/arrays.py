"""Placement for other systems: plain arrays in, plain arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError, MoeoptError
from moeopt.core.result import Result, relative_gap
from moeopt.core.solve import solve
from moeopt.describe.cluster import Cluster
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem


class NoPlacementError(MoeoptError, ValueError):
    """No placement exists, or none was found; the message names the rule that cannot hold."""


@dataclass(frozen=True)
class Placement:
    """A placement as arrays.

    Attributes
    ----------
    physical_to_logical
        Expert in each slot, ``(layers, slots)``, slots rank-major, -1 for an empty slot.
    expert_count
        Copies of each expert, ``(layers, experts)``.
    imbalance
        Largest device load over the mean, ``(layers,)``.
    objective, bound
        Of the whole problem; `bound` is ``None`` if none was proven.
    result
        The whole `Result`.
    """

    physical_to_logical: IntArray
    expert_count: IntArray
    imbalance: FloatArray
    objective: float
    bound: float | None
    result: Result[PlacementPlan]

    @property
    def gap(self) -> float | None:
        """Relative distance to the bound, ``None`` without one."""
        return relative_gap(self.objective, self.bound)


def place(
    loads: Any,
    devices: int | Cluster,
    slots: int | Sequence[int] | None = None,
    *,
    nodes: int = 1,
    method: str = "auto",
    time_limit_s: float | None = None,
    seed: int = 0,
    **rules: Any,
) -> Placement:
    """Place experts on devices.

    Parameters
    ----------
    loads
        Tokens of each expert, ``(layers, experts)`` or ``(scenarios, layers, experts)``.
    devices
        Number of equal devices, or a `Cluster`.
    slots
        Physical slots of each layer over all devices, or one number for each device; left out,
        just enough for one copy of each expert.
    nodes
        Nodes that the devices form, if `devices` is a number.
    method, time_limit_s, seed
        As for `moeopt.solve`.
    **rules
        Any further field of `PlacementProblem`: ``objective="mean_max"``, ``groups=8``, …

    Returns
    -------
    Placement

    Raises
    ------
    InstanceError
        If the arguments are malformed or do not fit together.
    NoPlacementError
        If no placement exists, or none was found in time.

    Examples
    --------
    >>> from moeopt.placement import place
    >>> place([[4.0, 3.0, 2.0, 1.0]], devices=2).physical_to_logical.tolist()
    [[0, 3, 1, 2]]
    """
    cluster = devices if isinstance(devices, Cluster) else Cluster.uniform(devices, nodes)
    array = np.asarray(loads, dtype=np.float64)
    problem = PlacementProblem(
        loads_tokens=array,
        cluster=cluster,
        slots_per_device=_per_device(slots, cluster.num_devices, array.shape[-1]),
        **rules,
    )
    result = solve(problem, method, time_limit_s=time_limit_s, seed=seed)
    if result.plan is None or result.objective is None:
        why = "; ".join(str(v) for v in result.violations) or f"limit: {result.limit.value}"
        raise NoPlacementError(f"{result.status.value}: {why}")
    table = result.plan.physical_to_logical
    return Placement(
        physical_to_logical=table,
        expert_count=result.plan.copies(problem).sum(axis=2),
        imbalance=evaluate(problem, result.plan).imbalance,
        objective=result.objective,
        bound=result.bound,
        result=result,
    )


def _per_device(
    slots: int | Sequence[int] | None, devices: int, experts: int
) -> int | tuple[int, ...]:
    if slots is None:
        return -(-experts // devices)
    if not isinstance(slots, int):
        return tuple(int(s) for s in slots)
    if slots % devices:
        raise InstanceError(
            "slots", slots, f"must be a multiple of the {devices} devices", "or give one for each"
        )
    return slots // devices
