"""What workers do in a run of a placement plan: run, time and check layers."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.choice import ChosenExchange
from moeopt.adapters.torch.colocated import Tokens
from moeopt.adapters.torch.exchange import Exchange, SingleExchange
from moeopt.adapters.torch.layer import ExpertParallel, Turn
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.rounds import RoundsExchange
from moeopt.adapters.torch.run.common import (
    Shape,
    built,
    largest,
    mixed,
    timed,
    tokens_here,
    truth,
)
from moeopt.adapters.torch.run.options import ExchangeName
from moeopt.adapters.torch.run.tokens import Batch
from moeopt.adapters.torch.spot import SpotExchange
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.transfers.plan import TransferPlan

#: Passes before anything is timed.
WARM_UP = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerJob:
    """One layer to run.

    Attributes
    ----------
    layer
        Its number.
    layout
        Where its experts sit.
    shape
        What it is made of.
    batches
        Tokens; steps take one after the other, and begin again.
    steps
        How often it runs.
    exchange
        How rows travel.
    rounds
        An order planned for them, if there is one.
    link
        As measured.
    """

    layer: int
    layout: Layout
    shape: Shape
    batches: Sequence[Batch]
    steps: int
    exchange: ExchangeName
    rounds: TransferPlan | None
    link: Link


@dataclass(frozen=True, eq=False)
class LayerRun:
    """What one rank saw.

    Attributes
    ----------
    phase_s
        Seconds of each phase, all ranks beginning it together, ``(steps, phases)``.
    layer_s
        Seconds of the whole layer without waits in between, ``(steps,)``.
    sent
        Rows to each rank, ``(batches, ranks)``.
    difference, largest
        Largest difference from the reference, and largest output of it.
    taken
        How often the cost model chose which exchange.
    """

    phase_s: FloatArray
    layer_s: FloatArray
    sent: IntArray
    difference: float
    largest: float
    taken: dict[str, int]


def run_layer(job: LayerJob) -> LayerRun:
    """Run a layer step by step, time it, and compare each output with the reference."""
    exchange = exchange_of(job)
    layer, weights = built(job.layout, job.shape, job.layer, exchange)
    phase_s, layer_s, outs = [], [], []
    with torch.no_grad():
        batches = [tokens_of(job, number) for number in range(len(job.batches))]
        truths = [truth(batch, weights) for batch in batches]
        sent = [rows_sent_and_served(layer.gate(*batch))[0] for batch in batches]
        for _ in range(WARM_UP):
            layer(*batches[0])
        before = _taken(exchange)
        for step in range(job.steps):
            batch = batches[step % len(batches)]
            by_phase, phases, _ = in_phases(layer, batch)
            whole, seconds = timed(functools.partial(layer, *batch))
            phase_s.append(phases)
            layer_s.append(seconds)
            right = truths[step % len(batches)]
            outs += [largest(out.float() - right) for out in (by_phase, whole)]
    return LayerRun(
        phase_s=np.array(phase_s),
        layer_s=np.array(layer_s),
        sent=np.array(sent),
        difference=max(outs),
        largest=max(map(largest, truths)),
        taken=dict(_taken(exchange) - before),
    )


def tokens_of(job: LayerJob, number: int) -> Tokens:
    """Return what this rank has in one of a job's batches."""
    batch, rank = job.batches[number], dist.get_rank()
    seed = mixed(job.shape.seed, job.layer, number, rank)
    return tokens_here(job.shape, batch.expert_ids[rank], batch.gate_weights[rank], seed)


def exchange_of(job: LayerJob) -> Exchange:
    """Return the exchange that a job asks for."""
    if job.exchange == "spot":
        return SpotExchange(link=job.link)
    if job.exchange == "auto":
        return ChosenExchange(job.link, job.rounds)
    if job.exchange == "rounds" and job.rounds is not None:
        return RoundsExchange(job.rounds)
    return SingleExchange()


def _taken(exchange: Exchange) -> Counter[str]:
    return Counter(exchange.taken) if isinstance(exchange, ChosenExchange) else Counter()


def in_phases(layer: ExpertParallel, batch: Tokens) -> tuple[torch.Tensor, list[float], Turn]:
    """Return the output and the seconds of each phase, all ranks waiting before each."""
    turn: Turn

    def gate() -> None:
        nonlocal turn
        turn = layer.gate(*batch)

    def sent(send: Callable[[Turn], None]) -> None:
        send(turn)
        layer.arrive(turn)

    works: list[Callable[[], Any]] = [
        gate,
        lambda: sent(layer.dispatch),
        lambda: layer.compute(turn),
        lambda: sent(layer.combine),
        lambda: layer.aggregate(turn),
    ]
    done = [timed(work) for work in works]
    return done[-1][0], [seconds for _, seconds in done], turn


def rows_sent_and_served(turn: Turn) -> tuple[list[int], list[int]]:
    """Return the rows that this rank sends to each, and gets from each."""
    if turn.route is None:
        return [len(turn.rows)], [len(turn.rows)]
    return turn.route.sizes.ends(back=False)
