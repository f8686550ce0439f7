"""``exact``: enumeration where a layer is tiny and plain, the MILP of the formulation page else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from moeopt.core.arrays import BoolArray
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.placement import balance
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem

#: Shapes up to this size are enumerated: Mixtral's 8 experts on 8 devices of 2 slots, and alike.
MOST_EXPERTS = 12
MOST_SLOTS = 24

#: Steps of the enumeration for each layer, about a second; beyond them the MILP goes on.
STEPS = 30_000_000


def solve_exactly(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None = None
) -> Outcome:
    """Prove the optimum: by enumeration where the shape is tiny and plain, else by the MILP.

    A tiny plain layer has at most `MOST_EXPERTS` experts and `MOST_SLOTS` slots on equal devices
    of one block. With a time limit the MILP is asked, which can be stopped anywhere.
    """
    from moeopt.placement.exact import solve_exact

    if not is_enumerable(problem):
        return solve_exact(problem, context, warm_start)
    blocks = balance.blocks_of(problem)
    found, proven = enumerate_optimum(blocks, may_empty=problem.allow_empty_slots)
    plan = PlacementPlan(physical_to_logical=balance.expand(problem, found.table))
    if proven.all() and np.isfinite(found.value).all():
        return Outcome(
            plan=plan,
            bound=float(found.value.sum()),
            statistics={"layer_bound": found.value.tolist(), "enumerated_layers": len(proven)},
        )
    started = plan if np.isfinite(found.value).all() else warm_start
    outcome = solve_exact(problem, context, started)
    return replace(outcome, statistics={**outcome.statistics, "enumerated_layers": 0})


def is_enumerable(problem: PlacementProblem) -> bool:
    """Tell whether enumeration takes the problem: plain, tiny, equal devices, one block."""
    live = problem.live()
    slots = problem.slots()[live]
    speed = problem.cluster.relative_speed()[live]
    return (
        balance.is_plain(problem)
        and problem.group_rule == "free"
        and problem.num_experts <= MOST_EXPERTS
        and int(slots.sum()) <= MOST_SLOTS
        and bool((slots == slots[0]).all())
        and bool((speed == speed[0]).all())
        and int(slots[0]) > 0
    )


def enumerate_optimum(
    blocks: balance.Blocks, *, may_empty: bool = False, seed: int = 0
) -> tuple[balance.Balanced, BoolArray]:
    """Return the optimal plan of every layer, and for which layers it is proven.

    Parameters
    ----------
    blocks
        One block of equal devices with equally many slots.
    may_empty
        Whether slots may stay empty.
    seed
        Of the search that finds the first incumbent.
    """
    from moeopt.placement import _kernels_tiny

    found = balance.search(blocks, balance.AUTO_WORK, seed)
    devices = len(blocks.slow)
    speed = 1.0 / float(blocks.slow[0])
    most = min(blocks.most, blocks.num_slots)
    if blocks.per_device > 0:
        most = min(most, blocks.per_device * devices)
    proven = np.zeros(len(found.value), dtype=np.bool_)
    value = found.value * speed
    _kernels_tiny.enumerate_layers(
        blocks.load,
        devices,
        blocks.num_slots // devices,
        blocks.least,
        most,
        blocks.per_device,
        may_empty,
        found.bound * speed,
        STEPS,
        found.table,
        value,
        proven,
    )
    value /= speed
    bound = np.where(proven, value, found.bound)
    return balance.Balanced(table=found.table, value=value, bound=bound), proven
