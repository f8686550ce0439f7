"""Rounds computed on the spot, from what all ranks send to all in this step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from moeopt.adapters.torch.cuts import Cuts, Parts
from moeopt.adapters.torch.exchange import Route, Sizes
from moeopt.adapters.torch.link import Link, line_sums
from moeopt.adapters.torch.rounds import RoundsRoute
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.transfers.birkhoff import decompose

#: Grids that messages are padded to: the busiest port's rows are this many steps.
_GRIDS = (32, 16, 8)


class SpotExchange:
    """An exchange in rounds of one peer each way, computed from the sizes that all ranks know.

    Parameters
    ----------
    group
        The workers; ``None`` for all. As for `RoundsExchange`, their first operation must be one
        in which all take part.
    link
        What a round costs, to have fewer of them where bytes are cheap; the same on every rank.
        ``None``: as short as the bytes allow, however many rounds that takes.
    """

    needs_matrix = True

    def __init__(self, group: Any = None, link: Link | None = None) -> None:
        self.group, self.link = group, link
        # The first call loads compiled code.
        decompose(np.zeros((1, 1), dtype=np.int64))

    def route(self, sizes: Sizes, row_bytes: int) -> Route:
        """Return rounds for these sizes, the same on every rank."""
        parts = spot_parts(sent_rows(sizes), row_bytes, self.link)
        return RoundsRoute.of(parts, sizes, self.group)


def spot_parts(rows: IntArray, row_bytes: int, link: Link | None) -> Parts:
    """Return the rows of an exchange in rounds of one peer each way.

    Parameters
    ----------
    rows
        Rows from each rank to each, ``(ranks, ranks)``, 0 on the diagonal.
    row_bytes
        Bytes of a row.
    link
        Chooses among Birkhoff's rounds, those of coarser messages, and those of distances between
        ranks; ``None`` takes Birkhoff's.
    """
    if link is None:
        return _birkhoff(rows)
    return min(_candidates(rows), key=lambda parts: parts_s(link, parts, row_bytes))


def parts_s(link: Link, parts: Parts, row_bytes: int) -> float:
    """Return the seconds that rounds take over a link."""
    size = parts.rows * row_bytes
    return link.rounds_s(parts.round_index, parts.source, parts.destination, size)


def sent_rows(sizes: Sizes) -> IntArray:
    """Return the rows from each rank to each, 0 on the diagonal.

    Raises
    ------
    InstanceError
        If the sizes hold no matrix.
    """
    if sizes.matrix is None:
        rule = "must hold the rows from each rank to each: the exchange needs them"
        raise InstanceError("sizes.matrix", None, rule, "gather them from all ranks")
    return sizes.matrix * (1 - np.eye(len(sizes.matrix), dtype=np.int64))


def _candidates(rows: IntArray) -> Iterator[Parts]:
    yield _birkhoff(rows)
    cuts = Cuts.of_distances(len(rows))
    yield cuts.parts(rows[cuts.source, cuts.destination])
    longest = int(max(line.max(initial=0) for line in line_sums(rows)))
    for steps in _GRIDS:
        if longest > steps:
            yield _birkhoff(rows, -(-longest // steps))


def _birkhoff(rows: IntArray, step: int = 1) -> Parts:
    """Return Birkhoff's rounds of messages that are padded to whole steps, without the padding."""
    length, peer, sent = decompose(-(-rows // step))
    left = rows.copy()
    taken = np.zeros_like(sent)
    ranks = np.arange(len(rows))
    for part, to, count in zip(taken, peer, sent, strict=True):
        np.minimum(count * step, left[ranks, to], out=part, where=to >= 0)
        left[ranks, to] -= part
    number, source = np.nonzero(taken)
    return Parts(
        round_index=number,
        source=source,
        destination=peer[number, source],
        rows=taken[number, source],
        num_rounds=len(length),
    )


def compile_rounds() -> None:
    """Compile what computes rounds, or load it: workers that begin afterwards find it ready.

    On a new machine each of them would otherwise compile it for itself, all at once.
    """
    spot_parts(1 - np.eye(2, dtype=np.int64), 1, Link(1.0, 1.0, 1.0, 1.0, 1.0))
