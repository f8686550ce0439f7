"""The learned policy as an object: for a server that asks group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.buffering._kernels_learned import serve_group
from moeopt.buffering.learned import cache_state, learner, too_small
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import streams
from moeopt.core.arguments import number, whole
from moeopt.core.arrays import IntArray, own_array, require_finite_nonnegative
from moeopt.core.errors import InstanceError


@dataclass(frozen=True)
class Served:
    """What a group makes the cache do, in the order in which it is to be done.

    Attributes
    ----------
    missing
        Experts to be loaded, ``(misses,)``, in the order in which they run.
    dropped
        Experts to be dropped, ``(drops,)``; each may go when the one of `makes_room_for` comes.
    makes_room_for
        For which of `missing` each is dropped, ``(drops,)``, positions in it.
    """

    missing: IntArray
    dropped: IntArray
    makes_room_for: IntArray


class LearnedCache:
    """The cache of one layer under the policy ``learned``, served group by group.

    Parameters
    ----------
    experts
        Experts of the layer.
    slots
        Experts that fit.
    active_experts
        Experts that a group will ask for, about: what `history` is scaled to.
    history
        Past counts of each expert, ``(experts,)``.

    Raises
    ------
    InstanceError
        If a number is not positive, or a count is negative or not finite.

    Examples
    --------
    >>> from moeopt.buffering import LearnedCache
    >>> cache = LearnedCache(experts=8, slots=2, active_experts=1)
    >>> [cache.serve([expert]).missing.tolist() for expert in (3, 4, 3)]
    [[3], [4], []]
    >>> cache.serve([5]).dropped.size
    1
    """

    def __init__(
        self, experts: int, slots: int, active_experts: float = 1.0, history: Any = None
    ) -> None:
        self.experts, self.slots = _positive("experts", experts), _positive("slots", slots)
        counts = None if history is None else own_array(history, "history", np.float64)
        if counts is not None and counts.shape != (self.experts,):
            raise InstanceError(
                "history", f"<shape {counts.shape}>", f"must have shape ({experts},)", "correct it"
            )
        if counts is not None:
            require_finite_nonnegative(counts, "history")
        asked = number("active_experts", active_experts)
        if not 0 < asked < np.inf:
            raise InstanceError("active_experts", asked, "must be finite and > 0", "correct it")
        nothing = np.zeros(0, dtype=np.int64)
        empty = BufferingProblem(
            experts=self.experts,
            active=nothing,
            starts=np.zeros(2, dtype=np.int64),
            slots=self.slots,
        )
        (stream,) = streams(empty)
        self._state = learner(stream, self.slots, counts, group_size=asked).arrays
        self._cache = cache_state(stream, self.slots)
        self._before = nothing

    def serve(self, active: Sequence[int] | IntArray) -> Served:
        """Take in the experts of the next group and return what is to be loaded and dropped.

        Parameters
        ----------
        active
            Experts that it asks for, none twice, in the order in which they run.

        Raises
        ------
        InstanceError
            If one of them does not exist or occurs twice.
        """
        given = own_array(active, "active").ravel()
        items = given.astype(np.int64)
        if items.size and (
            given.dtype.kind not in "iu"
            or items.min() < 0
            or items.max() >= self.experts
            or np.unique(items).size < items.size
        ):
            rule = f"must be different experts below {self.experts}"
            raise InstanceError("active", given.tolist(), rule, "name each expert once")
        missed = np.zeros(items.size, dtype=np.bool_)
        drops = np.empty((2, items.size), dtype=np.int64)
        count = serve_group(
            items, 0, 0, self._before, *self._cache, *self._state, missed, *drops, 0
        )
        if count < 0:
            raise too_small(self.slots)
        self._before = items
        place = np.cumsum(missed) - 1
        return Served(
            missing=items[missed],
            dropped=drops[1, :count].copy(),
            makes_room_for=place[drops[0, :count]],
        )

    def resident(self) -> IntArray:
        """Return the experts that are in the cache, ``(residents,)``."""
        return np.flatnonzero(self._cache[0])


def _positive(path: str, value: Any) -> int:
    number = whole(path, value)
    if number < 1:
        raise InstanceError(path, value, "must be >= 1", "correct it")
    return number
