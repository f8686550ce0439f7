"""Placement for other systems: plain arrays in, plain arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray, own_array
from moeopt.core.errors import InstanceError, MoeoptError
from moeopt.core.progress import Progress
from moeopt.core.result import Result, relative_gap
from moeopt.core.sentences import require_fields
from moeopt.core.solve import solve
from moeopt.describe.cluster import Cluster
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import PlacementProblem

#: Fields of the problem that `place` states by arguments of its own.
_STATED = ("loads_tokens", "cluster", "slots_per_device")


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
    gap: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    warm_start: Any = None,
    progress: Progress | None = None,
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
    method, time_limit_s, gap, seed, workers, progress
        As for `moeopt.solve`.
    warm_start
        A plan to start from: a `PlacementPlan`, or its ``physical_to_logical`` alone.
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
    array = own_array(loads, "$.loads_tokens", np.float64)
    require_fields(rules, [n for n in PlacementProblem.__struct_fields__ if n not in _STATED])
    problem = PlacementProblem(
        loads_tokens=array,
        cluster=cluster,
        slots_per_device=_per_device(slots, cluster.num_devices, array.shape[-1:]),
        **rules,
    )
    if warm_start is not None and not isinstance(warm_start, PlacementPlan):
        warm_start = PlacementPlan(physical_to_logical=warm_start)
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
    if result.plan is None or result.objective is None:
        raise NoPlacementError(result.why())
    return Placement(
        # A copy, because other systems may want to write to it.
        physical_to_logical=result.plan.physical_to_logical.copy(),
        expert_count=result.plan.copies(problem).sum(axis=2),
        imbalance=evaluate(problem, result.plan).imbalance,
        objective=result.objective,
        bound=result.bound,
        result=result,
    )


def _per_device(slots: Any, devices: int, experts: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return the slots of each device; `experts` is the last entry of the loads' shape."""
    if slots is None:
        return -(-sum(experts) // devices)
    if isinstance(slots, Sequence | np.ndarray) and np.ndim(slots) and not isinstance(slots, str):
        return tuple(whole(f"slots[{i}]", s) for i, s in enumerate(slots))
    total = whole("slots", slots)
    if total % devices:
        raise InstanceError(
            "slots", slots, f"must be a multiple of the {devices} devices", "or give one for each"
        )
    return total // devices
