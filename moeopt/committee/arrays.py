"""Committees for other systems: plain arrays in, plain arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.committee.plan import CommitteePlan, resident_at
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import BoolArray, IntArray, own_array
from moeopt.core.errors import InstanceError, MoeoptError
from moeopt.core.progress import Progress
from moeopt.core.result import Result, relative_gap
from moeopt.core.sentences import require_fields
from moeopt.core.solve import solve

#: Fields of the problem that `seat` makes from the values.
_MADE = ("layers", "experts", "importance", "router", "table", "swaps", "loss", "budget_bytes")


class NoCommitteeError(MoeoptError, ValueError):
    """No committee exists, or none was found; the message names the rule that cannot hold."""


@dataclass(frozen=True)
class Committee:
    """Who is resident, as arrays.

    Attributes
    ----------
    slots
        Of each layer, ``(layers,)``.
    resident
        Who is there in each window, ``(windows, layers, experts)``.
    period
        Windows from one update to the next.
    objective, bound
        Loss and price of loads, and what no plan has less of; `bound` is ``None`` if none was
        proven.
    problem, plan, result
        The whole of it: loads and drops are the plan's.
    """

    slots: IntArray
    resident: BoolArray
    period: int
    objective: float
    bound: float | None
    problem: CommitteeProblem
    plan: CommitteePlan
    result: Result[CommitteePlan]

    @property
    def gap(self) -> float | None:
        """Relative distance to the bound, ``None`` without one."""
        return relative_gap(self.objective, self.bound)


def seat(
    values: Any,
    budget_bytes: int,
    *,
    loss: str = "additive",
    method: str = "auto",
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    **rules: Any,
) -> Committee:
    """Return which experts of each layer to keep within a budget.

    Parameters
    ----------
    values
        What each expert is worth: importance, ``(layers, experts)`` or
        ``(windows, layers, experts)``; or with ``loss="masked"`` or ``"skip"`` router values,
        ``(tokens, layers, experts)``.
    budget_bytes
        Memory of the device.
    loss
        ``"additive"``, ``"masked"`` or ``"skip"``.
    method, time_limit_s, gap, seed, workers, progress
        As for `moeopt.solve`.
    **rules
        Any further field of `CommitteeProblem`: ``expert_bytes=...``, ``load_price=...``, ...

    Returns
    -------
    Committee

    Raises
    ------
    InstanceError
        If the arguments are malformed or do not fit together.
    NoCommitteeError
        If no committee exists, or none was found in time.

    Examples
    --------
    Room for three of two layers' experts: the layer whose experts matter more gets two.

    >>> from moeopt.committee import seat
    >>> found = seat([[5, 4, 1], [3, 2, 2]], budget_bytes=3)
    >>> found.slots.tolist(), found.objective, found.gap
    ([2, 1], 5.0, 0.0)
    >>> found.resident[0].astype(int).tolist()
    [[1, 1, 0], [1, 0, 0]]
    """
    allowed = [n for n in CommitteeProblem.__struct_fields__ if n not in _MADE]
    require_fields(rules, allowed)
    table = _values(values, loss)
    problem = CommitteeProblem(
        layers=table.shape[1],
        experts=table.shape[2],
        loss=loss,  # type: ignore[arg-type]  # checked by the problem itself
        budget_bytes=budget_bytes,
        **{"importance" if loss == "additive" else "router": table},
        **rules,
    )
    result = solve(
        problem,
        method,
        time_limit_s=time_limit_s,
        gap=gap,
        seed=seed,
        workers=workers,
        progress=progress,
    )
    plan: CommitteePlan | None = result.plan
    if plan is None or result.objective is None:
        raise NoCommitteeError(result.why())
    return Committee(
        # Copies, because other systems may want to write to them.
        slots=plan.slots.copy(),
        resident=resident_at(problem, plan),
        period=plan.period,
        objective=result.objective,
        bound=result.bound,
        problem=problem,
        plan=plan,
        result=result,
    )


def _values(values: Any, loss: str) -> Any:
    if loss not in ("additive", "masked", "skip"):
        remedy = "for a table, state a CommitteeProblem"
        raise InstanceError("loss", loss, "must be additive, masked or skip", remedy)
    table = own_array(values, "values", np.float64)
    if table.ndim == 2 and loss == "additive":
        table = table[None]
    if table.ndim != 3 or 0 in table.shape:
        raise InstanceError(
            "values",
            f"<shape {table.shape}>",
            "must have shape (windows or tokens, layers, experts)",
            "give one table for each window or token",
        )
    return table
