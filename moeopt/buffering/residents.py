"""When each item is resident, from a plan's events alone: the checker's part, without a loop.

The marks of time are references as they run, or groups, as in the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from moeopt.buffering.problem import BufferingProblem
from moeopt.core.arrays import BoolArray, IntArray

if TYPE_CHECKING:
    from moeopt.buffering.plan import BufferingPlan


@dataclass(frozen=True)
class Changes:
    """Loads and drops of what is not pinned, item by item, each in order of time.

    Attributes
    ----------
    at, item
        When and of what, ``(changes,)``.
    load
        Whether it is a load, ``(changes,)``.
    row
        Row of the plan's table of loads, or of drops, ``(changes,)``.
    turn
        Place among all items' changes in order of time, drops first, ``(changes,)``.
    sound
        Whether it changes anything: a load of what is absent, a drop of what is there.
    """

    at: IntArray
    item: IntArray
    load: BoolArray
    row: IntArray
    turn: IntArray
    sound: BoolArray


def changes_of(problem: BufferingProblem, plan: BufferingPlan) -> Changes:
    """Return the plan's events in the order in which each item sees them."""
    loads, drops = plan.load_at.size, plan.drop_at.size
    turn = np.empty(loads + drops, dtype=np.int64)
    turn[:drops] = np.arange(drops) + np.searchsorted(plan.load_at, plan.drop_at, side="left")
    turn[drops:] = np.arange(loads) + np.searchsorted(plan.drop_at, plan.load_at, side="right")
    event = np.empty_like(turn)
    event[turn] = np.arange(turn.size)
    item = np.concatenate((plan.drop_item, plan.load_item))
    event = event[~problem.pinned_mask().ravel()[item[event]]]
    event = event[item_order(problem, item[event])]
    load, item = event >= drops, item[event]
    was = np.zeros(event.size, dtype=np.bool_)
    was[1:] = load[:-1] & (item[1:] == item[:-1])
    return Changes(
        at=np.concatenate((plan.drop_at, plan.load_at))[event],
        item=item,
        load=load,
        row=np.where(load, event - drops, event),
        turn=turn[event],
        sound=load != was,
    )


def finds_resident(
    problem: BufferingProblem, changes: Changes, items: IntArray, at: IntArray
) -> BoolArray:
    """Return whether each reference finds its item, after the changes of its time.

    Parameters
    ----------
    problem
        What was asked.
    changes
        What the plan does.
    items, at
        What each reference asks for and when, ``(references,)``, in rising order of time.
    """
    # Sorted questions keep to one stretch of the table at a time.
    order = item_order(problem, items)
    asked, when = items[order], at[order]
    times = np.int64(max(problem.num_references, problem.num_groups) + 1)
    last = np.searchsorted(changes.item * times + changes.at, asked * times + when, "right") - 1
    there = problem.pinned_mask().ravel()[asked]
    known = np.flatnonzero(last >= 0)
    before = last[known]
    there[known] |= changes.load[before] & (changes.item[before] == asked[known])
    found = np.empty_like(there)
    found[order] = there
    return found


def in_time(changes: Changes) -> IntArray:
    """Return the changes of all items in order of time, drops first, ``(changes,)``."""
    order = np.full(1 + int(changes.turn.max(initial=-1)), -1)
    order[changes.turn] = np.arange(changes.turn.size)
    return order[order >= 0]


def item_order(problem: BufferingProblem, items: npt.NDArray[Any]) -> IntArray:
    """Return the order by item that leaves entries of one item as they are, ``(entries,)``."""
    most = problem.num_layers * problem.num_experts
    # NumPy sorts numbers of 16 bits digit by digit.
    narrow = items.astype(np.uint16) if most <= 2**16 else items
    return np.argsort(narrow, kind="stable")
