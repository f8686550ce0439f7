"""What was tried, how often, and what went wrong: the one form of every part of the workload."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from moeopt.bench.registry import Figure, Report
from moeopt.core.table import Cell, Column, Table

#: Failures that are told in full; the others are counted.
_TOLD = 3


@dataclass(frozen=True)
class Trial:
    """One kind of wear, tried many times.

    Attributes
    ----------
    what
        What was tried.
    times
        How often.
    failures
        One sentence for each time that it went wrong.
    seen
        What happened otherwise, such as the worst time or memory; a few words.
    """

    what: str
    times: int
    failures: tuple[str, ...] = ()
    seen: str = ""


def report_of(part: str, trials: Iterable[Trial], note: str = "") -> Report:
    """Return a part's table, its one figure (failures, at most none) and everything as data.

    Parameters
    ----------
    part
        The part's name, as given to ``--only``.
    trials
        What it tried.
    note
        What the reader must know, below the table.
    """
    rows = list(trials)
    columns = [Column("tried"), Column("times", ",d"), Column("failed", ",d"), Column("seen")]
    cells: list[list[Cell]] = [
        [each.what, each.times, len(each.failures), each.seen] for each in rows
    ]
    failures = [f"{each.what}: {said}" for each in rows for said in each.failures]
    told = "; ".join([note] * bool(note) + failures[:_TOLD])
    return Report(
        tables=[Table(f"Reliability: {part}", columns, cells, note=told)],
        figures=[Figure(f"{part}: failures", len(failures), 0, ".0f")],
        data={part: [asdict(each) for each in rows]},
    )
