"""What workers do in a run of a transfer plan: send rows that tell where they belong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.exchange import Exchange, Route, SingleExchange, Sizes
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.rounds import RoundsExchange
from moeopt.adapters.torch.run.common import device_here, timed
from moeopt.adapters.torch.spot import SpotExchange
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.transfers.plan import TransferPlan

Way = Literal["rounds", "single", "spot"]

#: A row holds this many numbers of 8 bytes.
_NUMBERS = 8
ROW_BYTES = 8 * _NUMBERS

#: Passes before anything is timed.
_WARM_UP = 2


@dataclass(frozen=True, eq=False)
class ByteRun:
    """What one rank saw of one way of exchanging.

    Attributes
    ----------
    seconds
        Of each step, begun by all ranks together, ``(steps,)``.
    wrong
        Rows that arrived wrong, there or back.
    """

    seconds: FloatArray
    wrong: int


def run_bytes(rows: IntArray, plan: TransferPlan, link: Link, steps: int) -> dict[Way, ByteRun]:
    """Send rows in each way, there (which is timed) and back.

    Parameters
    ----------
    rows
        From each rank to each, ``(ranks, ranks)``.
    plan
        Its rounds are one of the ways.
    link
        What rounds cost.
    steps
        How often they are timed.
    """
    rank = dist.get_rank()
    sizes = Sizes(rows[rank].tolist(), rows[:, rank].tolist(), rows)
    ways: dict[Way, Exchange] = {
        "rounds": RoundsExchange(plan),
        "single": SingleExchange(),
        "spot": SpotExchange(link=link),
    }
    routes = {way: exchange.route(sizes, ROW_BYTES) for way, exchange in ways.items()}
    # Turn by turn, so that a slow moment of the machine does not hit one way alone.
    done = [
        {way: _sent(route, rows, rank) for way, route in routes.items()}
        for _ in range(_WARM_UP + steps)
    ]
    return {
        way: ByteRun(
            seconds=np.array([one[way][0] for one in done[_WARM_UP:]]),
            wrong=sum(one[way][1] for one in done),
        )
        for way in ways
    }


def _sent(route: Route, rows: IntArray, rank: int) -> tuple[float, int]:
    """Return the seconds of one exchange, and the rows that it and its way back brought wrong."""
    world = len(rows)
    away = torch.cat([_marked(rows, rank, other) for other in range(world)])
    right = torch.cat([_marked(rows, other, rank) for other in range(world)])
    # What has not arrived must not look as if it had.
    here, home = torch.full_like(right, -1), torch.full_like(away, -1)
    _, seconds = timed(lambda: route.start(away, here).wait())
    route.start(here, home, back=True).wait()
    wrong = (here != right).any(dim=1).sum() + (home != away).any(dim=1).sum()
    return seconds, int(wrong)


def _marked(rows: IntArray, source: int, destination: int) -> torch.Tensor:
    """Return the rows of a pair: numbers that stand in no other place of any pair."""
    count = int(rows[source, destination]) * _NUMBERS
    first = (source * len(rows) + destination) << 40
    numbers = torch.arange(first, first + count, device=device_here())
    return numbers.view(-1, _NUMBERS)
