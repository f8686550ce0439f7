"""What a user of the transfers wing states: bytes between ports, the ports and the rules.

The sets, data and constraints C1 to C12 are those of ``formulations/transfers.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray, NumberOrArray
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document, Problem
from moeopt.describe.cluster import Count, Positive

Objective = Literal["makespan", "rounds"]
Startup = Literal["message", "round"]
Peers = Literal["one", "many"]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Index = Annotated[int, msgspec.Meta(ge=0)]


class Window(Document, frozen=True, kw_only=True, omit_defaults=True):
    """When some messages may travel.

    Attributes
    ----------
    wave, source, destination
        The messages it is for; ``None`` is every one.
    release_s
        They leave their source no earlier.
    deadline_s
        They must have arrived by then; ``None`` for no deadline.
    """

    wave: Index | None = None
    source: Index | None = None
    destination: Index | None = None
    release_s: NonNegative = 0.0
    deadline_s: Positive | None = None


class Busy(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A time in which a port neither sends nor receives.

    Attributes
    ----------
    port
        Index from 0.
    start_s, end_s
        From when to when.
    """

    port: Index
    start_s: NonNegative
    end_s: Positive


class Fabric(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A fast network inside each node, beside the slow one between nodes.

    Attributes
    ----------
    ports_per_node
        Ports are numbered node by node, this many to each.
    bandwidth_bytes_per_s
        Of each port on its node's network, each direction.
    rails
        Whether ports of different nodes reach each other only if they have the same place in
        their nodes (a rail-only network); other bytes are passed on inside a node first.
    """

    ports_per_node: Count
    bandwidth_bytes_per_s: Positive
    rails: bool = False


class TransferProblem(Problem, frozen=True, kw_only=True, tag="transfers"):
    """Who must send how many bytes to whom, over which ports, under which rules.

    Attributes
    ----------
    traffic_bytes
        Bytes of each message, shape ``(ports, ports)`` by source and destination, or
        ``(waves, ports, ports)`` where messages of one pair have different windows. The diagonal
        is local and needs no network.
    bandwidth_bytes_per_s
        Rate of the ports: one number, or shape ``(ports,)``. With a fabric, of the network
        between nodes.
    receive_bytes_per_s
        Rate at which ports receive, where it differs from that at which they send.
    startup_s
        Seconds that a start-up costs (alpha).
    startup_per
        Each ``"message"`` part holds its two ports this much longer, or each ``"round"`` begins
        this much after the round before has ended.
    chunk_bytes
        No transmission is smaller, but for messages that are smaller themselves.
    preemptive
        Whether a message may be cut into parts.
    peers
        ``"many"`` peers may share a port's rate, or ``"one"`` at a time has it, each direction.
    half_duplex
        Whether sending and receiving share a port's rate.
    windows
        Releases and deadlines; of several for one message the latest release and the earliest
        deadline count.
    busy
        When ports are busy with something else.
    absent_ports
        Ports that take no part.
    fabric
        The fast networks inside nodes, if there are any.
    objective
        ``"makespan"``: the time of the last arrival. ``"rounds"``: the number of rounds, of plans
        whose makespan is the least possible.
    incast_penalty
        How much slower a receiver gets with each further sender that sends to it at the same time
        unscheduled: with k senders it has ``1 / (1 + penalty * (k - 1))`` of its rate. Only the
        unscheduled baselines suffer from it.
    """

    version: Literal[1] = 1
    traffic_bytes: FloatArray
    bandwidth_bytes_per_s: NumberOrArray
    receive_bytes_per_s: NumberOrArray | None = None
    startup_s: NonNegative = 0.0
    startup_per: Startup = "message"
    chunk_bytes: NonNegative = 0.0
    preemptive: bool = True
    peers: Peers = "many"
    half_duplex: bool = False
    windows: tuple[Window, ...] = ()
    busy: tuple[Busy, ...] = ()
    absent_ports: tuple[Index, ...] = ()
    fabric: Fabric | None = None
    objective: Objective = "makespan"
    incast_penalty: NonNegative = 0.0

    def __post_init__(self) -> None:
        # Imported here: the checks need this class, and this class runs the checks.
        from moeopt.transfers.validate import normalise, validate

        normalise(self)
        validate(self)

    @property
    def num_waves(self) -> int:
        """Number of traffic matrices."""
        return int(self.traffic_bytes.shape[0])

    @property
    def num_ports(self) -> int:
        """Number of ports, absent ones included."""
        return int(self.traffic_bytes.shape[-1])

    @property
    def num_messages(self) -> int:
        """Number of messages: positive entries off the diagonal."""
        return int(np.count_nonzero(self.messages()))

    def messages(self) -> FloatArray:
        """Return the bytes that need the network, ``(waves, ports, ports)``: no diagonal."""
        remote: FloatArray = self.traffic_bytes * ~np.eye(self.num_ports, dtype=np.bool_)
        return remote

    def pair_bytes(self) -> FloatArray:
        """Return the bytes of each pair over all waves, ``(ports, ports)``, diagonal 0."""
        total: FloatArray = self.messages().sum(axis=0)
        return total

    def send_rate(self) -> FloatArray:
        """Return the rate at which each port sends between nodes, ``(ports,)``."""
        return np.full(self.num_ports, self.bandwidth_bytes_per_s, dtype=np.float64)

    def receive_rate(self) -> FloatArray:
        """Return the rate at which each port receives between nodes, ``(ports,)``."""
        stated = self.receive_bytes_per_s
        rate = self.bandwidth_bytes_per_s if stated is None else stated
        return np.full(self.num_ports, rate, dtype=np.float64)

    def node_of_port(self) -> IntArray:
        """Return the node of each port; without a fabric every port is a node of its own."""
        size = 1 if self.fabric is None else self.fabric.ports_per_node
        return np.arange(self.num_ports) // size

    def inside(self) -> BoolArray:
        """Tell which pairs use a node's fast network, ``(ports, ports)``."""
        node = self.node_of_port()
        return np.asarray(node[:, None] == node[None, :])

    def pair_rate(self) -> FloatArray:
        """Return the most bytes/s from port to port, ``(ports, ports)``: the slower end's rate."""
        between = np.minimum.outer(self.send_rate(), self.receive_rate())
        if self.fabric is None:
            return between
        return np.where(self.inside(), self.fabric.bandwidth_bytes_per_s, between)

    def direct(self) -> BoolArray:
        """Tell which pairs reach each other without a port in between, ``(ports, ports)``."""
        if self.fabric is None or not self.fabric.rails:
            return np.ones((self.num_ports, self.num_ports), dtype=np.bool_)
        place = np.arange(self.num_ports) % self.fabric.ports_per_node
        return np.asarray(self.inside() | (place[:, None] == place[None, :]))

    def present(self) -> BoolArray:
        """Tell which ports take part, ``(ports,)``."""
        present = np.ones(self.num_ports, dtype=np.bool_)
        present[list(self.absent_ports)] = False
        return present

    def release(self) -> FloatArray:
        """Return when each message may leave, ``(waves, ports, ports)`` seconds."""
        release = np.zeros(self.traffic_bytes.shape)
        for window in self.windows:
            chosen = release[_messages_of(window)]
            np.maximum(chosen, window.release_s, out=chosen)
        return release

    def deadline(self) -> FloatArray:
        """Return when each message must have arrived, shaped alike; ``inf`` without a deadline."""
        deadline = np.full(self.traffic_bytes.shape, np.inf)
        for window in self.windows:
            if window.deadline_s is not None:
                chosen = deadline[_messages_of(window)]
                np.minimum(chosen, window.deadline_s, out=chosen)
        return deadline

    def reversed(self, scale: float = 1.0) -> TransferProblem:
        """Return the problem of bringing everything back: combine, when this one is dispatch.

        `TransferPlan.reversed` with the same scale is a plan of it, as good as the first was.

        Parameters
        ----------
        scale
            Bytes that go back for each byte that came, 2 for FP8 there and BF16 back. Start-ups
            and the smallest chunk are scaled alike.

        Raises
        ------
        InstanceError
            If there are windows or busy times, which do not run backwards.
        """
        if self.is_timed:
            raise InstanceError(
                "$.windows" if self.windows else "$.busy",
                len(self.windows or self.busy),
                "must be empty: times do not run backwards",
                "state the way back as a problem of its own",
            )
        return msgspec.structs.replace(
            self,
            name=self.name and f"{self.name}-reversed",
            generator=None,
            traffic_bytes=scale * self.traffic_bytes.transpose(0, 2, 1),
            bandwidth_bytes_per_s=self.receive_rate(),
            receive_bytes_per_s=self.send_rate(),
            startup_s=scale * self.startup_s,
            chunk_bytes=scale * self.chunk_bytes,
        )

    @property
    def is_timed(self) -> bool:
        """Whether anything depends on the clock: windows or busy ports."""
        return bool(self.windows or self.busy)

    @property
    def has_equal_ports(self) -> bool:
        """Whether all ports send and receive at one rate."""
        rates = np.concatenate([self.send_rate(), self.receive_rate()])
        return bool((rates == rates[0]).all())


def _messages_of(window: Window) -> tuple[slice, slice, slice]:
    """Return the part of a ``(waves, ports, ports)`` array that a window is for, as a view."""

    def one(index: int | None) -> slice:
        return slice(None) if index is None else slice(index, index + 1)

    return one(window.wave), one(window.source), one(window.destination)
