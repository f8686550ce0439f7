"""How an expert's tokens split over its copies: evenly, to the nearest, or optimally."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.problem import PlacementProblem

#: Most numbers in an array of a block of layers (8 MiB), unless one layer alone has more.
BLOCK_CELLS = 1 << 20


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


@dataclass(frozen=True)
class Way:
    """One way to a copy, such as "on the source's node"; a split is the sum of its ways.

    Of what source i sends to expert e, device g serves ``taken[l, i, e] * share[l, e, g] *
    reach[i, g]``. Tokens are products of these matrices, so that no array over sources, experts
    and devices at once is ever made.

    Attributes
    ----------
    taken
        1 where a source's tokens take this way, shape ``(layers, sources, experts)``.
    share
        Shape ``(layers, experts, devices)``.
    reach
        1 where a device can be reached from a source, shape ``(sources, devices)``.
    """

    taken: npt.NDArray[np.bool_]
    share: FloatArray
    reach: FloatArray

    def served(self, sources: FloatArray) -> FloatArray:
        """Return the share that each device serves, ``(layers, experts, devices)``."""
        return np.asarray(self.share * ((sources * self.taken).swapaxes(1, 2) @ self.reach))

    def traffic(self, sent: FloatArray) -> FloatArray:
        """Return the tokens from sources to devices, ``(layers, sources, devices)``."""
        return np.asarray(((sent * self.taken) @ self.share) * self.reach)


def shares_of_plan(problem: PlacementProblem, copies: IntArray, load: FloatArray) -> FloatArray:
    """Return the share of each expert's tokens, over all sources, that each device serves.

    Parameters
    ----------
    copies
        Of each expert on each device, shape ``(layers, experts, devices)``.
    load
        Tokens of one scenario, shape ``(layers, experts)``; only the optimal split looks at them.

    Returns
    -------
    FloatArray
        Shape ``(layers, experts, devices)``, summing to 1 over devices; under ``"activated"``
        the copies.
    """
    if problem.objective == "activated":
        return copies.astype(np.float64)
    if problem.split == "nearest":
        return _nearest_shares(problem, copies)
    if problem.split == "optimal":
        speed = problem.cluster.relative_speed()
        layers = [_optimal_layer(on > 0, w, speed) for on, w in zip(copies, load, strict=True)]
        return np.stack(layers)
    return _even(copies)


def traffic_of_plan(
    problem: PlacementProblem, copies: IntArray, loads: FloatArray
) -> Iterator[tuple[int, slice, FloatArray]]:
    """Yield the tokens from each source to each device, a few layers at a time.

    The optimal split has none: it says what devices serve, not for whom. Where sources move with
    the experts, both ends are split evenly over the copies (`traffic_between_copies`).

    Yields
    ------
    tuple
        Scenario, layers, and their tokens of shape ``(layers, devices, devices)``.
    """
    if problem.expert_traffic_tokens is not None:
        for layers in _layer_blocks(problem):
            tokens = problem.expert_traffic_tokens[layers]
            yield 0, layers, traffic_between_copies(copies[layers], tokens)
        return
    everywhere = problem.split == "even" and problem.source_tokens is None
    by_layer = np.moveaxis(problem.source_shares(), 0, 1)
    for layers in _layer_blocks(problem):
        sources = by_layer[layers]
        ways = _ways(problem, copies[layers])
        for scenario, load in enumerate(loads[:, layers, None]):
            if everywhere:
                # Every source sends the same part of what a device serves.
                yield scenario, layers, sources[:, :, :1] * (load @ ways[0].share)
            else:
                sent = sources * load
                yield scenario, layers, np.asarray(sum(way.traffic(sent) for way in ways))


def traffic_between_copies(copies: IntArray, tokens: FloatArray) -> FloatArray:
    """Return the tokens from each device to each device, where sources move with the experts.

    Each copy of an expert sends its share of what the expert sends, and serves its share of what
    the expert serves; tokens of an expert to itself stay on the copy that has them.

    Parameters
    ----------
    copies
        Of each expert on each device, shape ``(layers, experts, devices)``.
    tokens
        From the device of each expert to each expert, shape ``(layers, experts, experts)``.

    Returns
    -------
    FloatArray
        Shape ``(layers, devices, devices)``.
    """
    share = _even(copies)
    own = np.diagonal(tokens, axis1=1, axis2=2)
    between = share.swapaxes(1, 2) @ (tokens * ~np.eye(tokens.shape[1], dtype=np.bool_)) @ share
    device = np.arange(copies.shape[2])
    between[:, device, device] += (own[:, None] @ share)[:, 0]
    return np.asarray(between)


def _layer_blocks(problem: PlacementProblem) -> list[slice]:
    """Cut the layers into blocks whose arrays of devices by experts, or devices, stay small."""
    cells = problem.num_devices * max(problem.num_experts, problem.num_devices)
    if problem.expert_traffic_tokens is not None:
        cells = max(cells, problem.num_experts**2)
    step = max(1, BLOCK_CELLS // cells)
    return [slice(first, first + step) for first in range(0, problem.num_layers, step)]


def _even(candidates: npt.NDArray[Any]) -> FloatArray:
    """Share evenly over the last axis; where there are none, nothing is served."""
    total = candidates.sum(axis=-1, keepdims=True)
    return np.asarray(candidates / np.maximum(total, 1))


def _ways(problem: PlacementProblem, copies: IntArray) -> tuple[Way, ...]:
    """Return the ways of the even or the nearest split.

    Nearest is SGLang's static rule: a copy on the source device, else on its node, else any,
    evenly. Where several copies are equally near, SGLang draws one per source at random once;
    this is the expectation of that draw.
    """
    anywhere = np.ones((problem.num_devices, problem.num_devices))
    if problem.split == "even":
        return (Way(np.ones((1, 1, 1), dtype=np.bool_), _even(copies), anywhere),)
    node = problem.cluster.device_node()
    same_node = (node[:, None] == node[None, :]).astype(np.float64)
    # Copies on the node of each device.
    near = copies.astype(np.float64) @ same_node
    at_home = (copies > 0).swapaxes(1, 2)
    on_node = (near > 0).swapaxes(1, 2)
    return (
        Way(at_home, (copies > 0).astype(np.float64), np.eye(len(node))),
        Way(on_node & ~at_home, copies / np.maximum(near, 1), same_node),
        Way(~on_node, _even(copies), anywhere),
    )


def _nearest_shares(problem: PlacementProblem, copies: IntArray) -> FloatArray:
    by_layer = np.moveaxis(problem.source_shares(), 0, 1)
    shares = np.empty(copies.shape)
    for layers in _layer_blocks(problem):
        ways = _ways(problem, copies[layers])
        shares[layers] = sum(way.served(by_layer[layers]) for way in ways)
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
