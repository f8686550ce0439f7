"""What the transfers wing gives: the plan, its checker and its value.

Written from ``formulations/transfers.md`` alone; no solver is imported here and none is trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Plan, Violation
from moeopt.transfers import checks
from moeopt.transfers.checks import violation_at
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import replay
from moeopt.transfers.validate import MAX_PORTS

_INDICES = ("source", "destination", "round_index", "wave", "origin", "target")
_AMOUNTS = ("size_bytes", "start_s", "duration_s")
_OPTIONAL = ("wave", "origin", "target")


@dataclass(frozen=True)
class Part:
    """Bytes of one message that a port sends to, or receives from, a peer.

    Attributes
    ----------
    peer
        The other port.
    size_bytes, start_s, duration_s
        How many bytes, from when, for how long.
    wave, origin, target
        The message: its wave and its own ends.
    """

    peer: int
    size_bytes: float
    start_s: float
    duration_s: float
    wave: int
    origin: int
    target: int


@dataclass(frozen=True)
class PortRound:
    """What one port does in one round.

    Attributes
    ----------
    round_index
        The round.
    sends, receives
        In the order of their start.
    """

    round_index: int
    sends: tuple[Part, ...]
    receives: tuple[Part, ...]


class TransferPlan(Plan, frozen=True, kw_only=True, tag="transfers", omit_defaults=True):
    """Who sends which bytes to whom, and when.

    Every column has the shape ``(rows,)``, ordered by round, start and source. A row is bytes of
    one message on one hop, sent at a constant rate; rows that share source, destination, start and
    duration are one transmission that carries parts of several messages.

    Attributes
    ----------
    version
        Version of the document's schema.
    source, destination
        The ports of the hop.
    size_bytes, start_s, duration_s
        How many bytes, from when, for how long.
    round_index
        The round that the row is in.
    wave
        Wave of the message; ``None`` if all are of wave 0.
    origin, target
        The message's own ends; ``None`` where they are the hop's.
    """

    version: Literal[1] = 1
    source: IntArray
    destination: IntArray
    size_bytes: FloatArray
    start_s: FloatArray
    duration_s: FloatArray
    round_index: IntArray
    wave: IntArray | None = None
    origin: IntArray | None = None
    target: IntArray | None = None

    @property
    def end_s(self) -> FloatArray:
        """Return when each row ends, ``(rows,)``."""
        return np.asarray(self.start_s + self.duration_s)

    @property
    def makespan_s(self) -> float:
        """Return the time of the last arrival; 0 if nothing is sent."""
        return float(self.end_s.max(initial=0.0))

    @property
    def num_rounds(self) -> int:
        """Number of rounds in which anything is sent."""
        return len(np.unique(self.round_index))

    def rounds_for(self, port: int) -> list[PortRound]:
        """Return what one port does, round by round; rounds that it sits out are left out."""
        mine = np.flatnonzero((self.source == port) | (self.destination == port))
        mine = mine[np.lexsort((self.start_s[mine], self.round_index[mine]))]
        found = []
        for index in np.unique(self.round_index[mine]).tolist():
            here = mine[self.round_index[mine] == index]
            sends = self._parts(here[self.source[here] == port], self.destination)
            receives = self._parts(here[self.destination[here] == port], self.source)
            found.append(PortRound(int(index), sends, receives))
        return found

    def reversed(self, scale: float = 1.0) -> TransferPlan:
        """Return the plan that brings everything back: combine, when this one is dispatch.

        Time runs backwards between the first start and the last end, so every port that sent now
        receives at the same rate. Start-ups are part of the durations and scaled with them.

        Parameters
        ----------
        scale
            Bytes that go back for each byte that came; times are scaled alike.
        """
        if self.source.size == 0:
            return self
        ends = float(self.start_s.min()) + self.makespan_s
        start = np.maximum(ends - self.end_s, 0.0)
        rounds = self.round_index.max() - self.round_index
        order = np.lexsort((self.destination, start, rounds))
        changes = {
            "source": self.destination[order],
            "destination": self.source[order],
            "size_bytes": self.size_bytes[order] * scale,
            "start_s": start[order] * scale,
            "duration_s": self.duration_s[order] * scale,
            "round_index": rounds[order],
            "wave": None if self.wave is None else self.wave[order],
            "origin": None if self.target is None else self.target[order],
            "target": None if self.origin is None else self.origin[order],
        }
        return msgspec.structs.replace(self, **changes)

    def _parts(self, rows: IntArray, peer: IntArray) -> tuple[Part, ...]:
        origin = self.source if self.origin is None else self.origin
        target = self.destination if self.target is None else self.target
        wave = np.zeros_like(self.source) if self.wave is None else self.wave
        columns = (peer, self.size_bytes, self.start_s, self.duration_s, wave, origin, target)
        return tuple(Part(*row) for row in zip(*(c[rows].tolist() for c in columns), strict=True))


@dataclass(frozen=True)
class Evaluation:
    """The value of a plan.

    Attributes
    ----------
    objective
        What the problem's `objective` minimises: seconds, or rounds.
    makespan_s
        The time of the last arrival.
    num_rounds
        Rounds in which anything is sent.
    num_transmissions
        Rows that are one transmission counted once; a change of rate makes a new one.
    startups
        How often `startup_s` is paid: transmissions that continue none, or rounds.
    idle_send_bytes, idle_receive_bytes
        What each port could have sent or received beyond its bytes until the makespan, shape
        ``(ports,)``: of the network between nodes; 0 for absent ports. Start-ups are idle time.
    """

    objective: float
    makespan_s: float
    num_rounds: int
    num_transmissions: int
    startups: int
    idle_send_bytes: FloatArray
    idle_receive_bytes: FloatArray


def violations(problem: TransferProblem, plan: TransferPlan) -> list[Violation]:
    """Return what the plan breaks: of each rule of the formulation page the worst case."""
    strange = _shape_violations(problem, plan)
    if strange:
        return strange
    seen = replay(problem, plan)
    return [
        *checks.byte_violations(problem, seen),
        *checks.rate_violations(problem, seen),
        *checks.window_violations(problem, seen),
        *checks.part_violations(problem, seen),
        *checks.closed_violations(problem, seen),
        *checks.round_violations(problem, plan, seen),
        *checks.route_violations(problem, seen),
        *checks.makespan_violations(problem, plan),
    ]


def evaluate(problem: TransferProblem, plan: TransferPlan) -> Evaluation:
    """Return the objective of a valid plan and the figures behind it."""
    seen = replay(problem, plan)
    node = problem.node_of_port()
    between = node[seen.row_source] != node[seen.row_destination]
    ports, makespan, rounds = problem.num_ports, plan.makespan_s, plan.num_rounds
    idle = []
    for port, rate in (
        (seen.row_source, problem.send_rate()),
        (seen.row_destination, problem.receive_rate()),
    ):
        moved = np.bincount(port[between], weights=seen.size_bytes[between], minlength=ports)
        idle.append(np.maximum(makespan * rate - moved, 0.0) * problem.present())
    by_message = problem.startup_per == "message"
    return Evaluation(
        objective=float(rounds) if problem.objective == "rounds" else makespan,
        makespan_s=makespan,
        num_rounds=rounds,
        num_transmissions=len(seen.start_s),
        startups=int(seen.begins.sum()) if by_message else rounds,
        idle_send_bytes=idle[0],
        idle_receive_bytes=idle[1],
    )


def require_readable(plan: TransferPlan) -> None:
    """Raise `InstanceError` if no problem could have this plan: its columns do not fit together.

    Raises
    ------
    InstanceError
        For the first thing that is wrong.
    """
    strange = _unreadable(plan, {"round_index": 2**62}, MAX_PORTS)
    if strange:
        remedy = "write one entry for each row"
        raise InstanceError(strange[0].path, "<a plan>", strange[0].message, remedy)


def _shape_violations(problem: TransferProblem, plan: TransferPlan) -> list[Violation]:
    """Return why the plan cannot be read, if it cannot."""
    most = {"wave": problem.num_waves, "round_index": 2**62}
    return _unreadable(plan, most, problem.num_ports)


def _unreadable(plan: TransferPlan, most: dict[str, int], ports: int) -> list[Violation]:
    """Return why the plan cannot be read, if it cannot: indices stay below `most` or `ports`."""
    names = [n for n in _INDICES + _AMOUNTS if n not in _OPTIONAL or getattr(plan, n) is not None]
    rows = plan.source.shape
    for name in names:
        column = getattr(plan, name)
        if column.ndim != 1 or column.shape != rows:
            message = f"must have shape (rows,) as source has, {rows}, has {column.shape}"
            return [violation_at("shape", name, None, message, 1.0)]
    for name in names:
        column = getattr(plan, name)
        if name in _AMOUNTS:
            bad, rule = ~(np.isfinite(column) & (column >= 0)), "a finite number >= 0"
        else:
            count = most.get(name, ports)
            bad = ~((column >= 0) & (column < count) & (column == np.floor(column)))
            rule = f"a whole number >= 0 and < {count}"
        if bad.any():
            return [_strange(plan, name, bad, f"must be {rule}")]
    own_peer = plan.source == plan.destination
    if own_peer.any():
        return [_strange(plan, "destination", own_peer, "must differ from source")]
    endless = plan.start_s > np.finfo(np.float64).max - plan.duration_s
    if endless.any():
        return [_strange(plan, "start_s", endless, "must leave a finite end")]
    instant = (plan.duration_s == 0) & (plan.size_bytes > 0)
    if instant.any():
        return [_strange(plan, "duration_s", instant, "must be > 0 where bytes are sent")]
    return []


def _strange(plan: TransferPlan, column: str, bad: BoolArray, rule: str) -> Violation:
    row = int(np.argmax(bad))
    message = f"{rule}, is {getattr(plan, column)[row]}"
    return violation_at("shape", column, row, message, float(bad.sum()))
