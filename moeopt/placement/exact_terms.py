"""What an expert's copies serve and send, as sums over columns: shared by the families of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.plan import scenario_loads
from moeopt.placement.problem import PlacementProblem


@dataclass(frozen=True, eq=False)
class Shares:
    """What part of its tokens an expert sends to a device, as a sum over columns.

    Attributes
    ----------
    columns
        Shape ``(1 or scenarios, layers, experts, devices, terms)``.
    weights
        Their factors, shape ``(terms,)``.
    """

    columns: IntArray
    weights: FloatArray


def token_unit(problem: PlacementProblem) -> float:
    """Return the mean load of an expert, in which rows count: tolerances are absolute."""
    loads, _ = scenario_loads(problem)
    return float(loads.mean()) or 1.0


def tokens_served(
    served: Shares, loads: FloatArray, devices: IntArray
) -> tuple[IntArray, FloatArray]:
    """Return columns and weights of each device's tokens.

    Shape ``(scenarios, layers, devices, experts * terms)``.
    """
    columns = served.columns[:, :, :, devices].transpose(0, 1, 3, 2, 4)
    weights = loads[:, :, None, :, None] * served.weights
    shape = np.broadcast_shapes(columns.shape, weights.shape)
    flat = (*shape[:3], -1)
    return np.broadcast_to(columns, shape).reshape(flat), np.broadcast_to(weights, shape).reshape(
        flat
    )


def with_term(terms: npt.NDArray[Any], more: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return `terms` with one more term at the end of each row's."""
    last = np.broadcast_to(more, terms.shape[:-1])[..., None]
    return np.concatenate([terms, last], axis=-1)
