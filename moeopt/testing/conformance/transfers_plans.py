"""Messages of a transfer problem as a list, plans from rows, and units: what the oracle shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.wing import Plan
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem, Window

#: Relative difference that is rounding.
CLOSE = 1e-9


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes
    ----------
    wave, source, destination
        Which one.
    size
        Bytes.
    release, deadline
        When it may leave and must have arrived, in seconds.
    """

    wave: int
    source: int
    destination: int
    size: float
    release: float
    deadline: float


class Row(NamedTuple):
    """Bytes of a message on one hop; without one they go straight to their destination."""

    message: Message
    size_bytes: float
    start_s: float
    duration_s: float
    round_index: int
    hop: tuple[int, int] | None = None

    def ends(self) -> tuple[int, int]:
        """Return the ports of the hop."""
        return self.hop or (self.message.source, self.message.destination)


def messages_of(problem: TransferProblem) -> list[Message]:
    """Return the messages by wave, source and destination."""
    size, release, deadline = problem.messages(), problem.release(), problem.deadline()
    return [
        Message(*where, *(float(table[tuple(where)]) for table in (size, release, deadline)))
        for where in np.argwhere(size > 0).tolist()
    ]


def plan_of(problem: TransferProblem, rows: Iterable[Row]) -> TransferPlan:
    """Return the plan of these rows, put into the order of plans."""
    ordered = sorted(rows, key=lambda row: (row.round_index, row.start_s, *row.ends()))

    def whole(values: Iterable[int]) -> IntArray:
        return np.array(list(values), dtype=np.int64)

    def floats(values: Iterable[float]) -> FloatArray:
        return np.array(list(values), dtype=np.float64)

    relayed = any(row.hop is not None for row in ordered)
    return TransferPlan(
        source=whole(row.ends()[0] for row in ordered),
        destination=whole(row.ends()[1] for row in ordered),
        size_bytes=floats(row.size_bytes for row in ordered),
        start_s=floats(row.start_s for row in ordered),
        duration_s=floats(row.duration_s for row in ordered),
        round_index=whole(row.round_index for row in ordered),
        wave=whole(row.message.wave for row in ordered) if problem.num_waves > 1 else None,
        origin=whole(row.message.source for row in ordered) if relayed else None,
        target=whole(row.message.destination for row in ordered) if relayed else None,
    )


def fluid_bound(problem: TransferProblem) -> float:
    """Return the busiest port's seconds, one start-up of every pair included.

    The waves of a pair may go on one after the other without another start-up.
    """
    send, receive = problem.send_rate(), problem.receive_rate()
    load = np.zeros((2, problem.num_ports))
    begun: set[tuple[int, int]] = set()
    for m in messages_of(problem):
        rate = min(send[m.source], receive[m.destination])
        begins = problem.startup_per == "message" and (m.source, m.destination) not in begun
        begun.add((m.source, m.destination))
        carried = m.size + (problem.startup_s * rate if begins else 0.0)
        # Who has one peer at a time is held at the pair's rate, however fast it is itself.
        held = rate if problem.peers == "one" else None
        load[0, m.source] += carried / (held or send[m.source])
        load[1, m.destination] += carried / (held or receive[m.destination])
    return float((load.sum(axis=0) if problem.half_duplex else load).max(initial=0.0))


def in_units(problem: TransferProblem, unit_bytes: float, unit_s: float) -> TransferProblem:
    """Return the problem with bytes and seconds counted in other units.

    Parameters
    ----------
    problem
        In bytes and seconds.
    unit_bytes, unit_s
        Bytes and seconds of the new units.
    """
    rate = unit_s / unit_bytes
    receive, fabric = problem.receive_bytes_per_s, problem.fabric
    if fabric is not None:
        fast = fabric.bandwidth_bytes_per_s * rate
        fabric = msgspec.structs.replace(fabric, bandwidth_bytes_per_s=fast)
    return msgspec.structs.replace(
        problem,
        traffic_bytes=problem.traffic_bytes / unit_bytes,
        bandwidth_bytes_per_s=problem.bandwidth_bytes_per_s * rate,
        receive_bytes_per_s=None if receive is None else receive * rate,
        startup_s=problem.startup_s / unit_s,
        chunk_bytes=problem.chunk_bytes / unit_bytes,
        windows=tuple(_window_in(window, unit_s) for window in problem.windows),
        busy=tuple(
            msgspec.structs.replace(b, start_s=b.start_s / unit_s, end_s=b.end_s / unit_s)
            for b in problem.busy
        ),
        fabric=fabric,
    )


def in_bytes(plan: Plan, unit_bytes: float, unit_s: float) -> TransferPlan:
    """Return a plan of a problem `in_units` in bytes and seconds."""
    assert isinstance(plan, TransferPlan)
    return msgspec.structs.replace(
        plan,
        size_bytes=plan.size_bytes * unit_bytes,
        start_s=plan.start_s * unit_s,
        duration_s=plan.duration_s * unit_s,
    )


def _window_in(window: Window, unit_s: float) -> Window:
    deadline = window.deadline_s
    return msgspec.structs.replace(
        window,
        release_s=window.release_s / unit_s,
        deadline_s=None if deadline is None else deadline / unit_s,
    )
