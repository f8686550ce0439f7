"""What a backend found, and how its raw claim becomes an answer one can rely on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Status, relative_gap
from moeopt.mip.model import FEASIBILITY_TOLERANCE, LinearModel

#: A solver's tolerance may be this part of an objective and still be called rounding.
_SMALL_PART = 0.1

#: A bound may be above a point's objective by this much of its largest term, not by more.
_BOUND_TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class MipAnswer:
    """The answer of a backend for the original model; unknown values are ``None``, never 0.

    Attributes
    ----------
    status
        What is known.
    limit
        What stopped the solver.
    x
        The best point, checked against the model, integers exact.
    objective
        The model's objective at `x`, computed from the model.
    bound
        No point is below this.
    backend
        Solver and version (``"highs 1.12 (ortools 9.15)"``).
    build_s
        Seconds spent handing the model over.
    solve_s
        Seconds of the whole call.
    nodes
        Nodes of the search tree.
    log
        What the solver printed, if it was asked.
    """

    status: Status
    limit: Limit = Limit.NONE
    x: FloatArray | None = None
    objective: float | None = None
    bound: float | None = None
    backend: str
    build_s: float = 0.0
    solve_s: float = 0.0
    nodes: int | None = None
    log: str = ""

    @property
    def gap(self) -> float | None:
        """``(objective - bound) / |objective|``, or ``None`` while either is unknown."""
        return relative_gap(self.objective, self.bound)


class Verdict(Enum):
    """What a solver says of itself."""

    OPTIMAL = auto()
    FEASIBLE = auto()
    INFEASIBLE = auto()
    UNBOUNDED = auto()
    INFEASIBLE_OR_UNBOUNDED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, kw_only=True, eq=False)
class Claim:
    """What a backend's own module returns: the solver's words, translated but not yet believed.

    Attributes
    ----------
    verdict
        What the solver says.
    limit
        What stopped it.
    x
        Its best point, or ``None``.
    bound
        Its bound in the objective of the model it was given, or ``None``.
    nodes
        Nodes of its search tree, or ``None``.
    build_s
        Seconds spent handing the model over.
    log
        What it printed.
    """

    verdict: Verdict
    limit: Limit = Limit.NONE
    x: FloatArray | None = None
    bound: float | None = None
    nodes: int | None = None
    build_s: float = 0.0
    log: str = ""


def tidy(model: LinearModel, x: FloatArray) -> FloatArray:
    """Return `x` with integers exact and with rounding errors at the column bounds removed."""
    x = np.where(model.integrality, np.round(x), x)
    inside = np.clip(x, model.column_lower, model.column_upper)
    close = np.abs(inside - x) <= FEASIBILITY_TOLERANCE * np.maximum(1.0, np.abs(x))
    return np.where(close, inside, x) + 0.0  # + 0.0 turns -0.0 into 0.0


def judged(
    model: LinearModel, *, verdict: Verdict, limit: Limit, x: FloatArray, bound: float | None,
    gap: float, backend: str,
) -> MipAnswer:  # fmt: skip
    """Return the answer for a point that was checked; the claim of optimality is checked here.

    Solvers work to tolerances. With ``gap=0`` a bound that misses the objective by no more than
    `OPTIMALITY_TOLERANCE` times the largest cost term is that tolerance at work and is moved to the
    objective, unless it is no small part of the objective: costs far apart in one model drown the
    small ones, and then the bound is lowered by it instead. Otherwise optimal means that the gap
    says so.
    """
    objective = model.evaluate(x)
    if bound is not None:
        bound = min(bound, objective)
        size = max(abs(objective), float(np.abs(model.objective * x).max(initial=0.0)))
        if verdict is Verdict.OPTIMAL and gap == 0.0:
            size = max(size, float(np.abs(model.objective).max(initial=0.0)))
        slack = OPTIMALITY_TOLERANCE * size
        if verdict is Verdict.OPTIMAL and objective - bound <= slack:
            drowned = gap == 0.0 and 0 < abs(objective) < slack / _SMALL_PART
            bound = max(least(model), bound - slack) if drowned else objective
    reached = relative_gap(objective, bound)
    if reached is not None and reached <= OPTIMALITY_TOLERANCE:
        status, limit = Status.OPTIMAL, Limit.NONE
    else:
        status = Status.FEASIBLE
        if verdict is Verdict.OPTIMAL and limit is Limit.NONE:
            limit = Limit.GAP
    return MipAnswer(
        status=status, limit=limit, x=x, objective=objective, bound=bound, backend=backend
    )


def least(model: LinearModel) -> float:
    """Return the least objective within the columns' bounds alone."""
    cost = model.objective
    ends = np.where(cost > 0, model.column_lower, model.column_upper)
    used = cost != 0
    return float((cost[used] * ends[used]).sum()) + model.objective_offset


def with_start(answer: MipAnswer, model: LinearModel, start: FloatArray | None) -> MipAnswer:
    """Return `answer` with the checked point `start` in place of a worse incumbent, or of none."""
    if start is None or answer.status not in (Status.FEASIBLE, Status.NO_PLAN_FOUND):
        return answer
    objective = model.evaluate(start)
    if answer.objective is not None and answer.objective <= objective:
        return answer
    better = judged(
        model, verdict=Verdict.FEASIBLE, limit=answer.limit, x=start, bound=answer.bound,
        gap=0.0, backend=answer.backend,
    )  # fmt: skip
    return replace(
        answer, status=better.status, limit=better.limit, x=start, objective=objective,
        bound=better.bound,
    )  # fmt: skip


def disproved(model: LinearModel, bound: float, x: FloatArray) -> bool:
    """Tell whether a point that was checked is below a bound by more than rounding."""
    objective = model.evaluate(x)
    size = max(abs(objective), float(np.abs(model.objective * x).max(initial=0.0)))
    size = max(size, float(np.abs(model.objective).max(initial=0.0)))
    return bound > objective + _BOUND_TOLERANCE * size


def checked_start(model: LinearModel, start: FloatArray | None) -> FloatArray | None:
    """Return the tidied warm start, or ``None`` if it is missing or breaks the model."""
    if start is None:
        return None
    point = np.asarray(start, np.float64)
    if point.shape != (model.num_columns,) or not np.isfinite(point).all():
        return None
    point = tidy(model, point)
    return None if model.violations(point) else point
