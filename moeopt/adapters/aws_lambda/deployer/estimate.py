"""What a deployment would cost: a batch, and a month of what it keeps in storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.plan import evaluate


@dataclass(frozen=True)
class Estimate:
    """Dollars of a deployment by the problem's price book.

    Attributes
    ----------
    duration_usd, fees_usd
        Of a batch: the seconds of experts' functions, and their calls and requests to storage.
    stored_bytes
        Code and parameters.
    month_usd
        Keeping them for a month.
    uploads, upload_usd
        Objects that are written for this deployment, and the price of these requests.
    prices
        The price book, and the day of its prices.
    """

    duration_usd: float
    fees_usd: float
    stored_bytes: int
    month_usd: float
    uploads: int
    upload_usd: float
    prices: str

    @property
    def batch_usd(self) -> float:
        """Of a batch."""
        return self.duration_usd + self.fees_usd

    def table(self) -> Table:
        """Return the dollars for people."""
        rows: list[list[Cell]] = [
            ["a batch: functions' seconds", self.duration_usd],
            ["a batch: calls and storage", self.fees_usd],
            ["a batch", self.batch_usd],
            ["a million batches", 1e6 * self.batch_usd],
            [f"storage for a month, {self.stored_bytes / 1e6:.1f} MB", self.month_usd],
            [f"this upload, {self.uploads} objects", self.upload_usd],
        ]
        columns = [Column("what"), Column("US dollars", ".4g")]
        note = "As planned, by the formulas; nothing is paid for functions that are not called."
        return Table(f"Costs by {self.prices}", columns, rows, note)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        return {
            "batch_usd": self.batch_usd,
            "duration_usd": self.duration_usd,
            "fees_usd": self.fees_usd,
            "stored_bytes": self.stored_bytes,
            "month_usd": self.month_usd,
            "uploads": self.uploads,
            "upload_usd": self.upload_usd,
            "prices": self.prices,
        }


def estimate(fleet: Fleet, stored_bytes: int, uploads: int) -> Estimate:
    """Return what a fleet costs.

    Functions of non-MoE layers are left out, whose work the caller does itself.

    Parameters
    ----------
    fleet
        A plan and its problem, which says what is billed.
    stored_bytes
        Code and parameters that are kept.
    uploads
        Objects that are written.
    """
    problem = fleet.problem
    batch, book = evaluate(problem, fleet.plan), problem.book()
    storage = book.storage_prices(problem.storage)
    return Estimate(
        duration_usd=batch.duration_usd,
        fees_usd=batch.fees_usd,
        stored_bytes=stored_bytes,
        month_usd=storage.kept_usd(stored_bytes),
        uploads=uploads,
        upload_usd=uploads * storage.usd_per_put,
        prices=f"{book.name}, {book.date}" if book.date else book.name,
    )
