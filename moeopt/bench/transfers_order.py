"""Orders between equal and unequal ports: makespans against bounds, rounds against others'."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import FloatArray
from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.transfers.birkhoff import rounds_of
from moeopt.transfers.bounds import makespan_bound
from moeopt.transfers.generate import FAMILIES, all_to_all, aurora_cluster, tokens

#: Random matrices of all families whose makespan is compared with the bound.
MATRICES = 10_000
PORTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24)
EXACTNESS = 1e-9

#: Mean rounds of bottleneck matchings and of any matchings, as papers/aurora.md measured them.
PUBLISHED_ROUNDS = {
    ("uniform", 4): (7.3, 7.7),
    ("uniform", 8): (17.6, 37.2),
    ("uniform", 16): (32.7, 130.5),
    ("zipf", 8): (21.0, 39.4),
    ("zipf", 16): (40.8, 99.3),
    ("sparse", 8): (11.1, 15.6),
    ("sparse", 16): (20.1, 55.2),
}

#: Draws for each size, as there.
DRAWS = {4: 400, 8: 200, 16: 40}

#: Aurora's cluster: clusters drawn, and by how much its plans may miss the fluid bound.
CLUSTERS = 100
FLUID = 0.01


def run(setting: Setting) -> Report:
    """Compare makespans with bounds, and rounds with the published and the fewest."""
    report = _equal_ports(500 if setting.quick else MATRICES)
    report.add(_rounds(1 if setting.quick else 5))
    report.add(_fewest(2 if setting.quick else 20))
    report.add(_unequal_ports(10 if setting.quick else CLUSTERS))
    return report


def _equal_ports(count: int) -> Report:
    """Solve random matrices of all families; `moeopt.solve` checks every plan by replay."""
    worst = 0.0
    cells = product(range(count), FAMILIES, PORTS)
    for done, (seed, family, ports) in enumerate(cells):
        if done == count:
            break
        problem = all_to_all(family, ports, seed)
        result = solve(problem, "birkhoff")
        assert result.plan is not None
        bound = makespan_bound(problem)
        if bound > 0:
            worst = max(worst, result.plan.makespan_s / bound - 1.0)
    title = f"birkhoff: most above the bound, {count} matrices"
    figure = Figure(title, worst, EXACTNESS, ".1e", "relative; equal ports, all families")
    return Report([], [figure], {"equal_ports": {"matrices": count, "worst": worst}})


def _draws(family: str, ports: int, count: int) -> Iterator[FloatArray]:
    return (tokens(family, ports, seed) for seed in range(count))


def _rounds(scale: int) -> Report:
    """Count rounds on the families of the published table."""
    report = Report(data={"rounds": {}})
    rows: list[list[Cell]] = []
    for (family, ports), (bottleneck, any_matching) in PUBLISHED_ROUNDS.items():
        count = DRAWS[ports] * scale
        found = [len(rounds_of(matrix).length) for matrix in _draws(family, ports, count)]
        mean = float(np.mean(found))
        worst_case = ports * ports - 2 * ports + 2
        rows.append([family, ports, mean, max(found), bottleneck, any_matching, worst_case])
        report.data["rounds"][f"{family}/{ports}"] = {"mean": mean, "most": max(found)}
        title = f"birkhoff: mean rounds, {family} {ports}"
        report.figures.append(Figure(title, mean, bottleneck, ".1f", f"{count} draws"))
    columns = [Column("traffic"), Column("ports"), Column("rounds", ".1f"), Column("most")]
    columns += [Column("bottleneck", ".1f"), Column("any matching", ".1f"), Column("n²-2n+2")]
    note = "bottleneck, any matching: papers' Birkhoff rounds with these matchings, as measured"
    note += " by others on the same families; n²-2n+2: the worst case of any matrix."
    report.tables.append(Table("Rounds: mean and most", columns, rows, note))
    return report


def _fewest(count: int) -> Report:
    """Compare with the fewest rounds that any order of the least makespan has."""
    report = Report(data={"fewest": {}})
    rows: list[list[Cell]] = []
    for family, ports in product(("uniform", "zipf", "sparse"), (3, 4, 5)):
        ours, fewest, proven = [], [], 0
        for seed in range(count):
            problem = msgspec.structs.replace(all_to_all(family, ports, seed), objective="rounds")
            result = solve(problem, "exact", time_limit_s=60.0)
            ours.append(len(rounds_of(problem.pair_bytes()).length))
            fewest.append(result.objective if result.objective is not None else math.nan)
            proven += result.status is Status.OPTIMAL
        extra = float(np.sum(ours) / np.sum(fewest))
        rows.append([family, ports, float(np.mean(ours)), float(np.mean(fewest)), extra, proven])
        report.data["fewest"][f"{family}/{ports}"] = {"ours": ours, "fewest": fewest}
    unproven = len(rows) * count - sum(int(row[-1] or 0) for row in rows)
    columns = [Column("traffic"), Column("ports"), Column("birkhoff", ".2f")]
    columns += [Column("fewest", ".2f"), Column("ratio", ".3f"), Column("proven")]
    title = f"Rounds against the fewest, {count} draws each"
    report.tables.append(Table(title, columns, rows))
    report.figures.append(
        Figure("exact: fewest rounds not proven, up to 5 ports", unproven, 0, "d")
    )
    return report


def _unequal_ports(count: int) -> Report:
    """Serve slow ports side by side on Aurora's mixed cluster, placed as its Theorem 5.1 says."""
    found: dict[str, list[float]] = {"multi_peer": [], "single_peer": [], "paced": []}
    peers = []
    for seed in range(count):
        problem = aurora_cluster(seed=seed)
        bound = makespan_bound(problem)
        for name, values in found.items():
            result = solve(problem, name)
            assert result.plan is not None
            values.append(result.plan.makespan_s / bound)
            if name == "multi_peer":
                peers.append(result.statistics["most_peers_at_once"])
    rows: list[list[Cell]] = [
        [name, float(np.mean(values)), float(np.max(values))] for name, values in found.items()
    ]
    table = Table(
        "Makespan over the fluid bound: 100/80/50/40 Gbit/s, 8 ports, Zipf, sorted placement",
        [Column("method"), Column("mean", ".4f"), Column("most", ".4f")],
        rows,
        note=f"{count} draws; multi_peer has at most {max(peers)} peers at once on a port,"
        f" {np.mean(peers):.1f} on average of its busiest.",
    )
    figure = Figure(
        "multi_peer: most over the fluid bound", max(found["multi_peer"]), 1 + FLUID, ".4f",
        f"single_peer {np.mean(found['single_peer']):.3f} on average",
    )  # fmt: skip
    return Report([table], [figure], {"unequal_ports": found})
