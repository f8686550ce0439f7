"""Schedules between many ports."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from moeopt.bench.reliability.scale_step import Step
from moeopt.core.solve import solve
from moeopt.io import load_plan, load_problem, save_plan, save_problem
from moeopt.transfers.bounds import bound
from moeopt.transfers.generate import all_to_all
from moeopt.transfers.plan import evaluate, violations
from moeopt.transfers.problem import TransferProblem

Steps = Generator[Step, Any, None]

#: Peers of each port in sparse traffic, and the most tokens of a pair.
_PEERS, _TOKENS = 8, 20


def sparse(ports: int, folder: Path) -> Steps:
    """Send from every port to a few others."""
    rng = np.random.default_rng(0)
    traffic = np.zeros((ports, ports))
    source = np.repeat(np.arange(ports), _PEERS)
    peer = (source + rng.integers(1, ports, len(source))) % ports
    traffic[source, peer] = rng.integers(1, _TOKENS + 1, len(source))
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=1.0)
    path, kept = folder / "sparse.json", folder / "sparse-plan.json"
    yield Step("save traffic", "pairs", ports**2, lambda: save_problem(path, problem))
    yield Step("load traffic", "bytes", path.stat().st_size, lambda: load_problem(path))
    yield Step("bound", "pairs", ports**2, lambda: bound(problem))
    messages = int((traffic > 0).sum())
    # Each choice of a list schedule looks at the messages of a free port.
    for name, exponent in (("auto", 1.5), ("few_rounds", 1.5), ("greedy", 1.5)):
        yield Step(
            f"{name}, {_PEERS} peers",
            "messages",
            messages,
            partial(solve, problem, name),
            exponent=exponent,
        )
    tokens = int(traffic.sum())
    yield Step(
        f"edge_coloring, {_PEERS} peers",
        "tokens",
        tokens,
        lambda: solve(problem, "edge_coloring"),
        exponent=1.5,
    )
    result = yield Step(
        f"birkhoff, {_PEERS} peers",
        "messages",
        messages,
        lambda: solve(problem, "birkhoff"),
        exponent=1.5,
    )
    rows = len(result.plan.source)
    yield Step("check a schedule", "rows", rows, lambda: violations(problem, result.plan))
    yield Step("value a schedule", "rows", rows, lambda: evaluate(problem, result.plan))
    yield Step("save a schedule", "rows", rows, lambda: save_plan(kept, problem, result))
    yield Step("load a schedule", "bytes", kept.stat().st_size, lambda: load_plan(kept, problem))


def dense(ports: int, folder: Path) -> Steps:
    """Send from every port to nearly every other one."""
    problem = all_to_all("uniform", ports)
    path, kept = folder / "dense.json", folder / "dense-plan.json"
    messages = int((problem.traffic_bytes > 0).sum())
    yield Step("save dense traffic", "pairs", ports**2, lambda: save_problem(path, problem))
    yield Step("load dense traffic", "bytes", path.stat().st_size, lambda: load_problem(path))
    result = yield Step(
        "birkhoff, all peers",
        "messages",
        messages,
        lambda: solve(problem, "birkhoff"),
        exponent=1.5,
    )
    rows = len(result.plan.source)
    yield Step("check a dense schedule", "rows", rows, lambda: violations(problem, result.plan))
    yield Step("save a dense schedule", "rows", rows, lambda: save_plan(kept, problem, result))
    size = kept.stat().st_size
    yield Step("load a dense schedule", "bytes", size, lambda: load_plan(kept, problem))
