"""Many streams of text at once, each served by a committee of its own: what that costs in loss.

Time goes window by window. What a scheduler decides after one window is loaded beside the next, as
much as the link carries, and serves from the one after that. A newcomer is loaded into a spare slot
and takes over when it is there, so its predecessor serves until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from committee_schedulers import Scheduler, mass_of
from model import MASKED, Gating, Model
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Pace:
    """How time and the link go.

    Attributes
    ----------
    window
        Tokens of a window; the context is a multiple of it.
    loads
        Experts that the link carries beside a window.
    """

    window: int = 16
    loads: float = 4.0


#: As most of the figures have it.
PACE = Pace()


class Played(NamedTuple):
    """What came of streams.

    Both ``(streams,)``.
    """

    #: Mean loss in nats a byte.
    loss: Tensor
    #: Experts loaded in a window, in the mean.
    loads: Tensor


@torch.no_grad()
def play(
    model: Model,
    tokens: Tensor,
    resident: Tensor | None = None,
    scheduler: Scheduler | None = None,
    gating: Gating = MASKED,
    pace: Pace = PACE,
) -> Played:
    """Run a model over streams of text.

    Parameters
    ----------
    model
        What runs them.
    tokens
        Bytes, ``(streams, length)``; after as many as the context, a stream begins anew with
        nothing before it, and its committee stays.
    resident
        Who serves from the start, ``(streams, layers, experts)``; ``None`` for all.
    scheduler
        What exchanges experts; without one, they stay.
    gating
        What the gates do about absent experts.
    pace
        How time and the link go.

    Notes
    -----
    A stretch's last byte predicts nothing: what comes after it stands in the next stretch.
    """
    config, window = model.config, pace.window
    if config.context % window or tokens.shape[1] % window:
        raise ValueError("a context and a stream must be whole windows")
    coming, credit = resident, 0.0
    past, loss = None, torch.zeros(len(tokens), device=tokens.device)
    loads = torch.zeros(len(tokens), device=tokens.device)
    for begin in range(0, tokens.shape[1], window):
        if begin % config.context == 0:
            past = None
        end = begin + window
        model.set_resident(None if resident is None else resident.transpose(0, 1), gating)
        logits, routings, past = model(tokens[:, begin:end], past)
        goal = tokens[:, begin + 1 : end + (end % config.context > 0)]
        told = logits[:, : goal.shape[1]].transpose(1, 2)
        loss += F.cross_entropy(told, goal, reduction="none").sum(1)
        resident = coming
        if scheduler is not None and resident is not None:
            scheduler.observe(mass_of([routing.logits for routing in routings], config.top_k))
            # Part of an expert is no expert: it is there a window later.
            credit += pace.loads
            found = scheduler.exchanges(resident)
            number = torch.arange(found.incoming.shape[1], device=tokens.device)
            moved = number < found.count.clamp(max=int(credit))[:, None]
            coming = _exchanged(resident, found.outgoing, found.incoming, moved)
            loads += moved.sum(1)
            credit -= int(credit)
    model.set_resident(None)
    whole, rest = divmod(tokens.shape[1], config.context)
    told_bytes = whole * (config.context - 1) + max(0, rest - 1)
    return Played(loss / told_bytes, loads / (tokens.shape[1] // window))


def _exchanged(resident: Tensor, outgoing: Tensor, incoming: Tensor, moved: Tensor) -> Tensor:
    """Return who is resident after the exchanges that are moved."""
    flat = resident.flatten(1)
    after = flat.scatter(1, outgoing, flat.gather(1, outgoing) & ~moved)
    after = after.scatter(1, incoming, after.gather(1, incoming) | moved)
    return after.view_as(resident)
