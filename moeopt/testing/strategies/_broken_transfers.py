"""Contradictions: each turns a stated transfer problem into one that no plan can satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from moeopt.core.arrays import FloatArray
from moeopt.transfers.problem import Busy, TransferProblem, Window

Fields = dict[str, Any]

#: Part of the time that is really needed which a contradiction leaves.
_SHARE = 0.9


@st.composite
def broken_transfers(draw: st.DrawFn, fields: Fields) -> Fields:
    """Draw a contradiction and return the fields with it.

    Parameters
    ----------
    fields
        Fields of a problem.
    """
    stated = _with_something_to_send(fields)
    # What counting does not show comes more often: only that reaches a method at all.
    weighted = [*_CONTRADICTIONS, "crossing", "crossing", "crossing", "crossing"]
    fitting = [name for name in weighted if _CONTRADICTIONS[name](stated) is not None]
    changed = _CONTRADICTIONS[draw(st.sampled_from(fitting))](stated)
    assert changed is not None
    return changed


def _with_something_to_send(fields: Fields) -> Fields:
    """Return the fields with a message between two ports that are there, objective makespan."""
    traffic = fields["traffic_bytes"].copy()
    traffic = traffic if traffic.ndim == 3 else traffic[None]
    remote = traffic * ~np.eye(traffic.shape[-1], dtype=np.bool_)
    stated = {**fields, "traffic_bytes": traffic, "objective": "makespan"}
    if not remote.any():
        stated["absent_ports"] = ()
        rate = float(np.max(fields["bandwidth_bytes_per_s"]))
        traffic[0, 0, 1] = rate
    return stated


def _late(fields: Fields) -> Fields:
    """Give the largest message less time than it needs alone."""
    problem = TransferProblem(**fields)
    wave, source, destination = _largest(problem)
    alone = _alone(problem, wave, source, destination)
    release = float(problem.release()[wave, source, destination])
    return _due(fields, release + _SHARE * alone, wave, source, destination)


def _overloaded(fields: Fields) -> Fields:
    """Give a port less time than its bytes need."""
    problem = TransferProblem(**fields)
    return _due(fields, float(problem.release().min()) + _SHARE * _busiest(problem))


def _absent(fields: Fields) -> Fields:
    """Let the receiver of a message be absent."""
    problem = TransferProblem(**fields)
    _, _, destination = _largest(problem)
    return {**fields, "absent_ports": (*fields.get("absent_ports", ()), destination)}


def _blocked(fields: Fields) -> Fields:
    """Let a receiver be busy until a message is due."""
    problem = TransferProblem(**fields)
    wave, source, destination = _largest(problem)
    alone = _alone(problem, wave, source, destination)
    due = float(problem.release()[wave, source, destination]) + 3.0 * alone
    busy = Busy(port=destination, start_s=0.0, end_s=due - _SHARE * alone)
    changed = {**fields, "busy": (*fields.get("busy", ()), busy)}
    return _due(changed, due, wave, source, destination)


def _crossing(fields: Fields) -> Fields | None:
    """State four messages that leave every port enough time alone, but not together.

    Port 0 has two messages due at 2; before 1 both of its receivers are taken by messages due at
    1, so that it would have to send both in one unit of time.
    """
    ports = fields["traffic_bytes"].shape[-1]
    if ports < 3:
        return None
    rate = float(np.max(fields["bandwidth_bytes_per_s"]))
    traffic = np.zeros((1, ports, ports))
    early, late = ((1, 2), (2, 1)), ((0, 1), (0, 2))
    for source, destination in early + late:
        traffic[0, source, destination] = rate
    windows = tuple(
        Window(source=source, destination=destination, deadline_s=1.0 if which is early else 2.0)
        for which in (early, late)
        for source, destination in which
    )
    dropped = ("receive_bytes_per_s", "fabric", "absent_ports", "busy", "half_duplex")
    plain = {name: value for name, value in fields.items() if name not in dropped}
    changes = {"traffic_bytes": traffic, "bandwidth_bytes_per_s": rate, "windows": windows}
    return {**plain, **changes}


def _due(
    fields: Fields,
    deadline_s: float,
    wave: int | None = None,
    source: int | None = None,
    destination: int | None = None,
) -> Fields:
    window = Window(wave=wave, source=source, destination=destination, deadline_s=deadline_s)
    return {**fields, "windows": (*fields.get("windows", ()), window)}


def _largest(problem: TransferProblem) -> tuple[int, int, int]:
    size = problem.messages()
    where = np.unravel_index(int(size.argmax()), size.shape)
    return int(where[0]), int(where[1]), int(where[2])


def _alone(problem: TransferProblem, wave: int, source: int, destination: int) -> float:
    """Return the least seconds of a message alone, whatever relays carry of it."""
    send, receive = _rates(problem)
    size = float(problem.messages()[wave, source, destination])
    return size / float(min(send[source], receive[destination]))


def _busiest(problem: TransferProblem) -> float:
    """Return the least seconds of the port with the most to do, whatever relays carry of it."""
    pair = problem.pair_bytes()
    send, receive = _rates(problem)
    return float(max((pair.sum(axis=1) / send).max(), (pair.sum(axis=0) / receive).max()))


def _rates(problem: TransferProblem) -> tuple[FloatArray, FloatArray]:
    """Return what each port sends and receives at most, on all its networks together."""
    fast = 0.0 if problem.fabric is None else problem.fabric.bandwidth_bytes_per_s
    return problem.send_rate() + fast, problem.receive_rate() + fast


_CONTRADICTIONS: dict[str, Callable[[Fields], Fields | None]] = {
    "late": _late,
    "overloaded": _overloaded,
    "absent": _absent,
    "blocked": _blocked,
    "crossing": _crossing,
}
