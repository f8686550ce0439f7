"""What is known of a round in which several models take turns, and what makes it that long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.timeline.layer import LayerTime, slowest
from moeopt.timeline.steps import Direction, Phase, Step, point


@dataclass(frozen=True)
class Spans:
    """When a phase of each model starts and ends, seconds after the round began.

    Attributes
    ----------
    start_s, end_s
        Shape ``(models, ...)``. An all-to-all starts when it is released, not when the first of
        its tokens finds the network free.
    """

    start_s: FloatArray
    end_s: FloatArray


@dataclass(frozen=True)
class Interleaved:
    """One layer of several models that take turns; leading axes are the caller's.

    Attributes
    ----------
    gate, dispatch, compute, combine, aggregation
        Each phase's starts and ends; the first model's gate is that of its next layer.
    dispatch_since, combine_since
        The model since whose release the network has been busy until each end, ``(models, ...)``.
    utilisation
        Share of the round in which each device computes, for all models together,
        ``(..., devices)``; without devices where only the phases' maxima are known, or where each
        device is alone.
    layers
        The models' layers; none where only the phases' maxima are known.
    alone
        Whether the last of the leading axes is the device.
    """

    gate: Spans
    dispatch: Spans
    compute: Spans
    combine: Spans
    aggregation: Spans
    dispatch_since: IntArray
    combine_since: IntArray
    utilisation: FloatArray
    layers: tuple[LayerTime, ...] = ()
    alone: bool = False

    @property
    def total_s(self) -> FloatArray:
        """Return the round's time, shape ``(...)``: ``t = E_Am + |G^1|``, eq. (4)."""
        total: FloatArray = self.gate.end_s[0]
        return total

    @property
    def model_time_s(self) -> FloatArray:
        """Return the time of all layers, which are the last of the leading axes, shape ``(...)``.

        The gate that ends a round is that of the next layer: in the sum every gate counts once.
        """
        return np.asarray(np.atleast_1d(self.total_s).sum(axis=-1))

    def critical(self, *index: int) -> tuple[Step, ...]:
        """Return the chain of steps that ends with the round, in order of time.

        Each step starts when the one before it ends, and the round gets no shorter unless one of
        them does. Where two would do, computation is named before communication. Steps that take
        no time are left out; the shares of the rest sum to 1.

        Parameters
        ----------
        *index
            Which of the rounds, one index for each leading axis.
        """
        total = point(self.total_s, index)
        phase: Phase = "gate"
        model = 0
        chain: list[Step] = []
        while True:
            first = self._since(phase, model, index)
            start = float(self._spans(phase).start_s[(first, *index)])
            end = float(self._spans(phase).end_s[(model, *index)])
            if end > start:
                models = tuple(range(first, model + 1))
                device, direction = self._slowest(phase, models, index)
                share = (end - start) / total
                chain.append(Step(phase, models, device, direction, start, end, share))
            before = self._before(phase, first, start, index)
            if before is None:
                return tuple(reversed(chain))
            phase, model = before

    def _spans(self, phase: Phase) -> Spans:
        spans: Spans = getattr(self, phase)
        return spans

    def _since(self, phase: Phase, model: int, index: tuple[int, ...]) -> int:
        """Return the model with whose phase the stretch that ends with `model` began."""
        if phase == "dispatch":
            return int(self.dispatch_since[(model, *index)])
        if phase == "combine":
            return int(self.combine_since[(model, *index)])
        return model

    def _before(
        self, phase: Phase, model: int, start: float, index: tuple[int, ...]
    ) -> tuple[Phase, int] | None:
        """Return what ended when a phase started; ``None`` at the beginning of the round."""
        last = len(self.gate.end_s) - 1
        if phase == "gate":
            # Only the first model's gate, the last of the round, has other phases before it.
            if model == 0:
                return "aggregation", last
            return ("gate", model - 1) if model > 1 else None
        if phase == "dispatch":
            return ("gate", model) if model else None
        carried: tuple[Phase, int] = ("dispatch", model)
        computed: tuple[Phase, int] = ("compute", model - 1)
        if phase == "compute" and model == 0:
            computed = ("gate", last) if last else carried
        if phase == "combine":
            ends = np.array([end[index] for end in self.dispatch.end_s])
            computed, carried = ("compute", model), ("dispatch", int(ends.argmax()))
        if phase == "aggregation":
            carried = ("combine", model)
            computed = ("aggregation", model - 1) if model else ("compute", last)
        end = self._spans(computed[0]).end_s[(computed[1], *index)]
        return computed if end == start else carried

    def _slowest(
        self, phase: Phase, models: tuple[int, ...], index: tuple[int, ...]
    ) -> tuple[int | None, Direction | None]:
        if not self.layers:
            return None, None
        device, direction = slowest(self.layers, phase, models, index)
        return (index[-1] % self.total_s.shape[-1] if self.alone else device), direction
