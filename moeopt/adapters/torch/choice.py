"""The exchange that costs least, decided anew in each step from what all ranks send."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from moeopt.adapters.torch.cuts import Cuts, Parts
from moeopt.adapters.torch.exchange import Route, SingleExchange, Sizes
from moeopt.adapters.torch.layer import rank_and_world
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.rounds import RoundsRoute
from moeopt.adapters.torch.spot import compile_rounds, parts_s, sent_rows, spot_parts
from moeopt.core.arrays import IntArray
from moeopt.transfers.plan import TransferPlan

#: One all-to-all, the rounds of a plan, or rounds computed on the spot.
Way = Literal["single", "plan", "spot"]


class ChosenExchange:
    """Whichever of three exchanges takes the least time by a link's figures, there and back.

    Rounds have a start-up each, and the host must compute them: they pay where links are slow, or
    where receivers suffer from many senders.

    Parameters
    ----------
    link
        What exchanges cost, the same on every rank: see `measure_link`.
    plan
        Its rounds are among the choices.
    group
        The workers; ``None`` for all. As for `RoundsExchange`, their first operation must be one
        in which all take part.

    Attributes
    ----------
    taken
        How often each way was chosen.

    Raises
    ------
    InstanceError
        If plan or group are none for `RoundsExchange`.
    """

    needs_matrix = True

    def __init__(self, link: Link, plan: TransferPlan | None = None, group: Any = None) -> None:
        self.group, self.link = group, link
        self.taken: Counter[Way] = Counter()
        self._single = SingleExchange(group)
        # The first step must not wait for compiled code.
        compile_rounds()
        self._cuts = None if plan is None else Cuts.of(plan, rank_and_world(group)[1])

    def route(self, sizes: Sizes, row_bytes: int) -> Route:
        """Return the fastest route for these sizes, the same on every rank."""
        way, parts = fastest(self.link, sent_rows(sizes), row_bytes, self._cuts)
        self.taken[way] += 1
        if parts is None:
            return self._single.route(sizes, row_bytes)
        return RoundsRoute.of(parts, sizes, self.group)


def fastest(
    link: Link, rows: IntArray, row_bytes: int, cuts: Cuts | None = None
) -> tuple[Way, Parts | None]:
    """Return the fastest way there and back, with its parts; one all-to-all has none.

    Parameters
    ----------
    link
        What exchanges cost.
    rows
        Rows from each rank to each, ``(ranks, ranks)``, 0 on the diagonal.
    row_bytes
        Bytes of a row.
    cuts
        Those of a plan.
    """
    size = rows * row_bytes
    best: tuple[Way, Parts | None] = ("single", None)
    best_s = link.single_s(size) + link.single_s(size.T)
    options: list[tuple[Way, Parts]] = []
    # Rounds take as long back as there; where even the least is too long, none is computed.
    may_pay = 2 * link.least_rounds_s(size) + link.decide_s < best_s
    if cuts is not None and (may_pay or not cuts.one_peer):
        options.append(("plan", cuts.parts(rows[cuts.source, cuts.destination])))
    if may_pay:
        options.append(("spot", spot_parts(rows, row_bytes, link)))
    for way, parts in options:
        seconds = 2 * parts_s(link, parts, row_bytes) + link.decide_s
        if seconds < best_s:
            best, best_s = (way, parts), seconds
    return best
