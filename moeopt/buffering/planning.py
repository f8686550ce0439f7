"""How many slots each layer gets, from what each number of them costs it.

A layer takes one point of its cost curve and pays for it in bytes: a multiple-choice knapsack. Its
linear relaxation runs down the lower convex hulls of all curves at once, steepest segment for each
byte first. If slots are equally large and curves convex, as those of the flow are, all segments
are single slots and the relaxation is the optimum. What is left otherwise, a dynamic program over
layers settles, which keeps undominated sums that the relaxation does not rule out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arguments import number
from moeopt.core.arrays import FloatArray, IntArray, own_array
from moeopt.core.errors import InstanceError

#: A choice this close to the bound is optimal up to rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Split:
    """Slots of each layer.

    Attributes
    ----------
    slots
        ``(layers,)``.
    cost
        Sum of the curves there: no split within the budget costs less.
    relaxed
        Cost of the linear relaxation, which may take a share of a segment: a lower bound.
    byte_price
        What a further byte saves in the relaxation; 0 where the budget does not bind.
    used_bytes
        Of all slots.
    """

    slots: IntArray
    cost: float
    relaxed: float
    byte_price: float
    used_bytes: float


def split_slots(
    curves: Sequence[FloatArray], slot_bytes: FloatArray | float, budget_bytes: float
) -> Split:
    """Return the slots of each layer that cost least within a budget.

    Parameters
    ----------
    curves
        What 0, 1, ... slots cost each layer; ``inf`` where that cannot be. They need be neither
        convex nor falling, and may differ in length.
    slot_bytes
        Bytes of a slot, one number or ``(layers,)``.
    budget_bytes
        Bytes of all slots together.

    Raises
    ------
    InstanceError
        If there is no split within the budget, or something is not a cost or a size.
    """
    sizes = _sizes(len(curves), slot_bytes)
    curves = [_checked(layer, curve) for layer, curve in enumerate(curves)]
    budget = _finite("budget_bytes", budget_bytes)
    if (sizes == sizes[0]).all():
        # What is left of a slot is of no use, and would make the relaxation weaker.
        budget = float(np.floor(budget / sizes[0] * (1 + _ROUNDING)) * sizes[0])
    fewest = np.array([int(np.argmax(np.isfinite(curve))) for curve in curves])
    if (fewest * sizes).sum() > budget * (1 + _ROUNDING):
        raise InstanceError(
            "budget_bytes",
            budget_bytes,
            f"must hold the fewest slots that serve all layers, {(fewest * sizes).sum():.0f} bytes",
            "give more bytes",
        )
    relaxed, price, slots = _relaxed(curves, sizes, budget, fewest)
    best = _cost(curves, slots)
    if best - relaxed > _ROUNDING * abs(best):
        slots = _settled(curves, sizes, budget, price, slots)
        best = _cost(curves, slots)
    used = float((slots * sizes).sum())
    return Split(slots, best, min(relaxed, best), price, used)


def uniform_slots(
    most: IntArray | int, slot_bytes: FloatArray | float, budget_bytes: float
) -> IntArray:
    """Return equally many slots for each layer, and one more from the first on while these fit.

    Parameters
    ----------
    most
        Slots that a layer can use, its experts, ``(layers,)``; one number for one layer.
    slot_bytes
        Bytes of a slot, one number or ``(layers,)``.
    budget_bytes
        Bytes of all slots together.
    """
    wanted = np.atleast_1d(np.asarray(most, dtype=np.int64))
    sizes = _sizes(wanted.size, slot_bytes)
    slots, left = np.zeros_like(wanted), _finite("budget_bytes", budget_bytes)
    while True:
        # All at once as often as that goes, then one by one.
        open_ = slots < wanted
        round_bytes = float(sizes[open_].sum())
        if not open_.any() or round_bytes > left * (1 + _ROUNDING):
            break
        times = int(min(left * (1 + _ROUNDING) // round_bytes, (wanted - slots)[open_].min()))
        slots[open_] += times
        left -= times * round_bytes
    for layer in np.flatnonzero(open_):
        if sizes[layer] <= left * (1 + _ROUNDING):
            slots[layer] += 1
            left -= sizes[layer]
    return slots


@dataclass(frozen=True)
class _Segment:
    """A stretch of a layer's hull."""

    layer: int
    end: int
    size: float
    saving: float


def _relaxed(
    curves: list[FloatArray], sizes: FloatArray, budget: float, fewest: IntArray
) -> tuple[float, float, IntArray]:
    """Return the relaxation's cost, the price of its last byte, and slots made from it."""
    slots = fewest.copy()
    left = budget - float((slots * sizes).sum())
    cost, price, full = _cost(curves, slots), 0.0, np.zeros(len(curves), dtype=np.bool_)
    segments = [s for layer, curve in enumerate(curves) for s in _hull(layer, curve, sizes[layer])]
    # Ties in order of layers, and of slots within one.
    segments.sort(key=lambda s: (-s.saving / s.size, s.layer, s.end))
    for segment in segments:
        fits = segment.size <= left * (1 + _ROUNDING)
        if not full.any():
            cost -= segment.saving * (1.0 if fits else left / segment.size)
            price = price if fits else segment.saving / segment.size
        if fits and not full[segment.layer]:
            slots[segment.layer] = segment.end
            left = max(0.0, left - segment.size)
        else:
            full[segment.layer] = True
    return cost, price, _filled(curves, sizes, left, slots)


def _hull(layer: int, curve: FloatArray, size: float) -> list[_Segment]:
    """Return the falling segments of the lower convex hull, steepest first."""
    corners: list[int] = []
    for t in np.flatnonzero(np.isfinite(curve)).tolist():
        while len(corners) > 1:
            a, b = corners[-2:]
            if (curve[b] - curve[a]) * (t - b) <= (curve[t] - curve[b]) * (b - a):
                break
            corners.pop()
        corners.append(t)
    return [
        _Segment(layer, b, (b - a) * size, float(curve[a] - curve[b]))
        for a, b in itertools.pairwise(corners)
        if curve[b] < curve[a]
    ]


def _filled(curves: list[FloatArray], sizes: FloatArray, left: float, slots: IntArray) -> IntArray:
    """Spend what is left, layer by layer, on the point that saves most."""
    slots = slots.copy()
    for layer, curve in enumerate(curves):
        room = int(left * (1 + _ROUNDING) / sizes[layer])
        reach = curve[slots[layer] : slots[layer] + room + 1]
        more = int(np.argmin(reach))
        slots[layer] += more
        left -= more * sizes[layer]
    return slots


def _settled(
    curves: list[FloatArray],
    sizes: FloatArray,
    budget: float,
    price: float,
    slots: IntArray,
) -> IntArray:
    """Return the best slots, these if none are better.

    Sums of cost and bytes are kept, layer after layer, while they may still be better. With the
    price of a byte every layer has a point of least cost and priced bytes; a sum whose priced cost,
    with these points for the layers to come, is not below the cost at hand is no use.
    """
    priced = [curve + price * size * np.arange(curve.size) for curve, size in zip(
        curves, sizes, strict=True
    )]  # fmt: skip
    to_come = np.cumsum([float(line.min()) for line in reversed(priced)])[::-1]
    fewest = np.array([int(np.argmax(np.isfinite(curve))) for curve in curves])
    needed = np.cumsum((fewest * sizes)[::-1])[::-1]
    best = _cost(curves, slots)
    best -= _ROUNDING * abs(best)
    cost, used = np.zeros(1), np.zeros(1)
    steps: list[tuple[IntArray, IntArray]] = []
    for layer, curve in enumerate(curves):
        last = layer == len(curves) - 1
        points = np.flatnonzero(np.isfinite(curve))
        costs = (cost[:, None] + curve[points]).ravel()
        bytes_ = (used[:, None] + points * sizes[layer]).ravel()
        still = 0.0 if last else float(needed[layer + 1])
        to_be = costs if last else costs + to_come[layer + 1] - price * (budget - bytes_)
        kept = np.flatnonzero((bytes_ + still <= budget * (1 + _ROUNDING)) & (to_be < best))
        kept = kept[np.lexsort((costs[kept], bytes_[kept]))]
        below = np.minimum.accumulate(costs[kept])
        better = np.ones(kept.size, dtype=np.bool_)
        better[1:] = costs[kept][1:] < below[:-1]
        kept = kept[better]
        if not kept.size:
            return slots
        cost, used = costs[kept], bytes_[kept]
        steps.append((kept // points.size, points[kept % points.size]))
    at, found = int(np.argmin(cost)), slots.copy()
    for layer in reversed(range(len(curves))):
        before, point = steps[layer]
        found[layer] = point[at]
        at = int(before[at])
    return found


def _cost(curves: Sequence[FloatArray], slots: IntArray) -> float:
    return float(sum(curve[t] for curve, t in zip(curves, slots.tolist(), strict=True)))


def _finite(path: str, value: float) -> float:
    if not np.isfinite(found := number(path, value)):
        raise InstanceError(path, value, "must be a finite number", "correct it")
    return found


def _sizes(layers: int, slot_bytes: FloatArray | float) -> FloatArray:
    sizes = np.asarray(slot_bytes, dtype=np.float64)
    if (
        layers < 1
        or sizes.shape not in ((), (layers,))
        or not ((sizes > 0) & np.isfinite(sizes)).all()
    ):
        raise InstanceError(
            "slot_bytes",
            f"<shape {sizes.shape}>",
            f"must be positive and finite, one number or one for each of the {layers} layers",
            "give the bytes of a slot",
        )
    return np.broadcast_to(sizes, (layers,))


def _checked(layer: int, curve: FloatArray) -> FloatArray:
    costs = own_array(curve, f"curves[{layer}]", np.float64)
    if costs.ndim != 1 or not (costs > -np.inf).all() or not np.isfinite(costs).any():
        raise InstanceError(
            f"curves[{layer}]",
            f"<shape {costs.shape}>",
            "must be the costs of 0, 1, ... slots, one of them finite",
            "give inf where a layer cannot be served",
        )
    return costs
