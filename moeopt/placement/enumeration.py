"""``exact``: enumeration where a layer is tiny and plain, the MILP of the formulation page else."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import BoolArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.placement import balance
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem

#: Shapes up to this size are enumerated: Mixtral's 8 experts on 8 devices of 2 slots, and alike.
MOST_EXPERTS = 12
MOST_SLOTS = 24

#: Steps of the enumeration that all layers share, a few seconds' worth, and of one layer.
STEPS = 60_000_000
STEPS_PER_LAYER = 30_000_000

#: Steps that any machine does in a second: a time limit is turned into steps with it.
STEPS_PER_S = 5_000_000


def solve_exactly(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None = None
) -> Outcome:
    """Prove the optimum: by enumeration where the shape is tiny and plain, else by the MILP.

    A tiny plain layer has at most `MOST_EXPERTS` experts and `MOST_SLOTS` slots on equal devices
    of one block. Where the enumeration's steps do not suffice, the MILP goes on from its plan.
    """
    from moeopt.placement.exact import solve_exact

    if not is_enumerable(problem):
        return solve_exact(problem, context, warm_start)
    outcome = enumerate_within(problem, context)
    if outcome.statistics["proven_layers"] == problem.num_layers or context.out_of_time():
        return outcome
    assert outcome.plan is None or isinstance(outcome.plan, PlacementPlan)
    return solve_exact(problem, context, outcome.plan or warm_start)


def enumerate_within(problem: PlacementProblem, context: Context) -> Outcome:
    """Enumerate every layer of an enumerable problem as far as the steps and the time go."""
    blocks = balance.blocks_of(problem)
    found, proven = enumerate_optimum(blocks, context)
    valid = bool(np.isfinite(found.value).all())
    table = balance.expand(problem, found.table)
    return Outcome(
        plan=PlacementPlan(physical_to_logical=table) if valid else None,
        bound=float(found.bound.sum()),
        limit=Limit.TIME if context.out_of_time() and not proven.all() else None,
        statistics={
            "layer_bound": found.bound.tolist(),
            "proven_layers": int(proven.sum()),
        },
    )


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
    blocks: balance.Blocks, context: Context
) -> tuple[balance.Balanced, BoolArray]:
    """Return the best plan of every layer, and for which layers it is proven optimal.

    Parameters
    ----------
    blocks
        One block of equal devices with equally many slots.
    context
        Its deadline limits the steps.
    """
    from moeopt.placement import _kernels_tiny

    found = balance.search(blocks, balance.AUTO_WORK, context.seed)
    devices = len(blocks.slow)
    speed = 1.0 / float(blocks.slow[0])
    layers = len(found.value)
    proven = np.zeros(layers, dtype=np.bool_)
    value, lower = found.value * speed, found.bound * speed
    for layer in range(layers):
        one = slice(layer, layer + 1)
        _kernels_tiny.enumerate_layers(
            blocks.load[one],
            devices,
            blocks.num_slots // devices,
            blocks.least,
            min(blocks.most, blocks.num_slots),
            blocks.per_device,
            blocks.may_empty,
            lower[one],
            _steps(context, layers, layers - layer),
            found.table[one],
            value[one],
            proven[one],
        )
        context.report(
            float(value.sum() / speed), float(lower.sum() / speed), f"enumerated layer {layer}"
        )
    value /= speed
    bound = np.where(proven, value, found.bound)
    return balance.Balanced(table=found.table, value=value, bound=bound), proven


def _steps(context: Context, layers: int, left: int) -> int:
    """Return the steps that one layer may take, of those that the time left allows."""
    steps = min(STEPS_PER_LAYER, STEPS // layers)
    if context.time_limit_s is None:
        return steps
    return min(steps, int(context.remaining_s() / left * STEPS_PER_S))
