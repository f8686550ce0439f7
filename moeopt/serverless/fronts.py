"""What one layer can do: its undominated pairs of latency and cost, over designs and degrees.

Under one design and degree a layer's latency is the largest of its experts', so for each latency
every expert takes its cheapest option that is as fast: all breakpoints together are the front.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.serverless.knapsack import Front, undominated
from moeopt.serverless.options import LayerData, Options, layer_options, options_within
from moeopt.serverless.problem import ServerlessProblem

#: Tells from the front so far and what bounds a range of degrees whether the range is not needed.
Idle = Callable[[Front, Front], bool]

#: How good a front is, less is better: what counts, and what decides among equals.
Worth = tuple[float, float]

#: Returns a front that no degree from the first to the second number can better.
Look = Callable[[int, int], Front]

#: Tells when to stop looking.
Stop = Callable[[], bool]

#: A relative saving that is rounding.
_ROUNDING = 1e-12


def never() -> bool:
    """Look to the end."""
    return False


@dataclass(frozen=True)
class Mode:
    """A communication design with its pipeline degree, 0 for designs 2 and 3."""

    design: int
    degree: int


@dataclass(frozen=True)
class LayerFront:
    """A layer's front, and which mode each of its points has.

    Attributes
    ----------
    front
        Latencies and costs, the bill of waiting non-MoE functions included.
    mode
        Index into `modes` of each point.
    modes
        The modes that were looked at.
    """

    front: Front
    mode: IntArray
    modes: tuple[Mode, ...]

    @property
    def is_empty(self) -> bool:
        """Whether no mode fits all experts."""
        return not self.front.latency_s.size


def layer_front(
    problem: ServerlessProblem, data: LayerData, designs: Iterable[int],
    degrees: Sequence[int] = (), idle: Idle | None = None,
) -> LayerFront:  # fmt: skip
    """Return a layer's front.

    Parameters
    ----------
    problem, data
        The layer, by `layer_data`.
    designs
        Designs to choose from.
    degrees
        Pipeline degrees to choose from, ascending.
    idle
        Tells what may be left out, as `with_degrees`; only what others beat, if not given.
    """
    front = _empty()
    for design in designs:
        if design != 1:
            options = layer_options(problem, data, design)
            front = _merged(front, _billed(problem, data, options), Mode(design, 0))
    if 1 in designs:
        front = with_degrees(bounded_by(problem, data), front, degrees, idle or beaten)
    return front


def bounded_by(problem: ServerlessProblem, data: LayerData) -> Look:
    """Return what bounds a range of degrees of a layer: a front that none of them can better.

    Ranges are remembered, because methods come back to them with other questions.
    """
    known: dict[tuple[int, int], Front] = {}

    def look(low: int, high: int) -> Front:
        if (low, high) not in known:
            known[low, high] = _billed(problem, data, options_within(problem, data, low, high))
        return known[low, high]

    return look


def relaxed_front(
    problem: ServerlessProblem, data: LayerData, designs: Iterable[int], low: int, high: int
) -> LayerFront:
    """Return a front that no degree from `low` to `high` can better in a layer."""
    front = layer_front(problem, data, [design for design in designs if design != 1])
    if 1 in designs:
        front = _merged(front, bounded_by(problem, data)(low, high), Mode(1, high))
    return front


def with_degrees(
    look: Look, front: LayerFront, degrees: Sequence[int], idle: Idle, stop: Stop = never
) -> LayerFront:
    """Return the front with design 1 at those of the degrees that are not idle.

    Ranges of degrees are halved until what bounds a range is idle, or one degree is left.

    Parameters
    ----------
    look
        Bounds ranges of degrees, as `bounded_by`.
    front
        What is there already.
    degrees
        Ascending.
    idle
        Given the front so far and what bounds a range, tells whether the range is not needed.
    stop
        Tells when to leave it at what was found.
    """
    stack = [(0, len(degrees))] if degrees else []
    while stack and not stop():
        begin, end = stack.pop()
        low, high = degrees[begin], degrees[end - 1]
        found = look(low, high)
        if idle(front.front, found):
            continue
        if low == high:
            front = _merged(front, found, Mode(1, high))
        else:
            middle = (begin + end) // 2
            # Large degrees first: few minibatches is what mostly pays.
            stack += [(begin, middle), (middle, end)]
    return front


def beaten(front: Front, found: Front) -> bool:
    """Tell whether each point found has one on the front that is as fast and as cheap."""
    at = np.searchsorted(front.latency_s, found.latency_s, side="right") - 1
    least = np.append(front.cost_usd, np.inf)[at]
    return bool((least <= found.cost_usd).all())


def none_within(usd_per_s: float, most_usd: float) -> Idle:
    """Return what tells whether no point costs at most `most_usd`, latency priced."""

    def idle(front: Front, found: Front) -> bool:
        return beaten(front, found) or priced(usd_per_s)(found)[0] > most_usd

    return idle


def fastest(front: Front) -> Worth:
    """Return the least latency of a front, and the cost of it."""
    if not front.latency_s.size:
        return math.inf, math.inf
    return float(front.latency_s[0]), float(front.cost_usd[0])


def priced(usd_per_s: float) -> Callable[[Front], Worth]:
    """Return what gives the least cost of a front with its latency priced."""

    def worth(front: Front) -> Worth:
        return float((front.cost_usd + usd_per_s * front.latency_s).min(initial=math.inf)), 0.0

    return worth


def with_best_degree(
    look: Look, front: LayerFront, degrees: Sequence[int], worth: Callable[[Front], Worth],
    stop: Stop = never,
) -> LayerFront:  # fmt: skip
    """Return the front with the degree that makes it worth least, if some degree does.

    Ranges of degrees are halved, those of the least bound first.

    Parameters
    ----------
    look
        Bounds ranges of degrees, as `bounded_by`.
    front
        What is there already.
    degrees
        Ascending.
    worth
        What is wanted small: `fastest`, or `priced`.
    stop
        Tells when to leave it at what is there.
    """

    def bounded(begin: int, end: int) -> tuple[Worth, int, int, Front]:
        found = look(degrees[begin], degrees[end - 1])
        return worth(found), begin, end, found

    queue = [bounded(0, len(degrees))] if degrees else []
    now = worth(front.front)
    while queue and not stop():
        least, begin, end, found = heapq.heappop(queue)
        if _no_less(least, now):
            return front
        if end - begin == 1:
            return _merged(front, found, Mode(1, degrees[begin]))
        middle = (begin + end) // 2
        heapq.heappush(queue, bounded(begin, middle))
        heapq.heappush(queue, bounded(middle, end))
    return front


def _no_less(least: Worth, now: Worth) -> bool:
    """Tell whether something is worth no less than now, beyond rounding."""
    if least[0] == now[0]:
        return least[1] >= now[1]
    return least[0] >= now[0] - _ROUNDING * abs(now[0]) if math.isfinite(now[0]) else False


def _merged(front: LayerFront, found: Front, mode: Mode) -> LayerFront:
    """Return the front with the points of one mode more."""
    latency = np.concatenate([front.front.latency_s, found.latency_s])
    cost = np.concatenate([front.front.cost_usd, found.cost_usd])
    number = np.full(found.latency_s.size, len(front.modes))
    kept = undominated(latency, cost) if latency.size else np.empty(0, dtype=np.int64)
    return LayerFront(
        front=Front(latency_s=latency[kept], cost_usd=cost[kept]),
        mode=np.concatenate([front.mode, number])[kept],
        modes=(*front.modes, mode),
    )


def _empty() -> LayerFront:
    none = np.empty(0)
    front = Front(latency_s=none, cost_usd=none)
    return LayerFront(front=front, mode=np.empty(0, dtype=np.int64), modes=())


def _billed(problem: ServerlessProblem, data: LayerData, options: Options) -> Front:
    """Return a mode's front with the bill of the functions of non-MoE layers."""
    front, rate = mode_front(options), problem.waiting_usd_per_s()
    if not rate:
        return front
    cost = front.cost_usd + rate * (front.latency_s + problem.layers[data.layer].non_moe_s)
    return Front(latency_s=front.latency_s, cost_usd=cost)


def mode_front(options: Options) -> Front:
    """Return the front of a layer under one mode; empty if some expert fits nowhere."""
    experts = len(options.cost_usd)
    fits = options.fits.reshape(experts, -1)
    if not fits.any(axis=1).all():
        return Front(latency_s=np.empty(0), cost_usd=np.empty(0))
    latency = np.where(fits, options.latency_s.reshape(experts, -1), np.inf)
    cost = np.where(fits, options.cost_usd.reshape(experts, -1), np.inf)
    order = np.argsort(latency, axis=1, kind="stable")
    latency = np.take_along_axis(latency, order, axis=1)
    best = np.minimum.accumulate(np.take_along_axis(cost, order, axis=1), axis=1)
    # From the least latency on, each expert becomes cheaper where its own staircase steps down.
    start_s = latency[:, 0].max()
    early = np.count_nonzero(latency <= start_s, axis=1) - 1
    first = best[np.arange(experts), early].sum()
    saved = best[:, :-1] - best[:, 1:]
    steps = (latency[:, 1:] > start_s) & np.isfinite(latency[:, 1:]) & (saved > 0)
    when, much = latency[:, 1:][steps], saved[steps]
    in_time = np.argsort(when, kind="stable")
    latencies = np.append(start_s, when[in_time])
    costs = np.append(first, first - np.cumsum(much[in_time]))
    kept = undominated(latencies, costs)
    return Front(latency_s=latencies[kept], cost_usd=costs[kept])


def picked(options: Options, within_s: float) -> tuple[IntArray, IntArray]:
    """Return each expert's cheapest option that is done within a latency.

    Returns
    -------
    size, replicas
        Index of the memory size, and number of replicas, ``(experts,)``. Of equally cheap
        options the fastest, and of these the smallest.
    """
    experts = len(options.cost_usd)
    allowed = options.fits & (options.latency_s <= within_s)
    cost = np.where(allowed, options.cost_usd, np.inf).reshape(experts, -1)
    cheapest = cost <= cost.min(axis=1, keepdims=True)
    latency = np.where(cheapest, options.latency_s.reshape(experts, -1), np.inf)
    size, replicas = np.divmod(np.argmin(latency, axis=1), options.cost_usd.shape[2])
    return size, replicas + 1
