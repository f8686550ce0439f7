"""Orders for other systems: plain arrays in, plain arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, own_array
from moeopt.core.errors import MoeoptError
from moeopt.core.progress import Progress
from moeopt.core.result import Result, relative_gap
from moeopt.core.sentences import require_fields
from moeopt.core.solve import solve
from moeopt.transfers.contention import speedups
from moeopt.transfers.plan import PortRound, TransferPlan
from moeopt.transfers.problem import TransferProblem

#: Fields of the problem that `schedule` states by arguments of its own.
_STATED = ("traffic_bytes", "bandwidth_bytes_per_s", "startup_s")


class NoScheduleError(MoeoptError, ValueError):
    """No order exists, or none was found; the message names the rule that cannot hold."""


@dataclass(frozen=True)
class Schedule:
    """An order of transmissions as arrays, each of shape ``(transmissions,)``.

    Attributes
    ----------
    source, destination
        Ports.
    size_bytes, start_s, duration_s
        What is sent, from when on, for how long.
    round_index
        Round of each transmission.
    makespan_s
        When the last byte has arrived.
    bound_s
        No order ends earlier, or ``None`` if nothing was proven.
    problem, plan
        What was stated, and the whole plan.
    result
        The whole `Result`.
    """

    source: IntArray
    destination: IntArray
    size_bytes: FloatArray
    start_s: FloatArray
    duration_s: FloatArray
    round_index: IntArray
    makespan_s: float
    bound_s: float | None
    problem: TransferProblem
    plan: TransferPlan
    result: Result[TransferPlan]

    @property
    def gap(self) -> float | None:
        """Relative distance to the bound, ``None`` without one."""
        return relative_gap(self.makespan_s, self.bound_s)

    def speedups(self) -> dict[str, float]:
        """Return how many times longer each unscheduled baseline takes, by its name."""
        return speedups(self.problem, self.makespan_s)

    def rounds_for(self, port: int) -> list[PortRound]:
        """Return what one port sends and receives, round by round."""
        return self.plan.rounds_for(port)


def schedule(
    traffic: Any,
    bandwidth: Any = 1.0,
    *,
    alpha: float = 0.0,
    method: str = "auto",
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    **rules: Any,
) -> Schedule:
    """Order an all-to-all.

    Parameters
    ----------
    traffic
        Bytes from each port (rows) to each other one (columns), ``(ports, ports)``, or
        ``(waves, ports, ports)``; the diagonal is local and ignored.
    bandwidth
        Bytes per second of the ports: one number, or one for each.
    alpha
        Seconds of a start-up.
    method, time_limit_s, gap, seed, workers, progress
        As for `moeopt.solve`.
    **rules
        Any further field of `TransferProblem`: ``peers="one"``, ``half_duplex=True``, …

    Returns
    -------
    Schedule

    Raises
    ------
    InstanceError
        If the arguments are malformed or do not fit together.
    NoScheduleError
        If no order exists, or none was found in time.

    Examples
    --------
    >>> from moeopt.transfers import schedule
    >>> order = schedule([[0, 1, 1], [1, 0, 1], [0, 0, 0]])
    >>> order.makespan_s, order.bound_s
    (2.0, 2.0)
    >>> [(part.peer, part.size_bytes) for turn in order.rounds_for(0) for part in turn.sends]
    [(1, 1.0), (2, 1.0)]
    """
    require_fields(rules, [n for n in TransferProblem.__struct_fields__ if n not in _STATED])
    rate: Any = bandwidth
    if not np.isscalar(rate):
        rate = own_array(rate, "$.bandwidth_bytes_per_s")
    problem = TransferProblem(
        traffic_bytes=own_array(traffic, "$.traffic_bytes", np.float64),
        bandwidth_bytes_per_s=rate,
        startup_s=alpha,
        **rules,
    )
    result = solve(
        problem,
        method,
        time_limit_s=time_limit_s,
        gap=gap,
        seed=seed,
        workers=workers,
        progress=progress,
    )
    plan: TransferPlan | None = result.plan
    if plan is None:
        raise NoScheduleError(result.why())
    # Copies, because other systems may want to write to them.
    return Schedule(
        source=plan.source.copy(),
        destination=plan.destination.copy(),
        size_bytes=plan.size_bytes.copy(),
        start_s=plan.start_s.copy(),
        duration_s=plan.duration_s.copy(),
        round_index=plan.round_index.copy(),
        makespan_s=plan.makespan_s,
        bound_s=result.bound if problem.objective == "makespan" else None,
        problem=problem,
        plan=plan,
        result=result,
    )
