"""Committees that are compared: who serves, what replaces whom, what gates do about the absent."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any, Literal, NamedTuple

import data
import numpy as np
import numpy.typing as npt
import record
import torch
from committee_library import Library
from committee_schedulers import LastPeriod, Memory, Remembering, Scheduler, best, mass_of
from committee_streams import PACE, Pace, play
from model import MASKED, Gating, Model
from torch import Tensor

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: What absent experts do to the weights of those that are there; found on training text.
DAMPED = Gating(damping=0.6)

#: Of our scheduler.
MEMORY = Memory()

#: Windows from one update to the next that the paper's planner may choose of.
PERIODS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Method:
    """How a committee is served.

    Attributes
    ----------
    name
        As in tables.
    first
        By what the first members are chosen: norms, choices on training text, or both (eq. 1).
    scheduler
        What exchanges them: nothing, the paper's rule, ours, or the library's rent-or-buy.
    gating
        What the gates do about absent experts.
    memory
        Of our scheduler.
    """

    name: str
    first: Literal["norm", "frequency", "importance"] = "importance"
    scheduler: Literal["none", "last_period", "remembering", "library"] = "none"
    gating: Gating = MASKED
    memory: Memory = MEMORY

    @property
    def staged(self) -> int:
        """Return the slots that it needs beside those that serve, for what is on its way."""
        return int(self.scheduler != "none")


PAPER = Method("paper", scheduler="last_period")
OURS = Method("ours", scheduler="remembering", gating=DAMPED)
BY_NORM = Method("pruned, norm", first="norm")
BY_FREQUENCY = Method("pruned, frequency", first="frequency")


class Known(NamedTuple):
    """What is known of the experts beforehand.

    All ``(layers, experts)``.
    """

    #: Frobenius norms.
    norms: Tensor
    #: Gate weights that a byte of training text gives, in the mean.
    prior: Tensor
    #: Share of the bytes of training text that choose each.
    frequency: Tensor


class Found(NamedTuple):
    """Of configurations and streams, both ``(configurations, streams)``."""

    #: Nats a byte.
    loss: Floats
    #: Experts loaded in a window, in the mean.
    loads: Floats


class Lab:
    """A model, streams of text, and what runs configurations of committees on them.

    Parameters
    ----------
    model
        What is served.
    streams
        Bytes, ``(streams, length)``.
    known
        What is known of the experts.
    pace
        How time and the link go.
    rows
        Streams of all configurations that are run at a time.
    """

    def __init__(
        self,
        model: Model,
        streams: data.Bytes,
        known: Known,
        pace: Pace = PACE,
        rows: int = 96,
    ) -> None:
        self.model, self.known, self.pace, self.rows = model, known, pace, rows
        self.tokens = torch.from_numpy(streams.astype(np.int64)).to(known.prior.device)

    def original(self) -> Floats:
        """Return the loss with all experts resident, ``(streams,)``."""
        parts = self.tokens.split(self.rows)
        # Nothing is decided after a window: the longest will do.
        pace = Pace(gcd(self.model.config.context, self.tokens.shape[1]), 0.0)
        losses = [play(self.model, part, pace=pace).loss for part in parts]
        return torch.cat(losses).double().cpu().numpy()

    def run(self, method: Method, slots: Ints, period: Ints | int = 1) -> Found:
        """Run configurations.

        Parameters
        ----------
        method
            How they are served.
        slots
            Of each configuration, ``(configurations, layers)``.
        period
            Windows from one update to the next, of each or of all; for the paper's scheduler.
        """
        periods = np.broadcast_to(np.asarray(period), slots.shape[:1])
        streams = len(self.tokens)
        together = max(1, self.rows // streams)
        found = []
        for begin in range(0, len(slots), together):
            some = slice(begin, begin + together)
            found.append(self._run(method, self._rows(slots[some]), self._rows(periods[some])))
        loss, loads = (torch.cat(parts) for parts in zip(*found, strict=True))
        shape = len(slots), streams
        return Found(*(part.double().cpu().numpy().reshape(shape) for part in (loss, loads)))

    def _rows(self, values: npt.NDArray[Any]) -> Tensor:
        """Return one row for each configuration and stream."""
        given = torch.from_numpy(np.array(values)).to(self.tokens.device)
        return given.repeat_interleave(len(self.tokens), 0)

    def _run(self, method: Method, slots: Tensor, period: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.tokens.repeat(len(slots) // len(self.tokens), 1)
        resident = best(first_scores(method, self.known).expand(len(slots), -1, -1), slots)
        scheduler = scheduler_of(method, self.known, slots, period, self.pace)
        played = play(self.model, tokens, resident, scheduler, method.gating, self.pace)
        return played.loss, played.loads


def first_scores(method: Method, known: Known) -> Tensor:
    """Return by what a method chooses its first members, ``(layers, experts)``.

    Parameters
    ----------
    method, known
        Which method, and what is known of the experts.
    """
    if method.first == "norm":
        return known.norms
    return known.frequency if method.first == "frequency" else known.prior * known.norms


def scheduler_of(
    method: Method, known: Known, slots: Tensor, period: Tensor, pace: Pace
) -> Scheduler | None:
    """Return what exchanges a method's experts.

    Parameters
    ----------
    method, known, pace
        Which method, what is known of the experts, and the length of a window.
    slots, period
        Of each stream, ``(streams, layers)`` and ``(streams,)``.
    """
    if method.scheduler == "none":
        return None
    if method.scheduler == "last_period":
        return LastPeriod(slots, known.norms, period)
    if method.scheduler == "library":
        return Library(slots, known.norms, known.prior, window=pace.window, loads=pace.loads)
    return Remembering(slots, known.norms, known.prior, pace.window, method.memory)


@torch.no_grad()
def known_of(model: Model, stretches: data.Bytes, batch: int = 32) -> Known:
    """Return what training text says of a model's experts.

    Parameters
    ----------
    model
        Which model.
    stretches
        Training text, ``(stretches, tokens)``, each begun anew.
    batch
        Stretches at a time.
    """
    device, config = model.embedding.device, model.config
    mass = torch.zeros(config.layers, config.experts, device=device)
    chosen = torch.zeros_like(mass)
    for part in torch.from_numpy(stretches.astype(np.int64)).to(device).split(batch):
        _, routings, _ = model(part)
        mass += mass_of([routing.logits for routing in routings], config.top_k).sum(0)
        for layer, routing in enumerate(routings):
            chosen[layer] += routing.ids.flatten().bincount(minlength=config.experts)
    norms = torch.from_numpy(record.norms(model)["frobenius"]).to(device)
    return Known(norms, mass / stretches.size, chosen / stretches.size)


def known_from(found: dict[str, Any], model: Model) -> Known:
    """Return what a profile says of a model's experts.

    Parameters
    ----------
    found
        What was written.
    model
        The model that it was measured on.
    """
    norms = torch.from_numpy(record.norms(model)["frobenius"])
    parts = (norms, torch.from_numpy(found["prior"]), torch.from_numpy(found["frequency"]))
    return Known(*(part.to(model.embedding.device) for part in parts))


def even_slots(total: int, layers: int) -> Ints:
    """Return as many slots for each layer, the first ones one more where they do not come out even.

    Parameters
    ----------
    total
        Slots of all layers.
    layers
        How many they are.
    """
    each, more = divmod(total, layers)
    return each + (np.arange(layers) < more).astype(np.int64)


def budgets_of(model: Model, shares: Sequence[float]) -> Ints:
    """Return how many experts of all layers together fit into shares of the memory of all.

    Parameters
    ----------
    model
        Whose experts.
    shares
        Of all its experts.
    """
    config = model.config
    experts = config.layers * config.experts
    return np.array([round(share * experts) for share in shares])


def streams_of(text: data.Bytes, count: int, length: int, seed: int | None = None) -> data.Bytes:
    """Return streams of a text, ``(count, length)``: evenly far apart, or begun at random.

    Parameters
    ----------
    text
        All of it.
    count, length
        How many, and their bytes.
    seed
        Of where they begin; ``None``: evenly far apart.
    """
    if length > len(text):
        raise SystemExit(f"the text has {len(text)} bytes, not {length}")
    if seed is None:
        return data.windows(text, count, length)
    starts = np.random.default_rng(seed).integers(0, len(text) - length + 1, count)
    return np.stack([text[start : start + length] for start in starts])


def positive(word: str) -> int:
    """Return a whole number of 1 or more that stands in a command line.

    Parameters
    ----------
    word
        What stands there.
    """
    value = int(word)
    if value < 1:
        raise ArgumentTypeError("must be 1 or more")
    return value


def of_windows(word: str) -> int:
    """Return a number of bytes that are whole windows.

    Parameters
    ----------
    word
        What stands there.
    """
    value = positive(word)
    if value % PACE.window:
        raise ArgumentTypeError(f"must be a multiple of {PACE.window}")
    return value
