"""What workers do in a run of a colocation plan: layers of all models in turns."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.clock import PHASES
from moeopt.adapters.torch.colocated import Colocated
from moeopt.adapters.torch.exchange import SingleExchange
from moeopt.adapters.torch.run.common import built, device_here, largest, timed, truth
from moeopt.adapters.torch.run.layer_job import LayerJob, tokens_of
from moeopt.adapters.torch.turn_clock import MeasuredRound, TurnClock
from moeopt.core.arrays import FloatArray

#: Rounds before anything is timed.
_WARM_UP = 2


@dataclass(frozen=True, eq=False)
class RoundRun:
    """What one rank saw.

    Attributes
    ----------
    end_s
        When each phase of each model ended, after the first model's gate had; that gate itself
        ends with the round, as the next layer's: ``(steps, phases, models)``.
    alone_s
        Seconds of each model's layer by itself, ``(steps, models)``.
    difference, largest
        Of each model: largest difference from the reference, and largest output of it.
    """

    end_s: FloatArray
    alone_s: FloatArray
    difference: list[float]
    largest: list[float]


def run_round(jobs: Sequence[LayerJob]) -> RoundRun:
    """Run one layer of each model, in turns and alone, and compare each output."""
    layers, weights = [], []
    for job in jobs:
        # A group for each: the sizes of one need not queue behind the tokens of another.
        group = dist.new_group()
        layer, own = built(job.layout, job.shape, job.layer, SingleExchange(group), group)
        layers.append(layer)
        weights.append(own)
    together = Colocated(layers)
    clock = TurnClock(device_here())
    with torch.no_grad():
        tokens = [tokens_of(job, 0) for job in jobs]
        truths = [truth(*pair) for pair in zip(tokens, weights, strict=True)]
        for _ in range(_WARM_UP):
            together(tokens)
        together.clock = clock
        alone_s, differences = [], []
        for _ in range(jobs[0].steps):
            outs, _ = timed(functools.partial(together, tokens))
            each = [
                timed(functools.partial(layer, *own))
                for layer, own in zip(layers, tokens, strict=True)
            ]
            alone_s.append([seconds for _, seconds in each])
            differences += [
                [largest(out.float() - right) for out, right in zip(found, truths, strict=True)]
                for found in (outs, [out for out, _ in each])
            ]
    return RoundRun(
        end_s=np.stack([_ends(measured) for measured in clock.rounds()]),
        alone_s=np.array(alone_s),
        difference=np.max(differences, axis=0).tolist(),
        largest=[largest(right) for right in truths],
    )


def _ends(measured: MeasuredRound) -> FloatArray:
    """Return when each phase of each model ended, ``(phases, models)``."""
    ends = np.stack([getattr(measured, phase).end_s for phase in PHASES])
    ends[0, 0] = measured.total_s
    return ends
