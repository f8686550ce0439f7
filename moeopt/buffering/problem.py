"""What a user of the buffering wing states: which experts were asked for, and the cache for them.

The sets, data and constraints C1 to C8 are those of ``formulations/buffering.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray, NumberOrArray
from moeopt.core.wing import Document, Problem
from moeopt.describe.cluster import Bytes, Count

Objective = Literal["misses", "miss_bytes", "seconds"]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Timing(Document, frozen=True, kw_only=True, omit_defaults=True):
    """How long transfers and computation take: what turns a schedule into stall seconds.

    Attributes
    ----------
    link_bytes_per_s
        Rate of the link from host to device, shared equally by the transfers under way.
    link_latency_s
        Seconds from the request of a transfer to its first byte.
    compute_s
        Seconds of computation of one pass of each layer, ``(layers,)`` or one number: attention
        and experts that are there. Transfers that were asked for earlier overlap with it.
    parallel_transfers
        Most transfers under way at once; further ones wait in the order of their requests.
    lookahead_groups
        How many passes of a layer ahead experts are predicted; 0: a transfer is asked for when the
        gate of its own layer has spoken.
    lookahead_accuracy
        Chance that an expert which will be loaded is predicted. A wrong prediction asks for
        another expert of the layer, whose transfer is for nothing.
    seed
        Of the draws of right and wrong predictions.
    """

    link_bytes_per_s: Annotated[float, msgspec.Meta(gt=0)]
    link_latency_s: NonNegative = 0.0
    compute_s: NumberOrArray = 0.0
    parallel_transfers: Count = 1
    lookahead_groups: Annotated[int, msgspec.Meta(ge=0)] = 0
    lookahead_accuracy: Share = 1.0
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


class BufferingProblem(Problem, frozen=True, kw_only=True, tag="buffering"):
    """The references of a trace to the experts of one device, and the cache that serves them.

    A *group* is one pass of one layer: group ``step * layers + layer``. Its references are the
    experts that the batch needs, in the order in which they are run.

    Attributes
    ----------
    layers
        Layers that keep experts.
    experts
        Experts of each layer on the device.
    active
        The expert of each reference, ``(references,)``, group after group; none twice in a group.
    starts
        First reference of each group, and the end of the last, ``(steps * layers + 1,)``.
    weights
        What a reference served without its expert in the cache costs, in units of the expert's
        `miss_s`: its tokens or its gate weight, ``(references,)``. Left out, 1 each. Only
        ``serve="bypass"`` serves so.
    sequence_starts
        First step of each sequence, ``(sequences,)``, rising from 0. Left out, there is one.
    expert_bytes
        Bytes of an expert: one number, ``(layers,)`` or ``(layers, experts)``.
    load_s
        Seconds to bring an expert to the device, in the same shapes. Left out, bytes over
        `timing`'s link rate.
    miss_s
        Seconds to serve a reference of weight 1 without loading the expert (on the host, say), in
        the same shapes; for ``serve="bypass"``.
    serve
        ``"load"``: an expert that is missing is loaded before it runs. ``"bypass"``: it is served
        elsewhere at the cost `miss_s`, and what is resident changes between groups alone.
    slots
        Experts that fit: one number for each layer or for all alike, ``(layers,)``; if `pooled`
        one number for all together.
    cache_bytes
        Bytes that fit, in the same shapes, instead of `slots`.
    budget_bytes
        Bytes of all layers' slots together, instead of `slots`: the plan divides them. A slot
        holds the largest expert of its layer.
    pooled
        All layers share one cache.
    loads_per_group
        Most loads before one group (``"bypass"``); ``None``: any number.
    update_period
        Steps from one change of the residents to the next (``"bypass"``).
    free_fill
        Loads before the first group cost nothing (``"bypass"``).
    any_order
        The plan may run the experts of a group in any order (``"load"``).
    pinned
        Experts resident from the start and never dropped, pairs of layer and expert,
        ``(pins, 2)``.
    history
        Counts of each expert in the past, ``(layers, experts)``: what a policy may know at the
        start.
    timing
        Rates and seconds for stalls, which `evaluate` tells; no objective depends on them but
        through `load_s`.
    objective
        ``"misses"``: references that do not find their expert. ``"miss_bytes"``: bytes moved for
        them and for loads. ``"seconds"``: of loads and of references served elsewhere.
    """

    version: Literal[1] = 1
    layers: Count = 1
    experts: Count
    active: IntArray
    starts: IntArray
    weights: FloatArray | None = None
    sequence_starts: IntArray | None = None
    expert_bytes: NumberOrArray = 1
    load_s: NumberOrArray | None = None
    miss_s: NumberOrArray | None = None
    serve: Literal["load", "bypass"] = "load"
    slots: NumberOrArray | None = None
    cache_bytes: NumberOrArray | None = None
    budget_bytes: Bytes | None = None
    pooled: bool = False
    loads_per_group: Count | None = None
    update_period: Count = 1
    free_fill: bool = False
    any_order: bool = False
    pinned: IntArray | None = None
    history: FloatArray | None = None
    timing: Timing | None = None
    objective: Objective = "misses"

    def __post_init__(self) -> None:
        # Imported here: the checks need this class, and this class runs the checks.
        from moeopt.buffering.validate import validate

        validate(self)

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return self.layers

    @property
    def num_experts(self) -> int:
        """Number of experts of each layer."""
        return self.experts

    @property
    def num_steps(self) -> int:
        """Number of steps, each one pass of all layers."""
        return self.num_groups // self.layers

    @property
    def num_references(self) -> int:
        """Number of references."""
        return int(self.active.size)

    @property
    def num_groups(self) -> int:
        """Number of groups, ``steps * layers``."""
        return int(self.starts.size) - 1

    def group_of(self) -> IntArray:
        """Return the group of each reference, ``(references,)``."""
        return np.repeat(np.arange(self.num_groups), np.diff(self.starts))

    def item_of(self) -> IntArray:
        """Return ``layer * experts + expert`` of each reference, ``(references,)``."""
        items: IntArray = self.group_of() % self.layers * self.experts + self.active
        return items

    def sizes_bytes(self) -> FloatArray:
        """Return the bytes of each expert, ``(layers, experts)``."""
        return self._by_expert(self.expert_bytes)

    def load_prices(self) -> FloatArray:
        """Return what a load costs in the objective's unit, ``(layers, experts)``.

        A load is a miss with ``serve="load"`` alone: what is bypassed misses without one.
        """
        if self.objective == "misses":
            return self._by_expert(1.0 if self.serve == "load" else 0.0)
        if self.objective == "miss_bytes":
            return self.sizes_bytes()
        if self.load_s is not None:
            return self._by_expert(self.load_s)
        rate = np.inf if self.timing is None else self.timing.link_bytes_per_s
        return self.sizes_bytes() / rate

    def miss_prices(self) -> FloatArray:
        """Return what each reference costs if it is bypassed, ``(references,)``, the same unit."""
        if self.objective == "misses":
            return np.ones(self.num_references)
        unit = self.sizes_bytes()
        if self.objective == "seconds":
            unit = self._by_expert(0.0 if self.miss_s is None else self.miss_s)
        prices = unit.ravel()[self.item_of()]
        if self.objective == "seconds" and self.weights is not None:
            return prices * self.weights
        return prices

    def pinned_mask(self) -> BoolArray:
        """Return which experts are pinned, ``(layers, experts)``."""
        mask = np.zeros((self.layers, self.experts), dtype=np.bool_)
        if self.pinned is not None and self.pinned.size:
            mask[self.pinned[:, 0], self.pinned[:, 1]] = True
        return mask

    def _by_expert(self, value: object) -> FloatArray:
        """Return a number, a column of layers or a full table as ``(layers, experts)``."""
        array = np.asarray(value, dtype=np.float64)
        column = array[:, None] if array.ndim == 1 else array
        return np.broadcast_to(column, (self.layers, self.experts))
