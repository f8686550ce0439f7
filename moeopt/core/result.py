"""One result type for every wing: what was found, how good it is, what stopped the search."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from moeopt.core.progress import Moment
from moeopt.core.wing import Plan, Violation

PlanT = TypeVar("PlanT", bound=Plan)

#: Denominator of the gap of an objective of 0: the smallest normal number, because loads, seconds
#: and bytes come in any unit and no magnitude is small by itself.
GAP_EPSILON = sys.float_info.min

#: A plan whose gap is at most this is reported as optimal: solvers work in floating point.
OPTIMALITY_TOLERANCE = 1e-6


class Status(StrEnum):
    """What is known about the problem after the solve."""

    #: The plan is valid and its gap is at most `OPTIMALITY_TOLERANCE`.
    OPTIMAL = "optimal"
    #: The plan is valid; a better one may exist.
    FEASIBLE = "feasible"
    #: Proven: no plan exists. ``Result.violations`` names the constraints that cannot hold.
    INFEASIBLE = "infeasible"
    #: Proven: plans of arbitrarily low objective exist.
    UNBOUNDED = "unbounded"
    #: Nothing was found and nothing was proven.
    NO_PLAN_FOUND = "no_plan_found"


class Limit(StrEnum):
    """What stopped the solve before it was done."""

    NONE = "none"
    TIME = "time"
    GAP = "gap"
    NODES = "nodes"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class Result(Generic[PlanT]):
    """The answer of `moeopt.solve`; unknown values are ``None``, never 0.

    Attributes
    ----------
    status
        What is known (`Status`).
    limit
        What stopped the solve (`Limit`).
    plan
        The best valid plan, or ``None``.
    objective
        The plan's objective, evaluated by the wing and not by the solver that made it.
    bound
        No plan can be below this.
    method
        Name of the method that ran.
    backend
        Solver and version behind the method, or ``None`` for moeopt's own code.
    seed
        Seed of the method's random choices.
    runtime_s
        Wall-clock seconds of the whole solve, building included.
    build_s
        Seconds of it spent building models.
    statistics
        What the method has to tell beside: iterations, nodes, per-layer values, ...
    violations
        Empty for a plan; the constraints that cannot hold for an infeasible problem.
    history
        What was known when, as far as the method told: objective and bound where either changed, at
        most 1,000 times. The last moment is the end, with the result's own.
    """

    status: Status
    limit: Limit = Limit.NONE
    plan: PlanT | None = None
    objective: float | None = None
    bound: float | None = None
    method: str
    backend: str | None = None
    seed: int = 0
    runtime_s: float = 0.0
    build_s: float = 0.0
    statistics: dict[str, Any] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    history: tuple[Moment, ...] = ()

    @property
    def gap(self) -> float | None:
        """``(objective - bound) / |objective|``, or ``None`` while either is unknown."""
        return relative_gap(self.objective, self.bound)

    def summary(self) -> str:
        """Return one line for people: status, objective, bound, gap, time and limit."""
        parts = [self.status.value.replace("_", " ")]
        for name, value in (("objective", self.objective), ("bound", self.bound)):
            parts += [] if value is None else [f"{name} {value:.6g}"]
        parts += [] if self.gap is None else [f"gap {100 * self.gap:.3g} %"]
        parts += [f"{self.runtime_s:.3g} s by {self.method}"]
        parts += [] if self.limit is Limit.NONE else [f"stopped by the {self.limit.value} limit"]
        parts += [str(violation) for violation in self.violations]
        return ", ".join(parts)

    def why(self) -> str:
        """Return in one line why there is no plan: what cannot hold, or what stopped the search."""
        reasons = "; ".join(str(v) for v in self.violations) or f"limit: {self.limit.value}"
        return f"{self.status.value}: {reasons}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the plan as plain JSON types."""
        return {
            "status": self.status.value,
            "limit": self.limit.value,
            "objective": self.objective,
            "bound": self.bound,
            "gap": self.gap,
            "method": self.method,
            "backend": self.backend,
            "seed": self.seed,
            "runtime_s": self.runtime_s,
            "build_s": self.build_s,
            "statistics": self.statistics,
            "violations": [violation.to_dict() for violation in self.violations],
            "history": [list(moment) for moment in self.history],
        }


def relative_gap(objective: float | None, bound: float | None) -> float | None:
    """Return ``(objective - bound) / max(|objective|, eps)``, ``None`` if either is unknown.

    Scaling both changes nothing, and it is 0 only where the bound reaches the objective.
    """
    if objective is None or bound is None:
        return None
    # An objective too small to be normal is still no zero.
    return max(0.0, objective - bound) / (abs(objective) or GAP_EPSILON)


def exceeds(bound: float, objective: float) -> bool:
    """Tell whether a lower bound is above an objective by more than rounding."""
    return bound - objective > OPTIMALITY_TOLERANCE * abs(objective)
