"""The all-to-alls of several models as waves between ports: a network that orders them.

A `Phase` is a `moeopt.timeline.Network`: it is told when its waves are released, orders them by
`moeopt.transfers` and says when they have arrived.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import Result, Status
from moeopt.core.solve import solve
from moeopt.timeline import Network
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import Peers, TransferProblem, Window
from moeopt.transfers.timed import refuses_timed


@dataclass(frozen=True)
class Rules:
    """How waves are ordered.

    Attributes
    ----------
    port
        Rate of each port, ``(ports,)`` bytes/s.
    peers
        As in `TransferProblem`.
    in_turn
        Whether a wave may not delay those before it; else only the last arrival counts.
    until
        When ``time.perf_counter`` says that no more linear programs are to be solved.
    seed
        Of the solvers.
    """

    port: FloatArray
    peers: Peers
    in_turn: bool
    until: float | None
    seed: int

    def problem(self, bytes_: FloatArray, windows: Sequence[Window] = ()) -> TransferProblem:
        """Return the transfers of some waves, ``(waves, ports, ports)`` bytes."""
        return TransferProblem(
            traffic_bytes=bytes_,
            bandwidth_bytes_per_s=self.port,
            peers=self.peers,
            windows=tuple(windows),
        )

    def untimed(self, bytes_: FloatArray) -> Result[TransferPlan]:
        """Return the order of waves without releases: a decomposition, no program."""
        return solve(self.problem(bytes_), seed=self.seed)

    def timed(self, bytes_: FloatArray, windows: Sequence[Window]) -> Result[TransferPlan] | None:
        """Return the order of waves with releases, if there is time and a program is not too large.

        ``None`` also where deadlines leave a solver no room for its tolerance.
        """
        problem = self.problem(bytes_, windows)
        left = None if self.until is None else self.until - time.perf_counter()
        if (left is not None and left <= 0) or refuses_timed(problem) is not None:
            return None
        result: Result[TransferPlan] = solve(problem, "timed", time_limit_s=left, seed=self.seed)
        return result if result.plan is not None else None


class Phase:
    """The dispatches, or the combines, of all models.

    Parameters
    ----------
    rules
        How to order them.
    bytes_
        Between the ports, ``(models, ports, ports)``, diagonals 0.
    least
        The network whose ends are their busiest ports'.

    Attributes
    ----------
    plan
        The order, its times counted from the beginning of the round.
    end_s, least_end_s
        When each wave and those before it have arrived, and when by their busiest ports they could
        have, shape ``(models,)``.
    proven
        Whether every end is the earliest that releases and earlier waves allow.
    """

    plan: TransferPlan
    end_s: FloatArray
    least_end_s: FloatArray
    proven: bool

    def __init__(self, rules: Rules, bytes_: FloatArray, least: Network) -> None:
        self.rules = rules
        self.bytes_ = bytes_
        self._least = least

    def __call__(self, release_s: FloatArray) -> tuple[FloatArray, IntArray]:
        """Order the waves for these releases, which ascend."""
        # Of ends that are later than the busiest port's, its release still explains most.
        self.least_end_s, since = self._least(release_s)
        self.proven = True
        # Counted from the first release, waves that have no later one have none at all.
        begin = float(release_s[0])
        order = self._in_turn if self.rules.in_turn else self._together
        plan, end = order(release_s - begin)
        self.plan = shifted(plan, begin)
        self.end_s = end + begin
        return self.end_s, since

    def _in_turn(self, release: FloatArray) -> tuple[TransferPlan, FloatArray]:
        """Add one wave at a time; the ends of those before it become their deadlines."""
        plan, end = nothing(), np.zeros(len(release))
        for k in range(len(release)):
            before = float(end[:k].max(initial=0.0))
            if self.bytes_[k].any():
                plan = self._with_wave(k, plan, release, end[:k], before)
            end[k] = max(before, float(release[k]), plan.makespan_s)
        return plan, end

    def _with_wave(
        self, k: int, plan: TransferPlan, release: FloatArray, end: FloatArray, before: float
    ) -> TransferPlan:
        """Return the order of waves 0 to k that leaves those before k their ends."""
        begin = max(before, float(release[k]))
        if release[k] < before:
            windows = windows_of(self.bytes_[: k + 1], release, end)
            among = self.rules.timed(self.bytes_[: k + 1], windows)
            if among is not None and among.plan is not None:
                self.proven &= among.status is Status.OPTIMAL
                return among.plan
        # Nothing is lost by going last if the network is idle when the wave is released.
        alone = self.rules.untimed(self.bytes_[k])
        assert alone.plan is not None
        self.proven &= alone.status is Status.OPTIMAL and begin == release[k]
        return followed(plan, shifted(alone.plan, begin, wave=k))

    def _together(self, release: FloatArray) -> tuple[TransferPlan, FloatArray]:
        """Order all waves at once, for the last arrival of all."""
        windows = windows_of(self.bytes_, release, ())
        result = (
            self.rules.timed(self.bytes_, windows) if windows else self.rules.untimed(self.bytes_)
        )
        if result is None or result.plan is None:
            return self._in_turn(release)
        self.proven &= result.status is Status.OPTIMAL
        end = release.copy()
        np.maximum.at(end, wave_of(result.plan), result.plan.end_s)
        return result.plan, np.maximum.accumulate(end)


def windows_of(
    bytes_: FloatArray, release_s: FloatArray, end_s: Sequence[float] | FloatArray
) -> list[Window]:
    """Return releases of waves that have bytes, and deadlines of as many as have an end."""
    windows = []
    for k in range(len(bytes_)):
        if not bytes_[k].any():
            continue
        release = float(release_s[k])
        due = float(end_s[k]) if k < len(end_s) else None
        if release > 0 or due is not None:
            windows.append(Window(wave=k, release_s=release, deadline_s=due))
    return windows


def wave_of(plan: TransferPlan) -> IntArray:
    """Return the wave of each row, ``(rows,)``."""
    return np.zeros_like(plan.source) if plan.wave is None else plan.wave


def nothing() -> TransferPlan:
    """Return the plan that sends nothing."""
    none, zero = np.empty(0, dtype=np.int64), np.empty(0)
    return TransferPlan(
        source=none,
        destination=none,
        size_bytes=zero,
        start_s=zero,
        duration_s=zero,
        round_index=none,
        wave=none,
    )


def shifted(plan: TransferPlan, later_s: float, wave: int = 0) -> TransferPlan:
    """Return the plan begun later, its waves counted from `wave`."""
    return msgspec.structs.replace(plan, start_s=plan.start_s + later_s, wave=wave_of(plan) + wave)


def followed(first: TransferPlan, second: TransferPlan) -> TransferPlan:
    """Return both plans as one, the rounds of the second after those of the first."""
    rounds = int(first.round_index.max(initial=-1)) + 1
    later = msgspec.structs.replace(second, round_index=second.round_index + rounds)
    columns = {
        name: np.concatenate([getattr(first, name), getattr(later, name)])
        for name in ("source", "destination", "size_bytes", "start_s", "duration_s", "round_index")
    }
    wave = np.concatenate([wave_of(first), wave_of(later)])
    return msgspec.structs.replace(later, **columns, wave=wave)
