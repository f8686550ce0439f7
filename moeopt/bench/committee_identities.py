"""What the paper's own figures come to: memory, slots, latency, the size of its search."""

from __future__ import annotations

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.committee.paper import (
    GIB,
    HEADLINE_GIB,
    MEMORY,
    MIB,
    SWITCH_T16,
    SWITCH_T32,
    SWITCH_T64,
    TABLE_1,
    table_1_fit,
)
from moeopt.core.table import Cell, Column, Table


def run(setting: Setting) -> Report:
    """Tell the identities; there is nothing to take long."""
    del setting
    fit = table_1_fit()
    rows: list[list[Cell]] = [
        [
            "all experts" if row.budget_gib is None else f"{row.budget_gib} GiB",
            row.memory_gib,
            MEMORY.slots_of(row.memory_gib),
            row.latency_s,
            1e3 * float(off),
        ]
        for row, off in zip(TABLE_1, fit.residuals_s, strict=True)
    ]
    columns = [
        Column("budget"),
        Column("memory, GiB", ".2f"),
        Column("slots", "d"),
        Column("latency, s", ".2f"),
        Column("off the line, ms", "+.1f"),
    ]
    note = (
        f"Memory: {MEMORY.fixed_bytes / GIB:.3f} GiB and {MEMORY.slot_bytes / MIB:.1f} MiB a slot."
        f" Latency: {fit.base_s:.3f} s and {1e3 * fit.slot_s:.2f} ms a slot, least squares."
    )
    report = Report(tables=[Table("Table 1 of the paper, SwitchT-16", columns, rows, note)])
    for model in (SWITCH_T16, SWITCH_T32, SWITCH_T64):
        total = MEMORY.total_gib(model.slots)
        report.figures.append(Figure(f"{model.name}, all experts, GiB", total, None, ".2f"))
    held = MEMORY.slots_within(int(HEADLINE_GIB * GIB))
    note = f"of {SWITCH_T64.slots}"
    report.figures.append(Figure(f"slots within {HEADLINE_GIB} GiB", held, None, "d", note))
    return report
