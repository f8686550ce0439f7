"""The multiple-choice knapsack: one point of each layer's front, least cost within a latency.

Exact: the linear relaxation gives a price of latency; what is left within the distance of its bound
to the incumbent goes through a dynamic program over layers that keeps undominated sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray

#: A choice this close to the bound is optimal up to rounding.
_ROUNDING = 1e-12

#: Pairs of a sum and a point looked at in one step; beyond, sums of almost equal cost are joined.
_MOST_PAIRS = 4_000_000

#: Share of the incumbent's cost within which sums are joined first; wider if that is too little.
_JOINED = 1e-9


@dataclass(frozen=True)
class Front:
    """Undominated choices of a layer.

    Attributes
    ----------
    latency_s
        Ascending, ``(points,)``.
    cost_usd
        Descending, ``(points,)``.
    """

    latency_s: FloatArray
    cost_usd: FloatArray


@dataclass(frozen=True)
class Choice:
    """A point of each front.

    Attributes
    ----------
    point
        Index into each front, ``(layers,)``.
    cost_usd
        Sum of the chosen points' costs.
    bound_usd
        No choice within the limit costs less.
    """

    point: IntArray
    cost_usd: float
    bound_usd: float


def undominated(latency_s: FloatArray, cost_usd: FloatArray) -> IntArray:
    """Return the indices of points that no other beats in both, in order of latency."""
    order = np.lexsort((cost_usd, latency_s))
    cost = cost_usd[order]
    below = np.minimum.accumulate(cost)
    first = np.ones(cost.size, dtype=np.bool_)
    first[1:] = cost[1:] < below[:-1]
    kept: IntArray = order[first]
    return kept


def choose(fronts: list[Front], limit_s: float, gap: float = 0.0) -> Choice | None:
    """Return the cheapest choice whose latencies sum up to at most `limit_s`, ``None`` if none.

    Parameters
    ----------
    fronts
        One for each layer, not empty.
    limit_s
        Most seconds in all.
    gap
        Relative distance to the bound that is good enough.
    """
    if shortest(fronts) > limit_s:
        return None
    cheapest = np.array([front.cost_usd.size - 1 for front in fronts])
    if _latency(fronts, cheapest) <= limit_s:
        cost = _cost(fronts, cheapest)
        return Choice(point=cheapest, cost_usd=cost, bound_usd=cost)
    relaxed = relax(fronts, limit_s)
    best, bound, price = relaxed.point, relaxed.bound_usd, relaxed.usd_per_s
    cost = _cost(fronts, best)
    if cost - bound <= max(gap, _ROUNDING) * abs(cost):
        return Choice(point=best, cost_usd=cost, bound_usd=min(bound, cost))
    over = [
        front.cost_usd + price * front.latency_s - least
        for front, least in zip(fronts, relaxed.least_usd, strict=True)
    ]
    best, lost = _search(fronts, over, bound, limit_s, price, best)
    cost = _cost(fronts, best)
    return Choice(point=best, cost_usd=cost, bound_usd=min(cost, max(bound, cost - lost)))


@dataclass(frozen=True)
class Relaxed:
    """The linear relaxation of the knapsack, and a choice made from it.

    Attributes
    ----------
    usd_per_s
        Price of a second; 0 where the limit does not bind.
    least_usd
        Least sum of cost and priced latency of each front, ``(layers,)``.
    bound_usd
        No choice within the limit costs less.
    point
        A choice within the limit.
    cost_usd
        Its cost.
    """

    usd_per_s: float
    least_usd: FloatArray
    bound_usd: float
    point: IntArray
    cost_usd: float


def relax(fronts: list[Front], limit_s: float) -> Relaxed:
    """Return the linear relaxation of fronts of which some choice keeps the limit."""
    cheapest = np.array([front.cost_usd.size - 1 for front in fronts])
    if _latency(fronts, cheapest) <= limit_s:
        cost = _cost(fronts, cheapest)
        least = np.array([float(front.cost_usd[-1]) for front in fronts])
        return Relaxed(0.0, least, cost, cheapest, cost)
    price, rounded = _relaxed(fronts, limit_s)
    point = _filled(fronts, rounded, limit_s)
    least = np.array([float((f.cost_usd + price * f.latency_s).min()) for f in fronts])
    # A small difference of large numbers, if the limit is long beside what can be saved of it.
    off = len(fronts) * np.finfo(float).eps * price * limit_s
    bound = float(least.sum()) - price * limit_s - off
    return Relaxed(price, least, bound, point, _cost(fronts, point))


def shortest(fronts: list[Front]) -> float:
    """Return the least latency of any choice."""
    return _latency(fronts, np.zeros(len(fronts), dtype=np.int64))


def least_cost(fronts: list[Front], limit_s: float) -> float:
    """Return what no choice within the limit is cheaper than, quickly; ``inf`` if there is none."""
    return relax(fronts, limit_s).bound_usd if shortest(fronts) <= limit_s else np.inf


def _latency(fronts: list[Front], point: IntArray) -> float:
    return float(sum(f.latency_s[p] for f, p in zip(fronts, point, strict=True)))


def _cost(fronts: list[Front], point: IntArray) -> float:
    return float(sum(f.cost_usd[p] for f, p in zip(fronts, point, strict=True)))


def _hull(front: Front) -> IntArray:
    """Return the points of a front's lower convex hull, in order of latency."""
    kept: list[int] = []
    x, y = front.latency_s.tolist(), front.cost_usd.tolist()
    for i in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (y[b] - y[a]) * (x[i] - x[b]) < (y[i] - y[b]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(i)
    return np.array(kept)


def _relaxed(fronts: list[Front], limit_s: float) -> tuple[float, IntArray]:
    """Return the price of a second in the linear relaxation, and its choice, rounded to be fast.

    From the cheapest points, latency is bought where it costs least, along the convex hulls.
    """
    layers, points, prices, saved = [], [], [], []
    point = np.array([front.cost_usd.size - 1 for front in fronts])
    for layer, front in enumerate(fronts):
        hull = _hull(front)
        gained = np.diff(front.latency_s[hull])
        layers.append(np.full(gained.size, layer))
        points.append(hull[:-1])
        prices.append(-np.diff(front.cost_usd[hull]) / gained)
        saved.append(gained)
    layer_of, point_of = np.concatenate(layers), np.concatenate(points)
    price, gain = np.concatenate(prices), np.concatenate(saved)
    # Along a hull from right to left prices grow, so one order serves all layers; among equal
    # prices the later point comes first.
    order = np.lexsort((-point_of, price))
    over_s = _latency(fronts, point) - limit_s
    total = np.cumsum(gain[order])
    steps = min(int(np.searchsorted(total, over_s)), total.size - 1)
    for step in order[: steps + 1]:
        point[layer_of[step]] = point_of[step]
    return float(price[order[steps]]), point


def _filled(fronts: list[Front], point: IntArray, limit_s: float) -> IntArray:
    """Spend what is left of the limit: layer by layer the move that saves most."""
    point = point.copy()
    # Sums of rounded numbers: a hull step that just reaches the limit may miss it by an ulp.
    for layer, front in enumerate(fronts):
        while _latency(fronts, point) > limit_s and point[layer] > 0:
            point[layer] -= 1
        del front
    while True:
        left_s = limit_s - _latency(fronts, point)
        best, saving = (-1, -1), 0.0
        for layer, front in enumerate(fronts):
            now = point[layer]
            reach = front.latency_s[now] + left_s
            new = int(np.searchsorted(front.latency_s, reach, side="right")) - 1
            gained = float(front.cost_usd[now] - front.cost_usd[new]) if new > now else 0.0
            trial_s = left_s - float(front.latency_s[new] - front.latency_s[now])
            if gained > saving and trial_s >= 0:
                best, saving = (layer, new), gained
        if saving <= 0:
            return point
        trial = point.copy()
        trial[best[0]] = best[1]
        if _latency(fronts, trial) > limit_s:
            return point
        point = trial


@dataclass(frozen=True)
class _Sums:
    """Undominated sums over the layers so far, in order of latency.

    Attributes
    ----------
    latency_s, over_usd
        Latency, and cost above the bound at the relaxation's price, ``(sums,)``.
    parent, point
        The sum before, and the point of the layer added, ``(sums,)``.
    """

    latency_s: FloatArray
    over_usd: FloatArray
    parent: IntArray
    point: IntArray


def _search(
    fronts: list[Front], over: list[FloatArray], bound: float, limit_s: float, price: float,
    best: IntArray,
) -> tuple[IntArray, float]:  # fmt: skip
    """Return the best choice, and by how much joining sums may have missed a better one."""
    cost = _cost(fronts, best)
    room = (cost - bound) * (1 + _ROUNDING)
    core = [np.flatnonzero(value <= room) for value in over]
    # Large layers last: sums multiply.
    order = sorted(range(len(fronts)), key=lambda layer: core[layer].size)
    fastest = [float(fronts[layer].latency_s[core[layer]].min()) for layer in order]
    rest_s = np.append(np.cumsum(fastest[::-1])[::-1], 0.0)
    zero = np.zeros(1)
    sums = [_Sums(zero, zero, np.zeros(1, np.int64), np.zeros(1, np.int64))]
    lost = 0.0
    for step, layer in enumerate(order):
        few, missed = _joined(sums[-1], price, _MOST_PAIRS // core[layer].size, _JOINED * cost)
        sums[-1] = few
        lost += missed
        added = _added(
            few, fronts[layer], over[layer], core[layer], room, limit_s - rest_s[step + 1], price
        )
        if not added.latency_s.size:
            return best, lost
        sums.append(added)
    last = sums[-1]
    value = last.over_usd + price * (limit_s - last.latency_s)
    # Added up in another order, a sum that just kept the limit may miss it: then the next one.
    for entry in np.argsort(value, kind="stable").tolist():
        point = _traced(sums, order, entry)
        if _latency(fronts, point) <= limit_s:
            return (point, lost) if _cost(fronts, point) < cost else (best, lost)
    return best, lost


def _traced(sums: list[_Sums], order: list[int], entry: int) -> IntArray:
    """Return the points that a sum over all layers was made of."""
    point = np.zeros(len(order), dtype=np.int64)
    for step in range(len(order), 0, -1):
        point[order[step - 1]] = sums[step].point[entry]
        entry = int(sums[step].parent[entry])
    return point


def _added(
    sums: _Sums, front: Front, over: FloatArray, core: IntArray, room: float, most_s: float,
    price: float,
) -> _Sums:  # fmt: skip
    """Return the undominated sums with one layer more."""
    latency = np.add.outer(sums.latency_s, front.latency_s[core])
    above = np.add.outer(sums.over_usd, over[core])
    # Rounding must not cut off a choice that just keeps the limit.
    kept = np.flatnonzero((above <= room) & (latency <= most_s + _ROUNDING * abs(most_s)))
    latency, above = latency.ravel()[kept], above.ravel()[kept]
    # Cost is what is above the bound, without the price of its latency.
    best = undominated(latency, above - price * latency)
    parent, point = np.divmod(kept[best], core.size)
    return _Sums(latency[best], above[best], parent, core[point])


def _joined(sums: _Sums, price: float, most: int, width: float) -> tuple[_Sums, float]:
    """Return at most `most` sums, and by how much a dropped one may have been cheaper.

    Costs descend as latencies grow: the first sum of each interval of costs stands for the others,
    which are slower and at most the interval's width cheaper.
    """
    lost = 0.0
    while sums.latency_s.size > max(1, most):
        cost = sums.over_usd - price * sums.latency_s
        step = np.floor((cost[0] - cost) / width)
        kept = np.ones(cost.size, dtype=np.bool_)
        kept[1:] = step[1:] > step[:-1]
        sums = _Sums(sums.latency_s[kept], sums.over_usd[kept], sums.parent[kept], sums.point[kept])
        lost += width
        width *= 4.0
    return sums, lost
