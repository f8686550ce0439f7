"""Configurations as the paper's planner sees them: slots of each layer, many at a time.

A configuration is a row of slots. Constraints are looked up and added, never predicted: the paper
attributes its plan of 3.58 GiB for a budget of 3.5 GiB to a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.committee.allocation import rows
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray, own_array
from moeopt.core.errors import InstanceError

#: Slack of rows that are not whole numbers: what adding them in another order may come to.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Space:
    """Configurations that a problem allows.

    Attributes
    ----------
    fewest, most
        Slots of each layer, ``(layers,)``.
    uses
        What 0, 1, ... slots of each layer use of each row that couples the layers,
        ``(rows, layers, points)``.
    limits
        Of the rows, ``(rows,)``, with the slack of rows that are not whole numbers.
    """

    fewest: IntArray
    most: IntArray
    uses: FloatArray
    limits: FloatArray

    def keeps(self, configurations: IntArray) -> BoolArray:
        """Tell which configurations break no constraint, ``(configurations,)``.

        Parameters
        ----------
        configurations
            Slots, ``(configurations, layers)``.
        """
        inside = ((configurations >= self.fewest) & (configurations <= self.most)).all(axis=1)
        looked_up = np.clip(configurations, 0, self.uses.shape[2] - 1)
        used = self.uses[:, np.arange(self.fewest.size), looked_up].sum(axis=2)
        return np.asarray(inside & (used <= self.limits[:, None]).all(axis=0))

    def size(self) -> float:
        """Return how many configurations lie between fewest and most, whatever the rows say."""
        return float(np.prod((self.most - self.fewest + 1).astype(np.float64)))

    def draw(self, rng: np.random.Generator, count: int) -> IntArray:
        """Return random configurations that break no constraint, at most `count`.

        Every layer's slots are drawn evenly. Where they use too much of a row, all are brought
        nearer to the fewest, as far as that takes if rows grow evenly; what still breaks a
        constraint is halved until it does not, or dropped.

        Parameters
        ----------
        rng
            Where chance comes from.
        count
            Configurations to draw.
        """
        drawn = rng.integers(self.fewest, self.most + 1, (count, self.fewest.size))
        share = self._share(drawn)[:, None]
        drawn = self.fewest + np.floor((drawn - self.fewest) * share).astype(np.int64)
        for _ in range(int(self.most.max()).bit_length()):
            broken = ~self.keeps(drawn)
            if not broken.any():
                break
            drawn[broken] = self.fewest + (drawn[broken] - self.fewest) // 2
        return np.asarray(drawn[self.keeps(drawn)])

    def _share(self, drawn: IntArray) -> FloatArray:
        """Return which share of the way from the fewest the tightest row allows, one for each."""
        layers = np.arange(self.fewest.size)
        least = self.uses[:, layers, self.fewest].sum(axis=1)
        more = self.uses[:, layers, drawn].sum(axis=2) - least[:, None]
        room = np.maximum(0.0, self.limits - least)[:, None]
        # Of what uses next to nothing any number fits.
        with np.errstate(over="ignore"):
            share = np.divide(room, more, out=np.full_like(more, np.inf), where=more > 0)
        return np.asarray(share.min(axis=0, initial=1.0))


def space_of(problem: CommitteeProblem, period: int) -> Space:
    """Return the configurations that a problem allows with an update period.

    Parameters
    ----------
    problem
        What was asked.
    period
        Windows from one update to the next, one of `choices`.
    """
    shared = rows(problem, period)
    return stated_space(problem.fewest(), problem.most(), shared.uses, shared.limits)


def stated_space(
    fewest: IntArray, most: IntArray, uses: Sequence[FloatArray], limits: FloatArray
) -> Space:
    """Return the configurations within rows that couple the layers.

    Parameters
    ----------
    fewest, most
        Slots of each layer, ``(layers,)``.
    uses
        What 0, 1, ... slots of a layer use of each row, ``(rows, points)`` for each layer.
    limits
        Of the rows, ``(rows,)``.

    Raises
    ------
    InstanceError
        If the sizes do not fit.
    """
    low, high = own_array(fewest, "fewest", np.int64), own_array(most, "most", np.int64)
    table = own_array(np.stack(list(uses), axis=1), "uses", np.float64)
    ends = own_array(limits, "limits", np.float64)
    if (
        low.ndim != 1
        or high.shape != low.shape
        or table.ndim != 3
        or table.shape[:2] != (*ends.shape, *low.shape)
        or not ((low >= 0) & (low <= high) & (high < table.shape[2])).all()
    ):
        raise InstanceError(
            "fewest",
            f"<shapes {low.shape}, {high.shape}, {table.shape}, {ends.shape}>",
            "must be slots that the rows know: fewest and most (layers,), uses (rows, points) for"
            " each layer, limits (rows,), with 0 <= fewest <= most < points",
            "make the sizes agree",
        )
    whole = (table == np.floor(table)).all(axis=(1, 2)) & (ends == np.floor(ends))
    return Space(low, high, table, ends + np.where(whole, 0.0, _ROUNDING * np.abs(ends)))


def stated_periods(periods: Any) -> IntArray:
    """Return update periods as an array, ``(periods,)``.

    Raises
    ------
    InstanceError
        If they are no whole numbers of windows, or there is none.
    """
    given = own_array(periods, "periods", np.int64)
    if given.ndim != 1 or not given.size or given.dtype.kind != "i" or given.min() < 1:
        rule = "must be whole numbers of windows, 1 or more"
        raise InstanceError("periods", given.tolist(), rule, "name one at least")
    return given


def random_configurations(
    fewest: IntArray, most: IntArray, count: int, rng: np.random.Generator
) -> IntArray:
    """Return configurations from nearly empty to nearly full, ``(count, layers)``.

    Slots drawn evenly would all come to about half of the experts together, and a model of them
    would know nothing else. Here the mean share of a configuration is drawn first.

    Parameters
    ----------
    fewest, most
        Slots of each layer, ``(layers,)``.
    count
        Configurations to draw.
    rng
        Where chance comes from.
    """
    mean = rng.uniform(0.02, 0.98, (count, 1))
    # The power (1 - m) / m of an even draw is m on average.
    share = rng.random((count, fewest.size)) ** ((1 - mean) / mean)
    return np.asarray(fewest + np.floor(share * (most - fewest + 1)).astype(np.int64))
