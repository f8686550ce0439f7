"""Batches of flows that are never cut: each flow in one batch, each port's side with one flow.

A batch lasts as long as its largest flow; what counts is the sum over the batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.transfers import _kernels_coloring, _kernels_migration
from moeopt.transfers.coloring import edge_slots

#: Counts that are computed from bytes may be off by this.
_ROUNDING = 1e-9

#: Sizes of the bundles that are tried for experts of unequal size, in those of the largest expert.
_CAPACITIES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class Edges:
    """Moves as edges between ports' sides.

    Attributes
    ----------
    end, other
        Sending and receiving vertex of each move, shape ``(moves,)``: one vertex per rank with
        half-duplex ports, else the senders and then the receivers.
    weight
        Bytes.
    vertices
        Number of vertices.
    half_duplex
        Whether ranks are one vertex each.
    """

    end: IntArray
    other: IntArray
    weight: FloatArray
    vertices: int
    half_duplex: bool

    @classmethod
    def between(
        cls, source: IntArray, destination: IntArray, size: FloatArray, ranks: int, half: bool
    ) -> Edges:
        """Return the edges of moves between ranks."""
        beyond = 0 if half else ranks
        return cls(source, destination + beyond, size, ranks + beyond, half)

    def bundled(self, bundle: IntArray) -> Edges:
        """Return one edge for each bundle, `bundle` being that of each edge."""
        first = np.unique(bundle, return_index=True)[1]
        weight = np.bincount(bundle, self.weight).astype(np.float64)
        return Edges(self.end[first], self.other[first], weight, self.vertices, self.half_duplex)

    def busiest(self) -> float:
        """Return the bytes of the busiest vertex."""
        return float(self._matrix().sum(axis=0).max())

    def bound(self) -> float:
        """Return the busiest vertex's bytes, or more where odd sets of ports or sizes need more.

        With the batches sorted by their largest flow, the k-th is no smaller than the k-th
        largest flow of any port; flows of a port to different peers are in different batches.
        """
        unit = float(self.weight[0])
        if (self.weight == unit).all():
            return self.least_batches() * unit
        matrix = self._matrix()
        odd = _kernels_coloring.odd_set_density(matrix) if self.half_duplex else 0.0
        largest = np.zeros((2, self.vertices, self.vertices))
        np.maximum.at(largest[0], (self.end, self.other), self.weight)
        np.maximum.at(largest[1], (self.other, self.end), self.weight)
        ranked = np.sort(np.concatenate(largest, axis=1), axis=1)
        return max(float(matrix.sum(axis=0).max()), float(ranked.max(axis=0).sum()), float(odd))

    def least_batches(self) -> int:
        """Return the batches that edges need if no two share one: degree, and odd sets."""
        units = np.zeros((self.vertices, self.vertices))
        np.add.at(units, (self.end, self.other), 1.0)
        units += units.T
        odd = _kernels_coloring.odd_set_density(units) if self.half_duplex else 0.0
        return max(int(units.sum(axis=0).max()), math.ceil(float(odd) - _ROUNDING))

    def _matrix(self) -> FloatArray:
        """Return the bytes between any two vertices, ``(vertices, vertices)``, symmetric."""
        total = np.zeros((self.vertices, self.vertices))
        np.add.at(total, (self.end, self.other), self.weight)
        return total + total.T


def batches_of(edges: Edges, seed: int) -> IntArray:
    """Return the batch of each move, shape ``(moves,)``.

    Equal sizes: a colouring, with as many batches as the busiest port has moves wherever that is
    possible, which is the shortest order. Unequal ones: the best of several starts after
    exchanges. Batches that no port forbids are joined in the end.
    """
    if (edges.weight == edges.weight[0]).all():
        found = edge_slots(edges.end, edges.other, edges.vertices, edges.least_batches(), seed)
    else:
        found = _unequal(edges, seed)
    _kernels_migration.merge_batches(edges.end, edges.other, found, edges.vertices)
    return found


def _unequal(edges: Edges, seed: int) -> IntArray:
    """Return the batches of moves of unequal size.

    Experts of a pair are bundled up to a capacity, so that bundles differ less than experts do.
    The largest bundles go first: in as few batches as they need, or wherever they fit.
    """
    order = np.lexsort((-edges.weight, edges.other, edges.end))
    best, least, before = np.arange(len(order)), math.inf, -1
    for capacity in _CAPACITIES:
        bundle = np.empty(len(order), dtype=np.int64)
        limit = capacity * float(edges.weight.max())
        count = _kernels_migration.bundle(
            order, edges.end, edges.other, edges.weight, limit, bundle
        )
        if count == before:
            continue
        before = count
        for makespan, batch in _starts(edges.bundled(bundle), seed):
            if makespan < least:
                best, least = batch[bundle], makespan
    return best


def _starts(edges: Edges, seed: int) -> list[tuple[float, IntArray]]:
    """Return makespan and batches of both starts."""
    order = np.argsort(-edges.weight, kind="stable")
    place = np.argsort(order)
    end, other, weight = edges.end[order], edges.other[order], edges.weight[order]
    fitted = np.empty_like(end)
    room = np.full((edges.vertices, len(end)), -1, dtype=np.int64)
    _kernels_migration.first_fit(end, other, room, fitted)
    found = []
    for batch in (edge_slots(end, other, edges.vertices, 1, seed), fitted):
        makespan, exchanged = _exchanged(end, other, weight, batch, edges.vertices)
        found.append((makespan, exchanged[place]))
    return found


def _exchanged(
    end: IntArray, other: IntArray, weight: FloatArray, batch: IntArray, vertices: int
) -> tuple[float, IntArray]:
    """Return the makespan and the batches after exchanges between any two."""
    batches = int(batch.max()) + 1
    flows = np.arange(len(batch))
    table = np.full((vertices, batches), -1, dtype=np.int64)
    table[end, batch] = flows
    table[other, batch] = flows
    largest = np.zeros(batches)
    np.maximum.at(largest, batch, weight)
    batch, into = batch.copy(), flows.copy()
    _kernels_migration.exchange_until_done(end, other, weight.copy(), batch, table, into, largest)
    while (into[into] != into).any():
        into = into[into]
    return float(largest.sum()), batch[into]
