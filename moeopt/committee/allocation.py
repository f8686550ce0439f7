"""How many slots each layer gets: the rows that couple the layers, and what is divided by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.committee.loss import swaps_of
from moeopt.committee.plan import TOLERANCE
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray


@dataclass(frozen=True)
class Rows:
    """What layers share: memory, and latency and link where they limit.

    Attributes
    ----------
    names
        Of the rows: constraints C1, C2 and C3.
    uses
        What 0, 1, ... slots of each layer use of each row, ``(rows, experts + 1)`` each.
    limits
        Of the rows, ``(rows,)``.
    """

    names: tuple[str, ...]
    uses: list[FloatArray]
    limits: FloatArray


def rows(problem: CommitteeProblem, period: int) -> Rows:
    """Return the rows that limit the slots of all layers together.

    A link limits slots by themselves only where a table says how many experts an update replaces;
    otherwise it limits what is loaded, and any slots will do.

    Parameters
    ----------
    problem
        What was asked.
    period
        Windows from one update to the next.
    """
    slots = np.arange(problem.num_experts + 1)
    names, limits = ["C1"], [problem.room_bytes()]
    tables = [np.multiply.outer(problem.slot_bytes(), slots)]
    if problem.latency_s is not None:
        names.append("C2")
        # The slack that the checker gives is one of the whole latency.
        limits.append(_slack(problem.latency_s - problem.base_s / (1.0 + TOLERANCE)))
        tables.append(np.multiply.outer(problem.by_layer(problem.slot_s), slots))
    swaps = swaps_of(problem, period)
    if swaps is not None and np.isfinite(problem.load_bytes(period)):
        names.append("C3")
        limits.append(_slack(problem.load_bytes(period)))
        tables.append(problem.sizes_bytes()[:, None] * swaps)
    uses = np.stack(tables, axis=1)
    return Rows(tuple(names), list(uses), np.array(limits))


def allowed(problem: CommitteeProblem, curves: Sequence[FloatArray]) -> list[FloatArray]:
    """Return the curves with ``inf`` for numbers of slots that a layer may not have.

    Parameters
    ----------
    problem
        What was asked.
    curves
        Costs of 0, 1, ... slots, ``(experts + 1,)`` each.
    """
    slots = np.arange(problem.num_experts + 1)
    return [
        np.where((slots >= fewest) & (slots <= most), curve, np.inf)
        for curve, fewest, most in zip(curves, problem.fewest(), problem.most(), strict=True)
    ]


def _slack(limit: float) -> float:
    """Return a limit that the knapsack does not take for a whole number, which has no slack."""
    return math.nextafter(limit, math.inf)
