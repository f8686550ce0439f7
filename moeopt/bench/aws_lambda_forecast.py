"""Predicted against measured seconds and GB-seconds of each design, and where designs cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.adapters.aws_lambda.calibrate import Calibration, calibrated
from moeopt.adapters.aws_lambda.predict import LayerForecast, predicted
from moeopt.bench.aws_lambda_model import counts, model, plan_of, with_batch
from moeopt.bench.aws_lambda_stand import Bench
from moeopt.bench.registry import Figure, Report
from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import DESIGNS, Design

#: What is recorded to calibrate: batches, memory of the two experts, and repeats of each.
RECORDED_TOKENS = (256, 1280, 2560)
RECORDED_MB = {True: ((512, 1769),), False: ((512, 1769), (1769, 512), (1024, 1024))}
RECORDED_REPEATS = {True: 2, False: 4}

#: What is predicted: other batches.
TOKENS = {True: (128, 768, 2048), False: (128, 512, 1024, 1536, 2048)}
MEMORY_MB = (1024, 1024)
REPEATS = {True: 3, False: 9}

#: How far predictions may be off, in the median.
TARGET = 0.2

NAMES: dict[Design, str] = {1: "pipelined", 2: "storage", 3: "direct"}


class Calibrated:
    """The calibration, once it was made."""

    def __init__(self) -> None:
        self._calibration: Calibration | None = None

    @property
    def calibration(self) -> Calibration:
        """What `fit` found."""
        assert self._calibration is not None, "fitted first"
        return self._calibration

    def fit(self, bench: Bench, quick: bool) -> Report:
        """Record batches of every design and fit the problem's constants to them."""
        problem = model(RECORDED_TOKENS[0])
        records = []
        for memory_mb in RECORDED_MB[quick]:
            for tokens in RECORDED_TOKENS:
                for design in DESIGNS:
                    here = with_batch(problem, tokens)
                    fleet = bench.fleet(here, _plan(design, tokens, memory_mb))
                    records += bench.run(fleet, counts(tokens), RECORDED_REPEATS[quick])
        self._calibration = calibrated(problem, records)
        return Report(self._calibration.tables(), [], {"calibration": self._calibration.document()})


@dataclass(frozen=True)
class Compared:
    """One design with one batch.

    Attributes
    ----------
    design, tokens
        Which.
    forecast
        What was predicted.
    seconds, gb_s
        Medians of what was measured.
    """

    design: Design
    tokens: int
    forecast: LayerForecast
    seconds: float
    gb_s: float

    @property
    def seconds_ratio(self) -> float:
        """Predicted seconds over measured ones."""
        return self.forecast.simulated_s / self.seconds

    @property
    def gb_s_ratio(self) -> float:
        """Predicted GB-seconds over billed ones."""
        return self.forecast.simulated_gb_s / self.gb_s


def run(bench: Bench, calibration: Calibration, quick: bool) -> Report:
    """Predict batches that were not recorded, then measure them."""
    found = [
        _compared(bench, calibration, design, tokens, REPEATS[quick])
        for tokens in TOKENS[quick]
        for design in DESIGNS
    ]
    report = Report([_table(found, REPEATS[quick])], [], {"forecast": [_plain(c) for c in found]})
    for design in DESIGNS:
        own = [c for c in found if c.design == design]
        for what, ratios in (
            ("seconds", [c.seconds_ratio for c in own]),
            ("billed GB-seconds", [c.gb_s_ratio for c in own]),
        ):
            off = float(np.median(np.abs(np.array(ratios) - 1.0)))
            name = f"{NAMES[design]}: {what} predicted, off in the median"
            report.figures.append(Figure(name, off, TARGET, ".1%"))
    report.add(_crossing(found))
    return report


def _plan(design: Design, tokens: int, memory_mb: Sequence[int]) -> ServerlessPlan:
    """Return the plan of a design, whose first expert has two minibatches if it is pipelined."""
    return plan_of(design, memory_mb, degree=-(-int(counts(tokens)[0]) // 2))


def _compared(
    bench: Bench, calibration: Calibration, design: Design, tokens: int, repeats: int
) -> Compared:
    problem = with_batch(calibration.problem, tokens)
    fleet = bench.fleet(problem, _plan(design, tokens, MEMORY_MB))
    forecast = predicted(fleet, 0, counts(tokens), beyond=calibration.beyond)
    records = bench.run(fleet, counts(tokens), repeats)
    return Compared(
        design=design,
        tokens=tokens,
        forecast=forecast,
        seconds=float(np.median([record.seconds for record in records])),
        gb_s=float(np.median([sum(c.billed_gb_s for c in record.calls) for record in records])),
    )


def _table(found: Sequence[Compared], repeats: int) -> Table:
    rows: list[list[Cell]] = [
        [
            compared.tokens,
            NAMES[compared.design],
            compared.seconds,
            compared.forecast.simulated_s,
            compared.seconds_ratio,
            compared.forecast.seconds,
            compared.gb_s,
            compared.forecast.simulated_gb_s,
            compared.gb_s_ratio,
        ]
        for compared in found
    ]
    return Table(
        "batches that were not recorded, predicted and then measured",
        [
            Column("tokens"),
            Column("design"),
            Column("measured s", ".3f"),
            Column("predicted", ".3f"),
            Column("ratio", ".2f"),
            Column("formulas", ".3f"),
            Column("billed GB s", ".4f"),
            Column("predicted", ".4f"),
            Column("ratio", ".2f"),
        ],
        rows,
        note=f"Medians of {repeats} warm batches. Predicted: event by event, as the gate goes about"
        " it;\nformulas: the wing's, by which plans are made.",
    )


def _crossing(found: Sequence[Compared]) -> Report:
    """Return from how many tokens on storage is faster than calls, predicted and measured."""
    pairs = {
        tokens: {c.design: c for c in found if c.tokens == tokens}
        for tokens in sorted({c.tokens for c in found})
    }
    sizes = list(pairs)
    gaps = {
        "measured": [pairs[t][3].seconds - pairs[t][2].seconds for t in sizes],
        "predicted": [
            pairs[t][3].forecast.simulated_s - pairs[t][2].forecast.simulated_s for t in sizes
        ],
    }
    crossings = {name: crossing(sizes, gap) for name, gap in gaps.items()}
    measured, foreseen = crossings["measured"], crossings["predicted"]
    off = None if measured is None or foreseen is None else abs(foreseen / measured - 1.0)
    return Report(
        [
            Table(
                "from how many tokens on storage is faster than calls",
                [Column("predicted", ".0f"), Column("measured", ".0f")],
                [[foreseen, measured]],
                note="Between batches, along a straight line.",
            )
        ],
        [Figure("crossing of direct and storage predicted, off by", off, TARGET, ".1%")],
        {"crossing": crossings},
    )


def crossing(sizes: Sequence[int], gap: Sequence[float]) -> float | None:
    """Return where `gap` first becomes positive, along straight lines; ``None`` if nowhere.

    Parameters
    ----------
    sizes
        Growing.
    gap
        At each size.
    """
    for i in range(1, len(sizes)):
        if gap[i - 1] <= 0 < gap[i]:
            share = -gap[i - 1] / (gap[i] - gap[i - 1])
            return float(sizes[i - 1] + share * (sizes[i] - sizes[i - 1]))
    return None


def _plain(compared: Compared) -> dict[str, float]:
    return {
        "design": compared.design,
        "tokens": compared.tokens,
        "measured_s": compared.seconds,
        "predicted_s": compared.forecast.simulated_s,
        "formulas_s": compared.forecast.seconds,
        "measured_gb_s": compared.gb_s,
        "predicted_gb_s": compared.forecast.simulated_gb_s,
        "formulas_gb_s": compared.forecast.billed_gb_s,
    }
