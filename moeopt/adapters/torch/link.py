"""What exchanges cost on the machines at hand: one operation, or rounds."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.cuts import Cuts
from moeopt.adapters.torch.exchange import Route, SingleExchange, Sizes
from moeopt.adapters.torch.layer import rank_and_world
from moeopt.adapters.torch.rounds import RoundsRoute
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError

#: Bytes of a row in measurements.
_ROW_BYTES = 512

#: An all-to-all that takes this long, and as many start-ups, tells the rate well enough: short
#: ones hide in queues and in the start-ups of others.
_LONG_S, _STARTUPS = 0.02, 10

#: Bytes that a rank sends in the first trial of a long one.
_FIRST_BYTES = 64 << 10


@dataclass(frozen=True)
class Link:
    """Costs of exchanges between workers, the same figures on each.

    Every sum here is one of integers, and what follows is multiplied, divided and compared one by
    one: ranks whose processors differ decide alike.

    Attributes
    ----------
    startup_s
        Of one all-to-all.
    bytes_per_s
        Of a rank's port, each direction, while all ranks send evenly to all in one operation.
    incast_bytes_per_s
        At which a port receives what it gets beyond the mean of all ports; at most the larger of
        the two other rates.
    round_startup_s
        Of each round in which a rank sends or receives, and of each further peer in it.
    round_bytes_per_s
        Of a port in a round, each direction.
    decide_s
        Seconds that the host takes to compute rounds, before any row travels.
    """

    startup_s: float
    bytes_per_s: float
    incast_bytes_per_s: float
    round_startup_s: float
    round_bytes_per_s: float
    decide_s: float = 0.0

    def single_s(self, matrix_bytes: IntArray | FloatArray) -> float:
        """Return the seconds of one all-to-all.

        Parameters
        ----------
        matrix_bytes
            Bytes from each rank to each, ``(ranks, ranks)``; the diagonal is not sent.
        """
        sent, received = line_sums(matrix_bytes)
        even = float(received.sum()) / len(received)
        beyond = np.maximum(received - even, 0.0)
        arriving = np.minimum(received, even) / self.bytes_per_s + beyond / self.incast_bytes_per_s
        leaving = sent / self.bytes_per_s
        return self.startup_s + float(max(leaving.max(initial=0.0), arriving.max(initial=0.0)))

    def rounds_s(
        self,
        round_index: IntArray,
        source: IntArray,
        destination: IntArray,
        size_bytes: IntArray | FloatArray,
    ) -> float:
        """Return the seconds of rounds that each rank begins when it has ended its last one.

        Parameters
        ----------
        round_index, source, destination, size_bytes
            Transmissions, each of shape ``(transmissions,)``, as the columns of a `TransferPlan`.
        """
        ranks = int(max(source.max(initial=-1), destination.max(initial=-1))) + 1
        clock = np.zeros(ranks)
        order = np.argsort(round_index, kind="stable")
        begins = np.flatnonzero(np.diff(round_index[order])) + 1
        for now in np.split(order, begins):
            i, j, part = source[now], destination[now], size_bytes[now]
            sent, got = np.bincount(i, part, ranks), np.bincount(j, part, ranks)
            peers = np.maximum(
                np.bincount(i, minlength=ranks)[i], np.bincount(j, minlength=ranks)[j]
            )
            bytes_s = np.maximum(sent[i], got[j]) / self.round_bytes_per_s
            seconds = peers * self.round_startup_s + bytes_s
            end = np.maximum(clock[i], clock[j]) + seconds
            np.maximum.at(clock, i, end)
            np.maximum.at(clock, j, end)
        return float(clock.max(initial=0.0))

    def least_rounds_s(self, matrix_bytes: IntArray) -> float:
        """Return seconds that no rounds of one peer each way go below.

        Parameters
        ----------
        matrix_bytes
            As `single_s`.
        """
        peers, sizes = line_sums(matrix_bytes > 0), line_sums(matrix_bytes)
        lines = [
            peer * self.round_startup_s + size / self.round_bytes_per_s
            for peer, size in zip(peers, sizes, strict=True)
        ]
        return float(np.max(lines, initial=0.0))


def measure_link(
    group: Any = None,
    device: torch.device | None = None,
    *,
    most_bytes: int = 64 << 20,
    repetitions: int = 9,
) -> Link:
    """Return what exchanges cost between the workers of a group; all of them must call it.

    Medians of what the slowest rank takes. Start-ups are told by exchanges of next to nothing,
    rates by those of many bytes: evenly in one operation, all to rank 0, and evenly in rounds.

    Parameters
    ----------
    group
        The workers; ``None`` for all.
    device
        Where the rows are; ``None`` is the current GPU under NCCL, else the CPU.
    most_bytes
        Bytes that a rank sends at most: fewer if they take long.
    repetitions
        Of each measurement.

    Returns
    -------
    Link
        The same on every rank. One worker sends nothing: its exchanges take no time.
    """
    if repetitions < 1:
        raise InstanceError("repetitions", repetitions, "must be >= 1", "measure once at least")
    _, world = rank_and_world(group)
    if world == 1:
        return Link(0.0, math.inf, math.inf, 0.0, math.inf)
    probe = _Probe(group, _device_of(group) if device is None else device)
    few, many = probe.even(0), probe.even(min(_FIRST_BYTES, most_bytes))
    long_s = max(_LONG_S, _STARTUPS * probe.seconds([(few, False)], repetitions)[0])
    while 2 * _sent(many) <= most_bytes and probe.seconds([(many, False)], 1)[0] < long_s:
        many = 2 * many
    hot = np.zeros_like(many)
    hot[1:, 0] = many[1:, 0]
    cases = [(few, False), (many, False), (hot, False), (few, True), (many, True)]
    single, singles, incast, rounds, all_rounds = probe.seconds(cases, repetitions)
    size, least = _sent(many), _sent(few)
    startup, rate = _line(least, single, size, singles)
    round_startup, round_rate = _line(least, rounds, size, all_rounds)
    # All to one: of `size` bytes the mean of all ports comes at the rate of even traffic.
    even = size / world
    beyond = incast - startup - even / rate
    slow = (size - even) / beyond if beyond > 0 else math.inf
    # Beyond the mean no port is faster than at its best, with one peer.
    incast_rate = min(slow, max(rate, round_rate))
    link = Link(startup, rate, incast_rate, round_startup / (world - 1), round_rate)
    return replace(link, decide_s=probe.deciding_s(link, repetitions))


class _Probe:
    """Exchanges that are timed."""

    def __init__(self, group: Any, device: torch.device) -> None:
        self.group, self.device = group, device
        self.rank, self.world = dist.get_rank(group), dist.get_world_size(group)

    def even(self, size_bytes: int) -> IntArray:
        """Return rows from each rank to each, so that each sends about `size_bytes`."""
        rows = max(1, size_bytes // (_ROW_BYTES * (self.world - 1)))
        return rows * (1 - np.eye(self.world, dtype=np.int64))

    def seconds(self, cases: list[tuple[IntArray, bool]], repetitions: int) -> list[float]:
        """Return the median seconds of each case: rows, and whether they go in rounds."""
        exchanges = [self._exchange(rows, in_rounds) for rows, in_rounds in cases]
        # The first time is no measure: connections are made, memory is touched.
        times = [[self._once(*one) for one in exchanges] for _ in range(repetitions + 1)][1:]
        slowest = torch.tensor(times, dtype=torch.float64, device=self.device)
        dist.all_reduce(slowest, dist.ReduceOp.MAX, self.group)
        found: list[float] = np.median(slowest.cpu().numpy(), axis=0).tolist()
        return found

    def deciding_s(self, link: Link, repetitions: int) -> float:
        """Return the median seconds of computing rounds, on the slowest host."""
        # Imported here: it needs this module.
        from moeopt.adapters.torch.spot import spot_parts

        uneven = np.random.default_rng(0).integers(1, 1000, (self.world, self.world))
        times = []
        for _ in range(repetitions + 1):
            start = time.perf_counter()
            spot_parts(uneven * self.even(0), _ROW_BYTES, link)
            times.append(time.perf_counter() - start)
        # The first time compiles.
        slowest = torch.tensor(np.median(times[1:]), dtype=torch.float64, device=self.device)
        dist.all_reduce(slowest, dist.ReduceOp.MAX, self.group)
        return float(slowest)

    def _exchange(
        self, matrix: IntArray, in_rounds: bool
    ) -> tuple[Route, torch.Tensor, torch.Tensor]:
        sizes = Sizes(matrix[self.rank].tolist(), matrix[:, self.rank].tolist(), matrix)
        route: Route = SingleExchange(self.group).route(sizes, _ROW_BYTES)
        if in_rounds:
            cuts = Cuts.of_distances(self.world)
            parts = cuts.parts(matrix[cuts.source, cuts.destination])
            route = RoundsRoute.of(parts, sizes, self.group)
        rows, out = (
            torch.zeros(sum(count), _ROW_BYTES, dtype=torch.uint8, device=self.device)
            for count in (sizes.sent, sizes.received)
        )
        return route, rows, out

    def _once(self, route: Route, rows: torch.Tensor, out: torch.Tensor) -> float:
        """Return this rank's seconds of an exchange that all begin together."""
        dist.all_reduce(torch.zeros(1, device=self.device), group=self.group)
        self._finish()
        start = time.perf_counter()
        route.start(rows, out).wait()
        self._finish()
        return time.perf_counter() - start

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _device_of(group: Any) -> torch.device:
    if dist.get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def _sent(rows: IntArray) -> int:
    """Return the bytes that the last rank sends."""
    return int(rows[-1].sum()) * _ROW_BYTES


def _line(few: int, few_s: float, many: int, many_s: float) -> tuple[float, float]:
    """Return the start-up and the rate of the line through two measurements."""
    if many <= few or many_s <= few_s:
        # So little that it takes no longer: all of it is start-up.
        return few_s, max(many, few) / max(many_s, few_s)
    rate = (many - few) / (many_s - few_s)
    return max(0.0, few_s - few / rate), rate


def _count(rank: IntArray, ranks: int) -> IntArray:
    return np.bincount(rank, minlength=ranks)


def line_sums(matrix: IntArray | FloatArray | BoolArray) -> tuple[Any, Any]:
    """Return the sums of rows and of columns without the diagonal, each ``(ranks,)``."""
    own = np.diagonal(matrix)
    return matrix.sum(axis=1) - own, matrix.sum(axis=0) - own
