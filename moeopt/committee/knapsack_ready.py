"""The data of a knapsack over layers, made ready: what cannot bind or cannot be chosen is gone.

Each limit becomes the room that is left when every layer takes the least of it. Amounts that are
multiples of one unit are counted in it, and what is left of a unit is of no use: this alone makes
the linear relaxation exact for convex curves and slots of one size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray, own_array
from moeopt.core.errors import InstanceError

#: Costs that differ by this share are equal up to rounding.
ROUNDING = 1e-12

#: Slack of limits of numbers that are not whole, as a share: an ulp less than the checker's.
_SLACK = 1e-9 * (1 - 1e-3)

#: Sums of whole numbers up to this are not rounded.
_WHOLE = 2.0**53

#: What rounding may add to a multiple of a unit, as a share of the largest.
_MULTIPLE = 1e-14


@dataclass(frozen=True)
class Ready:
    """The choices of layers, and what they use of the limits that may bind.

    Attributes
    ----------
    cost
        ``(layers, choices)``; ``inf`` where a layer has no such choice.
    used
        Beyond the least that any choice of the layer uses, in units, ``(rows, layers, choices)``;
        0 where there is no choice.
    room
        What all layers together may use, in units, ``(rows,)``; positive.
    unit
        In terms of the limit as stated, ``(rows,)``.
    whole
        Whether uses are whole numbers, ``(rows,)``.
    row
        Which of the stated limits this is, ``(rows,)``.
    step
        A number of which all costs are multiples, 0 if none is known.
    """

    cost: FloatArray
    used: FloatArray
    room: FloatArray
    unit: FloatArray
    whole: BoolArray
    row: IntArray
    step: float

    def cost_of(self, slots: IntArray) -> float:
        """Return the cost of a choice of each layer, ``(layers,)``."""
        return float(self.cost[np.arange(slots.size), slots].sum())

    def used_by(self, slots: IntArray) -> FloatArray:
        """Return what a choice of each layer uses, ``(rows,)``."""
        found: FloatArray = self.used[:, np.arange(slots.size), slots].sum(axis=1)
        return found

    def keeps(self, slots: IntArray) -> bool:
        """Tell whether a choice of each layer is within all limits."""
        return bool((self.used_by(slots) <= self.room).all())

    def raised(self, bound: float, off: float) -> float:
        """Return the least cost that there can be at or above a bound.

        Parameters
        ----------
        bound
            No choice of all layers costs less.
        off
            What rounding may have added to it.
        """
        if not self.step:
            return bound
        steps = (bound - off) / self.step
        return max(bound, self.step * float(np.ceil(steps - ROUNDING * abs(steps))))

    def shares(self) -> FloatArray:
        """Return the sum of the shares of all rooms that choices use, ``(layers, choices)``."""
        found: FloatArray = (self.used / self.room[:, None, None]).sum(axis=0)
        return found


def made_ready(
    curves: Sequence[FloatArray], uses: Sequence[FloatArray], limits: FloatArray
) -> Ready | None:
    """Return what is left to decide, ``None`` if nothing keeps the limits.

    Parameters
    ----------
    curves, uses, limits
        As for `moeopt.committee.knapsack.choose`.

    Raises
    ------
    InstanceError
        If something is not a cost, a use or a limit.
    """
    cost, used, bounds = _padded(curves, uses, limits)
    rows: list[_Row] = []
    while np.isfinite(cost).any(axis=1).all():
        rows = [_row(i, used[i], np.isfinite(cost), float(bounds[i])) for i in range(bounds.size)]
        if any(row.room < 0 for row in rows):
            return None
        fits = np.isfinite(cost) & np.all([row.used <= row.room for row in rows], axis=0)
        if (fits == np.isfinite(cost)).all():
            return _kept(cost, [row for row in rows if row.used.max(axis=1).sum() > row.room])
        # Without these choices the least that a layer uses of another row may be more.
        cost = np.where(fits, cost, np.inf)
    return None


@dataclass(frozen=True)
class _Row:
    """One limit, with the fields of `Ready`."""

    row: int
    used: FloatArray
    room: float
    unit: float
    whole: bool


def _kept(cost: FloatArray, rows: list[_Row]) -> Ready:
    """Return the choices with those rows that no other implies."""
    kept: list[_Row] = []
    for i, row in enumerate(rows):
        if not any(_implies(other, row) for other in kept + rows[i + 1 :]):
            kept.append(row)
    none = np.empty((0, *cost.shape))
    return Ready(
        cost=cost,
        used=np.stack([row.used for row in kept]) if kept else none,
        room=np.array([row.room for row in kept], dtype=np.float64),
        unit=np.array([row.unit for row in kept], dtype=np.float64),
        whole=np.array([row.whole for row in kept], dtype=np.bool_),
        row=np.array([row.row for row in kept], dtype=np.int64),
        step=_step(cost),
    )


def _step(cost: FloatArray) -> float:
    """Return the largest number of which whole costs are multiples, 0 if they are not whole."""
    some = cost[np.isfinite(cost)]
    whole = (some == np.floor(some)).all() and np.abs(some).max() * len(cost) < _WHOLE
    return float(np.gcd.reduce(some.astype(np.int64))) if whole else 0.0


def _row(row: int, uses: FloatArray, chosen: BoolArray, limit: float) -> _Row:
    """Return what one limit leaves to decide."""
    least = np.where(chosen, uses, np.inf).min(axis=1)
    used = np.where(chosen, uses - least[:, None], 0.0)
    if limit == np.inf:
        return _Row(row, used, np.inf, 1.0, False)
    some = uses[chosen]
    whole = bool((some == np.floor(some)).all()) and some.max() * uses.shape[0] < _WHOLE
    exact = whole and limit == np.floor(limit)
    room = (limit if exact else limit + _SLACK * abs(limit)) - float(least.sum())
    unit = _unit(used, float(some.max()), whole)
    # What is beyond all floats is more than any other.
    with np.errstate(over="ignore"):
        if unit is None:
            unit = magnitude(used)
            return _Row(row, used / unit, float(np.divide(room, unit)), unit, False)
        return _Row(row, np.rint(used / unit), float(np.floor(np.divide(room, unit))), unit, True)


def magnitude(amounts: FloatArray) -> float:
    """Return the power of two next to the largest amount: dividing by it rounds nothing.

    Parameters
    ----------
    amounts
        0 or more each; of nothing but 0 it is 1.
    """
    largest = float(amounts.max(initial=0.0))
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 1.0


def _unit(used: FloatArray, largest: float, whole: bool) -> float | None:
    """Return a number of which all uses are multiples, ``None`` if there is none to be seen."""
    some = used[used > 0]
    if not some.size:
        return 1.0
    if whole:
        return float(np.gcd.reduce(some.astype(np.int64)))
    if some.min() < _MULTIPLE * largest:
        return None
    # The largest multiple tells the unit best: differences of small ones are rounded more.
    unit = float(some.max() / np.rint(some.max() / some.min()))
    off = np.abs(np.rint(some / unit) * unit - some)
    return unit if (off <= _MULTIPLE * largest).all() else None


def _implies(one: _Row, other: _Row) -> bool:
    """Tell whether all that keeps `one` keeps `other`: it takes no smaller share anywhere."""
    # An ulp must not tell proportional rows apart, nor a unit more be allowed.
    off = 0.0 if other.room * ROUNDING > 0.1 and other.whole else 0.1 * ROUNDING
    return bool((other.used * one.room * (1 - off) <= one.used * other.room).all())


def _padded(
    curves: Sequence[FloatArray], uses: Sequence[FloatArray], limits: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return costs ``(layers, choices)``, uses ``(rows, layers, choices)`` and limits, checked."""
    bounds = own_array(limits, "limits", np.float64)
    if bounds.ndim != 1 or not 1 <= bounds.size <= 3 or not (bounds > -np.inf).all():
        raise InstanceError(
            "limits",
            f"<shape {bounds.shape}>",
            "must be 1 to 3 numbers above -inf, one for each row",
            "give inf for what does not limit",
        )
    if not len(curves) or len(uses) != len(curves):
        raise InstanceError(
            "uses",
            f"<{len(uses)} layers>",
            f"must be an array for each of the curves, {len(curves)}, of which there is one",
            "say what each layer's slots use",
        )
    pairs = zip(curves, uses, strict=True)
    found = [_checked(layer, *pair, bounds.size) for layer, pair in enumerate(pairs)]
    choices = max(cost.size for cost, _ in found)
    cost = np.full((len(found), choices), np.inf)
    used = np.zeros((bounds.size, len(found), choices))
    for layer, (one, use) in enumerate(found):
        cost[layer, : one.size] = one
        used[:, layer, : one.size] = np.where(np.isfinite(one), use, 0.0)
    return cost, used, bounds


def _checked(
    layer: int, curve: FloatArray, use: FloatArray, rows: int
) -> tuple[FloatArray, FloatArray]:
    """Return a layer's costs and uses, which may be anything where the cost is infinite."""
    costs = own_array(curve, f"curves[{layer}]", np.float64)
    if costs.ndim != 1 or not costs.size or not (costs > -np.inf).all():
        raise InstanceError(
            f"curves[{layer}]",
            f"<shape {costs.shape}>",
            "must be the costs of 0, 1, ... slots",
            "give inf for numbers of slots that are not allowed",
        )
    used = own_array(use, f"uses[{layer}]", np.float64)
    shape = (rows, costs.size)
    at = used[:, np.isfinite(costs)] if used.shape == shape else np.array([np.nan])
    if not (np.isfinite(at) & (at >= 0)).all():
        raise InstanceError(
            f"uses[{layer}]",
            f"<shape {used.shape}>",
            f"must be finite numbers >= 0 in the shape {shape} = (rows, slots)",
            "say what each number of slots uses of each limit",
        )
    return costs, used
