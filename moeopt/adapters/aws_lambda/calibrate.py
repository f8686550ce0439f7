"""An instance's constants, fitted to what was measured: what the formulas then predict is met.

Fitted are the network's delays and rates, the seconds of a token, and the memory that functions
need beside parameters and tokens. What a recording cannot show stays as the instance has it, and
the table says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from moeopt.adapters.aws_lambda.calibration import samples
from moeopt.adapters.aws_lambda.calibration.experts import fitted_experts
from moeopt.adapters.aws_lambda.calibration.fits import Fitted
from moeopt.adapters.aws_lambda.calibration.network import Beyond, fitted_network
from moeopt.adapters.aws_lambda.calibration.samples_check import check_records
from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.core.errors import InstanceError
from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.problem import ServerlessProblem

#: What a source's note of an earlier calibration begins with.
_SAID = "; constants fitted to "


@dataclass(frozen=True)
class Calibration:
    """An instance with fitted constants, and how they were found.

    Attributes
    ----------
    problem
        The new instance.
    fitted
        Each constant.
    beyond
        What an instance has no constant for.
    """

    problem: ServerlessProblem
    fitted: tuple[Fitted, ...]
    beyond: Beyond

    def tables(self) -> list[Table]:
        """Return the constants for people."""
        rows: list[list[Cell]] = [
            [
                each.name,
                each.before,
                each.after,
                each.samples,
                None if each.residual is None else 100.0 * each.residual.median,
                None if each.residual is None else 100.0 * each.residual.most,
                each.note,
            ]
            for each in self.fitted
        ]
        return [
            Table(
                title="constants of the instance, fitted to what was measured",
                columns=[
                    Column("constant"),
                    Column("before", ".6g"),
                    Column("after", ".6g"),
                    Column("samples", "d"),
                    Column("off by %", ".1f"),
                    Column("90 % within", ".1f"),
                    Column("note"),
                ],
                rows=rows,
                note="Off by: how far samples are from the fit, as parts of their own size:"
                " the median, and what nine of ten do not exceed.",
            )
        ]

    def document(self) -> dict[str, Any]:
        """Return the constants as plain JSON types."""
        return {
            "fitted": [asdict(each) for each in self.fitted],
            "beyond": asdict(self.beyond),
        }


def calibrated(problem: ServerlessProblem, records: Sequence[LayerRecord]) -> Calibration:
    """Return an instance whose constants are those that a recording shows.

    Parameters
    ----------
    problem
        The instance that was run, or one of the same layers, experts and tokens' bytes.
    records
        What was met. Calls that failed show only what memory is needed.

    Raises
    ------
    InstanceError
        If the records are not of this instance, or none of their calls ended well.
    """
    check_records(problem, records)
    calls = samples.answered(records)
    if not calls:
        raise InstanceError(
            "<recording>",
            f"<{len(records)} records>",
            "must hold a call that ended well, with its seconds",
            "record a run that succeeds",
        )
    network, rows, beyond = fitted_network(problem, records, calls)
    expert, layers, more = fitted_experts(problem, records, calls)
    new = msgspec.structs.replace(
        problem,
        network=network,
        expert=expert,
        layers=layers,
        source=f"{problem.source.partition(_SAID)[0]}{_SAID}{len(calls)} calls",
        generator=None,
    )
    return Calibration(new, (*rows, *more), beyond)
