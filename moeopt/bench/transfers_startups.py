"""Orders with start-ups: list schedules and padded rounds against what is sent unscheduled."""

from __future__ import annotations

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.transfers.bounds import makespan_bound
from moeopt.transfers.generate import startups
from moeopt.transfers.problem import TransferProblem

PORTS = (8, 16, 32, 64)
FAMILIES = ("uniform", "zipf")

#: Largest total time over its bound.
TARGET = 1.05

#: How much slower a receiver gets with each further sender at the same time.
INCAST = 0.02


def run(setting: Setting) -> Report:
    """Solve all sizes with start-ups of 10 µs per message, and per round for comparison."""
    report = Report(data={"startups": {}})
    rows: list[list[Cell]] = []
    every: list[dict[str, float]] = []
    for ports in PORTS:
        for family in FAMILIES:
            draws = 1 if setting.quick or ports > 32 else 5
            found = [_one(ports, family, seed) for seed in range(draws)]
            rows.append(
                [family, ports, *(float(np.mean([f[name] for f in found])) for name in found[0])]
            )
            report.data["startups"][f"{family}/{ports}"] = found
            every += found
    columns = [Column("traffic"), Column("ports"), *(Column(name, ".4f") for name in every[0])]
    note = (
        "50 GB/s ports, 1 to 64 MB a pair, 10 µs each start-up. few_rounds: one peer at a time;"
        " per round: where rounds are barriers and each costs the start-up. auto and the"
        " unscheduled: ports may be shared. Shared fairly and without loss, everything at once is"
        f" as short as can be; incast: receivers are {INCAST:.0%} slower for each further sender."
    )
    report.tables.append(Table("Total time over its bound", columns, rows, note))
    report.figures += [
        Figure("few_rounds: most over its bound", _most(every, "few_rounds"), TARGET, ".4f"),
        Figure("few_rounds: most over shifted", _most(every, "few_rounds", "shifted"), 1.0, ".4f"),
        Figure("few_rounds: most over all_at_once with incast",
               _most(every, "few_rounds", "incast"), 1.0, ".4f"),
        Figure("few_rounds: most over all_at_once without incast, where any order is",
               _most(every, "few_rounds", "all_at_once"), None, ".4f"),
        Figure("auto: most over all_at_once", _most(every, "auto", "all_at_once"), 1.0, ".4f"),
        Figure("auto: most over shifted", _most(every, "auto", "shifted"), 1.0, ".4f"),
    ]  # fmt: skip
    return report


def _most(found: list[dict[str, float]], name: str, over: str | None = None) -> float:
    return max(one[name] / (1.0 if over is None else one[over]) for one in found)


def _one(ports: int, family: str, seed: int) -> dict[str, float]:
    """Return the total times over the bound, by method."""
    shared = msgspec.structs.replace(startups(ports, family, seed=seed), peers="many")
    alone = msgspec.structs.replace(shared, peers="one")
    crowded = msgspec.structs.replace(shared, incast_penalty=INCAST)
    barriers = msgspec.structs.replace(alone, startup_per="round")
    return {
        "few_rounds": _over(alone, "few_rounds"),
        "per round": _over(barriers, "few_rounds"),
        "auto": _over(shared, "auto"),
        "all_at_once": _over(shared, "all_at_once"),
        "incast": _over(crowded, "all_at_once"),
        "shifted": _over(shared, "shifted"),
    }


def _over(problem: TransferProblem, method: str) -> float:
    result = solve(problem, method)
    assert result.plan is not None
    return float(result.plan.makespan_s / makespan_bound(problem))
