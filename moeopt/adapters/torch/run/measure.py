"""Before a run: what phases cost on these workers, and what that says of the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from moeopt.adapters.torch.run.common import built, mixed, tokens_here
from moeopt.adapters.torch.run.layer_job import (
    WARM_UP,
    LayerJob,
    exchange_of,
    in_phases,
    rows_sent_and_served,
)
from moeopt.adapters.torch.run.options import asked
from moeopt.adapters.torch.run.predict import Constants, Cost, expected_traffic, predicted
from moeopt.adapters.torch.workers import Workers
from moeopt.core.arrays import FloatArray
from moeopt.timeline import LayerTime

#: Timed passes for each constant.
_REPETITIONS = 7


def measured_constants(workers: Workers, job: LayerJob, tokens: int, top_k: int) -> Constants:
    """Let the workers measure what phases cost, all of them at once.

    Parameters
    ----------
    workers
        Those that will run.
    job
        One of the layers that they will run.
    tokens, top_k
        Of a rank, about.
    """
    found = asked(workers, measured_phases, job, max(tokens, 1), top_k)
    sent, served, seconds = (np.stack(parts) for parts in zip(*found, strict=True))
    # As in the run: a phase lasts until its slowest rank has done; of the repetitions the median.
    slowest = np.median(seconds.max(axis=0), axis=1)
    gate, _, compute, _, aggregation = slowest.T.tolist()
    rows, busiest = sent.max(axis=0).tolist(), served.max(axis=0).tolist()
    return Constants(
        gate=Cost.through(rows, gate),
        compute=Cost.through(busiest, compute),
        aggregation=Cost.through(rows, aggregation),
        link=job.link,
    )


def measured_phases(job: LayerJob, tokens: int, top_k: int) -> tuple[Any, Any, Any]:
    """Return what phases take at two sizes, the tokens spread evenly over the experts.

    Parameters
    ----------
    job
        Its layer; its tokens are not used.
    tokens, top_k
        Of a rank, in the middle of the two sizes.

    Returns
    -------
    sent, served
        Rows of this rank at each size, ``(2,)``.
    seconds
        Shape ``(2, repetitions, phases)``.
    """
    layer, _ = built(job.layout, job.shape, job.layer, exchange_of(job))
    batches = []
    for count in (max(1, tokens // 2), max(2, 2 * tokens)):
        ids = (np.arange(count * top_k).reshape(count, top_k) + layer.rank) % job.shape.experts
        batches.append(tokens_here(job.shape, ids, np.ones(ids.shape, np.float32), mixed(count)))
    with torch.no_grad():
        # Turn by turn, so that a slow moment of the machine does not hit one size alone.
        passes = [
            [in_phases(layer, batch)[1:] for batch in batches]
            for _ in range(WARM_UP + _REPETITIONS)
        ]
    sizes = [rows_sent_and_served(turn) for _, turn in passes[-1]]
    seconds = np.array([[phases for phases, _ in one] for one in passes[WARM_UP:]])
    return (
        np.array([sum(there) for there, _ in sizes]),
        np.array([sum(here) for _, here in sizes]),
        seconds.swapaxes(0, 1),
    )


def foreseen(job: LayerJob, constants: Constants) -> tuple[FloatArray, list[LayerTime]]:
    """Return the expected rows between ranks, ``(batches, ranks, ranks)``, and their times."""
    counts = np.stack([batch.counts(job.shape.experts) for batch in job.batches])
    traffic = expected_traffic(job.layout, counts)
    row_bytes = job.shape.row_bytes
    times = [predicted(constants, rows, row_bytes, job.exchange, job.rounds) for rows in traffic]
    return traffic, times
