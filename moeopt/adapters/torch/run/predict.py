"""How long a layer will take, from constants that the workers have measured: before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from moeopt.adapters.torch.choice import fastest
from moeopt.adapters.torch.cuts import Cuts, Parts
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.run.options import ExchangeName
from moeopt.adapters.torch.spot import spot_parts
from moeopt.core.arrays import FloatArray
from moeopt.timeline import Exchange, LayerTime, layer_time
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem


@dataclass(frozen=True)
class Cost:
    """What a phase costs: so much to begin with, and so much for each row.

    Attributes
    ----------
    start_s, per_row_s
        Seconds.
    """

    start_s: float
    per_row_s: float

    @classmethod
    def through(cls, rows: Sequence[float], seconds: Sequence[float]) -> Cost:
        """Return the cost that fits two measurements best, neither part below 0."""
        per_row = (seconds[1] - seconds[0]) / max(rows[1] - rows[0], 1.0)
        start = seconds[0] - per_row * rows[0]
        if per_row <= 0:
            return cls((seconds[0] + seconds[1]) / 2, 0.0)
        if start < 0:
            squares = rows[0] ** 2 + rows[1] ** 2
            return cls(0.0, (rows[0] * seconds[0] + rows[1] * seconds[1]) / squares)
        return cls(start, per_row)

    def seconds(self, rows: FloatArray) -> FloatArray:
        """Return the seconds of so many rows."""
        return np.asarray(self.start_s + self.per_row_s * rows)


@dataclass(frozen=True)
class Constants:
    """What the workers measured before the run, all at once: they share the machine.

    Attributes
    ----------
    gate, aggregation
        By the rows that a rank sends: tokens times `top_k`.
    compute
        By the rows that it serves.
    link
        The all-to-all and the rounds.
    """

    gate: Cost
    compute: Cost
    aggregation: Cost
    link: Link


def predicted(
    constants: Constants,
    traffic: FloatArray,
    row_bytes: int,
    exchange: ExchangeName = "single",
    rounds: TransferPlan | None = None,
) -> LayerTime:
    """Return the time of a layer whose rows travel as `traffic` says.

    Parameters
    ----------
    constants
        Measured ones.
    traffic
        Rows from each rank to each rank, ``(ranks, ranks)``, in expectation.
    row_bytes
        Bytes of a row, on its way there and back.
    exchange
        How rows travel.
    rounds
        The order for ``"rounds"``, and one of the choices for ``"auto"``.
    """
    sent, served = traffic.sum(axis=1), traffic.sum(axis=0)
    busiest = max(float(served.max(initial=0.0)), 1.0)
    time = layer_time(
        traffic,
        relative_speed=np.ones(len(traffic)),
        port_bytes_per_s=np.full(len(traffic), constants.link.bytes_per_s),
        # What the busiest rank takes for a row, its part of the start in it.
        seconds_per_token=float(constants.compute.seconds(np.array(busiest))) / busiest,
        dispatch_bytes_per_token=row_bytes,
        combine_bytes_per_token=row_bytes,
        gate_s=constants.gate.seconds(sent),
        aggregation_s=constants.aggregation.seconds(sent),
    )
    there, back = exchange_s(constants.link, traffic, row_bytes, exchange, rounds)
    # Bytes over a port's rate know no start-ups and no rush on one receiver: the link does.
    return replace(
        time, dispatch=_lasting(time.dispatch, there), combine=_lasting(time.combine, back)
    )


def exchange_s(
    link: Link,
    traffic: FloatArray,
    row_bytes: int,
    exchange: ExchangeName,
    rounds: TransferPlan | None,
) -> tuple[float, float]:
    """Return the seconds of rows on their way there and back; parameters as of `predicted`."""
    world = len(traffic)
    if world == 1:
        return 0.0, 0.0
    rows = np.rint(traffic).astype(np.int64) * ~np.eye(world, dtype=np.bool_)
    cuts = None if rounds is None else Cuts.of(rounds, world)
    parts: Parts | None = None
    if exchange == "auto":
        _, parts = fastest(link, rows, row_bytes, cuts)
    elif exchange == "spot":
        parts = spot_parts(rows, row_bytes, link)
    elif exchange == "rounds" and cuts is not None:
        parts = cuts.parts(rows[cuts.source, cuts.destination])
    if parts is None:
        return link.single_s(rows * row_bytes), link.single_s(rows.T * row_bytes)
    return _both_s(link, parts, row_bytes)


def ordered_rounds(size_bytes: FloatArray, link: Link) -> TransferPlan | None:
    """Return rounds for some traffic on the measured link; one rank has none.

    Parameters
    ----------
    size_bytes
        From each rank to each, ``(ranks, ranks)``.
    link
        What a round costs.
    """
    from moeopt.core.solve import solve

    if len(size_bytes) == 1:
        return None
    problem = TransferProblem(
        traffic_bytes=size_bytes,
        bandwidth_bytes_per_s=link.round_bytes_per_s,
        startup_s=link.round_startup_s,
        peers="one",
    )
    plan: TransferPlan | None = solve(problem, "few_rounds").plan
    return plan


def expected_traffic(layout: Layout, counts: FloatArray) -> FloatArray:
    """Return the rows from each rank to each rank, ``(batches, ranks, ranks)``.

    Parameters
    ----------
    layout
        Whose copies take the shares that it says.
    counts
        Tokens of each rank for each expert, ``(batches, ranks, experts)``.
    """
    return np.stack([layout.served(batch) for batch in counts])


def _both_s(link: Link, parts: Parts, row_bytes: int) -> tuple[float, float]:
    """Return the seconds of rounds there, and back in reverse."""
    size = parts.rows * row_bytes
    back = parts.num_rounds - parts.round_index
    return (
        link.rounds_s(parts.round_index, parts.source, parts.destination, size),
        link.rounds_s(back, parts.destination, parts.source, size),
    )


def _lasting(exchange: Exchange, seconds: float) -> Exchange:
    """Return the exchange with every port's time stretched by as much as ends it then."""
    more = seconds - float(exchange.busy_s.max(initial=0.0))
    return Exchange(exchange.send_s + more, exchange.receive_s + more)
