"""What the pictures and the summary of committees are made of: curves, what memory buys, limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moeopt.committee.allocation import allowed, rows
from moeopt.committee.configurations import space_of
from moeopt.committee.curves import bound_curves, standing
from moeopt.committee.knapsack import choose
from moeopt.committee.loss import weights
from moeopt.committee.plan import CommitteePlan, Evaluation, evaluate, memory_bytes
from moeopt.committee.planners import standing_plan
from moeopt.committee.planners_paper import even_slots
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray

#: Seconds that bounds of all layers may take: with fewer they are lower.
_BOUND_S = 2.0

#: Budgets at which is looked what they buy; with several limits each takes longer. How long is
#: looked for the best slots.
_BUDGETS, _BUDGETS_OF_MORE, _EFFORT = 33, 9, 1_000


@dataclass(frozen=True)
class Costs:
    """What each number of slots costs each layer, loss and price of loads.

    Attributes
    ----------
    least
        What no committee of 0, 1, ... slots costs less than, ``(layers, experts + 1)``.
    stays
        Of the best committees that we know that stay as they are, in the same shape.
    """

    least: FloatArray
    stays: FloatArray


def costs_of(problem: CommitteeProblem, period: int) -> Costs:
    """Return what each number of slots costs each layer.

    Parameters
    ----------
    problem
        What was asked.
    period
        Windows from one update to the next, one of the problem's.
    """
    importance = None if problem.loss == "table" else weights(problem)
    least = bound_curves(problem, period, importance, out_of_time_after(_BOUND_S))
    stays = standing(problem, period, "lazy_greedy", importance)
    return Costs(np.stack(least), np.stack(stays.costs))


def layer_costs(problem: CommitteeProblem, value: Evaluation) -> FloatArray:
    """Return loss and price of loads of each layer, ``(layers,)``.

    Parameters
    ----------
    problem, value
        What was asked, and a plan's value.
    """
    price: FloatArray = problem.by_layer(problem.load_price) * value.loads_by_layer
    return value.loss_by_layer + price


def out_of_time_after(seconds: float) -> Callable[[], bool]:
    """Return what tells when so many seconds are over, from now on.

    Parameters
    ----------
    seconds
        How many.
    """
    until_s = time.perf_counter() + seconds
    return lambda: time.perf_counter() > until_s


@dataclass(frozen=True)
class Bought:
    """What budgets buy.

    Attributes
    ----------
    budget_bytes
        Memory of the device, ``(budgets,)``, rising.
    least
        What no plan of this period costs less than, ``(budgets,)``.
    stays
        The least that a committee costs that stays as it is, as far as we know, ``(budgets,)``.
    """

    budget_bytes: FloatArray
    least: FloatArray
    stays: FloatArray


def bought(problem: CommitteeProblem, costs: Costs, period: int) -> Bought:
    """Return what memory buys, from the fewest slots to the most, all other limits as they are.

    Parameters
    ----------
    problem
        What was asked.
    costs
        Of `costs_of`.
    period
        As there.
    """
    shared = rows(problem, period)
    fixed = memory_bytes(problem, np.zeros(problem.layers, dtype=np.int64))
    fewest, most = (memory_bytes(problem, k) - fixed for k in (problem.fewest(), problem.most()))
    count = _BUDGETS if shared.limits.size == 1 else _BUDGETS_OF_MORE
    rooms = np.union1d(np.linspace(fewest, most, count), problem.room_bytes())
    found: list[tuple[float, float, float]] = []
    for room in np.floor(rooms).tolist():
        limits = np.concatenate(([room], shared.limits[1:]))
        least, stays = (
            choose(allowed(problem, list(curves)), shared.uses, limits, effort=_EFFORT)
            for curves in (costs.least, costs.stays)
        )
        if least is not None:
            known = np.nan if stays is None or np.isinf(stays.cost) else stays.cost
            found.append((fixed + room, least.bound, known))
    table = np.array(found).reshape(-1, 3)
    return Bought(table[:, 0], table[:, 1], table[:, 2])


def even_plan(problem: CommitteeProblem, period: int) -> CommitteePlan | None:
    """Return the paper's simple plan, as many slots for each layer; ``None`` if there is none.

    Parameters
    ----------
    problem, period
        As for `costs_of`.
    """
    slots = even_slots(space_of(problem, period))
    if slots is None:
        return None
    importance = None if problem.loss == "table" else weights(problem)
    members = standing(problem, period, "top_importance", importance)
    return standing_plan(problem, slots, period, members, importance)


def parts_of(problem: CommitteeProblem, plan: CommitteePlan) -> dict[str, dict[str, float]]:
    """Return what uses each limit, as a share of it, by the limit's name and the part's.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    size, budget = problem.sizes_bytes(), problem.budget_bytes
    staging, active = problem.by_layer(problem.staging_slots), problem.activation_bytes
    found = {
        "memory": {
            "fixed": problem.fixed_bytes / budget,
            "experts on their way": float((staging * size).sum()) / budget,
            "slots": float((plan.slots * size).sum()) / budget,
            "activations": float((plan.slots * problem.by_layer(active)).sum()) / budget,
        }
    }
    if problem.latency_s:
        slots_s = float((problem.by_layer(problem.slot_s) * plan.slots).sum())
        found["latency"] = {
            "fixed": problem.base_s / problem.latency_s,
            "slots": slots_s / problem.latency_s,
        }
    peak = evaluate(problem, plan).peak_swap_bytes_per_s
    if peak is not None and problem.link_bytes_per_s is not None:
        found["link"] = {"largest update": peak / problem.link_bytes_per_s}
    return found
