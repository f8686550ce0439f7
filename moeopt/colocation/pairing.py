"""Aurora's ways to choose who shares a device, and those it is compared with.

Every way makes groups first, at most one expert of each model in a group, and puts the groups on
devices then: the paper's two decoupled steps (section 7).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moeopt.colocation._kernels import BOTTLENECK, COMMUNICATION, device_values
from moeopt.colocation.layout import Layout, layout_of, plan_of
from moeopt.colocation.plan import ColocationPlan
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.matching import bottleneck_matching

#: Makes groups of a layout: expert of each model in each group, ``(models, groups)``, -1 for none.
Grouping = Callable[[Layout, int], IntArray]


def sorted_groups(layout: Layout, devices: int) -> IntArray:
    """Pair popular experts of one model with unpopular ones of the other (Theorem 6.2).

    Optimal for the aggregated all-to-all if every expert sends as much as it receives (Case I).
    """
    busy = np.maximum(layout.sent, layout.received)
    experts = _padded(layout, devices)
    load = np.where(experts >= 0, np.take_along_axis(busy, np.maximum(experts, 0), axis=1), 0.0)
    first = experts[0, np.argsort(load[0], kind="stable")]
    second = experts[1, np.argsort(-load[1], kind="stable")]
    return np.stack([first, second])


def matched_groups(layout: Layout, devices: int) -> IntArray:
    """Pair experts by a bottleneck matching (section 6.2, Case II), one model after the other.

    For two models on equal devices the aggregated all-to-all is the shortest possible: the line
    sums of the paired traffic are sums of the two models' line sums.
    """
    experts = _padded(layout, devices)
    sent, received = _lines(layout, experts)
    groups = experts[:1]
    out, into = sent[0], received[0]
    for m in range(1, len(experts)):
        weight = np.maximum(out[:, None] + sent[m][None, :], into[:, None] + received[m][None, :])
        found = bottleneck_matching(weight)
        assert found is not None
        column, _ = found
        groups = np.vstack([groups, experts[m][column]])
        out, into = out + sent[m][column], into + received[m][column]
    return groups


def random_groups(seed: int) -> Grouping:
    """Return the grouping that pairs at random (the paper's REC)."""

    def group(layout: Layout, devices: int) -> IntArray:
        rng = np.random.default_rng(seed)
        experts = _padded(layout, devices)
        return np.vstack([experts[:1], *(rng.permutation(row)[None] for row in experts[1:])])

    return group


def matched_devices(
    problem: ColocationProblem, layout: Layout, groups: IntArray
) -> IntArray | None:
    """Return the device of each group by a bottleneck matching on the time each would take there.

    ``None`` if pins or memory leave no matching.
    """
    objective = COMMUNICATION if problem.objective == "communication" else BOTTLENECK
    weight = group_values(layout, groups, objective)
    weight[~_fits(layout, groups)] = np.inf
    found = bottleneck_matching(weight)
    return None if found is None else found[0]


def group_values(layout: Layout, groups: IntArray, objective: int) -> FloatArray:
    """Return what each group comes to on each device, ``(groups, devices)``.

    Parameters
    ----------
    layout, groups
        The problem, and the expert of each model in each group, ``(models, groups)``.
    objective
        ``BOTTLENECK`` for the time of Table 2, ``COMMUNICATION`` for the all-to-all alone.
    """
    held = (groups >= 0)[:, :, None]
    picked = np.maximum(groups, 0)
    sent, received = _lines(layout, groups, in_bytes=False)
    tokens = np.where(groups >= 0, np.take_along_axis(layout.tokens, picked, axis=1), 0.0)
    speed, port = layout.speed[None, None, :], layout.port[None, None, :]
    phases = np.stack(
        [
            held * layout.fixed[:, 0, None, None] / speed,
            sent[:, :, None] / port,
            received[:, :, None] / port,
            (tokens * layout.seconds[:, None])[:, :, None] / speed,
            held * layout.fixed[:, 1, None, None] / speed,
        ]
    )
    flat = np.ascontiguousarray(phases.reshape(5, len(groups), -1))
    values = device_values(objective, flat, layout.there, layout.back)
    return np.asarray(values).reshape(phases.shape[2:])


def placed(problem: ColocationProblem, groups: IntArray, device: IntArray) -> ColocationPlan:
    """Return the plan that puts group `p` on device ``device[p]``."""
    at = np.full(
        (problem.num_models, problem.num_devices, problem.experts_per_device), -1, dtype=np.int64
    )
    at[:, device, 0] = groups
    return plan_of(problem, at)


def lina(problem: ColocationProblem) -> ColocationPlan:
    """Return Lina's packing: each model on devices of its own, popular with unpopular experts.

    The most popular expert shares a device with the least popular one of the same model, the next
    with the next; with more than two to a device the turns go on to and fro. Devices are dealt to
    the models in turn, and the busiest pack gets the fastest device.
    """
    layout = layout_of(problem)
    at = np.full(
        (problem.num_models, problem.num_devices, problem.experts_per_device), -1, dtype=np.int64
    )
    fastest = np.argsort(-layout.speed, kind="stable")
    for m, experts in enumerate(problem.experts().tolist()):
        own = fastest[m :: problem.num_models]
        packs: list[list[int]] = [[] for _ in own]
        for turn, e in enumerate(np.argsort(-layout.tokens[m, :experts], kind="stable").tolist()):
            lap, place = divmod(turn, len(own))
            packs[place if lap % 2 == 0 else len(own) - 1 - place].append(e)
        packs.sort(key=lambda pack: -layout.tokens[m, pack].sum())
        for g, pack in zip(own.tolist(), packs, strict=True):
            at[m, g, : len(pack)] = pack
    return plan_of(problem, at)


def refuses_lina(problem: ColocationProblem) -> str | None:
    """Say why every model cannot have devices of its own, if it cannot."""
    own = problem.num_devices // problem.num_models
    if problem.num_experts > own * problem.experts_per_device:
        return (
            f"each model's {problem.num_experts} experts must fit on {own} devices of its own:"
            " raise experts_per_device"
        )
    return None


def refuses_groups(problem: ColocationProblem) -> str | None:
    """Say why groups of one expert of each model do not fit the problem, if they do not."""
    if problem.num_experts > problem.num_devices:
        return "it puts one expert of a model on a device, and there are more experts"
    return None


def refuses_sorted(problem: ColocationProblem) -> str | None:
    """Say why the sort of Theorem 6.2 does not fit the problem, if it does not."""
    if problem.num_models != 2:
        return "it pairs two models"
    return refuses_equal(problem)


def refuses_equal(problem: ColocationProblem) -> str | None:
    """Say why groups alone are no plan of the problem, if they are not."""
    if not has_equal_devices(problem):
        return "its devices must be equal, or it matters which group is where: see two_step"
    if problem.pinned:
        return "it knows no pins"
    return refuses_groups(problem)


def has_equal_devices(problem: ColocationProblem) -> bool:
    """Tell whether it does not matter which group is on which device."""
    layout = layout_of(problem)
    kinds = np.stack([layout.speed, layout.port, layout.budget])
    return bool((kinds == kinds[:, :1]).all())


def _padded(layout: Layout, devices: int) -> IntArray:
    """Return each model's experts, and -1 for the devices that hold none: ``(models, devices)``."""
    models, experts = layout.tokens.shape
    there = layout.count[:, None] > np.arange(experts)[None, :]
    table = np.full((models, devices), -1, dtype=np.int64)
    width = min(experts, devices)
    table[:, :width] = np.where(there, np.arange(experts), -1)[:, :width]
    return table


def _lines(
    layout: Layout, groups: IntArray, in_bytes: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Return what each model's expert of each group sends and receives, ``(models, groups)``."""
    picked = np.maximum(groups, 0)
    factor = layout.there[:, None] if in_bytes else 1.0
    both = (layout.sent, layout.received)
    sent, received = (
        np.where(groups >= 0, np.take_along_axis(one, picked, axis=1), 0.0) * factor for one in both
    )
    return sent, received


def _fits(layout: Layout, groups: IntArray) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Tell which groups may sit on which device by pins and memory, ``(groups, devices)``."""
    size = ((groups >= 0) * layout.size[:, None]).sum(axis=0)
    fits = size[:, None] <= layout.budget[None, :]
    for m, row in enumerate(groups):
        fits &= layout.allowed[m, np.maximum(row, 0)] | (row < 0)[:, None]
    return np.asarray(fits)
