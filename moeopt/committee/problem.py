"""What a user of the committee wing states: experts, what their absence costs, and the memory.

The sets, data and constraints C1 to C7 are those of ``formulations/committee.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, NumberOrArray
from moeopt.core.wing import Problem
from moeopt.describe.cluster import Bytes, Count

Loss = Literal["additive", "masked", "skip", "table"]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class CommitteeProblem(Problem, frozen=True, kw_only=True, tag="committee"):
    """How many and which experts of each layer are resident, and when that changes.

    Every token is served by resident experts alone: nothing waits for a load. Time is divided into
    *windows* (one input or many); the committee may change before a window that is a multiple of
    the update period.

    Attributes
    ----------
    layers
        Layers that keep experts.
    experts
        Experts of each layer.
    loss
        What absent experts cost. ``"additive"``: their `importance` (eq. 1 of the paper, a bound on
        the error of skipping them). ``"masked"``: a token goes to the `top_k` best resident experts
        and loses what its `router` values fall short of those of the best of all. ``"skip"``: it
        keeps its own `top_k`, of which the absent are left out. ``"table"``: what was measured for
        each number of slots.
    importance
        Of each expert in each window, ``(windows, layers, experts)``; for ``"additive"``.
    router
        Value of each expert for each token, ``(tokens, layers, experts)``: length of the hidden
        state times gate weight times norm of the expert, of all experts, resident or not; for
        ``"masked"`` and ``"skip"``.
    window_starts
        First token of each window, ``(windows,)``, rising from 0. Left out, there is one.
    top_k
        Experts that serve a token.
    table
        Loss of 0, 1, ... slots of each layer, ``(layers, experts + 1)``, or one such table for each
        of `periods`, ``(periods, layers, experts + 1)``; for ``"table"``.
    swaps
        Experts that an update replaces, on average, in the shapes of `table`; for ``"table"``.
    expert_bytes
        Bytes of an expert's parameters, one number or ``(layers,)``.
    activation_bytes
        Bytes of activations for each slot, in the same shapes.
    fixed_bytes
        Bytes of all that is not an expert.
    staging_slots
        Experts of each layer that may be on their way while those that they replace still serve,
        one number or ``(layers,)``: they take their bytes of the budget.
    budget_bytes
        Memory of the device.
    min_slots, max_slots
        Fewest and most slots of a layer, one number or ``(layers,)``. Left out, `top_k` (or all
        experts, if they are fewer) and all experts.
    base_s, slot_s
        Latency of an input: a constant, and seconds for each slot, one number or ``(layers,)``.
    latency_s
        Most that it may be; ``None``: no limit.
    load_price
        What loading an expert costs in units of the loss, one number or ``(layers,)``.
    free_fill
        Loads before the first window cost nothing and are not limited by the link.
    link_bytes_per_s
        Rate at which experts are loaded; ``None``: no limit.
    window_s
        Seconds of a window; what is loaded at an update must have passed the link within one
        period.
    periods
        Windows from one update to the next, of which the plan chooses one, ``(periods,)``. Left
        out, 1.
    """

    version: Literal[1] = 1
    layers: Count = 1
    experts: Count
    loss: Loss = "additive"
    importance: FloatArray | None = None
    router: FloatArray | None = None
    window_starts: IntArray | None = None
    top_k: Count = 1
    table: FloatArray | None = None
    swaps: FloatArray | None = None
    expert_bytes: NumberOrArray = 1
    activation_bytes: NumberOrArray = 0
    fixed_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    staging_slots: NumberOrArray = 0
    budget_bytes: Bytes
    min_slots: NumberOrArray | None = None
    max_slots: NumberOrArray | None = None
    base_s: NonNegative = 0.0
    slot_s: NumberOrArray = 0.0
    latency_s: NonNegative | None = None
    load_price: NumberOrArray = 0.0
    free_fill: bool = True
    link_bytes_per_s: Positive | None = None
    window_s: Positive | None = None
    periods: IntArray | None = None

    def __post_init__(self) -> None:
        # Imported here: the checks need this class, and this class runs the checks.
        from moeopt.committee.validate import validate

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
    def num_windows(self) -> int:
        """Number of windows; 1 with a table."""
        if self.importance is not None:
            return int(self.importance.shape[0])
        return 1 if self.window_starts is None else int(self.window_starts.size)

    def choices(self) -> IntArray:
        """Return the update periods that the plan may choose of, ``(periods,)``."""
        return np.ones(1, dtype=np.int64) if self.periods is None else self.periods

    def sizes_bytes(self) -> FloatArray:
        """Return the bytes of an expert of each layer, ``(layers,)``."""
        return self.by_layer(self.expert_bytes)

    def slot_bytes(self) -> FloatArray:
        """Return the bytes of a slot of each layer, parameters and activations, ``(layers,)``."""
        return self.sizes_bytes() + self.by_layer(self.activation_bytes)

    def room_bytes(self) -> float:
        """Return the bytes that slots may take: the budget without what is always there."""
        staged = float((self.sizes_bytes() * self.by_layer(self.staging_slots)).sum())
        return float(self.budget_bytes - self.fixed_bytes) - staged

    def fewest(self) -> IntArray:
        """Return the fewest slots of each layer, ``(layers,)``."""
        stated = min(self.top_k, self.experts) if self.min_slots is None else self.min_slots
        return self.by_layer(stated).astype(np.int64)

    def most(self) -> IntArray:
        """Return the most slots of each layer, ``(layers,)``."""
        stated = self.experts if self.max_slots is None else self.max_slots
        return self.by_layer(stated).astype(np.int64)

    def load_bytes(self, period: int) -> float:
        """Return the most bytes that one update may load; ``inf`` without a link.

        Parameters
        ----------
        period
            Windows from one update to the next.
        """
        if self.link_bytes_per_s is None or self.window_s is None:
            return float("inf")
        return self.link_bytes_per_s * self.window_s * period

    def token_windows(self) -> list[slice]:
        """Return the tokens of each window; for problems with a router."""
        tokens = 0 if self.router is None else int(self.router.shape[0])
        starts = [0] if self.window_starts is None else self.window_starts.tolist()
        return [slice(a, b) for a, b in zip(starts, [*starts[1:], tokens], strict=True)]

    def by_layer(self, value: object) -> FloatArray:
        """Return a number, or one for each layer, as ``(layers,)``."""
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (self.layers,))
