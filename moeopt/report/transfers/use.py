"""How much of a port's time a plan of transfers takes, and which port has least to spare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import replay, uses


@dataclass(frozen=True)
class PortUse:
    """How much of one thing each port does, and how long.

    Attributes
    ----------
    does
        Sending or receiving, with half duplex both; with a fabric on which network.
    size_bytes
        Bytes that it moves, shape ``(ports,)``.
    seconds
        Shape ``(ports,)``. A port that several share is busy for the share of its rate; one that
        has one peer at a time is busy while it has any. Start-ups of messages count.
    """

    does: str
    size_bytes: FloatArray
    seconds: FloatArray


@dataclass(frozen=True)
class Busiest:
    """The port that is busy longest, with what, and how long."""

    port: int
    does: str
    seconds: float


def port_uses(problem: TransferProblem, plan: TransferPlan) -> list[PortUse]:
    """Return how long each port is busy with each thing that it can do at the same time."""
    seen = replay(problem, plan)
    used = uses(problem, seen)
    lasts = used.end_s - used.start_s
    taken = lasts if problem.peers == "one" else lasts * used.share
    moved = np.tile(np.bincount(seen.transmission, seen.size_bytes, len(seen.source)), 2)
    ports = problem.num_ports
    found = []
    for inside, tier in enumerate(tiers_of(problem)):
        here = used.inside == bool(inside)
        for does, chosen in _directions(problem, used.receiving):
            mine = here & chosen
            size, seconds = (
                np.bincount(used.port[mine], amount[mine], ports).astype(np.float64)
                for amount in (moved, taken)
            )
            found.append(PortUse(does + tier, size, seconds))
    return found


def busiest(kinds: list[PortUse]) -> Busiest | None:
    """Return the port that is busy longest; ``None`` if nothing is sent."""
    kind = max(kinds, key=lambda kind: float(kind.seconds.max()))
    port = int(kind.seconds.argmax())
    seconds = float(kind.seconds[port])
    return Busiest(port, kind.does, seconds) if seconds > 0 else None


def tiers_of(problem: TransferProblem) -> tuple[str, ...]:
    """Return what is added to a port's name for each network that it is on."""
    fast = problem.fabric is not None and problem.fabric.ports_per_node > 1
    return ("", " inside its node") if fast else ("",)


def _directions(problem: TransferProblem, receiving: BoolArray) -> list[tuple[str, BoolArray]]:
    if problem.half_duplex:
        return [("sending and receiving", np.ones(receiving.shape, dtype=np.bool_))]
    return [("sending", ~receiving), ("receiving", receiving)]
