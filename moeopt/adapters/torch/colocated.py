"""Layers of several models on the same workers: one computes while the others' tokens travel.

The order is that of `moeopt.timeline.interleaved` (Aurora, Table 2): gates, experts and
aggregations, each in the models' order, and every all-to-all as soon as there is something to send.
Aurora's round begins when the first model's gate is done, and ends with that model's next gate. As
nothing else runs beside that gate, rounds one after the other are the steady state.

Operations begin in this order on every rank, so that the models may share a group. If each layer
and its exchange have a group of their own, a model's sizes need not queue behind the tokens of
another, and the tokens of several models share the ports, which is what the timeline assumes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import nn

from moeopt.adapters.torch.exchange import Works
from moeopt.adapters.torch.layer import ExpertParallel, Turn
from moeopt.adapters.torch.turn_clock import Marks, TurnClock
from moeopt.core.errors import InstanceError


class Tokens(NamedTuple):
    """What one layer takes: see `ExpertParallel.forward`.

    Attributes
    ----------
    hidden
        Shape ``(tokens, hidden)``.
    expert_ids, gate_weights
        Shape ``(tokens, top_k)``.
    """

    hidden: torch.Tensor
    expert_ids: torch.Tensor
    gate_weights: torch.Tensor


class Colocated(nn.Module):
    """Layers that take turns, for inference: no gradients.

    Parameters
    ----------
    layers
        One of each model, in the order of their turns, all on one device. A layer that stands here
        twice takes two batches in turns.

    Attributes
    ----------
    clock
        Where rounds are timed; ``None`` if they are not.
    """

    def __init__(self, layers: Sequence[ExpertParallel]) -> None:
        super().__init__()
        devices = {layer.experts.up.device for layer in layers}
        if len(devices) != 1:
            said = f"<on {sorted(map(str, devices))}>"
            raise InstanceError("layers", said, "must be layers on one device", "move them")
        self.layers = nn.ModuleList(layers)
        self.clock: TurnClock | None = None
        self._seats = [_Seat(k, layer, *devices) for k, layer in enumerate(layers)]

    def forward(self, tokens: Sequence[Tokens]) -> list[torch.Tensor]:
        """Return what each layer alone would make of its tokens, bit by bit.

        Parameters
        ----------
        tokens
            Of each model, in their order; on any rank there may be none.
        """
        if len(tokens) != len(self._seats):
            rule = f"must be those of {len(self._seats)} models"
            raise InstanceError("tokens", f"<of {len(tokens)}>", rule, "give each layer its own")
        marks = Marks() if self.clock is None else self.clock.begin(len(tokens))
        turns = []
        with torch.no_grad():
            for seat, own in zip(self._seats, tokens, strict=True):
                with marks.phase("gate", seat.model):
                    turns.append(seat.layer.gate(*own))
                seat.send("dispatch", turns[-1], marks)
            for seat, turn in zip(self._seats, turns, strict=True):
                seat.take("dispatch", turn, marks)
                with marks.phase("compute", seat.model):
                    seat.layer.compute(turn)
                seat.send("combine", turn, marks)
            return [
                seat.aggregated(turn, marks) for seat, turn in zip(self._seats, turns, strict=True)
            ]


class _Seat:
    """One model's layer, and its way through the network.

    On a GPU that is a stream of its own: the exchange, and what it copies, waits for what has been
    computed so far and for nothing later. On a CPU the library's threads carry the tokens.
    """

    def __init__(self, model: int, layer: ExpertParallel, device: torch.device) -> None:
        self.model, self.layer = model, layer
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def send(self, phase: Literal["dispatch", "combine"], turn: Turn, marks: Marks) -> None:
        """Begin to send what has been computed."""
        start: Callable[[Turn], None] = getattr(self.layer, phase)
        if self._stream is None:
            marks.began(phase, self.model)
            start(turn)
            self._watch(phase, turn, marks)
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream), marks.phase(phase, self.model):
            start(turn)
            self.layer.arrive(turn)

    def take(self, phase: Literal["dispatch", "combine"], turn: Turn, marks: Marks) -> None:
        """Wait for what was sent: the host on a CPU, the computing stream on a GPU."""
        if self._stream is None:
            self.layer.arrive(turn)
            marks.ended(phase, self.model)
        else:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def aggregated(self, turn: Turn, marks: Marks) -> torch.Tensor:
        """Return the layer's output."""
        self.take("combine", turn, marks)
        with marks.phase("aggregation", self.model):
            return self.layer.aggregate(turn)

    def _watch(self, phase: Literal["dispatch", "combine"], turn: Turn, marks: Marks) -> None:
        """Mark the end when the tokens are there, even if the host is busy with another model."""
        pending = turn.pending
        works = pending.works if isinstance(pending, Works) else ()
        if pending is None:
            marks.ended(phase, self.model)
        elif marks.timed and len(works) == 1:
            # Point-to-point operations cannot tell: their end is when they are taken.
            with contextlib.suppress(RuntimeError):
                future = works[0].get_future()
                future.add_done_callback(lambda _: marks.ended(phase, self.model))
