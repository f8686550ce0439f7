"""One plan for all tasks, or one for each and a migration at every switch: which costs less.

Between the two there is a trade: plans of the tasks that are near to each other switch cheaply, but
serve worse. `choose` looks along it, from the plan for all tasks to those for each, and from the
own plan of the task that lasts most to the others'.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.solve import solve
from moeopt.placement.arrays import NoPlacementError
from moeopt.placement.plan import PlacementPlan, violations
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.robust.reduction import scenarios
from moeopt.placement.robust.traffic import Traffic

if TYPE_CHECKING:
    from moeopt.placement.motion.costs import Costs

#: Shares of the way from a common plan to each task's own at which plans are looked at, in bytes.
STEPS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)

#: Objectives that a plan for several tasks may have.
_OBJECTIVES = ("mean_max", "cvar", "worst_max", "max_load")


@dataclass(frozen=True, eq=False)
class Turns:
    """What a batch costs on average where each task has its table.

    Attributes
    ----------
    name
        How the tables were made.
    tables
        ``(tasks, layers, slots)``.
    serving_s
        Of a batch, every task under its own table.
    switch_s
        Of a switch: the migration, and what batches lose until the switch is noticed.
    expected_s
        Of a batch, its part of the switches included.
    """

    name: str
    tables: IntArray
    serving_s: float
    switch_s: float
    expected_s: float

    def lasting(self, batches: float) -> float:
        """Return the expected seconds of a batch if tasks last so many batches on average.

        Each task lasts longer or shorter by the same factor, and longer than it takes to notice.
        """
        return self.serving_s + self.switch_s / batches


@dataclass(frozen=True, eq=False)
class Choice:
    """One plan for all tasks against several.

    Attributes
    ----------
    one_plan
        The plan for all tasks.
    apart
        Each task's own plan, devices renumbered so that they share what they can.
    near
        Plans on the way between, nearest to each other first for each start.
    break_even_s
        Mean seconds between switches from which the plans of `apart` cost less than `one_plan`;
        ``inf`` if they never do. Tasks' parts of the time stay as they are.
    """

    one_plan: Turns
    apart: Turns
    near: tuple[Turns, ...]
    break_even_s: float

    @property
    def options(self) -> tuple[Turns, ...]:
        """All that were compared."""
        return (self.one_plan, self.apart, *self.near)

    @property
    def best(self) -> Turns:
        """The cheapest of all; `one_plan` among equals."""
        return min(self.options, key=lambda turns: turns.expected_s)


def turns(
    name: str,
    tables: IntArray | Sequence[IntArray],
    traffic: Traffic,
    costs: Costs,
    slots_per_device: int,
) -> Turns:
    """Return the expected seconds of a batch under one table for each task.

    Migrations are counted in full, as if nothing was served meanwhile.

    Parameters
    ----------
    name
        For the result.
    tables
        Of each task, ``(tasks, layers, slots)``.
    traffic
        The tasks.
    costs
        Of batches and migrations.
    slots_per_device
        Slots of each device.
    """
    if len(tables) != traffic.num_tasks:
        raise InstanceError(
            "tables", f"<{len(tables)} tables>", f"must be {traffic.num_tasks}", "one for each task"
        )

    @cache
    def serves(task: int, table: int) -> float:
        """Return the seconds of a task's mean batch under another's table."""
        loads = traffic.batches[task]
        return float(costs.layers_s(loads, tables[table], slots_per_device).sum(axis=1).mean())

    serving_s = float(traffic.shares() @ [serves(i, i) for i in range(len(tables))])
    unnoticed = traffic.notice_s * traffic.batches_per_s
    visits, follows = traffic.visits(), traffic.follows()
    switch_s = 0.0
    for i, j in permutations(range(len(tables)), 2):
        often = float(visits[i] * follows[i, j])
        if often == 0 or np.array_equal(tables[i], tables[j]):
            continue
        migration_s = costs.migration_s(tables[i], tables[j], slots_per_device)
        switch_s += often * (migration_s + unnoticed * (serves(j, i) - serves(j, j)))
    batches = traffic.mean_dwell_s() * traffic.batches_per_s
    expected_s = serving_s + switch_s / batches
    return Turns(name, np.stack(list(tables)), serving_s, switch_s, expected_s)


def break_even_s(traffic: Traffic, one: Turns, other: Turns) -> float:
    """Return the mean seconds between switches from which `other` costs no more than `one`.

    Every task's dwell is made longer or shorter by the same factor. ``inf`` if `other` never costs
    less, however long tasks last; at least the traffic's `notice_s`.

    Parameters
    ----------
    traffic
        What both were scored on.
    one, other
        As `turns` returns them.
    """
    saved_s = one.serving_s - other.serving_s
    paid_s = other.switch_s - one.switch_s
    if saved_s < 0 or (saved_s == 0 and paid_s > 0):
        return math.inf
    batches = paid_s / saved_s if saved_s > 0 else 0.0
    return max(batches / traffic.batches_per_s, traffic.notice_s)


def choose(
    problem: PlacementProblem,
    traffic: Traffic,
    costs: Costs,
    *,
    each: int = 1,
    method: str = "auto",
    time_limit_s: float | None = None,
    seed: int = 0,
) -> Choice:
    """Make one plan for all tasks, one for each, and some between, and say what a batch costs.

    Parameters
    ----------
    problem
        Devices, slots and rules, and the objective of the plan for all tasks, such as
        ``"mean_max"``; the loads are those of `traffic`, whatever the problem's own are.
    traffic
        The tasks.
    costs
        Of batches and migrations.
    each
        Most load scenarios of a task: 1 plans for its mean batch.
    method, time_limit_s, seed
        Of the solver, for each of the plans.

    Raises
    ------
    InstanceError
        If the problem does not fit, or states a plan in force: here there are several.
    NoPlacementError
        If no plan was found.
    """
    _check(problem, traffic)
    slots = int(problem.slots()[0])
    few = [scenarios(batches, each=each) for batches in traffic.batches]
    solver = {"method": method, "time_limit_s": time_limit_s, "seed": seed}
    own = [_plan(problem, one.loads_tokens, one.weights, solver) for one in few]
    common = _plan(
        problem,
        np.concatenate([one.loads_tokens for one in few]),
        np.concatenate([s * one.weights for s, one in zip(traffic.shares(), few, strict=True)]),
        solver,
    )

    def score(name: str, tables: Sequence[IntArray]) -> Turns:
        return turns(name, tables, traffic, costs, slots)

    one_plan = score("one plan", [common] * traffic.num_tasks)
    apart = score("one each", _relabelled(problem, own))
    most = int(traffic.shares().argmax())
    starts = {"one plan": common, f"task {most}'s plan": own[most]}
    between = [
        score(f"near {name}, {step:g} of the way", tables)
        for name, start in starts.items()
        for step, tables in _near(problem, traffic.means(), start, costs.expert_bytes)
    ]
    return Choice(one_plan, apart, tuple(between), break_even_s(traffic, one_plan, apart))


def _check(problem: PlacementProblem, traffic: Traffic) -> None:
    shape = traffic.batches[0].shape[1:]
    if shape != (problem.num_layers, problem.num_experts):
        raise InstanceError(
            "traffic.batches",
            f"<{shape[0]} layers, {shape[1]} experts>",
            f"must have the problem's {problem.num_layers} and {problem.num_experts}",
            "count the same layers and experts",
        )
    if (problem.slots() != problem.slots()[0]).any():
        raise InstanceError(
            "$.slots_per_device", problem.slots().tolist(), "must be equal here", "give one number"
        )
    if problem.previous is not None:
        raise InstanceError(
            "$.previous",
            "<a plan>",
            "must be left out",
            "here each task's plan comes before another",
        )
    if problem.objective not in _OBJECTIVES:
        raise InstanceError(
            "$.objective",
            problem.objective,
            f"must be one of {', '.join(_OBJECTIVES)}",
            "state mean_max",
        )


def _plan(
    problem: PlacementProblem, loads: FloatArray, weights: FloatArray, solver: dict[str, Any]
) -> IntArray:
    asked = msgspec.structs.replace(problem, loads_tokens=loads, scenario_weights=weights)
    result: Any = solve(asked, **solver)
    if result.plan is None:
        raise NoPlacementError(result.why())
    table: IntArray = result.plan.physical_to_logical
    return table


def _relabelled(problem: PlacementProblem, own: Sequence[IntArray]) -> list[IntArray]:
    """Renumber the devices of all plans after the first, so that switches to it are cheap.

    Where the rules name devices, a plan stays as it is if it would break them.
    """
    from moeopt.placement.relabel import device_kinds, relabelled

    start, kind = problem.slot_start(), device_kinds(problem)
    tables = [own[0]]
    for table in own[1:]:
        renumbered = relabelled(table, own[0], start, kind=kind)
        broken = violations(problem, PlacementPlan(physical_to_logical=renumbered))
        tables.append(table if broken else renumbered)
    return tables


def _near(
    problem: PlacementProblem, means: FloatArray, start: IntArray, expert_bytes: float
) -> Iterator[tuple[float, list[IntArray]]]:
    """Yield a table for each task at each of `STEPS`, by replanning from a common start."""
    from moeopt.placement.replan import replan_front

    stated = problem.expert_bytes
    fronts = [
        replan_front(
            msgspec.structs.replace(
                problem,
                loads_tokens=loads,
                scenario_weights=None,
                objective="max_load",
                cvar_tail=None,
                expert_bytes=expert_bytes if stated is None else stated,
                previous=start,
            )
        )
        for loads in means
    ]
    farthest = max(float(front.moved_bytes[-1]) for front in fronts)
    for step in STEPS:
        yield step, [front.table(front.within(step * farthest)) for front in fronts]
