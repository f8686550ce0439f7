"""One model on unequal devices: Theorem 5.1's sort against the proven assignment."""

from __future__ import annotations

import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement.problem import PlacementProblem, Timing

#: Gbit/s of the devices of papers/aurora.md 3.4, and its mean loss of the sort there.
RATES = (100, 100, 80, 50, 50, 40)
PUBLISHED_LOSS = 1.235

#: Most tokens of a pair.
TOKENS = 20


def run(setting: Setting) -> Report:
    """Compare the sort, the assignment and the exact model where rows move with the experts."""
    draws = 30 if setting.quick else 300
    report = Report(data={"assignment": {}})
    rows: list[list[Cell]] = []
    worst = 0.0
    for what, seconds_per_token in (("communication only", 0.0), ("with computation", 2e-6)):
        found = np.array([_one(seed, seconds_per_token) for seed in range(draws)])
        rows.append([what, *found.mean(axis=0), *found.max(axis=0)])
        report.data["assignment"][what] = found.tolist()
        few = range(3 if setting.quick else 10)
        for ports in (6, 8):
            worst = max(worst, *(_against_exact(seed, ports, seconds_per_token) for seed in few))
    columns = [Column(name) for name in ("layer time",)]
    columns += [Column("sort, mean", ".3f"), Column("sort, most", ".3f")]
    note = f"{draws} draws of uniform traffic on {len(RATES)} devices of {RATES} Gbit/s."
    title = "Theorem 5.1's sort over the best assignment, rows move with experts"
    report.tables.append(Table(title, columns, rows, note))
    report.figures += [
        Figure("sort, communication only: mean over the best", float(rows[0][1] or 0.0), None,
               ".3f", f"{PUBLISHED_LOSS} as found before"),
        Figure("bottleneck_assignment: most over exact", worst, 1e-6, ".1e"),
    ]  # fmt: skip
    return report


def _problem(seed: int, rates: tuple[int, ...], seconds_per_token: float) -> PlacementProblem:
    rng = np.random.default_rng(seed)
    traffic = rng.integers(0, TOKENS + 1, (len(rates), len(rates))).astype(np.float64)
    np.fill_diagonal(traffic, 0.0)
    return PlacementProblem(
        loads_tokens=traffic.sum(axis=0)[None],
        expert_traffic_tokens=traffic[None],
        cluster=_switch(rates),
        slots_per_device=1,
        objective="layer_time",
        timing=Timing(
            seconds_per_token=seconds_per_token,
            dispatch_bytes_per_token=14336.0,
            combine_bytes_per_token=14336.0,
        ),
    )


def _switch(rates: tuple[int, ...]) -> Cluster:
    """Return devices on one switch, each as fast as its port: a node each, of one device."""
    return Cluster(
        nodes=tuple(
            NodeGroup(
                node=Node(
                    device=Device(relative_speed=rate / 100),
                    nic_bandwidth_bytes_per_s=rate * 1e9 / 8,
                )
            )
            for rate in rates
        )
    )


def _one(seed: int, seconds_per_token: float) -> tuple[float]:
    problem = _problem(seed, RATES, seconds_per_token)
    best = solve(problem, "bottleneck_assignment").objective
    sort = solve(problem, "aurora_sort").objective
    assert best is not None
    assert sort is not None
    return (sort / best,)


def _against_exact(seed: int, ports: int, seconds_per_token: float) -> float:
    problem = _problem(seed, (*RATES, 80, 40)[:ports], seconds_per_token)
    ours, exact = solve(problem, "bottleneck_assignment"), solve(problem, "exact")
    assert ours.objective is not None
    assert exact.objective is not None
    assert exact.status is Status.OPTIMAL
    return abs(ours.objective / exact.objective - 1.0)
