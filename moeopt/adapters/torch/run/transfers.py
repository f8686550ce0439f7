"""A transfer plan on workers: its rounds beside one all-to-all, every byte checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moeopt.adapters.torch.cuts import Cuts
from moeopt.adapters.torch.layout import require_valid
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.run.bytes_job import ROW_BYTES, ByteRun, Way, run_bytes
from moeopt.adapters.torch.run.common import measured_link
from moeopt.adapters.torch.run.options import (
    RunOptions,
    asked,
    chosen_backend,
    chosen_world,
    started,
)
from moeopt.adapters.torch.run.tables import compared, workers
from moeopt.adapters.torch.spot import parts_s, spot_parts
from moeopt.core.arrays import IntArray
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.core.table import Table
from moeopt.core.units import time_text
from moeopt.transfers.plan import TransferPlan, violations
from moeopt.transfers.problem import TransferProblem

READ = frozenset(("world", "backend", "steps", "port_bytes"))

#: What is run where nothing is said.
PORT_BYTES, STEPS = 4 << 20, 9

_NAMES: dict[Way, str] = {
    "rounds": "the plan's rounds",
    "single": "one all-to-all",
    "spot": "rounds made on the spot",
}


@dataclass(frozen=True, kw_only=True)
class WayReport:
    """What one way of exchanging showed.

    Attributes
    ----------
    rounds
        How many; ``None`` for one all-to-all.
    measured_s
        Median over steps, of the slowest rank.
    predicted_s
        By the measured link.
    """

    rounds: int | None
    measured_s: float
    predicted_s: float


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    """What a run of a transfer plan found.

    Attributes
    ----------
    name
        Of the problem.
    world, backend, steps
        As run.
    sent_bytes
        Between ports, in all.
    port_bytes
        Of the busiest port, in its busier direction.
    scale
        Bytes for each byte of the plan, before whole rows.
    plan_makespan_s
        Of the plan at its own rates, for its own bytes.
    link
        As measured.
    ways
        What each way of exchanging showed.
    """

    name: str
    world: int
    backend: str
    steps: int
    sent_bytes: int
    port_bytes: int
    scale: float
    plan_makespan_s: float
    link: Link
    ways: dict[Way, WayReport]

    def document(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"run": "transfers", "adapter": "torch", **asdict(self)}

    def tables(self) -> list[Table]:
        """Return the table for people."""
        rows = []
        for way, found in self.ways.items():
            count = "" if found.rounds is None else f" ({found.rounds})"
            rows.append((_NAMES[way] + count, found.measured_s, found.predicted_s))
        name = self.name or "an exchange"
        title = f"{name} between {workers(self.world, self.backend)}"
        note = (
            "every byte arrived right, there and back\n"
            f"{self.sent_bytes} bytes, {self.port_bytes} at the busiest port, {self.steps} steps\n"
            f"{self.scale:.3g} for each byte of the plan, which takes"
            f" {time_text(self.plan_makespan_s)} at its own rates"
        )
        return [compared(title, "exchange", rows, None, note)]


def run_transfers(
    problem: TransferProblem, plan: TransferPlan, options: RunOptions
) -> TransferReport:
    """Send a plan's bytes between workers of this machine, and report what was measured.

    Raises
    ------
    InstanceError
        If the plan breaks its problem's rules, passes bytes on, or an option does not fit.
    AdapterError
        If a worker fails, or a byte arrives wrong.
    """
    options.refuse_all_but(READ, "transfers")
    require_valid(violations(problem, plan))
    world = chosen_world(None, problem.num_ports, "run it on a larger machine")
    if options.world not in (None, world):
        rule = f"must be the {world} ports of the plan"
        raise InstanceError("world", options.world, rule, "leave it out")
    backend = chosen_backend(options.backend, world)
    cuts = Cuts.of(plan, world)
    rows, scale = whole_rows(problem, options.port_bytes or PORT_BYTES)
    steps = options.steps or STEPS
    with started(world, backend) as workers:
        link: Link = asked(workers, measured_link)[0]
        planned = cuts.parts(rows[cuts.source, cuts.destination])
        spot = spot_parts(rows, ROW_BYTES, link)
        expected: dict[Way, tuple[int | None, float]] = {
            "rounds": (_count(planned.round_index), parts_s(link, planned, ROW_BYTES)),
            "single": (None, link.single_s(rows * ROW_BYTES)),
            "spot": (_count(spot.round_index), parts_s(link, spot, ROW_BYTES)),
        }
        runs: Sequence[dict[Way, ByteRun]] = asked(workers, run_bytes, rows, plan, link, steps)
    ways = {}
    for way, (count, predicted_s) in expected.items():
        require_arrived(way, sum(run[way].wrong for run in runs))
        slowest = np.max([run[way].seconds for run in runs], axis=0)
        ways[way] = WayReport(
            rounds=count, measured_s=float(np.median(slowest)), predicted_s=predicted_s
        )
    lines = np.maximum(rows.sum(axis=0), rows.sum(axis=1))
    return TransferReport(
        name=problem.name,
        world=world,
        backend=backend,
        steps=steps,
        sent_bytes=int(rows.sum()) * ROW_BYTES,
        port_bytes=int(lines.max()) * ROW_BYTES,
        scale=scale,
        plan_makespan_s=plan.makespan_s,
        link=link,
        ways=ways,
    )


def whole_rows(problem: TransferProblem, port_bytes: int) -> tuple[IntArray, float]:
    """Return the rows from each port to each, and bytes for each byte of the problem.

    Every message has at least a row; the busiest port's have `port_bytes` but for whole rows.
    """
    pairs = problem.pair_bytes()
    busiest = float(max(pairs.sum(axis=0).max(), pairs.sum(axis=1).max()))
    scale = port_bytes / busiest if busiest > 0 else 1.0
    rows = np.maximum(np.rint(pairs * scale / ROW_BYTES), pairs > 0)
    return rows.astype(np.int64), scale


def require_arrived(way: Way, wrong: int) -> None:
    """Raise `AdapterError` if rows have arrived that nobody sent so."""
    if wrong:
        raise AdapterError(f"{_NAMES[way]}: {wrong} rows of {ROW_BYTES} bytes arrived wrong")


def _count(round_index: IntArray) -> int:
    return len(np.unique(round_index))
