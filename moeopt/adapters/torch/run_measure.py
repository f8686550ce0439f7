"""Before a run: what phases cost on these workers, and what that says of the run."""

from __future__ import annotations

import numpy as np

from moeopt.adapters.torch.predict import Constants, Cost, expected_traffic, predicted
from moeopt.adapters.torch.run_layer import LayerJob, measured_phases
from moeopt.adapters.torch.workers import Workers
from moeopt.core.arrays import FloatArray
from moeopt.timeline import LayerTime


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
    found = workers.run(measured_phases, job, max(tokens, 1), top_k)
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


def foreseen(job: LayerJob, constants: Constants) -> tuple[FloatArray, list[LayerTime]]:
    """Return the expected rows between ranks, ``(batches, ranks, ranks)``, and their times."""
    counts = np.stack([batch.counts(job.shape.experts) for batch in job.batches])
    traffic = expected_traffic(job.layout, counts)
    row_bytes = job.shape.row_bytes
    times = [predicted(constants, rows, row_bytes, job.exchange, job.rounds) for rows in traffic]
    return traffic, times
