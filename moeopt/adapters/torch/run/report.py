"""What the workers saw of a layer, joined and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.adapters.torch.clock import PHASES, Phase
from moeopt.adapters.torch.run.layer_job import LayerJob, LayerRun
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import AdapterError
from moeopt.timeline import LayerTime


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """What one layer showed; seconds are medians over steps, of the slowest rank.

    Attributes
    ----------
    layer
        Its number.
    measured_s, predicted_s
        Seconds of each phase, which all ranks begin together.
    layer_s, predicted_layer_s
        Of the whole layer, without waits in between.
    imbalance, expected_imbalance, planned_imbalance
        Rows of the busiest rank over the mean: as they came, as the plan's shares say of these
        tokens, and of the problem's loads; ``None`` without tokens.
    sent_bytes, expected_bytes
        Between ranks, on the way to the experts.
    difference
        Largest difference from the reference, as a part of its largest output.
    taken
        How often the cost model chose which exchange.
    """

    layer: int
    measured_s: dict[Phase, float]
    predicted_s: dict[Phase, float]
    layer_s: float
    predicted_layer_s: float
    imbalance: float | None
    expected_imbalance: float | None
    planned_imbalance: float | None
    sent_bytes: float
    expected_bytes: float
    difference: float
    taken: dict[str, int]


def layer_report(
    job: LayerJob,
    sent: FloatArray,
    foreseen: tuple[FloatArray, list[LayerTime]],
    runs: Sequence[LayerRun],
) -> LayerReport:
    """Join what the ranks saw: a phase lasts until its slowest rank has done.

    Parameters
    ----------
    job
        What they ran.
    sent
        What each rank sends to each expert by the problem's loads, ``(ranks, experts)``.
    foreseen
        Rows between ranks, ``(batches, ranks, ranks)``, and the time of each batch.
    runs
        What each rank saw.
    """
    expected, times = foreseen
    phase_s = np.median(np.max([run.phase_s for run in runs], axis=0), axis=0)
    layer_s = float(np.median(np.max([run.layer_s for run in runs], axis=0)))
    largest = max(run.largest for run in runs)
    by_phase = np.median([[getattr(t, f"{p}_s").max() for p in PHASES] for t in times], axis=0)
    # Batches, sources, destinations.
    rows = np.stack([run.sent for run in runs], axis=1).astype(np.float64)
    return LayerReport(
        layer=job.layer,
        measured_s=dict(zip(PHASES, phase_s.tolist(), strict=True)),
        predicted_s=dict(zip(PHASES, by_phase.tolist(), strict=True)),
        layer_s=layer_s,
        predicted_layer_s=float(np.median([time.total_s for time in times])),
        imbalance=imbalance(rows),
        expected_imbalance=imbalance(expected),
        planned_imbalance=imbalance(job.layout.served(sent)[None]),
        sent_bytes=remote(rows) * job.shape.row_bytes,
        expected_bytes=remote(expected) * job.shape.row_bytes,
        difference=max(run.difference for run in runs) / largest if largest > 0 else 0.0,
        taken=runs[0].taken,
    )


def imbalance(rows: FloatArray) -> float | None:
    """Return the busiest rank's rows over the mean, of ``(batches, ranks, ranks)``, in the mean."""
    served = rows.sum(axis=1)
    some = served[served.sum(axis=1) > 0]
    return float((some.max(axis=1) / some.mean(axis=1)).mean()) if len(some) else None


def remote(rows: FloatArray) -> float:
    """Return the rows that change their rank in one batch, in the mean."""
    own = np.diagonal(rows, axis1=1, axis2=2).sum(axis=1)
    return float((rows.sum(axis=(1, 2)) - own).mean())


def require_right(what: str, difference: float, tolerance: float) -> None:
    """Raise `AdapterError` if outputs are not the reference's.

    Parameters
    ----------
    what
        Whose.
    difference
        The largest difference, as a part of the largest output.
    tolerance
        The largest that is rounding.
    """
    # Written so that nan is wrong.
    if not difference <= tolerance:
        raise AdapterError(
            f"{what}: outputs differ from the reference's by {difference:.3g} of the largest,"
            f" more than {tolerance:g}"
        )
