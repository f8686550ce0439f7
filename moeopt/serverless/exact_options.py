"""What the linear model chooses from: each layer's modes and its experts' options, as flat lists.

The full list is the formulation page's. The short one leaves out what no optimal plan needs; it is
made here alone, so that the model's optimum proves that of `moeopt.serverless.exact`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.serverless.degrees import candidate_degrees
from moeopt.serverless.options import layer_data, layer_options
from moeopt.serverless.plan import TOLERANCE
from moeopt.serverless.problem import DESIGNS, ServerlessProblem
from moeopt.serverless.promise import limit_of

#: What is better by less than this share is as good: sums of the same numbers in another order.
_ROUNDING = 1e-12

#: A design and a pipeline degree, 0 where there is none.
Mode = tuple[int, int]

#: Latencies of a layer, ascending, and what it costs within each.
Steps = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Menu:
    """One layer's modes and options.

    Attributes
    ----------
    design, degree
        Of each mode: a communication design and a pipeline degree, 0 where there is none,
        ``(modes,)``.
    kind
        Of each expert: experts of one kind decide as one, ``(experts,)``.
    mode, chooser, size, replicas
        Of each option: its mode, the kind of expert that it is for, the index of its memory size,
        and its functions, 0 for none at all, ``(options,)``.
    cost_usd, latency_s
        Of each option: the bill of all experts of the kind, and the layer's latency were it for
        them alone, ``(options,)``.
    fits
        Whether C2 to C5 and C8 allow the option, ``(options,)``.
    """

    design: IntArray
    degree: IntArray
    kind: IntArray
    mode: IntArray
    chooser: IntArray
    size: IntArray
    replicas: IntArray
    cost_usd: FloatArray
    latency_s: FloatArray
    fits: BoolArray

    @property
    def kinds(self) -> int:
        """Number of kinds of experts."""
        return int(self.kind.max()) + 1

    def mode_latency_s(self) -> FloatArray:
        """Return the least latency of each mode, ``(modes,)``; infinite if an expert has none."""
        least = np.full((self.design.size, self.kinds), np.inf)
        fits = self.fits
        np.minimum.at(least, (self.mode[fits], self.chooser[fits]), self.latency_s[fits])
        worst: FloatArray = least.max(axis=1)
        return worst


@dataclass(frozen=True, eq=False)
class _Fronts:
    """The undominated options of a layer under one mode.

    Attributes
    ----------
    design, degree
        The mode.
    kind
        Of each expert.
    chooser, size, replicas, cost_usd, latency_s
        As in `Menu`.
    """

    design: int
    degree: int
    kind: IntArray
    chooser: IntArray
    size: IntArray
    replicas: IntArray
    cost_usd: FloatArray
    latency_s: FloatArray

    def least_s(self) -> float:
        """Return the layer's least latency, infinite if an expert has no option left."""
        least = np.full(int(self.kind.max()) + 1, np.inf)
        np.minimum.at(least, self.chooser, self.latency_s)
        return float(least.max())

    def within(self, limit_s: float) -> _Fronts:
        """Return what is no slower than a latency."""
        return self._only(np.flatnonzero(self.latency_s <= limit_s))

    def needed(self) -> _Fronts:
        """Return what is left without options that are faster than the layer can be, but dearer."""
        floor_s = self.least_s()
        # Of each kind, in order of latency, the next one is as fast as need be, and cheaper.
        early = np.append(self.latency_s[1:] <= floor_s, False)
        early &= np.append(self.chooser[1:] == self.chooser[:-1], False)
        return self._only(np.flatnonzero(~early))

    def _only(self, kept: IntArray) -> _Fronts:
        return _Fronts(
            self.design, self.degree, self.kind, self.chooser[kept], self.size[kept],
            self.replicas[kept], self.cost_usd[kept], self.latency_s[kept],
        )  # fmt: skip

    def layer_costs(self) -> Steps:
        """Return the latencies, ascending, at which the layer's cost steps down, and the costs."""
        start_s = self.least_s()
        late = np.unique(np.maximum(self.latency_s, start_s))
        cost = np.zeros(late.size)
        for chooser in np.unique(self.chooser):
            mine = np.flatnonzero(self.chooser == chooser)
            # In order of latency, and of falling cost.
            at = np.searchsorted(self.latency_s[mine], late, side="right") - 1
            cost += self.cost_usd[mine][at]
        return late, cost


def reads_latency(problem: ServerlessProblem) -> bool:
    """Tell whether anything depends on latencies: a promise, or billed waiting."""
    return problem.slo_s is not None or problem.waiting_usd_per_s() > 0


def modes_of(problem: ServerlessProblem, designs: Collection[int]) -> list[list[Mode]]:
    """Return the modes of each layer: designs 2 and 3, then 1 with its degrees, the largest first.

    With one degree for the model every layer has the degrees of all.
    """
    layers = range(problem.num_layers)
    free = [(design, 0) for design in designs if design != 1]
    if 1 not in designs:
        return [free for _ in layers]
    degrees = [np.asarray(candidate_degrees(problem, layer)) for layer in layers]
    if problem.pipeline_degree == "model":
        degrees = [np.unique(np.concatenate(degrees))] * problem.num_layers
    return [free + [(1, degree) for degree in each[::-1].tolist()] for each in degrees]


def count_options(problem: ServerlessProblem, designs: Collection[int]) -> int:
    """Return how many options all experts of the problem have, those that do not fit included."""
    modes = np.array([len(each) for each in modes_of(problem, designs)])
    each = len(problem.memory_mb) * problem.max_replicas
    return int((problem.experts() * modes).sum()) * each


def full_menus(problem: ServerlessProblem) -> tuple[Menu, ...]:
    """Return every option under every design, and for every expert none at all."""
    modes = modes_of(problem, DESIGNS)
    return tuple(_full_menu(problem, layer, modes[layer]) for layer in range(problem.num_layers))


def short_menus(problem: ServerlessProblem) -> tuple[Menu, ...]:
    """Return for each layer the options among which those of an optimal plan are.

    Left out are, in this order: options that do not fit; experts that another equals in tokens
    and parameters, whose cost is counted with it; options that another of the same mode beats in
    cost and latency; options too late beside the fastest of all other layers; and modes that are
    dearer than others at every latency of the layer.
    """
    modes = modes_of(problem, problem.designs)
    layers = [_fronts(problem, layer, modes[layer]) for layer in range(problem.num_layers)]
    fastest = [min((front.least_s() for front in fronts), default=np.inf) for fronts in layers]
    spare_s = limit_of(problem) - sum(fastest)
    # Where the promise cannot be kept, the model shall say so in rows of its own.
    if 0 <= spare_s < math.inf:
        layers = [
            _in_time(fronts, least_s + spare_s + TOLERANCE * abs(limit_of(problem)))
            for fronts, least_s in zip(layers, fastest, strict=True)
        ]
    if problem.pipeline_degree == "model":
        layers = _of_degrees(layers)
    else:
        layers = [_cheapest(fronts) for fronts in layers]
    return tuple(_joined(problem, layer, fronts) for layer, fronts in enumerate(layers))


def _full_menu(problem: ServerlessProblem, layer: int, modes: list[Mode]) -> Menu:
    experts, sizes = int(problem.experts()[layer]), len(problem.memory_mb)
    shape = (len(modes), experts, sizes, problem.max_replicas + 1)
    cost, latency, fits = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    data = layer_data(problem, layer)
    for m, (design, degree) in enumerate(modes):
        options = layer_options(problem, data, design, degree)
        cost[m, ..., 1:], latency[m, ..., 1:] = options.cost_usd, options.latency_s
        fits[m, ..., 1:] = options.fits & (design in problem.designs)
    mode, expert, size, replicas = np.indices(shape).reshape(len(shape), -1)
    design, degree = np.array(modes).T
    return Menu(
        design, degree, np.arange(experts), mode, expert, size, replicas, cost.ravel(),
        latency.ravel(), fits.ravel(),
    )  # fmt: skip


def _fronts(problem: ServerlessProblem, layer: int, modes: list[Mode]) -> list[_Fronts]:
    """Return the undominated options of each mode in which all experts of a layer fit."""
    alike = np.vstack([problem.tokens_of(layer), problem.parameter_bytes_of(layer)])
    _, first, kind, count = np.unique(
        alike, axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    timed = reads_latency(problem)
    data = layer_data(problem, layer)
    found = []
    for design, degree in modes:
        options = layer_options(problem, data, design, degree)
        fits = options.fits[first].reshape(first.size, -1)
        if not fits.any(axis=1).all():
            continue
        cost = np.where(fits, options.cost_usd[first].reshape(fits.shape), np.inf)
        late = options.latency_s[first].reshape(fits.shape) if timed else np.zeros(fits.shape)
        order = np.lexsort((cost, np.where(fits, late, np.inf)))
        cost = np.take_along_axis(cost, order, axis=1)
        kept = np.isfinite(cost)
        kept[:, 1:] &= cost[:, 1:] < np.minimum.accumulate(cost, axis=1)[:, :-1]
        chooser, place = np.nonzero(kept)
        option = order[chooser, place]
        size, replicas = np.divmod(option, problem.max_replicas)
        front = _Fronts(
            design, degree, kind.ravel(), chooser, size, replicas + 1,
            cost[kept] * count[chooser], late[chooser, option],
        )  # fmt: skip
        found.append(front.needed())
    return found


def _in_time(fronts: Sequence[_Fronts], limit_s: float) -> list[_Fronts]:
    """Return the modes in which all experts can be as fast as the limit, without what is slower."""
    return [front.within(limit_s) for front in fronts if front.least_s() <= limit_s]


def _cheapest(fronts: list[_Fronts]) -> list[_Fronts]:
    """Return modes of which, at every latency of the layer, one is as cheap as any."""
    # In the other order again: a later mode may do for an earlier one.
    return _improving(_improving(fronts)[::-1])[::-1]


def _improving(fronts: list[_Fronts]) -> list[_Fronts]:
    """Return the modes that are at some latency cheaper than all before them."""
    kept: list[_Fronts] = []
    lowest = _lowest([])
    for front in fronts:
        if not _no_dearer(lowest, front.layer_costs()):
            kept.append(front)
            lowest = _lowest([lowest, front.layer_costs()])
    return kept


def _of_degrees(layers: list[list[_Fronts]]) -> list[list[_Fronts]]:
    """Return the modes that one degree of the model needs.

    Of design 1 these are the degrees for which no other one is, with the other designs beside it,
    at least as cheap at every latency of every layer; in layers where they are of any use.
    """
    free = [_cheapest([front for front in fronts if front.design != 1]) for fronts in layers]
    steps = [_lowest([front.layer_costs() for front in fronts]) for fronts in free]
    useful = [
        {
            front.degree: front
            for front in fronts
            if front.design == 1 and not _no_dearer(lowest, front.layer_costs())
        }
        for fronts, lowest in zip(layers, steps, strict=True)
    ]
    kept: dict[int, list[Steps]] = {}
    for degree in sorted(set().union(*useful), reverse=True):
        mine = [
            _lowest([lowest, each[degree].layer_costs()]) if degree in each else lowest
            for each, lowest in zip(useful, steps, strict=True)
        ]
        if any(all(map(_no_dearer, other, mine)) for other in kept.values()):
            continue
        kept = {d: other for d, other in kept.items() if not all(map(_no_dearer, mine, other))}
        kept[degree] = mine
    return [
        fronts + [each[degree] for degree in kept if degree in each]
        for fronts, each in zip(free, useful, strict=True)
    ]


def _lowest(parts: Sequence[Steps]) -> Steps:
    """Return the latencies, ascending, and what the cheapest of several costs within each."""
    late = np.concatenate([np.empty(0), *(part[0] for part in parts)])
    cost = np.concatenate([np.empty(0), *(part[1] for part in parts)])
    order = np.argsort(late, kind="stable")
    return late[order], np.minimum.accumulate(cost[order])


def _no_dearer(first: Steps, second: Steps) -> bool:
    """Tell whether the first costs no more than the second at any latency, up to rounding."""
    at = np.searchsorted(first[0], second[0] * (1 + _ROUNDING), side="right") - 1
    cost = np.append(first[1], np.inf)[at]
    return bool((cost <= second[1] * (1 + _ROUNDING)).all())


def _joined(problem: ServerlessProblem, layer: int, fronts: list[_Fronts]) -> Menu:
    """Return the options of several modes as one menu."""
    sizes = [front.chooser.size for front in fronts]
    whole, real = np.empty(0, dtype=np.int64), np.empty(0)
    # A layer without any mode has experts still: its model is infeasible.
    kind = fronts[0].kind if fronts else np.arange(problem.experts()[layer])
    return Menu(
        design=np.array([front.design for front in fronts], dtype=np.int64),
        degree=np.array([front.degree for front in fronts], dtype=np.int64),
        kind=kind,
        mode=np.repeat(np.arange(len(fronts)), sizes),
        chooser=np.concatenate([whole, *(front.chooser for front in fronts)]),
        size=np.concatenate([whole, *(front.size for front in fronts)]),
        replicas=np.concatenate([whole, *(front.replicas for front in fronts)]),
        cost_usd=np.concatenate([real, *(front.cost_usd for front in fronts)]),
        latency_s=np.concatenate([real, *(front.latency_s for front in fronts)]),
        fits=np.ones(sum(sizes), dtype=np.bool_),
    )
