"""The exact front of objective against moved bytes, for shapes that the exact method proves.

It is the yardstick of `moeopt.placement.replan`, whose front is found by descent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.placement.plan import PlacementPlan, moved_bytes
from moeopt.placement.problem import PlacementProblem

#: Bytes that differ by less than this share of the largest expert are one to a solver of models.
RESOLUTION = 1e-5

#: An objective is better if it is lower by more than this, relatively.
BETTER = 1e-9


@dataclass(frozen=True)
class ExactFront:
    """The best plans for more and more moved bytes.

    Attributes
    ----------
    moved_bytes
        Bytes that each plan moves, shape ``(points,)``, ascending.
    objective
        Objective of each plan without the price of moves, shape ``(points,)``, strictly falling.
    tables
        The plans, shape ``(points, layers, slots)``.
    proven
        Whether it is proven that no plan is better that moves as few bytes, shape ``(points,)``.
    """

    moved_bytes: FloatArray
    objective: FloatArray
    tables: IntArray
    proven: BoolArray

    def within(self, most_bytes: float) -> int:
        """Return the last point that moves at most so much; -1 if each moves more."""
        return int(np.searchsorted(self.moved_bytes, most_bytes, side="right")) - 1


@dataclass(frozen=True)
class _Point:
    moved_bytes: float
    objective: float
    table: IntArray
    proven: bool


def exact_front(
    problem: PlacementProblem, budgets_bytes: Sequence[int] | None = None, **options: Any
) -> ExactFront:
    """Return the best objective for every number of moved bytes, by the epsilon-constraint method.

    The method ``exact`` solves the problem under a limit of moved bytes; the next limit is
    strictly below what the plan moves, until nothing moves or no plan is left. A plan that is no
    better than one that moves less is dropped.

    Parameters
    ----------
    problem
        With `previous` and `expert_bytes`. Its rules and limits hold at every point; its
        `move_price_per_byte` does not count.
    budgets_bytes
        Limits of moved bytes to solve for; left out, as many as the front has points, and those
        where another plan is as good.
    **options
        As for `moeopt.solve`: ``time_limit_s`` of each limit, ``seed``, ``workers``, …

    Raises
    ------
    InstanceError
        If the problem lacks what moves are counted by, or has no linear model.

    Examples
    --------
    Experts of one byte with loads 4, 3, 2, 1: one swap, of two bytes, levels the devices.

    >>> import numpy as np
    >>> from moeopt.describe.cluster import Cluster
    >>> from moeopt.placement import PlacementProblem
    >>> from moeopt.placement.exact_front import exact_front
    >>> front = exact_front(PlacementProblem(
    ...     loads_tokens=np.array([[4.0, 3.0, 2.0, 1.0]]), cluster=Cluster.uniform(2),
    ...     slots_per_device=2, expert_bytes=1, previous=np.array([[0, 1, 2, 3]])))
    >>> front.moved_bytes.tolist(), front.objective.tolist()
    ([0.0, 2.0], [7.0, 5.0])
    """
    for name in ("previous", "expert_bytes"):
        if getattr(problem, name) is None:
            rule = "must be given: the front counts the bytes that moved since the previous plan"
            raise InstanceError(f"$.{name}", None, rule, "add it")
    unpriced = msgspec.structs.replace(problem, move_price_per_byte=0.0)
    if budgets_bytes is None:
        points = list(_falling(unpriced, options))
    else:
        solved = (_solved(unpriced, budget, options) for budget in budgets_bytes)
        points = [point for point in solved if point is not None]
    return _front(problem, points)


def _falling(problem: PlacementProblem, options: dict[str, Any]) -> Iterator[_Point]:
    """Yield plans that move less and less, each the best for its limit."""
    step = _step_bytes(problem)
    budget: int | None = None
    while True:
        point = _solved(problem, budget, options)
        if point is None:
            return
        yield point
        if point.moved_bytes < step:
            return
        budget = max(0, math.floor(point.moved_bytes - step * (1 - RESOLUTION)))


def _step_bytes(problem: PlacementProblem) -> float:
    """Return by how much two sums of experts' bytes differ at least, as far as can be resolved."""
    size = problem.bytes_of_experts()
    least = RESOLUTION * float(size.max())
    whole = (size == np.floor(size)).all()
    return max(least, 1.0, float(np.gcd.reduce(size.astype(np.int64), axis=None)) if whole else 1.0)


def _solved(
    problem: PlacementProblem, budget: int | None, options: dict[str, Any]
) -> _Point | None:
    """Return the best plan that moves at most `budget` bytes, within the problem's own limit."""
    limits = [limit for limit in (budget, problem.max_moved_bytes) if limit is not None]
    limited = msgspec.structs.replace(problem, max_moved_bytes=min(limits, default=None))
    result = solve(limited, "exact", **options)
    if result.plan is None or result.objective is None:
        return None
    assert isinstance(result.plan, PlacementPlan)
    table = result.plan.physical_to_logical
    proven = result.status is Status.OPTIMAL
    return _Point(moved_bytes(problem, table), result.objective, table, proven)


def _front(problem: PlacementProblem, points: list[_Point]) -> ExactFront:
    """Return the points that are better than every one that moves less or as much."""
    kept: list[_Point] = []
    for point in sorted(points, key=lambda point: (point.moved_bytes, point.objective)):
        if not kept or point.objective < kept[-1].objective * (1 - BETTER):
            kept.append(point)
    shape = (len(kept), problem.num_layers, problem.num_slots)
    tables = np.array([point.table for point in kept], dtype=np.int64)
    return ExactFront(
        moved_bytes=np.array([point.moved_bytes for point in kept]),
        objective=np.array([point.objective for point in kept]),
        tables=tables.reshape(shape),
        proven=np.array([point.proven for point in kept], dtype=np.bool_),
    )
