"""Pinned against cached: how many of a cache's slots to give to experts that never leave.

A pin spares its expert's loads for good and takes a slot from the policy. KTransformers and
llama.cpp's lists pin all slots, the paper none; between them lies the best number, which the replay
of every one finds. Pins are there from the start at no cost, as in the model, so that each is ahead
of the policy by the first load of its expert.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, least_room, matching_of, replay
from moeopt.buffering.stream import Stream, streams
from moeopt.core.arrays import (
    FloatArray,
    IntArray,
    own_array,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import InstanceError


@dataclass(frozen=True)
class Pins:
    """The best number of pins of each cache.

    Attributes
    ----------
    curves
        What 0, 1, ... pins cost each cache, up to its slots; ``inf`` where the policy has too
        little room left.
    pins
        The best of these, the fewest of equals, ``(caches,)``.
    pinned
        Their layers and experts, ``(pins, 2)``, as a problem states them.
    cost, cost_without
        Of all caches with these pins, and with none.
    """

    curves: tuple[FloatArray, ...]
    pins: IntArray
    pinned: IntArray
    cost: float
    cost_without: float


def pins_beside_cache(
    problem: BufferingProblem, policy: str, popularity: FloatArray | None = None
) -> Pins:
    """Return how many of the most popular experts to pin in each cache.

    Parameters
    ----------
    problem
        References and slots; what it pins itself does not count.
    policy
        For the slots that are left.
    popularity
        By which experts are pinned, ``(layers, experts)``. Left out, the problem's `history`;
        without one its own references, which nobody knows before.

    Raises
    ------
    InstanceError
        If the caches are not stated in slots.
    """
    if problem.slots is None:
        raise InstanceError(
            "$.slots", None, "must be stated: pins are counted in slots", "give slots for caches"
        )
    counts = _popularity(problem, popularity)
    matching = matching_of(problem) if policy == "activation_matching" else None
    curves, best, pinned = [], [], []
    for part in streams(problem):
        items = slice(part.first_item, part.first_item + part.num_items)
        ranked = np.argsort(-counts.ravel()[items], kind="stable")
        hints = hints_of(problem, part, matching)
        slots = min(part.capacity or 0, part.num_items)
        curve = np.full(slots + 1, np.inf)
        for pins in range(slots + 1):
            own = _with_pins(part, ranked[:pins])
            if least_room(own) <= slots:
                curve[pins] = replay(own, policy, slots, hints).miss_cost
        curves.append(curve)
        best.append(int(np.argmin(curve)))
        pinned.append(part.first_item + np.sort(ranked[: best[-1]]))
    chosen = np.concatenate(pinned)
    return Pins(
        curves=tuple(curves),
        pins=np.array(best),
        pinned=np.stack(np.divmod(chosen, problem.num_experts), axis=1),
        cost=float(sum(curve[pins] for curve, pins in zip(curves, best, strict=True))),
        cost_without=float(sum(curve[0] for curve in curves)),
    )


def _with_pins(part: Stream, items: IntArray) -> Stream:
    pinned = np.zeros(part.num_items, dtype=np.bool_)
    pinned[items] = True
    return replace(part, pinned=pinned)


def _popularity(problem: BufferingProblem, popularity: FloatArray | None) -> FloatArray:
    shape = (problem.num_layers, problem.num_experts)
    if popularity is not None:
        counts = own_array(popularity, "popularity", np.float64)
        require_shape(counts, "popularity", shape, "layers, experts")
        require_finite_nonnegative(counts, "popularity")
        return counts
    if problem.history is not None:
        return np.asarray(problem.history, dtype=np.float64)
    return np.bincount(problem.item_of(), minlength=shape[0] * shape[1]).astype(np.float64)
