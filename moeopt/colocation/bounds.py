"""What no colocation can beat: lower bounds of each objective, each with its argument.

Every component of Table 2 only makes the rest later (Theorem 6.1 with its proof mended): what is
put together from components that are too small is too small.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from moeopt.colocation.layout import Layout, layout_of
from moeopt.colocation.plan import TOLERANCE
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.weights import (
    DeviceClass,
    Loads,
    Parts,
    device_classes,
    expert_loads,
    least_remote,
    parts_of,
)
from moeopt.core.arrays import BoolArray, FloatArray

#: Most cells, pairs of experts times classes of devices, that are weighed one by one.
MOST_CELLS = 3_000_000

#: Most experts of a model that are matched with places.
MOST_MATCHED = 2_000


def bound(problem: ColocationProblem) -> float:
    """Return the best of the cheap lower bounds of the problem's objective, in seconds."""
    layout = layout_of(problem)
    classes = _few_enough(device_classes(layout), problem.num_devices)
    floor = None
    best = mean_bound(problem, layout)
    if problem.objective == "time":
        floor = floors(problem, layout, classes)
        best = max(best, float(floor.value("time")))
    return max(best, projection_bound(problem, layout, classes, floor, best))


def mean_bound(problem: ColocationProblem, layout: Layout) -> float:
    """Return the bound of all work spread evenly.

    A device computes for one model at a time and moves the dispatches before the combines, so it
    takes at least the sum of its gates, experts and aggregations, and at least its port's
    dispatches and combines. Over all devices both sums are at least what they would be if every
    model were on as few devices as hold it, and sent no more than it must (`least_remote`).
    """
    remote = least_remote(layout, problem.experts_per_device)
    port = layout.port.sum()
    if problem.objective == "communication":
        return float(remote @ layout.there / port)
    devices = -(-layout.count // problem.experts_per_device)
    work = layout.seconds @ layout.tokens.sum(axis=1) + devices @ layout.fixed.sum(axis=1)
    carried = remote @ (layout.there + layout.back)
    return float(max(work / layout.speed.sum(), carried / port))


def floors(problem: ColocationProblem, layout: Layout, classes: list[DeviceClass]) -> Parts:
    """Return the least of each component's maximum over devices, each by itself.

    * *Gate and aggregation*: a model needs at least its experts over `experts_per_device` devices,
      so at best the fastest so many have it, and the slowest of these sets the pace.
    * *Experts and single all-to-alls*: every expert takes a place, so the largest weight of a
      matching of experts with places, as small as can be; or the mean, if that is more.
    * *Aggregated all-to-alls of models j to k*: at least those of fewer models, the mean, and with
      one expert of a model on a device, what `pairs_bound` says of models j and k.
    """
    places = problem.experts_per_device
    loads = expert_loads(layout, places, problem.num_experts)
    needed = np.minimum(-(-layout.count // places), problem.num_devices)
    slowest = np.sort(layout.speed)[::-1][needed - 1]
    compute = np.array(
        [
            _least_largest(
                layout, m, layout.seconds[m] * layout.tokens[m, :, None] / layout.speed, places
            )
            for m in range(problem.num_models)
        ]
    )
    compute = np.maximum(compute, layout.seconds * layout.tokens.sum(axis=1) / layout.speed.sum())
    return Parts(
        gate_s=layout.fixed[:, 0] / slowest,
        compute_s=compute,
        aggregation_s=layout.fixed[:, 1] / slowest,
        dispatch_s=_line_floors(problem, layout, classes, loads, layout.there),
        combine_s=_line_floors(problem, layout, classes, loads, layout.back),
    )


def projection_bound(
    problem: ColocationProblem,
    layout: Layout,
    classes: list[DeviceClass],
    floor: Parts | None,
    low: float,
) -> float:
    """Return the bound of what single experts, and pairs of them, would take on a device alone.

    Threshold and matching: if only the groups of a device and experts that take at most tau are
    left, every expert must still get a place of its own, and any two models' experts must still
    be paired so that the pairs fill the devices (`pairs_bound`). The least tau that allows this is
    a bound. Pairs are looked at with one expert of a model on a device, which there must be places
    for. For ``"time"``, which is at least what any device takes alone, components count at least
    their `floors`.

    Parameters
    ----------
    classes
        Of interchangeable devices.
    floor
        Of each component, or ``None`` for none.
    low
        A bound that is known; nothing below it is looked at.
    """
    places, models = problem.experts_per_device, problem.num_models
    cells = problem.num_devices**2 * len(classes)
    best = low
    crowded = problem.num_experts > problem.num_devices
    if crowded or places > 1 or models == 1 or cells > MOST_CELLS:
        for m in range(models):
            weight = _alone(problem, layout, classes, floor, m)
            best = max(best, _least_largest(layout, m, weight, places))
        return best
    for pair in itertools.combinations(range(models), 2):
        weights = [_pair_weights(problem, layout, kind, floor, pair) for kind in classes]
        best = pairs_bound(weights, classes, best)
        index = np.repeat(np.arange(len(classes)), [len(kind.devices) for kind in classes])
        for partner in (2, 1):
            # The least over the partner, for each device: a column for each of a class.
            least = np.stack(weights).min(axis=partner)
            best = _matched(least[index].T, problem.num_devices, best)
    return best


def pairs_bound(weights: Iterable[FloatArray], classes: list[DeviceClass], low: float) -> float:
    """Return the least tau for which pairs can fill any of the first devices, or `low` if more.

    Every device holds one pair (of experts, or of none). So for the first k classes together there
    are as many disjoint pairs as devices, each of which some of those classes takes within tau: a
    matching of that many. Slow ports first, so that pairs are found that slow devices can take.

    Parameters
    ----------
    weights
        Of each pair on a device of each class, shape ``(devices, devices)``: experts, then none.
    classes
        As many.
    low
        Nothing below it is looked at.
    """
    least, filled = np.array(np.inf), 0
    for weight, kind in zip(weights, classes, strict=True):
        least = np.minimum(least, weight)
        filled += len(kind.devices)
        low = _matched(least, filled, low)
    return low


def _few_enough(classes: list[DeviceClass], devices: int) -> list[DeviceClass]:
    """Merge neighbouring classes into classes of the better devices, so that pairs can be weighed.

    A device that is better in all respects takes no longer: what is a bound then is one now.
    """
    most = max(1, MOST_CELLS // devices**2)
    if len(classes) <= most:
        return classes
    return [
        DeviceClass(
            devices=np.concatenate([kind.devices for kind in part]),
            speed=max(kind.speed for kind in part),
            port=max(kind.port for kind in part),
            budget=max(kind.budget for kind in part),
            pinned=False,
        )
        for part in (
            [classes[i] for i in indices.tolist()]
            for indices in np.array_split(np.arange(len(classes)), most)
        )
    ]


def _line_floors(
    problem: ColocationProblem,
    layout: Layout,
    classes: list[DeviceClass],
    loads: Loads,
    carried: FloatArray,
) -> FloatArray:
    """Return the least of the aggregated communication times, ``(models, models)``."""
    models, places = problem.num_models, problem.experts_per_device
    remote = least_remote(layout, places) * carried
    most = np.maximum(loads.sent, loads.received) * carried[:, None]
    least = np.zeros((models, models))
    for m in range(models):
        weight = most[m, :, None] / layout.port
        least[m, m] = _least_largest(layout, m, weight, places)
    pairs = places == 1 and problem.num_devices**2 * len(classes) <= MOST_CELLS
    for width in range(models):
        for j in range(models - width):
            k = j + width
            mean = remote[j : k + 1].sum() / layout.port.sum()
            known = [least[j, k], float(mean)]
            if width:
                known += [least[j, k - 1], least[j + 1, k]]
            least[j, k] = max(known)
            if width and pairs:
                weight = _pair_lines(problem, layout, carried, (j, k))
                lines = (weight / kind.port for kind in classes)
                least[j, k] = pairs_bound(lines, classes, least[j, k])
    return least


def _pair_lines(
    problem: ColocationProblem, layout: Layout, carried: FloatArray, pair: tuple[int, int]
) -> FloatArray:
    """Return the bytes of the busier direction of each pair, ``(devices, devices)``."""
    loads = expert_loads(layout, 1, problem.num_devices)
    first, second = pair
    sums = [
        one[first, :, None] * carried[first] + one[second, None, :] * carried[second]
        for one in (loads.sent, loads.received)
    ]
    busier: FloatArray = np.maximum(*sums)
    return busier


def _pair_weights(
    problem: ColocationProblem,
    layout: Layout,
    kind: DeviceClass,
    floor: Parts | None,
    pair: tuple[int, int],
) -> FloatArray:
    """Return what each pair takes on a device of a class; models beside it count their least."""
    loads = expert_loads(layout, 1, problem.num_devices)
    shape = (problem.num_devices, problem.num_devices)

    def spread(one: FloatArray) -> FloatArray:
        rows = [np.broadcast_to(row.min(), shape) for row in one]
        rows[pair[0]] = np.broadcast_to(one[pair[0], :, None], shape)
        rows[pair[1]] = np.broadcast_to(one[pair[1], None, :], shape)
        return np.stack(rows)

    both = Loads(
        spread(loads.sent), spread(loads.received), spread(loads.tokens), spread(loads.held)
    )
    parts = parts_of(layout, both, kind.speed, kind.port)
    weight = (parts if floor is None else parts.at_least(floor)).value(problem.objective)
    fits = np.tensordot(layout.size, both.held, axes=1) <= kind.budget * (1 + TOLERANCE)
    for m, axis in zip(pair, (0, 1), strict=True):
        may = np.ones(problem.num_devices, dtype=np.bool_)
        may[: layout.allowed.shape[1]] = layout.allowed[m][:, kind.devices].any(axis=1)
        fits &= np.expand_dims(may, 1 - axis)
    return np.where(fits, weight, np.inf)


def _alone(
    problem: ColocationProblem,
    layout: Layout,
    classes: list[DeviceClass],
    floor: Parts | None,
    m: int,
) -> FloatArray:
    """Return what each expert of a model takes at least on each device, ``(experts, devices)``."""
    loads = expert_loads(layout, problem.experts_per_device, problem.num_experts)

    def only(one: FloatArray) -> FloatArray:
        alone = np.zeros_like(one)
        alone[m] = one[m]
        return alone

    mine = Loads(*(only(one) for one in (loads.sent, loads.received, loads.tokens, loads.held)))
    weight = np.empty((problem.num_experts, problem.num_devices))
    for kind in classes:
        parts = parts_of(layout, mine, kind.speed, kind.port)
        parts = parts if floor is None else parts.at_least(floor)
        weight[:, kind.devices] = parts.value(problem.objective)[:, None]
    return weight


def _least_largest(layout: Layout, m: int, weight: FloatArray, places: int) -> float:
    """Return the least largest weight of a matching of a model's experts with places.

    Parameters
    ----------
    weight
        Of each expert on each device, ``(experts, devices)``.
    places
        Experts of the model that a device takes; each is weighed by itself.
    """
    experts = int(layout.count[m])
    weight = np.where(layout.allowed[m], weight, np.inf)[:experts]
    low = float(weight.min(axis=1).max())
    places = min(places, experts)
    if experts > MOST_MATCHED or weight.size * places > MOST_CELLS:
        return low if np.isfinite(low) else 0.0
    return _matched(np.repeat(weight, places, axis=1), experts, low if np.isfinite(low) else 0.0)


def _matched(weight: FloatArray, pairs: int, low: float) -> float:
    """Return the least tau of at least `low` with a matching of so many entries of at most tau.

    `low` itself if there is no such matching at all: then no plan exists, and any bound holds.
    """
    if _most_pairs(weight <= low) >= pairs:
        return low
    values = np.unique(weight[np.isfinite(weight) & (weight > low)])
    first, last = 0, len(values) - 1
    if last < 0 or _most_pairs(weight <= values[last]) < pairs:
        return low
    while first < last:
        middle = (first + last) // 2
        if _most_pairs(weight <= values[middle]) >= pairs:
            last = middle
        else:
            first = middle + 1
    return float(values[last])


def _most_pairs(allowed: BoolArray) -> int:
    """Return the size of a largest matching within `allowed`."""
    matched = maximum_bipartite_matching(csr_array(allowed), perm_type="column")
    return int((matched >= 0).sum())
