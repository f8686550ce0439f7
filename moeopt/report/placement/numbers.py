"""What the pictures, the summary and the tables of a placement plan are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import exceeds
from moeopt.placement import balance
from moeopt.placement.bounds import layer_bounds, load_bound
from moeopt.placement.greedy import contiguous
from moeopt.placement.plan import (
    Evaluation,
    PlacementPlan,
    evaluate,
    scenario_loads,
    violations,
)
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.repair import repaired
from moeopt.placement.split import shares_of_plan
from moeopt.placement.summary import told_bound, unit_of


@dataclass(frozen=True)
class Loads:
    """What a plan comes to on each device; all are loads over relative speed.

    Attributes
    ----------
    value
        The plan's evaluation.
    devices
        Load of each device, its weighted mean over scenarios, ``(layers, devices)``.
    largest
        Of each layer: the largest device load, its weighted mean over scenarios, ``(layers,)``.
        All devices wait for it.
    mean
        What every live device would have if all had the same, ``(layers,)``.
    """

    value: Evaluation
    devices: FloatArray
    largest: FloatArray
    mean: FloatArray

    @property
    def imbalance(self) -> float:
        """Largest over mean load, both summed over layers; 1 without any load."""
        mean = float(self.mean.sum())
        return float(self.largest.sum()) / mean if mean > 0 else 1.0

    @property
    def waiting(self) -> float:
        """Share of the time that devices wait for the busiest one, on average."""
        return 1.0 - 1.0 / self.imbalance


@dataclass(frozen=True)
class Told:
    """A plan with what is told of it; everything is worked out once, when it is asked for.

    Attributes
    ----------
    problem, plan
        A plan of this problem's shape.
    result
        The `Result`, the record of it that a plan's file keeps, or ``None``.
    """

    problem: PlacementProblem
    plan: PlacementPlan
    result: Any = None

    def __post_init__(self) -> None:
        shape = (self.problem.num_layers, self.problem.num_slots)
        if self.plan.physical_to_logical.shape != shape:
            raise InstanceError(
                "plan",
                f"<shape {self.plan.physical_to_logical.shape}>",
                f"must have shape {shape}, the problem's layers and slots",
                "give a plan of this problem",
            )

    @cached_property
    def copies(self) -> IntArray:
        """Copies of each expert on each device, ``(layers, experts, devices)``."""
        return self.plan.copies(self.problem)

    @cached_property
    def after(self) -> Loads:
        """What the plan comes to."""
        return loads_of(self.problem, self.plan)

    @cached_property
    def _before(self) -> tuple[str, PlacementPlan | None]:
        return plan_before(self.problem)

    @property
    def plan_before(self) -> PlacementPlan | None:
        """What the plan is compared with."""
        return self._before[1]

    @property
    def before_name(self) -> str:
        """What it is called."""
        return self._before[0]

    @cached_property
    def before(self) -> Loads | None:
        """What that comes to; ``None`` if there is nothing to compare with."""
        plan = self.plan_before
        return None if plan is None else loads_of(self.problem, plan)

    @cached_property
    def unit(self) -> FloatArray:
        """Of each layer's objective: its mean load, or a millisecond, ``(layers,)``."""
        return unit_of(self.problem, self.after.value)

    @cached_property
    def bound(self) -> FloatArray:
        """Lower bound of each layer's objective without prices, ``(layers,)``."""
        value = self.after.value.layer_objective
        bound = np.maximum(layer_bounds(self.problem), _claimed(self))
        # A sum in another order is above by rounding.
        return np.where(bound <= value * (1 + 1e-9), np.minimum(bound, value), bound)

    @cached_property
    def largest_bound(self) -> FloatArray:
        """Lower bound of each layer's `Loads.largest`, ``(layers,)``."""
        if self.problem.objective in ("max_load", "mean_max", "activated"):
            return self.bound
        loads, weights = scenario_loads(self.problem)
        alone = np.stack([load_bound(self.problem, scenario) for scenario in loads])
        return np.maximum(weights @ alone, load_bound(self.problem, self.problem.mean_loads()))

    @cached_property
    def served(self) -> FloatArray:
        """Tokens of each expert that each device serves, ``(layers, experts, devices)``.

        The weighted mean over scenarios; activated experts for ``"activated"``.
        """
        loads, weights = scenario_loads(self.problem)
        if self.problem.split == "optimal":
            parts = (
                weight * load[..., None] * shares_of_plan(self.problem, self.copies, load)
                for weight, load in zip(weights, loads, strict=True)
            )
            return np.asarray(sum(parts))
        mean = np.tensordot(weights, loads, axes=1)
        return np.asarray(mean[..., None] * shares_of_plan(self.problem, self.copies, mean))

    @cached_property
    def expert_tokens(self) -> FloatArray:
        """Tokens of each expert, their weighted mean over scenarios, ``(layers, experts)``."""
        loads, weights = scenario_loads(self.problem)
        return np.tensordot(weights, loads, axes=1)

    @property
    def speeds_differ(self) -> bool:
        """Whether a load is not the same as tokens."""
        speed = self.problem.cluster.relative_speed()
        return bool((speed != 1).any())

    @property
    def load_unit(self) -> str:
        """What loads are counted in."""
        return "experts" if self.problem.objective == "activated" else "tokens"

    def layer(self, layer: Any) -> int:
        """Return a layer's number; raise `InstanceError` if there is none such."""
        found = whole("layer", layer)
        if not 0 <= found < self.problem.num_layers:
            rule = f"must be 0 to {self.problem.num_layers - 1}"
            raise InstanceError("layer", layer, rule, "name one of the problem's layers")
        return found


def plan_before(problem: PlacementProblem) -> tuple[str, PlacementPlan | None]:
    """Return what a plan is compared with, and what it is called.

    The previous plan if there is one, mended where a rule forbids it by now (a dead device serves
    nothing); else, as far as the rules allow, experts in the order of their numbers, or DeepSeek's
    EPLB.
    """
    if problem.previous is not None:
        table = repaired(problem, problem.previous)
        if table is None:
            return "nothing", None
        same = np.array_equal(table, problem.previous)
        name = "previous plan" if same else "previous plan, mended"
        return name, PlacementPlan(physical_to_logical=table)
    plan = contiguous(problem)
    if plan is not None and not violations(problem, plan):
        return "experts in order", plan
    if not balance.is_plain(problem):
        return "nothing", None
    found = balance.eplb(balance.blocks_of(problem))
    if not np.isfinite(found.value).all():
        return "nothing", None
    return "EPLB", PlacementPlan(physical_to_logical=balance.expand(problem, found.table))


def loads_of(problem: PlacementProblem, plan: PlacementPlan) -> Loads:
    """Return what a plan comes to on each device."""
    value = evaluate(problem, plan)
    _, weights = scenario_loads(problem)
    live, speed = problem.live(), problem.cluster.relative_speed()
    each = np.tensordot(weights, value.device_loads, axes=1)
    return Loads(
        value=value,
        devices=each,
        largest=weights @ value.device_loads[..., live].max(axis=-1),
        mean=each @ speed / speed[live].sum(),
    )


def by_scenario(problem: PlacementProblem, plan: PlacementPlan) -> FloatArray:
    """Return the imbalance in each scenario, all layers together, ``(scenarios,)``."""
    if problem.objective == "max_load":
        # It looks at the mean alone: each scenario is looked at instead.
        problem = msgspec.structs.replace(problem, objective="mean_max")
    loads = evaluate(problem, plan).device_loads
    live, speed = problem.live(), problem.cluster.relative_speed()
    largest = loads[..., live].max(axis=-1).sum(axis=-1)
    mean = (loads @ speed / speed[live].sum()).sum(axis=-1)
    return np.asarray(np.divide(largest, mean, out=np.ones_like(mean), where=mean > 0))


def slot_tokens(told: Told) -> FloatArray:
    """Return the tokens that each slot serves, ``(layers, slots)``; 0 for an empty one."""
    table = told.plan.physical_to_logical
    device = told.problem.slot_device()
    layer = np.arange(len(table))[:, None]
    expert = np.maximum(table, 0)
    served = told.served[layer, expert, device] / np.maximum(told.copies[layer, expert, device], 1)
    return np.asarray(np.where(table >= 0, served, 0.0))


def memory_bytes(told: Told) -> FloatArray:
    """Return the bytes of experts on each device, ``(devices,)``."""
    size = told.problem.bytes_of_experts()
    return np.asarray(np.einsum("leg,le->g", told.copies, size))


def copies_text(count: int) -> str:
    """Return a number of copies in words."""
    return "1 copy" if count == 1 else f"{count} copies"


def _claimed(told: Told) -> FloatArray:
    """Return the layers' bounds that the method proved, ``(layers,)``; 0 where none are told.

    A plan's file may hold anything here: bounds above the plan are of something else.
    """
    claimed, value = told_bound(told.problem, told.result), told.after.value.layer_objective
    if claimed is None or any(map(exceeds, claimed, value)):
        return np.zeros(told.problem.num_layers)
    return claimed
