"""Transfers that no plan can do without: a linear program over all layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.bench.motion_cases import Change
from moeopt.core.arrays import FloatArray
from moeopt.placement.plan import held_before


def least_transfers(change: Change, imbalance: float) -> float | None:
    """Return a lower bound on the transfers of every plan that is at most so imbalanced.

    Experts may be held in part, and their tokens split in any way over what holds them, but no
    more than a part that is held: every plan is such a split, so that no plan copies less.

    Parameters
    ----------
    change
        The plan in force, and the loads.
    imbalance
        Mean over layers of the largest load over the mean.

    Returns
    -------
    The bound, ``None`` if the program was not solved.
    """
    from scipy.optimize import linprog

    lacking = ~held_before(change.problem())
    layers, _, _ = lacking.shape
    # Shares that are held, shares that are served, the largest load of each layer.
    costs = np.concatenate([lacking.ravel(), np.zeros(lacking.size + layers)])
    most, most_value, equal = _program(change, imbalance)
    answer = linprog(
        costs,
        A_ub=most,
        b_ub=most_value,
        A_eq=equal,
        b_eq=np.ones(equal.shape[0]),
        bounds=(0, None),
        method="highs-ipm",
    )
    return float(answer.fun) if answer.status == 0 else None


def _program(change: Change, imbalance: float) -> tuple[Any, FloatArray, Any]:
    """Return the rows that are at most something, what that is, and the rows that are 1."""
    from scipy import sparse

    layers, experts = change.loads.shape
    devices = change.layout.devices
    fair = change.loads / change.loads.sum(axis=1, keepdims=True) * devices
    cells = layers * experts * devices
    cell = np.arange(cells)
    of_expert = cell // devices
    of_device = cell // (experts * devices) * devices + cell % devices
    one = np.ones(cells)
    places = sparse.csr_array((one, (of_device, cell)), (layers * devices, cells))
    served = sparse.csr_array((fair.ravel()[of_expert], (of_device, cell)), places.shape)
    whole = sparse.csr_array((one, (of_expert, cell)), (layers * experts, cells))
    device = np.arange(layers * devices)
    top = sparse.csr_array((-np.ones(len(device)), (device, device // devices)))
    mean = sparse.csr_array(np.full((1, layers), 1.0 / layers))
    unit = sparse.identity(cells, format="csr")
    most = sparse.block_array(
        [[-unit, unit, None], [places, None, None], [None, served, top], [None, None, mean]],
        format="csr",
    )
    slots = np.full(len(device), change.layout.slots_per_device)
    value = np.concatenate([np.zeros(cells), slots, np.zeros(len(device)), [imbalance]])
    empty = sparse.csr_array((whole.shape[0], layers))
    held = sparse.csr_array(whole.shape)
    return most, value, sparse.hstack([held, whole, empty], format="csr")
