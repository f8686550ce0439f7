"""Committees that follow the windows, planned in hindsight, and bounds that know the link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.committee.curves import prices_tried
from moeopt.committee.hindsight import hindsight_schedule
from moeopt.committee.link import carried
from moeopt.committee.loss import weights
from moeopt.committee.masked import update_tokens
from moeopt.committee.plan import CommitteePlan, evaluate, resident_at, violations
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.submodular import lazy_greedy
from moeopt.core.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Moving:
    """A committee that changes.

    Attributes
    ----------
    plan
        What it loads and drops.
    cost
        Its objective.
    """

    plan: CommitteePlan
    cost: float


def moving(
    problem: CommitteeProblem,
    slots: IntArray,
    period: int,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Moving:
    """Return the best schedule that hindsight finds for these slots.

    Where losses add up and the link carries it, it is the optimum of these slots. Otherwise loads
    are made dearer until the link nearly carries what is left, and it is cut to what it does carry.
    Under masked gating the flow runs on what experts are worth beside one another.

    Parameters
    ----------
    problem
        What was asked, with any loss but a table.
    slots
        Of each layer, ``(layers,)``.
    period
        Windows from one update to the next.
    out_of_time
        Asked now and then.
    """
    found: list[Moving] = []
    for importance in _values(problem, period, out_of_time):
        plan, _ = hindsight_schedule(problem, slots, period, importance, out_of_time)
        if not _too_slow(problem, plan):
            found.append(_valued(problem, plan))
            continue
        found.append(_within_link(problem, plan, importance, out_of_time))
        if out_of_time():
            break
    return min(found, key=lambda one: one.cost)


def soon(problem: CommitteeProblem, slots: IntArray, period: int, importance: FloatArray) -> Moving:
    """Return what is left of each update's best committee when loads are paid for and take time.

    It takes no flow, and is often far better than a committee that stays.

    Parameters
    ----------
    problem, slots, period
        As for `moving`.
    importance
        The problem's `weights`.
    """
    free = msgspec.structs.replace(problem, load_price=0.0)
    plan, _ = hindsight_schedule(free, slots, period, importance)
    wanted = resident_at(problem, plan)
    return _valued(problem, carried(problem, slots, period, wanted, importance))


def dearer(problem: CommitteeProblem, byte_price: float) -> CommitteeProblem:
    """Return the problem with loads dearer by a price for each byte.

    Parameters
    ----------
    problem
        What was asked.
    byte_price
        In units of the loss.
    """
    price = problem.by_layer(problem.load_price) + byte_price * problem.sizes_bytes()
    return msgspec.structs.replace(problem, load_price=price)


def highest_price(problem: CommitteeProblem, importance: FloatArray) -> float:
    """Return the price of a byte above which no expert is worth its load.

    Lowered to one at which prices of loads stay finite.

    Parameters
    ----------
    problem, importance
        As for `moving`.
    """
    sizes = problem.sizes_bytes()
    most = float(importance.sum(axis=0).max())
    return min(most / float(sizes.min()), 1e300 / float(sizes.max()))


def updates_of(problem: CommitteeProblem, period: int) -> int:
    """Return how many updates load by the link.

    Parameters
    ----------
    problem, period
        As for `moving`.
    """
    updates = -(-problem.num_windows // period)
    return updates - 1 if problem.free_fill else updates


def _values(
    problem: CommitteeProblem, period: int, out_of_time: Callable[[], bool]
) -> list[FloatArray]:
    """Return what each expert is worth in each window, in each way that is tried."""
    own = weights(problem)
    if problem.loss != "masked" or problem.router is None:
        return [own]
    joined = np.zeros_like(own)
    for update, tokens in enumerate(update_tokens(problem, period)):
        if out_of_time():
            return [own]
        for layer in range(problem.num_layers):
            found = lazy_greedy(problem.router[tokens, layer], problem.top_k, problem.num_experts)
            gains = np.maximum(0.0, np.diff(found.retained))
            joined[update * period, layer, found.experts] = gains
    return [own, joined]


def _within_link(
    problem: CommitteeProblem,
    plan: CommitteePlan,
    importance: FloatArray,
    out_of_time: Callable[[], bool],
) -> Moving:
    """Return the best of what is left of schedules at several prices of a byte."""
    slots, period = plan.slots, plan.period

    def cut(whole: CommitteePlan) -> Moving:
        wanted = resident_at(problem, whole)
        return _valued(problem, carried(problem, slots, period, wanted, importance))

    best = cut(plan)
    high, low = highest_price(problem, importance), 0.0
    for _ in range(prices_tried(problem)):
        if out_of_time():
            break
        price = high / 32 if low == 0.0 else (low * high) ** 0.5
        plan, _ = hindsight_schedule(dearer(problem, price), slots, period, importance, out_of_time)
        best = min(best, cut(plan), key=lambda one: one.cost)
        if _too_slow(problem, plan):
            low = price
        else:
            high = price
    return best


def _too_slow(problem: CommitteeProblem, plan: CommitteePlan) -> bool:
    """Tell whether the link does not carry the plan's loads."""
    return any(broken.constraint == "C3" for broken in violations(problem, plan))


def _valued(problem: CommitteeProblem, plan: CommitteePlan) -> Moving:
    return Moving(plan, evaluate(problem, plan).objective)
