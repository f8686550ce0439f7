"""Counts of tokens where no trace was kept: of each expert of each layer, window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, own_array, require_finite_nonnegative
from moeopt.core.errors import InstanceError
from moeopt.traces.archive import require_small
from moeopt.traces.trace import MOST_EXPERTS


@dataclass(frozen=True, eq=False)
class ExpertCounts:
    """How many tokens each expert got, in one window of time or in several.

    Attributes
    ----------
    counts
        Tokens, ``(windows, layers, experts)``, finite and >= 0: what `moeopt.placement` takes as
        loads, a window a scenario.
    layer_ids
        Number of each layer in its model, ``(layers,)``, ascending.
    """

    counts: FloatArray
    layer_ids: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", own_array(self.counts, "counts", np.float64))
        object.__setattr__(self, "layer_ids", own_array(self.layer_ids, "layer_ids", np.int64))
        _check(self)

    @property
    def num_windows(self) -> int:
        """Number of windows."""
        return int(self.counts.shape[0])

    @property
    def num_layers(self) -> int:
        """Number of layers, those without tokens included."""
        return int(self.counts.shape[1])

    @property
    def num_experts(self) -> int:
        """Number of experts of each layer."""
        return int(self.counts.shape[2])

    def total(self) -> FloatArray:
        """Return the tokens of each expert in all windows, ``(layers, experts)``."""
        summed: FloatArray = self.counts.sum(axis=0)
        return summed

    def active(self) -> ExpertCounts:
        """Return the layers that have tokens in some window: dense ones have none."""
        kept = self.counts.any(axis=(0, 2))
        return ExpertCounts(self.counts[:, kept], self.layer_ids[kept])


def require_room(name: str, windows: int, layers: int, experts: int, stated: int) -> None:
    """Raise `InstanceError` if counts of these sizes would be too large to keep.

    Parameters
    ----------
    name
        The file, for the error.
    windows, layers, experts
        Sizes of the counts.
    stated
        How many counts the file has.
    """
    if experts > MOST_EXPERTS:
        raise InstanceError(
            name,
            f"<{experts} experts>",
            f"must have at most {MOST_EXPERTS}",
            "number the experts from 0",
        )
    require_small(name, 8 * windows * layers * experts, 8 * stated)


def _check(given: ExpertCounts) -> None:
    if given.counts.ndim != 3 or 0 in given.counts.shape:
        raise InstanceError(
            "counts",
            f"<shape {given.counts.shape}>",
            "must have shape (windows, layers, experts), none of them 0",
            "put counts[None] for one window",
        )
    require_finite_nonnegative(given.counts, "counts")
    ids = given.layer_ids
    if ids.dtype != np.int64 or ids.shape != given.counts.shape[1:2]:
        raise InstanceError(
            "layer_ids",
            f"<{ids.dtype}, shape {ids.shape}>",
            f"must give each of the {given.num_layers} layers a whole number",
            "np.arange(layers) numbers them from 0",
        )
    if ids[0] < 0 or (np.diff(ids) <= 0).any():
        raise InstanceError("layer_ids", ids.tolist(), "must ascend from 0 or more", "sort layers")
