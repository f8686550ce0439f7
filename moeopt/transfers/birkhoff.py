"""The shortest order of one peer at a time: Birkhoff's theorem with bottleneck matchings.

Aurora, Theorem 4.2, shows the length of the shortest all-to-all between equal ports, the largest
line sum, and leaves open that an order of this length exists. It does: pad the matrix until all
lines sum to the same, then a perfect matching exists (Hall, König), and taking it off leaves all
lines equal again (Birkhoff, von Neumann). Here nothing is padded with fixed dummies: a line that
has time to spare may idle as long as it can afford to, which takes fewer rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.transfers._kernels import birkhoff as _birkhoff

#: Bits that a line's bytes are counted in: sums of thousands of lines stay below 64.
_BITS = 52


@dataclass(frozen=True)
class Rounds:
    """A matrix in rounds: in each, every port sends to at most one and receives from at most one.

    Attributes
    ----------
    length
        Units that each round lasts, shape ``(rounds,)``.
    peer
        Whom each port sends to, shape ``(rounds, ports)``, -1 for nobody.
    sent
        Units that it sends, at most the round's length, shape ``(rounds, ports)``.
    """

    length: FloatArray
    peer: IntArray
    sent: FloatArray


def decompose(units: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Split an integer matrix into rounds whose lengths sum to its largest line sum, exactly.

    Parameters
    ----------
    units
        Shape ``(ports, ports)``, at least 0, line sums below 2**60.

    Returns
    -------
    length, peer, sent
        As in `Rounds`, as integers.
    """
    matrix = np.ascontiguousarray(units, dtype=np.int64)
    length, peer, sent = _birkhoff(matrix)
    return length, peer, sent


def rounds_of(matrix: FloatArray) -> Rounds:
    """Split a matrix of any numbers into rounds whose lengths sum to its largest line sum.

    Parameters
    ----------
    matrix
        Shape ``(ports, ports)``, at least 0: bytes, or seconds where ports differ.

    Notes
    -----
    Integers below 2**52 are kept as they are. Others are counted in units of 2**-52 of the largest
    line, rounded up: the sum of lengths is above the largest line by less than ``ports * 2**-52``
    of it, and the parts of an entry sum to it up to rounding.
    """
    line = float(max(matrix.sum(axis=0).max(initial=0.0), matrix.sum(axis=1).max(initial=0.0)))
    quantum = _quantum(matrix, line)
    units = np.ceil(matrix / quantum)
    length, peer, sent = decompose(units.astype(np.int64))
    # What rounding up has added is taken off each part again, in proportion.
    exact = np.divide(matrix, units, out=np.zeros_like(matrix), where=units > 0)
    part = sent * np.take_along_axis(exact, np.maximum(peer, 0).T, axis=1).T
    return Rounds(np.asarray(length * quantum), peer, part)


def _quantum(matrix: FloatArray, line: float) -> float:
    if line == 0.0 or (line < 2.0**_BITS and bool((matrix == np.floor(matrix)).all())):
        return 1.0
    return math.ldexp(1.0, math.frexp(line)[1] - _BITS)
