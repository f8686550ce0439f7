"""How far a schedule is from the best in hindsight, and what it asks of the link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moeopt.committee.hindsight import hindsight_schedule
from moeopt.committee.plan import CommitteePlan, evaluate
from moeopt.committee.problem import CommitteeProblem


@dataclass(frozen=True)
class OnlineReport:
    """What a schedule costs, beside the least that one with its slots can.

    Attributes
    ----------
    loss
        Of absent experts, over all windows.
    load_cost
        Price of the loads, but for a free fill.
    hindsight
        What no schedule with these slots costs less than, were it to know all windows, change
        before each and have no link; ``None`` under masked gating, where the flow bounds nothing.
    ratio
        `loss` and `load_cost` over `hindsight`; ``None`` if that is unknown or nothing.
    loads
        Experts loaded, but for a free fill.
    mean_swap_bytes_per_s
        Of all loads; ``None`` without `window_s`.
    peak_swap_bytes_per_s
        Of the largest update, over a period; ``None`` without `window_s`.
    link_bytes_per_s
        What the link carries; ``None`` without one.
    """

    loss: float
    load_cost: float
    hindsight: float | None
    ratio: float | None
    loads: int
    mean_swap_bytes_per_s: float | None
    peak_swap_bytes_per_s: float | None
    link_bytes_per_s: float | None


def report(
    problem: CommitteeProblem,
    plan: CommitteePlan,
    out_of_time: Callable[[], bool] = lambda: False,
) -> OnlineReport:
    """Return what a valid plan costs, and how far that is from the best in hindsight.

    Parameters
    ----------
    problem
        Windows and prices; its loss must not be a table.
    plan
        Of any scheduler or method.
    out_of_time
        Asked now and then: with little time `hindsight` is less than it could be.
    """
    value = evaluate(problem, plan)
    best = None
    if problem.loss != "masked":
        # The flow's sum and the plan's own are rounded apart.
        best = min(
            hindsight_schedule(problem, plan.slots, 1, None, out_of_time)[1], value.objective
        )
    return OnlineReport(
        loss=value.loss,
        load_cost=value.load_cost,
        hindsight=best,
        ratio=value.objective / best if best else None,
        loads=value.loads,
        mean_swap_bytes_per_s=value.mean_swap_bytes_per_s,
        peak_swap_bytes_per_s=value.peak_swap_bytes_per_s,
        link_bytes_per_s=problem.link_bytes_per_s,
    )
