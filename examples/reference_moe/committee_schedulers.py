"""Which experts of a committee to exchange next, decided after each window of a text.

Schedulers see what every gate would have given every expert, resident or not: gates are small and
always there. They work on many streams at once, each with a committee of its own. What can be moved
is not theirs to say: they return exchanges, best first, and whoever moves experts takes as many as
the link carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Exchanges(NamedTuple):
    """Experts to bring in, each for one of its layer to give up, best first.

    Rows are streams; an expert is ``layer * experts + expert``.
    """

    #: Each expert once, ``(streams, layers * experts)``; only the first `count` are meant.
    incoming: Tensor
    #: In the same way, ``(streams, layers * experts)``.
    outgoing: Tensor
    #: How many are meant in each row, ``(streams,)``.
    count: Tensor


class Scheduler(Protocol):
    """What decides on exchanges."""

    def observe(self, mass: Tensor) -> None:
        """Take note of the `mass_of` a window."""

    def exchanges(self, resident: Tensor) -> Exchanges:
        """Return what to exchange, given who is resident, ``(streams, layers, experts)``."""


def mass_of(logits: Sequence[Tensor], top_k: int) -> Tensor:
    """Return the gate weights that tokens would have given each expert if all were resident.

    ``(streams, layers, experts)``, summed over the tokens; the sum of eq. 1 of SwapMoE without its
    norms. The norm before a gate gives all tokens the same length.

    Parameters
    ----------
    logits
        Of each layer's gate for all its experts, ``(streams, tokens, experts)``.
    top_k
        Experts that a token chooses.
    """
    found = []
    for layer in logits:
        best = layer.topk(top_k)
        given = torch.zeros_like(layer)
        found.append(given.scatter_(-1, best.indices, best.values.softmax(-1)).sum(1))
    return torch.stack(found, 1)


def best(score: Tensor, slots: Tensor) -> Tensor:
    """Return the experts of highest score, as many as there are slots.

    Parameters
    ----------
    score
        ``(..., layers, experts)``.
    slots
        ``(..., layers)``.
    """
    rank = score.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    return rank < slots[..., None]


class LastPeriod:
    """The paper's scheduler: at each update, the experts that weighed most since the last one.

    Between updates what is still missing of them goes on being loaded: amortised, and beside the
    computation.

    Parameters
    ----------
    slots
        Of each stream, ``(streams, layers)``.
    norms
        Of each expert, ``(layers, experts)``.
    period
        Windows from one update to the next, ``(streams,)``.
    """

    def __init__(self, slots: Tensor, norms: Tensor, period: Tensor) -> None:
        self.slots, self.norms, self.period = slots, norms, period
        self.sum = norms.new_zeros(len(slots), *norms.shape)
        self.score: Tensor | None = None
        self.windows = 0

    def observe(self, mass: Tensor) -> None:
        """Take note of a window; where it is the last of a period, of what its experts weighed."""
        self.sum = self.sum + mass * self.norms
        self.windows += 1
        due = (self.windows % self.period == 0)[:, None, None]
        before = torch.zeros_like(self.sum) if self.score is None else self.score
        self.score = torch.where(due, self.sum, before)
        self.sum = torch.where(due, 0, self.sum)

    def exchanges(self, resident: Tensor) -> Exchanges:
        """Return what is missing of the target, what weighs most for what weighs least first."""
        assert self.score is not None, "nothing observed"
        target = best(self.score, self.slots)
        # Before the first update nothing is known: all stay.
        known = self.windows >= self.period
        target = torch.where(known[:, None, None], target, resident)
        return _paired(self.score, resident, target, 0.0)


class Memory(NamedTuple):
    """What our scheduler goes by.

    On training text, changing any one of the values gains at most 0.004 nats a byte.
    """

    #: Tokens after which a window counts half.
    half_life: float = 512.0
    #: Of what training text says, beside that of all windows, which add up to one.
    prior_weight: float = 0.5
    #: Least difference for which an expert is exchanged, in mean experts of its layer.
    margin: float = 0.1


class Remembering:
    """Our scheduler: weights of the past, each window's fading, and what training text says.

    An expert is exchanged for a better one only if the difference is worth a load.

    Parameters
    ----------
    slots
        Of each stream, ``(streams, layers)``.
    norms
        Of each expert, ``(layers, experts)``.
    prior
        `mass_of` a token of the training text, ``(layers, experts)``.
    window
        Tokens of a window.
    memory
        How the past and the prior count.
    """

    def __init__(
        self, slots: Tensor, norms: Tensor, prior: Tensor, window: int, memory: Memory
    ) -> None:
        self.slots, self.norms, self.window = slots, norms, window
        self.kept = 0.5 ** (window / memory.half_life)
        self.prior = memory.prior_weight * prior * norms
        self.least = memory.margin * (prior * norms).mean(-1)[:, None]
        self.past = norms.new_zeros(len(slots), *norms.shape)

    def observe(self, mass: Tensor) -> None:
        """Let the past fade by a window and add the window."""
        self.past = self.kept * self.past + (1 - self.kept) / self.window * mass * self.norms

    def exchanges(self, resident: Tensor) -> Exchanges:
        """Return the exchanges that are worth a load, what gains most first."""
        score = self.past + self.prior
        return _paired(score, resident, best(score, self.slots), self.least)


def _paired(score: Tensor, resident: Tensor, target: Tensor, least: Tensor | float) -> Exchanges:
    """Return the exchanges that turn what is resident into a target, by what they gain.

    In each layer the best to come is paired with the worst to go, the second with the second.
    """
    layers, experts = score.shape[1:]
    never = torch.finfo(score.dtype).min
    coming = score.masked_fill(~target | resident, never).sort(dim=-1, descending=True, stable=True)
    going = score.masked_fill(~resident | target, -never).sort(dim=-1, stable=True)
    missing = (target & ~resident).sum(-1, keepdim=True)
    there = torch.arange(experts, device=score.device) < missing
    gain = (coming.values - going.values).masked_fill(~there, never)
    worth = there & (gain > least)
    ranked = gain.masked_fill(~worth, never).flatten(1).sort(dim=-1, descending=True, stable=True)
    first = experts * torch.arange(layers, device=score.device)[:, None]
    return Exchanges(
        (coming.indices + first).flatten(1).gather(1, ranked.indices),
        (going.indices + first).flatten(1).gather(1, ranked.indices),
        worth.flatten(1).sum(1),
    )
