"""What a run on functions found, as tables for people and as one document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moeopt.adapters.aws_lambda.predict import LayerForecast
from moeopt.core.table import Cell, Column, Table

#: Names of the designs, as in the wing's tables.
DESIGNS = {1: "1 pipelined", 2: "2 storage", 3: "3 direct"}


@dataclass(frozen=True, kw_only=True)
class BatchSeen:
    """One batch in one layer.

    Attributes
    ----------
    seconds
        From the gate's first byte until all outputs were there.
    gb_s
        Billed.
    usd, all_usd
        The bill, as far as the problem counts it, and all of it.
    failed_usd
        What of it went to calls that failed.
    calls, cold, failed
        Calls, and how many of them were cold, or failed.
    init_s
        The longest initialisation.
    """

    seconds: float
    gb_s: float
    usd: float
    all_usd: float
    failed_usd: float
    calls: int
    cold: int
    failed: int
    init_s: float


@dataclass(frozen=True, kw_only=True)
class LayerSeen:
    """What one layer showed.

    Attributes
    ----------
    layer, name
        Its number, and its name in the problem.
    design
        1, 2 or 3.
    tokens
        Of a batch, at all experts.
    difference
        Largest difference from the reference, as a part of its largest output.
    forecast
        What was predicted before.
    batches
        What was measured; the first found no function started.
    """

    layer: int
    name: str
    design: int
    tokens: int
    difference: float
    forecast: LayerForecast
    batches: tuple[BatchSeen, ...]

    @property
    def first(self) -> BatchSeen:
        """The first batch."""
        return self.batches[0]

    def warm(self, field: str) -> float:
        """Return the median of a field of `BatchSeen` over the batches after the first."""
        return float(np.median([getattr(batch, field) for batch in self.batches[1:]]))


@dataclass(frozen=True, kw_only=True)
class LambdaReport:
    """What a run of a plan found.

    Attributes
    ----------
    name
        Of the problem.
    local
        Whether a stand of this machine was used.
    deployment, region
        Name of the deployment, and where.
    steps
        Warm batches.
    deploy_s
        Seconds of deploying to the stand; ``None`` on AWS, where the plan was there.
    prices, prices_date
        The price book.
    layers
        What each layer showed.
    """

    name: str
    local: bool
    deployment: str
    region: str
    steps: int
    deploy_s: float | None
    prices: str
    prices_date: str
    layers: tuple[LayerSeen, ...]

    def document(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"run": "serverless", "adapter": "lambda", **asdict(self)}

    def tables(self) -> list[Table]:
        """Return the tables for people."""
        return [self._seconds(), self._dollars(), self._batch()]

    def _seconds(self) -> Table:
        """Return seconds by layer, measured and predicted."""
        columns = [
            Column("layer"),
            Column("design"),
            Column("tokens"),
            Column("calls"),
            Column("measured s", ".3f"),
            Column("simulated", ".3f"),
            Column("formulas", ".3f"),
            Column("first s", ".3f"),
            Column("difference", ".1e"),
        ]

        def row(seen: LayerSeen) -> list[Cell]:
            return [
                seen.name or seen.layer,
                DESIGNS[seen.design],
                seen.tokens,
                int(seen.warm("calls")),
                seen.warm("seconds"),
                seen.forecast.simulated_s,
                seen.forecast.seconds,
                seen.first.seconds,
                seen.difference,
            ]

        where = "a stand on this machine" if self.local else f"AWS Lambda in {self.region}"
        return Table(
            f"{self.name or self.deployment} on {where}: seconds of a layer",
            columns,
            [row(seen) for seen in self.layers],
            note=(
                f"Medians of {self.steps} warm batches; first: no function was started yet.\n"
                "Simulated: event by event, as the gate goes about it. The gate is this process:\n"
                "no layer waits for the next one's function. Differences from a reference here\n"
                "are parts of the largest output."
            ),
        )

    def _dollars(self) -> Table:
        """Return billed seconds and dollars by layer."""
        columns = [
            Column("layer"),
            Column("GB s measured", ".4f"),
            Column("simulated", ".4f"),
            Column("formulas", ".4f"),
            Column("uUSD measured", ".2f"),
            Column("simulated", ".2f"),
            Column("formulas", ".2f"),
            Column("first uUSD", ".2f"),
        ]
        rows = [
            [
                seen.name or seen.layer,
                seen.warm("gb_s"),
                seen.forecast.simulated_gb_s,
                seen.forecast.billed_gb_s,
                1e6 * seen.warm("usd"),
                1e6 * seen.forecast.simulated_usd,
                1e6 * seen.forecast.usd,
                1e6 * seen.first.usd,
            ]
            for seen in self.layers
        ]
        book = ", ".join(filter(None, (self.prices, self.prices_date)))
        return Table(
            "what a layer is billed",
            columns,
            rows,
            note=f"{book}; billed seconds are as the platform reported.",
        )

    def _batch(self) -> Table:
        """Return a batch from end to end."""
        first = [layer.first for layer in self.layers]
        warm = [batch for layer in self.layers for batch in layer.batches[1:]]
        rows: list[list[Cell]] = [
            ["deployed in, s", self.deploy_s],
            ["first batch, s", sum(batch.seconds for batch in first)],
            ["its cold calls", sum(batch.cold for batch in first)],
            ["longest start, s", max(batch.init_s for batch in first)],
            ["warm batch, s", self._total(lambda seen: seen.warm("seconds"))],
            ["simulated, s", self._total(lambda seen: seen.forecast.simulated_s)],
            ["its bill, uUSD", 1e6 * self._total(lambda seen: seen.warm("all_usd"))],
            ["failed calls", sum(batch.failed for batch in [*first, *warm])],
        ]
        return Table(
            "a batch through these layers",
            [Column("what"), Column("value", ".5g")],
            [row for row in rows if row[1] is not None],
        )

    def _total(self, of: Callable[[LayerSeen], float]) -> float:
        return sum(of(seen) for seen in self.layers)
