"""How an expert's tokens split over its copies: evenly, to the nearest, or optimally."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.problem import PlacementProblem


def slot_loads(table: npt.NDArray[Any], loads: FloatArray, *, divide: bool = True) -> FloatArray:
    """Return the tokens of each slot under the even split, shape ``(scenarios, layers, slots)``.

    Parameters
    ----------
    table
        Expert in each slot, shape ``(layers, slots)``, -1 for an empty slot.
    loads
        Shape ``(scenarios, layers, experts)``.
    divide
        Whether copies share an expert's load; without it every copy counts it whole.
    """
    layers, experts = loads.shape[1:]
    safe = np.where(table < 0, 0, table)
    index = np.arange(layers)[:, None] * experts + safe
    if divide:
        used = index[table >= 0]
        count = np.bincount(used, minlength=layers * experts)
        loads = loads / np.maximum(count, 1).reshape(layers, experts)
    per_slot = loads.reshape(len(loads), -1)[:, index]
    return np.where(table < 0, 0.0, per_slot)


def shares_of_plan(problem: PlacementProblem, copies: IntArray, loads: FloatArray) -> FloatArray:
    """Return the share of each expert's tokens from each source that each device serves.

    Shape ``(scenarios, layers, sources, experts, devices)``, summing to 1 over devices;
    scenarios and sources have length 1 where they make no difference (broadcast).
    """
    if problem.objective == "activated":
        return copies[None, :, None].astype(np.float64)
    if problem.split == "nearest":
        return _nearest_shares(problem, copies)[None]
    if problem.split == "optimal":
        return _optimal_shares(problem, copies, loads)[:, :, None]
    return _even(copies)[None, :, None]


def _even(candidates: npt.NDArray[Any]) -> FloatArray:
    """Share evenly over the last axis; where there are none, nothing is served."""
    total = candidates.sum(axis=-1, keepdims=True)
    return np.asarray(candidates / np.maximum(total, 1))


def _nearest_shares(problem: PlacementProblem, copies: IntArray) -> FloatArray:
    """SGLang's static rule: a copy on the source device, else on its node, else any, evenly.

    Where several copies are equally near, SGLang draws one per source at random once; this is
    the expectation of that draw.
    """
    node = problem.cluster.device_node()
    same_node = (node[:, None] == node[None, :]).astype(np.int64)
    same_device = np.eye(problem.num_devices, dtype=np.int64)
    everywhere = np.broadcast_to(
        copies[:, None], (len(copies), problem.num_devices, *copies.shape[1:])
    )
    near = everywhere * same_node[None, :, None, :]
    here = everywhere * same_device[None, :, None, :]
    candidates = np.where(near.any(axis=-1, keepdims=True), near, everywhere)
    candidates = np.where(here.any(axis=-1, keepdims=True), here, candidates)
    return _even(candidates)


def _optimal_shares(problem: PlacementProblem, copies: IntArray, loads: FloatArray) -> FloatArray:
    """Split every scenario's tokens so that its largest device load over speed is least (LPLB)."""
    speed = problem.cluster.relative_speed()
    shares = np.broadcast_to(_even(copies), (len(loads), *copies.shape)).copy()
    for s in range(len(loads)):
        for layer in range(len(copies)):
            shares[s, layer] = _optimal_layer(copies[layer] > 0, loads[s, layer], speed)
    return shares


def _optimal_layer(on: npt.NDArray[np.bool_], load: FloatArray, speed: FloatArray) -> FloatArray:
    """Solve ``min M: sum_g f_eg = w_e, sum_e f_eg <= M v_g, f >= 0 on copies`` for one layer."""
    from scipy import sparse
    from scipy.optimize import linprog

    expert, device = np.nonzero(on & (load > 0)[:, None])
    shares = _even(on)
    if len(expert) == 0:
        return shares
    pairs = np.arange(len(expert))
    scale = load.sum()
    used, row = np.unique(expert, return_inverse=True)
    serve = sparse.csr_array((np.ones(len(pairs)), (row, pairs)), shape=(len(used), len(pairs) + 1))
    columns = np.append(pairs, np.full(len(speed), len(pairs)))
    rows = np.append(device, np.arange(len(speed)))
    values = np.append(np.ones(len(pairs)), -speed)
    limit = sparse.csr_array((values, (rows, columns)), shape=(len(speed), len(pairs) + 1))
    cost = np.zeros(len(pairs) + 1)
    cost[-1] = 1.0
    answer = linprog(
        cost, A_ub=limit, b_ub=np.zeros(len(speed)), A_eq=serve, b_eq=load[used] / scale
    )
    if answer.status != 0:
        # The even split is always a split; a failed LP costs quality, never validity.
        return shares
    flow = np.zeros(on.shape)
    flow[expert, device] = np.maximum(answer.x[:-1], 0.0) * scale
    total = flow.sum(axis=1, keepdims=True)
    return np.where(total > 0, flow / np.where(total > 0, total, 1.0), shares)
