"""A colocation plan as its workers see it: each model's layout, and the tokens it is made for."""

from __future__ import annotations

import numpy as np

from moeopt.adapters.torch.layout import Layout, require_valid
from moeopt.colocation.plan import ColocationPlan, violations
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import FloatArray, IntArray


def layouts_of_colocation(problem: ColocationProblem, plan: ColocationPlan) -> list[Layout]:
    """Return one layout for each model: a slot for each expert, on its device.

    Raises
    ------
    InstanceError
        If the plan breaks the problem's rules.
    """
    layouts = []
    for device in _devices(problem, plan):
        slots = np.bincount(device, minlength=problem.num_devices)
        layouts.append(Layout.even(np.argsort(device, kind="stable"), slots))
    return layouts


def tokens_of_colocation(
    problem: ColocationProblem,
    plan: ColocationPlan,
    world: int | None = None,
    *,
    scale: float = 1.0,
) -> list[list[IntArray]]:
    """Return the experts of the tokens that stand on each rank, for each model.

    From the device of expert a, ``scale * traffic_tokens[a, b]`` tokens go to expert b, one row
    each. Where these are no whole numbers, sums over runs of the matrix are right to one token.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    world
        How many ranks, if consecutive devices are one rank, as in `Layout.folded`.
    scale
        Tokens for each token of the problem.

    Returns
    -------
    list
        For each model and rank the ``expert_ids`` of a layer, ``(tokens, 1)``.

    Raises
    ------
    InstanceError
        If the plan breaks the problem's rules, or `world` is no divisor of the devices.
    """
    layouts = layouts_of_colocation(problem, plan)
    ranks = layouts[0].folded(problem.num_devices if world is None else world).num_ranks
    tokens = []
    for model, device in zip(problem.models, _devices(problem, plan), strict=True):
        count = _whole(scale * model.traffic_tokens)
        rank = device * ranks // problem.num_devices
        tokens.append([_ids(count[rank == own]) for own in range(ranks)])
    return tokens


def _devices(problem: ColocationProblem, plan: ColocationPlan) -> list[IntArray]:
    """Return the device of each expert of each model, if the plan is valid."""
    require_valid(violations(problem, plan))
    return [
        device[: model.num_experts].astype(np.int64)
        for model, device in zip(problem.models, plan.device, strict=True)
    ]


def _whole(tokens: FloatArray) -> IntArray:
    """Return whole numbers whose running sum, row by row, is the given one's, rounded."""
    upto = np.rint(np.cumsum(tokens)).astype(np.int64)
    return np.diff(upto, prepend=0).reshape(tokens.shape)


def _ids(count: IntArray) -> IntArray:
    """Return each column's number as often as its rows say, row by row, ``(tokens, 1)``."""
    column = np.tile(np.arange(count.shape[1]), len(count))
    return np.repeat(column, count.ravel())[:, None]
